"""Label images on disk: formats of the core that keep whole numbers, 3D Slicer's ``.seg.nrrd``, and DICOM SEG.

A ``.seg.nrrd`` file is a three-dimensional NRRD label image whose header names the segments. A single frame becomes a
volume of one slice, a cine a stack of its frames.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.dicom_seg_reading import is_dicom_segmentation, read_dicom_segmentation
from Speckle2SelfLogic.errors import ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.image import Provenance, UltrasoundImage
from Speckle2SelfLogic.io import check_writable, image_suffix, read_image, write_image
from Speckle2SelfLogic.plain_errors import one_sentence

Mask = npt.NDArray[np.bool_]

SEGMENTATION_SUFFIX = ".seg.nrrd"
_LOSSY = (".jpg", ".jpeg")
_DICOM = ".dcm"
_COLOURS = ("0.85 0.15 0.15", "0.95 0.8 0.3", "0.2 0.6 0.9", "0.3 0.8 0.4")


@dataclass(frozen=True, eq=False)
class SegmentationFile:
    """Labels, and the name of each label by its number from 1 on (empty if the file has no names)."""

    labels: UltrasoundImage
    names: tuple[str, ...]
    segments: tuple[Mask, ...] = ()
    """Mask of each name, with the shape of the labels, if the file holds segments that may overlap; else empty."""

    def segment(self, number: int) -> Mask:
        """Return where the segment of a number from 1 on is, whole, also where a later one covers its label."""
        if 0 < number <= len(self.segments):
            return self.segments[number - 1]
        return np.asarray(self.labels.pixels == number)

    @property
    def has_overlaps(self) -> bool:
        """Whether a pixel belongs to more than one segment."""
        return bool(self.segments) and sum(int(mask.sum()) for mask in self.segments) > int(
            np.count_nonzero(self.labels.pixels)
        )


def is_segmentation_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file name ends in ``.seg.nrrd``."""
    return Path(path).name.lower().endswith(SEGMENTATION_SUFFIX)


def check_labels_writable(labels: UltrasoundImage | None, path: str | os.PathLike[str]) -> None:
    """Check before any computing that labels could be written to a path; None checks the path alone.

    Raises
    ------
    ImageFileError
        If the format cannot hold labels exactly, or as `Speckle2SelfLogic.io.check_writable`.
    """
    suffix = image_suffix(path)
    if suffix in _LOSSY:
        message = (
            f"'{path}' cannot be written: {suffix} cannot hold labels; use .seg.nrrd, .nrrd, .nii.gz, .png or .dcm."
        )
        raise ImageFileError(message)
    if is_segmentation_name(path) and labels is not None and labels.geometry_dimension > 3:
        message = f"'{path}' cannot be written: .seg.nrrd holds 3 axes, but the image has {labels.axes}; use .nrrd."
        raise ImageFileError(message)
    check_writable(None if suffix == _DICOM else labels, path)


def write_labels(labels: UltrasoundImage, path: str | os.PathLike[str], names: Sequence[str]) -> None:
    """Write a label image in the format that the ending of the path names; it appears whole or not at all.

    ``.dcm`` is a DICOM segmentation of the DICOM file that the labels' image was read from.

    Parameters
    ----------
    names
        Of labels 1, 2, ...; ``.seg.nrrd`` and DICOM hold them.

    Raises
    ------
    ImageFileError
        As `check_labels_writable`, or if writing fails.

    Warns
    -----
    GeometryLossWarning
        As `Speckle2SelfLogic.io.write_image`.
    """
    check_labels_writable(labels, path)
    target, is_dicom = Path(path), image_suffix(path) == _DICOM
    if not is_dicom and not is_segmentation_name(path):
        write_image(labels, path)
        return
    with (
        one_sentence(path, "could not be written", labels.pixels.nbytes),
        tempfile.TemporaryDirectory(prefix=".speckle2self-", dir=target.parent) as folder,
    ):
        draft = Path(folder) / target.name
        (_write_dicom if is_dicom else _write_seg_nrrd)(labels, draft, names)
        draft.replace(target)


def read_labels(path: str | os.PathLike[str], frames: int | None = None) -> SegmentationFile:
    """Read a label image of any format of the core; of a ``.seg.nrrd`` or a DICOM segmentation with its names.

    Segments of a ``.seg.nrrd`` are numbered from 1 in the order of its header, those of a DICOM segmentation as there;
    where segments overlap, the later one is in the label image, and all of them are in ``segments``.

    Parameters
    ----------
    path
        The file.
    frames
        Frames of the image that it was drawn on, which a DICOM segmentation does not tell. Left out: up to the last
        frame that it marks.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        As `Speckle2SelfLogic.io.read_image`, or if values are no whole numbers from 0 to 255.
    GeometryError
        If a DICOM segmentation marks more frames than its image has.
    """
    if is_dicom_segmentation(Path(path)):
        return _read_dicom(Path(path), frames)
    image = read_image(path)
    if image.is_colour:
        message = f"'{path}' is a colour image, not a label image; save one whole number for each pixel."
        raise UnsupportedImageError(message)
    segments = _segments_of(Path(path)) if is_segmentation_name(path) else []
    values = np.asarray(image.pixels)
    masks: tuple[Mask, ...] = ()
    if segments:
        layered = values if image.axes.startswith("T") and len(image.axes) == 4 else values[None]
        masks = tuple(layered[min(layer, len(layered) - 1)] == value for _, layer, value in segments)
        numbered = _numbered(masks)
        if layered is values:
            image = replace(
                image,
                pixels=numbered,
                axes="ZYX",
                spacing_mm=image.spacing_mm[:3],
                origin_mm=image.origin_mm[:3],
                direction=tuple(np.reshape(image.direction, (4, 4))[:3, :3].ravel()),
            )
        values = numbered
    whole = _whole_numbers(values, path)
    names = tuple(name for name, _, _ in segments)
    return SegmentationFile(image.with_pixels(whole, "read as labels"), names, masks)


