"""Noise2Noise: learn from a second speckle realisation of the same scene."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from Training.objectives.batches import DistanceName, distance_named, frames_of


class Noise2Noise(nn.Module):
    """Predict one speckled frame from another one of the same scene.

    ``L = mean d(f(y), y')``, or with both directions ``(mean d(f(y), y') + mean d(f(y'), y)) / 2``, for two frames
    y, y' of one scene (Lehtinen et al., "Noise2Noise: learning image restoration without clean data", ICML 2018,
    eq. 6).

    Assumes that the speckle of y' is independent of that of y given the scene, with the squared distance also that its
    mean is the truth; with the absolute distance its median. Log-compressed speckle has a mean below the grey of the
    mean echo, so that the answer is darker than the truth of our simulation: read scale-fitted figures.

    Parameters
    ----------
    distance
        ``"l2"`` (mean) or ``"l1"`` (median).
    is_symmetric
        Whether to take both directions; each batch then costs twice as much.
    """

    def __init__(self, distance: DistanceName = "l2", is_symmetric: bool = False) -> None:
        super().__init__()
        self.distance, self.is_symmetric = distance_named(distance), is_symmetric

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` and ``second``, both (N, 1, H, W), grey 0..1."""
        speckled, second = batch["speckled"], frames_of(batch, "second", "Noise2Noise")
        loss = self.distance(network(speckled).float(), second)
        if self.is_symmetric:
            loss = (loss + self.distance(network(second).float(), speckled)) / 2
        return loss
