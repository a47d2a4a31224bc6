"""Zero-Shot Noise2Noise: two diagonal halves of each 2 x 2 cell as noisy pictures of one scene, fitted per frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from Speckle2SelfLogic.runtime import Float32
from Training.per_image.fitting import despeckle_each, fit_one_image


@dataclass(frozen=True)
class ZeroShotNoise2Noise:
    """ZS-N2N (Mansour and Heckel, "Zero-Shot Noise2Noise", CVPR 2023), a `FrameDespeckler`. Settings as published."""

    iterations: int = 2000
    learning_rate: float = 1e-3
    halve_every: int = 1000
    channels: int = 48
    seed: int = 0
    device: str = "auto"

    name = "zs_n2n"
    title = "Zero-Shot Noise2Noise"
    citation = "Mansour and Heckel, CVPR 14018-14027, 2023"

    def despeckle(self, frames_nyx: Float32) -> Float32:
        """Fit and despeckle each frame (N, Y, X), grey 0..1."""
        return despeckle_each(frames_nyx, self._fit, seed=self.seed, device=self.device)

    def _fit(self, frame_11yx: Tensor) -> Tensor:
        network = fit_one_image(
            residual_network(self.channels),
            DownSampledPair(),
            frame_11yx,
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            halve_every=self.halve_every,
        )
        with torch.inference_mode():
            return (frame_11yx - network(frame_11yx)).clamp(0, 1)


class DownSampledPair(nn.Module):
    """Symmetric residual loss and consistency of ZS-N2N (eq. 5 to 8).

    With ``D1 y``, ``D2 y`` the means of the two diagonals of each 2 x 2 cell and f the noise that the network finds::

        L_res = mean (D1 y - f(D1 y) - D2 y)^2 / 2 + mean (D2 y - f(D2 y) - D1 y)^2 / 2
        L_cons = mean (D1 y - f(D1 y) - D1(y - f(y)))^2 / 2 + mean (D2 y - f(D2 y) - D2(y - f(y)))^2 / 2
        L = L_res + L_cons

    Assumes noise of mean zero, independent between pixels, so that the two halves carry independent noise. Those of
    correlated speckle do not.
    """

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of ``speckled`` (N, 1, H, W), grey 0..1, sides at least 2."""
        speckled = batch["speckled"]
        first, second = diagonal_means(speckled)
        clean_first, clean_second = first - network(first), second - network(second)
        down_first, down_second = diagonal_means(speckled - network(speckled))
        residual = functional.mse_loss(clean_first, second) + functional.mse_loss(clean_second, first)
        consistency = functional.mse_loss(clean_first, down_first) + functional.mse_loss(clean_second, down_second)
        return (residual + consistency) / 2


def diagonal_means(frames_n1yx: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means of both diagonals of each 2 x 2 cell, rising one first, each (N, 1, H/2, W/2)."""
    height, width = (length // 2 * 2 for length in frames_n1yx.shape[-2:])
    top, bottom = frames_n1yx[..., :height:2, :width], frames_n1yx[..., 1:height:2, :width]
    return (top[..., 1::2] + bottom[..., ::2]) / 2, (top[..., ::2] + bottom[..., 1::2]) / 2


def residual_network(channels: int) -> nn.Sequential:
    """Return the published network: 3x3, 3x3 and 1x1 convolutions with leaky ReLU (0.2); it answers with the noise."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, 1, 1),
    )
