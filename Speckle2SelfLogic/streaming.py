"""Despeckle a cine from file to file, frame by frame: memory does not grow with its length.

The result is the same file, byte for byte, as with the whole cine in memory.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from Speckle2SelfLogic.denoise_report import DenoiseReport
from Speckle2SelfLogic.denoiser import Denoiser, ProgressCallback, check_domain
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.io import check_writable, image_suffix, lost_geometry, warn_of_loss
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.stored_cine import Frames, StoredCine, open_cine, with_frame_count

STREAMED_FROM_BYTES = 1 << 28
"""Cines whose pixels take at least this much are streamed, where the formats allow it."""
STREAMED_SUFFIXES = (".nrrd", ".mha", ".npy")
"""File name endings that are written frame by frame. Read frame by frame are these, and DICOM."""
_SMALLEST_SHARE = 16
_COUNT_OF_ONE = re.compile(rb"^(sizes:|DimSize[ \t]*=)([^\r\n]*[ \t])1$", re.MULTILINE)


def stored_cine(source: Path, target: Path, denoiser: Denoiser) -> StoredCine | None:
    """Open a cine to be streamed from one file to another; None if it is short, or formats or settings forbid it.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        As `stored_cine.open_cine`.
    """
    is_possible = image_suffix(target) in STREAMED_SUFFIXES and denoiser.settings.slice_axis in ("auto", "z")
    if not is_possible or source.stat().st_size < STREAMED_FROM_BYTES // _SMALLEST_SHARE:
        return None
    cine = open_cine(source)
    if cine is not None and cine.byte_count < STREAMED_FROM_BYTES:
        cine.frames.close()
        return None
    return cine


def despeckle_stored(
    cine: StoredCine,
    target: Path,
    denoiser: Denoiser,
    progress: ProgressCallback | None = None,
    is_cancelled: Callable[[], bool] | None = None,
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
    check_domain(denoiser.method, cine.header)
    frames = cast("Pixels", cine.frames)
    made = cine.header.with_pixels(cine.header.pixels, *denoiser.step())
    check_writable(made, target)
    with (
        closing(cine.frames),
        denoiser.reported(len(cine.frames)) as report,
        _appearing(target, made) as stream,
    ):
        chosen = denoiser.chosen_frames(len(frames))
        changes: Iterator[tuple[int, Pixels]] = ((number, frames[number]) for number in chosen)
        if denoiser.settings.strength > 0:
            context = denoiser.context_of_frames(frames, _grey_range(cine))
            report.describe(context.grey_range, context.sector)
            changes = denoiser.despeckled(frames, context, report, None, progress, is_cancelled)
        _write_in_order(stream, cine.frames, chosen, changes)
    warn_of_loss(lost_geometry(made, image_suffix(target)), target)
    return report


def _grey_range(cine: StoredCine) -> GreyRange:
    """Return the grey range of the whole cine, as `frames.grey_range_of` does."""
    return GreyRange.of_frames(_Grey(cine.frames) if cine.header.is_colour else cast("list[Pixels]", cine.frames))


class _Grey(list[Pixels]):
    """Frames of colour without their alpha channel."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Pixels:  # type: ignore[override]
        return self._frames[number][..., :3]


def _write_in_order(stream: BinaryIO, frames: Frames, chosen: range, despeckled: Iterator[tuple[int, Pixels]]) -> None:
    """Write every frame. Those that are not chosen are read when no other thread reads: before and after the others."""
    for number in range(chosen.start):
        stream.write(_raw(frames[number]))
    for _, pixels in despeckled:
        stream.write(_raw(pixels))
    for number in range(chosen.stop, len(frames)):
        stream.write(_raw(frames[number]))


def _raw(pixels: Pixels) -> memoryview:
    return np.ascontiguousarray(pixels).data


@contextmanager
def _appearing(target: Path, image: UltrasoundImage) -> Iterator[BinaryIO]:
    """Lend a stream behind the header of a file, and put the file in place when the block has succeeded."""
    with (
        one_sentence(target, "could not be written", image.pixels.nbytes),
        tempfile.TemporaryDirectory(prefix=".speckle2self-", dir=target.parent) as folder,
    ):
        draft = Path(folder) / target.name
        with draft.open("wb") as stream:
            stream.write(_header(image, Path(folder), image_suffix(target)))
            start = stream.tell()
            yield stream
            length = stream.tell() - start
        if length != image.pixels.nbytes or draft.stat().st_size != start + length:
            message = f"'{target.name}' could not be written whole; perhaps the disk is full."
            raise ImageFileError(message)
        draft.replace(target)


def _header(image: UltrasoundImage, folder: Path, suffix: str) -> bytes:
    """Return the header of an image, made by the library that writes the format, for a twin with a single frame."""
    if suffix == ".npy":
        with (folder / "header").open("wb+") as stream:
            np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(image.pixels))
            stream.seek(0)
            return stream.read()
    from Speckle2SelfLogic.volume_files import write_volume

    twin = folder / f"twin{suffix}"
    write_volume(with_frame_count(image, 1), twin, suffix)
    one_frame_bytes = image.pixels.nbytes // image.pixels.shape[0]
    header = twin.read_bytes()[:-one_frame_bytes]
    twin.unlink()
    count = b"%d" % image.pixels.shape[0]
    header, found = _COUNT_OF_ONE.subn(rb"\g<1>\g<2>" + count, header, count=1)
    if not found:
        message = f"A {suffix} file cannot be written frame by frame: its header has no number of frames to set."
        raise ImageFileError(message)
    return header
