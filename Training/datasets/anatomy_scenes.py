"""Random anatomical scenes of the evidence: neck with carotid, muscle, cysts. Levels in dB, lengths in pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from Speckle2SelfLogic.simulation import scene as parts
from Speckle2SelfLogic.simulation.scene import Rng, Scene, gaussian_line_db
from Speckle2SelfLogic.simulation.shapes import log_uniform, sigmoid, smooth_field, wavy_line
from Speckle2SelfLogic.simulation.vessels import VesselAppearance, add_longitudinal_vessel, add_transverse_vessel
from Training.datasets.disc_scenes import scattered_places

CYST_CONTRASTS_DB = (-60.0, -15.0, -9.0, -6.0, -3.0, 3.0, 6.0, 9.0)


def carotid_scene(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Transverse common carotid artery; in about half of the scenes the jugular vein beside it."""
    height, width = shape_yx
    scene = neck_layers(shape_yx, rng)
    radius = float(rng.uniform(0.08, 0.15)) * height
    centre = (float(rng.uniform(0.42, 0.62)) * height, float(rng.uniform(0.35, 0.65)) * width)
    if rng.random() < 0.5:
        side = float(rng.choice((-1, 1)))
        vein = (centre[0] - 0.6 * radius, centre[1] + side * float(rng.uniform(2.2, 2.8)) * radius)
        look = replace(vessel_look(rng, height), wall_thickness_px=2.5, line_gain_db=4.0, edge_shadow_db=2.0)
        add_transverse_vessel(scene, rng, vein, (float(rng.uniform(0.4, 0.8)) * radius, 1.1 * radius), look)
    ratio = float(rng.uniform(0.85, 1.0))
    add_transverse_vessel(scene, rng, centre, (ratio * radius, radius), vessel_look(rng, height))
    add_tissue_glints(scene, rng)
    return scene


