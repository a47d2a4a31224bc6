"""Recognise the published test frames, so that they are never learnt from.

The six in-vivo inputs on the project page of Li, Navab and Jiang (2025) are evidence. A frame is recognised by its
content, whatever its name, size or format: a difference hash (the sign of the horizontal step between neighbours of the
frame scaled to 17 x 16 pixels; N. Krawetz 2013, "Kind of Like That"), also mirrored. Copies that are scaled, compressed
again, brightened or despeckled differ in at most 20 of 256 bits; frames of other origin that we know of in 87 or more.
Strong crops are not recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.frames import frames_view, grey_frame, grey_range_of
from Speckle2SelfLogic.io import read_image

Bits = npt.NDArray[np.bool_]

PUBLISHED = (
    "7e26804284f49cf3f3c6f81c3a383ed81ecc9e531e489ce69eca9cd89ac89ccc",
    "fa1c8307c34331fee38cf250f8e0f952799a7d807989798c7d84fd8879987b98",
    "75718e543d0c7f539e8cd745f3c1744afc66f60fe455e447fc43ec01e445fc0d",
    "fd82e598f5a7d37cfd3cf90ec41be532dd10c730c71bc69bd792cb12cf10c733",
    "ec90e498f49fc2f8f63cf95ec41ac332dd32ef30c69286199792db32d730d731",
    "dc62f8aeea38c4d3f8d2f53ef87cd8c4e460b644e646a644f674f6ecf66cf64c",
)
"""Difference hashes of the six published inputs, 256 bit each."""
LARGEST_DISTANCE = 36
_COLUMNS, _ROWS = 17, 16


def difference_hash(grey_yx: npt.NDArray[np.floating]) -> str:
    """Return 256 bits, in hexadecimal, that stay nearly the same under scaling, compression and change of contrast."""
    small = Image.fromarray(np.asarray(grey_yx, np.float32)).resize((_COLUMNS, _ROWS), Image.Resampling.BOX)
    grey = np.asarray(small)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def distance_to_published(grey_yx: npt.NDArray[np.floating]) -> int:
    """Return in how many bits of 256 a frame (Y, X) differs from the nearest published one, mirrored or not."""
    hashes = [_bits(difference_hash(frame)) for frame in (grey_yx, grey_yx[:, ::-1])]
    return min(int((own != _bits(published)).sum()) for own in hashes for published in PUBLISHED)


def refuse_test_frames(paths: Sequence[str | Path]) -> None:
    """Check that no frame of any of the files is a published test frame.

    Raises
    ------
    SettingsError
        Naming the first file that shows one.
    """
    for path in paths:
        if any(distance_to_published(frame) <= LARGEST_DISTANCE for frame in _grey_frames(Path(path))):
            message = f"'{path}' shows a published test frame, which must not be learnt from: take it out of the data."
            raise SettingsError(message)


def _grey_frames(path: Path) -> Iterator[npt.NDArray[np.floating]]:
    if path.suffix.lower() == ".gif":  # as they are published; no format of the core
        with Image.open(path) as animation:
            yield from (np.asarray(frame.convert("F")) for frame in ImageSequence.Iterator(animation))
        return
    image = read_image(path)
    grey_range = grey_range_of(image)
    yield from (grey_frame(np.asarray(pixels), grey_range) for pixels in frames_view(image))


def _bits(digest: str) -> Bits:
    return np.unpackbits(np.frombuffer(bytes.fromhex(digest), np.uint8)).astype(bool)
