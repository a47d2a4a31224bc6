"""Lumen and wall of a vessel in cross-section, from masks."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from Speckle2SelfLogic.geometry import contour
from Speckle2SelfLogic.geometry.measures import (
    SEGMENTATION_PX,
    Line,
    Mask,
    Measure,
    Point,
    Scale,
    Values,
    checked_pixels,
)
from Speckle2SelfLogic.geometry.sections import blurred, first_fall

LEAST_PIXELS = 20
"""A lumen of fewer pixels has no shape that could be measured."""
WALL_SAMPLES = 180
_LEAST_WALL_PX = 0.5
_NORMAL_SAMPLES = 3.0
TOUCHES = "the {} mask touches the border of the image, so that a part of it may be missing"


@dataclass(frozen=True, eq=False)
class WallThickness:
    """Thickness of the wall all round the lumen, from the lumen border outward along its normal to the outer border."""

    mean: Measure
    maximum: Measure
    minimum: Measure
    angle_rad: Values
    """Direction from the centroid of the lumen, 0 to the right, growing clockwise on the screen (y points down)."""
    thickness: Values
    """Thickness at each angle in the unit of ``mean``; NaN where the mask has no wall."""
    coverage: float
    """Share of the lumen border that has a wall, 0..1."""
    inner_yx_px: Values
    outer_yx_px: Values
    """End points (N, 2) of each thickness on the lumen border and on the outer border."""


@dataclass(frozen=True, eq=False)
class TransverseMeasurement:
    """A lumen in cross-section. Lengths are in mm if calibrated, else in pixels; places are rows and columns."""

    area: Measure
    equivalent_diameter: Measure
    """Diameter of the circle of the same area."""
    minimum_diameter: Measure
    """Least distance of two parallel lines that hold the lumen between them (least Feret diameter)."""
    maximum_diameter: Measure
    """Greatest distance of two points of the border (greatest Feret diameter)."""
    perimeter: Measure
    circularity: Measure
    """4 pi area / perimeter^2 (Cox 1927): 1 for a circle."""
    mean_wall: Measure
    maximum_wall: Measure
    minimum_wall: Measure
    centroid_yx_px: Point | None
    contour_yx_px: Values
    """Border of the lumen (N, 2), closed, for drawing; empty if there is none."""
    minimum_line_yx_px: Line | None
    maximum_line_yx_px: Line | None
    wall: WallThickness | None
    notes: tuple[str, ...]

    @property
    def diameter(self) -> Measure:
        """The diameter that a curve over time shows."""
        return self.equivalent_diameter

    def measures(self) -> dict[str, Measure]:
        """Return every figure by its name, in the order of the fields."""
        named = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in named if isinstance(value, Measure)}


def measure_transverse(
    lumen_yx: npt.ArrayLike,
    wall_yx: npt.ArrayLike | None = None,
    *,
    spacing_mm: tuple[float, ...] | None = None,
    segmentation_px: float = SEGMENTATION_PX,
) -> TransverseMeasurement:
    """Measure a lumen in cross-section.

    Parameters
    ----------
    lumen_yx
        Mask (Y, X); what is not zero is lumen. Of several parts the largest is measured.
    wall_yx
        Mask of the wall of the same shape, a ring or a part of one; it may include the lumen.
    spacing_mm
        Pixel spacing (x, y) in mm; None measures in pixels.
    segmentation_px
        See `measures`: standard uncertainty of the common shift of a border in pixels.

    Returns
    -------
    TransverseMeasurement
        A figure that cannot be measured (empty mask, no wall) has no value but a reason.

    Raises
    ------
    UnsupportedImageError
        If a mask is not two-dimensional or the shapes differ.
    SettingsError
        If spacing or uncertainty are out of range.
    """
    mask = checked_pixels("lumen", lumen_yx)
    scale = Scale.of(spacing_mm, segmentation_px)
    region = contour.largest_region(mask)
    if region is None or region.mask_yx.sum() < LEAST_PIXELS:
        count = 0 if region is None else int(region.mask_yx.sum())
        return _nothing(scale, f"the lumen has {count} pixels, {LEAST_PIXELS} are needed" if count else "no lumen")
    notes = [*region.notes, *([TOUCHES.format("lumen")] if region.touches_border else [])]
    border_px = contour.border_contour(region.mask_yx)
    border = scale.physical(border_px)
    area, perimeter, u_border = contour.polygon_area(border), contour.polygon_length(border), scale.border()
    equivalent = 2 * math.sqrt(area / math.pi)
    minimum, maximum = feret_lines(border)
    centroid = contour.polygon_centroid(border_px)
    wall, why_no_wall = None, "no wall mask"
    if wall_yx is not None:
        wall, why_no_wall, wall_notes = _wall_thickness(
            region.mask_yx, checked_pixels("wall", wall_yx, mask.shape), border_px, centroid, scale
        )
        notes += wall_notes
    walls = (wall.mean, wall.maximum, wall.minimum) if wall else (scale.no_length(why_no_wall),) * 3
    return TransverseMeasurement(
        Measure(area, perimeter * u_border, scale.area_unit),
        scale.length(equivalent, 2 * perimeter * u_border / (math.pi * equivalent)),
        _distance(minimum, scale),
        _distance(maximum, scale),
        scale.length(perimeter, 2 * math.pi * u_border),
        Measure(4 * math.pi * area / perimeter**2, 4 * math.pi * u_border / perimeter, ""),
        *walls,
        centroid,
        border_px,
        as_line(scale.pixels(minimum)),
        as_line(scale.pixels(maximum)),
        wall,
        tuple(notes),
    )


def feret_lines(border: Values) -> tuple[Values, Values]:
    """Return the least and the greatest caliper diameter of a closed polygon as lines (2, 2) in its coordinates.

    The least one stands on a side of the convex hull (Shamos 1978, rotating calipers), the greatest one joins two
    corners of the hull.
    """
    hull = border[spatial.ConvexHull(border).vertices]
    side = np.roll(hull, -1, axis=0) - hull
    normal = np.stack([side[:, 1], -side[:, 0]], axis=1) / np.hypot(*side.T)[:, None]
    height = np.abs(((hull[None] - hull[:, None]) * normal[:, None]).sum(axis=2))
    base = int(height.max(axis=1).argmin())
    corner = hull[int(height[base].argmax())]
    foot = corner - np.dot(corner - hull[base], normal[base]) * normal[base]
    between = spatial.distance.cdist(hull, hull)
    first, second = np.unravel_index(int(between.argmax()), between.shape)
    return np.stack([foot, corner]), np.stack([hull[first], hull[second]])


def as_line(points: Values) -> Line:
    """Return two points (2, 2) as plain numbers."""
    (y0, x0), (y1, x1) = points.tolist()
    return (y0, x0), (y1, x1)


def _distance(line: Values, scale: Scale) -> Measure:
    step = line[1] - line[0]
    length = math.hypot(*step)
    return scale.length(length, 2 * scale.border((step[0] / length, step[1] / length)))


def _wall_thickness(
    lumen: Mask, wall: Mask, border_px: Values, centroid: Point, scale: Scale
) -> tuple[WallThickness | None, str, list[str]]:
    outside = wall & ~lumen
    if not outside.any():
        return None, "the wall mask is empty outside the lumen", []
    region = contour.largest_region(outside | lumen, "wall and lumen")
    if region is None or not ((region.mask_yx & lumen).any() and (region.mask_yx & outside).any()):
        return None, "the wall mask does not touch the lumen", []
    notes = [*region.notes, *([TOUCHES.format("wall")] if region.touches_border else [])]
    inner = scale.physical(contour.resampled(border_px, WALL_SAMPLES))
    normal = _outward_normals(inner)
    reach = float(np.ptp(scale.physical(np.argwhere(region.mask_yx)), axis=0).max())
    thickness = first_fall(blurred(region.mask_yx), inner - 1e-6 * normal, normal, reach, scale)
    outer = inner + np.nan_to_num(thickness)[:, None] * normal
    angle = np.arctan2(*(inner - scale.physical(centroid)).T)
    order = np.argsort(angle)
    angle, thickness, inner, outer = angle[order], thickness[order], inner[order], outer[order]
    covered = thickness >= _LEAST_WALL_PX * scale.mean_step
    if not covered.any():
        return None, "the wall is thinner than half a pixel", notes
    if not covered.all():
        notes.append(f"the wall mask covers {covered.mean():.0%} of the lumen border; only that was measured")
    seen, uncertainty = thickness[covered], math.sqrt(2) * scale.border()
    thicknesses = WallThickness(
        mean=scale.length(seen.mean(), uncertainty),
        maximum=scale.length(seen.max(), uncertainty),
        minimum=scale.length(seen.min(), uncertainty),
        angle_rad=angle,
        thickness=np.where(covered, thickness, np.nan),
        coverage=float(covered.mean()),
        inner_yx_px=scale.pixels(inner),
        outer_yx_px=scale.pixels(outer),
    )
    return thicknesses, "", notes


def _outward_normals(border: Values) -> Values:
    """Return unit normals (N, 2) of a closed polygon with points at equal distances, smoothed over a few of them."""
    smooth = ndimage.gaussian_filter1d(border, _NORMAL_SAMPLES, axis=0, mode="wrap")
    along = np.roll(smooth, -1, axis=0) - np.roll(smooth, 1, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.hypot(*along.T)[:, None]
    is_outward = float((normal * (border - border.mean(axis=0))).sum()) > 0
    return np.asarray(normal if is_outward else -normal)


def _nothing(scale: Scale, reason: str) -> TransverseMeasurement:
    area, ratio, length = Measure.missing(scale.area_unit, reason), Measure.missing("", reason), scale.no_length(reason)
    figures = (area, length, length, length, length, ratio, length, length, length)
    return TransverseMeasurement(*figures, None, np.zeros((0, 2)), None, None, None, (reason,))
