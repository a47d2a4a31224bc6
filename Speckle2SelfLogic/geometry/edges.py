"""Edges along a line in an image, to a fraction of a pixel, from a band of parallel profiles.

An edge lies where the mean profile has risen half-way from the dark side to the first bright top behind it (for a
blurred step that is the step itself). Speckle makes single profiles useless, and a mean over a band is blurred where a
wall is bent or oblique; so the edge is followed over narrow sub-bands, a parabola is fitted to it (Tukey's biweight, so
that strays count for nothing), the band is straightened along it, and the edge is found again in the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, signal

from Speckle2SelfLogic.geometry.measures import Line, Scale, Values

ALONG_BLUR_PX = 0.7
ACROSS_BLUR_PX = 2.0
SAMPLES_PER_PX = 4
_FIRST_SHARE = 0.3
"""Of all rises near the expected place, the first that is at least this share of the steepest is the edge."""
_PLATEAU_PX = (10.0, 4.0)
_TOP_WITHIN_PX = 8.0
_TOP_PROMINENCE = 0.08
_FOLLOW_PX = 4.0
_AGREE_PX = 1.5
_LEAST_AGREEMENT = 0.6
_LEAST_CONTRAST = 1.5
_LEAST_OVER_DARK = 5.0
_DARK_PX = (24.0, 4.0)
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Band:
    """Parallel profiles (T, S) along a line, the middle one on it; one sample is a quarter of a pixel."""

    values: Values
    first: float
    """Place of the first sample, in samples from the start of the line."""
    offset_px: Values
    """Distance (T,) of each profile from the line in pixels."""
    sample: float
    """Length of a sample in the unit of the scale."""

    def reversed(self, length: float) -> Band:
        """Return the band seen from the other end of a line of a length in samples."""
        return replace(self, values=self.values[:, ::-1], first=length - self.first - (self.values.shape[1] - 1))


@dataclass(frozen=True)
class Edge:
    """Where a profile rises, in samples from the start of the line, and how far that can be trusted."""

    place: float
    top: float
    """Place of the bright top behind the edge."""
    low: float
    high: float
    """Grey on the dark side and at the top."""
    agreement: float
    """Share of the sub-bands whose own edge lies within 1.5 px of the fitted one, 0..1."""
    scatter_px: float
    """Robust standard deviation of the edges of the sub-bands about the fitted one."""


def sample_band(image_yx: Values, line_yx_px: Line, scale: Scale, half_width_px: float, margin_px: float) -> Band:
    """Return profiles along a line and beside it, up to ``margin_px`` beyond its ends or as far as the image goes."""
    start, end = scale.physical(line_yx_px)
    length = math.hypot(*(end - start))
    along = (end - start) / length
    across = np.array([along[1], -along[0]])
    sample = min(scale.step_yx) / SAMPLES_PER_PX
    beyond = int(margin_px * SAMPLES_PER_PX)
    places = np.arange(-beyond, int(length / sample) + beyond + 1)
    half = max(1, round(half_width_px))
    offsets = np.arange(-half, half + 1)
    points = start + places[None, :, None] * sample * along + offsets[:, None, None] * scale.mean_step * across
    rows, columns = np.moveaxis(scale.pixels(points), 2, 0)
    last = np.array(image_yx.shape) - 1
    inside = ((rows >= 0) & (rows <= last[0]) & (columns >= 0) & (columns <= last[1])).all(axis=0)
    inside &= np.cumsum(~inside) == np.cumsum(~inside)[max(0, int(np.argmin(np.abs(places - length / sample / 2))))]
    values = ndimage.map_coordinates(image_yx, [rows[:, inside], columns[:, inside]], order=1)
    first = float(places[inside][0]) if inside.any() else 0.0
    return Band(np.asarray(values, np.float64), first, offsets.astype(np.float64), sample)


def find_edge(band: Band, expected: float, search: float, least_height: float, after: Edge | None = None) -> Edge | str:
    """Return the first clear rise from dark to bright near an expected place, or why there is none.

    Parameters
    ----------
    band
        Profiles that run from the dark side to the bright one.
    expected, search
        Where the edge should be and how far from there it may be, in samples.
    least_height
        Rise in grey below which there is no edge.
    after
        An edge in front of this one, whose top ends the dark side between them (two lines).
    """
    if band.values.shape[1] < 8 * SAMPLES_PER_PX:
        return "the line is too close to the border of the image"
    shift = np.zeros(band.offset_px.size)
    found: Edge | str = "no clear edge"
    for turn in range(_ROUNDS + 1):
        straight = _straightened(band.values, shift)
        profile = _smooth(straight.mean(axis=0), ALONG_BLUR_PX * SAMPLES_PER_PX)
        located = _locate(profile, band.first, expected, search, after)
        if isinstance(located, str):
            return located
        place, top, low, high = located
        if turn == _ROUNDS:
            break
        followed = _follow(straight, (low + high) / 2, place - band.first)
        fitted = _parabola(band.offset_px, followed)
        if fitted is None:
            return "the edge cannot be followed beside the line"
        shift = shift + fitted - fitted[band.offset_px.size // 2]
        beside = (followed - fitted) / SAMPLES_PER_PX
        agreement = float((np.abs(beside) <= _AGREE_PX).mean())
        scatter = 1.4826 * float(np.nanmedian(np.abs(beside)))
        found = Edge(place, top, low, high, agreement, scatter)
    assert isinstance(found, Edge)  # noqa: S101
    found = replace(found, place=place, top=top, low=low, high=high)
    if found.high - found.low < least_height:
        return f"the edge is too faint: it rises by {found.high - found.low:.3g}, {least_height:.3g} are needed"
    if found.agreement < _LEAST_AGREEMENT:
        return f"the edge is not the same beside the line: {found.agreement:.0%} of the profiles agree"
    if after is None and (height := _over_dark(profile, band.first, found)) < _LEAST_OVER_DARK:
        return f"the edge does not stand out: its height is {height:.1f} times the unrest on its dark side"
    if (contrast := _contrast(straight, band.first, found)) < _LEAST_CONTRAST:
        return f"the edge does not stand out: its height is {contrast:.1f} times the spread of grey beside the line"
    return found


def _smooth(values: Values, sigma: float) -> Values:
    return np.asarray(ndimage.gaussian_filter1d(values, sigma, axis=-1, mode="nearest"))


def _locate(
    profile: Values, first: float, expected: float, search: float, after: Edge | None
) -> tuple[float, float, float, float] | str:
    slope = np.gradient(profile)
    begin = max(1, round(expected - search - first))
    if after is not None:
        begin = max(begin, round(after.top - first) + SAMPLES_PER_PX)
    end = min(profile.size - 1, round(expected + search - first) + 1)
    if end - begin < SAMPLES_PER_PX:
        return "the line is too close to the border of the image"
    steepest = float(slope[begin:end].max())
    tops, _ = signal.find_peaks(slope[begin - 1 : end + 1])
    tops = tops[slope[begin - 1 + tops] >= max(_FIRST_SHARE * steepest, 1e-12)]
    if not tops.size:
        return "no rise from dark to bright near the end of the line"
    edge = begin - 1 + int(tops[0])
    if after is None:
        far, near = (max(0, edge - round(pixels * SAMPLES_PER_PX)) for pixels in _PLATEAU_PX)
        low = float(np.median(profile[far : max(near, far + 1)]))
        bottom = far
    else:
        bottom = round(after.top - first)
        low = float(profile[bottom : edge + 1].min())
    top = edge + _first_top(profile[edge : edge + round(_TOP_WITHIN_PX * SAMPLES_PER_PX)], low)
    high = float(profile[top])
    below = np.flatnonzero(profile[bottom:top] < (low + high) / 2)
    if high <= low or not below.size:
        return "no rise from dark to bright near the end of the line"
    before = bottom + int(below[-1])
    part = ((low + high) / 2 - profile[before]) / (profile[before + 1] - profile[before])
    return first + before + float(part), first + top, low, high


def _first_top(behind: Values, low: float) -> int:
    """Return the first summit that stands out, be there a brighter one behind it (two lines), or the highest place."""
    summits, found = signal.find_peaks(behind, prominence=1e-12)
    clear = summits[found["prominences"] >= _TOP_PROMINENCE * (behind[summits] - low)]
    return int(clear[0]) if clear.size else int(behind.argmax())


def _follow(values: Values, level: float, expected: float) -> Values:
    """Return where each sub-band rises through a level, nearest to the expected place; NaN if not near it."""
    smooth = ndimage.gaussian_filter(values, (ACROSS_BLUR_PX, ALONG_BLUR_PX * SAMPLES_PER_PX), mode="nearest")
    found = np.full(len(values), np.nan)
    for row, profile in enumerate(smooth):
        rises = np.flatnonzero((profile[:-1] < level) & (profile[1:] >= level))
        if rises.size:
            at = rises + (level - profile[rises]) / (profile[rises + 1] - profile[rises])
            nearest = float(at[np.abs(at - expected).argmin()])
            if abs(nearest - expected) <= _FOLLOW_PX * SAMPLES_PER_PX:
                found[row] = nearest
    return found


def _parabola(offset_px: Values, places: Values) -> Values | None:
    """Return a parabola through places, robustly (Beaton and Tukey 1974); None with fewer than half of them."""
    seen = np.isfinite(places)
    if seen.sum() < max(3, 0.5 * places.size):
        return None
    design = np.vander(offset_px / max(1.0, float(offset_px.max())), 3)
    weight = seen.astype(np.float64)
    target = np.where(seen, places, 0.0)
    fitted = np.full(places.size, float(np.median(places[seen])))
    for _ in range(6):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
        fitted = design @ solution
        beside = np.abs(target - fitted)
        spread = max(1.4826 * float(np.median(beside[seen])), 0.25)
        weight = np.where(seen, np.clip(1 - (beside / (4.685 * spread)) ** 2, 0, None) ** 2, 0.0)
    return np.asarray(fitted)


def _straightened(values: Values, shift: Values) -> Values:
    places = np.arange(values.shape[1])
    return np.stack([np.interp(places + by, places, row) for row, by in zip(values, shift, strict=True)])


def _over_dark(profile: Values, first: float, edge: Edge) -> float:
    """Height of the edge over the standard deviation of the mean profile on its dark side."""
    begin, end = (max(0, round(edge.place - first - pixels * SAMPLES_PER_PX)) for pixels in _DARK_PX)
    unrest = float(profile[begin : max(end, begin + 1)].std())
    return math.inf if unrest == 0 else (edge.high - edge.low) / unrest


def _contrast(straight: Values, first: float, edge: Edge) -> float:
    """Height of the edge over the spread of grey between sub-bands, on its dark side and at its top."""
    smooth = ndimage.gaussian_filter(straight, (ACROSS_BLUR_PX, ALONG_BLUR_PX * SAMPLES_PER_PX), mode="nearest")
    dark = max(0, round(2 * edge.place - edge.top - first))
    spread = math.hypot(*(float(smooth[:, column].std()) for column in (dark, round(edge.top - first))))
    return math.inf if spread == 0 else (edge.high - edge.low) / spread
