"""Phantoms: random scenes for training and named ones for tests, demonstrations and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from Speckle2SelfLogic.simulation import scene as parts
from Speckle2SelfLogic.simulation.scene import NO_REFLECTOR_DB, Rng, Scene
from Speckle2SelfLogic.simulation.shapes import sigmoid, wavy_line
from Speckle2SelfLogic.simulation.vessels import (
    VesselAppearance,
    add_longitudinal_vessel,
    add_random_vessel,
    add_transverse_vessel,
)

PhantomBuilder = Callable[[tuple[int, int], Rng], Scene]


def random_scene(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Anything that soft-tissue ultrasound may show, in random combination. Used to train."""
    scene = Scene.empty(shape_yx, float(rng.uniform(-22, -8)))
    parts.add_layers(scene, rng)
    if rng.random() < 0.3:
        _add_muscle_layer(scene, rng)
    parts.add_inclusions(scene, rng, int(rng.integers(0, 5)))
    optional: tuple[tuple[float, Callable[[Scene, Rng], None]], ...] = (
        (0.6, parts.add_background_variation),
        (0.3, parts.add_clumps),
        (0.5, parts.add_skin),
        (0.45, parts.add_glints),
        (0.55, add_random_vessel),
        (0.35, add_random_vessel),
        (0.4, parts.add_shadow),
        (0.3, parts.add_shadow),
    )
    for chance, add in optional:
        if rng.random() < chance:
            add(scene, rng)
    if rng.random() < 0.15:
        scene.specular_db[:] = np.maximum(scene.specular_db - rng.uniform(5, 40), NO_REFLECTOR_DB)
    return scene


def carotid(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Transverse common carotid artery below a strap muscle, beside thyroid tissue."""
    height, width = shape_yx
    scene = _neck_layers(shape_yx, rng)
    radius = 0.115 * min(height, width)
    look = VesselAppearance(wall_thickness_px=max(3.0, 0.022 * height), line_sigma_px=max(0.8, 0.0035 * height))
    add_transverse_vessel(scene, rng, (0.5 * height, 0.52 * width), (0.92 * radius, radius), look)
    parts.add_glints(scene, rng)
    return scene


def carotid_longitudinal(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Draw the common carotid artery along its axis with the double line of both walls."""
    height, _ = shape_yx
    scene = _neck_layers(shape_yx, rng)
    look = VesselAppearance(wall_thickness_px=max(3.0, 0.024 * height), line_sigma_px=max(0.8, 0.0035 * height))
    add_longitudinal_vessel(scene, rng, 0.52 * height, 0.11 * height, 0.06, look)
    return scene


def muscle(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Striated muscle between two aponeuroses."""
    scene = Scene.empty(shape_yx, -14.0)
    _add_muscle_layer(scene, rng, top=0.15, bottom=0.75)
    return scene


def cysts(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Uniform tissue with round targets: anechoic, -9, -6, -3, +3, +6 dB, in two rows of three."""
    del rng
    height, width = shape_yx
    scene = Scene.empty(shape_yx, -12.0)
    y, x = scene.grid()
    radius = 0.11 * min(height, width)
    for index, contrast_db in enumerate((-60, -9, -6, -3, 3, 6)):
        cy, cx = height * (0.3 + 0.4 * (index // 3)), width * (0.2 + 0.3 * (index % 3))
        outside = np.hypot(y - cy, x - cx) - radius
        scene.blend(sigmoid(-outside / 0.5), -12.0 + contrast_db)
    return scene


def shapes(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Disc of tissue that holds seven bright rimmed squares, circles and triangles, as in the published simulation."""
    height, width = shape_yx
    scene = Scene.empty(shape_yx, -60.0)
    y, x = scene.grid()
    size = min(height, width)
    scene.blend(sigmoid((0.46 * size - np.hypot(y - height / 2, x - width / 2)) / 0.6), -22.0)
    places = [(0.5, 0.5)] + [(0.5 + 0.27 * np.sin(a), 0.5 + 0.27 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 7)[:6]]
    for index, (row, column) in enumerate(places):
        v, u = y - row * height, x - column * width
        half = float(rng.uniform(0.04, 0.065)) * size
        outside = (
            np.maximum(np.abs(u), np.abs(v)) - half,
            np.hypot(u, v) - half,
            np.maximum(np.abs(u) * np.sqrt(3) / 2 - v / 2, v) - half / 2,
        )[index % 3]
        level_db = float(rng.uniform(-12, -5))
        scene.blend(sigmoid(-outside / 0.5), level_db)
        scene.brighten(level_db + 3 + parts.gaussian_line_db(outside, 0.006 * size))
    return scene


def uniform(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Tissue of one echogenicity without reflectors: fully developed speckle and nothing else."""
    del rng
    return Scene.empty(shape_yx, -10.0)


PHANTOMS: Mapping[str, PhantomBuilder] = MappingProxyType(
    {
        "carotid": carotid,
        "carotid-longitudinal": carotid_longitudinal,
        "muscle": muscle,
        "cysts": cysts,
        "shapes": shapes,
        "uniform": uniform,
        "random": random_scene,
    }
)


def _add_muscle_layer(scene: Scene, rng: Rng, top: float | None = None, bottom: float | None = None) -> None:
    height, width = scene.shape_yx
    y, _ = scene.grid()
    upper, lower = (
        (share if share is not None else float(rng.uniform(*limits))) * height + wavy_line(rng, width, height * 0.03)
        for share, limits in ((top, (-0.2, 0.5)), (bottom, (0.6, 1.3)))
    )
    parts.add_muscle(scene, rng, (y > upper[None]) & (y < lower[None]))
    for rows in (upper, lower):
        parts.add_interface(scene, rng, rows.astype(np.float32), -12.0, doubled=rng.random() < 0.3)


def _neck_layers(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    height, width = shape_yx
    scene = Scene.empty(shape_yx, -12.0)
    y, _ = scene.grid()
    levels = ((0.05, -6.0), (0.09, -20.0), (0.24, -26.0), (0.36, -13.0), (0.72, -16.0), (0.86, -22.0))
    common = wavy_line(rng, width, 0.02 * height)
    for top, level_db in levels:
        rows = (top * height + common * (1 - top) + wavy_line(rng, width, 0.004 * height)).astype(np.float32)
        scene.blend(sigmoid((y - rows[None]) / 1.5), level_db)
        if top in (0.09, 0.24, 0.36):
            scene.reflect(-4.0 + parts.gaussian_line_db(y - rows[None], max(0.7, 0.0025 * height)))
    return scene
