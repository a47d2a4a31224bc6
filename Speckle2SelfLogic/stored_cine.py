"""A long cine that stays in its file: its geometry at once, its frames one by one when they are asked for.

For NRRD and MHA in one file (raw, or compressed by zlib), NPY, and DICOM of every kind that can be read (its frames are
decoded once into a temporary file). Frames have to lie one after the other, so an axis of time or slices comes first.
"""

from __future__ import annotations

import math
import re
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfLogic.io import image_suffix, read_image

_BLOCK_BYTES = 1 << 20
_ZLIB, _GZIP = 15, 31
_LAST_OF_SIZES = re.compile(rb"^(sizes:[^\r\n]*?)(\d+)([ \t]*\r?)$", re.MULTILINE | re.IGNORECASE)
_LAST_OF_DIMSIZE = re.compile(rb"^(DimSize[ \t]*=[^\r\n]*?)(\d+)([ \t]*\r?)$", re.MULTILINE | re.IGNORECASE)


class Frames(Protocol):
    """Frames by number, as much of an array (N, Y, X) or (N, Y, X, C) as despeckling needs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of a pixel, in native byte order."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Pixels: ...

    def close(self) -> None:
        """Let go of the file."""


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


class FramesInFile:
    """Frames that are read one by one from an open stream: wherever they lie in a file, or unpacked on the way.

    Parameters
    ----------
    open_stream
        Opens a stream at the first frame; called again whenever a frame before the last one is wanted.
    shape
        Shape of all frames, (N, Y, X) or (N, Y, X, C).
    kind
        Type of a pixel with its byte order in the file.
    name
        The file, for errors.
    """

    def __init__(
        self,
        open_stream: _Opener,
        shape: tuple[int, ...],
        kind: np.dtype[np.generic],
        name: str,
    ) -> None:
        self.shape, self.dtype = shape, kind.newbyteorder("=")
        self._open, self._kind, self._name = open_stream, kind, name
        self._stream = open_stream()
        self._start = 0 if isinstance(self._stream, Inflated) else self._stream.tell()
        self._next, self._last = 0, np.empty(0, self.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int) -> Pixels:
        """Return one frame; the one that was read last costs nothing."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        if number == self._next - 1:
            return self._last
        if isinstance(self._stream, Inflated):
            if number < self._next:
                self._stream.close()
                self._stream, self._next = self._open(), 0
            while self._next < number:
                self._read()
        elif number != self._next:
            self._stream.seek(self._start + number * self._frame_bytes)
        self._next = number
        self._last = self._read()
        return self._last

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    @property
    def _frame_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self._kind.itemsize

    def _read(self) -> Pixels:
        try:
            raw = self._stream.read(self._frame_bytes)
        except (OSError, EOFError, zlib.error) as error:
            message = f"'{self._name}' is damaged or truncated: frame {self._next} cannot be read."
            raise ImageFileError(message) from error
        if len(raw) < self._frame_bytes:
            message = f"'{self._name}' is truncated: frame {self._next} is not there."
            raise ImageFileError(message)
        self._next += 1
        pixels: Pixels = np.frombuffer(raw, self._kind).astype(self.dtype, copy=False).reshape(self.shape[1:])
        return pixels


def open_cine(path: Path) -> StoredCine | None:
    """Open a cine so that its frames stay in the file; None if its format or layout does not allow that.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged or truncated.
    UnsupportedImageError
        If its pixels are of a kind that an ultrasound image cannot have.
    """
    integrity.check_file(path)
    suffix = image_suffix(path)
    if suffix == ".nrrd":
        return _open_nrrd(path)
    if suffix == ".mha":
        return _open_metaimage(path)
    if suffix == ".npy":
        return _open_npy(path)
    return _open_dicom(path) if integrity.is_dicom(path) else None


def with_frame_count(image: UltrasoundImage, count: int) -> UltrasoundImage:
    """Return an image with another length of its first axis, and with pixels that are zero and take no memory."""
    shape = (count, *image.pixels.shape[1:])
    return replace(image, pixels=np.broadcast_to(np.zeros((), image.pixels.dtype), shape))


class Inflated:
    """Unpacks a stream of zlib or gzip, forwards only.

    Parameters
    ----------
    packed
        The stream, at the start of what is packed.
    window_bits
        What `zlib.decompressobj` takes: 15 for zlib, 31 for gzip.
    """

    def __init__(self, packed: BinaryIO, window_bits: int) -> None:
        self._packed, self._window_bits = packed, window_bits
        self._inflate = zlib.decompressobj(window_bits)

    def read(self, size: int) -> bytes:
        """Return the next unpacked bytes, fewer at the end."""
        parts: list[bytes] = []
        while size > 0:
            if self._inflate.eof and self._inflate.unused_data:  # gzip may have several members
                following = self._inflate.unused_data
                self._inflate = zlib.decompressobj(self._window_bits)
            else:
                following = self._inflate.unconsumed_tail or self._packed.read(_BLOCK_BYTES)
            if not following:
                break
            parts.append(self._inflate.decompress(following, size))
            size -= len(parts[-1])
        return b"".join(parts)

    def seekable(self) -> bool:
        """Return that it cannot go back."""
        return False

    def close(self) -> None:
        """Close the stream."""
        self._packed.close()


