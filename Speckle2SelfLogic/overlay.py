"""Colour in ultrasound frames: luminance, a tinted grey map, and burned-in coloured overlays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]

LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue: ITU-R Recommendation BT.601-7 (2011), section 2.5.1."""

# Chroma is the largest minus the smallest of R, G, B, here as a share of the data range. What JPEG leaves in grey
# tissue stays below the weak threshold.
WEAK_CHROMA, STRONG_CHROMA, CERTAIN_CHROMA = 12 / 255, 28 / 255, 64 / 255
GROWTH_PX = 4
RIM_PX = 2
TINT_BINS = 16


def check_data_range(data_range: float) -> None:
    """Raise `SettingsError` unless the data range is positive and finite."""
    if not (math.isfinite(data_range) and data_range > 0):
        message = f"The data range must be a positive number, but is {data_range}."
        raise SettingsError(message)


def luminance(colour_pixels: Pixels) -> FloatArray:
    """Grey value of colour pixels, Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601-7, 2011, section 2.5.1).

    Parameters
    ----------
    colour_pixels
        Array of shape (..., 3) or (..., 4); a fourth component (alpha) is ignored.

    Returns
    -------
    numpy.ndarray
        float32 array of shape (...), in the range of the input.

    Raises
    ------
    UnsupportedImageError
        If the last axis does not hold 3 or 4 components.
    """
    if colour_pixels.ndim < 1 or colour_pixels.shape[-1] not in (3, 4):
        message = f"Colour pixels need 3 or 4 components on the last axis, but their shape is {colour_pixels.shape}."
        raise UnsupportedImageError(message)
    red, green, blue = (colour_pixels[..., i].astype(np.float32) for i in range(3))
    # Written around green, so that equal components give exactly that value: a constant surround stays constant.
    grey = green + np.float32(LUMINANCE_WEIGHTS[0]) * (red - green) + np.float32(LUMINANCE_WEIGHTS[2]) * (blue - green)
    return np.asarray(grey, dtype=np.float32)


@dataclass(frozen=True)
class Tint:
    """The colour map of a B-mode shown in colour (sepia, blue): what colour a grey value gets."""

    luminances: tuple[float, ...]
    """Luminance of each support point, ascending, in the range of the image."""
    red_minus_luminance: tuple[float, ...]
    blue_minus_luminance: tuple[float, ...]

    def __str__(self) -> str:
        """One sentence for a report."""
        red = sum(self.red_minus_luminance) / len(self.luminances)
        blue = sum(self.blue_minus_luminance) / len(self.luminances)
        return f"The grey map is tinted (on average red {red:+.3g}, blue {blue:+.3g} beside the luminance)."


