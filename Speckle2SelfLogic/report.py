"""Figures, and one self-contained HTML page that shows despeckled images beside their input.

Pictures are for looking at: every number on the page comes from the caller, who measured it on the original pixels.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from Speckle2SelfLogic.errors import ImageFileError, SettingsError, UnsupportedImageError

if TYPE_CHECKING:
    import jinja2

Frame = npt.NDArray[np.generic]

RESEARCH_NOTICE = "Research use only. Not for diagnosis."
_RESIDUAL_ANCHORS_RGB = ((16, 58, 120), (104, 160, 214), (242, 242, 240), (226, 132, 96), (130, 28, 20))
_CLIP_SHARE = 0.4  # of the page's bytes
_CLIP_LONGEST_PX = 512
_CLIP_QUALITY = 85


class _FigureDescription(Protocol):
    """What the page says about one metric; `better` decides whether a best value is marked."""

    @property
    def title(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def better(self) -> Literal["higher", "lower", "neither"]: ...
    @property
    def definition(self) -> str: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class MethodResult:
    """What one method made of one frame.

    Parameters
    ----------
    name, title, citation
        Short key, name as shown, and the publication of the method.
    frame_yx
        Despeckled frame, same shape and grey scale as the input.
    seconds_per_frame
        Wall-clock time for this frame; a value that is not positive and finite is shown as a dash.
    figures
        Metric name to value; None means that it could not be measured.
    parameters
        Settings that the method ran with.
    notes
        Sentences that a reader should know, for example a count of clipped values.
    """

    name: str
    title: str
    citation: str
    frame_yx: Frame
    seconds_per_frame: float
    figures: Mapping[str, float | None] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class ComparisonCase:
    """One frame and what every method made of it.

    Parameters
    ----------
    title, description, notes
        Text for the reader.
    input_yx, truth_yx
        Speckled frame and, where it is known, the speckle-free truth of the same shape.
    lowest, highest
        Grey window in pixel values: shown as black and white in every picture of this case.
    results
        At least one.
    spacing_mm_yx
        Row and column spacing in mm (pictures get true proportions and a scale bar), or None if uncalibrated.
    calibration_reason
        How the spacing is known, or why it is not.
    input_figures
        The same metrics for the input itself; shown as a first column, never marked as best.
    """

    title: str
    input_yx: Frame
    lowest: float
    highest: float
    results: tuple[MethodResult, ...]
    truth_yx: Frame | None = None
    spacing_mm_yx: tuple[float, float] | None = None
    calibration_reason: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()
    input_figures: Mapping[str, float | None] = field(default_factory=dict)


def to_png_bytes(frame_yx: Frame, *, lowest: float, highest: float) -> bytes:
    """Encode a frame as an 8-bit grey PNG: ``lowest`` and below black, ``highest`` and above white, linear between.

    Raises
    ------
    UnsupportedImageError
        If the frame is not a finite grey Y, X array.
    SettingsError
        If the window is empty or not finite.
    """
    return _encoded(_grey_picture(frame_yx, lowest, highest))


def residual_png_bytes(residual_yx: Frame, *, limit: float) -> bytes:
    """Encode a residual as a PNG with 255 colours: ``-limit`` blue, 0 near-white, ``+limit`` red, linear between.

    Raises
    ------
    UnsupportedImageError
        If the residual is not a finite Y, X array.
    SettingsError
        If the limit is not positive and finite.
    """
    return _encoded(_residual_picture(residual_yx, limit))


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
        Grey Y, X frames (shapes may differ) and one caption for each.
    lowest, highest
        Grey window, the same for every frame.
    spacing_mm_yx
        Row and column spacing of every frame in mm, for true proportions; None means square pixels.
    columns
        Panels in a row; left out, all in one row up to four.
    panel_width_px
        Width of one panel, at least 32.

    Raises
    ------
    SettingsError
        If there is no frame, a title is missing, the window is empty, or a panel is too narrow.
    UnsupportedImageError
        If a frame is not a finite grey Y, X array.
    ImageFileError
        If the file cannot be written.
    """
    if not frames or len(frames) != len(titles):
        message = f"A contact sheet needs one title for each frame, but got {len(frames)} frames, {len(titles)} titles."
        raise SettingsError(message)
    if panel_width_px < 32 or (columns is not None and columns < 1):
        message = f"A contact sheet needs panels of at least 32 px, not {panel_width_px}, in at least 1 column."
        raise SettingsError(message)
    panels = []
    for frame_yx in frames:
        grey = _grey_picture(frame_yx, lowest, highest)
        height_px = max(1, round(panel_width_px / _display_ratio(frame_yx.shape, spacing_mm_yx)))
        panels.append(grey.resize((panel_width_px, height_px), Image.Resampling.LANCZOS))
    _write_whole(Path(path), _encoded(_contact_sheet(panels, titles, columns or min(4, len(panels)), footer)))


