"""Which pixels are ultrasound: the sector (fan or rectangle) inside its surround, and burned-in coloured overlays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.overlay import (
    FloatArray,
    Mask,
    Pixels,
    Tint,
    check_data_range,
    find_overlay,
    find_tint,
    grown,
    luminance,
)

__all__ = ["Sector", "Tint", "find_overlay", "find_sector", "find_tint", "luminance", "without_surround"]

GRID_SIDE = 200
"""The sector is found on a grid of about this many blocks on each side."""
SMALLEST_SIDE_PX = 32
ONE_LEVEL = 1 / 255
"""One grey level of an 8-bit display, as a share of the data range."""
MOTION = 2.5 * ONE_LEVEL
SATURATING_AMPLITUDE = 0.1
BRIGHT = 0.25
ACCEPTED_CLARITY = 0.55
ACCEPTED_CLARITY_IF_CROPPED = 0.85
BOX = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Sector:
    """The pixels of a frame, cine or volume that show ultrasound."""

    mask_yx: Mask
    """Read-only boolean array of shape (Y, X), true inside the sector."""
    share: float
    """Share of the frame that the sector covers, 0 to 1."""
    reason: str
    """One sentence that says how the sector was found, or why it is the whole frame."""


def find_sector(frames: Iterable[Pixels], *, data_range: float) -> Sector:
    """Find the sector: one mask for all frames of a cine or all slices of a volume.

    Ultrasound is what differs from the surround, and the surround is what has exactly one value over large areas at
    the frame border (black, or the grey or white of a user interface). The parts of the frame that hold signal
    are closed to convex outlines, so that anechoic lumens and shadows inside are included; letters, bars and scales
    are cut off because they are thin, sparse or, in a cine, do not move. An outline is accepted when most of it has
    signal inside and none just outside. Otherwise, and whenever no surround is found, the whole frame is the sector,
    since a mask border through tissue would show as a seam. Of the surround a little stays inside the outline, at the
    concave side of a convex probe most; `without_surround` takes it out of the mask of a frame.

    Parameters
    ----------
    frames
        Grey frames of shape (Y, X), or an array of shape (N, Y, X); a generator is read once, and only its running
        maximum and minimum are kept. Grey values are log-compressed (B-mode); compress a linear envelope first.
    data_range
        Full width of the grey scale, for example 255 for 8 bits.

    Returns
    -------
    Sector
        The mask of the union over all frames. For a volume whose sector changes from slice to slice, call once for
        each slice instead.

    Raises
    ------
    UnsupportedImageError
        If there is no frame, the frames differ in shape or are not two-dimensional, or a value is not finite.
    SettingsError
        If the data range is not positive and finite.
    """
    check_data_range(data_range)
    highest, lowest = _extremes(frames)
    if min(highest.shape) < SMALLEST_SIDE_PX:
        return _whole_frame(highest.shape, "it is too small to look for a surround")
    shades, with_near_shades = _surround_values(highest, data_range)
    if not shades.size:
        return _whole_frame(highest.shape, "no surround of constant value was found at its border")
    surrounds = [shades] if shades.size == with_near_shades.size else [shades, with_near_shades]
    outlines = [
        outline
        for surround_values in surrounds
        for outline in _outlines(_blocks(highest, lowest, surround_values, data_range))
    ]
    if not outlines:
        return _whole_frame(highest.shape, "nothing but the surround was found")
    best = max(outline.clarity for outline in outlines)
    # Among outlines of about the same clarity the largest wins: when in doubt, include.
    good = [outline for outline in outlines if outline.clarity >= best - (0.05 if best >= 0.9 else 0.1)]
    chosen = max(good, key=lambda outline: int(outline.mask.sum()))
    # Tissue in a corner of the frame means a cropped picture, whose dark parts are shadows rather than surround.
    is_cropped = chosen.mask[np.ix_((0, 1, -2, -1), (0, 1, -2, -1))].any()
    if best < (ACCEPTED_CLARITY_IF_CROPPED if is_cropped else ACCEPTED_CLARITY):
        return _whole_frame(highest.shape, "the outline of the tissue against the surround is not clear")
    side_px = _block_side_px(highest.shape)
    mask = grown(chosen.mask, 1).repeat(side_px, axis=0).repeat(side_px, axis=1)
    mask = mask[: highest.shape[0], : highest.shape[1]]
    if mask.mean() > 0.97:
        return _whole_frame(highest.shape, "the surround is no more than a narrow rim")
    return _sector(mask, f"{chosen.found_by} inside a surround of value {shades[0]:g}.")


def without_surround(mask_yx: Mask, grey_yx: FloatArray) -> Mask:
    """Take what belongs to the surround out of a sector's mask, for one frame.

    A method may bleed grey over the rim of the tissue; the surround must not change. Removed are pixels that have the
    value just outside the mask (to one level of 255), are connected to it or to the border of the frame, and are not
    mere gaps between speckle: the connection is at least three pixels wide.

    Parameters
    ----------
    mask_yx, grey_yx
        Mask of a sector, and a frame of grey 0..1, both of shape (Y, X).
    """
    outside = ~mask_yx
    if not outside.any():
        return mask_yx
    rim = outside & dilated(mask_yx)
    is_surround = np.abs(grey_yx - np.median(grey_yx[rim if rim.any() else outside])) <= ONE_LEVEL
    wide = outside | dilated(eroded(is_surround))
    parts, count = ndimage.label(wide, BOX)
    is_connected = np.zeros(count + 1, dtype=bool)
    is_connected[parts[outside]] = True
    is_connected[_rim(parts)] = True
    is_connected[0] = False
    surround, may_grow = is_connected[parts], is_surround | outside
    for _ in range(2):
        surround |= dilated(surround) & may_grow
    return np.asarray(mask_yx & ~surround)


def dilated(mask_yx: Mask) -> Mask:
    """Dilate by a box of 3 x 3, as `scipy.ndimage.binary_dilation` does, in a tenth of the time."""
    rows = mask_yx.copy()
    rows[1:] |= mask_yx[:-1]
    rows[:-1] |= mask_yx[1:]
    grown_yx = rows.copy()
    grown_yx[:, 1:] |= rows[:, :-1]
    grown_yx[:, :-1] |= rows[:, 1:]
    return np.asarray(grown_yx)


def eroded(mask_yx: Mask) -> Mask:
    """Erode by a box of 3 x 3, as `scipy.ndimage.binary_erosion` does: nothing beyond the border counts as set."""
    shrunk = ~dilated(~mask_yx)
    shrunk[[0, -1]] = False
    shrunk[:, [0, -1]] = False
    return shrunk


def _sector(mask_yx: Mask, reason: str) -> Sector:
    mask_yx.flags.writeable = False
    return Sector(mask_yx, float(mask_yx.mean()), reason)


def _whole_frame(shape: tuple[int, ...], why: str) -> Sector:
    return _sector(np.ones(shape, dtype=bool), f"Whole frame: {why}.")


def _extremes(frames: Iterable[Pixels]) -> tuple[FloatArray, FloatArray]:
    """Maximum and minimum of each pixel over all frames, in the memory of three frames."""
    extremes: tuple[FloatArray, FloatArray] | None = None
    for frame in frames:
        frame_yx = np.asarray(frame, dtype=np.float32)
        expected = frame_yx.shape if extremes is None else extremes[0].shape
        if frame_yx.ndim != 2 or not frame_yx.size or frame_yx.shape != expected:
            message = f"Frames need one shape (Y, X), but shape {frame_yx.shape} was met where {expected} was expected."
            raise UnsupportedImageError(message)
        if extremes is None:
            extremes = frame_yx.copy(), frame_yx.copy()
        np.maximum(extremes[0], frame_yx, out=extremes[0])
        np.minimum(extremes[1], frame_yx, out=extremes[1])
    if extremes is None:
        message = "There is no frame to find a sector in."
        raise UnsupportedImageError(message)
    if not all(np.isfinite(extreme).all() for extreme in extremes):  # NaN passes through both extremes
        message = "A frame holds values that are not finite (NaN or infinity); replace them first."
        raise UnsupportedImageError(message)
    return extremes


def _surround_values(frame_yx: FloatArray, data_range: float) -> tuple[FloatArray, FloatArray]:
    """Exact values of large flat areas at the frame border, the most frequent first; empty if there are none.

    The first set has one value for each shade of the surround, the second adds what lossy compression makes of them:
    flat values within three levels. These can also be flat shadows in tissue, so both sets are worth a try.
    """
    flat = np.ones(frame_yx.shape, dtype=bool)
    same_y, same_x = frame_yx[1:] == frame_yx[:-1], frame_yx[:, 1:] == frame_yx[:, :-1]
    flat[1:] &= same_y
    flat[:-1] &= same_y
    flat[:, 1:] &= same_x
    flat[:, :-1] &= same_x
    values, shares, flatness = _value_table(_rim(frame_yx), _rim(flat))
    order = np.argsort(-shares)
    values, shares = values[order], np.where(flatness > 0.4, shares, 0)[order]
    common = values[shares >= 0.03]
    if not common.size:
        return common, common
    distance = np.abs(values - common[:, np.newaxis])
    near = distance <= 3 * ONE_LEVEL * data_range
    shades = common[[not near[:index, values == value].any() for index, value in enumerate(common)]]
    shifted = values[near.any(axis=0) & (shares >= 0.003)]
    # A panel that does not reach the border can be darker than the surround, never lighter.
    stride = _block_side_px(frame_yx.shape)
    values, shares, flatness = _value_table(frame_yx[::stride, ::stride].ravel(), flat[::stride, ::stride].ravel())
    panel = values[(values < shades.max()) & (shares >= 0.05) & (flatness > 0.4)]
    shades = np.concatenate([shades, np.setdiff1d(panel, shades)])
    return shades, np.concatenate([shades, np.setdiff1d(shifted, shades)])


def _rim(pixels_yx: Pixels) -> Pixels:
    sides = (pixels_yx[:2], pixels_yx[-2:], pixels_yx[2:-2, :2], pixels_yx[2:-2, -2:])
    return np.concatenate([side.ravel() for side in sides])


def _value_table(values: Pixels, flat: Pixels) -> tuple[Pixels, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distinct values, the share of pixels with each, and the share of those that lie in flat areas."""
    distinct, index = np.unique(values, return_inverse=True)
    count = np.bincount(index.ravel())
    return distinct, count / values.size, np.bincount(index.ravel(), weights=flat) / count


