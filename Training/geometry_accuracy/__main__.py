"""Measure simulated vessels of known size, and write a table, a figure and a part for the documents.

    python -m Training.geometry_accuracy FOLDER [--model NAME_OR_FILE ...] [--vessels N] [--docs Training/docs]

FOLDER gets accuracy.csv (one line for each measurement), masks.csv, accuracy.png and accuracy.md. ``--docs`` puts the
part and the figure into geometry.md there.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from Speckle2SelfLogic.errors import Speckle2SelfError
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.geometry_accuracy.charts import write_bland_altman
from Training.geometry_accuracy.masks import MaskRow, measure_masks
from Training.geometry_accuracy.measuring import AccuracyRow, measure_all
from Training.geometry_accuracy.tables import markdown
from Training.geometry_accuracy.vessels import KnownVessel, known_vessel

DEFAULT_MODELS = ("speckle2self-fast", "speckle2self-small", "nlm", "srad")
BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"


def main(arguments: list[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m Training.geometry_accuracy", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", "-m", action="append", metavar="NAME_OR_FILE", help="method; repeat for more")
    parser.add_argument("--vessels", type=int, default=36, metavar="N", help="vessels of each view")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", type=Path, help="folder with geometry.md to put the results into")
    options = parser.parse_args(arguments)
    if options.vessels < 2:
        parser.error(f"at least 2 vessels are needed, but {options.vessels} were asked for")
    names = options.model or list(DEFAULT_MODELS)
    console = Console(stderr=True)
    try:
        methods: dict[str, FrameDespeckler] = {_title(name): load_method(name, "cpu") for name in names}
    except Speckle2SelfError as error:
        parser.error(str(error))
    vessels = [
        known_vessel(view, number, options.seed)  # type: ignore[arg-type]
        for view in ("transverse", "longitudinal")
        for number in range(options.vessels)
    ]
    rows = measure_all(iter(vessels), methods, lambda text: console.print(escape(text), highlight=False))
    command = f"python -m Training.geometry_accuracy FOLDER --vessels {options.vessels}"
    if options.model:
        command += "".join(f" --model {_title(name)}" for name in names)
    part = write(options.folder, rows, masks_of(vessels), command)
    if options.docs is not None:
        put_into(options.docs, part, options.folder / "accuracy.png")
    print(part)  # noqa: T201


def masks_of(vessels: Sequence[KnownVessel]) -> list[MaskRow]:
    """Measure the masks of all vessels."""
    return [row for vessel in vessels for row in measure_masks(vessel)]


def write(folder: Path, rows: Sequence[AccuracyRow], masks: Sequence[MaskRow], command: str) -> str:
    """Write tables, figure and part into a folder; returns the part."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "accuracy.csv", rows)
    _write_csv(folder / "masks.csv", masks)
    write_bland_altman(rows, folder / "accuracy.png")
    part = markdown(rows, masks, command, "accuracy.png")
    (folder / "accuracy.md").write_text(part, encoding="utf-8")
    return part


def put_into(docs: Path, part: str, picture: Path) -> None:
    """Replace what is between the marks of geometry.md, and copy the figure."""
    page = docs / "geometry.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    shutil.copyfile(picture, docs / "figures" / "geometry_accuracy.png")
    shown = part.replace("(accuracy.png)", "(figures/geometry_accuracy.png)")
    page.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}", encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[AccuracyRow] | Sequence[MaskRow]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        if rows:
            writer = csv.DictWriter(file, [each.name for each in fields(rows[0])])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


def _title(name: str) -> str:
    """Return what a method is called in tables: a weight file goes by its name and that of its folder."""
    path = Path(name)
    return f"{path.parent.name}/{path.name}" if path.suffix else name


if __name__ == "__main__":
    main()
