"""Despeckle a cine from file to file, frame by frame: memory does not grow with its length.

The result has the pixels and the geometry of the one with the whole cine in memory; the same bytes, unless compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np

from Speckle2SelfLogic.denoise_report import DenoiseReport
from Speckle2SelfLogic.denoiser import Denoiser, ProgressCallback, check_domain
from Speckle2SelfLogic.errors import CancelledError
from Speckle2SelfLogic.frame_writers import STREAMED_SUFFIXES, write_frames
from Speckle2SelfLogic.frames import frames_view
from Speckle2SelfLogic.frames_in_file import Frames
from Speckle2SelfLogic.image import Pixels
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.io import check_writable, image_suffix
from Speckle2SelfLogic.stored_cine import DETACHED_SUFFIXES, StoredCine, open_cine, open_dicom_cine

STREAMED_FROM_BYTES = 1 << 28
"""Cines whose pixels take at least this much are streamed, where the formats allow it."""
_SMALLEST_SHARE = 16


def stored_cine(source: Path, target: Path, denoiser: Denoiser, region: str = "") -> StoredCine | None:
    """Open a cine to be streamed from one file to another; None if it is short, or formats or settings forbid it.

    With a ``region`` of a DICOM screen it is cropped, as `dicom_regions.read_region` does.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        As `stored_cine.open_cine`.
    SettingsError
        If there is no such region.
    """
    is_possible = image_suffix(target) in STREAMED_SUFFIXES and denoiser.settings.slice_axis in ("auto", "z")
    if not is_possible or not may_be_long(source):
        return None
    if region:
        from Speckle2SelfLogic.dicom_regions import chosen_region, cropped_cine

        chosen = chosen_region(source, region)
    cine = open_dicom_cine(source, target.parent) if region else open_cine(source, target.parent)
    if cine is None:
        return None
    try:
        if cine.byte_count >= STREAMED_FROM_BYTES:
            frames_view(cine.header, denoiser.settings.slice_axis)  # refuses an axis that is none
            return cropped_cine(cine, source, chosen) if region else cine
    except BaseException:
        cine.frames.close()
        raise
    cine.frames.close()
    return None


def may_be_long(source: Path) -> bool:
    """Whether a file may hold a cine that is to be streamed, by its size; packed or a header alone it may be small."""
    if not source.is_file():
        return False  # reading it will say so
    is_header = image_suffix(source) in DETACHED_SUFFIXES
    return is_header or source.stat().st_size >= STREAMED_FROM_BYTES // _SMALLEST_SHARE


def despeckle_stored(
    cine: StoredCine,
    target: Path,
    denoiser: Denoiser,
    progress: ProgressCallback | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    *,
    is_repeatable: bool = False,
) -> DenoiseReport:
    """Despeckle a cine into a file that appears whole or not at all, and close the cine.

    Its frames are looked at once or twice (grey range, sector) before the first is despeckled, as `Denoiser.run` does.

    Raises
    ------
    ImageFileError
        If the file cannot be read to its end or cannot be written.
    UnsupportedImageError, SettingsError, CancelledError
        As `Denoiser.run`.

    Warns
    -----
    GeometryLossWarning
        As `io.write_image`.
    """
    frames = cast("Pixels", _Watched(cine.frames, is_cancelled or _never))
    with closing(cine.frames), denoiser.reported(len(frames)) as report:
        check_domain(denoiser.method, cine.header)
        made = cine.header.with_pixels(cine.header.pixels, *denoiser.step())
        check_writable(made, target)
        chosen = denoiser.chosen_frames(len(frames))
        changes: Iterator[tuple[int, Pixels]] = ((number, frames[number]) for number in chosen)
        if denoiser.settings.strength > 0:
            context = denoiser.context_of_frames(frames, _grey_range(frames, is_colour=cine.header.is_colour))
            report.describe(context.grey_range, context.sector)
            changes = denoiser.despeckled(frames, context, report, None, progress, is_cancelled)
        with closing(_in_order(frames, chosen, changes)) as written:
            write_frames(made, written, target, is_repeatable=is_repeatable)
    return report


def _never() -> bool:
    return False


class _Watched:
    """Frames that raise `CancelledError` when somebody wants to stop, whatever they are read for."""

    def __init__(self, frames: Frames, is_cancelled: Callable[[], bool]) -> None:
        self._frames, self._is_cancelled = frames, is_cancelled
        self.shape, self.dtype = frames.shape, frames.dtype

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Pixels:
        if self._is_cancelled():
            message = f"Stopped at frame {number} of {len(self)}."
            raise CancelledError(message)
        return self._frames[number]


def _grey_range(frames: Pixels, *, is_colour: bool) -> GreyRange:
    """Return the grey range of the whole cine, as `frames.grey_range_of` does."""
    return GreyRange.of_frames(_Grey(frames) if is_colour else cast("list[Pixels]", frames))


class _Grey(list[Pixels]):
    """Frames of colour without their alpha channel."""

    def __init__(self, frames: Pixels) -> None:
        super().__init__()
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Pixels:  # type: ignore[override]
        return np.asarray(self._frames[number][..., :3])


def _in_order(frames: Pixels, chosen: range, despeckled: Iterator[tuple[int, Pixels]]) -> Generator[Pixels, None, None]:
    """Yield every frame. Those that are not chosen are read when no other thread reads: before and after the others."""
    for number in range(chosen.start):
        yield frames[number]
    for _, pixels in despeckled:
        yield pixels
    for number in range(chosen.stop, len(frames)):
        yield frames[number]
