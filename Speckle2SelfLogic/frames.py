"""An image as a stack of frames: the planes in which speckle is removed, without copying pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.intensity import Float32, GreyRange, Pixels
from Speckle2SelfLogic.sector import luminance

SLICE_AXES = ("auto", "z", "y", "x")


def frames_view(image: UltrasoundImage, slice_axis: str = "auto") -> Pixels:
    """Return the frames of an image as a read-only view (N, Y, X) or (N, Y, X, C), sliced along an axis.

    Raises
    ------
    SettingsError
        If a slice axis is unknown, or chosen for an image that is not a volume.
    """
    return as_frames(image.pixels, image, slice_axis)


def as_frames(pixels: Pixels, image: UltrasoundImage, slice_axis: str = "auto") -> Pixels:
    """Return an array that has the axes of ``image`` as frames; writing into the frames writes into the array."""
    if slice_axis not in SLICE_AXES:
        message = f"The slice axis must be one of {', '.join(SLICE_AXES)}, but is '{slice_axis}'."
        raise SettingsError(message)
    if slice_axis != "auto" and "Z" not in image.axes:
        what = "a cine, which is processed frame by frame" if "T" in image.axes else "a single frame"
        message = f"A slice axis ('{slice_axis}') can be chosen for a volume only; this image is {what}: use 'auto'."
        raise SettingsError(message)
    if slice_axis in ("y", "x"):
        pixels = np.moveaxis(pixels, image.axes.index(slice_axis.upper()), image.axes.index("Z"))
    leading = len(image.frame_axes_first)
    if leading == 0:
        return pixels[None]
    return pixels if leading == 1 else FlatFrames(pixels)  # type: ignore[return-value]


def grey_range_of(image: UltrasoundImage) -> GreyRange:
    """Choose the grey range of an image; an alpha channel has no part in it. Raises what `GreyRange.of` raises."""
    return GreyRange.of(image.pixels[..., :3] if image.is_colour else image.pixels)


def grey_frame(pixels: Pixels, grey_range: GreyRange, out: Float32 | None = None) -> Float32:
    """Return one frame (Y, X) or (Y, X, C) as grey 0..1 (Y, X), in ``out`` if given; colour becomes luminance."""
    if pixels.ndim == 2:
        return grey_range.to_grey(pixels, out)
    grey = luminance(grey_range.to_grey(pixels))
    if out is None:
        return grey
    out[...] = grey
    return out


class FlatFrames:
    """Frames of a (T, Z, Y, X[, C]) array numbered through, without copying."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self.shape: tuple[int, ...] = (pixels.shape[0] * pixels.shape[1], *pixels.shape[2:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int) -> Pixels:
        volume, frame = divmod(number, int(self._pixels.shape[1]))
        return np.asarray(self._pixels[volume, frame])


class GreyFrames(Sequence[Float32]):
    """Frames as grey 0..1, each computed when it is asked for, so that memory stays bounded."""

    def __init__(self, frames: Pixels, grey_range: GreyRange) -> None:
        self._frames, self._grey_range = frames, grey_range

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Float32:  # type: ignore[override]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return grey_frame(self._frames[number], self._grey_range)
