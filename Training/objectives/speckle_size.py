"""How large the speckle of frames is, and the scale of perturbation that fits it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as nnf

SMALLEST_PX, LARGEST_PX = 1.5, 12.0


@torch.no_grad()
def speckle_widths_px(frames: Tensor) -> tuple[float, float]:
    """Return full width at half maximum of the autocorrelation, axial and lateral, of frames (N, 1, H, W).

    What varies over more than nine pixels is taken away first, so that anatomy does not count. Half maximum is found by
    linear interpolation; the widths are limited to 1.5 to 12 pixels.
    """
    detail = frames.float() - nnf.avg_pool2d(frames.float(), 9, 1, 4, count_include_pad=False)
    spectrum = torch.fft.rfft2(detail).abs().square()
    correlation = torch.fft.irfft2(spectrum, s=detail.shape[-2:]).mean((0, 1))
    return _full_width(correlation[:, 0]), _full_width(correlation[0])


def speckle_scale(frames: Tensor) -> float:
    """Scale at which the perturbation decorrelates this speckle: 1 / FWHM, geometric mean of both directions.

    The published fixed scales (0.5, 0.25) hardly change speckle that is wider than four pixels; the measured width
    (limited to 2 to 6 px) adapts the scale to the frames.
    """
    axial, lateral = speckle_widths_px(frames)
    return 1 / min(max((axial * lateral) ** 0.5, 2.0), 6.0)


def _full_width(correlation: Tensor) -> float:
    values = (correlation[: int(LARGEST_PX)] / correlation[0].clamp(min=1e-12)).tolist()
    for lag in range(1, len(values)):
        if values[lag] < 0.5:
            crossing = lag - 1 + (values[lag - 1] - 0.5) / max(values[lag - 1] - values[lag], 1e-9)
            return min(max(2 * crossing, SMALLEST_PX), LARGEST_PX)
    return LARGEST_PX
