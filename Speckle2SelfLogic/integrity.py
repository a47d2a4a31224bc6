"""Is a file whole? The size that a header declares against the bytes that are there, before a decoder sees them.

SimpleITK reads a truncated NIfTI file without an error and fills the rest with zeros: the check cannot be left to it.
"""

from __future__ import annotations

import gzip
import math
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import ImageFileError, UnsupportedImageError

Fields = dict[str, str]
"""Field names (lower case) and texts of a NRRD or MetaImage header."""

_BLOCK_BYTES = 1 << 22
_LONGEST_LINE_BYTES = 1 << 20
_DEFLATE_LIMIT = 1100  # deflate cannot shrink more than 1032 to 1

_NRRD_SAMPLE_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "double"), 8),
}
_META_SAMPLE_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
_NIFTI_FLOATS = {16: "f4", 64: "f8"}
_NIFTI_COLOURS = (128, 2304)


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI-1 header says about its pixels."""

    shape: tuple[int, ...]
    """Extent of each axis in file order reversed, so that a C-order array of the pixels has this shape."""
    sample_type: npt.DTypeLike | None
    """NumPy type of a floating-point sample with its byte order; None for whole numbers."""
    pixel_offset: int
    """Bytes (after decompression) in front of the first sample."""
    slope: float
    """Factor that the stored samples are multiplied by; 1 if there is none."""


def check_file(path: Path) -> None:
    """Raise `ImageFileError` unless the path is an existing regular file that may be read and is not empty."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            message = f"'{path}' is a folder, not an image file."
            raise ImageFileError(message)
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            message = f"'{path}' is not a regular file, so it cannot be read as an image."
            raise ImageFileError(message)
        with path.open("rb") as stream:
            is_empty = not stream.read(1)
    except FileNotFoundError as error:
        message = f"'{path}' does not exist."
        raise ImageFileError(message) from error
    except (OSError, ValueError) as error:
        message = f"'{path}' cannot be opened: {reason(error)}."
        raise ImageFileError(message) from error
    if is_empty:
        message = f"'{path}' is empty (0 bytes)."
        raise ImageFileError(message)


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM marker behind its 128-byte preamble (DICOM PS3.10, section 7.1)."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def check_memory(path: Path, byte_count: int) -> None:
    """Raise `ImageFileError` if a file declares more bytes of pixels than this machine has memory."""
    if not hasattr(os, "sysconf"):  # Windows: no such question; NumPy's MemoryError is caught by the readers
        return
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if byte_count > memory_bytes:
        message = (
            f"'{path}' declares {byte_count / 1e9:.1f} GB of pixels, but this machine has {memory_bytes / 1e9:.1f} GB "
            "of memory; crop the image or check its header."
        )
        raise ImageFileError(message)


