"""PNG, JPEG, TIFF and BMP through Pillow: the formats that hold no geometry."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from Speckle2SelfLogic import integrity, picture_integrity
from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError, UnsupportedImageError
from Speckle2SelfLogic.image import Calibration, Pixels, Provenance, UltrasoundImage

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
_GREY_TYPES = {
    "PNG": ("uint8", "uint16"),
    "JPEG": ("uint8",),
    "TIFF": ("uint8", "uint16", "int32", "float32"),
    "BMP": ("uint8",),
}
_COLOUR_COUNTS = {"PNG": (3, 4), "JPEG": (3,), "TIFF": (3, 4), "BMP": (3,)}
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}}
_LARGEST_TIFF_BYTES = 4_000_000_000

_DIRECT_MODES = ("L", "I;16", "I;16L", "I;16B", "I;16N", "I", "F", "RGB", "RGBA")
_EXPANDED_MODES = {"1": "L", "CMYK": "RGB", "YCbCr": "RGB"}
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339  # TIFF 6.0 tags
_BLOCK_TAGS = ((273, 279), (324, 325))  # offset and byte count of strips, of tiles
_WHITE_IS_ZERO, _SIGNED = 0, 2


def read_picture(path: Path) -> UltrasoundImage:
    """Read a PNG, JPEG, TIFF or BMP file; a TIFF file of several pages is a cine (``TYX``).

    Palette and CMYK colours are expanded to RGB, 1-bit pixels to 0 and 255, and an alpha channel that is opaque
    everywhere is taken from a grey picture; the history says so. An EXIF orientation is not applied (and noted): the
    pixels stay as the machine stored them. A TIFF file is whole if the pixels and the directories of all its pages are;
    padding behind them may be missing.

    Raises
    ------
    ImageFileError
        If the file is damaged, truncated, not a picture, or larger than Pillow's limit against decompression bombs.
    UnsupportedImageError
        If it has 16 bits per colour channel, a colour space other than grey, RGB or CMYK, or pages that differ.
    """
    with _opened(path) as picture:
        _check_depth(path, picture)
        notes = _notes(picture)
        page_count = _page_count(path, picture)
        following = _pages(path, picture, page_count)
        first = next(following)
        if picture.format == "PNG":
            picture_integrity.check_png_end(path)
        if page_count == 1:
            return _image(path, picture, first[np.newaxis], notes)
        pages = np.empty((page_count, *first.shape), first.dtype)
        pages[0] = first
        for number, page in enumerate(following, start=1):
            pages[number] = page
        return _image(path, picture, pages, notes)


def spool_pages(path: Path, spool: BinaryIO) -> UltrasoundImage | None:
    """Write the pages of a TIFF file into an open file one after the other, as `read_picture` reads them.

    Returns
    -------
    UltrasoundImage or None
        What `read_picture` returns, but with pixels that are zero and take no memory; None if there is one page only.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        As `read_picture`.
    """
    with _opened(path) as picture:
        _check_depth(path, picture)
        notes = _notes(picture)
        page_count = _page_count(path, picture)
        if page_count == 1:
            return None
        page: Pixels = np.empty(0)
        for page in _pages(path, picture, page_count):
            spool.write(np.ascontiguousarray(page).data)
        return _image(path, picture, np.broadcast_to(np.zeros((), page.dtype), (page_count, *page.shape)), notes)


def _image(path: Path, picture: Image.Image, pages: Pixels, notes: tuple[str, ...]) -> UltrasoundImage:
    """Return pages of shape (N, Y, X) or (N, Y, X, C) as an image; a single one is a frame."""
    is_cine, file_format = len(pages) > 1, _format_of(picture)
    pixels = pages if is_cine else pages[0]
    axes = {2: "YX", 3: "TYX" if is_cine else "YXC", 4: "TYXC"}[pixels.ndim]
    return UltrasoundImage(
        pixels=pixels,
        axes=axes,
        calibration=Calibration(is_calibrated=False, reason=f"{file_format} does not hold the size of a pixel"),
        provenance=Provenance(source=str(path), file_format=file_format, history=notes),
    )


def refusal(image: UltrasoundImage, suffix: str) -> str:
    """Return why a picture format cannot hold an image, as the end of a sentence; empty if it can."""
    name, pixels = _FORMATS[suffix], image.pixels
    counts = [count for count in pixels.shape[: len(image.frame_axes_first)] if count > 1]
    if name != "TIFF" and counts:
        return f"holds one 2D frame, but the image has {math.prod(counts)}; write NRRD (.nrrd) instead"
    if len(counts) > 1 or (name == "TIFF" and pixels.nbytes > _LARGEST_TIFF_BYTES):
        return "holds one stack of at most 4 GB, but the image has more; write NRRD (.nrrd) instead"
    if image.is_colour and pixels.shape[-1] not in _COLOUR_COUNTS[name]:
        return "cannot hold transparency (RGBA); write PNG or NRRD instead"
    allowed = ("uint8",) if image.is_colour else _GREY_TYPES[name]
    if pixels.dtype.name not in allowed:
        return f"holds pixels of type {' or '.join(allowed)}, not {pixels.dtype.name}; write NRRD (.nrrd) instead"
    return ""


def write_picture(image: UltrasoundImage, path: Path, suffix: str, frames: Iterable[Pixels] | None = None) -> None:
    """Write a picture; frames of a stack become pages of a TIFF file. JPEG is lossy (quality 95, no subsampling).

    Parameters
    ----------
    image
        What to write.
    path, suffix
        The file, and the ending that names its format.
    frames
        The frames of the image, taken one by one, in place of its own pixels.

    Raises
    ------
    ImageFileError
        If the file cannot be written, for example because the disk is full.
    """
    leading = len(image.frame_axes_first)
    if frames is None:
        frames = image.pixels.reshape((-1, *image.pixels.shape[leading:]))
    pictures = (Image.fromarray(np.ascontiguousarray(frame, frame.dtype.newbyteorder("="))) for frame in frames)
    name = _FORMATS[suffix]
    is_stack = math.prod(image.pixels.shape[:leading]) > 1
    try:
        if is_stack:
            _write_pages(pictures, path)
            return
        packed = io.BytesIO()  # Pillow itself does not notice when a disk is full
        next(pictures).save(packed, format=name, **_SAVE_OPTIONS.get(name, {}))
        path.write_bytes(packed.getbuffer())
    except (OSError, ValueError) as error:
        message = f"'{path.name}' could not be written as {name}: {integrity.reason(error)}."
        raise ImageFileError(message) from error


class _PageWriter(TiffImagePlugin.AppendingTiffWriter):
    """Goes on from the last page; Pillow's own goes through all earlier pages for every new one."""

    _last_link = 0

    def skipIFDs(self) -> None:  # noqa: N802 - Pillow's name
        if self._last_link:
            self.f.seek(self._last_link)
        super().skipIFDs()
        self._last_link = self.whereToWriteNewIFDOffset or 0


