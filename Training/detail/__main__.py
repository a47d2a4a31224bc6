"""Print the detail figures of methods beside the bounds of the default weights.

    python -m Training.detail METHOD [METHOD ...] --data FOLDER [--published FOLDER] [--figures FOLDER] [--json FILE]

METHOD is a model, a weight file or a filter; the input itself and two Gaussian blurs are added as controls.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from Speckle2SelfLogic.errors import Speckle2SelfError
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.detail.checks import detail_figures, detail_rows
from Training.detail.controls import CONTROLS
from Training.detail.figures import DetailFigure, Figures


def table_of(columns: dict[str, Figures], rows: tuple[DetailFigure, ...]) -> Table:
    """Return one row for each figure, one column for each method; what misses its bound is marked by an x."""
    table = Table("figure", "required", *columns, title="Detail and safety")
    for row in rows:
        cells = []
        for figures in columns.values():
            value = figures.get(row.key)
            mark = " x" if row.holds(value) is False else "  "
            cells.append("no data" if value is None else f"{value:.{row.decimals}f}{mark}")
        table.add_row(row.key, row.requirement, *cells)
    return table


def _column(name: str) -> str:
    """Return the heading of a method: a weight file goes by its name and that of its folder."""
    path = Path(name)
    return f"{path.parent.name}/{path.name}" if path.suffix else name


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m Training.detail", description=__doc__.split("\n", 1)[0])
    parser.add_argument("methods", nargs="+", metavar="METHOD")
    parser.add_argument("--data", type=Path, help="folder of the real frames")
    parser.add_argument("--published", type=Path, help="folder with Input_01.gif, OurMethod_01.gif and so on")
    parser.add_argument("--figures", type=Path, help="write picture sheets here")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    try:
        methods: dict[str, FrameDespeckler] = {control.name: control for control in CONTROLS}
        methods |= {_column(name): load_method(name) for name in options.methods}
        columns = {name: detail_figures(method, options.data, options.published) for name, method in methods.items()}
    except Speckle2SelfError as error:
        parser.error(str(error))
    Console(width=60 + 16 * len(columns)).print(table_of(columns, detail_rows(options.data, options.published)))
    if options.json is not None:
        options.json.write_text(json.dumps(columns, indent=1) + "\n", encoding="utf-8")
    if options.figures is not None:
        from Training.detail.sheets import write_sheets

        write_sheets(methods, options.data, options.published, options.figures)


if __name__ == "__main__":
    main()
