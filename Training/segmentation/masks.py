"""Masks as people have them: pictures, NumPy, NRRD, MetaImage, NIfTI, 3D Slicer's ``.seg.nrrd`` and DICOM SEG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.integrity import is_dicom
from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.sector import luminance
from Speckle2SelfLogic.segmentation_files import is_segmentation_name, read_labels

Labels = npt.NDArray[np.uint8]
Frames = npt.NDArray[np.generic]
DICOM_SEG = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation storage, and label map segmentation storage."""


def read_masks(path: Path, labels: Mapping[str, tuple[int, ...]], frames: int) -> Labels:
    """Read a mask as label frames (N, Y, X): 0 for background, 1, 2, ... in the order of ``labels``.

    Parameters
    ----------
    labels
        Name of each class and the values of the mask that stand for it. Where a file names its segments (``.seg.nrrd``,
        DICOM SEG), a segment of that name, in any case of letters, counts instead of the values.
    frames
        Frames of the image that the mask belongs to.

    Raises
    ------
    SettingsError
        If the mask has another number of frames, or none of the values.
    ImageFileError, UnsupportedImageError
        If the file cannot be read.
    """
    values, names = _values_and_names(path, frames)
    if len(values) != frames:
        message = f"The mask '{path}' has {len(values)} frames, but its image has {frames}."
        raise SettingsError(message)
    made = np.zeros(values.shape, np.uint8)
    by_name = {name.casefold(): number for number, name in enumerate(names, 1)}
    for number, (name, wanted) in enumerate(labels.items(), 1):
        found = (by_name[name.casefold()],) if name.casefold() in by_name else wanted
        made[np.isin(values, found)] = number
    if not made.any() and values.any():
        present = ", ".join(str(value) for value in np.unique(values)[:8])
        message = f"The mask '{path}' has none of the values of {dict(labels)}; it has {present}."
        raise SettingsError(message)
    return made


def _values_and_names(path: Path, frames: int) -> tuple[Frames, tuple[str, ...]]:
    if is_dicom(path) and _is_dicom_seg(path):
        return _read_dicom_seg(path, frames)
    if is_segmentation_name(path):
        file = read_labels(path)
        return _as_frames(file.labels.pixels), file.names
    image = read_image(path)
    pixels = np.asarray(image.pixels)
    if image.is_colour:
        pixels = np.rint(luminance(pixels[..., :3].astype(np.float32)))
    if pixels.dtype.kind == "f":
        whole = np.rint(pixels)
        if not np.array_equal(whole, pixels):
            message = f"The mask '{path}' has values that are no whole numbers; save it without smoothing."
            raise UnsupportedImageError(message)
        pixels = whole.astype(np.int64)
    return _as_frames(pixels), ()


def _as_frames(pixels: Frames) -> Frames:
    return pixels.reshape(-1, *pixels.shape[-2:])


def _is_dicom_seg(path: Path) -> bool:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True).get("SOPClassUID") in DICOM_SEG


def _read_dicom_seg(path: Path, frames: int) -> tuple[Frames, tuple[str, ...]]:
    """Read a DICOM segmentation by highdicom; frames are put in place by the frame of the image that each one names.

    Segments are numbered as in the file; where they overlap, the later one is kept.
    """
    try:
        import highdicom
    except ImportError as error:
        message = 'DICOM segmentations need highdicom; install it with: pip install "speckle2self[dicom-objects]".'
        raise SettingsError(message) from error
    segmentation = highdicom.seg.segread(str(path))
    pixels = segmentation.pixel_array
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    numbers = tuple(segmentation.segment_numbers)
    made = np.zeros((frames, *pixels.shape[1:]), np.uint8)
    is_labelmap = segmentation.SegmentationType == "LABELMAP"
    for place, frame in enumerate(segmentation.PerFrameFunctionalGroupsSequence):
        number = None if is_labelmap else int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        target = _frame_of_image(frame, place if is_labelmap else None)
        if not 0 <= target < frames:
            message = f"The segmentation '{path}' is of frame {target + 1}, but its image has {frames}."
            raise SettingsError(message)
        if number is None:
            made[target] = pixels[place]
        else:
            made[target][pixels[place] > 0] = number
    names = tuple(segmentation.get_segment_description(number).SegmentLabel for number in numbers)
    return made, names


def _frame_of_image(frame: Any, otherwise: int | None) -> int:  # noqa: ANN401 - a pydicom data set
    """Return the number, from 0, of the image frame that a frame of a segmentation was drawn on."""
    for derivation in frame.get("DerivationImageSequence", []):
        for source in derivation.get("SourceImageSequence", []):
            if "ReferencedFrameNumber" in source:
                number = source.ReferencedFrameNumber
                return int(number[0] if isinstance(number, (list, tuple)) else number) - 1
    return otherwise if otherwise is not None else 0
