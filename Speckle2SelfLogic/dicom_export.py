"""A derived DICOM object from the DICOM file that an image was read from."""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from Speckle2SelfLogic import __version__, integrity
from Speckle2SelfLogic.dicom_geometry import frame_count
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import Pixels, UltrasoundImage

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
_NO_LONGER_TRUE = (
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "PresentationLUTShape"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "SmallestImagePixelValue", "LargestImagePixelValue"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *("PaletteColorLookupTableUID", "PlanarConfiguration", "PixelDataProviderURL", "IconImageSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "DigitalSignaturesSequence", "MACParametersSequence"),
)
_WINDOWS = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTSequence", "VOILUTFunction")
_LONGEST_DESCRIPTION = 1024  # characters of a short text, DICOM PS3.5, table 6.2-1


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
    return _frame_refusal(image, source)


def write_dicom(image: UltrasoundImage, path: Path, *, is_repeatable: bool = False) -> None:
    r"""Write a derived object: the source dataset with new pixels, identifiers and a record of what was done.

    Patient, study, ultrasound regions, positions and frame timing are kept. New are the SOP instance UID, the series
    instance UID (the same for all files of one source series with the same history) and ``DERIVED\SECONDARY``. The
    pixels are uncompressed grey or RGB; a source that was compressed with loss stays marked so. Elements that described
    the stored values (palette, rescale, padding, icon) and private elements of the machine's maker are left out.
    Attributes: DICOM PS3.3 C.7.6.1 (General Image), C.12.1 (SOP Common).

    A repeatable file has the same bytes whenever it is written: its SOP instance UID is made from source, history and
    pixels, and it does not say when it was made.

    Raises
    ------
    ImageFileError
        If the source cannot be read any more, or has elements that cannot be written again.
    """
    source = Path(image.provenance.source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on odd elements that are copied as they are
        try:
            derived = pydicom.dcmread(source, stop_before_pixels=True)
            _describe_derivation(image, derived)
            _set_pixels(image, derived)
            if is_repeatable:
                _make_repeatable(image, derived)
            pydicom.dcmwrite(path, derived, enforce_file_format=True, implicit_vr=False, little_endian=True)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # pydicom raises many kinds for elements that it cannot write again
            message = f"'{path.name}' could not be derived from '{source}': {integrity.reason(error)}."
            raise ImageFileError(message) from error


def _frame_refusal(image: UltrasoundImage, source: Path) -> str:
    """Return why an image with other frames than its source cannot take its place; empty if it can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(source, stop_before_pixels=True)
    leading = len(image.frame_axes_first)
    rows, columns = image.pixels.shape[leading : leading + 2]
    if (rows, columns) != (dataset.get("Rows"), dataset.get("Columns")):
        return (
            f"needs frames of the source's {dataset.get('Rows')} x {dataset.get('Columns')} pixels, so that its "
            f"regions fit, but these have {rows} x {columns}; write NRRD instead"
        )
    count = math.prod(image.pixels.shape[:leading])
    if count != frame_count(dataset) and "PerFrameFunctionalGroupsSequence" in dataset:
        return (
            f"needs all {frame_count(dataset)} frames, whose places the source lists, but these are {count}; write NRRD"
        )
    return ""


def _describe_derivation(image: UltrasoundImage, derived: Dataset) -> None:
    """Replace identity and description of the source by those of the derived object."""
    reference = Dataset()
    meta = derived.file_meta  # some machines leave the identifiers out of the dataset itself
    derived.SOPClassUID = derived.get("SOPClassUID") or meta.MediaStorageSOPClassUID
    reference.ReferencedSOPClassUID = derived.SOPClassUID
    reference.ReferencedSOPInstanceUID = derived.get("SOPInstanceUID") or meta.MediaStorageSOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [_code("121322", "Source image for image processing operation")]
    equipment = Dataset()
    equipment.Manufacturer = "Speckle2Self developers"
    equipment.ManufacturerModelName = "Speckle2Self"
    equipment.SoftwareVersions = __version__
    equipment.PurposeOfReferenceCodeSequence = [_code("109103", "Modifying Equipment")]
    history = "; ".join(image.provenance.history) or "copied"
    was_lossy = meta.TransferSyntaxUID in _LOSSY_SYNTAXES
    now = datetime.now().astimezone()
    derived.remove_private_tags()
    derived.ImageType = ["DERIVED", "SECONDARY", *list(derived.get("ImageType", None) or [])[2:]]
    derived.SourceImageSequence = [reference]
    derived.ContributingEquipmentSequence = [*derived.get("ContributingEquipmentSequence", []), equipment]
    derived.DerivationDescription = _ascii(f"Speckle2Self {__version__}: {history}", _LONGEST_DESCRIPTION)
    if image.provenance.history:
        derived.DerivationCodeSequence = [_code("113087", "Smoothing")]
    derived.SeriesDescription = _ascii(f"{derived.get('SeriesDescription', None) or ''} Speckle2Self", 64)
    derived.SeriesInstanceUID = generate_uid(entropy_srcs=[str(derived.get("SeriesInstanceUID", "")), history])
    derived.SOPInstanceUID = generate_uid()
    derived.InstanceCreationDate, derived.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    if was_lossy or derived.get("LossyImageCompression", None) == "01":
        derived.LossyImageCompression = "01"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = derived.SOPClassUID, derived.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _make_repeatable(image: UltrasoundImage, derived: Dataset) -> None:
    """Let equal images of one source become equal files: no time of making, identifiers from what the file holds."""
    source = derived.SourceImageSequence[0].ReferencedSOPInstanceUID
    checksum = hashlib.sha256(np.ascontiguousarray(image.pixels)).hexdigest()
    derived.SOPInstanceUID = generate_uid(entropy_srcs=[source, *image.provenance.history, __version__, checksum])
    derived.file_meta.MediaStorageSOPInstanceUID = derived.SOPInstanceUID
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in derived:
            del derived[keyword]


def _set_pixels(image: UltrasoundImage, derived: Dataset) -> None:
    """Put the pixels and the attributes that describe them into the dataset (DICOM PS3.3 C.7.6.3)."""
    pixels: Pixels = image.pixels
    is_inverted = derived.PhotometricInterpretation == "MONOCHROME1"
    for keyword in (*_NO_LONGER_TRUE, *(_WINDOWS if is_inverted or image.is_colour else ())):
        if keyword in derived:
            del derived[keyword]
    bits = 8 * pixels.dtype.itemsize
    is_same_type = not image.is_colour and derived.BitsAllocated == bits and pixels.dtype.kind == "u"
    stored = int(derived.BitsStored) if is_same_type and int(pixels.max()) < 2**derived.BitsStored else bits
    derived.SamplesPerPixel = 3 if image.is_colour else 1
    derived.PhotometricInterpretation = "RGB" if image.is_colour else "MONOCHROME2"
    if image.is_colour:
        derived.PlanarConfiguration = 0
    derived.BitsAllocated, derived.BitsStored, derived.HighBit = bits, stored, stored - 1
    derived.PixelRepresentation = int(pixels.dtype.kind == "i")
    if "UltrasoundColorDataPresent" in derived:
        derived.UltrasoundColorDataPresent = int(image.is_colour)
    frames = math.prod(pixels.shape[: len(image.frame_axes_first)])
    if frames != frame_count(derived):
        if "FrameTimeVector" in derived:
            del derived.FrameTimeVector
        derived.NumberOfFrames = frames
    raw = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    if len(raw) % 2:
        raw += b"\0"
    derived.add_new("PixelData", "OB" if bits == 8 else "OW", io.BytesIO(raw))  # written in chunks, not copied again


def _code(value: str, meaning: str) -> Dataset:
    """Return an item of a code sequence with a term of the DICOM Controlled Terminology (PS3.16, annex D)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _ascii(text: str, longest: int) -> str:
    """Return text that is valid in every DICOM character set and not longer than its element allows."""
    return " ".join(text.encode("ascii", "replace").decode("ascii").replace("\\", "/").split())[:longest]
