"""Noise2True: learn from the speckle-free truth, which only simulation has. The ceiling of all other methods."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from Training.objectives.batches import DistanceName, distance_named, frames_of


class Noise2True(nn.Module):
    """Distance between the despeckled frame and the truth.

    ``L = mean d(f(y), x)`` for speckled frames y, truth x, with d(a, b) = |a - b| (``"l1"``) or (a - b)^2 (``"l2"``).

    Assumes nothing about the noise: the pairs say everything. The minimum of the squared distance is the mean of all
    truths that a frame can have, that of the absolute distance their median. Plain regression on clean targets, as in
    Zhang et al., "Beyond a Gaussian denoiser", IEEE TIP 26(7), 2017, eq. 1 (with d squared and a residual network).

    Parameters
    ----------
    distance
        ``"l1"`` or ``"l2"``.
    """

    def __init__(self, distance: DistanceName = "l1") -> None:
        super().__init__()
        self.distance = distance_named(distance)

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` and ``truth``, both (N, 1, H, W), grey 0..1."""
        truth = frames_of(batch, "truth", "Noise2True")
        return self.distance(network(batch["speckled"]).float(), truth)