_Opener = Callable[[], BinaryIO | Inflated]


def _open_nrrd(path: Path) -> StoredCine | None:
    fields = integrity.check_nrrd(path)
    encoding = fields.get("encoding", "").lower()
    unusual = {"data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip"} & {*fields}
    if unusual or encoding not in ("raw", "gzip", "gz"):
        return None
    with path.open("rb") as stream:
        header = b""
        while (line := stream.readline()).strip():
            header += line
        offset = stream.tell()
    is_packed = encoding != "raw"

    def open_stream() -> BinaryIO | Inflated:
        stream = path.open("rb")
        stream.seek(offset)
        return Inflated(stream, _GZIP) if is_packed else stream

    twin = _LAST_OF_SIZES.sub(rb"\g<1>1\g<3>", header, count=1) + b"\n"
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    sizes = [int(word) for word in fields.get("sizes", "").split()]
    twin = re.sub(rb"(?mi)^encoding:[^\r\n]*", b"encoding: raw", twin)
    return _opened(path, twin, open_stream, order, sizes)


def _open_metaimage(path: Path) -> StoredCine | None:
    fields = integrity.check_metaimage(path)
    is_plain = fields["elementdatafile"].upper() == "LOCAL" and fields.get("binarydata", "true").lower().startswith("t")
    if not is_plain or any(name.startswith("seq_frame") for name in fields):
        return None
    _, offset = integrity.metaimage_fields(path)
    is_packed = fields.get("compresseddata", "false").lower().startswith("t")
    with path.open("rb") as stream:
        header = stream.read(offset)

    def open_stream() -> BinaryIO | Inflated:
        stream = path.open("rb")
        stream.seek(offset)
        return Inflated(stream, _ZLIB) if is_packed else stream

    twin = _LAST_OF_DIMSIZE.sub(rb"\g<1>1\g<3>", header, count=1)
    twin = re.sub(rb"(?m)^CompressedDataSize[^\n]*\n", b"", twin)
    twin = re.sub(rb"(?m)^CompressedData[ \t]*=[^\r\n]*", b"CompressedData = False", twin)
    is_big = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "false")).lower().startswith("t")
    sizes = [int(word) for word in fields["dimsize"].split()]
    return _opened(path, twin, open_stream, ">" if is_big else "<", sizes)


def _opened(
    path: Path,
    twin_header: bytes,
    open_stream: _Opener,
    order: str,
    sizes: list[int],
) -> StoredCine | None:
    """Read a twin of the file that has a single frame through the usual reader, and take everything else from it."""
    if len(sizes) < 3:
        return None
    with tempfile.TemporaryDirectory(prefix="speckle2self-") as folder:
        twin = Path(folder) / f"twin{image_suffix(path)}"
        samples = math.prod(sizes[:-1]) * 8  # at least as much as any type of pixel needs
        twin.write_bytes(twin_header + bytes(samples))
        image = read_image(twin)
    if not image.frame_axes_first or image.pixels.shape[0] != 1:
        return None
    image = replace(image, provenance=replace(image.provenance, source=str(path)))
    header = with_frame_count(image, sizes[-1])
    leading = len(image.frame_axes_first)
    shape = (math.prod(header.pixels.shape[:leading]), *header.pixels.shape[leading:])
    kind = image.pixels.dtype.newbyteorder(order)  # type: ignore[arg-type]
    return StoredCine(header, FramesInFile(open_stream, shape, kind, str(path)))


def _open_npy(path: Path) -> StoredCine | None:
    image = read_image(path)
    pixels = image.pixels.base if isinstance(image.pixels.base, np.memmap) else image.pixels
    if not isinstance(pixels, np.memmap) or not pixels.flags.c_contiguous or not image.frame_axes_first:
        return None
    offset, leading = int(pixels.offset), len(image.frame_axes_first)

    def open_stream() -> BinaryIO | Inflated:
        stream = path.open("rb")
        stream.seek(offset)
        return stream

    shape = (math.prod(image.pixels.shape[:leading]), *image.pixels.shape[leading:])
    header = with_frame_count(image, image.pixels.shape[0])
    return StoredCine(header, FramesInFile(open_stream, shape, image.pixels.dtype, str(path)))


def _open_dicom(path: Path) -> StoredCine | None:
    """Decode all frames into a temporary file, which goes away with the last stream that reads it."""
    from Speckle2SelfLogic.dicom import spool_dicom

    spool = cast("BinaryIO", tempfile.TemporaryFile(prefix="speckle2self-"))  # noqa: SIM115 - closed with the cine
    header = spool_dicom(path, spool)
    if not header.frame_axes_first:
        spool.close()
        return None
    leading = len(header.frame_axes_first)
    shape = (math.prod(header.pixels.shape[:leading]), *header.pixels.shape[leading:])
    spool.seek(0)
    return StoredCine(header, FramesInFile(lambda: spool, shape, header.pixels.dtype, str(path)))
