"""A vessel over the frames of a cine: diameter curve, systole and diastole, distension."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.geometry.longitudinal import LongitudinalMeasurement, measure_longitudinal
from Speckle2SelfLogic.geometry.measures import SEGMENTATION_PX, Measure, Scale, Values
from Speckle2SelfLogic.geometry.stenosis import End
from Speckle2SelfLogic.geometry.transverse import TransverseMeasurement, measure_transverse

View = Literal["transverse", "longitudinal"]
FrameMeasurement = TransverseMeasurement | LongitudinalMeasurement

LEAST_FRAMES = 3
_HALF_WINDOW = 3
_SPREADS = 4.0


@dataclass(frozen=True, eq=False)
class DiameterCurve:
    """Diameter over time and its extremes."""

    diameter: Values
    """One value for each frame in the unit of ``systolic``; NaN where the frame could not be measured."""
    time_s: Values | None
    """Time of each frame, if it is known."""
    outliers: tuple[int, ...]
    """Frames that stand out from their neighbours and count for no extreme."""
    systolic: Measure
    """Greatest diameter."""
    diastolic: Measure
    """Least diameter."""
    systolic_frame: int | None
    diastolic_frame: int | None
    distension: Measure
    """Systolic less diastolic diameter."""
    relative_distension: Measure
    """The same in percent of the diastolic diameter."""

    def measures(self) -> dict[str, Measure]:
        """Return every figure by its name."""
        return {
            "systolic_diameter": self.systolic,
            "diastolic_diameter": self.diastolic,
            "distension": self.distension,
            "relative_distension": self.relative_distension,
        }


@dataclass(frozen=True, eq=False)
class CineMeasurement:
    """One measurement for each frame, and what changes between them."""

    frames: tuple[FrameMeasurement, ...]
    curve: DiameterCurve


def measure_frame(
    lumen_yx: npt.ArrayLike,
    wall_yx: npt.ArrayLike | None = None,
    *,
    view: View = "transverse",
    spacing_mm: tuple[float, ...] | None = None,
    segmentation_px: float = SEGMENTATION_PX,
    distal_end: End = "left",
) -> FrameMeasurement:
    """Measure one frame in the view that is named; see `measure_transverse` and `measure_longitudinal`.

    Raises
    ------
    SettingsError
        If the view is unknown, or what the two raise.
    """
    if view == "transverse":
        return measure_transverse(lumen_yx, wall_yx, spacing_mm=spacing_mm, segmentation_px=segmentation_px)
    if view == "longitudinal":
        return measure_longitudinal(
            lumen_yx, wall_yx, spacing_mm=spacing_mm, segmentation_px=segmentation_px, distal_end=distal_end
        )
    message = f"The view must be 'transverse' or 'longitudinal', but is '{view}'."
    raise SettingsError(message)


def measure_cine(
    lumen_tyx: npt.ArrayLike,
    wall_tyx: npt.ArrayLike | None = None,
    *,
    view: View = "transverse",
    spacing_mm: tuple[float, ...] | None = None,
    times_s: Sequence[float] | None = None,
    segmentation_px: float = SEGMENTATION_PX,
    distal_end: End = "left",
    progress: Callable[[int, int], None] | None = None,
) -> CineMeasurement:
    """Measure every frame of a cine (or every slice of a stack).

    Parameters
    ----------
    lumen_tyx, wall_tyx
        Masks (T, Y, X).
    view, spacing_mm, segmentation_px, distal_end
        As for `measure_frame`.
    times_s
        Time of each frame in seconds, if it is known.
    progress
        Called with (frames done, frames in all); what it raises ends the measurement.

    Raises
    ------
    UnsupportedImageError
        If the masks are not stacks of frames or differ in shape.
    SettingsError
        If there are not as many times as frames, or what `measure_frame` raises.
    """
    lumen = np.asarray(lumen_tyx)
    wall = None if wall_tyx is None else np.asarray(wall_tyx)
    if lumen.ndim != 3 or lumen.size == 0:
        message = f"A cine of masks must have three axes (frames, rows, columns), but has shape {lumen.shape}."
        raise UnsupportedImageError(message)
    if wall is not None and wall.shape != lumen.shape:
        message = f"The wall mask has shape {wall.shape}, but the lumen mask has shape {lumen.shape}."
        raise UnsupportedImageError(message)
    scale = Scale.of(spacing_mm, segmentation_px)
    frames = []
    for index, frame in enumerate(lumen):
        frames.append(
            measure_frame(
                frame,
                None if wall is None else wall[index],
                view=view,
                spacing_mm=spacing_mm,
                segmentation_px=segmentation_px,
                distal_end=distal_end,
            )
        )
        if progress is not None:
            progress(index + 1, len(lumen))
    return CineMeasurement(tuple(frames), diameter_curve([frame.diameter for frame in frames], scale, times_s))


def diameter_curve(diameters: Sequence[Measure], scale: Scale, times_s: Sequence[float] | None = None) -> DiameterCurve:
    """Return the curve of measured diameters, its extremes and the distension.

    Systole and diastole are the greatest and the least diameter of all frames but outliers: frames that lie off a
    robust line (Theil 1950, Sen 1968) through themselves and the six nearest frames by more than four standard
    deviations (estimated from the median absolute deviation) and more than twice the uncertainty of a change.

    Parameters
    ----------
    diameters
        One for each frame; those without a value are left out.
    scale
        Of the image; a change between frames is known to ``sqrt(4 / 12)`` pixels, see `measures`.
    times_s
        Time of each frame in seconds.

    Raises
    ------
    SettingsError
        If there are not as many times as frames.
    """
    if times_s is not None and len(times_s) != len(diameters):
        message = f"There are {len(diameters)} frames but {len(times_s)} times; give one time for each frame."
        raise SettingsError(message)
    values = np.array([math.nan if each.value is None else each.value for each in diameters], np.float64)
    time = None if times_s is None else np.asarray(times_s, np.float64)
    u_change = scale.mean_step * math.sqrt(4 / 12)
    is_outlier = _stands_out(values, 2 * u_change)
    usable = np.flatnonzero(np.isfinite(values) & ~is_outlier)
    outliers = tuple(int(index) for index in np.flatnonzero(is_outlier))
    if usable.size < LEAST_FRAMES:
        reason = f"{usable.size} frames could be measured, {LEAST_FRAMES} are needed for a change over time"
        length = scale.no_length(reason)
        percent = Measure.missing("%", reason)
        return DiameterCurve(values, time, outliers, length, length, None, None, length, percent)
    systole, diastole = int(usable[values[usable].argmax()]), int(usable[values[usable].argmin()])
    change, least = float(values[systole] - values[diastole]), float(values[diastole])
    return DiameterCurve(
        values,
        time,
        outliers,
        diameters[systole],
        diameters[diastole],
        systole,
        diastole,
        scale.length(change, u_change),
        Measure(100 * change / least, 100 * u_change / least, "%"),
    )


def _stands_out(values: Values, least: float) -> npt.NDArray[np.bool_]:
    from scipy import stats  # takes half a second, which nobody should wait for before it is needed

    found = np.zeros(values.size, bool)
    seen = np.flatnonzero(np.isfinite(values))
    if seen.size <= _HALF_WINDOW:
        return found
    for place, index in enumerate(seen):
        first = min(max(0, place - _HALF_WINDOW), max(0, seen.size - 2 * _HALF_WINDOW - 1))
        around = seen[first : first + 2 * _HALF_WINDOW + 1]
        slope, offset, _, _ = stats.theilslopes(values[around], around)
        beside = values[around] - slope * around - offset
        spread = 1.4826 * float(np.median(np.abs(beside)))
        found[index] = abs(values[index] - slope * index - offset) > max(_SPREADS * spread, least)
    return found
