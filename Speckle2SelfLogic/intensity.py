"""The stated policy for grey values: how pixels of any type become grey 0..1 for a method, and how they come back.

Unsigned 8-bit pixels use 0..255 as their range and floating-point pixels within 0..1 use 0..1. All other images use
the smallest and largest value of the whole image (never of single frames, which would make a cine flicker). On the way
back values are clipped to that range and rounded for whole-number types; what clipping changed is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import UnsupportedImageError

Float32 = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.generic]


@dataclass(frozen=True)
class GreyRange:
    """The pixel values that grey 0 and grey 1 stand for."""

    lowest: float
    highest: float

    @classmethod
    def of(cls, pixels: Pixels) -> GreyRange:
        """Choose the range of an image by the policy of this module.

        Raises
        ------
        UnsupportedImageError
            For pixels that are not real numbers, for NaN or infinite values, and for a range that is not finite.
        """
        kind = pixels.dtype.kind
        if kind not in "uif":
            message = f"Pixels of type {pixels.dtype} cannot be despeckled; convert them to whole or real numbers."
            raise UnsupportedImageError(message)
        if pixels.dtype == np.uint8:
            return cls(0.0, 255.0)
        lowest, highest = float(np.min(pixels)), float(np.max(pixels))
        if not np.isfinite((lowest, highest)).all():
            message = (
                "The image has values that are not finite (NaN or infinity); replace them, "
                "for example by the lowest valid value, before despeckling."
            )
            raise UnsupportedImageError(message)
        if not np.isfinite(highest - lowest):
            message = f"The values of the image, {lowest:g} to {highest:g}, span too much; scale them down first."
            raise UnsupportedImageError(message)
        if kind == "f" and lowest >= 0 and highest <= 1:
            return cls(0.0, 1.0)
        return cls(lowest, highest)

    @property
    def width(self) -> float:
        """Difference of both ends; 1 for a constant image, which no method changes."""
        return (self.highest - self.lowest) or 1.0

    def to_grey(self, pixels: Pixels) -> Float32:
        """Return pixels as grey 0..1."""
        return np.asarray((pixels.astype(np.float64) - self.lowest) / self.width, np.float32)

    def restore(self, grey: npt.NDArray[np.floating], dtype: np.dtype[np.generic]) -> tuple[Pixels, int, int]:
        """Return grey as pixels of a type, and how many values were clipped at the low and at the high end.

        A value counts as clipped if clipping moved it by more than half an 8-bit grey level.
        """
        values = np.asarray(grey, np.float64)
        tolerance = 0.5 / 255
        below, above = int((values < -tolerance).sum()), int((values > 1 + tolerance).sum())
        values = np.clip(values, 0, 1) * self.width + self.lowest
        if dtype.kind in "ui":
            values = np.round(values)
        return values.astype(dtype), below, above
