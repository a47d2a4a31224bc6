"""The cells of a comparison: one trained network each, and its scores on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from Training.evidence.rows import file_name, write_whole
from Training.segmentation.plan import ORIGINAL, DataPlan, Plan
from Training.segmentation.subjects import Fold

CELLS = "cells"
OWN, SWAPPED, UNSEEN = "own", "trained on originals", "unseen data"
"""What a network is tested on: images prepared as it was trained on; images prepared by another method while it was
trained on originals; a data set that no network was trained on."""


@dataclass(frozen=True)
class Cell:
    """One network: trained on ``count`` images (0: all) of the training persons of one fold, prepared by one method."""

    data: str
    method: str
    fold: int
    count: int

    @property
    def size(self) -> str:
        """The training size as tables say it."""
        return str(self.count) if self.count else "all"

    def path(self, folder: Path) -> Path:
        """Where its scores are kept."""
        name = f"fold-{self.fold}-{self.size}.json"
        return folder / CELLS / file_name(self.data) / file_name(self.method) / name


@dataclass(frozen=True)
class Row:
    """Scores of one label in one frame. Distances are in ``unit``."""

    test: str
    data: str
    images: str
    """Name of the method that prepared the frame."""
    item: str
    subject: str
    label: str
    unit: str
    figures: dict[str, float | None]


@dataclass(frozen=True)
class Scored:
    """A finished cell, and what its scores depend on."""

    cell: Cell
    fingerprint: dict[str, Any]
    rows: tuple[Row, ...] = ()
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


def cells_of(plan: Plan, folds: Mapping[str, Sequence[Fold]], images: Mapping[tuple[str, int], int]) -> Iterator[Cell]:
    """List the cells, those with all training images first, then from many to few, so that a part says most.

    Parameters
    ----------
    folds
        Folds by data set.
    images
        Training images by data set and number of the fold: sizes that a fold does not have are left out.
    """
    for data in plan.trained_on:
        for fold in folds[data.name]:
            yield from (Cell(data.name, method.name, fold.number, 0) for method in plan.methods)
    for data in plan.trained_on:
        for count in sorted(_sizes(plan, data), reverse=True):
            for fold in folds[data.name]:
                if count < images[data.name, fold.number]:
                    yield from (Cell(data.name, method.name, fold.number, count) for method in plan.methods)


def tests_of(cell: Cell, plan: Plan) -> list[tuple[str, str]]:
    """Return what a cell is tested on beside unseen data: kind of test and method that prepares the images."""
    if cell.method != ORIGINAL:
        return [(OWN, cell.method)]
    return [(OWN, ORIGINAL), *((SWAPPED, method.name) for method in plan.methods[1:])]


def read_scored(cell: Cell, folder: Path, fingerprint: Mapping[str, Any]) -> Scored | None:
    """Read a finished cell; None if it is not there, was cut off, or depends on something that has changed."""
    try:
        content = json.loads(cell.path(folder).read_text(encoding="utf-8"))
        if content["fingerprint"] != json.loads(json.dumps(fingerprint)):
            return None
        content["rows"] = tuple(Row(**row) for row in content["rows"])
        return Scored(**{**content, "cell": Cell(**content["cell"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_scored(scored: Scored, folder: Path) -> None:
    """Write a finished cell so that it is there completely or not at all."""
    write_whole(scored.cell.path(folder), json.dumps(asdict(scored), indent=1) + "\n")


def _sizes(plan: Plan, data: DataPlan) -> tuple[int, ...]:
    return plan.few_shot if data.few_shot is None else data.few_shot
