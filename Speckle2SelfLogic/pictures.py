"""Frames and residuals as pictures: one stated grey window, one diverging colour map, contact sheets."""

from __future__ import annotations

import base64
import contextlib
import io
import math
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from Speckle2SelfLogic.errors import ImageFileError, SettingsError, UnsupportedImageError

Frame = npt.NDArray[np.generic]

RESEARCH_NOTICE = "Research use only. Not for diagnosis."

_RESIDUAL_ANCHORS_RGB = ((16, 58, 120), (104, 160, 214), (242, 242, 240), (226, 132, 96), (130, 28, 20))
_SHEET_RGB = (13, 16, 19)
_CAPTION_RGB = (228, 233, 236)
_FOOTER_RGB = (150, 162, 169)
_ASCII = {
    "×": "x",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "±": "+/-",
    "°": " deg",
    "σ": "sigma",
    "μ": "u",
    "ß": "ss",
}
_MARGIN_PX = 16
_CAPTION_PX = 17
_FOOTER_PX = 13


def to_png_bytes(frame_yx: Frame, *, lowest: float, highest: float) -> bytes:
    """Encode a frame as an 8-bit grey PNG: ``lowest`` and below black, ``highest`` and above white, linear between.

    Raises
    ------
    UnsupportedImageError
        If the frame is not a finite grey Y, X array.
    SettingsError
        If the window is empty or not finite.
    """
    return encoded(grey_picture(frame_yx, lowest, highest))


def residual_png_bytes(residual_yx: Frame, *, limit: float) -> bytes:
    """Encode a residual as a PNG with 255 colours: ``-limit`` blue, 0 near-white, ``+limit`` red, linear between.

    Raises
    ------
    UnsupportedImageError
        If the residual is not a finite Y, X array.
    SettingsError
        If the limit is not positive and finite.
    """
    return encoded(residual_picture(residual_yx, limit))


def save_side_by_side(
    frames: Sequence[Frame],
    titles: Sequence[str],
    path: Path | str,
    *,
    lowest: float,
    highest: float,
    spacing_mm_yx: tuple[float, float] | None = None,
    columns: int | None = None,
    panel_width_px: int = 480,
    footer: str = RESEARCH_NOTICE,
) -> None:
    """Write a PNG contact sheet: frames in reading order, a caption below each, a footer below all.

    Parameters
    ----------
    frames, titles
        Grey Y, X frames (shapes may differ) and one caption for each, shown in ASCII (Pillow's own font has no more).
    lowest, highest
        Grey window, the same for every frame.
    spacing_mm_yx
        Row and column spacing of every frame in mm, for true proportions; None means square pixels.
    columns
        Panels in a row; left out, all in one row up to four.
    panel_width_px
        Width of one panel, at least 32.
    footer
        Small print below the panels.

    Raises
    ------
    SettingsError
        If there is no frame, a title is missing, the window is empty, or a panel is too narrow.
    UnsupportedImageError
        If a frame is not a finite grey Y, X array.
    ImageFileError
        If the file cannot be written; nothing is left behind.
    """
    if not frames or len(frames) != len(titles):
        message = f"A contact sheet needs one title for each frame, but got {len(frames)} frames, {len(titles)} titles."
        raise SettingsError(message)
    if panel_width_px < 32 or (columns is not None and columns < 1):
        message = f"A contact sheet needs panels of at least 32 px, not {panel_width_px}, in at least 1 column."
        raise SettingsError(message)
    panels = []
    for frame_yx in frames:
        grey = grey_picture(frame_yx, lowest, highest)
        height_px = max(1, round(panel_width_px / display_ratio(frame_yx.shape, spacing_mm_yx)))
        panels.append(grey.resize((panel_width_px, height_px), Image.Resampling.LANCZOS))
    sheet = _contact_sheet(panels, titles, min(columns or 4, len(panels)), footer)
    write_whole(Path(path), encoded(sheet))


def display_ratio(shape_yx: tuple[int, ...], spacing_mm_yx: tuple[float, float] | None) -> float:
    """Width divided by height as a frame should be shown (pixels are taken as square where spacing is unknown)."""
    row_mm, column_mm = spacing_mm_yx or (1.0, 1.0)
    return (shape_yx[1] * column_mm) / (shape_yx[0] * row_mm)


def grey_picture(frame_yx: Frame, lowest: float, highest: float) -> Image.Image:
    """Show a frame in a grey window as an 8-bit picture; errors as `to_png_bytes`."""
    _check_frame(frame_yx)
    if not (math.isfinite(lowest) and math.isfinite(highest) and lowest < highest):
        message = f"A grey window needs two finite values, the first lower, but is {lowest} to {highest}."
        raise SettingsError(message)
    level = (np.clip(frame_yx.astype(np.float64), lowest, highest) - lowest) / (highest - lowest)
    return Image.fromarray(np.rint(255 * level).astype(np.uint8))


