"""A long cine that stays in its file: its geometry at once, its frames one by one when they are asked for.

For NRRD and MetaImage (raw, or compressed by zlib, also with their data in a second file), NIfTI and NPY; and for TIFF
and DICOM of every kind that can be read, whose frames are decoded once into a temporary file. Frames have to lie one
after the other, so an axis of time or slices comes first.
"""

from __future__ import annotations

import math
import re
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.errors import Speckle2SelfError
from Speckle2SelfLogic.frames_in_file import (
    GZIP,
    ZLIB,
    ColourPlanes,
    Frames,
    FramesInFile,
    Inflated,
    Opener,
    RescaledFrames,
)
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import image_suffix, read_image

DETACHED_SUFFIXES = (".nhdr", ".mhd")
"""File name endings of headers whose pixels are in a second file."""
_LAST_OF_SIZES = re.compile(rb"^(sizes:[^\r\n]*?)(\d+)([ \t]*\r?)$", re.MULTILINE | re.IGNORECASE)
_LAST_OF_DIMSIZE = re.compile(rb"^(DimSize[ \t]*=[^\r\n]*?)(\d+)([ \t]*\r?)$", re.MULTILINE | re.IGNORECASE)
_UNUSUAL_IN_NRRD = {"line skip", "lineskip", "byte skip", "byteskip"}
_NIFTI_HEADER_BYTES = 348
_MOST_PIXEL_BYTES = 32  # four components of eight bytes
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_NIFTI_VECTOR = 1007  # intent of a NIfTI file whose fifth axis counts colours, all of one before all of the next


@dataclass(frozen=True)
class StoredCine:
    """A cine or volume whose pixels are in a file."""

    header: UltrasoundImage
    """The image, but every pixel is zero and takes no memory."""
    frames: Frames
    """The pixels, all axes before Y and X as one."""

    @property
    def byte_count(self) -> int:
        """Bytes that the pixels would take in memory."""
        return math.prod(self.frames.shape) * self.frames.dtype.itemsize


def open_cine(path: Path, scratch: Path | None = None) -> StoredCine | None:
    """Open a cine so that its frames stay in the file; None if its format or layout does not allow that.

    Parameters
    ----------
    path
        The file.
    scratch
        Folder for frames that have to be decoded first; left out, that of the system for temporary files (which some
        systems keep in memory). Nothing is left in it.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged or truncated.
    UnsupportedImageError
        If its pixels are of a kind that an ultrasound image cannot have.
    """
    integrity.check_file(path)
    suffix = image_suffix(path)
    if suffix in (".nrrd", ".nhdr"):
        return _open_nrrd(path)
    if suffix in (".mha", ".mhd"):
        return _open_metaimage(path)
    if suffix in (".nii", ".nii.gz"):
        return _open_nifti(path)
    if suffix == ".npy":
        return _open_npy(path)
    if suffix in (".tif", ".tiff"):
        from Speckle2SelfLogic.picture_files import spool_pages

        return _open_spooled(path, scratch, spool_pages)
    return open_dicom_cine(path, scratch) if integrity.is_dicom(path) else None


def open_dicom_cine(path: Path, scratch: Path | None = None) -> StoredCine | None:
    """Open a cine of a DICOM file whatever its name ends in; parameters and errors are those of `open_cine`."""
    from Speckle2SelfLogic.dicom import spool_dicom

    return _open_spooled(path, scratch, spool_dicom)


def with_frame_count(image: UltrasoundImage, count: int) -> UltrasoundImage:
    """Return an image with another length of its first axis, and with pixels that are zero and take no memory."""
    shape = (count, *image.pixels.shape[1:])
    return replace(image, pixels=np.broadcast_to(np.zeros((), image.pixels.dtype), shape))


