"""NRRD, MHA/MHD and NIfTI through SimpleITK: the formats that hold geometry."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.errors import ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.image import AXES, UNKNOWN_SPACING, Calibration, Pixels, Provenance, UltrasoundImage
from Speckle2SelfLogic.quiet import quiet_libraries

ONE_MILLIMETRE = Calibration(
    is_calibrated=False, reason="the file's spacing is 1.0, which usually means that it was never set"
)

_FORMATS = {
    ".nrrd": ("NRRD", "NrrdImageIO"),
    ".nhdr": ("NRRD", "NrrdImageIO"),
    ".mha": ("MetaImage", "MetaImageIO"),
    ".mhd": ("MetaImage", "MetaImageIO"),
    ".nii": ("NIfTI", "NiftiImageIO"),
    ".nii.gz": ("NIfTI", "NiftiImageIO"),
}
_AXES_KEY = "Speckle2SelfAxes"
_HISTORY_KEY = "Speckle2SelfHistory"
_UNCALIBRATED_KEY = "Speckle2SelfUncalibrated"
_LONGEST_TEXT = 1000
_PIXEL_KINDS = {"vector", "rgb-color", "rgba-color", "3-color", "4-color"}
_COMPLEX = "complex pixels"
_NO_MEMORY = "there is not enough memory"
_LONGEST_NIFTI_AXIS = 2**15 - 1
_NIFTI_ENDINGS = (".nii", ".hdr", ".img", ".nia")


def read_volume(path: Path, suffix: str) -> UltrasoundImage:
    """Read a NRRD, MetaImage or NIfTI file with its geometry.

    A three-dimensional file is a volume (``ZYX``) unless it says that an axis is time: a NRRD axis of the kind
    ``time`` or ``list`` (a 3D Slicer sequence), the frame fields of a tracked MetaImage sequence, or the axes that
    `write_volume` noted. A 3D Slicer sequence of single-slice volumes is ``TZYX`` with one slice, so that the position
    of its frames is kept. A negative spacing comes back as a positive one with that axis of the direction reversed.

    Raises
    ------
    ImageFileError
        If the file is damaged, truncated, of another format, or has a spacing of zero.
    UnsupportedImageError
        If its pixels are complex, or vectors that are neither RGB nor RGBA, or it has more than four axes.
    """
    fields: integrity.Fields = {}
    if suffix in (".nrrd", ".nhdr"):
        fields = integrity.check_nrrd(path)
    elif suffix in (".mha", ".mhd"):
        fields = integrity.check_metaimage(path)
    else:
        nifti = integrity.check_nifti(path)
    format_name, image_io = _FORMATS[suffix]
    with _without_namesakes(path, suffix) as file:
        volume = _execute(file, image_io, path)
    kinds = fields.get("kinds", "").lower().split() if format_name == "NRRD" else []
    has_list_pixels = kinds.count("list") == 1 and volume.GetDimension() == len(kinds) - 1 - len(
        _PIXEL_KINDS & {*kinds}
    )
    _check_kind(path, volume, has_list_pixels=has_list_pixels)
    pixels = _shared_array(volume)
    if format_name == "NIfTI":
        pixels = _with_non_finite(pixels, path, nifti, is_vector=volume.GetNumberOfComponentsPerPixel() > 1)
    notes = {key: volume.GetMetaData(key) for key in volume.GetMetaDataKeys()}
    spacing, origin, direction = volume.GetSpacing(), volume.GetOrigin(), volume.GetDirection()
    if has_list_pixels:
        pixels = np.moveaxis(pixels, -1, 0)
        spacing, origin, direction = (*spacing, 1.0), (*origin, 0.0), _with_time(direction)
        axes = "T" + ("YX", "ZYX")[pixels.ndim - 3]
    else:
        axes = _axes(pixels.ndim, volume, kinds, fields, notes)
    return UltrasoundImage(
        pixels=pixels,
        axes=axes,
        spacing_mm=spacing,
        origin_mm=origin,
        direction=direction,
        calibration=_calibration(spacing, axes, notes),
        provenance=Provenance(
            source=str(path),
            file_format=format_name,
            history=tuple(step for step in notes.get(_HISTORY_KEY, "").split(" | ") if step),
        ),
    )


def refusal(image: UltrasoundImage, suffix: str) -> str:
    """Return why these formats cannot hold an image, as the end of a sentence; empty if they can."""
    kind = image.pixels.dtype
    if kind.kind not in "iuf" or kind.itemsize > 8 or kind == np.float16:
        return f"cannot hold pixels of type {kind}; convert them to 8- to 64-bit whole numbers, float32 or float64"
    has_fleeting_axis = image.is_colour or image.geometry_dimension == 4  # the NIfTI writer drops it if its length is 1
    if _FORMATS[suffix][0] == "NIfTI" and has_fleeting_axis and image.pixels.shape[0] == 1:
        return f"does not keep an axis of length 1 (the image is {image.pixels.shape}); write NRRD (.nrrd) instead"
    longest = max(image.pixels.shape)
    if _FORMATS[suffix][0] == "NIfTI" and longest > _LONGEST_NIFTI_AXIS:
        return f"holds at most {_LONGEST_NIFTI_AXIS} along an axis, but the image has {longest}; write NRRD instead"
    return ""


def write_volume(image: UltrasoundImage, path: Path, suffix: str) -> tuple[str, ...]:
    """Write a NRRD, MetaImage or NIfTI file and check what was written.

    Returns
    -------
    tuple of str
        What the file could not hold of the geometry, for example ``("direction",)`` for a sheared one in NIfTI.

    Raises
    ------
    ImageFileError
        If the file could not be written whole, for example because the disk is full.
    """
    pixels = np.ascontiguousarray(image.pixels, dtype=image.pixels.dtype.newbyteorder("="))
    volume = SimpleITK.GetImageFromArray(pixels, isVector=image.is_colour)
    volume.SetSpacing(image.spacing_mm)
    volume.SetOrigin(image.origin_mm)
    volume.SetDirection(image.direction)
    if suffix in (".nrrd", ".mha", ".mhd"):
        for key, text in _notes_to_write(image).items():
            volume.SetMetaData(key, text)
    format_name, image_io = _FORMATS[suffix]
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO(image_io)
    draft = path.with_name(path.name[: -len(suffix)] + suffix)  # ITK knows most endings in lower case only
    writer.SetFileName(str(draft))
    writer.SetUseCompression(suffix == ".nii.gz")
    try:
        with _silent_itk():
            writer.Execute(volume)
    except RuntimeError as error:
        message = f"'{path.name}' could not be written as {format_name}; perhaps the disk is full."
        raise ImageFileError(message) from error
    checks = {"NRRD": integrity.check_nrrd, "MetaImage": integrity.check_metaimage, "NIfTI": integrity.check_nifti}
    try:
        checks[format_name](draft)
    except ImageFileError as error:
        message = f"'{path.name}' could not be written whole as {format_name}; perhaps the disk is full."
        raise ImageFileError(message) from error
    lost = _lost_geometry(image, draft, image_io)
    draft.replace(path)
    return lost


@contextmanager
def _without_namesakes(path: Path, suffix: str) -> Iterator[Path]:
    """Lend a file under a name that the NIfTI library cannot mistake.

    Asked for ``x.nii.gz``, it takes the pixels from an ``x.nii`` beside it; a mixed-case ending it refuses.
    """
    if _FORMATS[suffix][0] != "NIfTI" or (path.name.endswith(suffix) and not _has_namesake(path, suffix)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="speckle2self-") as folder:
        alone = Path(folder) / f"alone{suffix}"
        try:
            alone.symlink_to(path.absolute())
        except (OSError, NotImplementedError):  # Windows asks for a privilege
            shutil.copyfile(path, alone)
        yield alone


def _has_namesake(path: Path, suffix: str) -> bool:
    base = path.name[: -len(suffix)].lower()
    namesakes = {base + ending + packing for ending in _NIFTI_ENDINGS for packing in ("", ".gz")}
    try:
        return any(file.name != path.name and file.name.lower() in namesakes for file in path.parent.iterdir())
    except OSError:  # a folder that may be entered but not listed
        return True


def _reader(path: Path, image_io: str) -> SimpleITK.ImageFileReader:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    return reader


def _execute(file: Path, image_io: str, path: Path) -> SimpleITK.Image:
    """Read a file; ``path`` is what it is called in errors."""
    try:
        with _silent_itk():
            return _reader(file, image_io).Execute()
    except RuntimeError as error:
        cause = _cause(error)
        if cause == _NO_MEMORY:
            raise MemoryError from error
        if cause == _COMPLEX:
            raise UnsupportedImageError(_complex(path)) from error
        message = f"'{path}' cannot be read: {cause}."
        raise ImageFileError(message) from error


@contextmanager
def _silent_itk() -> Iterator[None]:
    """Keep the warnings of ITK and of the libraries in it from standard error; what matters in them is checked here."""
    shows_warnings = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with quiet_libraries():
            yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shows_warnings)


def _cause(error: RuntimeError) -> str:
    """Return in plain words what the many lines of a SimpleITK exception say."""
    known = {
        "Zero-valued spacing": "its spacing is zero",
        "spacing (0) invalid": "its spacing is zero",
        "determinant is 0": "its direction matrix is singular",
        "orthonormal": "its axes are not at right angles, which the NIfTI reader does not support; save it as NRRD",
        "number of domain axes": "its axes do not match the dimension of the space that it names",
        "unsupported image dimension": "the number of its axes is not 2 to 4",
        "omplex": _COMPLEX,
        "bad_alloc": _NO_MEMORY,
        "allocate": _NO_MEMORY,
    }
    found = (sentence for mark, sentence in known.items() if mark in str(error))
    return next(found, "its header or its pixels are damaged")


def _complex(path: Path) -> str:
    return f"'{path}' has {_COMPLEX}; save their magnitude instead."


def _check_kind(path: Path, volume: SimpleITK.Image, *, has_list_pixels: bool) -> None:
    if "complex" in volume.GetPixelIDTypeAsString():
        raise UnsupportedImageError(_complex(path))
    components = volume.GetNumberOfComponentsPerPixel()
    if components not in (1, 3, 4) and not has_list_pixels:
        message = f"'{path}' has {components} values in each pixel; only grey, RGB and RGBA images can be read."
        raise UnsupportedImageError(message)
    if not 2 <= volume.GetDimension() <= 4:
        message = f"'{path}' has {volume.GetDimension()} axes; images of 2 to 4 axes can be read."
        raise UnsupportedImageError(message)


class _SharedPixels:
    """Lends the buffer of a SimpleITK image to NumPy and keeps the image alive, so that no copy is needed."""

    def __init__(self, volume: SimpleITK.Image) -> None:
        self.volume = volume
        self.__array_interface__ = SimpleITK.GetArrayViewFromImage(volume).__array_interface__


def _shared_array(volume: SimpleITK.Image) -> Pixels:
    return np.asarray(_SharedPixels(volume))


def _with_non_finite(pixels: Pixels, path: Path, header: integrity.NiftiHeader, *, is_vector: bool) -> Pixels:
    """Put NaN and infinities back, which the NIfTI library under SimpleITK reads as zero."""
    positions, values = integrity.non_finite_samples(path, header)
    if not positions.size:
        return pixels
    index = np.unravel_index(positions, header.shape)
    shape = header.shape
    if is_vector:  # stored plane by plane, components slowest
        index, shape = (*index[1:], index[0]), (*shape[1:], shape[0])
    repaired = np.array(pixels)
    repaired.reshape(shape)[index] = values
    return repaired


def _axes(
    dimension: int, volume: SimpleITK.Image, kinds: list[str], fields: integrity.Fields, notes: dict[str, str]
) -> str:
    colour = "C" if volume.GetNumberOfComponentsPerPixel() > 1 else ""
    noted = notes.get(_AXES_KEY, "")
    if noted in AXES and len(noted) == dimension and noted.endswith("C") == bool(colour):
        return noted
    is_cine = kinds[-1:] in (["time"], ["list"]) or any(name.startswith("seq_frame") for name in fields)
    return {2: "YX", 3: "TYX" if is_cine else "ZYX", 4: "TZYX"}[volume.GetDimension()] + colour


def _calibration(spacing: tuple[float, ...], axes: str, notes: dict[str, str]) -> Calibration:
    if _UNCALIBRATED_KEY in notes:
        return Calibration(is_calibrated=False, reason=notes[_UNCALIBRATED_KEY])
    spatial = spacing[: 3 if "Z" in axes else 2]
    if all(value == 1.0 for value in spatial):
        return ONE_MILLIMETRE
    return Calibration(is_calibrated=True, reason="spacing from the file")


def _with_time(direction: tuple[float, ...]) -> tuple[float, ...]:
    """Return a direction matrix with one more axis that is parallel to none of the others."""
    count = math.isqrt(len(direction))
    larger = np.eye(count + 1)
    larger[:count, :count] = np.reshape(direction, (count, count))
    return tuple(larger.ravel().tolist())


def _notes_to_write(image: UltrasoundImage) -> dict[str, str]:
    notes = {_AXES_KEY: image.axes}
    if image.provenance.history:
        notes[_HISTORY_KEY] = " | ".join(image.provenance.history)
    if not image.calibration.is_calibrated and image.calibration not in (ONE_MILLIMETRE, UNKNOWN_SPACING):
        notes[_UNCALIBRATED_KEY] = image.calibration.reason
    return {key: _plain(text) for key, text in notes.items() if text}


def _plain(text: str) -> str:
    """Return text on one line in ASCII, which is all that both header formats hold safely."""
    return " ".join(text.encode("ascii", "replace").decode("ascii").split())[:_LONGEST_TEXT]


def _lost_geometry(image: UltrasoundImage, path: Path, image_io: str) -> tuple[str, ...]:
    header = _reader(path, image_io)
    with _silent_itk():
        header.ReadImageInformation()
    pairs = {
        "spacing": (image.spacing_mm, header.GetSpacing()),
        "origin": (image.origin_mm, header.GetOrigin()),
        "direction": (image.direction, header.GetDirection()),
    }
    return tuple(
        name
        for name, (wanted, held) in pairs.items()
        if len(wanted) != len(held) or not np.allclose(wanted, held, rtol=1e-5, atol=1e-5)
    )
