"""Stored figures: one JSON file for each method and data set, one row for each frame."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError

ROWS, OUTPUTS, PLAN = "rows", "outputs", "plan.json"


@dataclass(frozen=True)
class Row:
    """What was measured on one frame or cine."""

    item: str
    checksum: str
    """Of the pixels of frame and truth."""
    figures: dict[str, float | None]
    frames: int = 1
    seconds_per_frame: float | None = None
    yardstick_seconds_per_frame: float | None = None
    """Time of the yardstick on the same frame, right after; None where it was not run."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """All rows of one method on one data set, and what they depend on."""

    data: str
    method: str
    fingerprint: dict[str, Any] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()

    def values(self, figure: str) -> dict[str, float]:
        """Return a figure by the name of the frame; frames that have none are left out."""
        found = ((row.item, row.figures.get(figure)) for row in self.rows)
        return {item: value for item, value in found if value is not None}

    def time_ratios(self) -> list[float]:
        """Return times as multiples of the yardstick's time on the same frames."""
        pairs = ((row.seconds_per_frame, row.yardstick_seconds_per_frame) for row in self.rows)
        return [own / other for own, other in pairs if own is not None and other]


def file_name(name: str) -> str:
    """Spell a name of a set or method as part of a path: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") or "-"


def rows_path(folder: Path, data: str, method: str) -> Path:
    """Return where the rows of a method on a data set are kept."""
    return folder / ROWS / file_name(data) / f"{file_name(method)}.json"


def output_path(folder: Path, data: str, method: str, item: str) -> Path:
    """Return where the picture of an output is kept."""
    return folder / OUTPUTS / file_name(data) / file_name(method) / f"{file_name(item)}.png"


def read_rows(path: Path) -> Measured | None:
    """Read a file of rows; None if there is none, or it was cut off while being written elsewhere."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(Row(**{**row, "notes": tuple(row.get("notes", ()))}) for row in content.pop("rows"))
        return Measured(rows=rows, **content)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_rows(path: Path, measured: Measured) -> None:
    """Write a file of rows so that it is there completely or not at all."""
    write_whole(path, json.dumps(asdict(measured), indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there completely or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def all_rows(folder: Path) -> Iterator[Measured]:
    """Read every file of rows of a folder.

    Raises
    ------
    SettingsError
        If there is none.
    """
    found = [measured for path in sorted((folder / ROWS).glob("*/*.json")) if (measured := read_rows(path))]
    if not found:
        message = f"'{folder}' holds no measurements; run 'python -m Training.evidence measure PLAN --out {folder}'."
        raise SettingsError(message)
    yield from found


def write_output(path: Path, frame_yx: npt.NDArray[np.floating]) -> None:
    """Write an output, grey 0..1, as an 8-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(np.clip(frame_yx, 0, 1) * 255 + 0.5)).save(path)


def read_output(path: Path) -> npt.NDArray[np.float64] | None:
    """Read an output as grey 0..1, or None if it is not there."""
    if not path.is_file():
        return None
    with Image.open(path) as picture:
        return np.asarray(picture, np.float64) / 255
