"""Files to images and back: NRRD, MHA/MHD, NIfTI, DICOM, PNG, JPEG, TIFF, BMP, NPY.

The libraries behind the formats are loaded when the first file of that format is read or written.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.errors import GeometryLossWarning, ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.image import Calibration, Pixels, Provenance, UltrasoundImage
from Speckle2SelfLogic.plain_errors import is_text, one_sentence

_VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_DICOM_SUFFIXES = (".dcm",)

READABLE_SUFFIXES = (*_VOLUME_SUFFIXES, *_PICTURE_SUFFIXES, ".npy", *_DICOM_SUFFIXES)
"""File name endings that `read_image` takes. A DICOM file may have any ending or none: it is known by its content."""

WRITABLE_SUFFIXES = tuple(suffix for suffix in READABLE_SUFFIXES if suffix != ".nhdr")
"""File name endings that `write_image` takes."""

_FORMAT_NAMES = {".dcm": "DICOM", ".nii": "NIfTI", ".nii.gz": "NIfTI", ".jpg": "JPEG", ".tif": "TIFF"}
_MAPPED_FROM_BYTES = 1 << 26


def image_suffix(path: str | os.PathLike[str]) -> str:
    """Return the lower-case ending of a file name; ``.nii.gz`` counts as one. Empty if there is none."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def is_readable(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like an image that `read_image` takes, by its ending or its DICOM marker."""
    return image_suffix(path) in READABLE_SUFFIXES or integrity.is_dicom(Path(path))


def read_image(path: str | os.PathLike[str]) -> UltrasoundImage:
    """Read an image, volume or cine with all the geometry that its file holds.

    Parameters
    ----------
    path
        A file that ends as `READABLE_SUFFIXES` says, or a DICOM file of any name.

    Returns
    -------
    UltrasoundImage
        Pixels as stored (colours expanded to RGB). Three axes are ``ZYX`` unless the file tells that one of them is
        time (DICOM frames, TIFF pages, 3D Slicer sequences). Its calibration says whether the spacing is physical.

    Raises
    ------
    ImageFileError
        If the file is missing, empty, damaged, truncated, or of no known format, or cannot be reached.
    UnsupportedImageError
        If its pixels are of a kind that an ultrasound image cannot have (complex, vectors, objects), or do not fit
        into memory.
    """
    with one_sentence(path, "cannot be read"):
        return _read(Path(path))


def _read(file_path: Path) -> UltrasoundImage:
    integrity.check_file(file_path)
    suffix = image_suffix(file_path)
    if not is_readable(file_path):
        message = f"'{file_path}' is of no known image format; use one of {', '.join(READABLE_SUFFIXES)}."
        raise ImageFileError(message)
    if suffix in _DICOM_SUFFIXES or suffix not in READABLE_SUFFIXES:
        from Speckle2SelfLogic.dicom import read_dicom

        return read_dicom(file_path)
    if suffix == ".npy":
        return _read_npy(file_path)
    if suffix in _PICTURE_SUFFIXES:
        from Speckle2SelfLogic.picture_files import read_picture

        return read_picture(file_path)
    if not is_text(file_path):  # ITK ends the process
        message = f"'{file_path}' cannot be read: its name holds bytes that are not UTF-8 text; rename it."
        raise ImageFileError(message)
    from Speckle2SelfLogic.volume_files import read_volume

    return read_volume(file_path, suffix)


def check_writable(image: UltrasoundImage | None, path: str | os.PathLike[str]) -> None:
    """Check before any computing that an image could be written to a path.

    Parameters
    ----------
    image
        The image, or one of the same shape, pixel type and source; None checks the path alone.
    path
        The file to write; its ending names the format.

    Raises
    ------
    ImageFileError
        If the ending is not one of `WRITABLE_SUFFIXES`, the name is no text or too long, the folder is missing or
        cannot be written to, what is there is not a regular file, or the format cannot hold the image.
    """
    with one_sentence(path, "cannot be written"):
        _check_target(path)
        target, suffix = Path(path), image_suffix(path)
        if image is not None and (why_not := _refusal(image, target, suffix)):
            message = f"'{path}' cannot be written: {_FORMAT_NAMES.get(suffix, suffix[1:].upper())} {why_not}."
            raise ImageFileError(message)


