"""How much narrower a vessel is than it should be.

Diameter stenosis as in NASCET (N Engl J Med 325, 1991, 445-453): 1 - least diameter / diameter of the normal vessel
distal to the narrowing. Area stenosis: the same of areas, which `narrowing` measures in cross-sections; from the
diameters here it is 1 - (least / normal)^2, which takes both sections for circles (or ellipses of one shape). In NASCET
the normal vessel is the internal carotid artery where its walls are parallel; whether the image shows that, the mask
does not say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.geometry.measures import Line, Measure, Scale
from Speckle2SelfLogic.geometry.sections import Sections

End = Literal["left", "right"]
DISTAL_SHARE = 0.2


@dataclass(frozen=True)
class Stenosis:
    """Narrowing of a vessel along its axis, in percent."""

    nascet: Measure
    area: Measure
    minimum_diameter: Measure
    reference_diameter: Measure
    """Median diameter of the stretch that stands for the normal distal vessel."""
    minimum_position: float | None
    reference_stretch: tuple[float, float] | None
    """From where to where along the axis, in the unit of the diameters."""
    minimum_line_yx_px: Line | None


def stenosis(
    sections: Sections, scale: Scale, distal_end: End = "left", reference_stretch: tuple[float, float] | None = None
) -> Stenosis:
    """Return the narrowing at the least diameter against the distal vessel.

    Parameters
    ----------
    sections
        Of the lumen.
    scale
        Of the image.
    distal_end
        The side of the image towards the head; carotid arteries are usually shown with the head on the left. Its last
        fifth of the measured length is the reference, unless ``reference_stretch`` is given.
    reference_stretch
        Start and end of the normal vessel along the axis, in the unit of the scale.

    Raises
    ------
    SettingsError
        If the end is unknown or no section lies in the stretch.
    """
    if distal_end not in ("left", "right"):
        message = f"The distal end must be 'left' or 'right', but is '{distal_end}'."
        raise SettingsError(message)
    length, position = sections.length, sections.position
    if reference_stretch is None:
        share = DISTAL_SHARE * length
        reference_stretch = (0.0, share) if distal_end == "left" else (length - share, length)
    first, last = reference_stretch
    is_reference = (position >= first) & (position <= last)
    if not is_reference.any():
        message = (
            f"No section lies in the reference stretch {first} to {last} {scale.unit}; it must be in 0 to {length:.1f}."
        )
        raise SettingsError(message)
    narrowest = int(sections.diameter.argmin())
    least, normal = float(sections.diameter[narrowest]), float(np.median(sections.diameter[is_reference]))
    ratio, shift = least / normal, 2 * scale.border(tuple(sections.far_normal_yx[narrowest]))
    u_ratio = shift / normal * math.hypot(1, ratio)
    if is_reference[narrowest]:
        reason = "the narrowest place lies in the stretch that stands for the normal distal vessel"
        percents = Measure.missing("%", reason), Measure.missing("%", reason)
    else:
        nascet = Measure(100 * (1 - ratio), 100 * u_ratio, "%")
        percents = nascet, Measure(100 * (1 - ratio**2), 200 * ratio * u_ratio, "%")
    near, far = scale.pixels([sections.near_yx[narrowest], sections.far_yx[narrowest]]).tolist()
    return Stenosis(
        *percents,
        scale.length(least, shift),
        scale.length(normal, shift),
        float(position[narrowest]),
        (float(first), float(last)),
        ((near[0], near[1]), (far[0], far[1])),
    )


def no_stenosis(scale: Scale, reason: str) -> Stenosis:
    """Return a narrowing that could not be measured."""
    percent, length = Measure.missing("%", reason), scale.no_length(reason)
    return Stenosis(percent, percent, length, length, None, None, None)