def _open_nrrd(path: Path) -> StoredCine | None:
    fields = integrity.check_nrrd(path)
    encoding = fields.get("encoding", "").lower()
    data_file = integrity.nrrd_data_file(fields)
    if _UNUSUAL_IN_NRRD & {*fields} or encoding not in ("raw", "gzip", "gz") or integrity.is_file_list(data_file):
        return None
    with path.open("rb") as stream:
        header = b""
        while (line := stream.readline()).strip():
            header += line
        offset = 0 if data_file else stream.tell()
    twin = _LAST_OF_SIZES.sub(rb"\g<1>1\g<3>", header, count=1) + b"\n"
    twin = re.sub(rb"(?mi)^encoding:[^\r\n]*", b"encoding: raw", twin)
    twin = re.sub(rb"(?mi)^data ?file:[^\n]*\n", b"", twin)
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    sizes = [int(word) for word in fields.get("sizes", "").split()]
    opener = _opener(path.parent / data_file if data_file else path, offset, GZIP if encoding != "raw" else None)
    return _opened(path, "twin.nrrd", twin, _in_file(path, opener, order), sizes)


def _open_metaimage(path: Path) -> StoredCine | None:
    fields = integrity.check_metaimage(path)
    data_file = "" if fields["elementdatafile"].upper() == "LOCAL" else fields["elementdatafile"]
    is_plain = fields.get("binarydata", "true").lower().startswith("t") and not integrity.is_file_list(data_file)
    if not is_plain or "headersize" in fields or any(name.startswith("seq_frame") for name in fields):
        return None
    _, offset = integrity.metaimage_fields(path)
    is_packed = fields.get("compresseddata", "false").lower().startswith("t")
    with path.open("rb") as stream:
        header = stream.read(offset)
    twin = _LAST_OF_DIMSIZE.sub(rb"\g<1>1\g<3>", header, count=1)
    twin = re.sub(rb"(?m)^CompressedDataSize[^\n]*\n", b"", twin)
    twin = re.sub(rb"(?m)^CompressedData[ \t]*=[^\r\n]*", b"CompressedData = False", twin)
    twin = re.sub(rb"(?m)^ElementDataFile[ \t]*=[^\r\n]*", b"ElementDataFile = LOCAL", twin)
    is_big = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "false")).lower().startswith("t")
    sizes = [int(word) for word in fields["dimsize"].split()]
    place = (path.parent / data_file, 0) if data_file else (path, offset)
    opener = _opener(*place, ZLIB if is_packed else None)
    return _opened(path, "twin.mha", twin, _in_file(path, opener, ">" if is_big else "<"), sizes)


def _open_nifti(path: Path) -> StoredCine | None:
    """Open a NIfTI-1 file, whose values may be rescaled and whose colours may lie one behind the other."""
    known = integrity.check_nifti(path)
    with integrity.open_nifti(path) as stream:
        header = bytearray(stream.read(max(known.pixel_offset, _NIFTI_HEADER_BYTES)))
    order = "<" if struct.unpack_from("<i", header)[0] == _NIFTI_HEADER_BYTES else ">"
    count, *extent = struct.unpack_from(order + "8h", header, 40)
    intent, kind = struct.unpack_from(order + "2h", header, 68)
    slope, shift = integrity.effective_scale(*struct.unpack_from(order + "2f", header, 112))
    colours = extent[4] if count == 5 and intent == _NIFTI_VECTOR else 1
    if colours > 1:
        count = 4 if extent[3] > 1 else 3
    is_plain = (slope, shift) == (1.0, 0.0)
    is_known = (is_plain and colours == 1) or kind in _NIFTI_TYPES
    if count not in (3, 4) or extent[count - 1] < 2 or known.pixel_offset <= _NIFTI_HEADER_BYTES or not is_known:
        return None
    struct.pack_into(order + "h", header, 40 + 2 * count, 2)  # the NIfTI library drops a last axis of length 1

    def opener(skipped: int) -> Opener:
        place = known.pixel_offset + skipped
        return _opener(path, 0, GZIP, place) if image_suffix(path) == ".nii.gz" else _opener(path, place)

    def frames(shape: tuple[int, ...], decoded: np.dtype[np.generic]) -> Frames:
        if is_plain and colours == 1:
            return _in_file(path, opener(0), order)(shape, decoded)
        stored = np.dtype(order + _NIFTI_TYPES[kind])
        plane = shape[:3]
        openers = [opener(number * math.prod(plane) * stored.itemsize) for number in range(colours)]
        planes = [FramesInFile(each, plane, stored, str(path)) for each in openers]
        if colours > 1:
            return ColourPlanes(planes)
        return RescaledFrames(planes[0], slope, shift, decoded)  # type: ignore[arg-type]

    return _opened(path, "twin.nii", bytes(header), frames, extent[:count], twin_frames=2)


