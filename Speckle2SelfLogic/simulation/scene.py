"""A scene under construction and the things that can be put into it: layers, fibres, vessels, inclusions, shadows.

Levels are in dB relative to an arbitrary reference; lengths are in pixels. Functions draw into the scene's arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.simulation.shapes import (
    Float32,
    blur,
    decibels,
    draw_segments,
    log_uniform,
    sigmoid,
    smooth_field,
    wavy_line,
)

Mask = npt.NDArray[np.bool_]
Rng = np.random.Generator

NO_REFLECTOR_DB = -80.0


@dataclass
class Scene:
    """Echogenicity (diffuse scattering) and specular reflectors in dB, with the masks of vessel lumen and wall."""

    echogenicity_db: Float32
    specular_db: Float32
    lumen: Mask
    wall: Mask

    @classmethod
    def empty(cls, shape_yx: tuple[int, int], level_db: float = -15.0) -> Scene:
        """Return uniform tissue without reflectors."""
        return cls(
            np.full(shape_yx, level_db, np.float32),
            np.full(shape_yx, NO_REFLECTOR_DB, np.float32),
            np.zeros(shape_yx, bool),
            np.zeros(shape_yx, bool),
        )

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.echogenicity_db.shape[0], self.echogenicity_db.shape[1]

    def grid(self) -> tuple[Float32, Float32]:
        """Row and column coordinates, broadcastable to the scene."""
        height, width = self.shape_yx
        return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]

    def blend(self, weight: npt.NDArray[np.floating], level_db: npt.NDArray[np.floating] | float) -> None:
        """Replace echogenicity by ``level_db`` where ``weight`` is 1, gradually where it is between 0 and 1."""
        self.echogenicity_db += (weight * (level_db - self.echogenicity_db)).astype(np.float32)

    def brighten(self, level_db: npt.NDArray[np.floating]) -> None:
        """Raise echogenicity to at least ``level_db``."""
        np.maximum(self.echogenicity_db, level_db, out=self.echogenicity_db, casting="same_kind")

    def reflect(self, level_db: npt.NDArray[np.floating]) -> None:
        """Raise specular reflection to at least ``level_db``."""
        np.maximum(self.specular_db, level_db, out=self.specular_db, casting="same_kind")

    def attenuate(self, loss_db: npt.NDArray[np.floating]) -> None:
        """Lower everything by ``loss_db``."""
        self.echogenicity_db -= loss_db.astype(np.float32)
        self.specular_db -= loss_db.astype(np.float32)


def gaussian_line_db(distance_px: npt.NDArray[np.floating], sigma_px: float) -> npt.NDArray[np.floating]:
    """Level in dB (power) of a line of Gaussian profile, 0 at its centre."""
    return decibels(np.exp(-0.5 * (distance_px / sigma_px) ** 2), power=True)


def add_interface(scene: Scene, rng: Rng, rows: Float32, level_db: float, *, doubled: bool) -> None:
    """Bright line along a boundary; ``doubled`` adds a parallel thinner one, like lumen-intima and media-adventitia."""
    y, _ = scene.grid()
    sigma, strength = log_uniform(rng, 0.4, 2.5), float(rng.uniform(-10, 18))
    along = 1 + 0.35 * smooth_field(rng, (4, rows.size), float(rng.uniform(20, 120)))[0][None]
    tilt_loss = 8 * np.abs(np.gradient(rows))[None]
    lines = [(0.0, sigma, strength)]
    if doubled:
        gap = max(3.0 * sigma, log_uniform(rng, 3, 12))
        lines.append((gap * float(rng.choice((-1, 1))), min(sigma, 1.2), strength - float(rng.uniform(0, 5))))
    for offset, width, gain in lines:
        profile = gaussian_line_db(y - rows[None] - offset, width)
        scene.reflect(level_db + 4 + gain * along - tilt_loss + profile)
    if rng.random() < 0.5:
        scene.brighten(level_db + strength + gaussian_line_db(y - rows[None], 2 * sigma + 1))


def add_layers(scene: Scene, rng: Rng) -> None:
    """Two to seven curved layers of different echogenicity, with interfaces and sometimes striations."""
    height, width = scene.shape_yx
    y, _ = scene.grid()
    base_db = float(scene.echogenicity_db.mean())
    bend = float(rng.uniform(2, height * 0.12))
    angle = float(rng.uniform(-0.35, 0.35)) if rng.random() < 0.6 else float(rng.uniform(-0.1, 0.1))
    common = wavy_line(rng, width, bend)
    count = int(rng.integers(2, 8))
    tops = height * (rng.random(count) if rng.random() < 0.7 else rng.beta(1, 2, count))
    for top in np.sort(tops):
        rows = (top + common * rng.uniform(0.5, 1.2) + wavy_line(rng, width, bend * 0.3)).astype(np.float32)
        below = y - rows[None]
        level_db = base_db + 8 * float(rng.normal())
        step = sigmoid(below / log_uniform(rng, 0.3, 8))
        scene.blend(step, level_db + float(rng.uniform(-0.02, 0.02)) * below)
        if rng.random() < 0.2:
            add_striation(scene, rng, below > 0, angle)
        if rng.random() < 0.7:
            add_interface(scene, rng, rows, level_db, doubled=rng.random() < 0.35)


def add_striation(scene: Scene, rng: Rng, where: Mask, angle_rad: float) -> None:
    """Short bright strands in one layer (connective tissue, fat septa)."""
    strands = draw_segments(rng, scene.shape_yx, count=int(rng.integers(5, 60)), angle_rad=angle_rad)
    gain_db = float(rng.uniform(6, 22)) * np.minimum(strands * rng.uniform(0.6, 1.6), 1)
    scene.echogenicity_db += np.where(where, gain_db, 0).astype(np.float32)


def add_muscle(scene: Scene, rng: Rng, where: Mask | None = None) -> None:
    """Dark muscle crossed by coarse oblique bright fibres, in one or two directions (pennate)."""
    height, width = scene.shape_yx
    inside = np.ones(scene.shape_yx, bool) if where is None else where
    level_db = float(rng.uniform(-38, -18))
    scene.blend(inside.astype(np.float32) * float(rng.uniform(0.7, 1)), level_db)
    for _ in range(int(rng.integers(1, 3))):
        fibres = draw_segments(
            rng,
            scene.shape_yx,
            count=int(rng.integers(15, 110)),
            angle_rad=float(rng.uniform(-0.75, 0.75)),
            angle_spread_rad=float(rng.uniform(0.01, 0.1)),
            length_px=(0.06 * width, 0.7 * width),
            sigma_px=(0.5, log_uniform(rng, 0.8, 3)),
        )
        fibres *= np.clip(1 + 0.5 * smooth_field(rng, (height, width), float(rng.uniform(8, 40))), 0, 1.5)
        level = np.where(inside, level_db + float(rng.uniform(8, 26)) + decibels(fibres), -160)
        scene.brighten(level)
        if rng.random() < 0.6:
            scene.reflect(level + float(rng.uniform(-6, 8)))


def add_inclusions(scene: Scene, rng: Rng, count: int) -> None:
    """Elliptic or polygonal regions of other echogenicity, with sharp to very soft rims (cysts, nodules, lobules)."""
    height, width = scene.shape_yx
    y, x = scene.grid()
    for _ in range(count):
        cy, cx = float(rng.uniform(0, height)), float(rng.uniform(0, width))
        radius = log_uniform(rng, 0.016 * height, 0.25 * height)
        angle, ratio = float(rng.uniform(-0.7, 0.7)), float(rng.uniform(0.3, 1))
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        if rng.random() < 0.8:
            outside = (np.hypot(u, v / ratio) - radius) * ratio
        else:
            corners = int(rng.integers(3, 7))
            turn = 2 * np.pi / corners
            sector_angle = np.mod(np.arctan2(v, u), turn) - turn / 2
            outside = np.hypot(u, v) * np.cos(sector_angle) - radius * np.cos(turn / 2)
        weight = sigmoid(-outside / log_uniform(rng, 0.4, 7))
        scene.blend(weight, float(scene.echogenicity_db.mean()) + 9 * float(rng.normal()))


def add_clumps(scene: Scene, rng: Rng) -> None:
    """Bright patches of strands deep in the tissue."""
    y, _ = scene.grid()
    angle = float(rng.uniform(-0.2, 0.2))
    strands = draw_segments(
        rng, scene.shape_yx, count=int(rng.integers(2, 40)), angle_rad=angle, length_px=(3, 25), sigma_px=(0.8, 3)
    )
    deep = y > rng.uniform(0, 0.7) * scene.shape_yx[0]
    scene.echogenicity_db += (float(rng.uniform(5, 18)) * np.minimum(strands, 1) * deep).astype(np.float32)


def add_glints(scene: Scene, rng: Rng) -> None:
    """Short coherent reflectors that stand out of the speckle around them, also in dark depth."""
    strands = draw_segments(
        rng,
        scene.shape_yx,
        count=int(rng.integers(3, 50)),
        angle_rad=float(rng.uniform(-0.3, 0.3)),
        length_px=(1.5, 18),
        sigma_px=(0.4, 1.1),
    )
    scene.reflect(scene.echogenicity_db + float(rng.uniform(7, 24)) + decibels(strands))


def add_skin(scene: Scene, rng: Rng) -> None:
    """Thin flat layers and reverberations under the probe."""
    height, width = scene.shape_yx
    y, _ = scene.grid()
    depth = float(rng.uniform(0.03, 0.2)) * height
    base_db = float(scene.echogenicity_db.mean())
    knots = np.sort(rng.uniform(0, depth * 1.3, 9))
    profile = np.interp(np.arange(height), knots, rng.normal(size=9) * 7 + rng.uniform(0, 8)).astype(np.float32)
    rows = wavy_line(rng, width, float(rng.uniform(0, 6)))
    scene.blend(1 - sigmoid((y - depth - rows[None]) / rng.uniform(0.4, 2)), base_db + 8 + profile[:, None])
    for row in rng.uniform(0, depth, int(rng.integers(1, 5))):
        line = gaussian_line_db(y - row - rows[None] * 0.3, log_uniform(rng, 0.4, 1.5))
        scene.reflect(base_db + float(rng.uniform(0, 22)) + line)


def add_shadow(scene: Scene, rng: Rng) -> None:
    """Darker band below some depth (calcification, bone, poor contact)."""
    height, width = scene.shape_yx
    y, x = scene.grid()
    start = float(rng.uniform(0, 0.8)) * height
    centre = float(rng.uniform(-0.1, 1.1)) * width + float(rng.uniform(-0.3, 0.3)) * (y - start)
    half_width, softness = log_uniform(rng, 0.016 * width, 0.3 * width), log_uniform(rng, 1, 15)
    weight = sigmoid((half_width - np.abs(x - centre)) / softness) * sigmoid((y - start) / 4)
    scene.attenuate(float(rng.uniform(4, 30)) * weight)


def add_background_variation(scene: Scene, rng: Rng) -> None:
    """Slow change of echogenicity and gain over the field of view."""
    scale = log_uniform(rng, 40, 200)
    scene.echogenicity_db += smooth_field(rng, scene.shape_yx, scale) * np.float32(rng.uniform(0, 3.5))


def soften(scene: Scene, sigma_px: float) -> None:
    """Blur echogenicity, for tissue without sharp borders."""
    scene.echogenicity_db[:] = blur(scene.echogenicity_db, sigma_px)
