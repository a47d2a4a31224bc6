"""Speckle2Self as published, with the switches of its ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.networks.reference import ReferenceNetwork
from Training.objectives.augmentation import augmented_alike
from Training.objectives.batches import DistanceName, distance_named
from Training.objectives.scales import checked_scales, matched_scales, perturbed


class Speckle2Self(nn.Module):
    """Reconstruct each scale of the perturbation and agree between scales.

    With outputs o_s for the frames x_s at scales s (Li, Navab and Jiang, Medical Image Analysis 2025, 103755; read from
    the authors' code and figures)::

        L = sum_s mean (o_s - x_s)^2 + sum_{s > t} mean |o_s - o_t|

    x_s is resampled, mapped to 0..1 for each scale on its own, then augmented alike at all scales. With the defaults
    and `ReferenceNetwork` this is `Speckle2SelfLogic.networks.reference.published_loss`.

    Assumes that anatomy is the same at every scale and speckle is not (low rank plus sparse): true as far as the
    resampling is coarser than the speckle.

    Parameters
    ----------
    scales
        From 1 downwards, such as (1,), (1, .5), (1, .5, .25) or (1, .5, .25, .125).
    consistency, reconstruction
        Distance between scales and to the input: ``"l1"`` or ``"l2"``. Published: l1 and l2.
    consistency_weight
        Factor of the second sum; 1 as published.
    stops_gradient
        True: in each pair only the coarser output follows the finer one. Published: False.
    fits_speckle
        True: scales are moved to the size of the speckle (`matched_scales`). Published: False.
    normalises, augments
        Whether x_s is mapped to 0..1, and augmented. Published: both.

    Notes
    -----
    `ReferenceNetwork` has one encoder for each of up to three scales, finest first. Any other network is applied to
    every scale: one encoder for all.
    """

    def __init__(
        self,
        scales: Sequence[float] = (1.0, 0.5, 0.25),
        consistency: DistanceName = "l1",
        reconstruction: DistanceName = "l2",
        consistency_weight: float = 1.0,
        stops_gradient: bool = False,
        fits_speckle: bool = False,
        normalises: bool = True,
        augments: bool = True,
    ) -> None:
        super().__init__()
        self.scales = checked_scales(scales)
        self.consistency, self.reconstruction = distance_named(consistency), distance_named(reconstruction)
        self.consistency_weight, self.stops_gradient = consistency_weight, stops_gradient
        self.fits_speckle, self.normalises, self.augments = fits_speckle, normalises, augments

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` (N, 1, H, W), grey 0..1."""
        inputs = self.inputs(batch["speckled"])
        return self.loss_of([output.float() for output in outputs_at_scales(network, inputs)], inputs)

    def inputs(self, frames_n1yx: Tensor) -> list[Tensor]:
        """Return what the network is given: one stack (N, 1, H, W) for each scale."""
        scales = matched_scales(frames_n1yx, self.scales) if self.fits_speckle else self.scales
        stacks = perturbed(frames_n1yx, scales, normalises=self.normalises)
        return augmented_alike(stacks) if self.augments else stacks

    def loss_of(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Return the loss for given outputs and inputs, finest scale first."""
        terms = [self.reconstruction(output, given) for output, given in zip(outputs, inputs, strict=True)]
        for finer, coarser in combinations(outputs, 2):
            target = finer.detach() if self.stops_gradient else finer
            terms.append(self.consistency_weight * self.consistency(target, coarser))
        return torch.stack(terms).sum()


def outputs_at_scales(network: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Apply a network to each scale, finest first; `ReferenceNetwork` through its own encoder for each.

    Raises
    ------
    SettingsError
        If the published network is given more scales than it has encoders.
    """
    if not isinstance(network, ReferenceNetwork):
        return [network(stack) for stack in inputs]
    encoders = (network.encoder_highRes, network.encoder_midRes, network.encoder_lowRes)
    if len(inputs) > len(encoders):
        message = f"The published network has three encoders, but was given {len(inputs)} scales: choose another one."
        raise SettingsError(message)
    return [network.decoder(encoder(stack)) for encoder, stack in zip(encoders, inputs, strict=False)]