def _write_pages(pictures: Iterator[Image.Image], path: Path) -> None:
    with path.open("w+b") as stream, _PageWriter(stream) as pages:
        for picture in pictures:
            picture.save(pages, format="TIFF")
            pages.newFrame()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture, and say in one sentence whatever goes wrong until it is closed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with path.open("rb") as stream:
                if stream.read(4)[:2] in (b"II", b"MM"):  # TIFF, whose cut-off directory Pillow calls corrupt EXIF data
                    warnings.filterwarnings("error", message="Corrupt EXIF data")
                with Image.open(stream, formats=sorted(set(_FORMATS.values()))) as picture:
                    yield picture
    except (Speckle2SelfError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = (
            f"'{path}' declares more than {Image.MAX_IMAGE_PIXELS} pixels in one frame, which may be a decompression "
            "bomb; crop or scale it."
        )
        raise ImageFileError(message) from error
    except UnidentifiedImageError as error:
        message = f"'{path}' is not a PNG, JPEG, TIFF or BMP picture, whatever its name says, or its start is damaged."
        raise ImageFileError(message) from error
    except Exception as error:  # a decoder that meets damaged bytes may raise anything
        message = f"'{path}' is damaged or truncated: its pixels cannot be decoded ({integrity.reason(error)})."
        raise ImageFileError(message) from error


def _check_depth(path: Path, picture: Image.Image) -> None:
    """Refuse 16 bits per colour channel, of which Pillow would keep eight."""
    if picture.format == "PNG":
        with path.open("rb") as stream:
            bits, colour_type = stream.read(26)[24:26]  # of the IHDR chunk, which is always first
        is_deep_colour = bits > 8 and colour_type != 0
    else:
        bits_per_sample = _tags(picture, _BITS, (8,))
        is_deep_colour = len(bits_per_sample) > 1 and max(bits_per_sample) > 8
    if is_deep_colour:
        message = f"'{path}' has more than 8 bits in each colour channel; save it as 8-bit colour or as 16-bit grey."
        raise UnsupportedImageError(message)


def _tags(picture: Image.Image, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return the whole numbers of a TIFF tag; the default for other formats."""
    value = (getattr(picture, "tag_v2", None) or {}).get(tag, default)
    return value if isinstance(value, tuple) else (value,)


def _check_blocks(path: Path, picture: Image.Image) -> None:
    """Check that every strip or tile of a TIFF page lies inside the file, before libtiff sees it."""
    size = path.stat().st_size
    for offsets, counts in _BLOCK_TAGS:
        ends = [start + count for start, count in zip(_tags(picture, offsets), _tags(picture, counts), strict=False)]
        if max(ends, default=0) > size:
            message = f"'{path}' is truncated: its header needs {max(ends)} bytes, but only {size} are there."
            raise ImageFileError(message)


def _page(path: Path, picture: Image.Image) -> Pixels:
    """Return the grey or colour values of the current page, shape (Y, X) or (Y, X, 3 or 4), in native byte order."""
    _check_blocks(path, picture)
    picture.load()
    pixels = np.asarray(_in_direct_mode(path, picture))
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    bits = _tags(picture, _BITS, (8,))[0]
    is_signed = _tags(picture, _SAMPLE_FORMAT, (1,))[0] == _SIGNED
    if picture.format != "TIFF" or pixels.ndim == 3 or pixels.dtype == np.float32:
        return pixels
    if is_signed:  # Pillow reads signed 8 bit as unsigned and signed 16 bit as 32 bit
        return pixels.view(np.int8) if pixels.dtype == np.uint8 else pixels.astype(f"int{bits}")
    if pixels.dtype == np.int32:
        return pixels.view(np.uint32)
    if pixels.dtype == np.uint16 and _tags(picture, _PHOTOMETRIC) == (_WHITE_IS_ZERO,):  # Pillow inverts 8 bit only
        return np.asarray(np.subtract(2**bits - 1, pixels, dtype=np.uint16))
    return pixels


def _in_direct_mode(path: Path, picture: Image.Image) -> Image.Image:
    mode = picture.mode
    if mode in _DIRECT_MODES:
        return picture
    if mode in ("P", "PA"):
        return picture.convert("RGBA" if mode == "PA" or "transparency" in picture.info else "RGB")
    if mode == "LA":
        return picture.getchannel("L") if _is_opaque(picture) else picture.convert("RGBA")
    if mode in _EXPANDED_MODES:
        return picture.convert(_EXPANDED_MODES[mode])
    message = f"'{path}' has pixels in the colour space {mode}; save it as grey or RGB."
    raise UnsupportedImageError(message)


def _is_opaque(picture: Image.Image) -> bool:
    return picture.getchannel("A").getextrema() == (255, 255)


def _format_of(picture: Image.Image) -> str:
    return "JPEG" if picture.format == "MPO" else str(picture.format)


def _page_count(path: Path, picture: Image.Image) -> int:
    return picture_integrity.check_tiff_pages(path) if picture.format == "TIFF" else 1


def _pages(path: Path, picture: Image.Image, page_count: int) -> Iterator[Pixels]:
    """Yield all pages, shape (Y, X) or (Y, X, C), read one by one and alike in size and type."""
    first = _page(path, picture)
    integrity.check_memory(path, first.nbytes * page_count)
    yield first
    for index in range(1, page_count):
        picture.seek(index)
        _check_depth(path, picture)
        page = _page(path, picture)
        if page.shape != first.shape or page.dtype != first.dtype:
            message = f"'{path}' has pages that differ in size or type (page {index + 1}); save them as single files."
            raise UnsupportedImageError(message)
        yield page


def _notes(picture: Image.Image) -> tuple[str, ...]:
    notes = {
        "1": "1-bit pixels read as 0 and 255",
        "P": "palette colours expanded to RGB",
        "PA": "palette colours expanded to RGBA",
        "CMYK": "CMYK colours converted to RGB",
        "LA": "grey picture with alpha: read as grey if opaque, else as RGBA",
    }
    found = [notes[picture.mode]] if picture.mode in notes else []
    orientation = picture.getexif().get(_ORIENTATION, 1)
    if picture.format != "TIFF" and orientation != 1:
        found.append(f"EXIF orientation {orientation} not applied")
    return tuple(found)
