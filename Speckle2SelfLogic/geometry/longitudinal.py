"""Lumen, far wall and narrowing of a vessel along its axis, from masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.geometry import contour
from Speckle2SelfLogic.geometry.far_wall import FarWall, far_wall_thickness
from Speckle2SelfLogic.geometry.measures import SEGMENTATION_PX, Measure, Scale, Values, checked_pixels
from Speckle2SelfLogic.geometry.sections import cross_sections
from Speckle2SelfLogic.geometry.stenosis import End, Stenosis, no_stenosis, stenosis
from Speckle2SelfLogic.geometry.transverse import LEAST_PIXELS


@dataclass(frozen=True, eq=False)
class LongitudinalMeasurement:
    """A vessel along its axis. Lengths are in mm if calibrated, else in pixels; places are rows and columns."""

    mean_diameter: Measure
    minimum_diameter: Measure
    maximum_diameter: Measure
    length: Measure
    """Length of the axis over which whole sections lie in the image."""
    angle_rad: float | None
    """Of the axis with the image rows, positive if the vessel runs down to the right."""
    position: Values
    """Place of each section along the axis, in the unit of the diameters, left to right."""
    diameter_profile: Values
    """Diameter at each place, perpendicular to the axis."""
    near_yx_px: Values
    far_yx_px: Values
    """Ends (N, 2) of the sections on the wall near to the probe and far from it, for drawing."""
    far_wall: FarWall | None
    mean_imt: Measure
    maximum_imt: Measure
    stenosis: Stenosis
    notes: tuple[str, ...]

    @property
    def diameter(self) -> Measure:
        """The diameter that a curve over time shows."""
        return self.mean_diameter

    def measures(self) -> dict[str, Measure]:
        """Return every figure by its name."""
        return {
            "mean_diameter": self.mean_diameter,
            "minimum_diameter": self.minimum_diameter,
            "maximum_diameter": self.maximum_diameter,
            "length": self.length,
            "mean_imt": self.mean_imt,
            "maximum_imt": self.maximum_imt,
            "imt_length": self.far_wall.length if self.far_wall else self.mean_imt,
            "nascet_stenosis": self.stenosis.nascet,
            "area_stenosis": self.stenosis.area,
            "reference_diameter": self.stenosis.reference_diameter,
        }


def measure_longitudinal(
    lumen_yx: npt.ArrayLike,
    wall_yx: npt.ArrayLike | None = None,
    *,
    spacing_mm: tuple[float, ...] | None = None,
    segmentation_px: float = SEGMENTATION_PX,
    distal_end: End = "left",
    reference_stretch: tuple[float, float] | None = None,
) -> LongitudinalMeasurement:
    """Measure a vessel that lies along the image, at any angle.

    Parameters
    ----------
    lumen_yx
        Mask (Y, X); what is not zero is lumen. It may end at the border of the image.
    wall_yx
        Mask of the wall of the same shape, at least that of the far (lower) wall; it may include the lumen.
    spacing_mm
        Pixel spacing (x, y) in mm; None measures in pixels.
    segmentation_px
        See `measures`: standard uncertainty of the common shift of a border in pixels.
    distal_end, reference_stretch
        See `stenosis`.

    Returns
    -------
    LongitudinalMeasurement
        A figure that cannot be measured has no value but a reason.

    Raises
    ------
    UnsupportedImageError
        If a mask is not two-dimensional or the shapes differ.
    SettingsError
        If spacing, uncertainty, end or stretch are out of range.
    """
    mask = checked_pixels("lumen", lumen_yx)
    wall = None if wall_yx is None else checked_pixels("wall", wall_yx, mask.shape)
    scale = Scale.of(spacing_mm, segmentation_px)
    region = contour.largest_region(mask)
    if region is None or region.mask_yx.sum() < LEAST_PIXELS:
        count = 0 if region is None else int(region.mask_yx.sum())
        return _nothing(scale, f"the lumen has {count} pixels, {LEAST_PIXELS} are needed" if count else "no lumen")
    sections = cross_sections(region.mask_yx, scale)
    if isinstance(sections, str):
        return _nothing(scale, sections)
    far_wall = "no wall mask" if wall is None else far_wall_thickness(region.mask_yx, wall, sections, scale)
    notes = list(region.notes)
    if sections.is_shortened:
        notes.append("half a diameter was left out where the lumen mask ends inside the image")
    if not isinstance(far_wall, str):
        notes += far_wall.notes
    diameter = sections.diameter
    shift = 2 * scale.border((math.cos(sections.angle_rad), math.sin(sections.angle_rad)))
    return LongitudinalMeasurement(
        mean_diameter=scale.length(diameter.mean(), shift),
        minimum_diameter=scale.length(diameter.min(), shift),
        maximum_diameter=scale.length(diameter.max(), shift),
        length=scale.length(sections.length, 2 * scale.mean_step * math.sqrt(1 / 12)),
        angle_rad=sections.angle_rad,
        position=sections.position,
        diameter_profile=diameter,
        near_yx_px=scale.pixels(sections.near_yx),
        far_yx_px=scale.pixels(sections.far_yx),
        far_wall=None if isinstance(far_wall, str) else far_wall,
        mean_imt=scale.no_length(far_wall) if isinstance(far_wall, str) else far_wall.mean,
        maximum_imt=scale.no_length(far_wall) if isinstance(far_wall, str) else far_wall.maximum,
        stenosis=stenosis(sections, scale, distal_end, reference_stretch),
        notes=tuple(notes),
    )


def _nothing(scale: Scale, reason: str) -> LongitudinalMeasurement:
    length, nowhere = scale.no_length(reason), np.zeros((0, 2))
    return LongitudinalMeasurement(
        mean_diameter=length,
        minimum_diameter=length,
        maximum_diameter=length,
        length=length,
        angle_rad=None,
        position=np.zeros(0),
        diameter_profile=np.zeros(0),
        near_yx_px=nowhere,
        far_yx_px=nowhere,
        far_wall=None,
        mean_imt=length,
        maximum_imt=length,
        stenosis=no_stenosis(scale, reason),
        notes=(reason,),
    )