def reason(error: BaseException) -> str:
    """Return the first line of an error's text, without its final stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0].rstrip(".:")


def check_nrrd(path: Path) -> Fields:
    """Check that a NRRD file (or the data file that a detached header names) holds what its header declares.

    Returns
    -------
    Fields
        The header's fields, for example ``kinds``, and its key/value pairs. Format: Kindlmann, *Definition of NRRD*.

    Raises
    ------
    ImageFileError
        If it is no NRRD file, is damaged or truncated, or its data file is missing.
    """
    fields, offset = nrrd_fields(path)
    data_file = nrrd_data_file(fields)
    declared = _product(path, fields.get("sizes", "")) * _NRRD_SAMPLE_BYTES.get(fields.get("type", "").lower(), 0)
    encoding = fields.get("encoding", "").lower()
    skip = _whole_number(path, fields.get("byte skip", fields.get("byteskip", "0")))
    _check_inside(path, data_file, offset)
    has_skipped_lines = fields.get("line skip", fields.get("lineskip", "0")) != "0"
    if not is_file_list(data_file) and not has_skipped_lines:
        least = {"raw": declared, "gzip": declared // _DEFLATE_LIMIT, "gz": declared // _DEFLATE_LIMIT}.get(encoding, 1)
        _check_samples(path, data_file, least, 0 if data_file else offset, max(skip, 0))
        if encoding in ("gzip", "gz") and not skip:
            _check_gzip_end(path.parent / data_file if data_file else path, 0 if data_file else offset, declared)
    check_memory(path, declared)
    return fields


def nrrd_fields(path: Path) -> tuple[Fields, int]:
    """Return the fields of a NRRD header, lower case, and where in the file it ends; `ImageFileError` if none."""
    with path.open("rb") as stream:
        if not stream.readline(_LONGEST_LINE_BYTES).startswith(b"NRRD000"):
            raise _wrong_content(path, "NRRD")
        fields: Fields = {}
        for line in _lines(stream):
            if not line.strip():
                break
            key, colon, value = line.partition(":")
            if not line.startswith("#") and colon:
                fields[key.strip().lower()] = value.removeprefix("=").strip()
                if is_file_list(nrrd_data_file(fields)):  # file names follow
                    break
        return fields, stream.tell()


def nrrd_data_file(fields: Fields) -> str:
    """Return what a NRRD header names as its data file; empty if the data follow in the same file."""
    return fields.get("data file", fields.get("datafile", ""))


def check_metaimage(path: Path) -> Fields:
    """Check that a MetaImage (MHA, or MHD with its data file) holds what its header declares.

    Returns
    -------
    Fields
        The header's fields, lower case; also those of tracked sequences (``seq_frame0000_timestamp``).

    Raises
    ------
    ImageFileError
        If it is no MetaImage, is damaged or truncated, or its data file is missing.
    """
    fields, offset = metaimage_fields(path)
    if "elementdatafile" not in fields or "dimsize" not in fields:
        message = f"'{path}' is truncated: its MetaImage header is not complete."
        raise ImageFileError(message)
    samples = _product(path, fields["dimsize"]) * _whole_number(path, fields.get("elementnumberofchannels", "1"))
    declared = samples * _META_SAMPLE_BYTES.get(fields.get("elementtype", ""), 0)
    is_compressed = fields.get("compresseddata", "false").lower().startswith("t")
    is_local = fields["elementdatafile"].upper() == "LOCAL"
    data_file = "" if is_local else fields["elementdatafile"]
    _check_inside(path, data_file, offset)
    if is_compressed and "compresseddatasize" in fields:
        packed = _whole_number(path, fields["compresseddatasize"])
        _check_samples(path, data_file, packed, offset if is_local else 0, 0)
    elif not is_file_list(data_file) and fields.get("binarydata", "true").lower().startswith("t"):
        skip = 0 if is_local else max(_whole_number(path, fields.get("headersize", "0")), 0)
        least = declared // _DEFLATE_LIMIT if is_compressed else declared
        _check_samples(path, data_file, least, offset if is_local else 0, skip)
    check_memory(path, declared)
    return fields


def metaimage_fields(path: Path) -> tuple[Fields, int]:
    """Return the fields of a MetaImage header, lower case, and where in the file it ends; `ImageFileError` if none."""
    fields: Fields = {}
    with path.open("rb") as stream:
        for line in _lines(stream):
            key, equals, value = line.partition("=")
            if not fields and not (equals and key.strip().isalnum()):
                raise _wrong_content(path, "MetaImage")
            fields[key.strip().lower()] = value.strip()
            if key.strip().lower() == "elementdatafile":
                break
        offset = stream.tell()
    return fields, offset


def check_nifti(path: Path) -> NiftiHeader:
    """Check that a NIfTI-1 file holds what its header declares; a compressed one is unpacked to its end for that.

    Raises
    ------
    ImageFileError
        If it is no NIfTI-1 file, is damaged or truncated, a spatial axis has the spacing zero, or the ending of its
        name is wrong about its compression.
    UnsupportedImageError
        If it is a NIfTI-2 file.
    """
    with _unpacking(path), open_nifti(path) as stream:
        header, bits = _parse_nifti(path, stream.read(348))
        _check_packing(path, is_packed=isinstance(stream, gzip.GzipFile))
        declared = header.pixel_offset + math.prod(header.shape) * bits // 8
        check_memory(path, declared)
        actual = 348
        while actual <= declared + _BLOCK_BYTES and (block := stream.read(_BLOCK_BYTES)):
            actual += len(block)
    _require(path, declared, actual)
    return header


@contextmanager
def open_nifti(path: Path) -> Iterator[BinaryIO]:
    """Open a NIfTI file for reading its unpacked bytes, compressed or not."""
    with path.open("rb") as stream:
        is_packed = stream.read(2) == b"\x1f\x8b"
    opener = gzip.open if is_packed else open
    with opener(path, "rb") as unpacked:
        yield cast("BinaryIO", unpacked)


def _check_packing(path: Path, *, is_packed: bool) -> None:
    """Refuse a NIfTI file whose name is wrong about its compression, which the NIfTI library goes by."""
    if is_packed == path.name.lower().endswith(".gz"):
        return
    state, ending = ("compressed", ".nii.gz") if is_packed else ("not compressed", ".nii")
    message = f"'{path}' is {state}, although its name says otherwise; rename it so that it ends in {ending}."
    raise ImageFileError(message)


def _parse_nifti(path: Path, raw: bytes) -> tuple[NiftiHeader, int]:
    """Return the header and the bits in a voxel (Cox et al. 2004, *nifti1.h*)."""
    order = "<" if raw[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
    if raw[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c"):
        message = f"'{path}' is a NIfTI-2 file, which is not supported; save it as NIfTI-1 or NRRD."
        raise UnsupportedImageError(message)
    if len(raw) < 348 or struct.unpack_from(order + "i", raw)[0] != 348 or raw[344:347] not in (b"n+1", b"ni1"):
        raise _wrong_content(path, "NIfTI")
    if raw[344:347] == b"ni1":
        message = (
            f"'{path}' is the header of a NIfTI pair (.hdr and .img), which is not supported; save it as one file."
        )
        raise ImageFileError(message)
    count, *extent = struct.unpack_from(order + "8h", raw, 40)
    kind, bits = struct.unpack_from(order + "2h", raw, 70)
    spacing = struct.unpack_from(order + "7f", raw, 80)
    offset, slope = struct.unpack_from(order + "2f", raw, 108)
    if not 1 <= count <= 7 or min(extent[:count]) < 1 or bits < 1 or not 0 <= offset < 2**31:
        message = f"'{path}' is damaged: its NIfTI header declares the extent {tuple(extent[:count])}."
        raise ImageFileError(message)
    if 0.0 in spacing[: min(count, 3)]:
        message = f"'{path}' has a spacing of zero ({spacing[: min(count, 3)]}); correct its header."
        raise ImageFileError(message)
    is_colour = kind in _NIFTI_COLOURS or (count >= 5 and extent[4] > 1)
    if is_colour and effective_scale(*struct.unpack_from(order + "2f", raw, 112)) != (1.0, 0.0):
        message = f"'{path}' is in colour and its values are rescaled, which is not supported; save them as they are."
        raise UnsupportedImageError(message)  # the NIfTI library writes beyond its memory
    sample_type = order + _NIFTI_FLOATS[kind] if kind in _NIFTI_FLOATS else None
    shape = tuple(reversed(extent[:count]))
    return NiftiHeader(shape, sample_type, int(offset), slope if math.isfinite(slope) and slope else 1.0), bits


def effective_scale(slope: float, shift: float) -> tuple[float, float]:
    """Return the slope and shift that the NIfTI library takes: a slope of almost zero or none is 1, no shift is 0."""
    has_slope = math.isfinite(slope) and abs(slope) >= np.finfo(np.float64).eps
    return slope if has_slope else 1.0, shift if math.isfinite(shift) else 0.0


def non_finite_samples(path: Path, header: NiftiHeader) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return position (flat, in file order) and value of every NaN and infinity, which SimpleITK reads as zero."""
    positions, values = [np.empty(0, np.intp)], [np.empty(0)]
    if header.sample_type is not None:
        count, sample_type = math.prod(header.shape), np.dtype(header.sample_type)
        with open_nifti(path) as stream:
            stream.read(header.pixel_offset)
            for start in range(0, count, _BLOCK_BYTES):
                wanted = min(_BLOCK_BYTES, count - start) * sample_type.itemsize
                samples = np.frombuffer(stream.read(wanted), sample_type)
                found = np.flatnonzero(~np.isfinite(samples))
                positions.append(found + start)
                values.append(samples[found].astype(np.float64) * header.slope)
    return np.concatenate(positions), np.concatenate(values)


