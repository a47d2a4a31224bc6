"""DICOM files that are packed as a whole: how much they hold is counted before anything else looks at them."""

from __future__ import annotations

import zlib
from pathlib import Path

from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from Speckle2SelfLogic.errors import ImageFileError

_BLOCK_BYTES = 1 << 20
_ALWAYS_ALLOWED_BYTES = 1 << 26
_LARGEST_RATIO = 200
"""Images of frames with a black surround stay far below; deflate itself reaches 1032."""
_BEFORE_META_GROUP = 132 + 12  # preamble, marker, and the element that holds the length of the group


def check_deflated(path: Path) -> None:
    """Refuse a deflated file that unpacks to far more than it is large (DICOM PS3.5, A.5), before it is unpacked.

    pydicom unpacks the whole dataset into memory, even if only a few elements are asked for.

    Raises
    ------
    ImageFileError
        If it is such a file.
    """
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    limit = max(_ALWAYS_ALLOWED_BYTES, _LARGEST_RATIO * path.stat().st_size)
    unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as stream:
        stream.seek(_BEFORE_META_GROUP + int(meta.get("FileMetaInformationGroupLength", 0)))
        packed = stream.read(_BLOCK_BYTES)
        while packed and not unpacker.eof:
            total += len(unpacker.decompress(packed, _BLOCK_BYTES))
            if total > limit:
                message = (
                    f"'{path}' is a decompression bomb: it unpacks to more than {limit} bytes, so it was not read."
                )
                raise ImageFileError(message)
            packed = unpacker.unconsumed_tail or stream.read(_BLOCK_BYTES)
