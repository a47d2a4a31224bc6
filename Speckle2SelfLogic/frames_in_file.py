"""Frames that stay in their file and are read one by one when they are asked for."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

import numpy as np

from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import Pixels

ZLIB, GZIP = 47, 31
"""What `Inflated` takes for a stream of zlib (or gzip, as the MetaImage reader does), and for one of gzip."""
_BLOCK_BYTES = 1 << 20


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


class Inflated:
    """Unpacks a stream of zlib or gzip, forwards only.

    Parameters
    ----------
    packed
        The stream, at the start of what is packed.
    window_bits
        What `zlib.decompressobj` takes.
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

    def skip(self, size: int) -> None:
        """Leave out the next unpacked bytes."""
        while size > 0 and (block := self.read(min(size, _BLOCK_BYTES))):
            size -= len(block)

    def seekable(self) -> bool:
        """Return that it cannot go back."""
        return False

    def close(self) -> None:
        """Close the stream."""
        self._packed.close()


Opener = Callable[[], BinaryIO | Inflated]
"""Opens a stream at the first frame."""


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
        open_stream: Opener,
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


class ColourPlanes:
    """Frames of a file that holds all of one colour before all of the next."""

    def __init__(self, planes: Sequence[Frames]) -> None:
        self._planes = planes
        self.shape, self.dtype = (*planes[0].shape, len(planes)), planes[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int) -> Pixels:
        """Return one frame (Y, X, C)."""
        return np.stack([plane[number] for plane in self._planes], axis=-1)

    def close(self) -> None:
        """Close the file."""
        for plane in self._planes:
            plane.close()


class RescaledFrames:
    """Frames whose values are stored as others: value = slope * stored + shift, in a floating-point type."""

    def __init__(self, stored: Frames, slope: float, shift: float, kind: np.dtype[np.floating]) -> None:
        self._stored, self._slope, self._shift = stored, slope, shift
        self.shape, self.dtype, self.close = stored.shape, kind, stored.close

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int) -> Pixels:
        """Return one frame."""
        values = self._stored[number].astype(self.dtype).astype(np.float64)
        return np.asarray(values * self._slope + self._shift, self.dtype)