def write_report(
    cases: Sequence[ComparisonCase],
    path: Path | str,
    *,
    title: str,
    figure_infos: Mapping[str, _FigureDescription],
    software: str,
    animation: Mapping[str, Sequence[Frame]] | None = None,
    frames_per_second: float = 15.0,
    maximum_bytes: int = 15_000_000,
) -> None:
    """Write one HTML file that shows every case, needs no network, and is the same for the same input.

    Parameters
    ----------
    cases
        At least one, each with at least one result.
    figure_infos
        Metric name to its description, in the order of the table. A figure without description is listed last.
    software
        Names and versions of what made the results, and on what machine.
    animation
        Title to frames of a clip that belongs to the first case and is shown in its grey window; the original
        first. All sequences have the same length. A long clip is cut to its first frames, and the page says so.
    frames_per_second
        Playing speed, positive.
    maximum_bytes
        Largest file. Pictures are lossless PNG where they fit; else residual maps, then all pictures become JPEG,
        then smaller, and the page says so.

    Raises
    ------
    SettingsError
        If there is nothing to show, a window is empty, the pictures cannot be made to fit, or Jinja2 is missing.
    UnsupportedImageError
        If a frame is not finite and two-dimensional, or has another shape than its input.
    ImageFileError
        If the file cannot be written; nothing is left behind.
    """
    template = _template()
    if not cases:
        message = "A report needs at least one case, but got none."
        raise SettingsError(message)
    for case in cases:
        _check(case)
    clip = _clip(animation, cases[0], frames_per_second, int(maximum_bytes * _CLIP_SHARE)) if animation else None
    for quality in _QUALITIES:
        page = template.render(
            title=title,
            software=software,
            notice=RESEARCH_NOTICE,
            infos=figure_infos,
            cases=[_view(case, figure_infos, quality) for case in cases],
            clip=clip,
            quality=quality,
        ).encode()
        if len(page) <= maximum_bytes:
            _write_whole(Path(path), page)
            return
    message = f"The report would hold {len(page) / 1e6:.1f} MB, more than {maximum_bytes / 1e6:.1f} MB; show fewer images."
    raise SettingsError(message)


@dataclass(frozen=True)
class _Quality:
    """How the pictures of a page are stored; a JPEG quality of None means lossless PNG."""

    description: str
    picture_quality: int | None = None
    residual_quality: int | None = None
    longest_px: int | None = None


_QUALITIES = (
    _Quality("lossless PNG"),
    _Quality("lossless PNG, residual maps as JPEG of quality 88", residual_quality=88),
    _Quality("JPEG of quality 90", 90, 85),
    _Quality("JPEG of quality 88, longest side at most 800 pixels", 88, 80, 800),
    _Quality("JPEG of quality 85, longest side at most 480 pixels", 85, 75, 480),
)


def _check(case: ComparisonCase) -> None:
    if not case.results:
        message = f"Case '{case.title}' has no results; give at least one method."
        raise SettingsError(message)
    if case.spacing_mm_yx is not None and not all(math.isfinite(mm) and mm > 0 for mm in case.spacing_mm_yx):
        message = f"Spacing must be positive, but is {case.spacing_mm_yx} in case '{case.title}'."
        raise SettingsError(message)
    frames = [(result.title, result.frame_yx) for result in case.results]
    for name, frame_yx in frames if case.truth_yx is None else [*frames, ("the truth", case.truth_yx)]:
        if frame_yx.shape != case.input_yx.shape:
            message = f"The frame of {name} has shape {frame_yx.shape}, but its input has {case.input_yx.shape}."
            raise UnsupportedImageError(message)


def _check_frame(frame_yx: Frame) -> None:
    if frame_yx.ndim != 2 or 0 in frame_yx.shape or not np.isfinite(frame_yx).all():
        message = f"A picture needs a grey frame of finite values with axes Y, X, but got shape {frame_yx.shape}."
        raise UnsupportedImageError(message)


