"""A user's own folder of images as training data: any format of the core, no masks, no clean images, no truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError, UnsupportedImageError
from Speckle2SelfLogic.frames import frames_view, grey_frame, grey_range_of
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.io import is_readable, read_image
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.sector import find_sector
from Training.real_frames import RealFrames

UInt8 = npt.NDArray[np.uint8]
SMALLEST_SIDE_PX = 32
DARKEST_MEAN = 0.045
"""Frames with a lower mean grey are left out: crops of them are drawn again (`random_real_batch`) without end."""
HELD_OUT_EVERY = 5
MOST_VALIDATED = 8
FEWEST_VALIDATED = 4


@dataclass(frozen=True, eq=False)
class OwnFrames:
    """Frames (Y, X), 8 bit, cut to their sector: those to learn from, and those that only a validation sees."""

    training: tuple[UInt8, ...]
    held_out: tuple[UInt8, ...]
    chances: tuple[float, ...]
    """How often each training frame is drawn: every file as often as every other, however many frames it has."""
    files: int
    skipped: tuple[str, ...]
    """One sentence for each file that could not be used."""
    held_out_note: str

    def real_frames(self) -> RealFrames:
        """Return the training frames as the objectives take them."""
        return RealFrames(self.training, self.chances)

    def crop_px(self, wanted_px: int) -> int:
        """Return the side of training crops: as wanted, or less if half of the frames are smaller."""
        sides = [min(frame.shape) for frame in (*self.training, *self.held_out)]
        return max(SMALLEST_SIDE_PX, min(wanted_px, int(np.median(sides)) // 16 * 16))

    def validation_items(self, seed: int, side_px: int = 256) -> list[dict[str, Any]]:
        """Return items: the centre of a held-out frame as ``real`` (1, Y, X), and the ``seed`` of a simulated pair.

        Few frames come several times, each time with another pair.
        """
        items: list[dict[str, Any]] = []
        frames = _spread(self.held_out, MOST_VALIDATED)
        for number in range(max(FEWEST_VALIDATED, len(frames))):
            frame = frames[number % len(frames)]
            top, left = (max(0, (side - side_px) // 2) for side in frame.shape)
            centre = np.float32(frame[top : top + side_px, left : left + side_px]) / 255
            items.append({"seed": (1 << 61) + (seed << 20) + number, "real": torch.from_dlpack(centre[None])})
        return items


def read_folder(
    folder: str | Path, *, leave_out: str | Path = "", most_per_file: int = 16, most_frames: int = 256
) -> OwnFrames:
    """Read the frames of every image below a folder.

    A cine or volume gives up to ``most_per_file`` frames, spread over its length. Every fifth file is held out for
    validation; with fewer than five files every fifth frame, with fewer than five frames none.

    Parameters
    ----------
    folder
        Images of any format of the core, or one image file.
    leave_out
        A folder below it that is passed over (the run folder).

    Raises
    ------
    ImageFileError
        If there is no folder, no image in it, or none that can be used.
    """
    source = Path(folder)
    with one_sentence(source, "cannot be read"):
        if not source.exists():
            message = f"There is no file or folder '{source}'."
            raise ImageFileError(message)
        paths = list(_image_files(source, Path(leave_out).resolve() if leave_out else None))
    if not paths:
        message = f"The folder '{source}' has no image files that can be read."
        raise ImageFileError(message)
    by_file: list[list[UInt8]] = []
    skipped: list[str] = []
    per_file = max(1, min(most_per_file, most_frames // len(paths)))
    for path in _spread(paths, most_frames):
        try:
            by_file.append(read_frames(path, per_file))
        except Speckle2SelfError as error:
            skipped.append(str(error))
    if not by_file:
        message = f"None of the {len(paths)} image files of '{source}' can be used; the first: {skipped[0]}"
        raise ImageFileError(message)
    return _split(by_file, tuple(skipped))


def read_frames(path: Path, most: int) -> list[UInt8]:
    """Read frames (Y, X) of an image as the denoiser sees them, 8 bit, cut to the box around its sector.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        If the file cannot be read, is a linear envelope, is too small, or too dark to learn from.
    """
    image = read_image(path)
    if image.intensity is IntensityDomain.ENVELOPE:
        message = f"'{path}' is a linear envelope; log-compress it to B-mode first."
        raise UnsupportedImageError(message)
    greys = [np.uint8(grey * 255 + 0.5) for grey in _chosen_greys(image, most)]
    inside = find_sector(np.stack(greys).astype(np.float32) / 255, data_range=1.0).mask_yx
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    cut = [grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] for grey in greys] if len(rows) else greys
    if min(cut[0].shape) < SMALLEST_SIDE_PX:
        height, width = cut[0].shape
        message = f"'{path}' is too small to learn from: {height} x {width} pixels, at least {SMALLEST_SIDE_PX} needed."
        raise UnsupportedImageError(message)
    kept = [np.ascontiguousarray(frame) for frame in cut if frame.mean() >= DARKEST_MEAN * 255]
    if not kept:
        message = f"'{path}' is too dark to learn from: its mean grey is below {DARKEST_MEAN:g} of 1."
        raise UnsupportedImageError(message)
    return kept


def _chosen_greys(image: UltrasoundImage, most: int) -> list[npt.NDArray[np.float32]]:
    frames, grey_range = frames_view(image), grey_range_of(image)
    numbers = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
    return [grey_frame(frames[int(number)], grey_range) for number in numbers]


def _image_files(source: Path, leave_out: Path | None) -> Iterator[Path]:
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        is_hidden = source.is_dir() and any(part.startswith(".") for part in path.relative_to(source).parts)
        is_left_out = leave_out is not None and leave_out in path.resolve().parents
        if not is_hidden and not is_left_out and path.is_file() and is_readable(path):
            yield path


def _split(by_file: list[list[UInt8]], skipped: tuple[str, ...]) -> OwnFrames:
    if len(by_file) >= HELD_OUT_EVERY:
        held_out = [frame for frames in by_file[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] for frame in frames]
        learnt = [frames for number, frames in enumerate(by_file) if (number + 1) % HELD_OUT_EVERY]
        note = f"every {HELD_OUT_EVERY}th file is held out for validation"
    else:
        frames = [frame for frames in by_file for frame in frames]
        held_out = frames[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY] if len(frames) >= HELD_OUT_EVERY else frames
        is_out = {id(frame) for frame in held_out} if len(frames) >= HELD_OUT_EVERY else set()
        learnt = [left for of_file in by_file if (left := [f for f in of_file if id(f) not in is_out])]
        note = f"every {HELD_OUT_EVERY}th frame is held out for validation"
        if not is_out:
            note = "too few frames to hold any out, so validation looks at those it learns from"
    training = tuple(frame for frames in learnt for frame in frames)
    chances = tuple(1 / len(learnt) / len(frames) for frames in learnt for _ in frames)
    return OwnFrames(training, tuple(held_out), chances, len(by_file), skipped, note)


def _spread(items: Any, most: int) -> list[Any]:  # noqa: ANN401 - any sequence
    """At most so many items of a sequence, spread over it."""
    numbers = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)) if items else ()
    return [items[int(number)] for number in numbers]
