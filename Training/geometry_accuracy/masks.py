"""How well masks are measured: the scene's own masks against the walls that the scene computes them from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from Speckle2SelfLogic.geometry import measure_longitudinal, measure_transverse
from Speckle2SelfLogic.geometry.contour import polygon_area
from Speckle2SelfLogic.geometry.transverse import feret_lines
from Training.geometry_accuracy.vessels import KnownVessel, crossing


@dataclass(frozen=True)
class MaskRow:
    """One figure from the masks of one vessel, in pixels."""

    view: str
    vessel: int
    figure: str
    geometry_px: float
    measured_px: float
    uncertainty_px: float


def measure_masks(vessel: KnownVessel) -> list[MaskRow]:
    """Measure the masks of a vessel and compare with its geometry."""
    return _transverse(vessel) if vessel.view == "transverse" else _longitudinal(vessel)


def _transverse(vessel: KnownVessel) -> list[MaskRow]:
    found = measure_transverse(vessel.lumen_yx, vessel.wall_yx)
    if found.centroid_yx_px is None:
        return []
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    start = found.centroid_yx_px
    border = np.array([crossing(vessel.outside, start, (math.sin(a), math.cos(a)), 0.0, 120.0) for a in angles])
    least, greatest = (math.dist(*line) for line in feret_lines(border))
    truths = {
        "equivalent_diameter": 2 * math.sqrt(polygon_area(border) / math.pi),
        "minimum_diameter": least,
        "maximum_diameter": greatest,
    }
    return [_row(vessel, name, truth, found.measures()[name]) for name, truth in truths.items()]


def _longitudinal(vessel: KnownVessel) -> list[MaskRow]:
    found = measure_longitudinal(vessel.lumen_yx, vessel.wall_yx)
    if found.far_wall is None:
        return []
    diameters, thicknesses = [], []
    for near, far, is_used in zip(found.near_yx_px, found.far_yx_px, found.far_wall.is_used, strict=True):
        start = tuple(((near + far) / 2).tolist())
        way = tuple(((far - near) / math.dist(near, far)).tolist())
        ends = [crossing(vessel.outside, start, (s * way[0], s * way[1]), 0.0, 120.0) for s in (-1, 1)]
        diameters.append(math.dist(*ends))
        if is_used:
            outer = crossing(vessel.outside, start, way, vessel.wall_thickness_px, 120.0)
            thicknesses.append(math.dist(ends[1], outer))
    return [
        _row(vessel, "mean_diameter", float(np.mean(diameters)), found.mean_diameter),
        _row(vessel, "mean_imt", float(np.mean(thicknesses)), found.mean_imt),
    ]


def _row(vessel: KnownVessel, name: str, truth: float, measure: object) -> MaskRow:
    value, uncertainty = getattr(measure, "value", None), getattr(measure, "uncertainty", None)
    return MaskRow(vessel.view, vessel.number, name, truth, float(value or math.nan), float(uncertainty or math.nan))
