"""Noise2Self: predict a grid of pixels from all others, with a function that cannot see the grid."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from Speckle2SelfLogic.errors import SettingsError

NEIGHBOURS = ((0.5, 1.0, 0.5), (1.0, 0.0, 1.0), (0.5, 1.0, 0.5))
"""Weights of the eight neighbours that stand in for a hidden pixel (sum 6)."""


class Noise2Self(nn.Module):
    """Squared distance on a grid of pixels that the network sees only as the mean of their neighbours.

    ``L = mean over J of (f(y_J) - y)^2``; y_J is y with the pixels of the grid J interpolated from the eight around
    them (`NEIGHBOURS`), which makes ``f(y_J)`` on J independent of y on J: f is J-invariant (Batson and Royer,
    "Noise2Self: blind denoising by self-supervision", ICML 2019, eq. 3 and section 4). The grid takes every
    ``spacing_px``-th row and column; its phase is drawn anew for each batch.

    Assumes that the noise on J is independent of the noise outside and has mean zero. Correlated speckle breaks that.

    Parameters
    ----------
    spacing_px
        Distance of hidden pixels along rows and columns, at least 2; 4 as in the authors' code.
    """

    def __init__(self, spacing_px: int = 4) -> None:
        super().__init__()
        if spacing_px < 2:
            message = f"spacing_px must be at least 2, or neighbours would be hidden too, but is {spacing_px}."
            raise SettingsError(message)
        self.spacing_px = spacing_px

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` (N, 1, H, W), grey 0..1."""
        speckled = batch["speckled"]
        is_hidden = grid_mask(speckled, self.spacing_px, int(torch.randint(self.spacing_px**2, ())))
        squared = (network(interpolated(speckled, is_hidden)).float() - speckled).square() * is_hidden
        return squared.sum() / (is_hidden.sum() * len(speckled)).clamp(min=1)


def grid_mask(frames_n1yx: Tensor, spacing_px: int, phase: int) -> Tensor:
    """Return a mask (1, 1, H, W) of every n-th row and column; phases 0 .. n^2 - 1 hide each pixel once."""
    height, width = frames_n1yx.shape[-2:]
    first_row, first_column = divmod(phase, spacing_px)
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool, device=frames_n1yx.device)
    mask[..., first_row::spacing_px, first_column::spacing_px] = True
    return mask


def interpolated(frames_n1yx: Tensor, is_hidden: Tensor) -> Tensor:
    """Replace hidden pixels by the weighted mean of their neighbours.

    At the border the frame is mirrored about its outermost pixels, so that the neighbours of a hidden pixel are never
    the pixel itself. Needs at least 2 x 2 pixels.
    """
    kernel = frames_n1yx.new_tensor(NEIGHBOURS)[None, None]
    around = functional.conv2d(functional.pad(frames_n1yx, (1, 1, 1, 1), mode="reflect"), kernel / kernel.sum())
    return torch.where(is_hidden, around.to(frames_n1yx.dtype), frames_n1yx)
