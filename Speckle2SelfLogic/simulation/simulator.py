"""Simulated ultrasound with known truth, as images that carry geometry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.image import Calibration, Provenance, UltrasoundImage
from Speckle2SelfLogic.simulation.formation import Complex64, Compression, ImagingSettings, complex_noise, form_frame
from Speckle2SelfLogic.simulation.phantoms import PHANTOMS
from Speckle2SelfLogic.simulation.scan import FanGeometry
from Speckle2SelfLogic.simulation.scene import Scene
from Speckle2SelfLogic.simulation.shapes import Float32

Geometry = Literal["linear", "fan"]

DEPTH_MM = 40.0
"""Imaging depth that the frame height stands for."""
PULSATION = 0.05
"""Relative change of vessel diameter over a cine of one heart beat (systole against diastole)."""
_SPECKLE_MEMORY = 0.9


@dataclass(frozen=True)
class Simulation:
    """Images of one simulated frame (Y, X) or cine (T, Y, X), all with the same geometry, unsigned 8 bit.

    ``truth`` is the speckle-free expectation under the same compression; ``lumen`` and ``wall`` are masks (0 or 1).
    """

    speckled: UltrasoundImage
    truth: UltrasoundImage
    lumen: UltrasoundImage
    wall: UltrasoundImage


def simulate(
    phantom: str = "carotid",
    *,
    size_yx: tuple[int, int] = (512, 512),
    frames: int = 1,
    seed: int = 0,
    geometry: Geometry = "linear",
    settings: ImagingSettings | None = None,
    dynamic_range_db: float = 60.0,
) -> Simulation:
    """Simulate a frame or a cine.

    Parameters
    ----------
    phantom
        One of `PHANTOMS`.
    size_yx
        Rows and columns, at least 32. The height stands for 40 mm, pixels are square.
    frames
        More than one makes a cine of one heart beat: vessels pulsate and speckle slowly changes.
    seed
        The same seed gives the same images.
    geometry
        ``"linear"`` probe, or a ``"fan"`` from a convex one.
    settings
        The scanner; left out: a PSF that fits the frame height.
    dynamic_range_db
        Log compression, 40 to 80 dB usual. Ignored if ``settings`` is given.

    Raises
    ------
    SettingsError
        For an unknown phantom or geometry, or sizes and counts out of range.
    """
    _check(phantom, size_yx, frames, geometry, seed)
    rng = np.random.default_rng(seed)
    scanner = settings or _default_scanner(size_yx[0], dynamic_range_db)
    scene = PHANTOMS[phantom](size_yx, rng)
    stacks = [np.stack(channel) for channel in zip(*_frames(scene, scanner, geometry, frames, rng), strict=True)]
    spacing = DEPTH_MM / size_yx[0]
    step = f"simulated: phantom {phantom}, geometry {geometry}, seed {seed}"
    template = UltrasoundImage(
        stacks[0] if frames > 1 else stacks[0][0],
        axes="TYX" if frames > 1 else "YX",
        spacing_mm=(spacing, spacing, 1.0)[: 3 if frames > 1 else 2],
        calibration=Calibration(is_calibrated=True, reason="simulated"),
        provenance=Provenance(source="simulation", history=(step,)),
    )
    others = (replace(template, pixels=stack if frames > 1 else stack[0]) for stack in stacks[1:])
    return Simulation(template, *others)


def _default_scanner(height: int, dynamic_range_db: float) -> ImagingSettings:
    scale = height / 512
    return ImagingSettings(
        axial_psf_px=max(0.8, 1.4 * scale),
        lateral_psf_px=max(1.2, 2.6 * scale),
        attenuation_db=6.0,
        texture_std=0.25,
        texture_scale_px=max(3.0, 6 * scale),
        compression=Compression(dynamic_range_db=dynamic_range_db),
    )


def _frames(
    scene: Scene, scanner: ImagingSettings, geometry: Geometry, count: int, rng: np.random.Generator
) -> Iterator[tuple[npt.NDArray[np.uint8], ...]]:
    fan = FanGeometry(scene.shape_yx) if geometry == "fan" else None
    scatterers = complex_noise(rng, scene.shape_yx if fan is None else fan.beam_shape)
    texture_seed = int(rng.integers(2**32))
    for index in range(count):
        moment = _pulsate(scene, PULSATION * np.sin(np.pi * index / count) ** 2) if count > 1 else scene
        # The same generator state for each frame keeps texture and phase fixed: only the scatterers change.
        speckled, truth = _form(moment, scanner, fan, scatterers, np.random.default_rng(texture_seed))
        inside = np.ones(scene.shape_yx, bool) if fan is None else fan.mask_yx()
        yield _grey(speckled), _grey(truth), np.uint8(moment.lumen & inside), np.uint8(moment.wall & inside)
        fresh = complex_noise(rng, scatterers.shape)
        scatterers = np.asarray(_SPECKLE_MEMORY * scatterers + np.sqrt(1 - _SPECKLE_MEMORY**2) * fresh, np.complex64)


def _form(
    scene: Scene, scanner: ImagingSettings, fan: FanGeometry | None, scatterers: Complex64, rng: np.random.Generator
) -> tuple[Float32, Float32]:
    if fan is None:
        frame = form_frame(scene.echogenicity_db, scene.specular_db, scanner, rng, scatterers)
        return frame.speckled_yx, frame.truth_yx
    echogenicity, specular = fan.to_beams(scene.echogenicity_db), fan.to_beams(scene.specular_db)
    frame = form_frame(echogenicity, specular, scanner, rng, scatterers)
    return fan.to_frame(frame.speckled_yx), fan.to_frame(frame.truth_yx)


def _pulsate(scene: Scene, growth: float) -> Scene:
    """Widen the vessel radially by ``growth``; the displacement fades away from it."""
    if not scene.lumen.any():
        return scene
    y, x = scene.grid()
    cy, cx = ndimage.center_of_mass(scene.lumen)
    radius = np.sqrt(scene.lumen.sum() / np.pi)
    fade = np.exp(-0.5 * ((y - cy) ** 2 + (x - cx) ** 2) / (1.6 * radius) ** 2)
    shrink = 1 - growth / (1 + growth) * fade
    places = [cy + (y - cy) * shrink, cx + (x - cx) * shrink]

    def warp(values: npt.NDArray[np.generic], order: int) -> Float32:
        source = np.asarray(values, np.float32)
        return np.asarray(ndimage.map_coordinates(source, places, order=order, mode="nearest"))

    return Scene(
        warp(scene.echogenicity_db, 1),
        warp(scene.specular_db, 1),
        warp(scene.lumen, 0) > 0.5,
        warp(scene.wall, 0) > 0.5,
    )


def _grey(frame_yx: Float32) -> npt.NDArray[np.uint8]:
    return np.asarray(np.round(frame_yx * 255), np.uint8)


def _check(phantom: str, size_yx: tuple[int, int], frames: int, geometry: str, seed: int) -> None:
    if phantom not in PHANTOMS:
        message = f"There is no phantom '{phantom}'; choose one of {', '.join(PHANTOMS)}."
        raise SettingsError(message)
    if geometry not in ("linear", "fan"):
        message = f"The geometry must be 'linear' or 'fan', but is '{geometry}'."
        raise SettingsError(message)
    if min(size_yx) < 32 or max(size_yx) > 4096:
        message = f"A simulated frame must have 32 to 4096 rows and columns, but {size_yx[0]} x {size_yx[1]} was asked."
        raise SettingsError(message)
    if seed < 0:
        message = f"The seed must be 0 or more, but is {seed}."
        raise SettingsError(message)
    if frames < 1:
        message = f"The number of frames must be at least 1, but is {frames}."
        raise SettingsError(message)