def _opener(path: Path, offset: int, window_bits: int | None = None, unpacked_offset: int = 0) -> Opener:
    """Return what opens a stream at the first frame: so many bytes into the file, and into what is packed there."""

    def open_stream() -> BinaryIO | Inflated:
        stream = path.open("rb")
        stream.seek(offset)
        if window_bits is None:
            return stream
        unpacked = Inflated(stream, window_bits)
        unpacked.skip(unpacked_offset)
        return unpacked

    return open_stream


def _opened(
    path: Path,
    twin_name: str,
    twin_header: bytes,
    frames: Callable[[tuple[int, ...], np.dtype[np.generic]], Frames],
    sizes: list[int],
    twin_frames: int = 1,
) -> StoredCine | None:
    """Read a twin of the file that has few frames through the usual reader, and take everything else from it.

    ``frames`` makes the frames for the shape of all of them and the type that their values have for the reader.
    """
    if len(sizes) < 3:
        return None
    with tempfile.TemporaryDirectory(prefix="speckle2self-") as folder:
        twin = Path(folder) / twin_name
        sample_bytes = twin_frames * math.prod(sizes[:-1]) * _MOST_PIXEL_BYTES
        with twin.open("wb") as stream:
            stream.write(twin_header)
            stream.truncate(len(twin_header) + sample_bytes)  # zeros that take no place
        try:
            image = read_image(twin)
        except Speckle2SelfError:  # reading the file itself will say so, with its own name
            return None
    if not image.frame_axes_first or image.pixels.shape[0] != twin_frames:
        return None
    image = replace(image, provenance=replace(image.provenance, source=str(path)))
    header = with_frame_count(image, sizes[-1])
    return StoredCine(header, frames(_shape(header), image.pixels.dtype))


def _in_file(path: Path, opener: Opener, order: str) -> Callable[[tuple[int, ...], np.dtype[np.generic]], FramesInFile]:
    """Return what makes frames that lie in a stream as they are, in a byte order."""
    return lambda shape, kind: FramesInFile(opener, shape, kind.newbyteorder(order), str(path))  # type: ignore[arg-type]


def _open_npy(path: Path) -> StoredCine | None:
    image = read_image(path)
    pixels = image.pixels.base if isinstance(image.pixels.base, np.memmap) else image.pixels
    if not isinstance(pixels, np.memmap) or not pixels.flags.c_contiguous or not image.frame_axes_first:
        return None
    header = with_frame_count(image, image.pixels.shape[0])
    opener = _opener(path, int(pixels.offset), None)
    return StoredCine(header, FramesInFile(opener, _shape(header), image.pixels.dtype, str(path)))


def _open_spooled(
    path: Path, scratch: Path | None, spool_frames: Callable[[Path, BinaryIO], UltrasoundImage | None]
) -> StoredCine | None:
    """Decode all frames into a temporary file, which goes away with the last stream that reads it."""
    spool = cast("BinaryIO", tempfile.TemporaryFile(prefix=".speckle2self-", dir=scratch))  # noqa: SIM115 - see above
    try:
        header = spool_frames(path, spool)
    except BaseException:
        spool.close()
        raise
    if header is None or not header.frame_axes_first:
        spool.close()
        return None
    spool.seek(0)
    return StoredCine(header, FramesInFile(lambda: spool, _shape(header), header.pixels.dtype, str(path)))


def _shape(header: UltrasoundImage) -> tuple[int, ...]:
    """Return the shape of a cine with all axes before Y and X as one."""
    leading = len(header.frame_axes_first)
    return (math.prod(header.pixels.shape[:leading]), *header.pixels.shape[leading:])
