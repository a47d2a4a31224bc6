"""How far two masks of one frame agree: two annotators, or contours made on the original and the despeckled image.

Distances are taken between border pixels (those with a neighbour outside along a row or column), so that they are known
to a pixel at best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.geometry.measures import Mask, Scale, Values, checked_pixels

PERCENTILE = 95.0


@dataclass(frozen=True)
class MaskAgreement:
    """Agreement of two masks; what cannot be told is None. Lengths and areas are in ``unit`` and its square."""

    dice: float | None
    """Overlap, 2 |A and B| / (|A| + |B|) (Dice, Ecology 26, 1945); None if both are empty."""
    hd95: float | None
    """Distance that 95 % of the border pixels of each mask keep to the other border, the worse of both directions
    (Huttenlocher et al., IEEE PAMI 15, 1993, as partial distance); None if one mask is empty."""
    mean_distance: float | None
    """Mean distance of the border pixels of both masks to the other border; None if one mask is empty."""
    first_area: float
    second_area: float
    unit: str
    """``mm``, or ``px`` without calibration."""

    @property
    def area_difference(self) -> float:
        """Second less first area."""
        return self.second_area - self.first_area

    @property
    def relative_area_difference(self) -> float | None:
        """The same in percent of the mean of both; None if both are empty."""
        mean = (self.first_area + self.second_area) / 2
        return 100 * self.area_difference / mean if mean else None


def mask_agreement(
    first_yx: npt.ArrayLike, second_yx: npt.ArrayLike, *, spacing_mm: tuple[float, ...] | None = None
) -> MaskAgreement:
    """Compare two masks (Y, X).

    Parameters
    ----------
    first_yx, second_yx
        What is not zero is inside.
    spacing_mm
        Pixel spacing (x, y) in mm; None measures in pixels.

    Raises
    ------
    UnsupportedImageError
        If a mask is not two-dimensional or the shapes differ.
    SettingsError
        If the spacing is not positive.
    """
    first = checked_pixels("first", first_yx)
    second = checked_pixels("second", second_yx, first.shape)
    scale = Scale.of(spacing_mm)
    pixel_area = scale.step_yx[0] * scale.step_yx[1]
    counts = int(first.sum()), int(second.sum())
    dice = 2 * int((first & second).sum()) / sum(counts) if any(counts) else None
    areas = counts[0] * pixel_area, counts[1] * pixel_area
    if not all(counts):
        return MaskAgreement(dice, None, None, *areas, scale.unit)
    ways = _distances(first, second, scale), _distances(second, first, scale)
    return MaskAgreement(
        dice,
        float(max(np.percentile(way, PERCENTILE) for way in ways)),
        float(np.concatenate(ways).mean()),
        *areas,
        scale.unit,
    )


def _distances(from_yx: Mask, to_yx: Mask, scale: Scale) -> Values:
    """Return how far each border pixel of a mask lies from the border of another one."""
    away = ndimage.distance_transform_edt(~_border(to_yx), sampling=scale.step_yx)
    return np.asarray(away[_border(from_yx)], np.float64)


def _border(mask_yx: Mask) -> Mask:
    return np.asarray(mask_yx & ~ndimage.binary_erosion(mask_yx))
