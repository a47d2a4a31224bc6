"""Neighbor2Neighbor: two neighbouring pixels of each 2 x 2 cell serve as two noisy pictures of one scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

PAIRS = ((0, 1), (0, 2), (1, 3), (2, 3), (1, 0), (2, 0), (3, 1), (3, 2))
"""Pairs of pixels of a 2 x 2 cell (numbered 0 1 / 2 3) that share a side, in both orders."""


class Cells(NamedTuple):
    """Which pixel of each cell goes into the first and the second picture; both (N, 1, H/2, W/2), values 0 to 3."""

    first: Tensor
    second: Tensor


class Neighbor2Neighbor(nn.Module):
    """Predict one half-size picture from another, with a term for the difference between the two.

    For sub-samplers g1, g2 that take neighbouring pixels of each 2 x 2 cell (Huang et al., "Neighbor2Neighbor:
    self-supervised denoising from single noisy images", CVPR 2021, eq. 9 to 11)::

        L = mean (f(g1 y) - g2 y)^2 + gamma * mean (f(g1 y) - g2 y - (g1 f(y) - g2 f(y)))^2

    where f(y) gets no gradient. Both weights of the sum are 1 and gamma is 2, as published. In the authors' code gamma
    grows linearly from 0 over the whole training; ``ramp_steps`` does that (0: gamma at once).

    Assumes noise of mean zero, independent between neighbouring pixels. Speckle is wider than a pixel, so both pictures
    carry the same speckle, which is then kept as if it were the scene.

    Parameters
    ----------
    gamma
        Weight of the regulariser.
    ramp_steps
        Number of training steps over which gamma grows from 0. The steps taken are kept in the buffer ``steps_done``.
    """

    steps_done: Tensor

    def __init__(self, gamma: float = 2.0, ramp_steps: int = 0) -> None:
        super().__init__()
        self.gamma, self.ramp_steps = gamma, ramp_steps
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` (N, 1, H, W), grey 0..1, sides at least 2."""
        speckled = batch["speckled"]
        cells = random_cells(speckled)
        with torch.no_grad():
            denoised = network(speckled).float()
        difference = network(sub_sampled(speckled, cells.first)).float() - sub_sampled(speckled, cells.second)
        expected = sub_sampled(denoised, cells.first) - sub_sampled(denoised, cells.second)
        loss = difference.square().mean() + self._gamma() * (difference - expected).square().mean()
        if self.training:
            self.steps_done += 1
        return loss

    def _gamma(self) -> Tensor | float:
        if self.ramp_steps <= 0:
            return self.gamma
        return self.gamma * (self.steps_done / self.ramp_steps).clamp(max=1)


def random_cells(frames_n1yx: Tensor) -> Cells:
    """Draw one of the eight `PAIRS` for each 2 x 2 cell of each frame."""
    count, _, height, width = frames_n1yx.shape
    pairs = torch.tensor(PAIRS, device=frames_n1yx.device)
    drawn = pairs[torch.randint(len(PAIRS), (count, 1, height // 2, width // 2), device=frames_n1yx.device)]
    return Cells(drawn[..., 0], drawn[..., 1])


def sub_sampled(frames_n1yx: Tensor, pixel_of_cell: Tensor) -> Tensor:
    """Take one pixel of each 2 x 2 cell: (N, 1, H, W) becomes (N, 1, H/2, W/2). Odd last rows and columns go."""
    height, width = (2 * length for length in pixel_of_cell.shape[-2:])
    cells = nn.functional.pixel_unshuffle(frames_n1yx[..., :height, :width], 2)
    return cells.gather(1, pixel_of_cell)
