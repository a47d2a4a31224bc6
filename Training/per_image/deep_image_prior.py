"""Deep image prior: a network without data that draws the frame, stopped before it draws the speckle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from Speckle2SelfLogic.runtime import Float32
from Training.per_image.fitting import despeckle_each, fit_one_image


@dataclass(frozen=True)
class DeepImagePrior:
    """Deep image prior (Ulyanov, Vedaldi and Lempitsky, CVPR 2018), a `FrameDespeckler`.

    ``min_theta mean (f_theta(z) - y)^2`` for a fixed random z, stopped after ``iterations`` steps; the answer is the
    running average of the outputs. It has no noise model: it relies on a network learning smooth structure first, and
    speckle grains of several pixels come sooner than white noise does.

    Parameters
    ----------
    iterations, learning_rate, jitter, memory
        2400, 0.01, 1/30 and 0.99 in the authors' code for a noisy photograph ("snail"). ``jitter`` is the standard
        deviation of noise added to z in each step, ``memory`` the share that the running average keeps.
    widths, skip_widths, input_channels
        Channels at each level, of the skip connections, and of z; the defaults are those of the same example. The
        authors' larger network for white noise has (128,) * 5, (4,) * 5 and 32, and 3000 iterations.
    """

    iterations: int = 2400
    learning_rate: float = 0.01
    jitter: float = 1 / 30
    memory: float = 0.99
    widths: tuple[int, ...] = (8, 16, 32, 64, 128)
    skip_widths: tuple[int, ...] = (0, 0, 0, 4, 4)
    input_channels: int = 3
    seed: int = 0
    device: str = "auto"

    name = "deep_image_prior"
    title = "Deep image prior"
    citation = "Ulyanov et al., CVPR 9446-9454, 2018"

    def despeckle(self, frames_nyx: Float32) -> Float32:
        """Fit and despeckle each frame (N, Y, X), grey 0..1."""
        return despeckle_each(frames_nyx, self._fit, seed=self.seed, device=self.device)

    def _fit(self, frame_11yx: Tensor) -> Tensor:
        network = SkipNetwork(self.input_channels, tuple(self.widths), tuple(self.skip_widths))
        objective = DrawnFromNoise(frame_11yx, self.input_channels, self.jitter, self.memory)
        fit_one_image(network, objective, frame_11yx, iterations=self.iterations, learning_rate=self.learning_rate)
        return objective.average.clamp(0, 1)


class DrawnFromNoise(nn.Module):
    """Squared distance of what the network draws from fixed noise; keeps a running average of the drawings.

    z is uniform in 0..0.1, as published. ``average`` (N, 1, H, W) starts with the first drawing.
    """

    average: Tensor
    noise: Tensor

    def __init__(self, frame_n1yx: Tensor, input_channels: int, jitter: float, memory: float) -> None:
        super().__init__()
        self.jitter, self.memory, self.has_drawn = jitter, memory, False
        count, _, height, width = frame_n1yx.shape
        noise = torch.rand(count, input_channels, height, width, device=frame_n1yx.device)
        self.register_buffer("noise", noise / 10)
        self.register_buffer("average", torch.zeros_like(frame_n1yx))

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of ``speckled`` (N, 1, H, W), grey 0..1."""
        drawn = network(self.noise + self.jitter * torch.randn_like(self.noise))
        memory = self.memory if self.has_drawn else 0.0
        self.average.mul_(memory).add_(drawn.detach(), alpha=1 - memory)
        self.has_drawn = True
        return functional.mse_loss(drawn, batch["speckled"])


class SkipNetwork(nn.Module):
    """The authors' hourglass: each level halves the frame, works below, doubles it, and joins a thin skip connection.

    Every convolution has mirrored borders, batch normalisation and a leaky ReLU (0.2); the last one a sigmoid.
    Maps (N, ``input_channels``, H, W) to (N, 1, H, W).
    """

    def __init__(self, input_channels: int, widths: tuple[int, ...], skip_widths: tuple[int, ...]) -> None:
        super().__init__()
        body = _Level(input_channels, widths, skip_widths)
        self.layers = nn.Sequential(body, nn.Conv2d(widths[0], 1, 1), nn.Sigmoid())

    def forward(self, noise: Tensor) -> Tensor:
        """Draw a frame."""
        frame: Tensor = self.layers(noise)
        return frame


class _Level(nn.Module):
    """One level of the hourglass with all levels below it."""

    def __init__(self, given: int, widths: tuple[int, ...], skip_widths: tuple[int, ...]) -> None:
        super().__init__()
        width, skip = widths[0], skip_widths[0]
        self.skip = _layer(given, skip, 1) if skip else None
        self.down = nn.Sequential(_layer(given, width, 3, stride=2), _layer(width, width, 3))
        self.below = _Level(width, widths[1:], skip_widths[1:]) if len(widths) > 1 else nn.Identity()
        joined = skip + (widths[1] if len(widths) > 1 else width)
        self.up = nn.Sequential(nn.BatchNorm2d(joined), _layer(joined, width, 3), _layer(width, width, 1))

    def forward(self, features: Tensor) -> Tensor:
        below = self.below(self.down(features))
        below = functional.interpolate(below, features.shape[-2:], mode="bilinear", align_corners=False)
        joined = below if self.skip is None else torch.cat((self.skip(features), below), 1)
        answer: Tensor = self.up(joined)
        return answer


def _layer(given: int, made: int, kernel_px: int, stride: int = 1) -> nn.Sequential:
    # Mirrored borders as published, but with their outermost pixel: that also works where one pixel is left.
    convolution = nn.Conv2d(given, made, kernel_px, stride, padding=kernel_px // 2, padding_mode="replicate")
    return nn.Sequential(convolution, nn.BatchNorm2d(made), nn.LeakyReLU(0.2))
