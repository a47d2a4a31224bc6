"""DICOM to images: stills, cines and enhanced volumes, decoded frame by frame."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, iter_pixels
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.dicom_deflated import check_deflated
from Speckle2SelfLogic.dicom_geometry import frame_count, frame_geometry
from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError, UnsupportedImageError
from Speckle2SelfLogic.image import Pixels, Provenance, UltrasoundImage
from Speckle2SelfLogic.quiet import quiet_dicom, quiet_libraries

_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_ULTRASOUND = ("US", "IVUS")
_PIXEL_TAGS = ((0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010))
_ITEM, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_UNDEFINED_LENGTH = 0xFFFFFFFF
_TRIAL = "import sys; from pydicom.pixels import iter_pixels; [None for _ in iter_pixels(sys.argv[1])]"


def read_dicom(path: Path) -> UltrasoundImage:
    """Read the image of a DICOM file; frames are decoded one by one into the final array.

    A single frame is ``YX``, several frames are a cine ``TYX`` (its time spacing is the frame time in ms), frames with
    evenly spaced positions a volume ``ZYX``. Palette and YBR colours become RGB; MONOCHROME1 is inverted, so that
    higher values are brighter; a modality LUT or rescale slope that is not the identity is applied. The history of the
    image says so. Spacing comes from the ultrasound region, see `dicom_geometry.frame_geometry`.

    A file is whole if the pixels of all its frames are: the end mark of compressed pixels and the padding behind the
    pixels may be missing, as in files that real machines and archives send.

    Raises
    ------
    ImageFileError
        If the file is no DICOM file, holds no image, is truncated or damaged.
    UnsupportedImageError
        If it is a video, or no installed decoder knows its compression or colour space.
    """
    if not integrity.is_dicom(path):
        message = f"'{path}' has no DICOM marker, although its name says so; it is damaged or misnamed."
        raise ImageFileError(message)
    with plain_errors(path):
        dataset, source = _opened(path)
        pixels: Pixels | None = None
        frames = frame_count(dataset)
        for number, frame in enumerate(_decoded(path, source, dataset, frames)):
            if pixels is None:
                pixels = np.empty((frames, *frame.shape), frame.dtype)
            pixels[number] = frame
        return _image(path, dataset, np.asarray(pixels))


def spool_dicom(path: Path, spool: BinaryIO) -> UltrasoundImage:
    """Write the frames of a DICOM file into an open file one after the other, as `read_dicom` decodes them.

    Returns
    -------
    UltrasoundImage
        What `read_dicom` returns, but with pixels that are zero and take no memory.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        As `read_dicom`.
    """
    if not integrity.is_dicom(path):
        message = f"'{path}' has no DICOM marker, although its name says so; it is damaged or misnamed."
        raise ImageFileError(message)
    with plain_errors(path):
        dataset, source = _opened(path)
        frames = frame_count(dataset)
        frame: Pixels = np.empty(0)
        for frame in _decoded(path, source, dataset, frames):
            spool.write(np.ascontiguousarray(frame).data)
        return _image(path, dataset, np.broadcast_to(np.zeros((), frame.dtype), (frames, *frame.shape)))


def _opened(path: Path) -> tuple[pydicom.Dataset, Path | pydicom.Dataset]:
    """Return the dataset without its pixels, checked, and what to decode them from."""
    dataset, position = _header(path)
    _check_kind(path, dataset)
    if dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        return dataset, pydicom.dcmread(path)
    _check_pixel_bytes(path, dataset, position, frame_count(dataset))
    return dataset, path


def _image(path: Path, dataset: pydicom.Dataset, pixels: Pixels) -> UltrasoundImage:
    geometry = frame_geometry(dataset, len(pixels))
    shape = (*geometry.leading_shape, *pixels.shape[1:])
    return UltrasoundImage(
        pixels=pixels.reshape(shape),
        axes=geometry.axes + "C" * (pixels.ndim == 4),
        spacing_mm=geometry.spacing_mm,
        origin_mm=geometry.origin_mm,
        direction=geometry.direction,
        calibration=geometry.calibration,
        provenance=Provenance(
            source=str(path),
            file_format=f"DICOM, {dataset.file_meta.TransferSyntaxUID.name}, {dataset.PhotometricInterpretation}",
            history=(*_notes(dataset), *geometry.notes),
            cautions=_cautions(dataset),
        ),
    )


def is_other_object(path: Path) -> bool:
    """Whether a DICOM file is a whole object but no image: a directory, a report, a presentation state."""
    wanted = ["SOPClassUID", "Rows", "DirectoryRecordSequence"]
    try:
        with quiet_dicom():
            check_deflated(path)
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
            return "Rows" not in header and ("SOPClassUID" in header or "DirectoryRecordSequence" in header)
    except Exception:  # whatever is wrong with it, reading it will say so
        return False


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Say in one sentence what goes wrong, and keep pydicom's warnings on odd but readable elements to itself."""
    try:
        with quiet_dicom():
            yield
    except (Speckle2SelfError, MemoryError):
        raise
    except Exception as error:  # a parser or decoder that meets damaged bytes may raise anything
        if "Unable to allocate" in str(error):  # pydicom has put NumPy's MemoryError into words
            raise MemoryError from error
        if "missing dependencies" in str(error):
            message = f"'{path}' needs a decoder that is not installed: pip install \"speckle2self[dicom]\"."
            raise UnsupportedImageError(message) from error
        if "does not support" in str(error):
            message = f"'{path}' has a compression that no installed decoder reads; export it uncompressed."
            raise UnsupportedImageError(message) from error
        message = f"'{path}' is damaged or truncated: it cannot be decoded ({integrity.reason(error)})."
        raise ImageFileError(message) from error


