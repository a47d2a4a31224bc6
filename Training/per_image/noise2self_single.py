"""Noise2Self on a single frame: the network learns from the frame that it despeckles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from Speckle2SelfLogic.runtime import Float32
from Training.objectives.noise2self import Noise2Self, grid_mask, interpolated
from Training.per_image.fitting import despeckle_each, fit_one_image


@dataclass(frozen=True)
class SingleFrameNoise2Self:
    """Noise2Self fitted per frame (Batson and Royer, ICML 2019, section 4), a `FrameDespeckler`.

    The network is a DnCNN as in the authors' example for one frame, smaller for the sake of CPUs. Our own backbone
    learns too slowly for a single frame: without normalisation layers its answer was still worse than its input after
    500 steps. The answer at each pixel is the one that did not see it: the network runs once for each phase of the
    grid, and each run gives the pixels that were hidden in it.
    """

    iterations: int = 500
    learning_rate: float = 5e-3
    spacing_px: int = 4
    layers: int = 6
    channels: int = 24
    seed: int = 0
    device: str = "auto"

    name = "noise2self_single"
    title = "Noise2Self, single frame"
    citation = "Batson and Royer, ICML 97:524-533, 2019"

    def despeckle(self, frames_nyx: Float32) -> Float32:
        """Fit and despeckle each frame (N, Y, X), grey 0..1."""
        return despeckle_each(frames_nyx, self._fit, seed=self.seed, device=self.device)

    def _fit(self, frame_11yx: Tensor) -> Tensor:
        network = fit_one_image(
            plain_network(self.layers, self.channels),
            Noise2Self(self.spacing_px),
            frame_11yx,
            iterations=self.iterations,
            learning_rate=self.learning_rate,
        )
        return invariant_answer(network, frame_11yx, self.spacing_px).clamp(0, 1)


@torch.inference_mode()
def invariant_answer(network: nn.Module, frames_n1yx: Tensor, spacing_px: int) -> Tensor:
    """Return the J-invariant answer (N, 1, H, W): no output pixel depends on the same pixel of the input."""
    answer = torch.zeros_like(frames_n1yx)
    for phase in range(spacing_px**2):
        is_hidden = grid_mask(frames_n1yx, spacing_px, phase)
        answer = torch.where(is_hidden, network(interpolated(frames_n1yx, is_hidden)), answer)
    return answer


def plain_network(layers: int, channels: int) -> nn.Sequential:
    """Return a DnCNN (Zhang et al., IEEE TIP 26(7), 2017) that answers with the frame and not with its noise.

    Convolutions 3x3 with batch normalisation and ReLU; the first has no normalisation, the last neither.
    """
    stages: list[nn.Module] = [nn.Conv2d(1, channels, 3, padding=1), nn.ReLU()]
    for _ in range(layers - 2):
        stages += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*stages, nn.Conv2d(channels, 1, 3, padding=1))
