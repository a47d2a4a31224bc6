"""Masks in files measured frame by frame, and the results as rows for CSV and JSON."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.dicom_context import read_header
from Speckle2SelfLogic.dicom_geometry import frame_times_ms
from Speckle2SelfLogic.errors import GeometryError, SettingsError
from Speckle2SelfLogic.frames import frames_view
from Speckle2SelfLogic.geometry.cine import CineMeasurement, View, measure_cine
from Speckle2SelfLogic.geometry.measures import SEGMENTATION_PX, Mask, Measure
from Speckle2SelfLogic.geometry.narrowing import AreaStenosis, area_stenosis, parse_reference
from Speckle2SelfLogic.geometry.stenosis import End
from Speckle2SelfLogic.geometry.transverse import TransverseMeasurement
from Speckle2SelfLogic.image import Calibration, UltrasoundImage
from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.segmentation_files import SegmentationFile, read_labels

Labels = npt.NDArray[np.uint8]

LUMEN_NAMES, WALL_NAMES = ("lumen",), ("wall", "intima-media", "intima media")
LUMEN_LABEL, WALL_LABEL = 1, 2


@dataclass(frozen=True)
class MeasureRequest:
    """What to measure; see `measure_file`."""

    mask: Path
    wall: Path | None = None
    image: Path | None = None
    view: View = "transverse"
    lumen_segment: str | None = None
    wall_segment: str | None = None
    segmentation_px: float = SEGMENTATION_PX
    distal_end: End = "left"
    frame_interval_ms: float | None = None
    reference_frames: str | None = None
    """See `narrowing.parse_reference`."""


@dataclass(frozen=True, eq=False)
class MeasuredFile:
    """The measurements of a file of masks."""

    request: MeasureRequest
    calibration: Calibration
    cine: CineMeasurement
    notes: tuple[str, ...]
    """About the file; notes about a frame are with its measurement."""
    stenosis: AreaStenosis | None = None
    """Narrowing over cross-sections; None where the frames are no stack of them."""


def measure_file(request: MeasureRequest, progress: Callable[[int, int], None] | None = None) -> MeasuredFile:
    """Measure every frame of a file of masks.

    Lumen and wall are found by what the mask file says: segments of a ``.seg.nrrd`` or a DICOM segmentation by their
    names; else label 1 is the lumen and label 2 the wall; a file of one label is all lumen. ``lumen_segment`` and
    ``wall_segment`` (a name or a label) choose others; a file given as ``wall`` is the wall wherever it is not zero. An
    ``image`` tells calibration and time if the mask does not, and must not contradict it. Slices of a transverse volume
    lie along the vessel, and so do the frames of a cine if ``reference_frames`` are given: area stenosis is for them.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        If a file cannot be read or is no label image.
    GeometryError
        If the files do not have the same frames.
    SettingsError
        If no frame has a lumen, a segment does not exist, or a setting is out of range.
    """
    image = None if request.image is None else read_image(request.image)
    file = read_labels(request.mask, None if image is None else len(frames_view(image)))
    labels = _frames(file.labels)
    _check_same(request.mask, labels.shape, request.image, None if image is None else _shape(image))
    if not labels.any():
        message = f"The mask '{request.mask}' is empty: no pixel of any frame is lumen; mark the lumen first."
        raise SettingsError(message)
    lumen, notes = _lumen(file, labels, request)
    if not lumen.any():
        present = np.unique(labels[labels > 0]).tolist()
        message = f"No pixel of '{request.mask}' is lumen; its labels are {present}: name one with --lumen-segment."
        raise SettingsError(message)
    reference = None if request.reference_frames is None else parse_reference(request.reference_frames)
    if reference is not None and request.view == "longitudinal":
        message = "Reference frames are for transverse views; along the vessel the distal end is the reference."
        raise SettingsError(message)
    wall = _wall(file, labels, request)
    known = _calibrated(file.labels, image, request)
    cine = measure_cine(
        lumen,
        wall,
        view=request.view,
        spacing_mm=known.spacing_mm[:2] if known.calibration.is_calibrated else None,
        times_s=_times(len(lumen), request.frame_interval_ms, image),
        segmentation_px=request.segmentation_px,
        distal_end=request.distal_end,
        progress=progress,
    )
    if not known.calibration.is_calibrated:
        notes.append(f"measured in pixels, since the image is not calibrated: {known.calibration.reason}")
    across = [frame for frame in cine.frames if isinstance(frame, TransverseMeasurement)]
    is_stack = reference is not None or (len(across) > 1 and file.labels.axes == "ZYX")
    narrowing = area_stenosis(across, reference) if across and is_stack else None
    return MeasuredFile(request, known.calibration, cine, (*notes, *(narrowing.notes if narrowing else ())), narrowing)


def as_dict(measured: MeasuredFile) -> dict[str, Any]:
    """Return everything but the profiles as plain values for JSON."""
    curve = measured.cine.curve
    return {
        "mask": str(measured.request.mask),
        "view": measured.request.view,
        "calibrated": measured.calibration.is_calibrated,
        "calibration": measured.calibration.reason,
        "notes": list(measured.notes),
        "frames": [
            {
                "frame": index,
                "time_s": None if curve.time_s is None else float(curve.time_s[index]),
                "measures": {name: _plain(each) for name, each in frame.measures().items()},
                "notes": list(frame.notes),
            }
            for index, frame in enumerate(measured.cine.frames)
        ],
        "cine": {
            **{name: _plain(each) for name, each in curve.measures().items()},
            "systolic_frame": curve.systolic_frame,
            "diastolic_frame": curve.diastolic_frame,
            "outlier_frames": list(curve.outliers),
        },
        "stack": _stack(measured.stenosis),
        "use": RESEARCH_USE,
    }


def _stack(found: AreaStenosis | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        **{name: _plain(each) for name, each in found.measures().items()},
        "minimum_frame": found.minimum_frame,
        "reference_frames": list(found.reference_frames),
        "frames_without_lumen": list(found.without_lumen),
        "frames_with_lumen_cut_off": list(found.cut_off),
    }


def write_csv(measured: MeasuredFile, path: Path) -> None:
    """Write one row for each frame; units are in the names of the columns.

    Raises
    ------
    ImageFileError
        If the file cannot be written.
    """
    rows = []
    for index, frame in enumerate(measured.cine.frames):
        time = measured.cine.curve.time_s
        row: dict[str, object] = {"frame": index, "time_s": "" if time is None else float(time[index])}
        for name, each in frame.measures().items():
            unit = {"": "", "%": "_percent"}.get(each.unit, f"_{each.unit}")
            row[f"{name}{unit}"] = "" if each.value is None else each.value
            row[f"{name}_uncertainty{unit}"] = "" if each.uncertainty is None else each.uncertainty
        rows.append({**row, "notes": "; ".join(frame.notes)})
    with one_sentence(path, "cannot be written"), path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _plain(measure: Measure) -> dict[str, Any]:
    return {
        "value": measure.value,
        "uncertainty": measure.uncertainty,
        "unit": measure.unit,
        "reason": measure.reason or None,
    }


def _frames(labels: UltrasoundImage) -> Labels:
    return np.asarray(labels.pixels, np.uint8).reshape(-1, *labels.pixels.shape[-2:])


def _segment(file: SegmentationFile, label: int) -> Mask:
    mask = file.segment(label)
    return mask.reshape(-1, *mask.shape[-2:])


def _calibrated(labels: UltrasoundImage, image: UltrasoundImage | None, request: MeasureRequest) -> UltrasoundImage:
    """Return which of mask and image tells the size of a pixel."""
    if image is None or not image.calibration.is_calibrated:
        return labels
    if not labels.calibration.is_calibrated:
        return image
    if not np.allclose(labels.spacing_mm[:2], image.spacing_mm[:2], rtol=1e-3):
        ours, theirs = (" x ".join(f"{step:.4g}" for step in each.spacing_mm[:2]) for each in (labels, image))
        message = (
            f"The pixels of the mask '{request.mask}' are {ours} mm (x, y), but those of '{request.image}' are "
            f"{theirs} mm; correct the one that is wrong."
        )
        raise GeometryError(message)
    return labels


def _shape(image: UltrasoundImage) -> tuple[int, ...]:
    frames = frames_view(image)
    return len(frames), *np.asarray(frames[0]).shape[:2]


def _check_same(mask: Path, shape: tuple[int, ...], other: Path | None, other_shape: tuple[int, ...] | None) -> None:
    if other_shape is not None and shape != other_shape:
        message = (
            f"'{other}' has {_size(other_shape)}, but the mask '{mask}' has {_size(shape)}; they must be of one image."
        )
        raise GeometryError(message)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} frames of {shape[1]} x {shape[2]}"


def _lumen(file: SegmentationFile, labels: Labels, request: MeasureRequest) -> tuple[Mask, list[str]]:
    if request.lumen_segment is not None:
        return _segment(file, _label_of(file, request.lumen_segment)), []
    if (label := _named(file, LUMEN_NAMES)) is not None:
        return _segment(file, label), []
    present = np.unique(labels)
    present = present[present > 0]
    if present.size <= 1 and not file.names:
        return labels > 0, []
    names = f" ({', '.join(file.names)})" if file.names else ""
    note = f"label {LUMEN_LABEL} is taken for the lumen; the file has labels {present.tolist()}{names}"
    return _segment(file, LUMEN_LABEL), [note]


def _wall(file: SegmentationFile, labels: Labels, request: MeasureRequest) -> Mask | None:
    if request.wall is not None:
        other = read_labels(request.wall, len(labels))
        walls = _frames(other.labels)
        _check_same(request.mask, labels.shape, request.wall, walls.shape)
        label = _label_of(other, request.wall_segment) if request.wall_segment else _named(other, WALL_NAMES)
        return np.asarray(walls > 0) if label is None else _segment(other, label)
    if request.wall_segment is not None:
        return _segment(file, _label_of(file, request.wall_segment))
    label = _named(file, WALL_NAMES)
    if label is None and not file.names and request.lumen_segment is None:
        label = WALL_LABEL
    return _segment(file, label) if label is not None and (labels == label).any() else None


def _named(file: SegmentationFile, parts: tuple[str, ...]) -> int | None:
    found = (number for number, name in enumerate(file.names, 1) if any(part in name.casefold() for part in parts))
    return next(found, None)


def _label_of(file: SegmentationFile, segment: str) -> int:
    folded = [name.casefold() for name in file.names]
    if segment.casefold() in folded:
        return folded.index(segment.casefold()) + 1
    if segment.isdecimal() and int(segment) > 0:
        return int(segment)
    known = f"its segments are {', '.join(file.names)}" if file.names else "it has no names, so give a label such as 1"
    message = f"The mask file has no segment '{segment}': {known}."
    raise SettingsError(message)


def _times(count: int, interval_ms: float | None, image: UltrasoundImage | None) -> list[float] | None:
    if interval_ms is not None and not 0 < interval_ms < float("inf"):
        message = f"The time between frames must be above 0 ms, but is {interval_ms}."
        raise SettingsError(message)
    if interval_ms is not None:
        return [index * interval_ms / 1000 for index in range(count)]
    if image is None or image.axes != "TYX" or "DICOM" not in image.provenance.file_format:
        return None
    times_ms = frame_times_ms(read_header(Path(image.provenance.source)), count)
    return None if times_ms is None else [time / 1000 for time in times_ms]
