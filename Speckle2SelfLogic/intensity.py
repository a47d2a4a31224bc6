"""The stated policy for grey values: how pixels of any type become grey for a method, and how the answer comes back.

Black and white. Unsigned 8-bit pixels use 0 and 255, floating-point pixels within 0..1 use 0 and 1. All other images
use the 0.1 % and the 99.9 % quantile of the whole image (never of single frames, which would make a cine flicker), so
that a single hot pixel does not push tissue into a corner of the range. Methods see grey between black and white only.

The way back. What a method changed is added to the original pixels, so that whatever lies beyond black and white keeps
its excess. The result is clipped to the smallest and largest value of the input (0 and 255, 0 and 1 in the first two
cases) and rounded for whole-number types. Values that clipping moved by more than half an 8-bit grey level are counted.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import UnsupportedImageError

Float32 = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.generic]

OUTLIERS = 0.001
_SAMPLES = 1_000_000
_FEWEST_LEVELS = 8
_LOWEST_RELATIVE_SPAN = 1e-3
_TABULATED = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True)
class GreyRange:
    """The pixel values that grey 0 and grey 1 stand for, and the limits of the output."""

    black: float
    white: float
    lowest: float
    highest: float
    is_meaningless: bool = False
    """Whether the values differ so little (fewer than 8 whole-number levels, or less than a thousandth of their size)
    that there is noise and nothing else."""

    @classmethod
    def of(cls, pixels: Pixels) -> GreyRange:
        """Choose the range of an image by the policy of this module.

        Raises
        ------
        UnsupportedImageError
            For pixels that are not real numbers, for NaN or infinite values, and for a range that is not finite.
        """
        return cls.of_frames([pixels])

    @classmethod
    def of_frames(cls, frames: Sequence[Pixels]) -> GreyRange:
        """Choose the range of an image given frame by frame; the same as `of` chooses for all frames at once."""
        first = frames[0]
        kind = first.dtype.kind
        if kind not in "uif":
            message = f"Pixels of type {first.dtype} cannot be despeckled; convert them to whole or real numbers."
            raise UnsupportedImageError(message)
        if first.dtype == np.uint8:
            return cls(0.0, 255.0, 0.0, 255.0)
        lowest, highest, sample = _extremes_and_sample(frames)
        if not np.isfinite((lowest, highest)).all():
            message = (
                "The image has values that are not finite (NaN or infinity); replace them, "
                "for example by the lowest valid value, before despeckling."
            )
            raise UnsupportedImageError(message)
        span = highest - lowest
        if not np.isfinite(span):
            message = f"The values of the image, {lowest:g} to {highest:g}, span too much; scale them down first."
            raise UnsupportedImageError(message)
        if kind == "f" and lowest >= 0 and highest <= 1:
            return cls(0.0, 1.0, 0.0, 1.0)
        is_meaningless = (kind in "ui" and span < _FEWEST_LEVELS) or (
            span < _LOWEST_RELATIVE_SPAN * max(abs(lowest), abs(highest))
        )
        return cls(*_black_and_white(sample, lowest, highest), lowest, highest, is_meaningless)

    @property
    def width(self) -> float:
        """Difference of white and black; 1 for a constant image, which no method changes."""
        return (self.white - self.black) or 1.0

    def to_grey(self, pixels: Pixels, out: Float32 | None = None) -> Float32:
        """Return pixels as grey, 0 at black and below, 1 at white and above; in ``out``, if that is given."""
        grey = np.empty(pixels.shape, np.float32) if out is None else out
        if pixels.dtype == np.uint8 and (self.black, self.white) == (0, 255):  # the same values in the least time
            values = cast("npt.NDArray[np.uint8]", pixels)
            np.divide(values, np.float32(255), out=grey, dtype=np.float32)
            return grey
        if pixels.dtype in _TABULATED:  # one look-up for each pixel gives the same in a fraction of the time
            places = cast("npt.NDArray[np.uint16]", pixels)
            return _grey_table(self, pixels.dtype.char).take(places, mode="clip", out=grey)  # none is off the table
        shares = (pixels.astype(np.float64) - self.black) / self.width
        return np.clip(shares, 0, 1, out=grey, casting="same_kind")

    def add(
        self, pixels: Pixels, change: npt.NDArray[np.floating], counted: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Pixels, int, int]:
        """Return pixels changed by a difference of grey, and how many were clipped at the low and at the high end.

        Left out, ``counted`` is everywhere. ``change`` may be overwritten.
        """
        if pixels.dtype.itemsize == 1 and change.dtype == np.float32:  # 32 bits hold a byte and its change
            values: npt.NDArray[np.floating] = np.multiply(change, np.float32(self.width), out=change)
        else:
            values = np.multiply(change, self.width, dtype=np.float64)
        values += cast("npt.NDArray[np.floating]", pixels)
        tolerance = 0.5 / 255 * self.width
        below = _count(values < self.lowest - tolerance, counted) if values.min() < self.lowest - tolerance else 0
        above = _count(values > self.highest + tolerance, counted) if values.max() > self.highest + tolerance else 0
        np.clip(values, self.lowest, self.highest, out=values)
        if pixels.dtype.kind in "ui":
            np.rint(values, out=values)
        return values.astype(pixels.dtype), below, above


def _count(found: npt.NDArray[np.bool_], counted: npt.NDArray[np.bool_] | None) -> int:
    return int(np.count_nonzero(found if counted is None else found & counted))


@functools.lru_cache(maxsize=8)
def _grey_table(grey_range: GreyRange, kind: str) -> Float32:
    """Return the grey of every value that unsigned pixels of a type can have."""
    values = np.arange(np.iinfo(kind).max + 1, dtype=np.float64)
    return np.asarray(np.clip((values - grey_range.black) / grey_range.width, 0, 1), np.float32)


def _extremes_and_sample(frames: Sequence[Pixels]) -> tuple[float, float, Pixels]:
    """Return the smallest and the largest value of all frames, and every n-th value, about a million."""
    step = max(1, frames[0].size * len(frames) // _SAMPLES) | 1  # odd, so that it does not fall into step with rows
    extremes, samples, done = [], [], 0
    for number in range(len(frames)):
        flat = frames[number].reshape(-1)
        extremes.append((float(np.min(flat)), float(np.max(flat))))
        samples.append(flat[-done % step :: step].copy())
        done += flat.size
    lowest, highest = (float(value) for value in (np.min(extremes), np.max(extremes)))
    return lowest, highest, np.concatenate(samples)


def _black_and_white(sample: Pixels, lowest: float, highest: float) -> tuple[float, float]:
    black, white = (float(v) for v in np.quantile(sample.astype(np.float64), (OUTLIERS, 1 - OUTLIERS)))
    return (black, white) if white > black else (lowest, highest)
