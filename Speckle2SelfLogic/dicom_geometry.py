"""Where the frames of a DICOM object lie, and whether its spacing is physical."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from Speckle2SelfLogic.image import Calibration

Numbers = tuple[float, ...]

# Terms of the US Region Calibration module, DICOM PS3.3 C.8.5.5
FORMAT_2D, TISSUE, COLOUR_FLOW, _UNIT_CM = 1, 1, 2, 3
_POSITIONS = (("PlanePositionSequence", "ImagePositionPatient"), ("PlanePositionVolumeSequence", "ImagePositionVolume"))
_ORIENTATIONS = (
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PlaneOrientationVolumeSequence", "ImageOrientationVolume"),
)
_POSITION_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class FrameGeometry:
    """Axes, extent of the axes in front of Y and X, and geometry in ITK order (LPS millimetres; time in ms)."""

    axes: str
    leading_shape: tuple[int, ...]
    spacing_mm: Numbers
    origin_mm: Numbers
    direction: Numbers
    calibration: Calibration
    notes: tuple[str, ...] = ()


def frame_count(dataset: Dataset) -> int:
    """Return the number of frames; an absent or empty element means one."""
    return max(int(dataset.get("NumberOfFrames", None) or 1), 1)


def frame_geometry(dataset: Dataset, frames: int) -> FrameGeometry:
    """Return the geometry of a DICOM object.

    Frames whose positions step evenly are a volume (``ZYX``, or ``TZYX`` if the positions repeat); one frame with a
    position and an orientation is a volume of one slice; other frames are ``YX`` or a cine ``TYX``.
    """
    x_mm, y_mm, calibration = _pixel_size(dataset)
    interval_ms = _frame_interval_ms(dataset)
    orientation = _numbers(dataset, 0, *_ORIENTATIONS)
    positions = [_numbers(dataset, frame, *_POSITIONS) for frame in range(frames)]
    notes: tuple[str, ...] = ()
    if len(orientation) == 6 and all(len(position) == 3 for position in positions):
        origins = np.array(positions, dtype=float)
        period = _period(origins)
        step = _even_step(origins[:period], orientation, _slice_spacing(dataset))
        if step is not None and (period > 1 or frames == 1):
            thickness = float(np.linalg.norm(step))
            cosines = np.column_stack([orientation[:3], orientation[3:], step / thickness])
            volume = ((x_mm, y_mm, thickness), positions[0], cosines)
            return _placed(volume, frames // period, period, interval_ms, calibration)
        if period > 1:
            notes = ("frame positions are not evenly spaced: read as a cine",)
    if frames == 1:
        return FrameGeometry("YX", (), (x_mm, y_mm), (0.0, 0.0), _flat(np.eye(2)), calibration, notes)
    spacing = (x_mm, y_mm, interval_ms)
    return FrameGeometry("TYX", (frames,), spacing, (0.0, 0.0, 0.0), _flat(np.eye(3)), calibration, notes)


def _placed(
    volume: tuple[Numbers, Numbers, npt.NDArray[np.float64]],
    volumes: int,
    slices: int,
    interval_ms: float,
    calibration: Calibration,
) -> FrameGeometry:
    spacing, origin, cosines = volume
    if volumes == 1:
        return FrameGeometry("ZYX", (slices,), spacing, origin, _flat(cosines), calibration)
    with_time = np.eye(4)
    with_time[:3, :3] = cosines
    spacing, origin = (*spacing, interval_ms), (*origin, 0.0)
    return FrameGeometry("TZYX", (volumes, slices), spacing, origin, _flat(with_time), calibration)


def _pixel_size(dataset: Dataset) -> tuple[float, float, Calibration]:
    """Return the column and row spacing in mm (1 if unknown) and how it is known."""
    if regions := dataset.get("SequenceOfUltrasoundRegions", None):
        return _regions_pixel_size(dataset, regions)
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = _numbers(dataset, 0, ("PixelMeasuresSequence", keyword))
        if len(spacing) == 2 and min(spacing) > 0 and all(map(math.isfinite, spacing)):
            y_mm, x_mm = spacing
            if x_mm == y_mm == 1.0:
                return 1.0, 1.0, _uncalibrated(f"{keyword} is 1.0, which usually means that it was never set")
            return x_mm, y_mm, Calibration(is_calibrated=True, reason=f"{keyword} of the file")
    return 1.0, 1.0, _uncalibrated("the file has no ultrasound region and no pixel spacing")


def _regions_pixel_size(dataset: Dataset, regions: Sequence[Dataset]) -> tuple[float, float, Calibration]:
    """Return the spacing of the only ultrasound region; with several there is none that holds for every pixel."""
    if len(regions) == 1:
        return region_pixel_size(regions[0], dataset)
    return (
        1.0,
        1.0,
        _uncalibrated(
            f"the file has {len(regions)} ultrasound regions, and only a single one would hold for every pixel; "
            "choose one of them"
        ),
    )


def region_pixel_size(region: Dataset, dataset: Dataset) -> tuple[float, float, Calibration]:
    """Return the spacing within an ultrasound region (DICOM PS3.3 C.8.5.5): cm per pixel, times ten."""
    form, content = region.get("RegionSpatialFormat", None), region.get("RegionDataType", None)
    units = (region.get("PhysicalUnitsXDirection", None), region.get("PhysicalUnitsYDirection", None))
    deltas_cm = [float(region.get(f"PhysicalDelta{axis}", None) or 0.0) for axis in "XY"]
    why_not = ""
    if form != FORMAT_2D:
        why_not = f"the ultrasound region is not two-dimensional (spatial format {form})"
    elif content not in (TISSUE, COLOUR_FLOW):
        why_not = f"the ultrasound region shows neither tissue nor colour flow (data type {content})"
    elif units != (_UNIT_CM, _UNIT_CM):
        why_not = f"the ultrasound region is not in cm (units {units[0]} and {units[1]})"
    elif not all(math.isfinite(delta) and delta > 0 for delta in deltas_cm):
        why_not = f"the pixel size of the ultrasound region is not positive ({deltas_cm[0]} and {deltas_cm[1]} cm)"
    if why_not:
        return 1.0, 1.0, _uncalibrated(why_not)
    x_mm, y_mm = (10.0 * delta for delta in deltas_cm)
    right, bottom = region.get("RegionLocationMaxX1", None) or 0, region.get("RegionLocationMaxY1", None) or 0
    if right > dataset.Columns or bottom > dataset.Rows:
        return (
            x_mm,
            y_mm,
            _uncalibrated(
                f"the ultrasound region reaches to column {right} and row {bottom} of an image with {dataset.Columns} "
                f"columns and {dataset.Rows} rows, so the image was resized or cropped after it was calibrated"
            ),
        )
    return x_mm, y_mm, Calibration(is_calibrated=True, reason="one two-dimensional ultrasound region in cm")


def _uncalibrated(reason: str) -> Calibration:
    return Calibration(is_calibrated=False, reason=reason)


def _numbers(dataset: Dataset, frame: int, *wanted: tuple[str, str]) -> Numbers:
    """Return an element of a frame as numbers, empty if there is none.

    It is looked for in the frame's own functional groups, then in the shared ones, and for the first frame in the
    dataset itself; each of ``wanted`` names a macro sequence and an element in it.
    """
    own, shared = dataset.get("PerFrameFunctionalGroupsSequence"), dataset.get("SharedFunctionalGroupsSequence")
    groups = [*(own or ())[frame : frame + 1], *(shared or ())[:1]]
    for macro, keyword in wanted:
        holders = [items[0] for group in groups if (items := group.get(macro))]
        for holder in (*holders, *((dataset,) if frame == 0 else ())):
            if (value := holder.get(keyword)) not in (None, ""):
                return tuple(float(number) for number in np.atleast_1d(value))
    return ()


def _period(origins: npt.NDArray[np.float64]) -> int:
    """Return after how many frames the positions repeat; their number if they do not repeat evenly."""
    count = len(origins)
    is_first = np.flatnonzero(np.linalg.norm(origins - origins[0], axis=1) < _POSITION_TOLERANCE_MM)
    period = int(is_first[1]) if len(is_first) > 1 else count
    if count % period or np.abs(origins - np.resize(origins[:period], origins.shape)).max() > _POSITION_TOLERANCE_MM:
        return count
    return period


def _even_step(
    origins: npt.NDArray[np.float64], orientation: Numbers, slice_spacing_mm: float
) -> npt.NDArray[np.float64] | None:
    """Return the step from slice to slice in mm, or None if it varies or lies in the plane of the slices."""
    normal = np.cross(np.asarray(orientation[:3], float), np.asarray(orientation[3:], float))
    if np.linalg.norm(normal) < 0.5:
        return None
    if len(origins) == 1:
        return np.asarray(normal / np.linalg.norm(normal) * slice_spacing_mm)
    steps = np.diff(origins, axis=0)
    if np.abs(steps - steps.mean(axis=0)).max() > max(_POSITION_TOLERANCE_MM, 0.01 * float(np.abs(steps).max())):
        return None
    step = np.asarray(steps.mean(axis=0))
    return step if abs(step @ normal) > 0.1 * np.linalg.norm(step) > 0 else None


def _slice_spacing(dataset: Dataset) -> float:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        values = _numbers(dataset, 0, ("PixelMeasuresSequence", keyword))
        if values and math.isfinite(values[0]) and values[0] > 0:
            return values[0]
    return 1.0


def frame_times_ms(dataset: Dataset, frames: int) -> list[float] | None:
    """Return the time of each frame from the first one on in ms, even or not; None if the file does not tell it."""
    steps = _numbers(dataset, 0, ("", "FrameTimeVector"))
    if len(steps) == frames > 1 and all(math.isfinite(step) and step > 0 for step in steps[1:]):
        return [float(time) for time in np.cumsum((0.0, *steps[1:]))]
    interval = _known_interval_ms(dataset)
    return None if interval is None else [index * interval for index in range(frames)]


def _frame_interval_ms(dataset: Dataset) -> float:
    """Return the mean time between frames in ms; 1 if the file does not tell it."""
    return _known_interval_ms(dataset) or 1.0


def _known_interval_ms(dataset: Dataset) -> float | None:
    intervals = _numbers(dataset, 0, ("", "FrameTimeVector"))
    if len(intervals) > 1:
        mean = float(np.mean(intervals[1:]))  # the first one is zero
    else:
        rate = float(dataset.get("CineRate", None) or 0.0)
        mean = float(dataset.get("FrameTime", None) or (1000.0 / rate if rate > 0 else 0.0))
    return mean if math.isfinite(mean) and mean > 0 else None


def _flat(matrix: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in matrix.ravel())
