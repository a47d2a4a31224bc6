"""Learn from another network: a small one takes over what a larger one has learnt."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from Training.objectives.despeckler import supervised_loss


class Imitation(nn.Module):
    """Distance between the answers of a network and of its teacher to the same frames (Hinton et al. 2015).

    ``L = supervised_loss(f(y), g(y))`` for frames y, network f and fixed teacher g. It needs no truth: any frame
    teaches what the teacher makes of it.

    Parameters
    ----------
    teacher
        The network to take over from; kept fixed.
    gradient_weight, beta
        As those of `Training.objectives.despeckler.Despeckling`.
    """

    def __init__(self, teacher: nn.Module, gradient_weight: float = 1.0, beta: float = 0.004) -> None:
        super().__init__()
        self.gradient_weight, self.beta = gradient_weight, beta
        # Kept out of the module tree: the teacher is neither trained nor saved.
        self._teacher = [copy.deepcopy(teacher).eval().requires_grad_(requires_grad=False)]

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled``, (N, 1, H, W), grey 0..1."""
        frames = batch["speckled"]
        with torch.no_grad():
            answer = self._teacher[0].to(frames.device)(frames).float()
        return supervised_loss(network(frames).float(), answer, self.gradient_weight, self.beta)
