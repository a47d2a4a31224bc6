"""Known small structures, put into a real frame as a scanner would show them.

Grey is taken as logarithmic, 0..1 for 60 dB (an assumption where the scanner did not say: it scales the inserted contrast,
not the share of it that a method keeps). A change of echogenicity multiplies the speckle that is there, so it adds dB.
A reflector adds its wave to that of the speckle, with a phase that varies as speckle does. Both are blurred by the point
spread function (PSF), taken as Gaussian: the intensity of fully developed speckle has an autocorrelation with the
standard deviation of the amplitude PSF (Wagner et al. 1983), which gives the PSF from the frame itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.runtime import to_tensor
from Speckle2SelfLogic.structure_metrics import Mask
from Training.detail.frames import Grey
from Training.objectives.speckle_size import speckle_widths_px

Values = npt.NDArray[np.float64]
Kind = Literal["spot", "cyst", "layer", "pair"]

DYNAMIC_RANGE_DB = 60.0
FWHM_PER_SIGMA = 2.355
NOISE_FLOOR_DB = -30.0
"""Level of an anechoic place relative to the tissue around it: side lobes and noise fill it up."""
NEARLY_BLACK = 0.02
"""Grey at which a pixel is brightened by half of the change: how far below black a black pixel is cannot be seen."""
BLOCK_PX = 64
INTERFERENCE = 0.5
"""Share of full interference between reflector and speckle. Full interference cuts black rings into frames that a scanner
has smoothed already."""
LAYER_LENGTH_MM = 5.0
LINE_MM = 0.15
"""Thickness of each line of a pair."""


@dataclass(frozen=True)
class Structure:
    """Kind, size in mm (diameter, thickness, distance of the two lines) and level in dB over the mean grey of the tissue."""

    kind: Kind
    size_mm: float
    level_db: float

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.kind} {self.size_mm:g} mm"


@dataclass(frozen=True)
class Place:
    """Where a structure is: centre in pixels, and the angle of a layer with the X axis."""

    y: float
    x: float
    angle_rad: float = 0.0


def psf_sigma_px(grey_yx: Grey) -> tuple[float, float]:
    """Standard deviation (y, x) of the amplitude PSF, from the width of the speckle.

    It is the lower quartile over blocks of 64 px that are not nearly black, since anatomy that is longer than
    speckle (fibres, layers) makes the width of some blocks too large.
    """
    height, width = (max(n // BLOCK_PX, 1) for n in grey_yx.shape)
    blocks = [b for rows in np.array_split(grey_yx, height, 0) for b in np.array_split(rows, width, 1)]
    lit = [b for b in blocks if b.mean() > 0.08] or [grey_yx]
    widths = [speckle_widths_px(to_tensor(block)[None, None]) for block in lit]
    axial, lateral = np.quantile(widths, 0.25, axis=0)
    return float(axial) / FWHM_PER_SIGMA, float(lateral) / FWHM_PER_SIGMA


def amplitude_of(grey: npt.NDArray[np.floating]) -> Values:
    """Envelope amplitude of log-compressed grey; 1 at grey 1."""
    return np.asarray(10 ** ((np.asarray(grey, np.float64) - 1) * DYNAMIC_RANGE_DB / 20))


def grey_of_power(power: npt.NDArray[np.floating]) -> Values:
    """Log-compressed grey of envelope power, not clipped."""
    return np.asarray(1 + 10 / DYNAMIC_RANGE_DB * np.log10(np.maximum(power, 1e-12)))


def outline(structure: Structure, place: Place, shape_yx: tuple[int, int], mm_per_px: float) -> tuple[Values, Values]:
    """Return where the structure is before the scanner blurs it (0..1, anti-aliased), and the gap of a pair."""
    y = np.arange(shape_yx[0])[:, None] - place.y
    x = np.arange(shape_yx[1])[None] - place.x
    size_px = structure.size_mm / mm_per_px
    if structure.kind in ("spot", "cyst"):
        return _inside(np.hypot(y, x) - size_px / 2), np.zeros(shape_yx)
    across = y * np.cos(place.angle_rad) - x * np.sin(place.angle_rad)
    along = y * np.sin(place.angle_rad) + x * np.cos(place.angle_rad)
    ends = _inside(np.abs(along) - LAYER_LENGTH_MM / mm_per_px / 2)
    if structure.kind == "layer":
        return _inside(np.abs(across) - size_px / 2) * ends, np.zeros(shape_yx)
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

    window: tuple[slice, slice]
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

    Returns the frame, clipped to 0..1, and one template for each place. The template's positive weights are the change of
    local mean grey that the structure is expected to make (a matched filter); of a pair, they are the two lines and
    the negative ones the gap between them.
    """
    frame = np.asarray(grey_yx, np.float64)
    power = amplitude_of(frame) ** 2
    phase = _speckle_phase(frame.shape, sigma_px, rng)
    templates = []
    for place in places:
        shape, gap = outline(structure, place, frame.shape, mm_per_px)
        level = float(_blurred(frame, (6, 6))[int(round(place.y)), int(round(place.x))])
        if structure.kind in ("spot", "pair"):
            wave = _blurred(shape, sigma_px)
            wave = wave / wave.max() * amplitude_of(level + structure.level_db / DYNAMIC_RANGE_DB)
            expected = np.clip(grey_of_power(amplitude_of(level) ** 2 + wave**2), 0, 1) - level
            mixed = power + wave**2 + INTERFERENCE * 2 * np.sqrt(power) * wave * np.cos(phase)
            frame = np.where(wave > 1e-3 * wave.max(), np.clip(grey_of_power(mixed), 0, 1), frame)
        else:
            gain = 1 + (10 ** (structure.level_db / 10) - 1) * _blurred(shape, np.asarray(sigma_px) / np.sqrt(2))
            change = 10 / DYNAMIC_RANGE_DB * np.log10(gain)
            expected = np.clip(level + change, 0, 1) - level
            frame = np.clip(frame + np.where(change > 0, change * frame / (frame + NEARLY_BLACK), change), 0, 1)
        power = amplitude_of(frame) ** 2
        templates.append(_template(expected, gap, structure, mm_per_px))
    return Inserted(frame.astype(np.float32), tuple(templates))


