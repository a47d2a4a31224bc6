"""Masks as people have them: pictures, NumPy, NRRD, MetaImage, NIfTI, 3D Slicer's ``.seg.nrrd`` and DICOM SEG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.dicom_seg_reading import is_dicom_segmentation
from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.sector import luminance
from Speckle2SelfLogic.segmentation_files import is_segmentation_name, read_labels

Labels = npt.NDArray[np.uint8]
Frames = npt.NDArray[np.generic]


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
    ImageFileError, UnsupportedImageError, GeometryError
        As `Speckle2SelfLogic.segmentation_files.read_labels`.
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
    if is_segmentation_name(path) or is_dicom_segmentation(path):
        file = read_labels(path, frames)
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
