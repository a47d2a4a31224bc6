"""Files that are written frame by frame: only the frame in hand is in memory.

The header is made by the library that writes the format, for a twin of the image that has few frames.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfLogic.io import check_writable, image_suffix, lost_geometry, put_in_place, warn_of_loss
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.stored_cine import with_frame_count

STREAMED_SUFFIXES = (".nrrd", ".mha", ".mhd", ".nii", ".nii.gz", ".npy", ".tif", ".tiff", ".dcm")
"""File name endings of the formats that hold several frames, all of which are written frame by frame."""
_COUNT_OF_ONE = re.compile(rb"^(sizes:|DimSize[ \t]*=)([^\r\n]*[ \t])1$", re.MULTILINE)
_GZIP_LEVEL = 6


def write_frames(
    image: UltrasoundImage, frames: Iterable[Pixels], target: Path, *, is_repeatable: bool = False
) -> None:
    """Write an image whose frames come one by one; the file appears whole or not at all, and an existing one goes.

    The pixels and the geometry are those that `io.write_image` writes, and so is every byte of a file that is neither
    compressed nor differs each time (as DICOM does unless it is repeatable).

    Parameters
    ----------
    image
        The image; its own pixels are not looked at, only their shape and type.
    frames
        Its frames in order, (Y, X) or (Y, X, C), all axes before Y and X as one.
    target
        The file to write, with one of `STREAMED_SUFFIXES`.
    is_repeatable
        As for `io.write_image`.

    Raises
    ------
    ImageFileError
        As `io.write_image`, or if there are not as many frames as the image has.
    Exception
        Whatever ends the frames early.

    Warns
    -----
    GeometryLossWarning
        As `io.write_image`.
    """
    check_writable(image, target)
    suffix = image_suffix(target)
    with (
        one_sentence(target, "could not be written", image.pixels.nbytes),
        tempfile.TemporaryDirectory(prefix=".speckle2self-", dir=target.parent) as folder,
    ):
        draft = Path(folder) / target.name
        lost = _write(image, _all_of(image, frames), draft, suffix, is_repeatable=is_repeatable)
        put_in_place(draft, target)
    warn_of_loss((*lost_geometry(image, suffix), *lost), target)


def _all_of(image: UltrasoundImage, frames: Iterable[Pixels]) -> Iterator[Pixels]:
    """Pass frames on, and raise `ImageFileError` at their end if there are not as many as there should be."""
    byte_count = 0
    for frame in frames:
        byte_count += frame.nbytes
        yield frame
    if byte_count != image.pixels.nbytes:
        message = f"There are {byte_count} bytes of frames for an image of {image.pixels.nbytes}; nothing was written."
        raise ImageFileError(message)


def _write(
    image: UltrasoundImage, frames: Iterator[Pixels], draft: Path, suffix: str, *, is_repeatable: bool
) -> tuple[str, ...]:
    """Write a draft, and return what of the geometry its format could not hold."""
    if suffix == ".dcm":
        from Speckle2SelfLogic.dicom_export import write_dicom

        write_dicom(image, draft, is_repeatable=is_repeatable, frames=frames)
        return ()
    if suffix in (".tif", ".tiff"):
        from Speckle2SelfLogic.picture_files import write_picture

        write_picture(image, draft, suffix, frames)
        return ()
    header, lost = _header(image, draft, suffix)
    pixels_file = draft.with_suffix(".raw") if suffix == ".mhd" else draft
    with ExitStack() as stack:
        file = stack.enter_context(draft.open("wb"))
        if suffix == ".nii.gz":
            packed = gzip.GzipFile(
                "", "wb", _GZIP_LEVEL, file, mtime=0
            )  # no name and no time: the same bytes each time
            stream: BinaryIO = stack.enter_context(packed)  # type: ignore[assignment]
        else:
            stream = file
        stream.write(header)
        if suffix == ".mhd":
            stream = stack.enter_context(pixels_file.open("wb"))
        if suffix in (".nii", ".nii.gz") and image.is_colour:
            _write_planes(frames, stream, image.pixels.shape[-1], draft.parent)
        else:
            for frame in frames:
                stream.write(_raw(frame))
    expected = image.pixels.nbytes + (0 if suffix == ".mhd" else len(header))
    if suffix != ".nii.gz" and pixels_file.stat().st_size != expected:
        message = f"'{draft.name}' could not be written whole; perhaps the disk is full."
        raise ImageFileError(message)
    return lost


def _write_planes(frames: Iterator[Pixels], stream: BinaryIO, colours: int, folder: Path) -> None:
    """Write all red before all green, as NIfTI has it; the colours wait in temporary files."""
    with ExitStack() as stack:
        planes = [stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(colours)]
        for frame in frames:
            for colour, plane in enumerate(planes):
                plane.write(_raw(frame[..., colour]))
        for plane in planes:
            plane.seek(0)
            shutil.copyfileobj(plane, stream, 1 << 20)


def _raw(pixels: Pixels) -> memoryview:
    return np.ascontiguousarray(pixels).data


def _header(image: UltrasoundImage, draft: Path, suffix: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the header of an image, and what of the geometry it does not hold."""
    if suffix == ".npy":
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(image.pixels))
        return stream.getvalue(), ()
    from Speckle2SelfLogic.volume_files import write_volume

    is_nifti = suffix in (".nii", ".nii.gz")
    few = with_frame_count(image, 2 if is_nifti else 1)  # the NIfTI library drops a last axis of length 1
    with tempfile.TemporaryDirectory(dir=draft.parent) as folder:
        twin = Path(folder) / ("twin.nii" if is_nifti else draft.name)
        lost = write_volume(few, twin, ".nii" if is_nifti else suffix)
        content = twin.read_bytes()
    header = content if suffix == ".mhd" else content[: -few.pixels.nbytes]
    count = image.pixels.shape[0]
    if is_nifti:
        place = 40 + 2 * image.geometry_dimension  # dim, the extent of each axis behind their number (nifti1.h)
        return header[:place] + struct.pack("=h", count) + header[place + 2 :], lost
    header, found = _COUNT_OF_ONE.subn(rb"\g<1>\g<2>%d" % count, header, count=1)
    if not found:
        message = f"A {suffix} file cannot be written frame by frame: its header has no number of frames to set."
        raise ImageFileError(message)
    return header, lost
