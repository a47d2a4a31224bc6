"""A caliper that finds the walls near a line that a user has drawn, without a mask.

The lumen diameter is measured between the lumen-intima edges of the near and the far wall, the intima-media thickness
(IMT) from the leading edge of the lumen-intima line to the leading edge of the media-adventitia line, as the consensus
papers ask (Touboul et al. 2012, Stein et al. 2008, see `far_wall`). Both are leading edges, so that the length of the
pulse moves both lines alike.

Uncertainty: each edge has the variance p^2/12 (one pixel p along the line) + s^2/n, where s is the scatter of the edge
between n independent sub-bands beside the line; the variances of the two edges add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.geometry.edges import ACROSS_BLUR_PX, SAMPLES_PER_PX, Band, Edge, find_edge, sample_band
from Speckle2SelfLogic.geometry.measures import Line, Measure, Scale, Values

Structure = Literal["lumen", "imt"]

_MARGIN_PX = 12.0
_LEAST_LINE_PX = 3.0
_LEAST_SHARE = 0.02
"""Of the span of grey in the image; a fainter edge is none."""


@dataclass(frozen=True, eq=False)
class Caliper:
    """A line between two walls."""

    width: Measure
    """Lumen diameter or IMT; without a value if an edge is not clear."""
    line_yx_px: Line | None
    """Refined ends, rows and columns, in the order of the user's line."""
    quality: float
    """Share of the profiles beside the line that show the same edges (the worse of both), 0..1; 0 if refused."""
    position: Values
    """Place of each sample of ``profile``, in the unit of ``width``, from the start of the user's line."""
    profile: Values
    """Mean grey along the line, for a plot."""


def refine_line(
    image_yx: npt.ArrayLike,
    line_yx_px: Line,
    *,
    structure: Structure = "lumen",
    spacing_mm: tuple[float, ...] | None = None,
    half_band_px: float | None = None,
    search_px: float | None = None,
) -> Caliper:
    """Move the ends of a line onto the walls.

    Parameters
    ----------
    image_yx
        Grey frame (Y, X); a despeckled one gives steadier edges.
    line_yx_px
        Two ends (row, column). For the lumen: from one wall to the other. For the IMT: from the lumen side of the wall
        outward, the ends near the lumen-intima and the media-adventitia line.
    structure
        ``"lumen"`` or ``"imt"``.
    spacing_mm
        Pixel spacing (x, y) in mm; None measures in pixels.
    half_band_px
        How far to either side profiles are averaged. Left out: a sixth of the line, 3 to 10 px, and half of that if no
        edge is found (strongly bent walls); for the IMT 15, 8 and 4 px.
    search_px
        How far from its end an edge may be. Left out: a third of the line, 4 to 15 px; for the IMT half of the line,
        5 to 8 px.

    Returns
    -------
    Caliper
        If there is no clear edge, its width has no value but a reason.

    Raises
    ------
    UnsupportedImageError
        If the image is not a finite frame.
    SettingsError
        If the line is shorter than 3 px or has an end outside the image, or a setting is out of range.
    """
    image = np.asarray(image_yx, np.float64)
    scale = Scale.of(spacing_mm)
    _check(image, line_yx_px, structure, half_band_px, search_px)
    half_bands, search = _defaults(structure, math.dist(*line_yx_px))
    first = None
    for half_band in half_bands if half_band_px is None else (half_band_px,):
        found = _measured(image, line_yx_px, structure, scale, half_band, search_px or search)
        if found.width.value is not None:
            return found
        first = first or found
    return first or found


