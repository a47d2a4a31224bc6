"""Classical despecklers written out here because no library under a permissive licence has them.

Every filter takes one frame, float32 of shape (y, x) in 0..1, and returns another; any size from 1x1 up.

Lee, Kuan, Frost and SRAD assume *multiplicative* speckle, ``z = x v`` with ``E[v] = 1``: the linear envelope, where the
coefficient of variation ``C = standard deviation / mean`` of fully developed speckle is one number wherever one looks
(0.523 for a Rayleigh envelope). Log compression turns that into additive noise, so on a B-mode frame C falls with
brightness. Used on B-mode, as is common practice, these filters smooth bright tissue more and dark tissue less
than on the envelope that they were made for. ``noise_variation`` is C of homogeneous tissue *in the grey values given*.

A noise level that is left out is measured in the frame (`estimated_noise`), so that a gain changes nothing (except
through SRAD's exponential). In a cine that is done for each frame; give a number if all have to be treated alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError

Frame = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

NOISE_QUANTILE = 0.75
"""Quantile of the local noise that is taken for the frame's: windows are seldom larger than a few speckle grains, so
most of them see too little of the fluctuation."""


LEAST_NOISE = 1e-6
"""Noise below this, far less than a grey level, is that of rounding; squared, its inverse still fits a float32."""


def checked_frame(frame_yx: Frame) -> Values:
    """Return a float64 copy of a frame.

    Raises
    ------
    UnsupportedImageError
        If the frame is not two-dimensional, is empty, holds non-finite values or leaves 0..1.
    """
    frame = np.array(frame_yx, dtype=np.float64)
    if frame.ndim != 2 or frame.size == 0:
        message = f"A classical filter needs one frame with axes (y, x), but the array has shape {frame.shape}."
        raise UnsupportedImageError(message)
    if not np.isfinite(frame).all():
        message = "The frame holds values that are not finite; repair or remove them first."
        raise UnsupportedImageError(message)
    if frame.min() < -1e-6 or frame.max() > 1 + 1e-6:
        message = f"Grey values span {frame.min():.4g} to {frame.max():.4g}; scale them to 0..1 first."
        raise UnsupportedImageError(message)
    return frame


def as_frame(values: Values | Frame) -> Frame:
    """Clip to 0..1 and return float32."""
    return np.clip(values, 0.0, 1.0).astype(np.float32)


def require_odd(name: str, value: object) -> int:
    """Return ``value`` if it is an odd whole number from 1 up, else raise SettingsError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or value % 2 == 0:
        message = f"{name} must be an odd whole number of pixels from 1 up, but is {value!r}."
        raise SettingsError(message)
    return value


def require_count(name: str, value: object) -> int:
    """Return ``value`` if it is a whole number from 1 up, else raise SettingsError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = f"{name} must be a whole number from 1 up, but is {value!r}."
        raise SettingsError(message)
    return value


def require_positive(name: str, value: object) -> float:
    """Return ``value`` if it is a finite number above zero, else raise SettingsError."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        message = f"{name} must be a finite number above zero, but is {value!r}."
        raise SettingsError(message)
    return float(value)  # type: ignore[arg-type]


def local_mean_and_variance(values_yx: Values, window_px: int) -> tuple[Values, Values]:
    """Mean and (population) variance in a square window around every pixel; edges are mirrored."""
    mean = ndimage.uniform_filter(values_yx, window_px)
    # Variance about the frame's mean, which keeps the difference of two squares well conditioned.
    centred = values_yx - values_yx.mean()
    variance = ndimage.uniform_filter(centred**2, window_px) - ndimage.uniform_filter(centred, window_px) ** 2
    return mean, np.maximum(variance, 0.0)


def estimated_noise(values_yx: Values, *, gamma: float, window_px: int = 9) -> float:
    """Estimate the standard deviation of n in ``z = x + x^gamma n``: the upper quartile of local ``std / mean^gamma``.

    gamma = 0 gives the additive noise's standard deviation, gamma = 1 the coefficient of variation. Windows darker than
    a tenth of the frame's mean (lumen, outside the sector) are left out. 0 for a constant frame.
    """
    mean, variance = local_mean_and_variance(values_yx, window_px)
    has_signal = mean > 0.1 * values_yx.mean()
    if not has_signal.any():
        return 0.0
    noise = float(np.quantile(np.sqrt(variance[has_signal]) / mean[has_signal] ** gamma, NOISE_QUANTILE))
    return noise if noise > LEAST_NOISE else 0.0