def _grey_picture(frame_yx: Frame, lowest: float, highest: float) -> Image.Image:
    _check_frame(frame_yx)
    if not (math.isfinite(lowest) and math.isfinite(highest) and lowest < highest):
        message = f"A grey window needs two finite values, the first lower, but is {lowest} to {highest}."
        raise SettingsError(message)
    level = (np.clip(frame_yx.astype(np.float64), lowest, highest) - lowest) / (highest - lowest)
    return Image.fromarray(np.rint(255 * level).astype(np.uint8))


def _residual_picture(residual_yx: Frame, limit: float) -> Image.Image:
    _check_frame(residual_yx)
    if not (math.isfinite(limit) and limit > 0):
        message = f"The limit of a residual map must be positive and finite, but is {limit}."
        raise SettingsError(message)
    level = np.rint(127 + 127 * np.clip(residual_yx.astype(np.float64) / limit, -1, 1))
    picture = Image.fromarray(level.astype(np.uint8))
    anchors = np.linspace(0, 254, len(_RESIDUAL_ANCHORS_RGB))
    colours = [np.interp(np.arange(255), anchors, channel) for channel in np.transpose(_RESIDUAL_ANCHORS_RGB)]
    picture.putpalette(np.rint(np.stack(colours, axis=-1)).astype(np.uint8).tobytes())
    return picture


def _encoded(picture: Image.Image, jpeg_quality: int | None = None, longest_px: int | None = None) -> bytes:
    """Encode as PNG, or as JPEG of a given quality; shrunk first if its longest side is above ``longest_px``."""
    if jpeg_quality is not None and picture.mode == "P":
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


def _data_uri(encoded: bytes) -> str:
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def _display_ratio(shape_yx: tuple[int, ...], spacing_mm_yx: tuple[float, float] | None) -> float:
    """Width divided by height as a frame should be shown (pixels are taken as square where spacing is unknown)."""
    row_mm, column_mm = spacing_mm_yx or (1.0, 1.0)
    return (shape_yx[1] * column_mm) / (shape_yx[0] * row_mm)


def _scale_bar(case: ComparisonCase) -> tuple[str, float] | None:
    """Longest round length that fits in a quarter of the width, and its percentage of the width."""
    if case.spacing_mm_yx is None:
        return None
    width_mm = case.input_yx.shape[1] * case.spacing_mm_yx[1]
    lengths_mm = (f"{mantissa}e{power}" for power in range(3, -5, -1) for mantissa in (5, 2, 1))
    for length_mm in map(float, lengths_mm):
        if length_mm <= width_mm / 4:
            return f"{length_mm:g} mm", 100 * length_mm / width_mm
    return None


def _view(case: ComparisonCase, infos: Mapping[str, _FigureDescription], quality: _Quality) -> dict[str, object]:
    """What the template needs to know about one case."""

    def picture(frame_yx: Frame) -> str:
        grey = _grey_picture(frame_yx, case.lowest, case.highest)
        return _data_uri(_encoded(grey, quality.picture_quality, quality.longest_px))

    input_yx = case.input_yx.astype(np.float64)
    residuals_yx = [input_yx - result.frame_yx.astype(np.float64) for result in case.results]
    limit = max(float(np.percentile(np.abs(r), 99.5)) for r in residuals_yx) or (case.highest - case.lowest) / 255
    maps = [_encoded(_residual_picture(r, limit), quality.residual_quality, quality.longest_px) for r in residuals_yx]
    times_s = [r.seconds_per_frame if 0 < r.seconds_per_frame < math.inf else None for r in case.results]
    fastest_s = min((t for t in times_s if t), default=None)
    return {
        "case": case,
        "ratio": _display_ratio(case.input_yx.shape, case.spacing_mm_yx),
        "scale": _scale_bar(case),
        "window": f"{case.lowest:g} to {case.highest:g}",
        "input_uri": picture(case.input_yx),
        "truth_uri": None if case.truth_yx is None else picture(case.truth_yx),
        "uris": [picture(result.frame_yx) for result in case.results],
        "residual_uris": [_data_uri(encoded) for encoded in maps],
        "limit": f"{limit:.3g}",
        "limit_percent": f"{100 * limit / (case.highest - case.lowest):.2g}",
        "times": [_DASH if t is None else f"{_text(1000 * t)} ms" for t in times_s],
        "ratios": ["" if t is None or fastest_s is None else f"{_text(t / fastest_s)}×" for t in times_s],
        "fastest": None if fastest_s is None else times_s.index(fastest_s),
        "rows": _rows(case, infos),
    }
