"""Screens of several ultrasound regions: which of them show tissue, and an image cropped to one of them.

A screen may hold two B-mode pictures side by side, a Doppler curve, an ECG and colour bars, each with a scale of its
own. Only within one region do pixels have one size in millimetres (DICOM PS3.3 C.8.5.5, US Region Calibration).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.dicom import plain_errors, read_dicom
from Speckle2SelfLogic.dicom_geometry import COLOUR_FLOW, FORMAT_2D, TISSUE, region_pixel_size
from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.frames_in_file import Frames
from Speckle2SelfLogic.image import Crop, Pixels, UltrasoundImage
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.quiet import quiet_dicom
from Speckle2SelfLogic.stored_cine import StoredCine

_CONTENTS = {  # Region Data Type, DICOM PS3.3 C.8.5.5.1.1
    0: "nothing",
    TISSUE: "tissue",
    COLOUR_FLOW: "colour flow",
    3: "pulsed-wave Doppler",
    4: "continuous-wave Doppler",
    10: "ECG",
    11: "pulse",
    12: "phonocardiogram",
    13: "grey bar",
    14: "colour bar",
}
ANY_TISSUE = "tissue"


@dataclass(frozen=True)
class ScreenRegion:
    """One item of the sequence of ultrasound regions."""

    number: int
    """Place in the sequence, counted from 1."""
    content: str
    """What it shows, in words."""
    is_tissue: bool
    """Whether it is a two-dimensional picture of tissue or colour flow."""
    crop: Crop
    """Its place on the screen, cut off at the border of the frame."""

    def __str__(self) -> str:
        row, column, rows, columns = self.crop
        return f"{self.number}: {self.content}, {rows} rows from {row}, {columns} columns from {column}"


def screen_regions(path: Path) -> tuple[ScreenRegion, ...]:
    """Return the ultrasound regions of a DICOM file; empty if it names none or is no DICOM file.

    Raises
    ------
    ImageFileError
        If it is damaged, or has no image.
    """
    if not integrity.is_dicom(path):
        return ()
    with plain_errors(path):
        return _regions_of(_header(path))


def read_region(path: Path, choice: str) -> UltrasoundImage:
    """Read a DICOM image cropped to one of its ultrasound regions, with the pixel size of that region.

    Parameters
    ----------
    path
        A DICOM file.
    choice
        Number of the region, counted from 1, or ``"tissue"`` for the only one that shows tissue or colour flow.

    Raises
    ------
    SettingsError
        If there is no such region, or the choice is not clear; the message lists the regions.
    UnsupportedImageError
        If the file is no DICOM file.
    """
    with one_sentence(path, "cannot be read"):
        region = chosen_region(path, choice)
        image = read_dicom(path)
        return _cropped(image, np.ascontiguousarray(_inside(image, region)), path, region)


def chosen_region(path: Path, choice: str) -> ScreenRegion:
    """Return the region of a DICOM file that a choice means; raises what `read_region` raises."""
    if not integrity.is_dicom(path):
        message = f"'{path}' is not a DICOM file, so it has no ultrasound regions; leave the choice of a region out."
        raise UnsupportedImageError(message)
    return _chosen(path, screen_regions(path), choice)


def cropped_cine(cine: StoredCine, path: Path, region: ScreenRegion) -> StoredCine:
    """Return a cine of a DICOM file that stays where it is, cropped to a region as `read_region` does."""
    header = _cropped(cine.header, _inside(cine.header, region), path, region)
    return StoredCine(header, _CroppedFrames(cine.frames, region.crop))


class _CroppedFrames:
    """A rectangle of each frame, cut out when it is asked for."""

    def __init__(self, frames: Frames, crop: Crop) -> None:
        self._frames, self._crop = frames, crop
        self.shape = (frames.shape[0], crop.rows, crop.columns, *frames.shape[3:])
        self.dtype, self.close = frames.dtype, frames.close

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Pixels:
        row, column, rows, columns = self._crop
        return np.ascontiguousarray(self._frames[number][row : row + rows, column : column + columns])


def _header(path: Path) -> Dataset:
    with quiet_dicom():
        return pydicom.dcmread(path, stop_before_pixels=True, force=False)


def _regions_of(dataset: Dataset) -> tuple[ScreenRegion, ...]:
    found = []
    for number, item in enumerate(dataset.get("SequenceOfUltrasoundRegions", None) or (), start=1):
        top, left, bottom, right = (
            int(item.get(f"RegionLocation{edge}", None) or 0) for edge in ("MinY0", "MinX0", "MaxY1", "MaxX1")
        )
        rows = min(bottom + 1, int(dataset.Rows)) - top  # the corners belong to the region
        columns = min(right + 1, int(dataset.Columns)) - left
        kind = item.get("RegionDataType", None)
        is_tissue = item.get("RegionSpatialFormat", None) == FORMAT_2D and kind in (TISSUE, COLOUR_FLOW)
        content = _CONTENTS.get(kind, f"data of type {kind}")
        found.append(ScreenRegion(number, content, is_tissue, Crop(top, left, max(rows, 0), max(columns, 0))))
    return tuple(found)


def _chosen(path: Path, regions: tuple[ScreenRegion, ...], choice: str) -> ScreenRegion:
    listed = "; ".join(map(str, regions)) or "none"
    fitting = [region for region in regions if region.is_tissue or choice != ANY_TISSUE]
    if choice != ANY_TISSUE:
        fitting = [region for region in regions if str(region.number) == choice]
    if len(fitting) != 1:
        problem = "has no region" if not fitting else f"has {len(fitting)} regions"
        message = f"'{path}' {problem} '{choice}'; choose one by its number among its ultrasound regions ({listed})."
        raise SettingsError(message)
    if min(fitting[0].crop) < 0 or 0 in fitting[0].crop[2:]:
        message = f"Region {fitting[0].number} of '{path}' lies outside its frame; choose another ({listed})."
        raise SettingsError(message)
    return fitting[0]


def _inside(image: UltrasoundImage, region: ScreenRegion) -> Pixels:
    row, column, rows, columns = region.crop
    rectangle = (slice(row, row + rows), slice(column, column + columns))
    inside = (slice(None),) * len(image.frame_axes_first) + rectangle
    return image.pixels[inside]


def _cropped(image: UltrasoundImage, pixels: Pixels, path: Path, region: ScreenRegion) -> UltrasoundImage:
    """Return an image with the pixels of one of its regions, and with the geometry of that."""
    row, column = region.crop[:2]
    dataset = _header(path)
    x_mm, y_mm, calibration = region_pixel_size(dataset.SequenceOfUltrasoundRegions[region.number - 1], dataset)
    spacing = (x_mm, y_mm, *image.spacing_mm[2:])
    cosines = np.reshape(image.direction, (len(spacing), len(spacing)))
    origin = np.asarray(image.origin_mm) + column * x_mm * cosines[:, 0] + row * y_mm * cosines[:, 1]
    step = f"cropped to ultrasound region {region.number} ({region.content})"
    record = image.provenance
    return replace(
        image,
        pixels=pixels,
        spacing_mm=spacing,
        origin_mm=tuple(float(value) for value in origin),
        calibration=calibration,
        provenance=replace(record, history=(*record.history, step), crop=region.crop),
    )