def _local_squared_variation(values: Values, window_px: int) -> tuple[Values, Values]:
    """Local mean and squared local coefficient of variation (0 where the mean is 0)."""
    mean, variance = local_mean_and_variance(values, require_odd("window_px", window_px))
    return mean, np.divide(variance, mean**2, out=np.zeros_like(mean), where=mean > 1e-9)


def _noise_variation(given: float | None, values: Values, window_px: int) -> float:
    if given is None:
        return estimated_noise(values, gamma=1, window_px=window_px)
    return require_positive("noise_variation", given)


def lee(frame_yx: Frame, *, window_px: int = 9, noise_variation: float | None = None) -> Frame:
    """Lee filter: local linear minimum-mean-square-error estimate under multiplicative noise.

    ``x = m + W (z - m)`` with ``W = 1 - C_noise^2 / C_local^2`` clipped to 0..1, m and C_local from the window
    (J.-S. Lee, IEEE TPAMI 2(2), 1980; in this form Lopes, Touzi and Nezry, IEEE TGRS 28(6), 1990).

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The noise model is that of a linear envelope; see the module's text for B-mode.
    window_px
        Side of the window, odd.
    noise_variation
        Standard deviation / mean of homogeneous tissue in these grey values; None measures it in the frame.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range.
    """
    frame = checked_frame(frame_yx)
    mean, local_squared = _local_squared_variation(frame, window_px)
    noise_squared = _noise_variation(noise_variation, frame, window_px) ** 2
    return as_frame(mean + _lee_gain(local_squared, noise_squared) * (frame - mean))


def kuan(frame_yx: Frame, *, window_px: int = 9, noise_variation: float | None = None) -> Frame:
    """Kuan filter: as `lee`, without linearising the noise model.

    ``W = (1 - C_noise^2 / C_local^2) / (1 + C_noise^2)`` clipped to 0..1
    (Kuan, Sawchuk, Strand and Chavel, IEEE TPAMI 7(2), 1985). Parameters and errors as `lee`.
    """
    frame = checked_frame(frame_yx)
    mean, local_squared = _local_squared_variation(frame, window_px)
    noise_squared = _noise_variation(noise_variation, frame, window_px) ** 2
    gain = _lee_gain(local_squared, noise_squared) / (1.0 + noise_squared)
    return as_frame(mean + gain * (frame - mean))


def _lee_gain(local_squared: Values, noise_squared: float) -> Values:
    ratio = np.divide(
        noise_squared, local_squared, out=np.ones_like(local_squared), where=local_squared > noise_squared
    )
    return 1.0 - ratio


def frost(frame_yx: Frame, *, window_px: int = 9, damping: float = 1.0) -> Frame:
    """Frost filter: weighted mean whose weights fall off faster where the local coefficient of variation is high.

    Weight ``exp(-damping * C_local^2 * d)`` at distance d (pixels), normalised to sum 1
    (Frost, Stiles, Shanmugan and Holtzman, IEEE TPAMI 4(2), 1982). Edges are mirrored.

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The noise model is that of a linear envelope; see the module's text for B-mode.
    window_px
        Side of the window, odd.
    damping
        How fast the weights fall off; larger keeps more.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range.
    """
    frame = checked_frame(frame_yx)
    require_positive("damping", damping)
    _, local_squared = _local_squared_variation(frame, window_px)
    radius = window_px // 2
    padded = np.pad(frame, radius, mode="symmetric")
    height, width = frame.shape
    total, weights = np.zeros_like(frame), np.zeros_like(frame)
    for dy in range(window_px):
        for dx in range(window_px):
            weight = np.exp(-damping * math.hypot(dy - radius, dx - radius) * local_squared)
            total += weight * padded[dy : dy + height, dx : dx + width]
            weights += weight
    return as_frame(total / weights)


