"""Simulated carotids with exact masks: across and along the vessel, each with and without plaque.

Lumen is what blood fills. Wall is what lies between lumen and media-adventitia border; plaque belongs to the wall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.simulation.formation import form_frame
from Speckle2SelfLogic.simulation.scene import Rng, Scene, gaussian_line_db
from Speckle2SelfLogic.simulation.shapes import sigmoid, smooth_field
from Speckle2SelfLogic.simulation.simulator import DEPTH_MM
from Speckle2SelfLogic.simulation.vessels import add_longitudinal_vessel, add_transverse_vessel
from Training.datasets.anatomy_scenes import add_plaque, add_tissue_glints, muscle_scene, neck_layers, vessel_look
from Training.datasets.scanners import CLINICAL
from Training.pairs import random_settings

BACKGROUND, LUMEN, WALL = 0, 1, 2
KINDS = ("transverse", "transverse-plaque", "longitudinal", "longitudinal-plaque")
NO_VESSEL = "no-vessel"
Scanners = Literal["clinical", "any"]


@dataclass(frozen=True)
class LabelledFrame:
    """A speckled frame (Y, X), grey 8 bit, with the label of each pixel: 0 background, 1 lumen, 2 wall."""

    frame_yx: npt.NDArray[np.uint8]
    labels_yx: npt.NDArray[np.uint8]
    spacing_mm: float


def simulated_carotid(kind: str, seed: int, side_px: int, scanners: Scanners = "clinical") -> LabelledFrame:
    """Simulate one frame of one of `KINDS`, or of muscle without a vessel; the height stands for 40 mm.

    Parameters
    ----------
    scanners
        ``"clinical"``: moderate artefacts. ``"any"``: everything that the despeckler is trained on.
    """
    rng = np.random.default_rng((seed, side_px))
    scene = _scene(kind, (side_px, side_px), rng)
    settings = CLINICAL.draw(rng, side_px)[0] if scanners == "clinical" else random_settings(rng, 1.0)
    formed = form_frame(scene.echogenicity_db, scene.specular_db, settings, rng)
    grey = np.uint8(np.clip(formed.speckled_yx, 0, 1) * 255 + 0.5)
    labels = np.where(scene.lumen, LUMEN, np.where(scene.wall, WALL, BACKGROUND)).astype(np.uint8)
    if rng.random() < 0.5:
        grey, labels = grey[:, ::-1], labels[:, ::-1]
    return LabelledFrame(np.ascontiguousarray(grey), np.ascontiguousarray(labels), DEPTH_MM / side_px)


def _scene(kind: str, shape_yx: tuple[int, int], rng: Rng) -> Scene:
    if kind == NO_VESSEL:
        return muscle_scene(shape_yx, rng)
    scene = neck_layers(shape_yx, rng)
    radius = float(rng.uniform(0.06, 0.15)) * shape_yx[0]
    (_draw_across if kind.startswith("transverse") else _draw_along)(scene, rng, radius)
    if kind.endswith("plaque"):
        inside_before = scene.lumen.copy()
        (_add_crescent if kind.startswith("transverse") else add_plaque)(scene, rng, radius)
        scene.wall |= inside_before & ~scene.lumen
    add_tissue_glints(scene, rng)
    return scene


def _draw_across(scene: Scene, rng: Rng, radius_px: float) -> None:
    """Artery in cross-section, in half of the scenes beside a vein, which is not the lumen that is looked for."""
    height, width = scene.shape_yx
    centre = (float(rng.uniform(0.35, 0.65)) * height, float(rng.uniform(0.25, 0.75)) * width)
    if rng.random() < 0.5:
        side = float(rng.choice((-1, 1)))
        vein = (centre[0] - 0.6 * radius_px, centre[1] + side * float(rng.uniform(2.2, 2.8)) * radius_px)
        look = replace(vessel_look(rng, height), wall_thickness_px=2.5, line_gain_db=4.0, edge_shadow_db=2.0)
        add_transverse_vessel(scene, rng, vein, (float(rng.uniform(0.4, 0.8)) * radius_px, 1.1 * radius_px), look)
        scene.lumen[:], scene.wall[:] = False, False
    ratio = float(rng.uniform(0.85, 1.05))
    add_transverse_vessel(scene, rng, centre, (ratio * radius_px, radius_px), vessel_look(rng, height))


def _draw_along(scene: Scene, rng: Rng, radius_px: float) -> None:
    height = scene.shape_yx[0]
    centre_y, tilt = float(rng.uniform(0.38, 0.64)) * height, float(rng.uniform(-0.15, 0.15))
    add_longitudinal_vessel(scene, rng, centre_y, radius_px, tilt, vessel_look(rng, height))


def _add_crescent(scene: Scene, rng: Rng, radius_px: float) -> None:
    """Fill the lumen from one side: what is left is the lumen moved towards the other side and a little narrower."""
    y, x = scene.grid()
    rows, columns = np.nonzero(scene.lumen)
    centre_y, centre_x = float(rows.mean()), float(columns.mean())
    angle, depth = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.3, 1.0)) * radius_px
    left = radius_px - 0.5 * depth
    shift = 0.55 * depth
    distance = np.hypot(y - centre_y + shift * np.sin(angle), x - centre_x + shift * np.cos(angle)) - left
    level_db = float(rng.uniform(-24, -10))
    scene.blend(sigmoid(distance / 0.6) * scene.lumen, level_db + 2 * smooth_field(rng, scene.shape_yx, 8))
    inside = scene.lumen & (distance > 0)
    scene.reflect(np.where(inside, level_db + 4 + gaussian_line_db(distance - 1, 0.8), -80))
    scene.lumen &= ~inside
