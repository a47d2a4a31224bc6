"""Speckle image formation: from an echogenicity map to a B-mode frame and its exact speckle-free truth.

Model. Scatterers are circular complex Gaussian, their variance is the local echogenicity (fully developed speckle:
Goodman 1975; Wagner et al. 1983). The pulse-echo point spread function (PSF) is a Gaussian whose lateral width changes
with depth. Specular reflectors add a coherent, smooth-phase component. Attenuation and time gain
compensation (TGC) scale rows; electronic noise is added; the squared magnitude is compressed to grey.

The truth is the expected grey value given the local mean intensity, E[C(I) | mean I], through the same compression C.
It is what averaging infinitely many independent speckle realisations of the grey image would give, so it has the
brightness of the speckled frame everywhere and no black holes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.simulation.shapes import Float32, blur, smooth_field

Complex64 = npt.NDArray[np.complex64]

_QUANTILES = 400
_LOG10_INTENSITY = np.linspace(-14, 6, 400)


@dataclass(frozen=True)
class Compression:
    """How envelope intensity becomes grey 0..1.

    ``"log"``: linear in dB over ``dynamic_range_db`` (the usual B-mode). ``"power"``: amplitude to the power
    ``exponent``. ``"soft_log"``: log(1 + k a), which is linear in the dark and logarithmic in the bright.
    ``peak_grey`` is the grey that the 97 % quantile of mean intensity gets.
    """

    kind: Literal["log", "power", "soft_log"] = "log"
    dynamic_range_db: float = 60.0
    exponent: float = 0.5
    peak_grey: float = 0.6

    def __post_init__(self) -> None:
        if not 20 <= self.dynamic_range_db <= 120:
            message = f"The dynamic range must be between 20 and 120 dB, but is {self.dynamic_range_db}."
            raise SettingsError(message)

    def curve(self) -> Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]:
        """Return the function from intensity (1 = the reference) to grey, not yet clipped at 1."""
        if self.kind == "log":
            slope, top = 1 / self.dynamic_range_db, self.peak_grey
            return lambda intensity: np.maximum(10 * slope * np.log10(np.maximum(intensity, 1e-12)) + top, 0)
        if self.kind == "power":
            return lambda intensity: self.peak_grey * np.maximum(intensity, 0) ** (self.exponent / 2)
        k = 10 ** (self.dynamic_range_db / 40)
        return lambda intensity: self.peak_grey * np.log1p(k * np.sqrt(np.maximum(intensity, 0))) / np.log1p(k)


@dataclass(frozen=True)
class ImagingSettings:
    """The scanner. Widths are standard deviations of the Gaussian amplitude PSF in pixels of the simulated grid."""

    axial_psf_px: float = 1.1
    lateral_psf_px: float = 1.9
    lateral_growth: float = 0.5
    """0: same beam width at every depth. 1: 0.6 times the width at the focus, 1.6 times away from it."""
    focus_depth: float = 0.3
    """Depth of the narrowest beam as a share of the image height."""
    attenuation_db: float = 0.0
    """Loss left at the bottom row after TGC; negative values brighten the depth."""
    noise_db: float = -50.0
    """Electronic noise power at the top relative to the 97 % quantile of mean intensity."""
    noise_growth: float = 3.0
    """Factor minus one by which noise power has grown at the bottom (TGC amplifies noise)."""
    noise_is_filtered: bool = True
    """Whether noise passed the receive filter, that is, has a correlation like that of speckle."""
    texture_std: float = 0.0
    """Log-normal modulation of scatterer strength that belongs to speckle, not to the truth (0: none)."""
    texture_scale_px: float = 4.0
    truth_blur: float = 0.5
    """Resolution of the truth as a share of the PSF width; below 0.7 it is a little sharper than the system."""
    compression: Compression = field(default_factory=Compression)


@dataclass(frozen=True)
class FormedFrame:
    """A frame in three stages, each (Y, X): linear envelope amplitude, speckled grey 0..1, speckle-free grey 0..1."""

    envelope_yx: Float32
    speckled_yx: Float32
    truth_yx: Float32


def complex_noise(rng: np.random.Generator, shape_yx: tuple[int, int]) -> Complex64:
    """Circular complex Gaussian noise of unit power."""
    parts = rng.standard_normal((2, *shape_yx), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)


def psf_transfer(shape_yx: tuple[int, int], axial_px: float, lateral_px: float) -> Float32:
    """Transfer function (Y, X) of a Gaussian PSF that keeps the power of white noise (mean square 1)."""
    fy = fft.fftfreq(shape_yx[0]).astype(np.float32)[:, None]
    fx = fft.fftfreq(shape_yx[1]).astype(np.float32)[None]
    transfer = np.exp(-2 * np.pi**2 * ((axial_px * fy) ** 2 + (lateral_px * fx) ** 2))
    return np.asarray(transfer / np.sqrt((transfer**2).mean()), np.float32)


def beamform(scatterers_yx: Complex64, settings: ImagingSettings) -> Complex64:
    """Filter scatterers with the depth-varying PSF: a blend of two beams whose power is the same at every depth.

    The borders are continued by reflection, so that nothing wraps around.
    """
    growth = settings.lateral_growth
    margin = [
        min(n - 1, int(4 * width) + 1)
        for n, width in zip(scatterers_yx.shape, (settings.axial_psf_px, settings.lateral_psf_px * 1.6), strict=True)
    ]
    padded = np.pad(scatterers_yx, [(m, m) for m in margin], mode="reflect")
    near, far = (
        psf_transfer(padded.shape, settings.axial_psf_px, settings.lateral_psf_px * factor)
        for factor in (1 - 0.4 * growth, 1 + 0.6 * growth)
    )
    spectrum = fft.fft2(padded)
    depth = np.linspace(0, 1, scatterers_yx.shape[0], dtype=np.float32)[:, None]
    weight = np.clip(np.abs(depth - settings.focus_depth) / 0.7, 0, 1)
    correlation = float((near * far).mean())
    power = (1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * correlation
    inside = np.s_[margin[0] : padded.shape[0] - margin[0], margin[1] : padded.shape[1] - margin[1]]
    mixed = (1 - weight) * fft.ifft2(spectrum * near)[inside] + weight * fft.ifft2(spectrum * far)[inside]
    return np.asarray(mixed / np.sqrt(power), np.complex64)


def form_frame(
    echogenicity_db: Float32,
    specular_db: Float32,
    settings: ImagingSettings,
    rng: np.random.Generator,
    scatterers_yx: Complex64 | None = None,
) -> FormedFrame:
    """Make one B-mode frame and its truth.

    Parameters
    ----------
    echogenicity_db
        Mean scattered power (Y, X) in dB, any reference.
    specular_db
        Power of coherent reflectors (Y, X) in dB on the same scale; -80 and below is none.
    settings
        The scanner.
    rng
        Source of scatterers, texture, phase and noise.
    scatterers_yx
        Unit-power complex field to use again (a cine of still tissue); drawn from ``rng`` if left out.
    """
    shape = echogenicity_db.shape
    depth = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    loss_db = settings.attenuation_db * depth
    power = blur(10 ** ((echogenicity_db - loss_db) / 10), 0.6)
    texture, texture_quantiles = _texture(settings, shape, rng)
    scatterers = complex_noise(rng, shape) if scatterers_yx is None else scatterers_yx
    diffuse = beamform((np.sqrt(power * texture) * scatterers).astype(np.complex64), settings)

    axial, lateral = settings.axial_psf_px, settings.lateral_psf_px
    sharp = settings.truth_blur
    mean_power = blur(power, axial * sharp, lateral * sharp)
    reflectors = 10 ** ((specular_db - loss_db) / 20) * np.exp(2j * np.pi * smooth_field(rng, shape, 60))
    line_gain = np.sqrt(1 + axial)  # a line thinner than the pulse loses amplitude to the axial blur
    coherent = line_gain * _blur_complex(reflectors, axial * 0.7, lateral * 0.7)
    coherent_power = line_gain**2 * np.abs(_blur_complex(reflectors, axial * sharp, lateral * sharp)) ** 2

    reference = float(np.quantile(mean_power + coherent_power, 0.97))
    noise_power = reference * 10 ** (settings.noise_db / 10) * (1 + settings.noise_growth * depth**2)
    noise = complex_noise(rng, shape)
    if settings.noise_is_filtered:
        noise = fft.ifft2(fft.fft2(noise) * psf_transfer(shape, axial * 0.7, lateral * 0.6))
    amplitude = np.abs(diffuse + coherent + np.sqrt(noise_power) * noise) / np.sqrt(reference)

    grey = settings.compression.curve()
    truth = expected_grey(grey, (mean_power + noise_power) / reference, coherent_power / reference, texture_quantiles)
    return FormedFrame(
        envelope_yx=amplitude.astype(np.float32),
        speckled_yx=np.clip(grey(amplitude**2), 0, 1).astype(np.float32),
        truth_yx=np.clip(truth, 0, 1).astype(np.float32),
    )


def expected_grey(
    grey: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]],
    diffuse_power: npt.NDArray[np.floating],
    coherent_power: npt.NDArray[np.floating],
    texture_quantiles: npt.NDArray[np.floating] | float = 1.0,
) -> npt.NDArray[np.floating]:
    """Return the expected grey given the local mean intensity.

    For diffuse scattering the intensity is exponentially distributed about its mean (Goodman 1975, eq. 2.3), so the
    expectation is an average of ``grey`` over exponential quantiles, tabulated once. A coherent component makes the
    intensity more certain; grey goes over to that of the total power with the coherent share.
    """
    exponential = -np.log(1 - (np.arange(_QUANTILES) + 0.5) / _QUANTILES) * texture_quantiles
    table = np.clip(grey(10 ** _LOG10_INTENSITY[:, None] * exponential), 0, 1).mean(1)
    total = diffuse_power + coherent_power
    share = coherent_power / np.maximum(total, 1e-30)
    diffuse_grey = np.interp(np.log10(np.maximum(total, 1e-14)), _LOG10_INTENSITY, table)
    return np.asarray((1 - share) * diffuse_grey + share * np.clip(grey(total), 0, 1))


def _texture(
    settings: ImagingSettings, shape_yx: tuple[int, int], rng: np.random.Generator
) -> tuple[Float32, npt.NDArray[np.floating] | float]:
    """Log-normal texture field of mean one, and quantiles in random order to pair with those of speckle."""
    if settings.texture_std == 0:
        return np.ones(shape_yx, np.float32), 1.0
    std = settings.texture_std
    field_yx = np.exp(std * smooth_field(rng, shape_yx, settings.texture_scale_px) - std**2 / 2)
    quantiles = np.exp(std * 0.8 * rng.normal(size=_QUANTILES) - 0.32 * std**2)
    return field_yx.astype(np.float32), quantiles / quantiles.mean()


def _blur_complex(field_yx: npt.NDArray[np.complexfloating], sigma_y_px: float, sigma_x_px: float) -> Complex64:
    real, imaginary = (blur(part, sigma_y_px, sigma_x_px) for part in (field_yx.real, field_yx.imag))
    return (real + 1j * imaginary).astype(np.complex64)