def srad(
    frame_yx: Frame,
    *,
    iterations: int = 40,
    time_step: float = 0.5,
    noise_variation: float | None = None,
    decay: float = 0.06,
    is_log_compressed: bool = True,
) -> Frame:
    """Speckle reducing anisotropic diffusion (Yu and Acton, IEEE TIP 11(11), 2002).

    ``u += time_step / 4 * div(c grad u)``, ``c = 1 / (1 + (q^2 - q0^2) / (q0^2 (1 + q0^2)))`` clipped to
    0..1, with the instantaneous coefficient of variation q from the four nearest neighbours and
    ``q0(t) = noise_variation * exp(-decay * t)``. Nothing flows over the edges, so the sum of u is kept.

    The published scheme (eq. 58) takes c between two pixels from the lower or right one of them. It therefore moves
    edges up and to the left, by about half a pixel, and mirrored frames do not give mirrored results. It is kept as
    published, since others compare with it; do not measure where walls lie on its results.

    Parameters
    ----------
    frame_yx
        Grey values 0..1.
    iterations, time_step
        Number of steps and their length; at most 1, where the explicit scheme is still stable.
    noise_variation
        q0 at the start, in the diffused domain; None measures it in the frame.
    decay
        Rate at which q0 falls as the frame becomes smoother, per unit of t (iterations times time_step); 0 or more.
    is_log_compressed
        True (B-mode): diffuse ``exp(frame)``, the usual stand-in for undoing the compression, which has no zeros, and
        return to grey by the logarithm. False (linear envelope): diffuse the frame itself.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range.
    """
    frame = checked_frame(frame_yx)
    require_count("iterations", iterations)
    if require_positive("time_step", time_step) > 1:
        message = f"time_step must be at most 1 for a stable diffusion, but is {time_step!r}."
        raise SettingsError(message)
    if not 0 <= decay < math.inf:
        message = f"decay must be a finite number from 0 up, but is {decay!r}."
        raise SettingsError(message)
    values = np.exp(frame) if is_log_compressed else frame + 1e-3
    start = _noise_variation(noise_variation, values, window_px=7)
    for step in range(iterations if start > 0 else 0):
        noise_squared = max(start * math.exp(-decay * step * time_step), LEAST_NOISE) ** 2
        values += 0.25 * time_step * _srad_divergence(values, noise_squared)
    return as_frame(np.log(values) if is_log_compressed else values - 1e-3)


def _srad_divergence(values: Values, noise_squared: float) -> Values:
    """Divergence of c grad u, with ``q^2 = (|grad u|^2 / 2 - (lap u)^2 / 16) / (u + lap u / 4)^2``."""
    padded = np.pad(values, 1, mode="edge")
    north, south = padded[:-2, 1:-1] - values, padded[2:, 1:-1] - values
    west, east = padded[1:-1, :-2] - values, padded[1:-1, 2:] - values
    gradient_squared = north**2 + south**2 + west**2 + east**2
    laplacian = north + south + west + east
    q_squared = (0.5 * gradient_squared - laplacian**2 / 16) / (values + 0.25 * laplacian) ** 2
    excess = (q_squared - noise_squared) / (noise_squared * (1 + noise_squared))
    # Below q0 the coefficient would exceed 1 and the scheme would lose its stability.
    conductance = 1 / (1 + np.maximum(excess, 0.0))
    south_conductance = np.pad(conductance, ((0, 1), (0, 0)), mode="edge")[1:]
    east_conductance = np.pad(conductance, ((0, 0), (0, 1)), mode="edge")[:, 1:]
    return conductance * (north + west) + south_conductance * south + east_conductance * east


