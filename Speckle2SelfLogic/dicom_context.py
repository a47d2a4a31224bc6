"""What a derived DICOM object takes over from its source, and what it says about its making."""

from __future__ import annotations

import re
from pathlib import Path

import pydicom
from pydicom import DataElement, Dataset
from pydicom.charset import python_encoding
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from Speckle2SelfLogic import RESEARCH_USE, __version__
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import Provenance
from Speckle2SelfLogic.quiet import quiet_dicom

MANUFACTURER, PRODUCT = "Speckle2Self developers", "Speckle2Self"
LONGEST_TEXT = 1024  # characters of a short text, DICOM PS3.5, table 6.2-1
_RETIRED_CLASSES = {  # DICOM PS3.6, table A-1: retired storage classes and what took their place
    "1.2.840.10008.5.1.4.1.1.6": UltrasoundImageStorage,
    "1.2.840.10008.5.1.4.1.1.3": UltrasoundMultiFrameImageStorage,
}
_MAY_BE_EMPTY = (  # type 2 of the patient, study, series and equipment modules, DICOM PS3.3 C.7
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("SeriesNumber", "Manufacturer", "InstanceNumber"),
)
_TIME_PATTERNS = {"DA": r"\d{8}", "TM": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"}  # DICOM PS3.5, table 6.2-1
_LARGEST_PRIVATE_BYTES = 1 << 16
_BULK = ("OB", "OW", "OF", "OD", "OL", "OV")


def read_header(source: Path) -> Dataset:
    """Read a DICOM file without its pixels; pydicom's remarks, which could quote elements, are not shown."""
    with quiet_dicom():
        return pydicom.dcmread(source, stop_before_pixels=True)


def source_uids(source: Dataset) -> tuple[UID, UID]:
    """Return the class and instance UID of a source; some machines leave them out of the dataset itself."""
    meta = source.file_meta
    sop_class = source.get("SOPClassUID", None) or meta.MediaStorageSOPClassUID
    instance = source.get("SOPInstanceUID", None) or meta.MediaStorageSOPInstanceUID
    return UID(str(sop_class)), UID(str(instance))


def current_class(sop_class: UID, frames: int) -> UID:
    """Return the storage class that a new object of this class with so many frames has today."""
    current = _RETIRED_CLASSES.get(sop_class, sop_class)
    return UltrasoundMultiFrameImageStorage if current == UltrasoundImageStorage and frames > 1 else current


def missing_study(source: Dataset) -> str:
    """Return why no object can be derived from a source that belongs to no study, as the end of a sentence."""
    if source.get("StudyInstanceUID", None):
        return ""
    return "needs a study to belong to, and the source names none (no StudyInstanceUID), which is never guessed"


def check_new(path: Path) -> None:
    """Check that there is no file of that name yet.

    Raises
    ------
    ImageFileError
        If there is one.
    """
    if path.exists():
        message = f"The output '{path}' exists already, and DICOM files are never overwritten; choose another name."
        raise ImageFileError(message)


def complete_context(derived: Dataset) -> None:
    """Leave what the source does not tell about patient and study empty, as the standard allows; guess nothing.

    Dates and times in the notation of older standards (``1997.04.24``, ``14:04:38``) are written as today's; a date,
    a time or a sex that is none is unknown, and becomes empty. A character set that does not exist is the default one,
    as which it is read, and retired attributes without a value are left out.
    """
    sets = derived.get("SpecificCharacterSet", None) or ""
    if not all(name in python_encoding for name in ([sets] if isinstance(sets, str) else sets)):
        del derived.SpecificCharacterSet
    for keyword in _MAY_BE_EMPTY:
        if keyword not in derived:
            setattr(derived, keyword, None)
    if "ImageOrientationPatient" not in derived and "SharedFunctionalGroupsSequence" not in derived:
        derived.setdefault("PatientOrientation", None)
    if "ImageLaterality" not in derived:
        derived.setdefault("Laterality", None)
    with quiet_dicom():
        for element in list(derived):
            if element.is_empty and (element.keyword == "EthnicGroup" or (element.is_retired and element.keyword)):
                del derived[element.tag]
            elif element.VR in _TIME_PATTERNS and not element.tag.is_private and element.VM == 1:
                plain = re.sub(r"[.:](?=\d\d)", "", str(element.value), count=2) if element.value else ""
                element.value = plain if re.fullmatch(_TIME_PATTERNS[element.VR], plain) else None
        sex = str(derived.PatientSex or "").upper()
        derived.PatientSex = {"MALE": "M", "FEMALE": "F", "OTHER": "O"}.get(
            sex, sex if sex in ("M", "F", "O") else None
        )


def read_all_but_pixels(path: Path) -> Dataset:
    """Read a file without its pixels, but with the private groups that some makers put behind them, such as 7FE1.

    What else lies behind them, such as padding and digital signatures, belongs to the file as it was.
    """
    dataset = pydicom.dcmread(path, defer_size=_LARGEST_PRIVATE_BYTES)
    for tag in [tag for tag in dataset.keys() if tag.group >= 0x7FE0 and not tag.is_private]:  # noqa: SIM118 - by tag
        del dataset[tag]
    return dataset


def drop_private_bulk(dataset: Dataset) -> None:
    """Remove private elements that are raw data of the machine; private text and numbers stay as they are.

    Raw data (binary, or more than 64 KiB) belong to the original pixels and may hold them in another form.
    """
    is_swapped = getattr(dataset, "file_meta", None) and dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    for element in list(dataset):
        if element.tag.is_private and _is_bulk(element, unknown_is_bulk=bool(is_swapped)):
            del dataset[element.tag]
        elif element.VR == "SQ":
            for item in element.value or ():
                drop_private_bulk(item)


def _is_bulk(element: DataElement, *, unknown_is_bulk: bool) -> bool:
    if element.VR in _BULK or (element.VR == "UN" and unknown_is_bulk):
        return True
    value = element.value
    return isinstance(value, (bytes, str)) and len(value) > _LARGEST_PRIVATE_BYTES


def equipment(record: Provenance, task: str) -> Dataset:
    """Return an item of the contributing equipment sequence (DICOM PS3.3 C.12.1) that names version and models."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code("109103", "Modifying Equipment")]
    item.Manufacturer, item.ManufacturerModelName, item.SoftwareVersions = MANUFACTURER, PRODUCT, __version__
    models = "; ".join(record.models) or "no trained model"
    item.ContributionDescription = ascii_text(f"{task}. Model: {models}. {RESEARCH_USE}", LONGEST_TEXT)
    return item


def source_reference(source: Dataset) -> Dataset:
    """Return an item of the source image sequence (DICOM PS3.3 C.7.6.1.1.4)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source_uids(source)
    item.PurposeOfReferenceCodeSequence = [code("121322", "Source image for image processing operation")]
    return item


def repeatable_uid(*what: str) -> UID:
    """Return a UID that is new, and always the same for the same source, software, steps and content."""
    return generate_uid(entropy_srcs=[PRODUCT, __version__, *what])


def code(value: str, meaning: str) -> Dataset:
    """Return an item of a code sequence with a term of the DICOM Controlled Terminology (PS3.16, annex D)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def ascii_text(text: str, longest: int) -> str:
    """Return text that is valid in every DICOM character set and not longer than its element allows."""
    return " ".join(text.encode("ascii", "replace").decode("ascii").replace("\\", "/").split())[:longest]