def _template(expected: Values, gap: Values, structure: Structure, mm_per_px: float) -> Template:
    size = np.abs(expected)
    size = np.where(size > 0.1 * size.max(), size, 0)
    if structure.kind == "pair":
        positive, negative = size * (size > 0.5 * size.max()) * (gap == 0), gap
    else:
        distance = ndimage.distance_transform_edt(size == 0)
        width = max(3.0, 0.5 * structure.size_mm / mm_per_px)
        positive, negative = size, ((distance > 1) & (distance <= 1 + width)).astype(np.float64)
    weights = positive / positive.sum() - negative / negative.sum()
    rows, columns = np.nonzero(weights)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return Template(window, weights[window], float((weights * expected).sum()))


def _blurred(values: Values, sigma_px: npt.ArrayLike) -> Values:
    return np.asarray(ndimage.gaussian_filter(values, np.asarray(sigma_px), mode="nearest"))


def _speckle_phase(shape_yx: tuple[int, ...], sigma_px: tuple[float, float], rng: np.random.Generator) -> Values:
    real, imaginary = (_blurred(rng.standard_normal(shape_yx), sigma_px) for _ in range(2))
    return np.arctan2(imaginary, real)


def quiet_places(
    grey_yx: Grey,
    allowed_yx: Mask,
    rng: np.random.Generator,
    *,
    count: int,
    apart_px: float,
    margin_px: int,
    brightness: tuple[float, float] = (0.1, 0.6),
    tilt_rad: float = 0.35,
) -> list[Place]:
    """Draw places in tissue of medium brightness, away from edges, from each other and from the border.

    Drawn from are the quietest third of the pixels whose smoothed grey (Gaussian, 5 px) lies within ``brightness``. Unrest is
    the largest gradient at that scale within ``margin_px`` / 2, over the smoothed grey.
    """
    grey = np.asarray(grey_yx, np.float64)
    smooth = ndimage.gaussian_filter(grey, 5)
    steepest = ndimage.maximum_filter(ndimage.gaussian_gradient_magnitude(grey, 5), 2 * (margin_px // 2) + 1)
    unrest = steepest / np.maximum(smooth, 1e-3)
    usable = allowed_yx & (smooth > brightness[0]) & (smooth < brightness[1])
    inner = np.zeros_like(usable)
    inner[margin_px:-margin_px, margin_px:-margin_px] = True
    usable &= inner
    if not usable.any():
        return []
    usable &= unrest <= np.quantile(unrest[usable], 1 / 3)
    candidates = rng.permutation(np.argwhere(usable))
    chosen: list[tuple[float, float]] = []
    for y, x in candidates:
        if all(np.hypot(y - other_y, x - other_x) >= apart_px for other_y, other_x in chosen):
            chosen.append((float(y), float(x)))
        if len(chosen) == count:
            break
    return [Place(y, x, float(rng.uniform(-tilt_rad, tilt_rad))) for y, x in chosen]
