"""A derived DICOM object from the DICOM file that an image was read from."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from Speckle2SelfLogic import RESEARCH_USE, __version__, integrity
from Speckle2SelfLogic.dicom_context import (
    LONGEST_TEXT,
    PRODUCT,
    ascii_text,
    code,
    complete_context,
    current_class,
    drop_private_bulk,
    equipment,
    missing_study,
    read_all_but_pixels,
    read_header,
    repeatable_uid,
    source_reference,
)
from Speckle2SelfLogic.dicom_geometry import frame_count
from Speckle2SelfLogic.dicom_pixels import LARGEST_BYTES, StoredPixels, set_pixels, store_pixels
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfLogic.quiet import quiet_dicom

_PIXEL_TYPES = ("uint8", "uint16", "int16")
_LOSSY_SYNTAXES = (  # DICOM PS3.6, table A-1
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.4.203",
)


def refusal(image: UltrasoundImage, path: Path) -> str:
    """Return why no DICOM file can be derived for an image, as the end of a sentence; empty if one can."""
    source = Path(image.provenance.source)
    if not image.provenance.source or not source.is_file() or not integrity.is_dicom(source):
        return "needs the DICOM file that the image came from, and there is none; write NRRD (.nrrd) instead"
    if path.exists() and path.samefile(source):
        return "never replaces its source; choose another name"
    if image.pixels.dtype.name not in _PIXEL_TYPES:
        return f"holds pixels of type {', '.join(_PIXEL_TYPES)}, not {image.pixels.dtype.name}; write NRRD instead"
    if image.is_colour and (image.pixels.dtype != np.uint8 or image.pixels.shape[-1] != 3):
        return "holds colour as 8-bit RGB only; write NRRD (.nrrd) instead"
    if image.pixels.nbytes > LARGEST_BYTES:
        return f"holds at most {LARGEST_BYTES} bytes of pixels, but these are {image.pixels.nbytes}; write NRRD instead"
    header = read_header(source)
    return missing_study(header) or _frame_refusal(image, header)


def write_dicom(
    image: UltrasoundImage, path: Path, *, is_repeatable: bool = False, frames: Iterable[Pixels] | None = None
) -> None:
    r"""Write a derived object: the source dataset with new pixels, identifiers and a record of what was done.

    Patient, study, ultrasound regions, positions, frame timing and private text of the machine's maker are kept, and
    what the source does not tell about the patient stays empty. New are the SOP instance UID, the series instance UID
    (the same for all files of one source series with the same history) and ``DERIVED\SECONDARY``. The pixels are
    uncompressed grey or RGB; a source that was compressed with loss stays marked so. Elements that described the stored
    values (palette, rescale, padding, icon) and private raw data are left out; regions of a cropped image move along.
    Attributes: DICOM PS3.3 C.7.6.1 (General Image), C.12.1 (SOP Common).

    A repeatable file has the same bytes whenever it is written: its SOP instance UID is made from source, history and
    pixels, and it does not say when it was made.

    Frames that are given, one by one, take the place of the image's own pixels. They wait in a temporary file beside
    the path, since the elements in front of them tell what is in all of them.

    Raises
    ------
    ImageFileError
        If the source cannot be read any more, or has elements that cannot be written again.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, Path(folder, "pixels").open("w+b") as spool:
        stored = store_pixels([image.pixels] if frames is None else frames, spool)
        _derive(image, stored, path, is_repeatable=is_repeatable)


def _derive(image: UltrasoundImage, stored: StoredPixels, path: Path, *, is_repeatable: bool) -> None:
    source = Path(image.provenance.source)
    with quiet_dicom():  # pydicom's remarks on odd elements that are copied as they are
        try:
            derived = read_all_but_pixels(source)
            _describe_derivation(image, derived)
            _identify(image, stored, derived, is_repeatable=is_repeatable)
            set_pixels(image, stored, derived)
            pydicom.dcmwrite(path, derived, enforce_file_format=True, implicit_vr=False, little_endian=True)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # pydicom raises many kinds for elements that it cannot write again
            message = f"'{path.name}' could not be derived from '{source}': an element is invalid."
            raise ImageFileError(message) from error


def _frame_refusal(image: UltrasoundImage, header: Dataset) -> str:
    """Return why an image with other frames than its source cannot take its place; empty if it can."""
    leading = len(image.frame_axes_first)
    rows, columns = image.pixels.shape[leading : leading + 2]
    crop = image.provenance.crop
    expected = (header.get("Rows"), header.get("Columns")) if crop is None else crop[2:]
    if (rows, columns) != expected:
        return (
            f"needs frames of the source's {expected[0]} x {expected[1]} pixels, so that its "
            f"regions fit, but these have {rows} x {columns}; write NRRD instead"
        )
    if crop is not None and "ImagePositionPatient" in header:
        return "cannot yet hold a part of a frame that has a place in the patient; write NRRD instead"
    count = math.prod(image.pixels.shape[:leading])
    if "PerFrameFunctionalGroupsSequence" not in header:
        return ""
    if crop is not None:
        return "cannot yet hold a part of frames whose places the source lists; write NRRD instead"
    if count != (known := frame_count(header)):
        return f"needs all {known} frames, whose places the source lists, but these are {count}; write NRRD"
    return ""


def _describe_derivation(image: UltrasoundImage, derived: Dataset) -> None:
    """Replace identity and description of the source by those of the derived object."""
    record, meta = image.provenance, derived.file_meta
    reference = source_reference(derived)
    history = "; ".join(record.history) or "copied"
    was_lossy = meta.TransferSyntaxUID in _LOSSY_SYNTAXES
    drop_private_bulk(derived)
    complete_context(derived)
    derived.SOPClassUID = current_class(reference.ReferencedSOPClassUID, frame_count(derived))
    derived.ImageType = ["DERIVED", "SECONDARY", *list(derived.get("ImageType", None) or [])[2:]]
    derived.SourceImageSequence = [reference]
    ours = equipment(record, "Speckle reduction")
    derived.ContributingEquipmentSequence = [*derived.get("ContributingEquipmentSequence", []), ours]
    derived.DerivationDescription = ascii_text(f"{PRODUCT} {__version__}: {history}. {RESEARCH_USE}", LONGEST_TEXT)
    if record.history:
        derived.DerivationCodeSequence = [code("113087", "Smoothing")]
    derived.SeriesDescription = ascii_text(f"{derived.get('SeriesDescription', None) or ''} {PRODUCT}", 64)
    if was_lossy or derived.get("LossyImageCompression", None) == "01":
        derived.LossyImageCompression = "01"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _identify(image: UltrasoundImage, stored: StoredPixels, derived: Dataset, *, is_repeatable: bool) -> None:
    """Give the derived object identifiers and a time; in a repeatable file they follow from its content."""
    record, meta = image.provenance, derived.file_meta
    steps = ("; ".join(record.history), *record.models)
    derived.SeriesInstanceUID = repeatable_uid("series", str(derived.get("SeriesInstanceUID", "")), *steps)
    derived.SOPInstanceUID = generate_uid()
    now = datetime.now().astimezone()
    derived.InstanceCreationDate, derived.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    if is_repeatable:
        source = derived.SourceImageSequence[0].ReferencedSOPInstanceUID
        contents = (str(image.pixels.shape), image.pixels.dtype.name, stored.sha256)
        derived.SOPInstanceUID = repeatable_uid(str(source), *steps, *contents)
        del derived.InstanceCreationDate, derived.InstanceCreationTime
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = derived.SOPClassUID, derived.SOPInstanceUID
