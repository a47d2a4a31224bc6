"""What methods are measured on: frames or cines of a data set, with their speckle-free truth where it is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.frames import frames_view, grey_frame, grey_range_of
from Speckle2SelfLogic.io import is_readable, read_image

Float32 = npt.NDArray[np.float32]

SPECKLED, TRUTH = "_speckled", "_truth"
NOT_INPUTS = (TRUTH, "_second", "_clean")
"""Endings of names that accompany a frame of a simulated set and are none to be despeckled."""


@dataclass(frozen=True)
class EvidenceItem:
    """One frame, or a cine of them."""

    name: str
    frames_nyx: Float32
    """Grey 0..1, shape (N, Y, X)."""
    truth_yx: Float32 | None = None
    """Speckle-free frame (Y, X), grey 0..1, for a single frame."""

    @property
    def checksum(self) -> str:
        """SHA-256 of all pixels, in hexadecimal."""
        content = hashlib.sha256(repr(self.frames_nyx.shape).encode() + self.frames_nyx.tobytes())
        if self.truth_yx is not None:
            content.update(self.truth_yx.tobytes())
        return content.hexdigest()


def read_grey(path: Path, most_frames: int = 1) -> Float32:
    """Read frames (N, Y, X) as grey 0..1: of a cine or volume the middle ``most_frames``, one after the other.

    16-bit PNG stands for its whole range, as the simulated truths are written; other files are scaled as the denoiser
    scales them. Raises what `read_image` raises.
    """
    image = read_image(path)
    frames = frames_view(image)
    first = max(0, (len(frames) - most_frames) // 2)
    chosen = [frames[number] for number in range(first, min(first + most_frames, len(frames)))]
    if image.pixels.dtype == np.uint16 and path.suffix.lower() == ".png":
        return np.stack(chosen).astype(np.float32) / 65535
    grey_range = grey_range_of(image)
    return np.stack([grey_frame(frame, grey_range) for frame in chosen]).astype(np.float32)


def items_of(paths: list[Path], truth_folder: Path | None = None, most_frames: int = 1) -> Iterator[EvidenceItem]:
    """Read files that are no truths themselves; a truth beside a file or in its own folder is found by its name.

    ``0001_speckled.png`` and ``0001.nrrd`` belong to ``0001_truth.png``; in a truth folder also to ``0001.png``.

    Raises
    ------
    SettingsError
        If a truth folder is given and holds nothing for a file, or a truth has another size than its frame.
    """
    for path in paths:
        stem = _stem(path)
        if stem.endswith(NOT_INPUTS):
            continue
        truth = _truth_of(path, stem.removesuffix(SPECKLED), truth_folder)
        frames = read_grey(path, 1 if truth else most_frames)
        if truth is None:
            yield EvidenceItem(stem, frames)
            continue
        truth_yx = read_grey(truth)[0]
        if truth_yx.shape != frames.shape[1:]:
            message = f"The truth '{truth}' has {truth_yx.shape} pixels, but '{path}' has {frames.shape[1:]}."
            raise SettingsError(message)
        yield EvidenceItem(stem.removesuffix(SPECKLED), frames, truth_yx)


def image_files(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the image files of a folder that match a glob pattern, sorted by name.

    Raises
    ------
    SettingsError
        If there are none.
    """
    found = sorted(path for path in folder.glob(pattern) if path.is_file() and is_readable(path))
    if not found:
        message = f"The folder '{folder}' has no image that matches '{pattern}'."
        raise SettingsError(message)
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def _truth_of(path: Path, stem: str, truth_folder: Path | None) -> Path | None:
    folder = truth_folder or path.parent
    names = [f"{stem}{TRUTH}"] if truth_folder is None else [f"{stem}{TRUTH}", stem, _stem(path)]
    for name in names:
        found = [other for other in sorted(folder.glob(f"{glob_escaped(name)}.*")) if is_readable(other)]
        if found:
            return found[0]
    if truth_folder is not None:
        message = f"The truth folder '{truth_folder}' has no '{stem}{TRUTH}' and no '{stem}' for '{path.name}'."
        raise SettingsError(message)
    return None


def glob_escaped(name: str) -> str:
    """Spell a file name so that a glob pattern finds it and nothing else."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)
