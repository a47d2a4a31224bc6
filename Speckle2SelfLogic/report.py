"""Figures, and one self-contained HTML page that shows despeckled frames beside their input.

Pictures are for looking at: every number on the page comes from the caller, who measured it on the original pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.pictures import (
    RESEARCH_NOTICE,
    Frame,
    data_uri,
    display_ratio,
    encoded,
    grey_picture,
    residual_picture,
    residual_png_bytes,
    save_side_by_side,
    to_png_bytes,
    write_whole,
)
from Speckle2SelfLogic.report_table import FigureDescription, figure_rows, time_cells, unmeasured

if TYPE_CHECKING:
    import jinja2

__all__ = [
    "RESEARCH_NOTICE",
    "ComparisonCase",
    "MethodResult",
    "residual_png_bytes",
    "save_side_by_side",
    "to_png_bytes",
    "write_report",
]

_CLIP_SHARE = 0.4  # of the page's bytes
_CLIP_LONGEST_PX = 512
_CLIP_QUALITY = 85


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


def write_report(
    cases: Sequence[ComparisonCase],
    path: Path | str,
    *,
    title: str,
    figure_infos: Mapping[str, FigureDescription],
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
        first, then at least one other. All have the same number of frames. A long clip is cut to its first
        frames, and the page says so.
    frames_per_second
        Playing speed of the clip, above 0 and at most 120.
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
        _check_case(case)
    clip = None
    if animation:
        clip = _clip_view(animation, cases[0], frames_per_second, int(maximum_bytes * _CLIP_SHARE))
    for quality in _QUALITIES:
        views = _views(cases, figure_infos, quality, maximum_bytes)
        if not views:
            continue
        page = template.render(
            title=title,
            software=software,
            notice=RESEARCH_NOTICE,
            infos=figure_infos,
            views=views,
            clip=clip,
            quality=quality.description,
        ).encode()
        if len(page) <= maximum_bytes:
            write_whole(Path(path), page)
            return
    message = f"The report does not fit in {maximum_bytes / 1e6:g} MB; compare fewer images or methods at once."
    raise SettingsError(message)


@dataclass(frozen=True)
class _Quality:
    """How the pictures of a page are stored; a JPEG quality of None means lossless PNG."""

    description: str
    picture: int | None = None
    residual: int | None = None
    longest_px: int | None = None


_QUALITIES = (
    _Quality("lossless PNG"),
    _Quality("lossless PNG, residual maps JPEG of quality 88", None, 88),
    _Quality("JPEG of quality 90, residual maps of quality 85", 90, 85),
    *(
        _Quality(f"JPEG of quality 88, shrunk to at most {px} pixels on the longest side", 88, 80, px)
        for px in (800, 560, 360)
    ),
)


def _template() -> jinja2.Template:
    try:
        import jinja2
    except ImportError as error:
        message = 'An HTML report needs Jinja2; install it with: pip install "speckle2self[report]".'
        raise SettingsError(message) from error
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")


def _check_case(case: ComparisonCase) -> None:
    if not case.results:
        message = f"Case '{case.title}' has no results; give at least one method."
        raise SettingsError(message)
    if case.spacing_mm_yx is not None and not all(math.isfinite(mm) and mm > 0 for mm in case.spacing_mm_yx):
        message = f"Spacing must be positive and finite, but is {case.spacing_mm_yx} in case '{case.title}'."
        raise SettingsError(message)
    frames = [(result.title, result.frame_yx) for result in case.results]
    for name, frame_yx in frames if case.truth_yx is None else [*frames, ("truth", case.truth_yx)]:
        if frame_yx.shape != case.input_yx.shape:
            message = f"The frame of '{name}' has shape {frame_yx.shape}, but its input has {case.input_yx.shape}."
            raise UnsupportedImageError(message)


@dataclass(frozen=True)
class _Pictures:
    """Data addresses of every picture of a case, and the limit of its residual maps in grey values."""

    source: str
    outputs: tuple[str, ...]
    truth: str | None
    residuals: tuple[str, ...]
    limit: float

    @property
    def size(self) -> int:
        return len(self.source) + len(self.truth or "") + sum(map(len, (*self.outputs, *self.residuals)))


def _pictures(case: ComparisonCase, quality: _Quality) -> _Pictures:
    def shown(frame_yx: Frame) -> str:
        picture = grey_picture(frame_yx, case.lowest, case.highest)
        return data_uri(encoded(picture, jpeg_quality=quality.picture, longest_px=quality.longest_px))

    def coloured(residual_yx: Frame) -> str:
        picture = residual_picture(residual_yx, limit)
        return data_uri(encoded(picture, jpeg_quality=quality.residual, longest_px=quality.longest_px))

    source = shown(case.input_yx)
    outputs = tuple(shown(result.frame_yx) for result in case.results)
    residuals_yx = [case.input_yx.astype(np.float64) - result.frame_yx.astype(np.float64) for result in case.results]
    limits = [float(np.percentile(np.abs(residual_yx), 99)) for residual_yx in residuals_yx]
    limit = max(*limits, (case.highest - case.lowest) / 255)
    truth = None if case.truth_yx is None else shown(case.truth_yx)
    return _Pictures(source, outputs, truth, tuple(map(coloured, residuals_yx)), limit)


def _views(
    cases: Sequence[ComparisonCase],
    infos: Mapping[str, FigureDescription],
    quality: _Quality,
    maximum_bytes: int,
) -> list[dict[str, object]]:
    """Collect the views of all cases, or none as soon as their pictures alone are larger than the page may be."""
    views, used = [], 0
    for case in cases:
        pictures = _pictures(case, quality)
        used += pictures.size
        if used > maximum_bytes:
            return []
        views.append(_view(case, infos, pictures))
    return views


def _view(case: ComparisonCase, infos: Mapping[str, FigureDescription], pictures: _Pictures) -> dict[str, object]:
    """Everything that the template shows about one case."""
    columns = [case.input_figures, *(result.figures for result in case.results)]
    times = time_cells([result.seconds_per_frame for result in case.results])
    return {
        "case": case,
        "ratio": display_ratio(case.input_yx.shape, case.spacing_mm_yx),
        "scale": _scale_bar(case),
        "pictures": pictures,
        "results": list(zip(case.results, pictures.outputs, pictures.residuals, times, strict=True)),
        "limit": f"{pictures.limit:.3g}",
        "limit_percent": f"{100 * pictures.limit / (case.highest - case.lowest):.2g}",
        "rows": figure_rows(columns, infos),
        "unmeasured": unmeasured(columns, infos),
    }


def _scale_bar(case: ComparisonCase) -> tuple[str, float] | None:
    """Longest of 1, 2, 5 times a power of ten mm within a quarter of the width, and its percentage of the width."""
    if case.spacing_mm_yx is None:
        return None
    width_mm = case.input_yx.shape[1] * case.spacing_mm_yx[1]
    decade_mm = 10.0 ** math.floor(math.log10(width_mm / 4))
    length_mm = max(step * decade_mm for step in (1, 2, 5) if step == 1 or step * decade_mm <= width_mm / 4)
    return f"{length_mm:g} mm", 100 * length_mm / width_mm


def _clip_view(
    animation: Mapping[str, Sequence[Frame]], case: ComparisonCase, frames_per_second: float, maximum_bytes: int
) -> dict[str, object]:
    """Clip as JPEG frames: as many from its start as fit in ``maximum_bytes``, at least one."""
    if not (0 < frames_per_second <= 120):
        message = f"The playing speed must be above 0 and at most 120 frames per second, but is {frames_per_second}."
        raise SettingsError(message)
    lengths = {len(frames) for frames in animation.values()}
    if len(animation) < 2 or len(lengths) != 1 or 0 in lengths:
        message = "A clip needs the original and at least one other, with the same number of frames in each."
        raise SettingsError(message)
    tracks: dict[str, list[str]] = {name: [] for name in animation}
    used = 0
    for step in zip(*animation.values(), strict=True):
        uris = []
        for frame_yx in step:
            grey = grey_picture(frame_yx, case.lowest, case.highest)
            uris.append(data_uri(encoded(grey, jpeg_quality=_CLIP_QUALITY, longest_px=_CLIP_LONGEST_PX)))
        used += sum(map(len, uris))
        if used > maximum_bytes and tracks[next(iter(tracks))]:
            break
        for track, uri in zip(tracks.values(), uris, strict=True):
            track.append(uri)
    shown = len(next(iter(tracks.values())))
    first_yx = next(iter(animation.values()))[0]
    return {
        "tracks": [{"title": name, "frames": uris} for name, uris in tracks.items()],
        "shown": shown,
        "total": lengths.pop(),
        "speed": frames_per_second,
        "ratio": display_ratio(first_yx.shape, case.spacing_mm_yx),
        "storage": f"JPEG of quality {_CLIP_QUALITY}, at most {_CLIP_LONGEST_PX} pixels on the longest side",
    }
