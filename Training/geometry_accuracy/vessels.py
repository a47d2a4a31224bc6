"""Simulated vessels whose walls are known to a fraction of a pixel, and lines that a user might draw on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize

from Speckle2SelfLogic.geometry import Line, View
from Speckle2SelfLogic.simulation import Compression, ImagingSettings, form_frame
from Speckle2SelfLogic.simulation.scene import Scene, add_background_variation, add_clumps
from Speckle2SelfLogic.simulation.shapes import wavy_line
from Speckle2SelfLogic.simulation.vessels import VesselAppearance, add_longitudinal_vessel, add_transverse_vessel

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Outside = Callable[[npt.NDArray[np.floating], npt.NDArray[np.floating]], npt.NDArray[np.floating]]
"""Function of rows and columns: how far outside the lumen a place is, as the scene counts it (0: lumen-intima)."""

SHAPE_YX = (256, 256)
PIXEL_MM = 40 / 512
SPECKLE = {"fine": (0.9, 1.6), "medium": (1.4, 2.6), "coarse": (1.9, 3.8)}
"""Standard deviations of the pulse-echo amplitude PSF in pixels, axial and lateral."""
RADII_PX = (26.0, 38.0, 50.0)
"""Lumen radii: diameters of 4.1, 5.9 and 7.8 mm."""
_LINE_ERROR_PX = 2.0


@dataclass(frozen=True)
class MeasuredLine:
    """A rough line as a user draws it, and the ends it should have (geometry)."""

    structure: Literal["lumen", "imt"]
    rough: Line
    true: Line


@dataclass(frozen=True)
class KnownVessel:
    """A frame with a vessel of known size."""

    view: View
    number: int
    speckle: str
    radius_px: float
    speckled_yx: Grey
    """Grey 0..1 of 8 bits."""
    speckle_free_yx: Grey
    lumen_yx: Mask
    wall_yx: Mask
    outside: Outside
    wall_thickness_px: float
    lines: tuple[MeasuredLine, ...]


def known_vessel(view: View, number: int, seed: int = 0) -> KnownVessel:
    """Draw a vessel of a size and a speckle that follow from its number; everything else is random."""
    rng = np.random.default_rng((seed, number, int(view == "longitudinal")))
    speckle = tuple(SPECKLE)[number % len(SPECKLE)]
    radius = RADII_PX[(number // len(SPECKLE)) % len(RADII_PX)] * float(rng.uniform(0.94, 1.06))
    look = VesselAppearance(
        lumen_db=float(rng.uniform(-40, -20)),
        reverberation_db=float(rng.uniform(0, 8)),
        wall_thickness_px=float(rng.uniform(6, 12)),
        wall_gain_db=float(rng.uniform(0, 8)),
        line_gain_db=float(rng.uniform(6, 15)),
        line_sigma_px=float(rng.uniform(0.6, 1.2)),
        edge_shadow_db=float(rng.uniform(2, 8)),
    )
    scene = Scene.empty(SHAPE_YX, float(rng.uniform(-18, -10)))
    add_background_variation(scene, rng)
    add_clumps(scene, rng)
    build = _transverse if view == "transverse" else _longitudinal
    outside, columns, axis_y = build(scene, rng, radius, look)
    axial, lateral = SPECKLE[speckle]
    settings = ImagingSettings(
        axial_psf_px=axial,
        lateral_psf_px=lateral,
        attenuation_db=float(rng.uniform(0, 6)),
        noise_db=float(rng.uniform(-55, -45)),
        texture_std=0.25,
        texture_scale_px=6.0,
        compression=Compression(dynamic_range_db=float(rng.uniform(50, 70))),
    )
    frame = form_frame(scene.echogenicity_db, scene.specular_db, settings, rng)
    lines = tuple(_lines(view, outside, look.wall_thickness_px, columns, axis_y, radius, rng))
    return KnownVessel(
        view,
        number,
        speckle,
        radius,
        np.asarray(np.round(frame.speckled_yx * 255) / 255, np.float32),
        frame.truth_yx,
        scene.lumen,
        scene.wall,
        outside,
        look.wall_thickness_px,
        lines,
    )


def _transverse(
    scene: Scene, rng: np.random.Generator, radius: float, look: VesselAppearance
) -> tuple[Outside, npt.NDArray[np.floating], Callable[[float], float]]:
    cy, cx = 128 + rng.uniform(-12, 12), 128 + rng.uniform(-12, 12)
    ry, rx = radius * float(rng.uniform(0.92, 1)), radius
    seed = int(rng.integers(2**32))
    add_transverse_vessel(scene, np.random.default_rng(seed), (cy, cx), (ry, rx), look)
    turn = np.random.default_rng(seed).random() * 6  # the first number that the vessel drew

    def outside(y: npt.NDArray[np.floating], x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        polar = np.arctan2((y - cy) / ry, (x - cx) / rx)
        bent = np.hypot((x - cx) / rx, (y - cy) / ry) * (1 + 0.05 * np.sin(2 * polar + turn))
        return np.asarray((bent - 1) * min(ry, rx))

    return outside, cx + np.array([-0.25, 0.0, 0.25]) * rx, lambda _: float(cy)


def _longitudinal(
    scene: Scene, rng: np.random.Generator, radius: float, look: VesselAppearance
) -> tuple[Outside, npt.NDArray[np.floating], Callable[[float], float]]:
    centre, tilt = 128 + float(rng.uniform(-15, 15)), float(rng.uniform(-0.12, 0.12))
    seed, width = int(rng.integers(2**32)), SHAPE_YX[1]
    add_longitudinal_vessel(scene, np.random.default_rng(seed), centre, radius, tilt, look)
    again = np.random.default_rng(seed)  # the same curves as the vessel drew
    columns = np.arange(width)
    axis = centre + tilt * (columns - width / 2) + wavy_line(again, width, radius * 0.15)
    half = radius * (1 + wavy_line(again, width, 0.06))

    def outside(y: npt.NDArray[np.floating], x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return np.asarray(np.abs(y - np.interp(x, columns, axis)) - np.interp(x, columns, half))

    return outside, np.array([60.0, 128.0, 196.0]), lambda x: float(np.interp(x, columns, axis))


def _lines(
    view: View,
    outside: Outside,
    thickness: float,
    columns: npt.NDArray[np.floating],
    axis_y: Callable[[float], float],
    radius: float,
    rng: np.random.Generator,
) -> list[MeasuredLine]:
    lines = []
    for column in columns:
        x = float(column + rng.uniform(-2, 2))
        start = (axis_y(x), x)
        lean = float(rng.uniform(-0.1, 0.1))
        down, up = (math.cos(lean), math.sin(lean)), (-math.cos(lean), -math.sin(lean))
        if view == "longitudinal":
            far, near = (crossing(outside, start, way, 0.0, 2 * radius) for way in (down, up))
            lines.append(_drawn("lumen", near, far, rng, _LINE_ERROR_PX))
            outer = crossing(outside, start, down, thickness, 2 * radius)
            lines.append(_drawn("imt", far, outer, rng, _LINE_ERROR_PX / 2))
        else:
            across = float(rng.uniform(-0.35, 0.35))
            middle = (axis_y(x), float(columns[1]))
            down, up = (math.cos(across), math.sin(across)), (-math.cos(across), -math.sin(across))
            far, near = (crossing(outside, middle, way, 0.0, 2 * radius) for way in (down, up))
            lines.append(_drawn("lumen", near, far, rng, _LINE_ERROR_PX))
            outer = crossing(outside, middle, down, thickness, 2 * radius)
            lines.append(_drawn("imt", far, outer, rng, _LINE_ERROR_PX / 2))
    return lines


def crossing(
    outside: Outside, start: tuple[float, float], way: tuple[float, float], level: float, reach: float
) -> tuple[float, float]:
    """Return where a ray from inside the lumen passes the surface at a level of ``outside``."""

    def above(distance: float) -> float:
        return float(outside(np.array(start[0] + distance * way[0]), np.array(start[1] + distance * way[1]))) - level

    distance = optimize.brentq(above, 0.0, reach, xtol=1e-6)
    return start[0] + distance * way[0], start[1] + distance * way[1]


def _drawn(
    structure: Literal["lumen", "imt"],
    first: tuple[float, float],
    last: tuple[float, float],
    rng: np.random.Generator,
    error_px: float,
) -> MeasuredLine:
    """Move the ends of a line along it, as a hand does."""
    ends = np.array([first, last])
    along = (ends[1] - ends[0]) / math.dist(first, last)
    rough = ends + np.clip(rng.normal(0, error_px, (2, 1)), -2 * error_px, 2 * error_px) * along
    (y0, x0), (y1, x1) = rough.tolist()
    return MeasuredLine(structure, ((y0, x0), (y1, x1)), (first, last))
