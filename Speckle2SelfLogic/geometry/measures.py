"""What a measurement is: a number with its unit and uncertainty, or the reason why there is none.

Uncertainty. Every figure follows from where a border lies, so there is one assumption for all of them: the whole border
may be shifted outward or inward by a common distance with standard uncertainty ::

    u_b = p sqrt(1/12 + s^2)

p is the pixel size across the border; 1/12 is the variance of a position that is known to within one pixel (uniform
distribution: JCGM 100:2008, "GUM", 4.3.7); s is the shift, in pixels, that the segmentation implies. Half a pixel is
the least that a mask drawn on the pixel grid can promise; give the mean surface distance between two annotators, or
between segmenter and annotator, if it is known. A common shift is the worst case for a size: it does not average out
along the border. Figures that follow (standard uncertainties, k = 1):

- a diameter, between two opposite borders that move apart together: 2 u_b
- an area: perimeter x u_b; a perimeter: 2 pi u_b; circularity: at most 4 pi u_b / perimeter
- a thickness, between two borders that are shifted independently: sqrt(2) u_b
- a change of one vessel between frames, where the shift of the segmentation cancels: sqrt(4/12) p
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]
"""Row and column in pixels; the centre of the first pixel is (0, 0)."""
Line = tuple[Point, Point]

SEGMENTATION_PX = 0.5
"""Standard uncertainty of the common shift of a border, unless something better is known."""


@dataclass(frozen=True)
class Measure:
    """A figure with its unit and standard uncertainty (k = 1), or no figure and the reason."""

    value: float | None
    uncertainty: float | None
    unit: str
    """``mm``, ``mm2``, ``%``, empty for a ratio; ``px`` and ``px2`` where the image is not calibrated."""
    reason: str = ""
    """Why there is no value; empty if there is one."""

    @classmethod
    def missing(cls, unit: str, reason: str) -> Measure:
        """Return a figure that could not be measured."""
        return cls(None, None, unit, reason)

    def __str__(self) -> str:
        if self.value is None or self.uncertainty is None:
            return f"not measured: {self.reason}"
        decimals = 2 if self.uncertainty <= 0 else int(np.clip(1 - math.floor(math.log10(self.uncertainty)), 0, 4))
        return f"{self.value:.{decimals}f} ± {self.uncertainty:.{decimals}f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Scale:
    """Size of a pixel, and how far a border in it can be trusted."""

    step_yx: tuple[float, float]
    """Height and width of a pixel in ``unit``."""
    unit: Literal["mm", "px"]
    segmentation_px: float = SEGMENTATION_PX

    @classmethod
    def of(cls, spacing_mm: tuple[float, ...] | None, segmentation_px: float = SEGMENTATION_PX) -> Scale:
        """Return the scale of an image.

        Parameters
        ----------
        spacing_mm
            Pixel spacing (x, y) in mm, in the order of `UltrasoundImage.spacing_mm` (further numbers are ignored);
            None if the image is not calibrated, which measures in pixels.
        segmentation_px
            Standard uncertainty of the common shift of a border in pixels, 0 or more.

        Raises
        ------
        SettingsError
            If a spacing is not positive and finite, or the shift is negative.
        """
        if not (math.isfinite(segmentation_px) and segmentation_px >= 0):
            message = f"The uncertainty of the segmentation must be 0 px or more, but is {segmentation_px}."
            raise SettingsError(message)
        if spacing_mm is None:
            return cls((1.0, 1.0), "px", float(segmentation_px))
        if len(spacing_mm) < 2 or not all(math.isfinite(step) and step > 0 for step in spacing_mm[:2]):
            message = f"Spacing must be two positive numbers (x, y) in mm, but is {spacing_mm}."
            raise SettingsError(message)
        return cls((float(spacing_mm[1]), float(spacing_mm[0])), "mm", float(segmentation_px))

    @property
    def area_unit(self) -> str:
        """``mm2`` or ``px2``."""
        return f"{self.unit}2"

    @property
    def mean_step(self) -> float:
        """Side of a square of the area of a pixel."""
        return math.sqrt(self.step_yx[0] * self.step_yx[1])

    def physical(self, points_yx_px: npt.ArrayLike) -> Values:
        """Turn rows and columns (..., 2) into lengths along y and x."""
        return np.asarray(points_yx_px, np.float64) * self.step_yx

    def pixels(self, points_yx: npt.ArrayLike) -> Values:
        """Turn lengths along y and x (..., 2) into rows and columns."""
        return np.asarray(points_yx, np.float64) / self.step_yx

    def border(self, across_yx: tuple[float, float] | None = None) -> float:
        """Return u_b of a border whose normal is a unit vector (y, x) in physical space; None: on average."""
        step = self.mean_step if across_yx is None else math.hypot(*np.multiply(self.step_yx, across_yx))
        return step * math.sqrt(1 / 12 + self.segmentation_px**2)

    def length(self, value: float, uncertainty: float) -> Measure:
        """Return a length in this scale's unit."""
        return Measure(float(value), float(uncertainty), self.unit)

    def no_length(self, reason: str) -> Measure:
        """Return a length that could not be measured."""
        return Measure.missing(self.unit, reason)


def checked_pixels(name: str, mask: npt.ArrayLike, shape_yx: tuple[int, ...] | None = None) -> Mask:
    """Return a mask (Y, X) as booleans; every value that is not zero is inside.

    Raises
    ------
    UnsupportedImageError
        If it is not two-dimensional, is empty of pixels, or is of another shape than asked.
    """
    values = np.asarray(mask)
    if values.ndim != 2 or values.size == 0:
        message = f"The {name} mask must be one frame (rows, columns), but has shape {values.shape}."
        raise UnsupportedImageError(message)
    if shape_yx is not None and values.shape != tuple(shape_yx):
        message = f"The {name} mask has shape {values.shape}, but the lumen mask has shape {tuple(shape_yx)}."
        raise UnsupportedImageError(message)
    return np.asarray(values != 0, bool)
