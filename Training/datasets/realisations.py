"""Several speckle realisations of one scene seen by one scanner, and their exact expectation.

Same model as `Speckle2SelfLogic.simulation.formation` (circular complex Gaussian scatterers, Gaussian pulse-echo point
spread function (PSF) whose lateral width changes with depth, coherent reflectors, attenuation, electronic noise, grey
compression), with two things more: lateral side lobes, and a truth that is not a model of sharpness but the mean that
infinitely many realisations have at every pixel, so that it can be checked by averaging.

At one pixel the complex amplitude is coherent (the same in all realisations) plus circular Gaussian of power
sum |h|^2 * scattered power + noise power, so the intensity is Rician (Rice 1945; Wagner et al. 1987, IEEE T-UFFC 34(1))
and the expectation of its grey value follows from total power and coherent share alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage, stats

from Speckle2SelfLogic.simulation.formation import (
    Complex64,
    Compression,
    ImagingSettings,
    beamform,
    complex_noise,
    psf_transfer,
)
from Speckle2SelfLogic.simulation.scene import NO_REFLECTOR_DB, Rng, Scene
from Speckle2SelfLogic.simulation.shapes import Float32, blur, smooth_field

_SHARES = np.linspace(0, 1, 33)
_LOG10_POWER = np.linspace(-10, 4, 281)
_QUANTILES = (np.arange(256) + 0.5) / 256
_SCATTERER_BLUR_PX = 0.6


@dataclass(frozen=True)
class SideLobes:
    """Response of the beam far from its axis, as a decaying ripple on both sides of the main lobe."""

    level_db: float = -80.0
    """Amplitude beside the main lobe relative to its peak; -70 dB and less is none."""
    reach_px: float = 20.0
    """Distance over which the amplitude falls to 1/e."""
    ripple_px: float = 4.0
    """Half period of the ripple."""

    def kernel(self, beam_width_px: float) -> npt.NDArray[np.float64]:
        """Lateral taps (odd count, 0 in the main lobe, which ends at two beam widths)."""
        reach = int(3 * self.reach_px) if self.level_db > -70 else 0
        x = np.arange(-reach, reach + 1)
        ripple = 10 ** (self.level_db / 20) * np.exp(-np.abs(x) / self.reach_px) * np.cos(np.pi * x / self.ripple_px)
        return np.where(np.abs(x) > 2 * beam_width_px, ripple, 0.0)


@dataclass(frozen=True)
class Realisations:
    """Frames (Y, X), grey 0..1.

    ``speckled`` holds one frame per random generator. ``truth`` is their expectation. ``clean`` shows the same scene
    through the same compression without attenuation, shadow, noise, side lobes and beam width.
    """

    speckled: tuple[Float32, ...]
    truth: Float32
    clean: Float32


def form_realisations(
    scene: Scene,
    unshadowed: Scene,
    settings: ImagingSettings,
    side_lobes: SideLobes,
    scene_rng: Rng,
    speckle_rngs: tuple[Rng, ...],
) -> Realisations:
    """Form one frame per generator in ``speckle_rngs`` from the same scene.

    ``scene_rng`` draws the phase of coherent reflectors, which belongs to the scene. ``unshadowed`` is the scene before
    shadows, for the clean frame. Beyond its borders the scene continues by reflection, with scatterers of its own.
    """
    margin = [int(4 * width) + 2 for width in (settings.axial_psf_px, 1.6 * settings.lateral_psf_px)]
    inside = tuple(slice(m, m + n) for m, n in zip(margin, scene.shape_yx, strict=True))
    depth = np.linspace(0, 1, scene.shape_yx[0], dtype=np.float32)[:, None]
    power, reflectors = (
        np.pad(10 ** ((level_db - settings.attenuation_db * depth) / 10), [(m, m) for m in margin], mode="symmetric")
        for level_db in (scene.echogenicity_db, np.where(scene.specular_db > NO_REFLECTOR_DB, scene.specular_db, -300))
    )
    power = blur(power, _SCATTERER_BLUR_PX)
    kernel = side_lobes.kernel(settings.lateral_psf_px)
    coherent = _coherent(reflectors, settings, kernel, scene_rng)[inside]
    mean_power = expected_power(power, settings, kernel)[inside]
    reference = float(np.quantile(mean_power + np.abs(coherent) ** 2, 0.97))
    noise_power = reference * 10 ** (settings.noise_db / 10) * (1 + settings.noise_growth * depth**2)

    def speckled(rng: Rng) -> Float32:
        scatterers = np.sqrt(power) * complex_noise(rng, power.shape)
        diffuse = beamform(with_side_lobes(scatterers, kernel), settings)[inside]
        noise = complex_noise(rng, scene.shape_yx)
        if settings.noise_is_filtered:
            transfer = psf_transfer(noise.shape, 0.7 * settings.axial_psf_px, 0.6 * settings.lateral_psf_px)
            noise = fft.ifft2(fft.fft2(noise) * transfer)
        intensity = np.abs(diffuse + coherent + np.sqrt(noise_power) * noise) ** 2 / reference
        return np.clip(settings.compression.curve()(intensity), 0, 1).astype(np.float32)

    return Realisations(
        tuple(speckled(rng) for rng in speckle_rngs),
        expected_grey_frame(mean_power + noise_power, np.abs(coherent) ** 2, reference, settings.compression),
        clean_grey(unshadowed, settings.compression, reference),
    )


def with_side_lobes(field_yx: npt.NDArray[np.complexfloating], kernel: npt.NDArray[np.float64]) -> Complex64:
    """Add to each row its convolution with ``kernel``, zero beyond the borders."""
    if not kernel.any():
        return np.asarray(field_yx, np.complex64)
    width, reach = field_yx.shape[1], kernel.size // 2
    length = fft.next_fast_len(width + 2 * reach)
    spectrum = fft.fft(field_yx.astype(np.complex64), length, axis=1)
    spectrum *= fft.fft(kernel.astype(np.float32), length)[None]
    return np.asarray(field_yx + fft.ifft(spectrum, axis=1)[:, reach : reach + width], np.complex64)


def expected_power(
    power_yx: npt.NDArray[np.floating], settings: ImagingSettings, kernel: npt.NDArray[np.float64]
) -> npt.NDArray[np.floating]:
    """Mean power (Y, X) behind the beam: scattered power convolved with |PSF|^2, which changes with depth.

    `beamform` blends two Gaussian beams, (1 - w) near + w far, so |PSF|^2 has three parts: their two squares and twice
    their product. Lateral profiles are taken as sampled taps, to hold side lobes too.
    """
    growth = settings.lateral_growth
    reach = int(5 * 1.6 * settings.lateral_psf_px) + 2
    x = np.arange(-reach, reach + 1)
    beams = []
    for factor in (1 - 0.4 * growth, 1 + 0.6 * growth):
        beam = np.exp(-0.5 * (x / (settings.lateral_psf_px * factor)) ** 2)
        beam /= np.sqrt((beam**2).sum())
        beams.append((beam, np.convolve(beam, np.pad([1.0], kernel.size // 2) + kernel)))
    (near_only, near), (far_only, far) = beams
    depth = np.linspace(0, 1, power_yx.shape[0])[:, None]
    weight = np.clip(np.abs(depth - settings.focus_depth) / 0.7, 0, 1)
    mixed = (1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * float((near_only * far_only).sum())
    axially = ndimage.gaussian_filter1d(
        power_yx.astype(np.float64), settings.axial_psf_px / np.sqrt(2), axis=0, mode="nearest", truncate=5
    )
    length = fft.next_fast_len(power_yx.shape[1] + near.size)
    spectrum = fft.rfft(axially, length, axis=1)
    total = np.zeros(power_yx.shape)
    for taps, share in (
        (near * near, (1 - weight) ** 2),
        (far * far, weight**2),
        (near * far, 2 * weight * (1 - weight)),
    ):
        spread = fft.irfft(spectrum * fft.rfft(taps, length)[None], length, axis=1)
        total += share * spread[:, taps.size // 2 : taps.size // 2 + power_yx.shape[1]]
    return np.maximum(total / mixed, 0)


def expected_grey_frame(
    random_power: npt.NDArray[np.floating],
    coherent_power: npt.NDArray[np.floating],
    reference: float,
    compression: Compression,
) -> Float32:
    """Return the expected grey (Y, X) of a Rician intensity with the given random and coherent power."""
    total = np.maximum(random_power + coherent_power, 1e-30)
    table = grey_table(compression)
    row = (np.log10(total / reference) - _LOG10_POWER[0]) / (_LOG10_POWER[1] - _LOG10_POWER[0])
    column = coherent_power / total * (_SHARES.size - 1)
    return np.asarray(ndimage.map_coordinates(table, [row, column], order=1, mode="nearest"), np.float32)


@lru_cache(maxsize=4)
def grey_table(compression: Compression) -> npt.NDArray[np.float64]:
    """Return the expected grey for total power (rows, log spaced) and coherent share (columns), averaged quantiles."""
    curve, intensities = compression.curve(), 10 ** _LOG10_POWER[:, None]
    columns = [np.clip(curve(intensities * rician), 0, 1).mean(1) for rician in rician_quantiles()]
    return np.stack(columns, 1)


@lru_cache(maxsize=1)
def rician_quantiles() -> npt.NDArray[np.float64]:
    """Quantiles of unit-mean Rician intensity for each coherent share: a scaled non-central chi-square of order two."""
    random_share = 1 - _SHARES[:-1, None]
    quantiles = random_share / 2 * stats.ncx2.ppf(_QUANTILES[None], 2, 2 * _SHARES[:-1, None] / random_share)
    return np.concatenate([quantiles, np.ones((1, _QUANTILES.size))])


def _coherent(
    power_yx: npt.NDArray[np.floating], settings: ImagingSettings, kernel: npt.NDArray[np.float64], scene_rng: Rng
) -> Complex64:
    """Complex amplitude of reflectors: smooth random phase, blurred by the PSF with the gain of a broad reflector 1."""
    phase = np.pi * smooth_field(scene_rng, power_yx.shape, max(60.0, 20 * settings.lateral_psf_px))
    amplitude = np.sqrt(power_yx) * np.exp(1j * phase)
    gain_of_white_noise = np.sqrt(4 * np.pi * settings.axial_psf_px * settings.lateral_psf_px)
    line_gain = np.sqrt(1 + settings.axial_psf_px)  # a line thinner than the pulse loses amplitude to the axial blur
    seen = beamform(with_side_lobes(amplitude, kernel), settings)
    return np.asarray(line_gain / gain_of_white_noise * seen, np.complex64)


def clean_grey(scene: Scene, compression: Compression, reference: float) -> Float32:
    """Return the expected grey (Y, X) of a scene without beam, attenuation and noise; ``reference`` is unit power."""
    power = blur(10 ** (scene.echogenicity_db / 10), _SCATTERER_BLUR_PX)
    reflected = np.where(scene.specular_db > NO_REFLECTOR_DB, 10 ** (scene.specular_db / 10), 0)
    return expected_grey_frame(power, blur(reflected, _SCATTERER_BLUR_PX), reference, compression)