def carotid_longitudinal_scene(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Draw the common carotid artery along its axis; in a third of the scenes with a plaque on the far wall."""
    height, _ = shape_yx
    scene = neck_layers(shape_yx, rng)
    radius = float(rng.uniform(0.07, 0.14)) * height
    centre_y, tilt = float(rng.uniform(0.42, 0.62)) * height, float(rng.uniform(-0.12, 0.12))
    add_longitudinal_vessel(scene, rng, centre_y, radius, tilt, vessel_look(rng, height))
    if rng.random() < 1 / 3:
        add_plaque(scene, rng, radius)
    add_tissue_glints(scene, rng)
    return scene


def muscle_scene(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Skin and fat, striated muscle between two aponeuroses, deeper muscle; sometimes bone with its shadow."""
    height, width = shape_yx
    scene = Scene.empty(shape_yx, float(rng.uniform(-18, -11)))
    y, _ = scene.grid()
    upper, lower = (
        float(rng.uniform(*limits)) * height + wavy_line(rng, width, 0.025 * height)
        for limits in ((0.1, 0.25), (0.55, 0.8))
    )
    septa = parts.draw_segments(rng, shape_yx, count=20, angle_rad=0.0, length_px=(0.05 * width, 0.3 * width))
    scene.echogenicity_db += np.where(y < upper[None], 8 * septa, 0).astype(np.float32)
    parts.add_muscle(scene, rng, (y >= upper[None]) & (y < lower[None]))
    parts.add_muscle(scene, rng, y >= lower[None])
    for rows in (upper, lower):
        parts.add_interface(scene, rng, rows.astype(np.float32), -12.0, doubled=rng.random() < 0.3)
    scene.blend(1 - sigmoid((y - float(rng.uniform(0.02, 0.05)) * height) / 1.0), -6.0)
    if rng.random() < 0.3:
        bone = float(rng.uniform(0.86, 0.95)) * height + wavy_line(rng, width, 0.02 * height)
        scene.attenuate(25 * sigmoid((y - bone[None]) / 2))
        scene.reflect(2.0 + gaussian_line_db(y - bone[None], 1.2))
    return scene


def cysts_scene(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Tissue with round targets, from anechoic to +9 dB, enhancement below the anechoic ones."""
    height, width = shape_yx
    tissue_db = float(rng.uniform(-16, -10))
    scene = Scene.empty(shape_yx, tissue_db)
    y, x = scene.grid()
    centre = (height / 2, width / 2)
    places = scattered_places(rng, int(rng.integers(5, 10)), centre, 0.5 * min(shape_yx), 0.22 * min(shape_yx))
    levels = rng.permutation(np.resize(rng.permutation(CYST_CONTRASTS_DB), len(places)))
    for (cy, cx), contrast_db in zip(places, levels, strict=True):
        radius = log_uniform(rng, 0.025, 0.11) * min(shape_yx)
        if contrast_db < -20:
            below = np.exp(-0.5 * ((x - cx) / (0.8 * radius)) ** 4) * sigmoid((y - cy) / 3)
            scene.echogenicity_db += (3 * below).astype(np.float32)
        scene.blend(sigmoid((radius - np.hypot(y - cy, x - cx)) / 0.5), tissue_db + float(contrast_db))
    return scene


def neck_layers(shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Skin, platysma, fat, sternocleidomastoid and strap muscle, and the tissue around the vessels."""
    height, width = shape_yx
    scene = Scene.empty(shape_yx, float(rng.uniform(-14, -9)))
    y, _ = scene.grid()
    common = wavy_line(rng, width, 0.02 * height)
    stretch = float(rng.uniform(0.8, 1.15))
    layers = ((0.05, -6.0), (0.09, -18.0), (0.22, -26.0), (0.36, -13.0), (0.74, -16.0), (0.88, -22.0))
    for top, usual_db in layers:
        rows = stretch * top * height + common * (1 - top) + wavy_line(rng, width, 0.005 * height)
        below = (y - rows[None]).astype(np.float32)
        level_db = usual_db + 2.5 * float(rng.normal())
        scene.blend(sigmoid(below / log_uniform(rng, 0.8, 3)), level_db)
        if top == 0.22:
            parts.add_striation(scene, rng, (below > 0) & (below < 0.14 * height), float(rng.uniform(-0.2, 0.2)))
        if top in (0.09, 0.22, 0.36) or rng.random() < 0.3:
            scene.reflect(float(rng.uniform(-12, 0)) + gaussian_line_db(below, max(0.6, 0.003 * height)))
    scene.echogenicity_db += 1.5 * smooth_field(rng, shape_yx, 0.2 * height)
    if rng.random() < 0.5:
        parts.add_clumps(scene, rng)
    return scene


def vessel_look(rng: Rng, height: int) -> VesselAppearance:
    """Draw the look of an artery: dark lumen with some reverberation below the near wall, thin double wall lines."""
    return VesselAppearance(
        lumen_db=float(rng.uniform(-45, -25)),
        reverberation_db=float(rng.uniform(0, 10)),
        wall_thickness_px=max(3.0, float(rng.uniform(0.016, 0.034)) * height),
        wall_gain_db=float(rng.uniform(2, 8)),
        line_gain_db=float(rng.uniform(6, 15)),
        line_sigma_px=max(0.6, float(rng.uniform(0.003, 0.005)) * height),
        enhancement_db=float(rng.uniform(1, 6)),
        edge_shadow_db=float(rng.uniform(2, 11)),
    )


def add_tissue_glints(scene: Scene, rng: Rng) -> None:
    """Short coherent reflectors outside of vessels."""
    in_lumen = scene.specular_db[scene.lumen]
    parts.add_glints(scene, rng)
    scene.specular_db[scene.lumen] = in_lumen


def add_plaque(scene: Scene, rng: Rng, radius_px: float) -> None:
    """Raise a bump from the far wall into the lumen: soft, mixed, or calcified with a shadow below."""
    height, width = scene.shape_yx
    y, x = scene.grid()
    rows = np.arange(height)[:, None]
    far_wall = np.where(scene.lumen, rows, 0).max(0).astype(np.float32)  # last lumen row of each column
    centre, half_length = float(rng.uniform(0.25, 0.75)) * width, float(rng.uniform(0.08, 0.2)) * width
    bump = float(rng.uniform(0.4, 1.1)) * radius_px * np.exp(-0.5 * ((x[0] - centre) / (0.5 * half_length)) ** 4)
    inside = scene.lumen & (y > (far_wall - bump)[None])
    weight = sigmoid((y - (far_wall - bump)[None]) / 0.6) * scene.lumen
    level_db = float(rng.uniform(-24, -10))
    scene.blend(weight, level_db + 2 * smooth_field(rng, scene.shape_yx, 8))
    scene.reflect(np.where(inside, level_db + 4 + gaussian_line_db(y - (far_wall - bump)[None] - 1, 0.8), -80))
    if rng.random() < 0.35:
        cap = centre + float(rng.uniform(-0.3, 0.3)) * half_length
        core = np.exp(-0.5 * (((x - cap) / (0.25 * half_length)) ** 2 + ((y - far_wall[None]) / 3) ** 2))
        scene.brighten(np.where(core > 0.1, -2 + 10 * np.log10(np.maximum(core, 1e-3)), -80))
        shadow = sigmoid((0.3 * half_length - np.abs(x - cap)) / 2) * sigmoid((y - far_wall[None] - 3) / 2)
        scene.attenuate(float(rng.uniform(8, 22)) * shadow)
    scene.lumen &= ~inside