def residual_picture(residual_yx: Frame, limit: float) -> Image.Image:
    """Show a residual in colours, 0 exactly in the middle of 255 palette entries; errors as `residual_png_bytes`."""
    _check_frame(residual_yx)
    if not (math.isfinite(limit) and limit > 0):
        message = f"The limit of a residual map must be positive and finite, but is {limit}."
        raise SettingsError(message)
    level = np.rint(127 + 127 * np.clip(residual_yx.astype(np.float64) / limit, -1, 1))
    picture = Image.fromarray(level.astype(np.uint8))
    anchors = np.linspace(0, 254, len(_RESIDUAL_ANCHORS_RGB))
    channels = [np.interp(np.arange(255), anchors, channel) for channel in np.transpose(_RESIDUAL_ANCHORS_RGB)]
    picture.putpalette(np.rint(np.stack(channels, axis=-1)).astype(np.uint8).tobytes())
    return picture


def encoded(picture: Image.Image, *, jpeg_quality: int | None = None, longest_px: int | None = None) -> bytes:
    """Encode as PNG, or as JPEG if a quality (1 to 95) is given; first shrink a side longer than ``longest_px``."""
    if picture.mode == "P" and (jpeg_quality is not None or longest_px is not None):
        picture = picture.convert("RGB")
    if longest_px is not None and max(picture.size) > longest_px:
        factor = longest_px / max(picture.size)
        width_px, height_px = (max(1, round(side * factor)) for side in picture.size)
        picture = picture.resize((width_px, height_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if jpeg_quality is None:
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """Spell a PNG or JPEG file as a ``data:`` address."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it either has all its content or is as it was before.

    Raises
    ------
    ImageFileError
        If the file cannot be written.
    """
    partial = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        message = f"'{path}' cannot be written: {error.strerror or error}."
        raise ImageFileError(message) from error


def _check_frame(frame_yx: Frame) -> None:
    if frame_yx.ndim != 2 or 0 in frame_yx.shape or np.iscomplexobj(frame_yx):
        message = f"A picture needs a grey frame with axes Y, X, but got {frame_yx.dtype} of shape {frame_yx.shape}."
        raise UnsupportedImageError(message)
    if not np.isfinite(frame_yx).all():
        message = "A picture needs finite values, but this frame has NaN or infinite ones; replace them first."
        raise UnsupportedImageError(message)


def _contact_sheet(panels: list[Image.Image], titles: Sequence[str], columns: int, footer: str) -> Image.Image:
    step_x_px = panels[0].width + _MARGIN_PX
    sheet_width_px = columns * step_x_px + _MARGIN_PX
    caption_font = ImageFont.load_default(_CAPTION_PX)
    footer_font = ImageFont.load_default(_FOOTER_PX)
    captions = [_wrapped(title, caption_font, panels[0].width) for title in titles]
    footer_text = _wrapped(footer, footer_font, sheet_width_px - 2 * _MARGIN_PX)

    placed = []
    top_px = _MARGIN_PX
    for first in range(0, len(panels), columns):
        row = range(first, min(first + columns, len(panels)))
        caption_top_px = top_px + max(panels[i].height for i in row) + _MARGIN_PX // 2
        placed += [(i, _MARGIN_PX + (i - first) * step_x_px, top_px, caption_top_px) for i in row]
        top_px = caption_top_px + max(_height_px(captions[i], caption_font) for i in row) + _MARGIN_PX

    sheet = Image.new("RGB", (sheet_width_px, top_px + _height_px(footer_text, footer_font) + _MARGIN_PX), _SHEET_RGB)
    draw = ImageDraw.Draw(sheet)
    for i, x_px, y_px, caption_y_px in placed:
        sheet.paste(panels[i], (x_px, y_px))
        draw.multiline_text((x_px, caption_y_px), captions[i], _CAPTION_RGB, caption_font)
    draw.multiline_text((_MARGIN_PX, top_px), footer_text, _FOOTER_RGB, footer_font)
    return sheet


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _height_px(text: str, font: _Font) -> int:
    return math.ceil(ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text or " ", font)[3])


def _ascii(text: str) -> str:
    """Spell a caption with what Pillow's own font has: letters lose their accents, unknown signs become "?"."""
    decomposed = unicodedata.normalize("NFKD", "".join(_ASCII.get(sign, sign) for sign in text))
    letters = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return "".join(_ASCII.get(sign, sign) for sign in letters).encode("ascii", "replace").decode("ascii")


def _wrapped(text: str, font: _Font, width_px: int) -> str:
    lines: list[str] = []
    for word in _ascii(text).split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