def find_tint(frame_yxc: Pixels, *, data_range: float) -> Tint | None:
    """Detect a B-mode whose grey map itself is coloured, so that its colour is not taken for an overlay.

    In a tinted B-mode, colour is a function of luminance and its hue is the same at all luminances. An overlay has few
    luminances or many hues. The colour differences R-Y and B-Y are therefore taken as medians over luminance bins;
    the frame is tinted if at least four bins are filled, most pixels of a bin agree with its median, and
    at least 70 % of the bins have one hue (within 30 degrees).

    Parameters
    ----------
    frame_yxc
        Frame of shape (Y, X, 3) or (Y, X, 4).
    data_range
        Full width of the grey scale, for example 255 for 8 bits.

    Returns
    -------
    Tint or None
        None for a grey B-mode, with or without overlays.

    Raises
    ------
    UnsupportedImageError
        If the frame is not of shape (Y, X, 3) or (Y, X, 4).
    SettingsError
        If the data range is not positive and finite.
    """
    _check_colour_frame(frame_yxc, data_range)
    stride = max(1, math.isqrt(frame_yxc.shape[0] * frame_yxc.shape[1] // 30_000))
    sample = frame_yxc[::stride, ::stride, :3].reshape(-1, 3).astype(np.float32)
    grey, chroma = luminance(sample), _chroma(sample, tint=None)
    lit = grey > 10 / 255 * data_range
    if not lit.any() or np.mean(chroma[lit] > 0.5 * WEAK_CHROMA * data_range) < 0.3:
        return None
    bins = np.clip(grey * (TINT_BINS / data_range), 0, TINT_BINS - 1).astype(np.intp)
    points = []
    for index in np.unique(bins[lit]):
        inside = lit & (bins == index)
        offsets = sample[inside][:, [0, 2]] - grey[inside, np.newaxis]
        median = np.median(offsets, axis=0)
        agreeing = np.mean(np.hypot(*(offsets - median).T) < WEAK_CHROMA * data_range)
        if inside.sum() >= 0.002 * grey.size:
            points.append((float(np.median(grey[inside])), *median, agreeing))
    if len(points) < 4:
        return None
    levels, red, blue, agreement = np.array(points).T
    hue = np.exp(1j * np.arctan2(red, blue))
    coloured = np.hypot(red, blue) > 0.25 * WEAK_CHROMA * data_range
    common_hue = hue[coloured].sum()
    fits = coloured & (agreement >= 0.6) & (np.abs(np.angle(hue * np.conj(common_hue))) < math.radians(30))
    if fits.mean() < 0.7:
        return None
    # Black has no colour. An overlay can own a bin (a header bar of one colour): the median over neighbouring bins
    # takes it out.
    curves = (ndimage.median_filter(np.insert(curve, 0, 0.0), size=5, mode="nearest") for curve in (red, blue))
    return Tint((0.0, *levels.tolist()), *(tuple(curve.tolist()) for curve in curves))


def find_overlay(frame_yxc: Pixels, *, data_range: float) -> Mask:
    """Find coloured overlays burned into a frame: Doppler, coloured calipers, letters, bars.

    A pixel is coloured where its chroma (largest minus smallest of R, G, B) differs from that of grey, or of the
    frame's own tint (`find_tint`). Strongly coloured pixels that are not lone noise are extended over weakly coloured
    neighbours (hysteresis, after Canny 1986) and then by 2 px, so that anti-aliased rims belong to the overlay.

    Parameters
    ----------
    frame_yxc
        Frame of shape (Y, X, 3) or (Y, X, 4); alpha is ignored.
    data_range
        Full width of the grey scale, for example 255 for 8 bits.

    Returns
    -------
    numpy.ndarray
        Boolean array of shape (Y, X), true on overlays.

    Raises
    ------
    UnsupportedImageError
        If the frame is not of shape (Y, X, 3) or (Y, X, 4).
    SettingsError
        If the data range is not positive and finite.
    """
    tint = find_tint(frame_yxc, data_range=data_range)
    chroma = _chroma(frame_yxc, tint)
    # A compressed tint is blotchy: what is left after taking it away needs more room than the noise of grey.
    unit = data_range if tint is None else 1.5 * data_range
    weak, strong = chroma > WEAK_CHROMA * unit, chroma > STRONG_CHROMA * unit
    if not strong.any():
        return strong
    # Lone specks of moderate chroma are noise: an overlay has at least three coloured pixels in a 3 x 3 window.
    seeds = (chroma > CERTAIN_CHROMA * unit) | (strong & (_window_count(weak) >= 3))
    overlay = weak & grown(seeds, GROWTH_PX)
    return grown(overlay, RIM_PX)


def _check_colour_frame(frame_yxc: Pixels, data_range: float) -> None:
    check_data_range(data_range)
    if frame_yxc.ndim != 3 or frame_yxc.shape[-1] not in (3, 4):
        message = f"A colour frame needs the shape (Y, X, 3) or (Y, X, 4), but has {frame_yxc.shape}."
        raise UnsupportedImageError(message)


def _chroma(frame_yxc: Pixels, tint: Tint | None) -> Pixels:
    components = [frame_yxc[..., i] for i in range(3)]
    if tint is not None:
        grey = luminance(frame_yxc)
        red = np.interp(grey, tint.luminances, tint.red_minus_luminance)
        blue = np.interp(grey, tint.luminances, tint.blue_minus_luminance)
        # The three offsets weighted by the luminance weights add up to zero.
        green = -(LUMINANCE_WEIGHTS[0] * red + LUMINANCE_WEIGHTS[2] * blue) / LUMINANCE_WEIGHTS[1]
        components = [part - offset for part, offset in zip(components, (red, green, blue), strict=True)]
    elif frame_yxc.dtype.kind != "u":  # the difference of two signed integers can overflow
        components = [part.astype(np.float32) for part in components]
    largest = np.maximum(np.maximum(components[0], components[1]), components[2])
    smallest = np.minimum(np.minimum(components[0], components[1]), components[2])
    return np.asarray(largest - smallest)


def _window_count(mask: Mask) -> npt.NDArray[np.uint8]:
    """Count the true pixels in the 3 x 3 window around each pixel."""
    padded = np.pad(mask.astype(np.uint8), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:], dtype=np.uint8)


def grown(mask: Mask, margin_px: int) -> Mask:
    """Dilate by a square of side 2 margin + 1."""
    length_y, length_x = mask.shape
    padded = np.pad(mask, margin_px)
    rows = np.logical_or.reduce([padded[i : i + length_y] for i in range(2 * margin_px + 1)])
    return np.asarray(np.logical_or.reduce([rows[:, i : i + length_x] for i in range(2 * margin_px + 1)]))