def _block_side_px(shape: tuple[int, ...]) -> int:
    return max(1, round(math.sqrt(math.prod(shape)) / GRID_SIDE))


class _Blocks(NamedTuple):
    """What the frames hold, on a grid of square blocks."""

    side_px: int
    signal: FloatArray
    """Share of the pixels of a block that differ from the surround."""
    amplitude: FloatArray
    """How much they differ on average, saturating at a tenth of the data range: 0 to 1."""
    moving: FloatArray
    """Share of the pixels that change over the frames."""
    moving_amplitude: FloatArray
    bright: Mask
    """Blocks with a pixel that differs from the surround by more than a quarter of the data range."""


def _blocks(highest: FloatArray, lowest: FloatArray, surround_values: FloatArray, data_range: float) -> _Blocks:
    signal = np.ones(highest.shape, dtype=bool)
    for value in surround_values:
        signal &= (highest > value) | (lowest < value)
    surround = surround_values[0]
    deviation = np.maximum(highest - surround, surround - lowest) / np.float32(data_range) * signal
    change = (highest - lowest) / np.float32(data_range)
    moving = signal & (change > MOTION)
    side = _block_side_px(highest.shape)
    rows, columns = (-(-length // side) for length in highest.shape)
    padding = [(0, count * side - length) for count, length in zip((rows, columns), highest.shape, strict=True)]

    def reduced(pixels: Pixels, combine: np.ufunc) -> FloatArray:
        """Combine the pixels of each block, strip by strip: much faster than over two axes of a 4D view."""
        padded = np.pad(pixels, padding, mode="edge").astype(np.float32)
        strips = combine.reduce(padded.reshape(rows, side, -1), axis=1)
        return np.asarray(combine.reduce([strips[:, i::side] for i in range(side)], axis=0), dtype=np.float32)

    def mean(pixels: Pixels) -> FloatArray:
        return np.asarray(reduced(pixels, np.add) / np.float32(side * side))

    return _Blocks(
        side_px=side,
        signal=mean(signal),
        amplitude=mean(np.minimum(deviation / SATURATING_AMPLITUDE, 1)),
        moving=mean(moving),
        moving_amplitude=mean(np.minimum(change / SATURATING_AMPLITUDE, 1) * moving),
        bright=reduced(deviation, np.maximum) > BRIGHT,
    )


class _Outline(NamedTuple):
    mask: Mask
    clarity: float
    """Share of the outline with signal inside and none just outside: 0 to 1."""
    found_by: str


def _outlines(blocks: _Blocks) -> Iterator[_Outline]:
    """Propose outlines on the block grid: of moving, of solid, of dense signal, and of that with its dim fringe."""
    shortest = min(blocks.signal.shape)
    window = max(7, int(0.035 * shortest) | 1)
    reach = max(1, round(0.025 * shortest))
    dense = _dense(blocks.signal, window)
    if blocks.moving.any():
        parts = _large_parts(_dense(blocks.moving, window), blocks.moving, reach)
        mask = _hulls(parts, parts)
        clarity = _clarity(mask, blocks.amplitude, window)
        if (blocks.amplitude * mask).sum() >= 0.75 * blocks.amplitude.sum():
            # What stays still outside is then no tissue but text and scales, and does not count.
            clarity = max(clarity, _clarity(mask, blocks.moving_amplitude, window))
        if mask.any():
            yield _Outline(mask, clarity, "Moving tissue")
    for core, found_by in ((blocks.signal > 0.95, "Solid tissue"), (dense, "Tissue")):
        parts = _large_parts(core, blocks.signal, reach)
        mask = _hulls(parts, parts)
        if mask.any():
            yield _Outline(mask, _clarity(mask, blocks.amplitude, window), found_by)
    if parts.any():
        text = (blocks.signal > 0) & blocks.bright & ~grown(parts, 2)
        # A JPEG block around a letter is 8 px wide and full of dim ripples.
        dim = (blocks.signal > 0) & ~grown(text, max(1, 8 // blocks.side_px))
        near = ndimage.distance_transform_edt(~(dim | parts)) <= max(1, round(0.02 * shortest))
        mask = _hulls(dim | parts, near, through=parts)
        yield _Outline(mask, _clarity(mask, blocks.amplitude, window), "Tissue with a dim fringe")


def _dense(signal: FloatArray, window: int) -> Mask:
    return np.asarray(ndimage.binary_fill_holes(ndimage.uniform_filter(signal, window, mode="nearest") > 0.6))


def _large_parts(core: Mask, signal: FloatArray, reach: int) -> Mask:
    """Components that stay when thin bridges are cut, at least a tenth of the largest, grown back over signal."""
    padded = np.pad(core, reach + 1, mode="edge")
    thick = ndimage.distance_transform_edt(padded) > reach
    if not thick.any():
        return np.zeros_like(core)
    inner = slice(reach + 1, -reach - 1)
    labels, _ = ndimage.label((ndimage.distance_transform_edt(~thick) <= reach)[inner, inner], BOX)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    large = (areas >= max(1, 0.1 * areas.max()))[labels]
    return np.asarray(large | ndimage.binary_dilation(large, iterations=reach, mask=large | (signal > 0.3)))


def _hulls(mask: Mask, linked: Mask, through: Mask | None = None) -> Mask:
    """Convex hulls of ``mask`` within each component of ``linked`` that contains a pixel of ``through``."""
    labels, _ = ndimage.label(linked, BOX)
    hulls = np.zeros_like(mask)
    for label in np.unique(labels[mask if through is None else through]):
        hulls |= _convex_hull(mask & (labels == label))
    return hulls


def _convex_hull(mask: Mask) -> Mask:
    """Convex hull, row by row between the hulls of the first and the last pixels of all rows."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    left, right = _lower_hull(rows, first), -_lower_hull(rows, -last)
    columns = np.arange(mask.shape[1])
    hull = np.zeros_like(mask)
    hull[rows[0] : rows[-1] + 1] = (columns >= np.floor(left)[:, np.newaxis]) & (
        columns <= np.ceil(right)[:, np.newaxis]
    )
    return hull


def _lower_hull(rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Largest convex function below the points, at each row from the first to the last (Andrew 1979)."""
    chain: list[tuple[int, int]] = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        while len(chain) > 1:
            (row_0, column_0), (row_1, column_1) = chain[-2:]
            if (column_1 - column_0) * (row - row_0) < (column - column_0) * (row_1 - row_0):
                break
            chain.pop()
        chain.append((row, column))
    corner_rows, corner_columns = zip(*chain, strict=True)
    return np.asarray(np.interp(np.arange(rows[0], rows[-1] + 1), corner_rows, corner_columns), dtype=np.float64)


def _clarity(mask: Mask, amplitude: FloatArray, window: int) -> float:
    """Share of the outline, away from the frame border, with signal inside and less than a tenth of it outside."""
    outside = ~grown(mask, 1)
    edge = mask & grown(~mask, 1)
    edge[:2] = edge[-2:] = edge[:, :2] = edge[:, -2:] = False
    if not edge.any():
        return 1.0

    def mean_at_edge(region: Mask) -> FloatArray:
        weight, weighted = (
            ndimage.uniform_filter(values, window, mode="constant")[edge]
            for values in (region.astype(np.float32), amplitude * region)
        )
        return np.asarray(weighted / np.maximum(weight, 1e-6))

    inner, outer = mean_at_edge(mask), mean_at_edge(outside)
    return float(np.mean((inner > 0.002) & (outer <= 0.1 * inner)))