def _check_target(path: str | os.PathLike[str]) -> None:
    target, suffix = Path(path), image_suffix(path)
    if suffix not in WRITABLE_SUFFIXES:
        message = f"'{path}' cannot be written: its ending must be one of {', '.join(WRITABLE_SUFFIXES)}."
        raise ImageFileError(message)
    if not is_text(target):  # ITK ends the process
        message = f"'{path}' cannot be written: its name holds bytes that are not UTF-8 text."
        raise ImageFileError(message)
    mode, folder_mode = _file_mode(target), _file_mode(target.parent)
    if stat.S_ISDIR(mode):
        message = f"'{path}' cannot be written: it is a folder."
        raise ImageFileError(message)
    if mode and not stat.S_ISREG(mode):
        message = f"'{path}' cannot be written: it is not a regular file, and would be replaced by one."
        raise ImageFileError(message)
    if not stat.S_ISDIR(folder_mode):
        message = f"'{path}' cannot be written: the folder '{target.parent}' does not exist."
        raise ImageFileError(message)
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        message = f"'{path}' cannot be written: the folder '{target.parent}' is not writable."
        raise ImageFileError(message) from error
    if mode and not os.access(target, os.W_OK):
        message = f"'{path}' cannot be written: the file exists and is protected."
        raise ImageFileError(message)
    raw = target.with_suffix(".raw")
    if suffix == ".mhd" and (raw_mode := _file_mode(raw)) and not (stat.S_ISREG(raw_mode) and _names(target, raw.name)):
        message = (
            f"'{path}' cannot be written: its data file '{raw.name}' would replace another file; write .mha instead."
        )
        raise ImageFileError(message)


