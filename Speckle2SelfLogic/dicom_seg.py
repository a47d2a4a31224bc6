"""Masks as DICOM segmentation objects (SEG), written with highdicom."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels import pack_bits
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import UltrasoundImageStorage

from Speckle2SelfLogic import RESEARCH_USE, __version__, integrity
from Speckle2SelfLogic.dicom_context import (
    MANUFACTURER,
    PRODUCT,
    ascii_text,
    check_new,
    complete_context,
    equipment,
    missing_study,
    read_header,
    source_uids,
)
from Speckle2SelfLogic.dicom_geometry import frame_count
from Speckle2SelfLogic.errors import GeometryError, ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import Provenance
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.quiet import quiet_dicom
from Speckle2SelfLogic.segmentation_files import read_labels

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

Labels = npt.NDArray[np.generic]

_STRUCTURE = Code("123037004", "SCT", "Anatomical Structure")
_TISSUE = Code("85756007", "SCT", "Tissue")
SEGMENT_CODES: Mapping[str, tuple[Code, Code]] = {
    "lumen": (_STRUCTURE, Code("91747007", "SCT", "Lumen of blood vessel")),
    "wall": (_STRUCTURE, Code("51114001", "SCT", "Artery")),
    "artery": (_STRUCTURE, Code("51114001", "SCT", "Artery")),
}
"""Category and type (DICOM PS3.16, CID 7150 and 7151) of segments by name; every other name is tissue."""


def write_segmentation(
    labels: Labels,
    source: Path,
    target: Path,
    *,
    names: Sequence[str] = ("lumen",),
    models: Sequence[str] = (),
    is_automatic: bool = True,
) -> None:
    """Write a mask as a DICOM segmentation of the DICOM image that it was made on.

    Patient and study are those of the source, which every frame refers to; series and instance are new.

    Parameters
    ----------
    labels
        Boolean mask or label image with the shape of the source's frames: (Y, X), or (frames, Y, X). 0 is background,
        value k belongs to segment k.
    source
        The DICOM image.
    target
        The file to write, which must not exist.
    names
        Name of each segment; the first belongs to value 1. Codes: see `SEGMENT_CODES`.
    models
        Name and checksum of the models that made the mask.
    is_automatic
        Whether an algorithm made it; otherwise a person.

    Raises
    ------
    ImageFileError
        If the source is no DICOM image, belongs to no study, or the target exists or cannot be written.
    GeometryError
        If the shape is not that of the source's frames.
    SettingsError
        If the mask is empty, a value has no name, or highdicom is not installed.
    """
    check_new(target)
    header = readable_source(source)
    frames_nyx = _checked(labels, header, names)
    with quiet_highdicom(source, target):
        segmentation = _segmentation(frames_nyx, header, names, models, is_automatic=is_automatic)
        save_new(segmentation, target)


def labels_and_names(mask: Path, names: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    """Read a mask and name its segments: as given, else as in the file, else one lumen.

    A mask of one value (such as 255) is the only segment, if there is one name.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        If the mask cannot be read, is no label image, or holds segments that overlap.
    """
    file = read_labels(mask)
    if file.has_overlaps:
        message = f"The segments of '{mask}' overlap, so one would cover another; save them without overlap first."
        raise UnsupportedImageError(message)
    labels, known = np.asarray(file.labels.pixels, np.uint8), tuple(names) or file.names or ("lumen",)
    is_one_mask = len(known) == 1 and not file.names and np.unique(labels[labels > 0]).size == 1
    return (labels > 0 if is_one_mask else labels), known


def readable_source(source: Path) -> Dataset:
    """Return the header of a DICOM image that other objects may refer to.

    Raises
    ------
    ImageFileError
        If it is none, or belongs to no study.
    """
    with one_sentence(source, "cannot be read"):
        integrity.check_file(source)
        if not integrity.is_dicom(source):
            message = f"'{source}' is not a DICOM file; a DICOM object can only refer to a DICOM image."
            raise ImageFileError(message)
    header = read_header(source)
    if "Rows" not in header:
        message = f"'{source}' is a DICOM file without an image."
        raise ImageFileError(message)
    if problem := missing_study(header):
        message = f"What is derived from '{source}' {problem}."
        raise ImageFileError(message)
    header.SOPClassUID, header.SOPInstanceUID = source_uids(header)
    complete_context(header)
    return header


@contextmanager
def quiet_highdicom(source: Path, target: Path) -> Iterator[None]:
    """Keep warnings, which quote the patient's name, to themselves, and say in one sentence what goes wrong."""
    try:
        with quiet_dicom(), one_sentence(target, "could not be written"):
            yield
    except ImportError as error:
        message = 'Segmentations and reports need highdicom: pip install "speckle2self[dicom-objects]".'
        raise SettingsError(message) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # of an odd source
        message = (
            f"'{target.name}' could not be derived from '{source}': an element of the source is invalid or missing."
        )
        raise ImageFileError(message) from error


