"""Where structures are put: quiet tissue of medium brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from Speckle2SelfLogic.structure_metrics import Mask
from Training.detail.frames import Grey


@dataclass(frozen=True)
class Place:
    """Where a structure is: centre in pixels, and the angle of a layer with the X axis."""

    y: float
    x: float
    angle_rad: float = 0.0


def quiet_places(
    grey_yx: Grey,
    allowed_yx: Mask,
    rng: np.random.Generator,
    *,
    count: int,
    apart_px: float,
    margin_px: int,
    brightness: tuple[float, float] = (0.1, 0.6),
    tilt_rad: float = 0.35,
) -> list[Place]:
    """Draw places in tissue of medium brightness, away from edges, from each other and from the border.

    Drawn from are the quietest third of the pixels whose smoothed grey (Gaussian, 5 px) lies within ``brightness``.
    Unrest is the largest gradient at that scale within ``margin_px`` / 2, over the smoothed grey.
    """
    grey = np.asarray(grey_yx, np.float64)
    smooth = ndimage.gaussian_filter(grey, 5)
    steepest = ndimage.maximum_filter(ndimage.gaussian_gradient_magnitude(grey, 5), 2 * (margin_px // 2) + 1)
    unrest = steepest / np.maximum(smooth, 1e-3)
    usable = allowed_yx & (smooth > brightness[0]) & (smooth < brightness[1])
    inner = np.zeros_like(usable)
    inner[margin_px:-margin_px, margin_px:-margin_px] = True
    usable &= inner
    if not usable.any():
        return []
    usable &= unrest <= np.quantile(unrest[usable], 1 / 3)
    candidates = rng.permutation(np.argwhere(usable))
    chosen: list[tuple[float, float]] = []
    for y, x in candidates:
        if all(np.hypot(y - other_y, x - other_x) >= apart_px for other_y, other_x in chosen):
            chosen.append((float(y), float(x)))
        if len(chosen) == count:
            break
    return [Place(y, x, float(rng.uniform(-tilt_rad, tilt_rad))) for y, x in chosen]
