"""Options of the command line that say how an input is to be read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from Speckle2SelfLogic.batch import FileResult
    from Speckle2SelfLogic.image import UltrasoundImage

Region = Annotated[
    str, typer.Option(help="DICOM: crop to this ultrasound region, a number (see 'dicom regions') or 'tissue'.")
]


def despeckle_function(region: str) -> Callable[..., FileResult]:
    """Return the function that despeckles one file, reading it as the options say."""
    from Speckle2SelfLogic.batch import despeckle_file

    if not region:
        return despeckle_file
    from Speckle2SelfLogic.dicom_regions import read_region

    def read(path: Path) -> UltrasoundImage:
        return read_region(path, region)

    return functools.partial(despeckle_file, read=read)
