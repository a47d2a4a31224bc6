"""Known small structures, put into a real frame as a scanner would show them.

Grey is taken as logarithmic, 0..1 for 60 dB (an assumption where the scanner did not say: it scales the inserted
contrast, not the share of it that a method keeps). A change of echogenicity multiplies the speckle that is there, so it
adds dB. A reflector adds its wave to that of the speckle, with a phase that varies as speckle does. Both are blurred by
the point spread function (PSF), taken as Gaussian and read off the speckle of the frame: the intensity of fully
developed speckle has an autocorrelation with the standard deviation of the amplitude PSF (Wagner et al. 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Training.detail.frames import Grey
from Training.detail.places import Place

Values = npt.NDArray[np.float64]
Window = tuple[slice, slice]
Kind = Literal["spot", "cyst", "layer", "pair"]

DYNAMIC_RANGE_DB = 60.0
HALF_WIDTH_PER_SIGMA = 0.911
"""Lag at which the correlation of log-compressed speckle is one half, over the standard deviation of the PSF.

Intensities at lag r have correlation rho = exp(-r^2 / (2 sigma^2)); they are exponential, so that their logarithms have
correlation Li2(rho) / Li2(1) (Li2: dilogarithm), which is one half at rho = 0.66.
"""
LIT_GREY = 0.08
NOISE_FLOOR_DB = -30.0
"""Level of an anechoic place relative to the tissue around it: side lobes and noise fill it up."""
NEARLY_BLACK = 0.02
"""Grey at which a pixel is brightened by half of the change: how far below black a black pixel is cannot be seen."""
BLOCK_PX = 64
INTERFERENCE = 0.5
"""Share of full interference between reflector and speckle. Full interference cuts black rings into frames that a
scanner has smoothed already."""
LAYER_LENGTH_MM = 5.0
LINE_MM = 0.15
"""Thickness of each line of a pair."""


@dataclass(frozen=True)
class Structure:
    """Kind, size in mm (diameter, thickness, distance of two lines) and level in dB over the mean grey around."""

    kind: Kind
    size_mm: float
    level_db: float
    is_usual: bool = True
    """Whether the level is the one that all sizes of this kind have."""

    @property
    def name(self) -> str:
        """As in the table."""
        level = "" if self.is_usual else f", {self.level_db:+g} dB"
        return f"{self.kind} {self.size_mm:g} mm{level}"


def psf_sigma_px(grey_yx: Grey) -> tuple[float, float]:
    """Return the standard deviation (y, x) of the amplitude PSF in pixels, from the width of the speckle.

    What varies over more than 5 px (Gaussian) is taken away first. The width is the lower quartile over blocks of 64 px
    that are not nearly black, since anatomy that is longer than speckle (fibres, layers) makes some blocks too wide.
    """
    grey = np.asarray(grey_yx, np.float64)
    detail = grey - ndimage.gaussian_filter(grey, 5)
    counts = [max(length // BLOCK_PX, 1) for length in grey.shape]
    widths = []
    for rows in np.array_split(np.arange(grey.shape[0]), counts[0]):
        for columns in np.array_split(np.arange(grey.shape[1]), counts[1]):
            block = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            if grey[block].mean() > LIT_GREY or counts == [1, 1]:
                spectrum = np.abs(np.fft.rfft2(detail[block])) ** 2
                correlation = np.fft.irfft2(spectrum, s=detail[block].shape)
                widths.append((_half_width(correlation[:, 0]), _half_width(correlation[0])))
    axial, lateral = np.quantile(widths, 0.25, axis=0) if widths else (1.0, 1.0)
    return float(axial) / HALF_WIDTH_PER_SIGMA, float(lateral) / HALF_WIDTH_PER_SIGMA


def _half_width(correlation: Values) -> float:
    """Lag at which the correlation has fallen to half, by linear interpolation."""
    half = correlation[: correlation.size // 2] / max(correlation[0], 1e-12)
    below = int(np.argmax(half < 0.5))
    return below - (0.5 - half[below]) / (half[below - 1] - half[below]) if below else float(half.size)


def amplitude_of(grey: npt.NDArray[np.floating]) -> Values:
    """Envelope amplitude of log-compressed grey; 1 at grey 1."""
    return np.asarray(10 ** ((np.asarray(grey, np.float64) - 1) * DYNAMIC_RANGE_DB / 20))


def grey_of_power(power: npt.NDArray[np.floating]) -> Values:
    """Log-compressed grey of envelope power, not clipped."""
    return np.asarray(1 + 10 / DYNAMIC_RANGE_DB * np.log10(np.maximum(power, 1e-12)))


def outline(structure: Structure, place: Place, window: Window, mm_per_px: float) -> tuple[Values, Values]:
    """Return where the structure is before the scanner blurs it (0..1, anti-aliased), and the gap of a pair."""
    y = np.arange(window[0].start, window[0].stop)[:, None] - place.y
    x = np.arange(window[1].start, window[1].stop)[None] - place.x
    size_px = structure.size_mm / mm_per_px
    if structure.kind in ("spot", "cyst"):
        disc = _inside(np.hypot(y, x) - size_px / 2)
        return disc, np.zeros_like(disc)
    across = y * np.cos(place.angle_rad) - x * np.sin(place.angle_rad)
    along = y * np.sin(place.angle_rad) + x * np.cos(place.angle_rad)
    ends = _inside(np.abs(along) - LAYER_LENGTH_MM / mm_per_px / 2)
    if structure.kind == "layer":
        return _inside(np.abs(across) - size_px / 2) * ends, np.zeros_like(ends)
    line_px = max(LINE_MM / mm_per_px, 1.0)
    lines = _inside(np.abs(np.abs(across) - size_px / 2) - line_px / 2)
    return lines * ends, _inside(np.abs(across) - size_px / 6) * ends


def _inside(distance_px: npt.NDArray[np.floating]) -> Values:
    """1 inside, 0 outside, linear over the pixel on the border."""
    return np.asarray(np.clip(0.5 - distance_px, 0, 1), np.float64)


@dataclass(frozen=True)
class Inserted:
    """A frame with structures, and for each of them the weights that turn a frame into its contrast."""

    grey_yx: Grey
    templates: tuple[Template, ...]


@dataclass(frozen=True)
class Template:
    """Weights (Y, X) on a window of the frame: 1 in sum over the structure, -1 over its surroundings."""

    window: Window
    weights_yx: Values
    expected: float = 1.0
    """Contrast of the structure in a frame without speckle (grey 0..1, negative for a dark one)."""

    def contrast(self, frame_yx: npt.NDArray[np.floating]) -> float:
        """Weighted mean grey of the structure less that of its surroundings."""
        return float((self.weights_yx * frame_yx[self.window]).sum())


def insert(
    grey_yx: Grey,
    structure: Structure,
    places: list[Place],
    mm_per_px: float,
    sigma_px: tuple[float, float],
    rng: np.random.Generator,
) -> Inserted:
    """Put copies of a structure into a frame, far enough apart not to touch each other.

    Returns the frame, clipped to 0..1, and one template for each place. The template's positive weights are the
    change of local mean grey that the structure is expected to make (a matched filter); of a pair, they are the two
    lines and the negative ones the gap between them.
    """
    frame = np.array(grey_yx, np.float64)
    phase = _speckle_phase(frame.shape, sigma_px, rng)
    levels = _blurred(frame, (6, 6))
    templates = []
    for place in places:
        window = _window(structure, place, frame.shape, mm_per_px, sigma_px)
        shape, gap = outline(structure, place, window, mm_per_px)
        level = float(levels[round(place.y), round(place.x)])
        change = _reflector if structure.kind in ("spot", "pair") else _scattering
        frame[window], expected = change(frame[window], phase[window], shape, level, structure.level_db, sigma_px)
        templates.append(_template(window, expected, gap, structure, mm_per_px))
    return Inserted(frame.astype(np.float32), tuple(templates))


def _reflector(
    grey_yx: Values, phase_yx: Values, shape: Values, level: float, level_db: float, sigma_px: tuple[float, float]
) -> tuple[Values, Values]:
    """Add the wave of a reflector; returns new grey, and the change expected on average."""
    power, wave = amplitude_of(grey_yx) ** 2, _blurred(shape, sigma_px)
    wave = wave / wave.max() * amplitude_of(np.float64(level + level_db / DYNAMIC_RANGE_DB))
    expected = np.clip(grey_of_power(amplitude_of(np.float64(level)) ** 2 + wave**2), 0, 1) - level
    mixed = power + wave**2 + INTERFERENCE * 2 * np.sqrt(power) * wave * np.cos(phase_yx)
    return np.where(wave > 1e-3 * wave.max(), np.clip(grey_of_power(mixed), 0, 1), grey_yx), expected


def _scattering(
    grey_yx: Values, phase_yx: Values, shape: Values, level: float, level_db: float, sigma_px: tuple[float, float]
) -> tuple[Values, Values]:  # the phase of the speckle stays what it was
    """Multiply the scattered power; returns new grey, and the change expected on average."""
    del phase_yx
    gain = 1 + (10 ** (level_db / 10) - 1) * _blurred(shape, (sigma_px[0] / np.sqrt(2), sigma_px[1] / np.sqrt(2)))
    change = 10 / DYNAMIC_RANGE_DB * np.log10(gain)
    brighter = np.where(change > 0, change * grey_yx / (grey_yx + NEARLY_BLACK), change)
    return np.clip(grey_yx + brighter, 0, 1), np.clip(level + change, 0, 1) - level


def _window(
    structure: Structure, place: Place, shape_yx: tuple[int, ...], mm_per_px: float, sigma_px: tuple[float, float]
) -> Window:
    """Part of the frame that a structure and the ring around it can reach."""
    length_mm = LAYER_LENGTH_MM if structure.kind in ("layer", "pair") else structure.size_mm
    reach = (length_mm / 2 + structure.size_mm) / mm_per_px + 5
    starts = (max(int(c - reach - 4 * s), 0) for c, s in zip((place.y, place.x), sigma_px, strict=True))
    stops = (min(int(c + reach + 4 * s) + 2, n) for c, s, n in zip((place.y, place.x), sigma_px, shape_yx, strict=True))
    rows, columns = (slice(start, stop) for start, stop in zip(starts, stops, strict=True))
    return rows, columns


def _template(window: Window, expected: Values, gap: Values, structure: Structure, mm_per_px: float) -> Template:
    size = np.abs(expected)
    size = np.where(size > 0.1 * size.max(), size, 0)
    if structure.kind == "pair":
        positive, negative = size * (size > 0.5 * size.max()) * (gap == 0), gap
    else:
        distance = ndimage.distance_transform_edt(size == 0)
        width = max(3.0, 0.5 * structure.size_mm / mm_per_px)
        positive, negative = size, ((distance > 1) & (distance <= 1 + width)).astype(np.float64)
    weights = positive / positive.sum() - negative / negative.sum()
    return Template(window, weights, float((weights * expected).sum()))


def _blurred(values: Values, sigma_px: npt.ArrayLike) -> Values:
    return np.asarray(ndimage.gaussian_filter(values, np.asarray(sigma_px), mode="nearest"))


def _speckle_phase(shape_yx: tuple[int, ...], sigma_px: tuple[float, float], rng: np.random.Generator) -> Values:
    real, imaginary = (_blurred(rng.standard_normal(shape_yx), sigma_px) for _ in range(2))
    return np.arctan2(imaginary, real)
