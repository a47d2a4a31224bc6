"""Smooth random curves, fields and line segments from which phantoms are drawn. All lengths are in pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import CubicSpline

Float32 = npt.NDArray[np.float32]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform between ``log(low)`` and ``log(high)``."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def sigmoid(x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Logistic step from 0 to 1, safe for large arguments."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))


def wavy_line(rng: np.random.Generator, width: int, amplitude_px: float) -> Float32:
    """Row offset of a gently curved boundary for each of ``width`` columns, zero on average over many draws."""
    t = np.linspace(0, 1, width)
    y = amplitude_px * rng.normal() * (t - 0.5)
    for k in range(1, 5):
        y = y + amplitude_px / k**1.5 * rng.normal() * np.sin(2 * np.pi * (k * 0.5 * t + rng.random()))
    return y.astype(np.float32)


def smooth_field(rng: np.random.Generator, shape_yx: tuple[int, int], scale_px: float) -> Float32:
    """Random field of about zero mean and unit variance whose features are about ``scale_px`` wide."""
    coarse_shape = [max(4, int(n / scale_px) + 3) for n in shape_yx]
    values = rng.standard_normal(coarse_shape)
    for axis, (coarse, fine) in enumerate(zip(coarse_shape, shape_yx, strict=True)):
        values = CubicSpline(np.arange(coarse), values, axis=axis)(np.linspace(0, coarse - 1, fine))
    return np.asarray(values, np.float32)


def blur(field_yx: npt.NDArray[np.floating], sigma_y_px: float, sigma_x_px: float | None = None) -> Float32:
    """Gaussian blur with edge replication."""
    sigma = (sigma_y_px, sigma_y_px if sigma_x_px is None else sigma_x_px)
    return np.asarray(ndimage.gaussian_filter(np.asarray(field_yx, np.float32), sigma, mode="nearest", truncate=3.0))


def draw_segment(
    canvas_yx: Float32, centre_yx: tuple[float, float], length_px: float, angle_rad: float, sigma_px: float, peak: float
) -> None:
    """Draw a straight line of Gaussian profile into ``canvas_yx``, keeping whichever value is larger.

    The angle is that of the line with the X axis, positive downwards. Work is limited to the line's own box.
    """
    cy, cx = centre_yx
    dy, dx = np.sin(angle_rad), np.cos(angle_rad)
    reach_y = abs(dy) * length_px / 2 + 3 * sigma_px + 1
    reach_x = abs(dx) * length_px / 2 + 3 * sigma_px + 1
    y0, y1 = max(0, int(cy - reach_y)), min(canvas_yx.shape[0], int(cy + reach_y) + 2)
    x0, x1 = max(0, int(cx - reach_x)), min(canvas_yx.shape[1], int(cx + reach_x) + 2)
    if y0 >= y1 or x0 >= x1:
        return
    y = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(cy)
    x = np.arange(x0, x1, dtype=np.float32)[None] - np.float32(cx)
    beyond = np.maximum(np.abs(x * dx + y * dy) - length_px / 2, 0)
    across = x * dy - y * dx
    line = peak * np.exp(-0.5 * (across**2 + beyond**2) / sigma_px**2)
    box = canvas_yx[y0:y1, x0:x1]
    np.maximum(box, line.astype(np.float32), out=box)


def draw_segments(
    rng: np.random.Generator,
    shape_yx: tuple[int, int],
    *,
    count: int,
    angle_rad: float,
    angle_spread_rad: float = 0.08,
    length_px: tuple[float, float] = (4, 40),
    sigma_px: tuple[float, float] = (0.5, 1.6),
) -> Float32:
    """Short bright lines of random place, length and width around one direction; values 0 to 1."""
    canvas = np.zeros(shape_yx, np.float32)
    for _ in range(count):
        centre = (float(rng.uniform(0, shape_yx[0])), float(rng.uniform(0, shape_yx[1])))
        angle = angle_rad + angle_spread_rad * float(rng.normal())
        length, sigma = log_uniform(rng, *length_px), float(rng.uniform(*sigma_px))
        draw_segment(canvas, centre, length, angle, sigma, float(rng.uniform(0.3, 1)))
    return canvas


def decibels(amplitude: npt.NDArray[np.floating], power: bool = False) -> npt.NDArray[np.floating]:
    """Level in dB of an amplitude (or a power), floored at -160 dB (-80 dB)."""
    return np.asarray((10 if power else 20) * np.log10(np.maximum(amplitude, 1e-8)))
