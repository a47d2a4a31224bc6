"""Prepared pictures: frames and labels on the grid of a network, as PNG files, and the lists that name them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Training.evidence.rows import write_whole


def write_picture(path: Path, values_yx: npt.NDArray[np.uint8]) -> None:
    """Write an 8-bit picture so that it is there completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    Image.fromarray(np.ascontiguousarray(values_yx, np.uint8)).save(partial, "PNG")
    partial.replace(path)


def write_items(file: Path, parts: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Write which pictures (``image`` and ``label``) are for which part: ``train`` or ``validate``."""
    write_whole(file, json.dumps(parts, indent=1) + "\n")


def picture_items(file: str | Path, part: str) -> list[dict[str, str]]:
    """List the pictures of one part; none if the file does not name the part.

    Raises
    ------
    SettingsError
        If the file is not such a list.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        return [{"image": str(item["image"]), "label": str(item["label"])} for item in content.get(part, [])]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"'{file}' is no list of prepared pictures; it must hold train and validate with image and label."
        raise SettingsError(message) from error
