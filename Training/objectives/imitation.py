"""Learn from another network: a small one takes over what a larger one has learnt."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from Training.objectives.despeckler import supervised_loss
from Training.objectives.insertion import random_insertion


class Imitation(nn.Module):
    """Distance between the answers of a network and of its teacher to the same frames (Hinton et al. 2015).

    ``L = supervised_loss(f(y), g(y))`` for frames y, network f and fixed teacher g. It needs no truth: any frame
    teaches what the teacher makes of it. Where the truth is known it replaces the teacher, who is then surpassed: a
    known structure that was put into a frame is put into the teacher's answer to the frame without it, and a frame
    that is clean already has to come out as it went in.

    Parameters
    ----------
    teacher
        The network to take over from; kept fixed.
    gradient_weight, beta
        As those of `Training.objectives.despeckler.Despeckling`.
    real_share
        Share of the batch that is real frames, in place of simulated ones.
    inserted_share, clean_share
        Share of the batch that gets structures, and of simulated frames whose input is their truth.
    """

    def __init__(
        self,
        teacher: nn.Module,
        gradient_weight: float = 1.0,
        beta: float = 0.004,
        real_share: float = 0.0,
        inserted_share: float = 0.0,
        clean_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.gradient_weight, self.beta = gradient_weight, beta
        self.real_share, self.inserted_share, self.clean_share = real_share, inserted_share, clean_share
        # Kept out of the module tree: the teacher is neither trained nor saved.
        self._teacher = [copy.deepcopy(teacher).eval().requires_grad_(requires_grad=False)]

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` (N, 1, H, W), grey 0..1.

        ``real`` and ``truth``, of the same shape, are needed where `real_share` and `clean_share` are not 0.
        """
        frames, expected = self._lesson(batch)
        return supervised_loss(network(frames).float(), expected, self.gradient_weight, self.beta)

    @torch.no_grad()
    def _lesson(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Frames, the real ones first and the clean ones last, and what is to be made of them."""
        count = len(batch["speckled"])
        real, inserted, clean = (
            round(count * share) for share in (self.real_share, self.inserted_share, self.clean_share)
        )
        frames = batch["speckled"].clone()
        if real:
            frames[:real] = batch["real"][:real]
        answers = self._teacher[0].to(frames.device)(frames).float()
        if inserted:
            chosen = torch.randperm(count)[:inserted]
            insertion = random_insertion(frames[chosen])
            frames[chosen] = insertion.into_speckled(frames[chosen])
            answers[chosen] = insertion.into_clean(answers[chosen].clamp(0, 1))
        if clean:
            frames[-clean:] = answers[-clean:] = batch["truth"][-clean:]
        return frames, answers
