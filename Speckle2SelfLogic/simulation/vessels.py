"""Vessels in cross-section and along their axis: lumen, intima-media complex, adventitia, enhancement, edge shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from Speckle2SelfLogic.simulation.scene import Rng, Scene, gaussian_line_db
from Speckle2SelfLogic.simulation.shapes import log_uniform, sigmoid, wavy_line


@dataclass(frozen=True)
class VesselAppearance:
    """Levels in dB relative to the tissue around, lengths in pixels."""

    lumen_db: float = -40.0
    reverberation_db: float = 6.0
    wall_thickness_px: float = 6.0
    wall_gain_db: float = 6.0
    line_gain_db: float = 12.0
    line_sigma_px: float = 0.8
    enhancement_db: float = 4.0
    edge_shadow_db: float = 8.0
    rim_px: float = 0.5

    @classmethod
    def random(cls, rng: Rng, scale_px: float) -> VesselAppearance:
        """Draw an appearance for a vessel whose radius is ``scale_px``."""
        return cls(
            lumen_db=float(rng.uniform(-45, -14)),
            reverberation_db=float(rng.uniform(0, 14)),
            wall_thickness_px=min(log_uniform(rng, 2.5, 12), 0.5 * scale_px),
            wall_gain_db=float(rng.uniform(-8, 12)),
            line_gain_db=float(rng.uniform(-5, 20)),
            line_sigma_px=log_uniform(rng, 0.4, 1.8),
            enhancement_db=float(rng.uniform(0, 7)),
            edge_shadow_db=float(rng.uniform(0, 14)),
            rim_px=float(rng.uniform(0.3, 0.9)),
        )


def add_transverse_vessel(
    scene: Scene,
    rng: Rng,
    centre_yx: tuple[float, float],
    radii_yx: tuple[float, float],
    look: VesselAppearance,
) -> None:
    """Draw an elliptic cross-section. Walls that face the beam reflect; those along the beam fade.

    The lumen mask is the inside of the lumen-intima border; the wall mask is the intima-media thickness around it.
    """
    (cy, cx), (ry, rx) = centre_yx, radii_yx
    y, x = scene.grid()
    polar = np.arctan2((y - cy) / ry, (x - cx) / rx)
    radius = np.hypot((x - cx) / rx, (y - cy) / ry) * (1 + 0.05 * np.sin(2 * polar + rng.random() * 6))
    outside = (radius - 1) * min(ry, rx)
    level_db = _level_below(scene, cy + ry, cx)
    below = np.exp(-0.5 * ((x - cx) / (rx * 0.75)) ** 4) * sigmoid((y - cy - ry) / 3)
    scene.echogenicity_db += (look.enhancement_db * below).astype(np.float32)
    for side in (-1, 1):
        across = (x - cx - side * rx) / (rx * float(rng.uniform(0.1, 0.22)))
        scene.attenuate(look.edge_shadow_db * np.exp(-0.5 * across**2) * sigmoid((y - cy) / 4))
    facing = np.abs(np.sin(polar))
    _draw_wall_and_lumen(scene, outside, facing, level_db, look, (cy - y) / ry)


def add_longitudinal_vessel(
    scene: Scene, rng: Rng, centre_y: float, radius_px: float, tilt: float, look: VesselAppearance
) -> None:
    """Draw a vessel along the image: two parallel walls, each a lumen-intima and a media-adventitia line."""
    _, width = scene.shape_yx
    y, x = scene.grid()
    axis = centre_y + tilt * (x - width / 2) + wavy_line(rng, width, radius_px * 0.15)[None]
    outside = np.abs(y - axis) - radius_px * (1 + wavy_line(rng, width, 0.06)[None])
    level_db = _level_below(scene, centre_y + radius_px, width / 2)
    scene.echogenicity_db += (look.enhancement_db * sigmoid((y - axis - radius_px) / 3)).astype(np.float32)
    facing = np.full(scene.shape_yx, float(np.cos(np.arctan(tilt))) ** 4, np.float32)
    _draw_wall_and_lumen(scene, outside, facing, level_db, look, (axis - y) / radius_px)


def add_random_vessel(scene: Scene, rng: Rng) -> None:
    """Add a transverse or longitudinal vessel of random place, size and look."""
    height, width = scene.shape_yx
    cy = float(rng.uniform(0.1, 0.9)) * height
    if rng.random() < 0.3:
        radius = log_uniform(rng, 0.04 * height, 0.18 * height)
        add_longitudinal_vessel(
            scene, rng, cy, radius, float(rng.uniform(-0.25, 0.25)), VesselAppearance.random(rng, radius)
        )
        return
    rx = log_uniform(rng, 0.05 * width, 0.22 * width)
    ry = rx * float(rng.uniform(0.55, 1.05))
    look = VesselAppearance.random(rng, min(rx, ry))
    add_transverse_vessel(scene, rng, (cy, float(rng.uniform(0, width))), (ry, rx), look)


def _level_below(scene: Scene, row: float, column: float) -> float:
    height, width = scene.shape_yx
    return float(scene.echogenicity_db[int(np.clip(row + 3, 0, height - 1)), int(np.clip(column, 0, width - 1))])


def _draw_wall_and_lumen(
    scene: Scene,
    outside_px: np.ndarray[tuple[int, ...], np.dtype[np.floating]],
    facing: np.ndarray[tuple[int, ...], np.dtype[np.floating]],
    level_db: float,
    look: VesselAppearance,
    height_in_lumen: np.ndarray[tuple[int, ...], np.dtype[np.floating]],
) -> None:
    inside = sigmoid(-outside_px / look.rim_px)
    thickness = look.wall_thickness_px
    media = sigmoid((thickness - outside_px) / look.rim_px) * (1 - inside)
    scene.blend(0.7 * media, level_db - 6)
    lumen_db = level_db + look.lumen_db + look.reverberation_db * np.clip(height_in_lumen, -0.2, 1)
    scene.blend(inside, lumen_db)
    scene.specular_db[outside_px < 0] = -80
    for distance, gain_db in ((look.line_sigma_px, -3.0), (thickness, 0.0)):
        line = gaussian_line_db(outside_px - distance, look.line_sigma_px)
        scene.brighten(level_db + look.wall_gain_db * facing - 12 * (1 - facing) + gain_db + line)
        scene.reflect(level_db + look.line_gain_db * facing - 25 * (1 - facing) + gain_db + line)
    scene.lumen[outside_px < 0] = True
    scene.wall[(outside_px >= 0) & (outside_px < thickness)] = True
    scene.wall[outside_px < 0] = False
    scene.lumen[(outside_px >= 0) & (outside_px < thickness)] = False