def obnlm(
    frame_yx: Frame,
    *,
    block_radius_px: int = 3,
    search_radius_px: int = 8,
    block_step_px: int = 3,
    smoothing: float | None = None,
    gamma: float = 0.5,
) -> Frame:
    """Optimised Bayesian non-local means (Coupe, Hellier, Kervrann and Barillot, IEEE TIP 18(10), 2009).

    Blockwise: around every point of a grid, the block becomes the weighted mean of the blocks j in its search window,
    weight ``exp(-d / smoothing^2)``, with the Pearson distance ``d = mean_p (u_p(i) - u_p(j))^2 / u_p(j)^(2 gamma)``
    over the block's pixels p; it follows from the noise model ``u = v + v^gamma n``. Where blocks overlap, their
    estimates are averaged. Edges are mirrored. The distance is a mean over the block, not the authors' sum, so that
    ``smoothing`` does not depend on the block's size. Since d divides by the candidate, brighter candidates
    weigh more: expect dark tissue to come out some per cent brighter.

    Parameters
    ----------
    frame_yx
        Grey values 0..1 of a log-compressed B-mode frame, for which the authors chose gamma = 0.5.
    block_radius_px, search_radius_px
        A block has side 2 radius + 1; candidates lie at most the search radius away along each axis.
    block_step_px
        Spacing of the grid, at most the block's side.
    smoothing
        Filtering strength h: the standard deviation of the noise n that is to go; None measures it in the frame.
    gamma
        Exponent of the noise model: 0 additive, 1 multiplicative.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range.
    """
    frame = checked_frame(frame_yx)
    side = 2 * require_count("block_radius_px", block_radius_px) + 1
    reach = require_count("search_radius_px", search_radius_px)
    if require_count("block_step_px", block_step_px) > side:
        message = f"block_step_px must be at most the block's side of {side}, but is {block_step_px}."
        raise SettingsError(message)
    if not 0 <= gamma <= 1:
        message = f"gamma must lie in 0..1, but is {gamma!r}."
        raise SettingsError(message)
    noise = estimated_noise(frame, gamma=gamma) if smoothing is None else require_positive("smoothing", smoothing)
    if noise == 0:
        return as_frame(frame)
    precision = np.float32(1 / (max(noise, LEAST_NOISE) * side) ** 2)
    grid = _BlockGrid.covering(frame.shape, side, block_step_px)
    before = reach + block_radius_px
    padding = [(before, before + extent - length) for extent, length in zip(grid.extent_yx, frame.shape, strict=True)]
    padded = np.pad(frame.astype(np.float32), padding, mode="symmetric")
    # One grey level of 8 bits is the floor, since black candidates would divide by zero.
    weighting = precision / np.maximum(padded, np.float32(1 / 255)) ** np.float32(2 * gamma)
    blocks, weights = grid.zeros()
    own = grid.region(padded, reach, reach)
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            other = grid.region(padded, y, x)
            weight = np.exp(-grid.block_sums((own - other) ** 2 * grid.region(weighting, y, x)))
            weights += weight
            for number, other_pixel in enumerate(grid.block_pixels(other)):
                blocks[number] += weight * other_pixel
    blocks /= weights
    height, width = frame.shape
    return as_frame(grid.overlapped(blocks)[block_radius_px:, block_radius_px:][:height, :width])


@dataclass(frozen=True)
class _BlockGrid:
    """Square blocks of `side` pixels, `step` pixels apart; arrays of them are (pixel of block, row, column)."""

    side: int
    step: int
    rows: int
    columns: int

    @classmethod
    def covering(cls, shape_yx: tuple[int, ...], side: int, step: int) -> _BlockGrid:
        rows, columns = (-(-(length - 1) // step) + 1 for length in shape_yx)
        return cls(side, step, rows, columns)

    @property
    def extent_yx(self) -> tuple[int, int]:
        """Pixels from the first to the last centre, both included."""
        return (self.rows - 1) * self.step + 1, (self.columns - 1) * self.step + 1

    def zeros(self) -> tuple[Frame, Frame]:
        shape = (self.rows, self.columns)
        return np.zeros((self.side**2, *shape), np.float32), np.zeros(shape, np.float32)

    def region(self, values: Frame, top: int, left: int) -> Frame:
        """All pixels of all blocks, when the first block's corner lies at (top, left)."""
        height, width = self.extent_yx
        return values[top : top + height + self.side - 1, left : left + width + self.side - 1]

    def block_pixels(self, region: Frame) -> Iterator[Frame]:
        """For each pixel of a block, its value in every block (views)."""
        height, width = self.extent_yx
        for y in range(self.side):
            for x in range(self.side):
                yield region[y : y + height : self.step, x : x + width : self.step]

    def block_sums(self, region: Frame) -> Frame:
        """Sum over each block, rows first and columns after."""
        height, width = self.extent_yx
        by_row = np.zeros((self.rows, region.shape[1]), np.float32)
        for y in range(self.side):
            by_row += region[y : y + height : self.step]
        total = np.zeros((self.rows, self.columns), np.float32)
        for x in range(self.side):
            total += by_row[:, x : x + width : self.step]
        return total

    def overlapped(self, blocks: Frame) -> Frame:
        """Average the blocks where they lie and overlap."""
        height, width = self.extent_yx
        shape = (height + self.side - 1, width + self.side - 1)
        total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for place, number, addend in zip(self.block_pixels(total), self.block_pixels(count), blocks, strict=True):
            np.add(place, addend, out=place)
            np.add(number, 1, out=number)
        return (total / np.maximum(count, 1)).astype(np.float32)