def _measured(
    image: Values, line_yx_px: Line, structure: Structure, scale: Scale, half_band: float, search: float
) -> Caliper:
    band = sample_band(image, line_yx_px, scale, half_band, _MARGIN_PX + search)
    length = math.dist(*scale.physical(line_yx_px)) / band.sample
    reach = search * SAMPLES_PER_PX * scale.mean_step / min(scale.step_yx)
    least = _LEAST_SHARE * float(np.ptp(image))
    if structure == "lumen":
        near = find_edge(band.reversed(length), length, reach, least)
        far = find_edge(band, length, reach, least)
        ends = length - near.place if isinstance(near, Edge) else 0.0, far.place if isinstance(far, Edge) else 0.0
    else:
        near = find_edge(band, 0.0, reach, least)
        far = near if isinstance(near, str) else find_edge(band, length, reach, least, after=near)
        ends = near.place if isinstance(near, Edge) else 0.0, far.place if isinstance(far, Edge) else 0.0
    position: Values = (band.first + np.arange(band.values.shape[1], dtype=np.float64)) * band.sample
    profile: Values = band.values.mean(axis=0)
    if isinstance(near, str) or isinstance(far, str):
        return Caliper(scale.no_length(_reason(structure, near, far)), None, 0.0, position, profile)
    if ends[1] <= ends[0]:
        return Caliper(scale.no_length("the two edges are in the wrong order"), None, 0.0, position, profile)
    start, end = scale.physical(line_yx_px)
    along = (end - start) / math.dist(start, end)
    refined = scale.pixels([start + place * band.sample * along for place in ends]).tolist()
    pixel = math.hypot(*np.multiply(scale.step_yx, along))
    return Caliper(
        scale.length((ends[1] - ends[0]) * band.sample, _uncertainty(near, far, band, pixel)),
        ((refined[0][0], refined[0][1]), (refined[1][0], refined[1][1])),
        min(near.agreement, far.agreement),
        position,
        profile,
    )


def _defaults(structure: Structure, length_px: float) -> tuple[tuple[float, ...], float]:
    """Return half widths of the band to try one after the other, and how far an edge may be."""
    if structure == "lumen":
        half = float(np.clip(length_px / 6, 3, 10))
        return (half, half / 2), float(np.clip(length_px / 3, 4, 15))
    return (15.0, 8.0, 4.0), float(np.clip(length_px / 2, 5, 8))


def _reason(structure: Structure, near: Edge | str, far: Edge | str) -> str:
    names = ("first wall", "second wall") if structure == "lumen" else ("lumen-intima line", "media-adventitia line")
    for name, edge in zip(names, (near, far), strict=True):
        if isinstance(edge, str):
            return f"{name}: {edge}"
    return ""


def _uncertainty(near: Edge, far: Edge, band: Band, pixel: float) -> float:
    independent = max(1.0, band.offset_px.size / (2 * math.sqrt(math.pi) * ACROSS_BLUR_PX))
    scatter = math.hypot(near.scatter_px, far.scatter_px) * pixel / math.sqrt(independent)
    return math.hypot(scatter, pixel * math.sqrt(2 / 12))


def _check(
    image: Values, line_yx_px: Line, structure: str, half_band_px: float | None, search_px: float | None
) -> None:
    if image.ndim != 2 or not np.isfinite(image).all():
        message = f"The caliper needs one grey frame (rows, columns) of finite values, but got shape {image.shape}."
        raise UnsupportedImageError(message)
    if structure not in ("lumen", "imt"):
        message = f"The structure must be 'lumen' or 'imt', but is '{structure}'."
        raise SettingsError(message)
    last = np.array(image.shape) - 1
    ends = np.asarray(line_yx_px, np.float64)
    if ends.shape != (2, 2) or not np.isfinite(ends).all() or (ends < 0).any() or (ends > last).any():
        message = f"The line must have two ends (row, column) within {last[0]} and {last[1]}, but is {line_yx_px}."
        raise SettingsError(message)
    if math.dist(*ends) < _LEAST_LINE_PX:
        message = f"The line must be at least {_LEAST_LINE_PX:g} px long, but is {math.dist(*ends):.1f} px."
        raise SettingsError(message)
    for name, value in (("half band", half_band_px), ("search", search_px)):
        if value is not None and not (math.isfinite(value) and value >= 1):
            message = f"The {name} must be at least 1 px, but is {value}."
            raise SettingsError(message)
