"""Intima-media thickness (IMT) of the far wall, by the Mannheim consensus.

Touboul et al., "Mannheim carotid intima-media thickness and plaque consensus (2004-2006-2011)", Cerebrovascular
Diseases 34, 2012, 290-296: the IMT is the distance from the lumen-intima to the media-adventitia interface of the far
wall of the common carotid artery, in a stretch of at least 10 mm without plaque. Plaque is a focal structure that
encroaches into the lumen by at least 0.5 mm or by 50 % of the surrounding IMT, or a thickness of more than 1.5 mm. The
American Society of Echocardiography (Stein et al., J Am Soc Echocardiogr 21, 2008, 93-111) asks for the distal 10 mm of
the common carotid artery likewise. Where in the artery the image lies, a mask does not say: that is up to the user.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from Speckle2SelfLogic.geometry import contour
from Speckle2SelfLogic.geometry.measures import Mask, Measure, Scale, Values
from Speckle2SelfLogic.geometry.sections import Sections, blurred, first_fall

LEAST_LENGTH_MM = 10.0
PLAQUE_MM, PLAQUE_STEP_MM, PLAQUE_STEP_SHARE = 1.5, 0.5, 0.5
_STEEPEST_RAD = math.radians(60)
_LEAST_WALL_PX = 0.5


@dataclass(frozen=True, eq=False)
class FarWall:
    """Far-wall IMT over the longest stretch without gap and plaque; lengths in mm if calibrated, else in pixels."""

    mean: Measure
    maximum: Measure
    length: Measure
    """Length of the stretch that mean and maximum are taken over."""
    position: Values
    """Place of each section along the vessel, as in `Sections`."""
    thickness: Values
    """IMT at each place; NaN where the mask has no wall."""
    is_plaque: Mask
    is_used: Mask
    """Sections of the stretch."""
    inner_yx_px: Values
    outer_yx_px: Values
    """Ends (N, 2) of each thickness at the lumen-intima and the media-adventitia border."""
    meets_consensus: bool
    """Whether the stretch is at least 10 mm long (never known without calibration) and no plaque was left out."""
    notes: tuple[str, ...]


def far_wall_thickness(lumen_yx: Mask, wall_yx: Mask, sections: Sections, scale: Scale) -> FarWall | str:
    """Return the far-wall IMT along the sections of a lumen, or why it cannot be measured."""
    if abs(sections.angle_rad) > _STEEPEST_RAD:
        return f"the vessel runs at {math.degrees(abs(sections.angle_rad)):.0f} degrees to the image rows: no far wall"
    outside = wall_yx & ~lumen_yx
    if not outside.any():
        return "the wall mask is empty outside the lumen"
    region = contour.largest_region(wall_yx | lumen_yx, "wall and lumen")
    if region is None or not ((region.mask_yx & lumen_yx).any() and (region.mask_yx & outside).any()):
        return "the wall mask does not touch the lumen"
    normal = sections.far_normal_yx
    reach = 1.5 * float(np.median(sections.diameter))
    thickness = first_fall(blurred(region.mask_yx), sections.far_yx - 1e-6 * normal, normal, reach, scale)
    thickness[~(thickness >= _LEAST_WALL_PX * scale.mean_step)] = np.nan
    seen = np.isfinite(thickness)
    if not seen.any():
        return "no wall lies below the lumen"
    plaque = _plaque(thickness, scale)
    used = _longest_run(seen & ~plaque)
    if not used.any():
        return "all of the far wall counts as plaque"
    places = sections.position[used]
    length = float(places[-1] - places[0])
    uncertainty = math.sqrt(2) * scale.border(tuple(normal[used].mean(axis=0)))
    enough = scale.unit == "mm" and length >= LEAST_LENGTH_MM
    inner = scale.pixels(sections.far_yx)
    return FarWall(
        scale.length(thickness[used].mean(), uncertainty),
        scale.length(thickness[used].max(), uncertainty),
        scale.length(length, 2 * scale.mean_step * math.sqrt(1 / 12)),
        sections.position,
        thickness,
        plaque,
        used,
        inner,
        np.where(seen[:, None], inner + scale.pixels(np.nan_to_num(thickness)[:, None] * normal), np.nan),
        enough and not plaque.any(),
        _notes(scale, length, int(plaque.sum())),
    )


def _notes(scale: Scale, length: float, plaque_count: int) -> tuple[str, ...]:
    notes = []
    if scale.unit != "mm":
        notes.append("the image is not calibrated, so that nobody knows whether 10 mm of far wall were measured")
    elif length < LEAST_LENGTH_MM:
        notes.append(f"only {length:.1f} mm of far wall were measured; the consensus asks for at least 10 mm")
    if plaque_count:
        notes.append(f"{plaque_count} sections of the far wall count as plaque and were left out")
    return tuple(notes)


def _plaque(thickness: Values, scale: Scale) -> Mask:
    """Where the thickness, smoothed over five sections, is that of plaque; the median stands for the surroundings."""
    around = float(np.nanmedian(thickness))
    smooth = ndimage.median_filter(np.where(np.isfinite(thickness), thickness, around), 5, mode="nearest")
    limits = [around * (1 + PLAQUE_STEP_SHARE)]
    if scale.unit == "mm":
        limits += [PLAQUE_MM, around + PLAQUE_STEP_MM]
    return np.asarray((smooth > min(limits)) & np.isfinite(thickness))


def _longest_run(chosen: Mask) -> Mask:
    labels, count = ndimage.label(chosen)
    if count == 0:
        return chosen
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels)[1:])))
