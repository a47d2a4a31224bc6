"""New pixels in a DICOM dataset, with every attribute that describes them: type, frames, timing, regions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedIOBase

import numpy as np
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from Speckle2SelfLogic.dicom_geometry import frame_count
from Speckle2SelfLogic.image import Crop, Pixels, UltrasoundImage

LARGEST_BYTES = 2**32 - 2
"""Longest value of an element that is not compressed (DICOM PS3.5, section 7.1)."""

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
_OF_ALL_FRAMES = (
    *("FrameTimeVector", "StartTrim", "StopTrim", "EffectiveDuration", "RepresentativeFrameNumber"),
    *("FrameNumbersOfInterest", "FrameOfInterestDescription", "FrameOfInterestType", "FrameLabelVector"),
    *("SliceVector", "RWaveTimeVector", "TriggerTimeOffset"),
)
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


@dataclass(frozen=True)
class StoredPixels:
    """Pixels as they go into a file: little-endian, one frame after the other, an even number of bytes."""

    stream: BufferedIOBase
    highest: int
    """The largest value."""
    sha256: str
    """Checksum of the bytes, without the one that makes their number even."""


def store_pixels(frames: Iterable[Pixels], stream: BufferedIOBase) -> StoredPixels:
    """Write frames into an open file, one by one, and look at what the elements in front of them will have to say."""
    highest, checksum, byte_count = 0, hashlib.sha256(), 0
    for frame in frames:
        raw = np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).data
        highest = max(highest, int(frame.max()))
        checksum.update(raw)
        stream.write(raw)
        byte_count += raw.nbytes
    stream.write(b"\0" * (byte_count % 2))
    stream.seek(0)
    return StoredPixels(stream, highest, checksum.hexdigest())


def set_pixels(image: UltrasoundImage, stored: StoredPixels, derived: Dataset) -> None:
    """Put pixels and what describes them into a dataset that was copied from their source (DICOM PS3.3 C.7.6.3)."""
    pixels: Pixels = image.pixels
    is_inverted = derived.PhotometricInterpretation == "MONOCHROME1"
    _remove(derived, *_NO_LONGER_TRUE, *(_WINDOWS if is_inverted or image.is_colour else ()))
    bits = 8 * pixels.dtype.itemsize
    is_same_type = not image.is_colour and derived.BitsAllocated == bits and pixels.dtype.kind == "u"
    bits_stored = int(derived.BitsStored) if is_same_type and stored.highest < 2**derived.BitsStored else bits
    derived.SamplesPerPixel = 3 if image.is_colour else 1
    derived.PhotometricInterpretation = "RGB" if image.is_colour else "MONOCHROME2"
    if image.is_colour:
        derived.PlanarConfiguration = 0
    derived.BitsAllocated, derived.BitsStored, derived.HighBit = bits, bits_stored, bits_stored - 1
    derived.PixelRepresentation = int(pixels.dtype.kind == "i")
    if "UltrasoundColorDataPresent" in derived:
        derived.UltrasoundColorDataPresent = int(image.is_colour)
    leading = len(image.frame_axes_first)
    derived.Rows, derived.Columns = pixels.shape[leading : leading + 2]
    _set_frames(image, derived)
    _remove_overlays(derived, all_of_them=image.provenance.crop is not None)
    if image.provenance.crop is not None:
        _crop_regions(derived, image.provenance.crop)
    derived.add_new("PixelData", "OB" if bits == 8 else "OW", stored.stream)  # written in chunks, never held whole


def _set_frames(image: UltrasoundImage, derived: Dataset) -> None:
    """Set number and timing of frames (DICOM PS3.3 C.7.6.5 and C.7.6.6); of a part of them only the mean interval."""
    frames = math.prod(image.pixels.shape[: len(image.frame_axes_first)])
    if frames != frame_count(derived):
        had_times = "FrameTimeVector" in derived
        _remove(derived, *_OF_ALL_FRAMES)
        derived.NumberOfFrames = frames
        if had_times:
            derived.FrameTime = round(image.spacing_mm[image.geometry_dimension - 1], 6)
    if derived.SOPClassUID == UltrasoundImageStorage and frames == 1:  # the class has no such attribute
        _remove(derived, "NumberOfFrames")
    if derived.SOPClassUID != UltrasoundMultiFrameImageStorage:
        return
    derived.NumberOfFrames = frames
    rate = float(derived.get("CineRate", None) or 0.0)
    if not derived.get("FrameTime", None) and "FrameTimeVector" not in derived and rate > 0:
        derived.FrameTime = round(1000.0 / rate, 6)
    pointed = derived.get("FrameIncrementPointer", None)
    if pointed is None or (isinstance(pointed, int) and Tag(pointed) not in derived):
        for keyword in ("FrameTimeVector", "FrameTime"):
            if derived.get(keyword, None):
                derived.FrameIncrementPointer = Tag(keyword)
                break


def _crop_regions(derived: Dataset, crop: Crop) -> None:
    """Keep the ultrasound region that the frames were cropped to, which now fills them (PS3.3 C.8.5.5)."""
    corner = (crop.first_row, crop.first_column)
    regions = derived.get("SequenceOfUltrasoundRegions", None) or ()
    kept = [region for region in regions if (region.RegionLocationMinY0, region.RegionLocationMinX0) == corner]
    for region in kept:
        region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
        region.RegionLocationMaxX1 = min(region.RegionLocationMaxX1 - crop.first_column, crop.columns - 1)
        region.RegionLocationMaxY1 = min(region.RegionLocationMaxY1 - crop.first_row, crop.rows - 1)
    fitting = (crop.rows - 1, crop.columns - 1)
    derived.SequenceOfUltrasoundRegions = [
        region for region in kept if (region.RegionLocationMaxY1, region.RegionLocationMaxX1) == fitting
    ][:1]


def _remove_overlays(derived: Dataset, *, all_of_them: bool) -> None:
    """Remove overlay planes that were stored in spare bits of the old pixels, or that do not fit the new frame."""
    for group in _OVERLAY_GROUPS:
        has_bits_of_its_own = Tag(group, 0x3000) in derived
        if all_of_them or not has_bits_of_its_own:
            for element in list(derived.group_dataset(group)):
                del derived[element.tag]


def _remove(dataset: Dataset, *keywords: str) -> None:
    for keyword in keywords:
        if keyword in dataset:
            del dataset[keyword]
