"""Is a picture file whole? The ends of PNG and TIFF files, which Pillow does not look at."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from Speckle2SelfLogic.errors import ImageFileError

_VALUE_BYTES = {  # TIFF 6.0, section 2, and the types 13 and 16 to 18 of its later supplements
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
_FIRST_PRIVATE_TAG = 32768  # what stands from here on may point anywhere
_BIG_TIFF = 43


def check_png_end(path: Path) -> None:
    """Check that the chunks of a PNG file run to a whole IEND chunk (W3C PNG, section 11.2.5).

    Raises
    ------
    ImageFileError
        If the file ends before that.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            end = stream.seek(length + 4, 1)  # the content and its checksum
            if name == b"IEND" and end <= size:
                return
    raise _truncated(path, "its last chunk is not whole")


def check_tiff_pages(path: Path) -> int:
    """Check that the directory of every page of a TIFF file, with the values of its tags, lies inside the file.

    Returns
    -------
    int
        The number of pages.

    Raises
    ------
    ImageFileError
        If the file ends before that, or the chain of its pages comes back to an earlier one.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(16).ljust(16, b"\0")
        order = "<" if head[:2] == b"II" else ">"
        is_big = struct.unpack_from(order + "H", head, 2)[0] == _BIG_TIFF
        (start,) = struct.unpack_from(order + ("Q" if is_big else "I"), head, 8 if is_big else 4)
        pages: set[int] = set()
        while start:
            if start in pages:
                message = f"'{path}' is damaged: the chain of its pages goes round after {len(pages)} pages."
                raise ImageFileError(message)
            pages.add(start)
            needed, following = _directory(stream, start, order, is_big=is_big) if start < size else (start + 1, 0)
            if needed > size:
                raise _truncated(path, f"its page {len(pages)} needs {needed} bytes, but only {size} are there")
            start = following
    return len(pages)


def _directory(stream: BinaryIO, start: int, order: str, *, is_big: bool) -> tuple[int, int]:
    """Return how long a file with this directory and its values must be, and where the next directory starts."""
    number, offset = ("Q", "Q") if is_big else ("H", "I")
    entry = struct.Struct(order + "HH" + offset + offset)
    head = struct.calcsize(order + number)
    stream.seek(start)
    raw = stream.read(head)
    if len(raw) < head:
        return start + head, 0
    (count,) = struct.unpack(order + number, raw)
    needed = start + head + count * entry.size + struct.calcsize(order + offset)
    entries = stream.read(entry.size * min(count, 1 << 16))
    last = stream.read(struct.calcsize(order + offset))
    if start + head + len(entries) + len(last) < needed:
        return needed, 0
    for tag, kind, length, value_start in entry.iter_unpack(entries):
        value_bytes = length * _VALUE_BYTES.get(kind, 0)
        if value_bytes > struct.calcsize(order + offset) and tag < _FIRST_PRIVATE_TAG:
            needed = max(needed, value_start + value_bytes)
    return needed, int(struct.unpack(order + offset, last)[0])


def _truncated(path: Path, why: str) -> ImageFileError:
    return ImageFileError(f"'{path}' is truncated: {why}.")
