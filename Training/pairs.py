"""Simulated training pairs: (speckled, truth) frames of random scenes seen by random scanners."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft, ndimage

from Speckle2SelfLogic.simulation.formation import Compression, ImagingSettings, form_frame
from Speckle2SelfLogic.simulation.phantoms import random_scene
from Speckle2SelfLogic.simulation.scene import Rng, Scene
from Speckle2SelfLogic.simulation.shapes import Float32, log_uniform

UInt8 = npt.NDArray[np.uint8]
UInt16 = npt.NDArray[np.uint16]


def random_settings(rng: Rng, oversampling: float) -> ImagingSettings:
    """Draw a scanner. ``oversampling``: simulated pixels per pixel of the final frame.

    Speckle is 1 to 8 pixels high and up to four times as wide (full width at half maximum of the autocorrelation), the
    span of raw envelope frames to processed frames that vendors scale up.
    """
    axial = log_uniform(rng, 0.5, 3.4) * max(0.8 * oversampling, 0.8)
    kind = str(rng.choice(["log", "power", "soft_log"], p=[0.6, 0.2, 0.2]))
    dynamic_range = float(rng.uniform(40, 90 if kind == "soft_log" else 80))
    return ImagingSettings(
        axial_psf_px=axial,
        lateral_psf_px=axial * float(rng.uniform(1, 3.6)),
        lateral_growth=float(rng.random()),
        focus_depth=float(rng.uniform(0, 0.6)),
        attenuation_db=float(rng.uniform(-4, 10)),
        noise_db=float(rng.uniform(-65, -32)),
        noise_growth=log_uniform(rng, 0.2, 30),
        noise_is_filtered=bool(rng.random() < 0.6),
        texture_std=float(rng.uniform(0.1, 1.1)) if rng.random() < 0.8 else 0.0,
        texture_scale_px=log_uniform(rng, 1.5, 20) * oversampling,
        truth_blur=float(rng.uniform(0.35, 0.65)) / float(np.sqrt(2)),
        compression=Compression(
            kind=kind,  # type: ignore[arg-type]
            dynamic_range_db=dynamic_range,
            exponent=float(rng.uniform(0.3, 0.7)),
            peak_grey=float(rng.uniform(0.25, 0.85)),
        ),
    )


def scene_from_anatomy(anatomy_yx: Float32, shape_yx: tuple[int, int], rng: Rng) -> Scene:
    """Take a random window of a smoothed real frame (grey 0..1) as echogenicity."""
    zoom = max(1.0, *(n / m for n, m in zip(shape_yx, anatomy_yx.shape, strict=True))) * float(rng.uniform(1, 1.8))
    window = [min(m, int(np.ceil(n / zoom))) for n, m in zip(shape_yx, anatomy_yx.shape, strict=True)]
    corner = [int(rng.integers(0, m - w + 1)) for w, m in zip(window, anatomy_yx.shape, strict=True)]
    grid = np.meshgrid(
        *(np.linspace(c, c + w - 1, n) for c, w, n in zip(corner, window, shape_yx, strict=True)), indexing="ij"
    )
    grey = np.clip(ndimage.map_coordinates(anatomy_yx, grid, order=3, mode="nearest"), 0, 1)
    scene = Scene.empty(shape_yx)
    scene.echogenicity_db[:] = (grey ** rng.uniform(0.7, 1.1) - 1) * rng.uniform(45, 75) + rng.uniform(0, 6)
    return scene


def random_pair(
    seed: int, size_px: int, anatomy: Sequence[Float32] = (), anatomy_share: float = 0.0
) -> tuple[UInt8, UInt16]:
    """Make one pair from a seed: speckled frame (8 bit) and truth (16 bit), both ``size_px`` square.

    A part of the pairs is formed on a finer grid and scaled down, rotated (beams of a fan), blanked outside a field of
    view, or stored once as JPEG, since all of that happens to real frames.
    """
    rng = np.random.default_rng(seed)
    oversampling = log_uniform(rng, 0.8, 2.0) if rng.random() < 0.5 else 1.0
    side = fft.next_fast_len(int(np.ceil(size_px * oversampling)))
    if len(anatomy) and rng.random() < anatomy_share:
        scene = scene_from_anatomy(anatomy[int(rng.integers(len(anatomy)))], (side, side), rng)
    else:
        scene = random_scene((side, side), rng)
    frame = form_frame(scene.echogenicity_db, scene.specular_db, random_settings(rng, oversampling), rng)
    pair = np.stack([frame.speckled_yx, frame.truth_yx])
    if rng.random() < 0.25:
        pair = ndimage.rotate(pair, float(rng.uniform(-40, 40)), axes=(1, 2), reshape=False, order=1, mode="reflect")
    if rng.random() < 0.08:
        pair *= _field_of_view(side, rng)
    speckled, truth = (_resize(channel, size_px, smooth=side > size_px) for channel in pair)
    grey = np.uint8(np.clip(speckled, 0, 1) * 255 + 0.5)
    if rng.random() < 0.2:
        grey = _through_jpeg(grey, int(rng.integers(50, 96)))
    if rng.random() < 0.5:
        grey, truth = grey[:, ::-1], truth[:, ::-1]
    return np.ascontiguousarray(grey), np.uint16(np.clip(truth, 0, 1) * 65535 + 0.5)


def _field_of_view(side: int, rng: Rng) -> Float32:
    depth = np.linspace(0, 1, side)[:, None]
    opening = float(rng.uniform(0.1, 0.8))
    columns = np.abs(np.arange(side)[None] - side / 2)
    return (columns <= side * (opening / 2 + depth * (1 - opening))).astype(np.float32)


def _resize(frame_yx: Float32, size_px: int, *, smooth: bool) -> Float32:
    resample = Image.Resampling.BOX if smooth else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(frame_yx).resize((size_px, size_px), resample))


def _through_jpeg(grey_yx: UInt8, quality: int) -> UInt8:
    buffer = io.BytesIO()
    Image.fromarray(grey_yx).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
