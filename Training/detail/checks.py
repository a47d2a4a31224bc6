"""All checks together: `detail_figures` for scripts, and the rows of the table."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.detail.brightness import BrightnessCheck
from Training.detail.consistency import ConsistencyCheck
from Training.detail.far_wall import FarWallCheck
from Training.detail.fibres import FibreCheck
from Training.detail.figures import Check, DetailFigure, Figures
from Training.detail.flicker import FlickerCheck
from Training.detail.glints import GlintCheck
from Training.detail.insertion import InsertionCheck
from Training.detail.invention import InventionCheck

CHECKS = (
    InsertionCheck,
    FibreCheck,
    FarWallCheck,
    GlintCheck,
    BrightnessCheck,
    FlickerCheck,
    ConsistencyCheck,
    InventionCheck,
)


@lru_cache(maxsize=4)
def prepared_checks(data: Path | None, published: Path | None) -> tuple[Check, ...]:
    """Read frames, insert structures, find fibres, wall and glints: once for all methods."""
    return tuple(check.prepare(data, published) for check in CHECKS)


def detail_rows(data: Path | None = None, published: Path | None = None) -> tuple[DetailFigure, ...]:
    """Return every figure with its bound, in the order of the table."""
    return tuple(row for check in prepared_checks(data, published) for row in check.rows)


def detail_figures(
    method: FrameDespeckler, data: str | Path | None, published: str | Path | None = None
) -> dict[str, float | None]:
    """Measure what a method keeps, and what it must not do.

    Parameters
    ----------
    method
        Anything that despeckles frames; a network in memory is wrapped by
        `Speckle2SelfLogic.runtime.NetworkDespeckler`.
    data
        Folder of the real frames; None leaves out what needs them.
    published
        Folder with ``Input_01.gif``, ``OurMethod_01.gif`` and the same of clip 06; None leaves out what needs them.

    Returns
    -------
    dict
        One number for each row of `detail_rows`; None where data are missing.

    Raises
    ------
    SettingsError
        If a folder is given that does not exist.
    """
    folders = [None if folder is None else Path(folder) for folder in (data, published)]
    for folder in folders:
        if folder is not None and not folder.is_dir():
            message = f"There is no folder '{folder}' with frames to measure detail on."
            raise SettingsError(message)
    figures: Figures = {}
    for check in prepared_checks(*folders):
        figures.update(check.figures(method))
    return figures


def failed(figures: Figures) -> list[str]:
    """Return the keys whose bound does not hold; figures without data do not fail."""
    return [row.key for row in detail_rows() if row.holds(figures.get(row.key)) is False]