def _file_mode(path: Path) -> int:
    """Return kind and permissions of a file or folder; 0 if there is none. Any other failure is an `OSError`."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _names(header: Path, data_file: str) -> bool:
    """Whether there is a MetaImage header that names a data file as its own."""
    try:
        fields, _ = integrity.metaimage_fields(header)
    except (OSError, ImageFileError):
        return False
    return fields.get("elementdatafile") == data_file


def write_image(image: UltrasoundImage, path: str | os.PathLike[str], *, is_repeatable: bool = False) -> None:
    """Write an image in the format that the ending of the path names; the file appears whole or not at all.

    An existing file is replaced. A DICOM file can only be derived from the DICOM file that the image came from; if it
    is to be repeatable, writing the same again gives the same bytes (other formats always do).

    Raises
    ------
    ImageFileError
        As `check_writable`, or if writing fails (for example because the disk is full); no file is left then.
    UnsupportedImageError
        If there is not enough memory to write the image.

    Warns
    -----
    GeometryLossWarning
        If the format cannot hold the image's spacing, origin or direction; the text names what is lost.
    """
    check_writable(image, path)
    target, suffix = Path(path), image_suffix(path)
    lost = lost_geometry(image, suffix)
    writer = _writer(suffix, is_repeatable=is_repeatable)
    with (
        one_sentence(path, "could not be written", image.pixels.nbytes),
        tempfile.TemporaryDirectory(prefix=".speckle2self-", dir=target.parent) as folder,
    ):
        draft = Path(folder) / target.name
        lost += writer(image, draft)
        put_in_place(draft, target)
    warn_of_loss(lost, target)


def put_in_place(draft: Path, target: Path) -> None:
    """Move a finished file out of the folder that it was written in, after the others there (a header comes last)."""
    for file in sorted(draft.parent.iterdir(), key=lambda written: written == draft):
        file.replace(target.parent / file.name)


def warn_of_loss(lost: tuple[str, ...], target: Path) -> None:
    """Warn (`GeometryLossWarning`) that a file does not hold some parts of the geometry, if there are any."""
    if lost:
        names = " and ".join(filter(None, (", ".join(lost[:-1]), lost[-1])))
        message = f"'{target.name}' cannot hold the {names} of the image, which is lost in this file; NRRD keeps it."
        warnings.warn(message, GeometryLossWarning, stacklevel=3)


def _refusal(image: UltrasoundImage, path: Path, suffix: str) -> str:
    if suffix in _VOLUME_SUFFIXES:
        from Speckle2SelfLogic import volume_files

        return volume_files.refusal(image, suffix)
    if suffix in _PICTURE_SUFFIXES:
        from Speckle2SelfLogic import picture_files

        return picture_files.refusal(image, suffix)
    if suffix in _DICOM_SUFFIXES:
        from Speckle2SelfLogic import dicom_export

        return dicom_export.refusal(image, path)
    return "" if image.pixels.dtype.kind in "iuf" else f"cannot hold pixels of type {image.pixels.dtype}"


def _writer(suffix: str, *, is_repeatable: bool) -> Callable[[UltrasoundImage, Path], tuple[str, ...]]:
    """Return a function that writes an image to a path and names what the file could not hold."""

    def write(image: UltrasoundImage, path: Path) -> tuple[str, ...]:
        if suffix in _VOLUME_SUFFIXES:
            from Speckle2SelfLogic.volume_files import write_volume

            return write_volume(image, path, suffix)
        if suffix in _PICTURE_SUFFIXES:
            from Speckle2SelfLogic.picture_files import write_picture

            write_picture(image, path, suffix)
        elif suffix in _DICOM_SUFFIXES:
            from Speckle2SelfLogic.dicom_export import write_dicom

            write_dicom(image, path, is_repeatable=is_repeatable)
        else:
            with path.open("wb") as stream:  # given a name, NumPy would add a lower-case ending to it
                np.save(stream, image.pixels, allow_pickle=False)
        return ()

    return write


def lost_geometry(image: UltrasoundImage, suffix: str) -> tuple[str, ...]:
    """Return which parts of the geometry a format without any would lose: those that are not 1, 0 and identity."""
    if suffix not in (*_PICTURE_SUFFIXES, ".npy"):
        return ()
    identity = tuple(np.eye(image.geometry_dimension).ravel())
    has = {
        "spacing": any(value != 1.0 for value in image.spacing_mm),
        "origin": any(value != 0.0 for value in image.origin_mm),
        "direction": image.direction != identity,
    }
    return tuple(name for name, is_set in has.items() if is_set)


def _read_npy(path: Path) -> UltrasoundImage:
    """Read a NPY file: 2 axes YX, 3 ZYX, 4 TZYX; a last axis of 3 or 4 in 8-bit pixels is colour."""
    pixels = _npy_pixels(path)
    is_colour = pixels.dtype == np.uint8 and pixels.ndim > 2 and pixels.shape[-1] in (3, 4)
    axes = {2: "YX", 3: "ZYX", 4: "TZYX"}.get(pixels.ndim - is_colour)
    if axes is None:
        message = f"'{path}' has {pixels.ndim} axes; a NPY image has 2 to 4, and one more for colour."
        raise UnsupportedImageError(message)
    return UltrasoundImage(
        pixels=pixels,
        axes=axes + "C" * is_colour,
        calibration=Calibration(is_calibrated=False, reason="NPY does not hold the size of a pixel"),
        provenance=Provenance(source=str(path), file_format="NPY"),
    )


def _npy_pixels(path: Path) -> Pixels:
    """Return the array of a NPY file in native byte order; a large one stays on disk and is read when used."""
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        if "object" in str(error).lower():
            message = f"'{path}' holds Python objects (a pickle), which are never loaded; save plain numbers."
            raise UnsupportedImageError(message) from error
        message = f"'{path}' is damaged, truncated or not a NPY file ({integrity.reason(error)})."
        raise ImageFileError(message) from error
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        raise
    except (EOFError, SyntaxError, TypeError, KeyError, OverflowError) as error:
        message = f"'{path}' is damaged, truncated or not a NPY file."
        raise ImageFileError(message) from error
    if mapped.dtype.kind not in "iuf":
        message = f"'{path}' has pixels of type {mapped.dtype}; whole numbers or floating-point numbers are needed."
        raise UnsupportedImageError(message)
    if mapped.nbytes >= _MAPPED_FROM_BYTES and mapped.dtype.isnative:
        return mapped
    return np.array(mapped, dtype=mapped.dtype.newbyteorder("="), order="C")
