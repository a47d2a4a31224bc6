"""How much smaller a lumen is, in area, than it should be, from cross-sections along the vessel.

Area stenosis = 1 - area of the narrowest cross-section / area of the reference cross-section, as in the consensus on
measuring arteries in cross-section (Mintz et al., J Am Coll Cardiol 37, 2001, 1478-1492: "lumen area stenosis", whose
reference segment has to be named). The reference is the normal vessel distal to the narrowing, as in NASCET (N Engl J
Med 325, 1991, 445-453), or what the user names instead. The cross-sections have to lie across the vessel; how oblique
they are, the masks do not say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.geometry.measures import Measure
from Speckle2SelfLogic.geometry.stenosis import DISTAL_SHARE
from Speckle2SelfLogic.geometry.transverse import TOUCHES, TransverseMeasurement

Reference = Literal["first", "last"] | tuple[int, int]
"""The distal end of the stack, or the first and the last frame of the normal vessel, counted from 0."""

NOT_NAMED = (
    "the masks do not say which cross-sections show the normal distal vessel; name them: first, last, or frames such "
    "as 20-24"
)
_ENDS: dict[str, Reference] = {"first": "first", "last": "last"}


@dataclass(frozen=True)
class AreaStenosis:
    """Narrowing of a vessel over its cross-sections, in percent of area."""

    percent: Measure
    minimum_area: Measure
    reference_area: Measure
    """Median area of the reference cross-sections."""
    minimum_frame: int | None
    reference_frames: tuple[int, ...]
    """Frames that count for the reference."""
    without_lumen: tuple[int, ...]
    """Frames that were left out because they show no lumen."""
    cut_off: tuple[int, ...]
    """Frames that were left out because the lumen runs out of the image, so that its area is not known."""

    def measures(self) -> dict[str, Measure]:
        """Return every figure by its name."""
        return {
            "area_stenosis": self.percent,
            "minimum_area": self.minimum_area,
            "reference_area": self.reference_area,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, one sentence each."""
        left_out = {
            "without lumen": len(self.without_lumen),
            "in which the lumen touches the border of the image": len(self.cut_off),
        }
        return tuple(f"{count} frames {why} count for no area stenosis" for why, count in left_out.items() if count)


def area_stenosis(frames: Sequence[TransverseMeasurement], reference: Reference | None) -> AreaStenosis:
    """Return the narrowing at the least lumen area against a reference, from cross-sections in their order.

    Parameters
    ----------
    frames
        Measured cross-sections along the vessel: a stack, or a cine in which the probe moves along it. Those without
        lumen, and those whose lumen runs out of the image, are left out and counted.
    reference
        ``"first"`` or ``"last"``: the end of the stack towards the head, whose fifth of the length over which the
        lumen was seen is the normal distal vessel; or its first and last frame. None: nobody knows.

    Returns
    -------
    AreaStenosis
        Its figures have no value but a reason where there is no usable reference. Both borders may be shifted as
        `measures` says: with u_A = perimeter x u_b and r = least / reference, u = 100 hypot(u_least, r u_reference) /
        reference.

    Raises
    ------
    SettingsError
        If the reference is none of these, or frames are named that do not exist.
    """
    stretch = _checked(reference, len(frames))
    without = tuple(index for index, frame in enumerate(frames) if frame.area.value is None)
    cut_off = tuple(index for index, frame in enumerate(frames) if TOUCHES.format("lumen") in frame.notes)
    usable = [index for index in range(len(frames)) if index not in {*without, *cut_off}]
    unit = next((frame.area.unit for frame in frames), "px2")

    def nothing(reason: str) -> AreaStenosis:
        area = Measure.missing(unit, reason)
        return AreaStenosis(Measure.missing("%", reason), area, area, None, (), without, cut_off)

    if len(usable) < 2:
        return nothing(f"{len(usable)} of {len(frames)} frames show a whole lumen, 2 are needed")
    if stretch is None:
        return nothing(NOT_NAMED)
    counted = [index for index in usable if _is_in(index, stretch, usable)]
    if not counted:
        return nothing(f"none of the reference frames {stretch[0]} to {stretch[1]} shows a whole lumen; name others")
    area = {index: float(frames[index].area.value or 0) for index in usable}
    uncertainty = {index: float(frames[index].area.uncertainty or 0) for index in usable}
    narrowest = min(usable, key=lambda index: area[index])
    if narrowest in counted:
        return nothing(f"the narrowest cross-section (frame {narrowest}) is one of the reference frames; name others")
    normal, u_normal = (float(np.median([each[index] for index in counted])) for each in (area, uncertainty))
    ratio = area[narrowest] / normal
    u_ratio = math.hypot(uncertainty[narrowest], ratio * u_normal) / normal
    return AreaStenosis(
        Measure(100 * (1 - ratio), 100 * u_ratio, "%"),
        frames[narrowest].area,
        Measure(normal, u_normal, unit),
        narrowest,
        tuple(counted),
        without,
        cut_off,
    )


def parse_reference(text: str) -> Reference:
    """Read ``first``, ``last``, a frame such as ``7``, or frames such as ``20-24``.

    Raises
    ------
    SettingsError
        If it is none of these.
    """
    if text in _ENDS:
        return _ENDS[text]
    numbers = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
    if numbers is None:
        message = f"The reference frames must be first, last, or frames such as 7 or 20-24, but are '{text}'."
        raise SettingsError(message)
    return int(numbers[1]), int(numbers[2] or numbers[1])


def _checked(reference: Reference | None, count: int) -> Reference | None:
    if isinstance(reference, tuple) and len(reference) == 2:
        first, last = reference
        if not 0 <= first <= last < count:
            message = f"The reference frames {first} to {last} do not exist; name frames in 0 to {count - 1}, in order."
            raise SettingsError(message)
        return reference
    if reference not in (None, "first", "last"):
        message = f"The reference must be 'first', 'last' or two frames, but is {reference!r}."
        raise SettingsError(message)
    return reference


def _is_in(index: int, stretch: Reference, usable: Sequence[int]) -> bool:
    if isinstance(stretch, tuple):
        return stretch[0] <= index <= stretch[1]
    share = DISTAL_SHARE * (usable[-1] - usable[0])
    return index <= usable[0] + share if stretch == "first" else index >= usable[-1] - share