def _check_samples(path: Path, data_file: str, least: int, offset: int, skip: int) -> None:
    data_path = path.parent / data_file if data_file else path
    if not data_path.is_file():
        message = f"'{path}' is only a header: its data file '{data_file}' is missing."
        raise ImageFileError(message)
    available = max(data_path.stat().st_size - offset - skip, 0)
    _require(data_path, least, available)


def _check_gzip_end(path: Path, offset: int, declared: int) -> None:
    """Check the size at the end of a gzip stream (RFC 1952), which the NRRD reader ignores; if it differs, unpack."""
    with path.open("rb") as stream:
        stream.seek(-4, os.SEEK_END)
        if int.from_bytes(stream.read(4), "little") == declared % 2**32:
            return
        stream.seek(offset)
        with _unpacking(path), gzip.GzipFile(fileobj=stream) as unpacked:
            actual = 0
            while actual <= declared and (block := unpacked.read(_BLOCK_BYTES)):
                actual += len(block)
    _require(path, declared, actual)


def _check_inside(path: Path, data_file: str, offset: int) -> None:
    """Refuse a header that takes its pixels from outside of its folder: it could show any file that we may read."""
    named = [data_file.split()[0]] if "%" in data_file else [data_file]
    if data_file.upper().startswith("LIST"):
        with path.open("rb") as stream:
            stream.seek(offset)
            named = [line.strip() for line in _lines(stream)]
    for name in named:
        if name.startswith(("/", "\\")) or ":" in name[:3] or ".." in name.replace("\\", "/").split("/"):
            message = f"'{path}' names its data file '{name}' outside of its own folder; move the two into one folder."
            raise ImageFileError(message)


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"'{path}' is damaged or truncated: its compressed data do not unpack ({reason(error)})."
        raise ImageFileError(message) from error


def _require(path: Path, declared: int, available: int) -> None:
    if available < declared:
        message = f"'{path}' is truncated: the header needs {declared} bytes, but only {available} are there."
        raise ImageFileError(message)


def _wrong_content(path: Path, name: str) -> ImageFileError:
    return ImageFileError(f"'{path}' does not hold {name} data, although its name says so; it is damaged or misnamed.")


def _lines(stream: BinaryIO) -> Iterator[str]:
    while line := stream.readline(_LONGEST_LINE_BYTES):
        yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def is_file_list(data_file: str) -> bool:
    """Whether a header names several data files, in a list or by a pattern."""
    return data_file.upper().startswith("LIST") or "%" in data_file


def _product(path: Path, text: str) -> int:
    return math.prod(_whole_number(path, word) for word in text.split()) if text else 0


def _whole_number(path: Path, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        message = f"'{path}' is damaged: its header has '{text}' where a whole number belongs."
        raise ImageFileError(message) from error
