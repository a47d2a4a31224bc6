"""A coverage-guided fuzz target for what this package parses by itself.

    python Testing/hostile/fuzz_parsers.py CORPUS_FOLDER [-max_total_time=600] [-max_len=4096] ...

The first byte of an input chooses the parser: model cards, batch manifests, archives of weights, and the headers of
NRRD, MetaImage, NIfTI, TIFF and PNG files. Whatever the other bytes are, a parser returns or raises a
`Speckle2SelfError` whose text is one sentence; anything else is a finding, which is written to a file and ends the
process. The corpus folder gets a small whole file of each kind first. Options are those of libFuzzer.

The engine is Atheris (Apache-2.0), which feeds libFuzzer from the byte code of our modules. Hypothesis draws values
of a known form, which suits the property tests, but is not guided by coverage; HypoFuzz is AGPL-3.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import atheris
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["Speckle2SelfLogic"]):
    from Speckle2SelfLogic import integrity, picture_integrity
    from Speckle2SelfLogic.archive.manifest import Row, open_manifest
    from Speckle2SelfLogic.checkpoint import check_archive
    from Speckle2SelfLogic.errors import Speckle2SelfError
    from Speckle2SelfLogic.model_card import read_card
    from Speckle2SelfLogic.plain_errors import one_sentence

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - files that live for one call
FOLDER = Path(tempfile.mkdtemp(prefix="speckle2self-fuzz-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None))


def manifest(path: Path) -> None:
    """Open a manifest and read its rows, as a run does before anything else."""
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    with open_manifest(path) as opened:
        opened.rows()


PARSERS: dict[str, Callable[[Path], object]] = {
    "card.json": read_card,
    "manifest.sqlite": manifest,
    "weights.pt": check_archive,
    "header.nrrd": integrity.check_nrrd,
    "header.mha": integrity.check_metaimage,
    "header.nii": integrity.check_nifti,
    "pages.tif": picture_integrity.check_tiff_pages,
    "chunks.png": picture_integrity.check_png_end,
}


def parse(content: bytes) -> None:
    """Give bytes to the parser that the first one names."""
    if not content:
        return
    name = list(PARSERS)[content[0] % len(PARSERS)]
    path = FOLDER / name
    path.write_bytes(content[1:])
    try:
        with one_sentence(path, "cannot be read"):  # as every caller has it
            PARSERS[name](path)
    except Speckle2SelfError as error:
        sentence = str(error)
        if "\n" in sentence or not sentence.endswith(".") or not sentence.isprintable():
            message = f"not one printable sentence: {sentence!r}"
            raise AssertionError(message) from error


def write_seeds(corpus: Path) -> None:
    """Write a small whole file of each kind into the corpus."""
    import SimpleITK
    from PIL import Image

    card = Path(__file__).parents[2] / "Speckle2SelfLogic" / "models" / "speckle2self-small.json"
    (FOLDER / "card.json").write_text(json.dumps({**json.loads(card.read_text()), "name": "card", "recipe": {}}))
    (FOLDER / "manifest.sqlite").unlink(missing_ok=True)
    with open_manifest(FOLDER / "manifest.sqlite") as opened:
        opened.record(Row("a.png", "a.png"))
    with zipfile.ZipFile(FOLDER / "weights.pt", "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
    grey = SimpleITK.GetImageFromArray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    for name in ("header.nrrd", "header.mha", "header.nii"):
        SimpleITK.WriteImage(grey, str(FOLDER / name))
    for name in ("pages.tif", "chunks.png"):
        Image.fromarray(np.zeros((3, 4), np.uint8)).save(FOLDER / name)
    for number, name in enumerate(PARSERS):
        (corpus / f"seed-{name}").write_bytes(bytes([number]) + (FOLDER / name).read_bytes())


def main() -> None:
    """Write the seeds, then fuzz until libFuzzer's limits are reached."""
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    write_seeds(corpus)
    with contextlib.suppress(sqlite3.Error):
        for path in corpus.iterdir():  # what earlier runs found stays harmless
            parse(path.read_bytes())
    atheris.Setup(sys.argv, parse)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
