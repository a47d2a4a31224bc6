"""The published augmentation of Speckle2Self: flips and an affine map, the same for all scales of a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

CHANCE = 0.3
LARGEST_SHIFT = 0.1
"""Share of the side."""
LARGEST_ZOOM = 0.2
LARGEST_ANGLE_RAD = math.radians(30)


def augmented_alike(stacks: Sequence[Tensor], chance: float = CHANCE) -> list[Tensor]:
    """Flip and move frames at random, all stacks in the same way.

    For each frame on its own: a horizontal flip, a vertical flip, and one map that shifts by up to 10 % of each side,
    zooms by 0.8 to 1.2 and rotates by up to 30 degrees about the centre, each with probability ``chance``. Bilinear,
    black outside. The authors do this after perturbation and normalisation (their code, February 2026: albumentations
    2.0.3, ``HorizontalFlip``, ``VerticalFlip`` and ``ShiftScaleRotate``, in this order).

    Parameters
    ----------
    stacks
        Frames (N, 1, H, W), one stack for each scale.

    Returns
    -------
    list of Tensor
        Stacks of the same shape.
    """
    frames = torch.cat(list(stacks), 1)
    count = len(frames)
    for axis in (3, 2):
        frames = torch.where(_happens(count, chance, frames), frames.flip(axis), frames)
    moved = affinely_mapped(frames, *_random_map(count, frames))
    frames = torch.where(_happens(count, chance, frames), moved, frames)
    return list(frames.split(1, 1))


def affinely_mapped(frames_ncyx: Tensor, angle_rad: Tensor, zoom: Tensor, shift_xy: Tensor) -> Tensor:
    """Rotate (from x towards y) and zoom frames (N, C, H, W) about their centre, then shift by a share of the sides.

    ``angle_rad`` and ``zoom`` have shape (N,), ``shift_xy`` (N, 2). Bilinear, zero outside.
    """
    height, width = frames_ncyx.shape[-2:]
    cosine, sine = angle_rad.cos() / zoom, angle_rad.sin() / zoom
    # Where each output pixel comes from, in coordinates that run from -1 to 1 along each side.
    turn = torch.stack((cosine, sine * height / width, -sine * width / height, cosine), 1).view(-1, 2, 2)
    theta = torch.cat((turn, -turn @ (2 * shift_xy)[..., None]), 2).to(frames_ncyx.dtype)
    grid = functional.affine_grid(theta, list(frames_ncyx.shape), align_corners=False)
    return functional.grid_sample(frames_ncyx, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _happens(count: int, chance: float, like: Tensor) -> Tensor:
    return (torch.rand(count, device=like.device) < chance).view(-1, 1, 1, 1)


def _random_map(count: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    angle, zoom = torch.empty(2, count, device=like.device).uniform_(-1, 1)
    shift = torch.empty(count, 2, device=like.device).uniform_(-LARGEST_SHIFT, LARGEST_SHIFT)
    return angle * LARGEST_ANGLE_RAD, 1 + zoom * LARGEST_ZOOM, shift
