"""Disc scenes in the manner of the published simulation: a disc of tissue on black that holds bright rimmed shapes.

Distances to an outline are in pixels, negative inside. They are exact or nearly so close to the outline, which is all
that a rim needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.simulation.scene import Rng, Scene, add_shadow, gaussian_line_db
from Speckle2SelfLogic.simulation.shapes import sigmoid

Grid = npt.NDArray[np.floating]
Outline = Callable[[Grid, Grid, float, Rng], Grid]

BLACK_DB = -70.0


def square(v: Grid, u: Grid, half_px: float, _: Rng) -> Grid:
    """Square of side ``2 * half_px``."""
    return box(v, u, half_px, half_px)


def circle(v: Grid, u: Grid, half_px: float, _: Rng) -> Grid:
    """Circle of radius ``half_px``."""
    return np.hypot(u, v) - half_px


def triangle(v: Grid, u: Grid, half_px: float, _: Rng) -> Grid:
    """Equilateral triangle whose inner circle has 0.65 ``half_px``."""
    return regular_polygon(v, u, 1.3 * half_px, 3)


def ellipse(v: Grid, u: Grid, half_px: float, rng: Rng) -> Grid:
    """Ellipse with axes in the ratio 0.35 to 0.65."""
    ratio = float(rng.uniform(0.35, 0.65))
    major, minor = 1.3 * half_px, 1.3 * half_px * ratio
    scaled = np.hypot(u / major, v / minor)
    slope = np.hypot(u / major**2, v / minor**2)
    return scaled * (scaled - 1) / np.maximum(slope, 1e-6)  # first-order distance, f / |grad f|


def star(v: Grid, u: Grid, half_px: float, rng: Rng) -> Grid:
    """Star of four to seven rounded points."""
    points, depth = int(rng.integers(4, 8)), float(rng.uniform(0.2, 0.35))
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    border = half_px * (1 + depth * np.cos(points * angle))
    slope = half_px * depth * points * np.sin(points * angle) / np.maximum(radius, 1)
    return (radius - border) / np.sqrt(1 + slope**2)


def crescent(v: Grid, u: Grid, half_px: float, rng: Rng) -> Grid:
    """Disc from which a shifted disc is cut."""
    shift = float(rng.uniform(0.5, 0.8)) * half_px
    return np.maximum(np.hypot(u, v) - 1.2 * half_px, 0.95 * half_px - np.hypot(u - shift, v))


def bar(v: Grid, u: Grid, half_px: float, rng: Rng) -> Grid:
    """Long thin rectangle."""
    return box(v, u, float(rng.uniform(0.2, 0.4)) * half_px, 1.5 * half_px)


def cross(v: Grid, u: Grid, half_px: float, rng: Rng) -> Grid:
    """Two bars at right angles."""
    arm = float(rng.uniform(0.25, 0.4)) * half_px
    return np.minimum(box(v, u, arm, 1.2 * half_px), box(v, u, 1.2 * half_px, arm))


def ring(v: Grid, u: Grid, half_px: float, rng: Rng) -> Grid:
    """Circular band."""
    width = float(rng.uniform(0.2, 0.35)) * half_px
    return np.abs(np.hypot(u, v) - (1.2 * half_px - width)) - width


def polygon(v: Grid, u: Grid, half_px: float, rng: Rng) -> Grid:
    """Regular polygon of five to eight corners."""
    return regular_polygon(v, u, 1.1 * half_px, int(rng.integers(5, 9)))


def box(v: Grid, u: Grid, half_v_px: float, half_u_px: float) -> Grid:
    """Rectangle along the axes."""
    return np.maximum(np.abs(v) - half_v_px, np.abs(u) - half_u_px)


def regular_polygon(v: Grid, u: Grid, radius_px: float, corners: int) -> Grid:
    """Regular polygon with its corners on a circle."""
    turn = 2 * np.pi / corners
    sector = np.mod(np.arctan2(v, u), turn) - turn / 2
    return np.hypot(u, v) * np.cos(sector) - radius_px * np.cos(turn / 2)


PUBLISHED_SHAPES: tuple[Outline, ...] = (square, circle, triangle)
OTHER_SHAPES: tuple[Outline, ...] = (ellipse, star, crescent, bar, cross, ring, polygon)


def disc_scene(shape_yx: tuple[int, int], rng: Rng, outlines: Sequence[Outline]) -> Scene:
    """Disc of tissue on black with six to eight bright rimmed shapes of random place, size and turn."""
    size = min(shape_yx)
    scene = Scene.empty(shape_yx, BLACK_DB)
    y, x = scene.grid()
    radius = float(rng.uniform(0.43, 0.47)) * size
    cy, cx = (n / 2 + float(rng.uniform(-0.015, 0.015)) * size for n in shape_yx)
    tissue_db = float(rng.uniform(-32, -22))
    scene.blend(sigmoid((radius - np.hypot(y - cy, x - cx)) / 0.5), tissue_db)
    first = int(rng.integers(len(outlines)))
    places = scattered_places(rng, int(rng.integers(6, 9)), (cy, cx), 0.75 * radius, 0.19 * size)
    for index, (row, column) in enumerate(places):
        angle = float(rng.uniform(0, 2 * np.pi))
        v, u = y - row, x - column
        turned = (v * np.cos(angle) - u * np.sin(angle), v * np.sin(angle) + u * np.cos(angle))
        outline = outlines[(first + index) % len(outlines)]
        outside = outline(*turned, float(rng.uniform(0.04, 0.07)) * size, rng)
        level_db = float(rng.uniform(-14, -6))
        scene.blend(sigmoid(-outside / 0.5), level_db)
        rim_db = level_db + float(rng.uniform(3, 6)) + gaussian_line_db(outside, 0.006 * size)
        scene.brighten(np.maximum(rim_db, BLACK_DB))
    return scene


def scattered_places(
    rng: Rng, count: int, centre_yx: tuple[float, float], reach_px: float, distance_px: float
) -> list[tuple[float, float]]:
    """At most ``count`` points in a disc, no two closer than ``distance_px``; fewer if they do not fit."""
    places: list[tuple[float, float]] = []
    for _ in range(400):
        offset = rng.uniform(-reach_px, reach_px, 2)
        place = (centre_yx[0] + float(offset[0]), centre_yx[1] + float(offset[1]))
        apart = all(np.hypot(place[0] - r, place[1] - c) > distance_px for r, c in places)
        if np.hypot(*offset) <= reach_px and apart:
            places.append(place)
        if len(places) == count:
            break
    return places


def cast_shadows(scene: Scene, rng: Rng) -> None:
    """Zero to two shadow bands."""
    for _ in range(int(rng.integers(0, 3))):
        add_shadow(scene, rng)