def _header(path: Path) -> tuple[pydicom.Dataset, int]:
    """Return the dataset without its pixels, and where in the file they begin."""
    check_deflated(path)
    with path.open("rb") as stream:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True)
        return dataset, stream.tell()


def _check_kind(path: Path, dataset: pydicom.Dataset) -> None:
    if "Rows" not in dataset or "PhotometricInterpretation" not in dataset:
        message = f"'{path}' is a DICOM file without an image (modality {_modality(dataset)})."
        raise ImageFileError(message)
    syntax = dataset.file_meta.TransferSyntaxUID
    if any(name in syntax.name for name in ("MPEG", "HEVC")):
        message = f"'{path}' is a video ({syntax.name}), which is not supported; export it as JPEG or uncompressed."
        raise UnsupportedImageError(message)
    if dataset.PhotometricInterpretation not in _PHOTOMETRIC:
        message = (
            f"'{path}' has the photometric interpretation '{dataset.PhotometricInterpretation}'; "
            f"readable are {', '.join(_PHOTOMETRIC)}."
        )
        raise UnsupportedImageError(message)


def _check_pixel_bytes(path: Path, dataset: pydicom.Dataset, position: int, frames: int) -> None:
    """Check before decoding that the pixel data are there, whole, and fit into memory (DICOM PS3.5, annex A.4)."""
    is_implicit, is_little_endian = dataset.original_encoding
    order = "<" if is_little_endian else ">"
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(position)
        element = stream.read(8 if is_implicit else 12)
        if len(element) < 8 or struct.unpack_from(order + "HH", element) not in _PIXEL_TAGS:
            message = f"'{path}' is truncated or holds no image: there are no pixel data in it."
            raise ImageFileError(message)
        (length,) = struct.unpack(order + "I", element[-4:])
        found = _fragment_count(stream, size) - 1 if length == _UNDEFINED_LENGTH else 0  # less the offset table
    samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1)) * frames
    integrity.check_memory(path, samples * max(int(dataset.BitsAllocated), 8) // 8)
    if length == _UNDEFINED_LENGTH:
        if found < frames:
            message = f"'{path}' is truncated: it declares {frames} frames, but holds {max(found, 0)}."
            raise ImageFileError(message)
        return
    expected, available = get_expected_length(dataset), min(length, size - position - len(element))
    if available < expected:
        message = f"'{path}' is truncated: the header needs {expected} bytes, but only {available} are there."
        raise ImageFileError(message)


def _fragment_count(stream: BinaryIO, size: int) -> int:
    """Return the number of complete items of encapsulated pixel data, including the offset table."""
    count = 0
    while len(head := stream.read(8)) == 8:
        group, element, length = struct.unpack("<HHI", head)
        end = stream.tell() + length
        if (group, element) == _SEQUENCE_END or (group, element) != _ITEM or end > size:
            return count
        stream.seek(end)
        count += 1
    return count


def _check_decodable(path: Path, syntax: pydicom.uid.UID) -> None:
    """Decode in a process of its own first, where the decoder ends the whole process at some damaged files.

    That is GDCM with JPEG lossless, JPEG-LS and JPEG 2000. The trial costs half a second and a second decoding; files
    that are not compressed, RLE and baseline JPEG need none; without a Python program to start there is none.
    """
    has_python = "python" in Path(sys.executable or "").stem.lower()
    if not has_python or not syntax.is_compressed or syntax in (RLELossless, JPEGBaseline8Bit):
        return
    trial = subprocess.run(  # noqa: S603 - our own interpreter; the file name is an argument, not code
        [sys.executable, "-c", _TRIAL, str(path)], capture_output=True, check=False
    )
    if trial.returncode not in (0, 1):  # 1 is an exception, which the decoding proper will raise again
        message = f"'{path}' is damaged: its {syntax.name} pixels cannot be decoded."
        raise ImageFileError(message)


def _decoded(path: Path, source: Path | pydicom.Dataset, dataset: pydicom.Dataset, frames: int) -> Iterator[Pixels]:
    """Yield all frames, shape (Y, X) or (Y, X, 3), one at a time."""
    _check_decodable(path, dataset.file_meta.TransferSyntaxUID)
    # GDCM, which pydicom would ask first, ends the process at a damaged JPEG marker; Pillow decodes to the same pixels
    decoder = "pillow" if dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit else ""
    frames_yx = islice(iter_pixels(source, decoding_plugin=decoder), frames)
    count = 0
    with quiet_libraries():
        for frame in frames_yx:
            count += 1
            yield _as_shown(frame, dataset)
    if count < max(frames, 1):
        message = f"'{path}' is truncated: it declares {frames} frames, but holds {count}."
        raise ImageFileError(message)


def _as_shown(frame: Pixels, dataset: pydicom.Dataset) -> Pixels:
    """Return a decoded frame as RGB or as grey values that rise with brightness, in native byte order."""
    frame = frame.astype(frame.dtype.newbyteorder("="), copy=False)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours: Pixels = apply_color_lut(frame, dataset)
        return colours if colours.dtype == np.uint8 else np.right_shift(colours, 8).astype(np.uint8)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        highest = -1 if frame.dtype.kind == "i" else 2 ** int(dataset.BitsStored) - 1
        frame = np.subtract(highest, frame, dtype=frame.dtype)
    if "ModalityLUTSequence" in dataset:
        return np.asarray(apply_modality_lut(frame, dataset))
    slope, intercept = _rescale(dataset)
    if (slope, intercept) == (1.0, 0.0):
        return frame
    if not (slope.is_integer() and intercept.is_integer()):
        return np.asarray(np.multiply(frame, slope) + intercept, np.float32)
    bits, is_signed = int(dataset.BitsStored), frame.dtype.kind == "i"
    stored = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    bounds = [int(slope * value + intercept) for value in stored]
    holds = (np.iinfo(name) for name in ("int16", "uint16", "int32", "int64"))
    kind = next(info.dtype for info in holds if info.min <= min(bounds) and max(bounds) <= info.max)
    return np.asarray(np.multiply(frame, int(slope), dtype=kind) + kind.type(intercept))


def _rescale(dataset: pydicom.Dataset) -> tuple[float, float]:
    return float(dataset.get("RescaleSlope", None) or 1.0), float(dataset.get("RescaleIntercept", None) or 0.0)


def _notes(dataset: pydicom.Dataset) -> tuple[str, ...]:
    """Return what reading does to the stored values, for the history."""
    notes = []
    photometric = dataset.PhotometricInterpretation
    if photometric == "MONOCHROME1":
        notes.append("MONOCHROME1 inverted, so that higher is brighter")
    elif photometric == "PALETTE COLOR" or photometric.startswith("YBR"):
        notes.append(f"{photometric} converted to RGB")
    if "ModalityLUTSequence" in dataset:
        notes.append("modality LUT applied")
    elif _rescale(dataset) != (1.0, 0.0):
        slope, intercept = _rescale(dataset)
        notes.append(f"rescaled by slope {slope:g} and intercept {intercept:g}")
    return tuple(notes)


def _cautions(dataset: pydicom.Dataset) -> tuple[str, ...]:
    """Return what the user should know before passing on what is made of this file."""
    found = []
    burned_in = dataset.get("BurnedInAnnotation", None)
    if burned_in == "YES":
        found.append("The file says that text is burned into its pixels, perhaps a name; look before you pass it on.")
    elif burned_in != "NO":
        found.append(
            "The file does not say that its pixels are free of burned-in text (BurnedInAnnotation is not NO), "
            "which may be a name; look before you pass it on."
        )
    if _modality(dataset) not in _ULTRASOUND:
        found.append(f"The modality of the file is {_modality(dataset)}, not ultrasound.")
    return tuple(found)


def _modality(dataset: pydicom.Dataset) -> str:
    """Return the modality if it is a code, so that no other text of the file gets into a message."""
    modality = str(dataset.get("Modality", None) or "")
    return modality if re.fullmatch("[A-Z0-9]{2,8}", modality) else "not given"