def save_new(dataset: Dataset, target: Path) -> None:
    """Write a dataset to a file that does not exist yet; it appears whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".speckle2self-", dir=target.parent) as folder:
        draft = Path(folder) / target.name
        dataset.save_as(draft, enforce_file_format=True)
        check_new(target)
        draft.replace(target)


def _checked(labels: Labels, header: Dataset, names: Sequence[str]) -> npt.NDArray[np.uint16]:
    """Return the labels as (frames, Y, X), checked against source and names."""
    expected = (frame_count(header), int(header.Rows), int(header.Columns))
    frames_nyx = labels[np.newaxis] if labels.ndim == 2 else labels
    if frames_nyx.shape != expected:
        message = f"The mask has shape {labels.shape}, but the frames of its source have {expected}."
        raise GeometryError(message)
    if frames_nyx.dtype.kind not in "biu" or not frames_nyx.any() or int(frames_nyx.min()) < 0:
        message = "A mask needs whole numbers of 0 and above, and at least one pixel that is not 0."
        raise SettingsError(message)
    if (highest := int(frames_nyx.max())) > len(names):
        message = (
            f"The mask has the value {highest}, but the names given are {len(names)} ({', '.join(names)}); "
            "name every segment."
        )
        raise SettingsError(message)
    return frames_nyx.astype(np.uint16)


def _segmentation(
    frames_nyx: npt.NDArray[np.uint16],
    header: Dataset,
    names: Sequence[str],
    models: Sequence[str],
    *,
    is_automatic: bool,
) -> Segmentation:
    import highdicom

    has_place = "FrameOfReferenceUID" in header and "SharedFunctionalGroupsSequence" in header
    stand_in = header if has_place else _first_frame_of(header)
    used = frames_nyx if has_place else frames_nyx[:1]
    with_segments = np.stack([used == number for number in range(1, len(names) + 1)], axis=-1)
    series = highdicom.UID()
    segmentation = highdicom.seg.Segmentation(
        source_images=[stand_in],
        pixel_array=with_segments.astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(number, name, models, is_automatic) for number, name in enumerate(names, 1)],
        series_instance_uid=series,
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=PRODUCT,
        software_versions=__version__,
        device_serial_number="none",
        content_description=ascii_text(f"Segmentation. {RESEARCH_USE}", 64),
        series_description=f"{PRODUCT} segmentation",
        omit_empty_frames=has_place,
    )
    if not has_place:
        _set_frames(segmentation, frames_nyx, len(names))
        _refer_to(segmentation, header)
        segmentation.PatientOrientation = None  # unknown, but not left out
    segmentation.ContributingEquipmentSequence.append(equipment(Provenance(models=tuple(models)), "Segmentation"))
    return segmentation


def _first_frame_of(header: Dataset) -> Dataset:
    """Return the source as a still: highdicom takes no cine that has no place in the patient, as most ultrasound."""
    still = copy.deepcopy(header)
    for keyword in ("FrameOfReferenceUID", "SharedFunctionalGroupsSequence"):
        if keyword in still:
            del still[keyword]
    if "NumberOfFrames" in still:
        del still.NumberOfFrames
    still.SOPClassUID = UltrasoundImageStorage
    return still


def _refer_to(segmentation: Dataset, header: Dataset) -> None:
    """Name the class of the real source instead of that of the still that stood in for it."""
    for element in segmentation:
        for item in element.value if element.VR == "SQ" else ():
            if item.get("ReferencedSOPInstanceUID", None) == header.SOPInstanceUID:
                item.ReferencedSOPClassUID = header.SOPClassUID
            _refer_to(item, header)


def _description(number: int, name: str, models: Sequence[str], is_automatic: bool) -> Dataset:
    import highdicom
    from pydicom.sr.codedict import codes

    category, kind = SEGMENT_CODES.get(name.lower(), (_TISSUE, _TISSUE))
    types = highdicom.seg.SegmentAlgorithmTypeValues
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=ascii_text("; ".join(models) or PRODUCT, 64),
        version=__version__,
        family=codes.cid7162.ArtificialIntelligence,
        source=MANUFACTURER,
    )
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=ascii_text(name, 64),
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=types.AUTOMATIC if is_automatic else types.MANUAL,
        algorithm_identification=algorithm if is_automatic else None,
    )


def _set_frames(segmentation: Dataset, frames_nyx: npt.NDArray[np.uint16], segments: int) -> None:
    """Write the frames of all segments, those without a pixel left out, in order of segment and time.

    The second dimension is the temporal position (DICOM PS3.3 C.7.6.17 and C.7.6.16.2.2).
    """
    model = segmentation.PerFrameFunctionalGroupsSequence[0]
    masks, groups = [], []
    for segment in range(1, segments + 1):
        for frame in range(len(frames_nyx)):
            mask_yx = frames_nyx[frame] == segment
            if mask_yx.any():
                masks.append(mask_yx)
                groups.append(_group(model, segment, frame + 1, is_cine=len(frames_nyx) > 1, segments=segments))
    if len(frames_nyx) > 1:
        dimension = Dataset()
        dimension.DimensionOrganizationUID = segmentation.DimensionIndexSequence[0].DimensionOrganizationUID
        dimension.DimensionIndexPointer = Tag("TemporalPositionIndex")
        dimension.FunctionalGroupPointer = Tag("FrameContentSequence")
        dimension.DimensionDescriptionLabel = "Temporal Position Index"
        segmentation.DimensionIndexSequence.append(dimension)
    segmentation.NumberOfFrames = len(masks)
    segmentation.PerFrameFunctionalGroupsSequence = groups
    segmentation.PixelData = pack_bits(np.stack(masks).astype(np.uint8))  # padded to an even length


def _group(model: Dataset, segment: int, frame: int, *, is_cine: bool, segments: int) -> Dataset:
    """Return the functional groups of one frame, made after those of highdicom's only frame."""
    group = copy.deepcopy(model)
    content = group.FrameContentSequence[0]
    content.DimensionIndexValues = [segment, frame] if is_cine else [segment]
    if segments > 1:
        identification = Dataset()
        identification.ReferencedSegmentNumber = segment
        group.SegmentIdentificationSequence = [identification]
    if is_cine:
        content.TemporalPositionIndex = frame
        for derivation in group.DerivationImageSequence:
            for image in derivation.SourceImageSequence:
                image.ReferencedFrameNumber = frame
    return group
