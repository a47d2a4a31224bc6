"""An objective that needs no truth, on simulated and real frames together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class RealFramesToo(nn.Module):
    """Give an objective a batch whose speckled frames are partly real ones.

    Parameters
    ----------
    objective
        Any objective that reads ``speckled`` alone.
    real_share
        Share of the batch that is taken from ``real``; the rest stays simulated.
    """

    def __init__(self, objective: nn.Module, real_share: float = 0.5) -> None:
        super().__init__()
        self.objective, self.real_share = objective, real_share

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` and ``real``, both (N, 1, H, W), grey 0..1."""
        real = batch["real"]
        count = round(len(real) * self.real_share)
        loss: Tensor = self.objective(network, {"speckled": torch.cat([batch["speckled"][count:], real[:count]])})
        return loss