def as_volume(image: UltrasoundImage) -> UltrasoundImage:
    """Return a frame as a volume of one slice; anything else as it is."""
    if image.geometry_dimension != 2:
        return image
    direction = np.eye(3)
    direction[:2, :2] = np.reshape(image.direction, (2, 2))
    return replace(
        image,
        pixels=image.pixels[None],
        axes="Z" + image.axes,
        spacing_mm=(*image.spacing_mm, 1.0),
        origin_mm=(*image.origin_mm, 0.0),
        direction=tuple(direction.ravel()),
    )


def _read_dicom(path: Path, frames: int | None) -> SegmentationFile:
    found = read_dicom_segmentation(path, frames)
    labels = _numbered(found.masks)
    image = UltrasoundImage(
        labels if len(labels) > 1 else labels[0],
        "TYX" if len(labels) > 1 else "YX",
        spacing_mm=(*found.spacing_mm, 1.0) if len(labels) > 1 else found.spacing_mm,
        calibration=found.calibration,
        provenance=Provenance(source=str(path), file_format="DICOM SEG"),
    )
    return SegmentationFile(image, found.names, tuple(mask.reshape(image.pixels.shape) for mask in found.masks))


def _numbered(masks: Sequence[Mask]) -> npt.NDArray[np.uint8]:
    numbered = np.zeros(masks[0].shape, np.uint8)
    for number, mask in enumerate(masks, 1):
        numbered[mask] = number
    return numbered


def _whole_numbers(values: npt.NDArray[np.generic], path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "biuf" or not np.array_equal(numbers, np.clip(np.rint(numbers), 0, 255)):
        message = f"'{path}' is no label image: its values must be whole numbers from 0 to 255."
        raise UnsupportedImageError(message)
    return numbers.astype(np.uint8)


def _write_dicom(labels: UltrasoundImage, path: Path, names: Sequence[str]) -> None:
    from Speckle2SelfLogic.dicom_seg import write_segmentation

    source = Path(labels.provenance.source)
    models = labels.provenance.history[-1:]
    write_segmentation(labels.pixels, source, path, names=[name.lower() for name in names], models=models)


def _write_seg_nrrd(frames: UltrasoundImage, path: Path, names: Sequence[str]) -> None:
    import SimpleITK

    labels = as_volume(frames)
    volume = SimpleITK.GetImageFromArray(np.ascontiguousarray(labels.pixels, np.uint8))
    volume.SetSpacing(labels.spacing_mm)
    volume.SetOrigin(labels.origin_mm)
    volume.SetDirection(labels.direction)
    for key, text in _header(labels, names).items():
        volume.SetMetaData(key, text)
    try:
        SimpleITK.WriteImage(volume, str(path), useCompression=True)
    except RuntimeError as error:
        message = f"'{path.name}' could not be written as NRRD; perhaps the disk is full."
        raise ImageFileError(message) from error


def _header(labels: UltrasoundImage, names: Sequence[str]) -> dict[str, str]:
    """Fields of 3D Slicer's segmentation storage, and the axes as `Speckle2SelfLogic.volume_files` notes them."""
    depth, height, width = labels.pixels.shape
    fields = {
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Speckle2SelfAxes": labels.axes,
    }
    for number, name in enumerate(names):
        fields |= {
            f"Segment{number}_ID": name,
            f"Segment{number}_Name": name,
            f"Segment{number}_NameAutoGenerated": "0",
            f"Segment{number}_Color": _COLOURS[number % len(_COLOURS)],
            f"Segment{number}_ColorAutoGenerated": "0",
            f"Segment{number}_LabelValue": f"{number + 1}",
            f"Segment{number}_Layer": "0",
            f"Segment{number}_Extent": f"0 {width - 1} 0 {height - 1} 0 {depth - 1}",
        }
    return fields


def _segments_of(path: Path) -> list[tuple[str, int, int]]:
    """Name, layer and label value of each segment that the header of a ``.seg.nrrd`` names, in its order."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    with one_sentence(path, "cannot be read"):
        reader.ReadImageInformation()
    fields = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    segments: list[tuple[str, int, int]] = []
    while (name := fields.get(f"Segment{len(segments)}_Name")) is not None:
        layer, value = (fields.get(f"Segment{len(segments)}_{field}", given) for field, given in _DEFAULTS)
        segments.append((name, int(layer), int(value)))
    return segments


_DEFAULTS = (("Layer", "0"), ("LabelValue", "1"))
