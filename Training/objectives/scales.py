"""The multi-scale perturbation at any number of scales, fixed or fitted to the size of the speckle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor
from torch.nn import functional

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.perturbation import RESAMPLING_ROUNDING_STEPS, normalise_each_frame
from Training.objectives.speckle_size import speckle_scale


def checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Return the scales, which start at 1 and fall.

    Raises
    ------
    SettingsError
        If they do not, or one is not above zero.
    """
    values = tuple(float(scale) for scale in scales)
    falls = all(finer > coarser > 0 for finer, coarser in pairwise(values))
    if not values or values[0] != 1 or not falls:
        message = f"The scales must start at 1 and fall, such as (1, 0.5, 0.25), but are {values}."
        raise SettingsError(message)
    return values


def matched_scales(frames_n1yx: Tensor, scales: Sequence[float]) -> tuple[float, ...]:
    """Move scales so that the coarsest fits the speckle of these frames; the others keep their places between 1 and it.

    ``s -> m^(log s / log s_min)`` with m = `speckle_scale`, 1 / speckle width (0.5 to 1/6).
    """
    coarsest = min(scales)
    if coarsest == 1:
        return tuple(scales)
    matched = speckle_scale(frames_n1yx)
    return tuple(matched ** (math.log(scale) / math.log(coarsest)) for scale in scales)


def perturbed(frames_n1yx: Tensor, scales: Sequence[float], *, normalises: bool = True) -> list[Tensor]:
    """Bring frames to each scale and back, bilinear both ways without a low-pass filter.

    Parameters
    ----------
    frames_n1yx
        Grey frames (N, 1, H, W).
    scales
        As `checked_scales` returns them. For (1, 0.5, 0.25) the result is that of `perturb_scales`.
    normalises
        Whether each frame at each scale is then mapped to 0..1 by its own minimum and maximum, as published.

    Returns
    -------
    list of Tensor
        One stack (N, 1, H, W) for each scale.
    """
    stacks = [frames_n1yx if scale == 1 else coarsened(frames_n1yx, scale) for scale in scales]
    if not normalises:
        return stacks
    steps = [0 if scale == 1 else RESAMPLING_ROUNDING_STEPS for scale in scales]
    return [normalise_each_frame(stack, count) for stack, count in zip(stacks, steps, strict=True)]


def coarsened(frames_n1yx: Tensor, scale: float) -> Tensor:
    """Scale frames (N, 1, H, W) down to ``int(H * scale)`` x ``int(W * scale)`` pixels, at least 1, and up again."""
    height, width = frames_n1yx.shape[-2:]
    smaller = (max(1, int(height * scale)), max(1, int(width * scale)))
    down = functional.interpolate(frames_n1yx, smaller, mode="bilinear", align_corners=False)
    return functional.interpolate(down, (height, width), mode="bilinear", align_corners=False)
