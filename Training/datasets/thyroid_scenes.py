"""Thyroid-like gland in cross-section: two lobes and an isthmus around the trachea, nodules, carotids beside it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.simulation import scene as parts
from Speckle2SelfLogic.simulation.scene import Rng, Scene, gaussian_line_db
from Speckle2SelfLogic.simulation.shapes import log_uniform, sigmoid, smooth_field, wavy_line
from Speckle2SelfLogic.simulation.vessels import add_transverse_vessel
from Training.datasets.anatomy_scenes import add_tissue_glints, vessel_look

Grid = npt.NDArray[np.floating]


def thyroid_scene(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Gland of random size below skin and strap muscles, centred or with one lobe in view; one to four nodules."""
    height, width = shape_yx
    scene = Scene.empty(shape_yx, float(rng.uniform(-20, -15)))
    y, x = scene.grid()
    middle = float(rng.choice((0.5, 0.5, 0.12, 0.88)) + rng.uniform(-0.06, 0.06)) * width
    airway = float(rng.uniform(0.12, 0.17)) * height
    front = float(rng.uniform(0.3, 0.4)) * height
    airway_y = front + airway
    _add_cover(scene, rng, front)
    lobes = [_lobe(y, x, airway_y, middle + side * 1.75 * airway, airway, rng) for side in (-1, 1)]
    thickness = float(rng.uniform(0.2, 0.35)) * airway
    bridge = np.maximum(
        np.abs(np.hypot(y - airway_y, x - middle) - airway - thickness) - thickness, y - airway_y + 0.3 * airway
    )
    for lobe_x in (middle - 1.75 * airway, middle + 1.75 * airway):
        side = 1 if lobe_x > middle else -1
        place = (airway_y + 0.2 * airway, lobe_x + side * 1.75 * airway)
        radius = 0.5 * airway * float(rng.uniform(0.8, 1.1))
        if 0 < place[1] < width:
            add_transverse_vessel(scene, rng, place, (0.95 * radius, radius), vessel_look(rng, height))
    gland = np.minimum(np.minimum(*lobes), bridge)
    _fill_gland(scene, rng, gland)
    for _ in range(int(rng.integers(1, 5))):
        _add_nodule(scene, rng, gland, airway)
    _add_airway(scene, rng, (airway_y, middle), airway)
    add_tissue_glints(scene, rng)
    return scene


def _lobe(y: Grid, x: Grid, cy: float, cx: float, airway: float, rng: Rng) -> Grid:
    ry, rx = (airway * float(rng.uniform(*limits)) for limits in ((0.9, 1.25), (0.8, 1.05)))
    return (np.hypot((y - cy) / ry, (x - cx) / rx) - 1) * min(ry, rx)


def _add_cover(scene: Scene, rng: Rng, front: float) -> None:
    """Skin, fat and two layers of strap muscle with their fasciae."""
    height, width = scene.shape_yx
    y, _ = scene.grid()
    common = wavy_line(rng, width, 0.015 * height)
    for share, level_db in ((0.0, -7.0), (0.14, -15.0), (0.4, -25.0), (0.7, -24.0), (1.0, -18.0)):
        below = (y - (share * 0.9 * front + common)[None]).astype(np.float32)
        scene.blend(sigmoid(below / log_uniform(rng, 0.8, 2.5)), level_db + 2 * float(rng.normal()))
        if 0.1 < share < 1:
            scene.reflect(float(rng.uniform(-13, -4)) + gaussian_line_db(below, max(0.6, 0.003 * height)))
        if 0.3 < share < 0.9:
            parts.add_striation(scene, rng, (below > 0) & (below < 0.25 * front), float(rng.uniform(-0.15, 0.15)))


def _fill_gland(scene: Scene, rng: Rng, outside: Grid) -> None:
    """Homogeneous bright parenchyma within a thin capsule."""
    level_db = float(rng.uniform(-13, -9)) + 0.8 * smooth_field(rng, scene.shape_yx, 0.15 * scene.shape_yx[0])
    scene.blend(sigmoid(-outside / 0.8), level_db)
    scene.specular_db[outside < -1] = parts.NO_REFLECTOR_DB
    scene.reflect(float(rng.uniform(-14, -6)) + gaussian_line_db(outside, 0.8))


def _add_nodule(scene: Scene, rng: Rng, gland: Grid, airway: float) -> None:
    """Solid (with or without halo and microcalcifications), spongy or cystic nodule somewhere in the gland."""
    y, x = scene.grid()
    rows, columns = np.nonzero(gland < -0.25 * airway)
    if rows.size == 0:
        return
    pick = int(rng.integers(rows.size))
    radius, ratio = log_uniform(rng, 0.1, 0.45) * airway, float(rng.uniform(0.7, 1.2))
    distance = np.hypot((y - rows[pick]) / ratio, x - columns[pick]) - radius
    outside = distance + 0.08 * radius * smooth_field(rng, scene.shape_yx, radius)
    kind = str(rng.choice(["hypoechoic", "isoechoic", "cystic", "spongy"]))
    around_db = float(scene.echogenicity_db[rows[pick], columns[pick]])
    level_db = around_db + float(
        rng.uniform(*{"hypoechoic": (-14, -5), "isoechoic": (-2, 4), "cystic": (-45, -25), "spongy": (-6, 0)}[kind])
    )
    if kind == "isoechoic":
        scene.blend(np.exp(-0.5 * (outside / 1.2) ** 2), around_db - 10)
    texture = 5 * smooth_field(rng, scene.shape_yx, 5) if kind == "spongy" else 0.0
    scene.blend(sigmoid(-(outside + (2.0 if kind == "isoechoic" else 0)) / 0.7), level_db + texture)
    if kind == "hypoechoic" and rng.random() < 0.5:
        spots = parts.draw_segments(
            rng, scene.shape_yx, count=600, angle_rad=0, length_px=(0.5, 1.5), sigma_px=(0.5, 0.8)
        )
        scene.reflect(np.where((outside < -2) & (spots > 0.5), around_db + 12 * spots, parts.NO_REFLECTOR_DB))


def _add_airway(scene: Scene, rng: Rng, centre_yx: tuple[float, float], radius: float) -> None:
    """Trachea: cartilage ring, bright air line at its front, reverberation that fades into shadow."""
    y, x = scene.grid()
    cy, cx = centre_yx
    distance = np.hypot(y - cy, x - cx) - radius
    shadow = sigmoid((radius - np.abs(x - cx)) / 3) * sigmoid((y - cy) / 2)
    within = np.maximum(sigmoid(-distance / 0.8), shadow)
    depth = np.maximum(y - (cy - radius), 0) / radius
    echo = 4 * np.cos(2 * np.pi * depth / float(rng.uniform(0.25, 0.45)))
    scene.blend(within, -22 + echo - 12 * depth)
    scene.specular_db -= (60 * within * (distance < -2)).astype(np.float32)
    top = np.clip((cy - y) / radius, 0, 1) ** 1.5
    scene.blend(np.exp(-0.5 * ((distance + 3) / 1.5) ** 2) * top, -30.0)
    scene.reflect(
        np.where(top > 0, -2 + 20 * np.log10(np.maximum(top, 1e-3)), -80) + gaussian_line_db(distance + 6, 1.0)
    )
