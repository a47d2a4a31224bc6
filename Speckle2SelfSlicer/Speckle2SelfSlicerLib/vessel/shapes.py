"""Which lines and curves show what was measured in a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.geometry import FarWall, FrameMeasurement, LongitudinalMeasurement, TransverseMeasurement
from Speckle2SelfSlicerLib.charts import Colour

Points = npt.NDArray[np.float64]
Kind = Literal["line", "curve", "closed curve"]

MOST_POINTS = 72
WHOLE = 0.98
"""From this share of the lumen border on, a wall counts as lying all round."""


class Shape(NamedTuple):
    """Points (N, 2), rows and columns in pixels, and what is written at the first one."""

    points_yx_px: Points
    label: str = ""


@dataclass(frozen=True)
class Style:
    """What a shape is, for all frames alike."""

    content: str
    kind: Kind
    colour: Colour


STYLES = {
    style.content: style
    for style in (
        Style("lumen contour", "closed curve", (0.0, 0.62, 0.45)),
        Style("outer wall contour", "closed curve", (0.9, 0.62, 0.0)),
        Style("minimum diameter", "line", (0.34, 0.71, 0.91)),
        Style("maximum diameter", "line", (0.8, 0.47, 0.65)),
        Style("thickest wall", "line", (0.9, 0.62, 0.0)),
        Style("near wall", "curve", (0.0, 0.62, 0.45)),
        Style("far wall, lumen-intima", "curve", (0.0, 0.62, 0.45)),
        Style("far wall, media-adventitia", "curve", (0.9, 0.62, 0.0)),
        Style("maximum IMT", "line", (0.84, 0.37, 0.0)),
    )
}


def shapes_of(measured: FrameMeasurement) -> dict[str, Shape]:
    """Return every shape that a frame has, by content; lengths are written at the ends of lines."""
    is_transverse = isinstance(measured, TransverseMeasurement)
    points = _transverse(measured) if is_transverse else _longitudinal(measured)
    labels = _LABELS_TRANSVERSE if is_transverse else _LABELS_LONGITUDINAL
    shapes = {}
    for content, places in points.items():
        if len(places) >= 2:
            word, figure = labels.get(content, ("", ""))
            length = getattr(measured, figure) if figure else None
            label = "" if length is None else f"{word} {length.value:.2f} {length.unit}"
            shapes[content] = Shape(np.asarray(places, np.float64), label)
    return shapes


_LABELS_TRANSVERSE = {
    "minimum diameter": ("min", "minimum_diameter"),
    "maximum diameter": ("max", "maximum_diameter"),
    "thickest wall": ("wall", "maximum_wall"),
}
_LABELS_LONGITUDINAL = {
    "minimum diameter": ("min", "minimum_diameter"),
    "maximum IMT": ("IMT", "maximum_imt"),
}


def contents_of(measured: FrameMeasurement) -> tuple[str, ...]:
    """Return the contents of all shapes that a frame of this view may have."""
    is_transverse = isinstance(measured, TransverseMeasurement)
    names = list(STYLES)
    return tuple(names[:5] if is_transverse else [names[2], *names[5:]])


def _transverse(measured: TransverseMeasurement) -> dict[str, npt.ArrayLike]:
    wall, shapes = measured.wall, {"lumen contour": _thinned(measured.contour_yx_px)}
    shapes["minimum diameter"] = measured.minimum_line_yx_px or ()
    shapes["maximum diameter"] = measured.maximum_line_yx_px or ()
    if wall is not None:
        thickest = int(np.nanargmax(wall.thickness))
        shapes["thickest wall"] = (wall.inner_yx_px[thickest], wall.outer_yx_px[thickest])
        if wall.coverage >= WHOLE:
            shapes["outer wall contour"] = _thinned(wall.outer_yx_px)
    return shapes


def _longitudinal(measured: LongitudinalMeasurement) -> dict[str, npt.ArrayLike]:
    shapes = {
        "near wall": _thinned(measured.near_yx_px),
        "far wall, lumen-intima": _thinned(measured.far_yx_px),
        "minimum diameter": measured.stenosis.minimum_line_yx_px or (),
    }
    return shapes if measured.far_wall is None else shapes | _far_wall(measured.far_wall)


def _far_wall(wall: FarWall) -> dict[str, npt.ArrayLike]:
    used = np.flatnonzero(wall.is_used)
    thickest = used[int(np.argmax(wall.thickness[used]))]
    return {
        "far wall, media-adventitia": _thinned(wall.outer_yx_px[used]),
        "maximum IMT": (wall.inner_yx_px[thickest], wall.outer_yx_px[thickest]),
    }


def _thinned(points: Points) -> Points:
    """Return at most `MOST_POINTS` of the points, evenly chosen: markups with many points are slow to draw."""
    if len(points) <= MOST_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]
