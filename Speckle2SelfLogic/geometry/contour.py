"""The border of a mask to a fraction of a pixel.

A mask says which pixel centres are inside. Its border is found on the mask blurred by a Gaussian of one to two pixels
(a sixth of the radius of the largest inscribed circle, so that small shapes keep theirs), by marching squares
(Lorensen and Cline, SIGGRAPH 1987, in two dimensions) with linear interpolation. A blurred curved border lies too far
inside; the level is therefore chosen so that the contour encloses the area that the pixels cover, which is an unbiased
estimate of the area of the shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.geometry.measures import Mask, Values

BLUR_PX = (1.0, 2.0)
_MARGIN = 9
# Sides of a cell: 0 top, 1 right, 2 bottom, 3 left. Corners: 1 top left, 2 top right, 4 bottom right, 8 bottom left.
_SIDES: dict[int, tuple[tuple[int, int], ...]] = {
    **dict.fromkeys((1, 14), ((3, 0),)),
    **dict.fromkeys((2, 13), ((0, 1),)),
    **dict.fromkeys((4, 11), ((1, 2),)),
    **dict.fromkeys((7, 8), ((2, 3),)),
    **dict.fromkeys((3, 12), ((3, 1),)),
    **dict.fromkeys((6, 9), ((0, 2),)),
    5: ((3, 0), (1, 2)),
    10: ((0, 1), (2, 3)),
}


@dataclass(frozen=True)
class Region:
    """One connected region of a mask without holes, and what had to be done to get it."""

    mask_yx: Mask
    touches_border: bool
    notes: tuple[str, ...]


def largest_region(mask_yx: Mask, name: str = "lumen") -> Region | None:
    """Return the largest connected region (8 neighbours) of a mask with its holes filled; None if it is empty."""
    labels, count = ndimage.label(mask_yx, structure=np.ones((3, 3)))
    if count == 0:
        return None
    notes = []
    sizes = np.bincount(labels.ravel())[1:]
    region = labels == 1 + int(np.argmax(sizes))
    if count > 1:
        notes.append(f"the {name} mask has {count} separate parts; only the largest ({sizes.max()} px) was measured")
    filled = ndimage.binary_fill_holes(region)
    if holes := int(filled.sum() - region.sum()):
        notes.append(f"holes of {holes} px in the {name} mask were filled")
    touches = bool(filled[0].any() or filled[-1].any() or filled[:, 0].any() or filled[:, -1].any())
    return Region(filled, touches, tuple(notes))


def border_contour(mask_yx: Mask) -> Values:
    """Return the outer border of a region as a closed polygon (N, 2), rows and columns, first point not repeated.

    What lies beyond the frame counts as outside.
    """
    rows, columns = (np.flatnonzero(mask_yx.any(axis=axis)) for axis in (1, 0))
    box = mask_yx[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    origin = np.array([rows[0], columns[0]]) - _MARGIN
    area = float(box.sum())
    sharp = np.pad(box, _MARGIN).astype(np.float64)
    blur_px = float(np.clip(ndimage.distance_transform_cdt(sharp).max() / 6, *BLUR_PX))
    field = ndimage.gaussian_filter(sharp, blur_px)
    longest = _longest_level_line(field, 0.5)
    if longest is not None:
        # An edge blurred by a Gaussian of width s has the slope 1 / (sqrt(2 pi) s) at its middle.
        shift = (area - polygon_area(longest)) / polygon_length(longest)
        level = 0.5 - float(np.clip(shift / (math.sqrt(2 * math.pi) * blur_px), -0.3, 0.3))
        longest = _longest_level_line(field, level)
    if longest is None or abs(polygon_area(longest) / area - 1) > 0.05:  # too thin to be blurred
        longest = _longest_level_line(sharp, 0.5)
    return np.asarray(longest + origin, np.float64)


def level_lines(field_yx: Values, level: float) -> list[Values]:
    """Return the closed lines (N, 2) at a level of a field that is below it at its border."""
    above = field_yx > level
    code = above[:-1, :-1] + 2 * above[:-1, 1:] + 4 * above[1:, 1:] + 8 * above[1:, :-1]
    width = field_yx.shape[1]
    pairs = []
    for value, sides in _SIDES.items():
        row, column = np.nonzero(code == value)
        # An odd number names the edge from a pixel down to the next row, an even one that to the next column.
        edge = [2 * (row * width + column), 2 * (row * width + column + 1) + 1]
        edge += [2 * ((row + 1) * width + column), 2 * (row * width + column) + 1]
        pairs += [np.stack([edge[a], edge[b]], axis=1) for a, b in sides]
    return [_crossings(field_yx, level, np.array(chain)) for chain in _chains(np.concatenate(pairs))]


def _chains(pairs: npt.NDArray[np.int64]) -> list[list[int]]:
    neighbours: dict[int, list[int]] = {}
    for first, second in pairs.tolist():
        neighbours.setdefault(first, []).append(second)
        neighbours.setdefault(second, []).append(first)
    chains = []
    while neighbours:
        start = next(iter(neighbours))
        chain, here = [start], neighbours.pop(start)[0]
        while here != start:
            onward = neighbours.pop(here)
            chain.append(here)
            here = onward[1] if onward[0] == chain[-2] else onward[0]
        chains.append(chain)
    return chains


def _crossings(field_yx: Values, level: float, edges: npt.NDArray[np.int64]) -> Values:
    down = edges % 2
    row, column = np.divmod(edges // 2, field_yx.shape[1])
    before, after = field_yx[row, column], field_yx[row + down, column + 1 - down]
    part = (level - before) / (after - before)
    return np.stack([row + part * down, column + part * (1 - down)], axis=1)


def _longest_level_line(field_yx: Values, level: float) -> Values | None:
    return max(level_lines(field_yx, level), key=polygon_area, default=None)


def polygon_area(points: Values) -> float:
    """Return the area inside a closed polygon (Gauss's trapezoid formula)."""
    y, x = points.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def polygon_length(points: Values) -> float:
    """Return the length of a closed polygon."""
    return float(np.hypot(*(np.roll(points, -1, axis=0) - points).T).sum())


def polygon_centroid(points: Values) -> tuple[float, float]:
    """Return the centre of gravity of the area inside a closed polygon."""
    start = points[0]
    (y, x), (y1, x1) = (points - start).T, (np.roll(points, -1, axis=0) - start).T
    cross = x * y1 - x1 * y
    weight = 3 * cross.sum()
    return float(((y + y1) * cross).sum() / weight + start[0]), float(((x + x1) * cross).sum() / weight + start[1])


def resampled(points: Values, count: int) -> Values:
    """Return ``count`` points at equal distances along a closed polygon."""
    closed = np.concatenate([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0, along[-1], count, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)
