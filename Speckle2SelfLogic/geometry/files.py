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
from Speckle2SelfLogic.errors import GeometryError, SettingsError
from Speckle2SelfLogic.frames import frames_view
from Speckle2SelfLogic.geometry.cine import CineMeasurement, View, measure_cine
from Speckle2SelfLogic.geometry.measures import SEGMENTATION_PX, Mask, Measure
from Speckle2SelfLogic.geometry.stenosis import End
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


@dataclass(frozen=True, eq=False)
class MeasuredFile:
    """The measurements of a file of masks."""

    request: MeasureRequest
    calibration: Calibration
    cine: CineMeasurement
    notes: tuple[str, ...]
    """About the file; notes about a frame are with its measurement."""


def measure_file(request: MeasureRequest, progress: Callable[[int, int], None] | None = None) -> MeasuredFile:
    """Measure every frame of a file of masks.

    Lumen and wall are found by what the mask file says: segments of a ``.seg.nrrd`` by their names; else label 1 is the
    lumen and label 2 the wall; a file of one label is all lumen. ``lumen_segment`` and ``wall_segment`` (a name or a
    label) choose others; a file given as ``wall`` is the wall wherever it is not zero. An ``image`` tells calibration
    and time if the mask does not.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        If a file cannot be read or is no label image.
    GeometryError
        If the files do not have the same frames.
    SettingsError
        If no frame has a lumen, a segment does not exist, or a setting is out of range.
    """
    file = read_labels(request.mask)
    image = None if request.image is None else read_image(request.image)
    labels = _frames(file.labels)
    _check_same(request.mask, labels.shape, request.image, None if image is None else _shape(image))
    lumen, notes = _lumen(file, labels, request)
    if not lumen.any():
        message = f"The mask '{request.mask}' is empty: no pixel of any frame is lumen; mark the lumen first."
        raise SettingsError(message)
    wall = _wall(file, labels, request)
    known = file.labels if image is None or file.labels.calibration.is_calibrated else image
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
    return MeasuredFile(request, known.calibration, cine, tuple(notes))


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
        "use": RESEARCH_USE,
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
        return labels == _label_of(file, request.lumen_segment), []
    if (label := _named(file, LUMEN_NAMES)) is not None:
        return labels == label, []
    present = np.unique(labels)
    present = present[present > 0]
    if present.size <= 1 and not file.names:
        return labels > 0, []
    names = f" ({', '.join(file.names)})" if file.names else ""
    note = f"label {LUMEN_LABEL} is taken for the lumen; the file has labels {present.tolist()}{names}"
    return labels == LUMEN_LABEL, [note]


def _wall(file: SegmentationFile, labels: Labels, request: MeasureRequest) -> Mask | None:
    if request.wall is not None:
        other = read_labels(request.wall)
        walls = _frames(other.labels)
        _check_same(request.mask, labels.shape, request.wall, walls.shape)
        label = _label_of(other, request.wall_segment) if request.wall_segment else _named(other, WALL_NAMES)
        return np.asarray(walls > 0 if label is None else walls == label)
    if request.wall_segment is not None:
        return np.asarray(labels == _label_of(file, request.wall_segment))
    label = _named(file, WALL_NAMES)
    if label is None and not file.names and request.lumen_segment is None:
        label = WALL_LABEL
    return np.asarray(labels == label) if label is not None and (labels == label).any() else None


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
    is_timed = image is not None and image.axes == "TYX" and "DICOM" in image.provenance.file_format
    if interval_ms is None and image is not None and is_timed and image.spacing_mm[-1] != 1.0:
        interval_ms = image.spacing_mm[-1]
    return None if interval_ms is None else [index * interval_ms / 1000 for index in range(count)]
