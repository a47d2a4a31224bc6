"""DICOM segmentation objects (SEG) read as masks on the frames that they were drawn on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import Dataset

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.dicom_context import read_header
from Speckle2SelfLogic.dicom_geometry import frame_count, frame_geometry
from Speckle2SelfLogic.errors import GeometryError, ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.image import Calibration
from Speckle2SelfLogic.plain_errors import is_file, one_sentence
from Speckle2SelfLogic.quiet import quiet_dicom

_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # segmentation, label map segmentation
_MOST_SEGMENTS = 255


@dataclass(frozen=True, eq=False)
class DicomSegments:
    """The segments of a file, numbered from 1 as there."""

    masks: tuple[npt.NDArray[np.bool_], ...]
    """One for each segment, (frames, Y, X)."""
    names: tuple[str, ...]
    spacing_mm: tuple[float, float]
    calibration: Calibration


def is_dicom_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation object."""
    if not is_file(path) or not integrity.is_dicom(path):
        return False
    try:
        return read_header(path).get("SOPClassUID", None) in _CLASSES
    except Exception:
        return False


def read_dicom_segmentation(path: Path, frames: int | None = None) -> DicomSegments:
    """Read a DICOM segmentation; each mask is put on the frame of the image that it refers to.

    Parameters
    ----------
    path
        The file.
    frames
        Frames of the image. Left out: up to the last one that a mask refers to.

    Raises
    ------
    ImageFileError
        If the file is damaged.
    UnsupportedImageError
        If it was drawn on several files, or has too many segments.
    GeometryError
        If it marks more frames than there are.
    """
    with one_sentence(path, "cannot be read"), quiet_dicom():
        integrity.check_file(path)
        try:
            dataset = pydicom.dcmread(path)
            pixels = np.asarray(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns)
            numbers = {int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.SegmentSequence}
            numbers.pop(0, None)  # a label map may list its background
            places = [_place(dataset, index) for index in range(frame_count(dataset))]
        except (OSError, MemoryError):
            raise
        except Exception as error:
            message = f"'{path}' is a damaged DICOM segmentation: it cannot be read."
            raise ImageFileError(message) from error
    if len({instance for instance, _, _ in places if instance}) > 1:
        message = f"'{path}' was drawn on several files; only segmentations of the frames of one file can be read."
        raise UnsupportedImageError(message)
    last = max(frame for _, frame, _ in places)
    if frames is not None and last >= frames:
        message = f"The segmentation '{path}' marks frame {last + 1}, but its image has {frames}; choose its own image."
        raise GeometryError(message)
    if not 1 <= max(numbers, default=0) <= _MOST_SEGMENTS:
        message = f"'{path}' numbers its segments up to {max(numbers, default=0)}; 1 to {_MOST_SEGMENTS} can be read."
        raise UnsupportedImageError(message)
    masks = np.zeros((max(numbers), frames or last + 1, *pixels.shape[1:]), bool)
    # Of fractional segments, what is at least half inside counts.
    least = max(1.0, float(dataset.get("MaximumFractionalValue", None) or 0) / 2)
    for frame_yx, (_, frame, number) in zip(pixels, places, strict=True):
        for each in numbers if number is None else (number,):
            masks[each - 1, frame] |= frame_yx == each if number is None else frame_yx >= least
    geometry = frame_geometry(dataset, 1)
    calibration = geometry.calibration
    if not calibration.is_calibrated:
        calibration = Calibration(is_calibrated=False, reason="a DICOM segmentation of a cine tells no pixel size")
    names = tuple(numbers.get(number, "") for number in range(1, max(numbers) + 1))
    return DicomSegments(tuple(masks), names, (geometry.spacing_mm[0], geometry.spacing_mm[1]), calibration)


def _place(dataset: Dataset, index: int) -> tuple[str, int, int | None]:
    """Return the image, its frame from 0, and the segment (None for a label map) of a frame.

    Label maps that name no frame of an image are taken in their own order.
    """
    number = None
    if dataset.SegmentationType != "LABELMAP":
        found = next(_items(dataset, index, "SegmentIdentificationSequence"))
        number = int(found.ReferencedSegmentNumber)
    for derivation in _items(dataset, index, "DerivationImageSequence"):
        for source in derivation.get("SourceImageSequence", None) or ():
            frame = source.get("ReferencedFrameNumber", None)
            first = frame[0] if isinstance(frame, (list, pydicom.multival.MultiValue)) else frame
            return str(source.ReferencedSOPInstanceUID), int(first or 1) - 1, number
    return "", index if number is None else 0, number


def _items(dataset: Dataset, index: int, keyword: str) -> Iterator[Dataset]:
    """Yield the items of a functional group of a frame, its own first and then those that all frames share."""
    own, shared = dataset.get("PerFrameFunctionalGroupsSequence"), dataset.get("SharedFunctionalGroupsSequence")
    for group in (*(own or ())[index : index + 1], *(shared or ())[:1]):
        yield from group.get(keyword, None) or ()
