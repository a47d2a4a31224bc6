"""Sections across a vessel that lies along the image, perpendicular to its curved axis.

The axis starts as a straight line (through the middles of columns or rows if the lumen crosses the whole image, else
the principal axis of its pixels). Sections perpendicular to it give middles, a polynomial through these a better axis,
and so on. Borders are where the mask, blurred by a Gaussian of one pixel, falls to one half; for a straight border
that is the border itself, to a fraction of a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial
from scipy import ndimage

from Speckle2SelfLogic.geometry.measures import Mask, Scale, Values

_BLUR_PX = 1.0
_ROUNDS = 4
_LEAST_SECTIONS = 5
_LEAST_ELONGATION = 1.2
_MOST_STEPS, _MOST_STATIONS = 4000, 2000
"""More than any image of square pixels needs; pixels of very unequal sides would ask for gigabytes."""


@dataclass(frozen=True, eq=False)
class Sections:
    """N whole sections across a vessel, left to right (top to bottom for a vessel that runs down the image)."""

    position: Values
    """Place along the axis from the first section, in the unit of the scale."""
    diameter: Values
    centre_yx: Values
    far_normal_yx: Values
    """Unit vectors (N, 2) in physical space, across the vessel and away from the probe (downward)."""
    near_yx: Values
    far_yx: Values
    """Ends (N, 2) of the sections on the wall near to the probe and far from it, as lengths along y and x."""
    angle_rad: float
    """Of the straight axis with the X axis of the image, positive if the vessel runs down to the right."""
    is_shortened: bool
    """Whether sections were left out at an end of the lumen that lies inside the image."""

    @property
    def length(self) -> float:
        """Length of the axis from the first to the last section."""
        return float(self.position[-1])


def blurred(mask_yx: Mask) -> Values:
    """Return the mask as values 0..1 whose level 1/2 is its border; beyond the frame it goes on."""
    return np.asarray(ndimage.gaussian_filter(mask_yx.astype(np.float64), _BLUR_PX, mode="nearest"))


def first_fall(field_yx: Values, start_yx: Values, direction_yx: Values, reach: float, scale: Scale) -> Values:
    """Return how far from each start (N, 2) along its direction the field first falls to 1/2.

    NaN where it is below from the beginning, never falls within ``reach``, or the frame ends before.
    """
    step = max(min(scale.step_yx) / 4, reach / _MOST_STEPS)
    steps = np.arange(0, reach + 2 * step, step)
    points = start_yx[:, None] + steps[:, None] * direction_yx[:, None]
    rows, columns = np.moveaxis(scale.pixels(points), 2, 0)
    values = ndimage.map_coordinates(field_yx, [rows, columns], order=1, cval=np.nan)
    ends = ~(values >= 0.5)
    first = ends.argmax(axis=1)
    index = np.arange(len(first))
    before, after = values[index, first - 1], values[index, first]
    found = ends.any(axis=1) & (first > 0) & np.isfinite(after)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = (before - 0.5) / (before - after)
    return np.where(found, step * (first - 1 + part), np.nan)


def cross_sections(region_yx: Mask, scale: Scale) -> Sections | str:
    """Return the sections of a lumen, about one for each pixel of its length, or why there are none."""
    field = blurred(region_yx)
    points = scale.physical(np.argwhere(region_yx))
    start = _straight_axis(region_yx, points, scale)
    if isinstance(start, str):
        return start
    origin, along = start
    bend, reach = Polynomial([0.0]), 0.0
    for turn in range(_ROUNDS):
        normal = np.array([along[1], -along[0]])
        u, v = (points - origin) @ along, (points - origin) @ normal
        reach = float(np.ptp(v)) + 4 * max(scale.step_yx)
        stations = np.arange(u.min(), u.max(), max(min(scale.step_yx), float(np.ptp(u)) / _MOST_STATIONS))
        centre = origin + stations[:, None] * along + bend(stations)[:, None] * normal
        across = _unit(normal - bend.deriv()(stations)[:, None] * along)
        far = first_fall(field, centre, across, reach, scale)
        near = first_fall(field, centre, -across, reach, scale)
        whole = np.isfinite(far) & np.isfinite(near)
        if whole.sum() < _LEAST_SECTIONS:
            return "no section across the vessel lies whole within the image"
        if turn == _ROUNDS - 1:
            break
        middle = centre[whole] + ((far - near)[whole, None] / 2) * across[whole]
        u, v = (middle - origin) @ along, (middle - origin) @ normal
        line = np.polyfit(u, v, 1)
        if turn < _ROUNDS - 2:  # first turn the straight axis, then bend it
            origin, along = origin + line[1] * normal, _rightward(_unit((along + line[0] * normal)[None])[0])
        else:
            is_long = np.ptp(u) > 2 * float(np.median((far + near)[whole]))
            bend = Polynomial.fit(u, v, 3 if is_long else 1)
    inside, is_shortened = _without_ends(centre, whole, float(np.median((far + near)[whole])), region_yx, scale)
    if inside.sum() < _LEAST_SECTIONS:
        return "the lumen is too short for a section that is not next to one of its ends"
    centre, across, far, near = centre[inside], across[inside], far[inside], near[inside]
    position = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(centre, axis=0).T))])
    ends = centre - near[:, None] * across, centre + far[:, None] * across
    return Sections(position, far + near, centre, across, *ends, math.atan2(along[0], along[1]), is_shortened)


def _unit(vectors: Values) -> Values:
    return np.asarray(vectors / np.hypot(*vectors.T)[:, None])


def _straight_axis(region_yx: Mask, points: Values, scale: Scale) -> tuple[Values, Values] | str:
    """Return a point on the axis and its direction (to the right, or down)."""
    for axis in (1, 0):  # the vessel crosses the whole width, or the whole height
        ends = np.take(region_yx, [0, -1], axis=axis).any(axis=1 - axis)
        if ends.all():
            sides = np.take(region_yx, [0, -1], axis=1 - axis).any(axis=1 - axis)
            whole = np.flatnonzero(region_yx.any(axis=1 - axis) & ~sides)
            if whole.size >= _LEAST_SECTIONS:
                return _line_through_middles(region_yx, whole, axis, scale)
    centred = points - points.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    if variances[1] < _LEAST_ELONGATION**2 * variances[0]:
        return "the lumen is not longer than wide; it is measured as a cross-section (transverse view)"
    return points.mean(axis=0), _rightward(directions[:, 1])


def _line_through_middles(
    region_yx: Mask, whole: npt.NDArray[np.intp], axis: int, scale: Scale
) -> tuple[Values, Values]:
    lanes = np.take(region_yx, whole, axis=axis)
    across = np.arange(lanes.shape[1 - axis])
    weights = lanes if axis == 1 else lanes.T
    middle = (across[:, None] * weights).sum(axis=0) / weights.sum(axis=0)
    slope, offset = np.polyfit(whole * scale.step_yx[axis], middle * scale.step_yx[1 - axis], 1)
    at = float(whole.mean() * scale.step_yx[axis])
    origin, along = np.zeros(2), np.zeros(2)
    origin[axis], origin[1 - axis] = at, offset + slope * at
    along[axis], along[1 - axis] = 1.0, slope
    return origin, _rightward(_unit(along[None])[0])


def _rightward(along: Values) -> Values:
    is_leftward = along[1] < 0 or (along[1] == 0 and along[0] < 0)
    return -along if is_leftward else along


def _without_ends(centre: Values, whole: Mask, diameter: float, region_yx: Mask, scale: Scale) -> tuple[Mask, bool]:
    """Leave out half a diameter at each end of the lumen that is not at the border of the image."""
    kept = whole.copy()
    position = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(centre, axis=0).T))])
    last = np.array(region_yx.shape) - 1
    shortened = False
    for end, distance in ((0, position), (-1, position[-1] - position)):
        at = scale.pixels(centre[end])
        if ((at > 2.5) & (at < last - 2.5)).all():
            kept &= distance >= diameter / 2
            shortened = True
    return kept, shortened
