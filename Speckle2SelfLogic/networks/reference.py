"""The published network of Speckle2Self, with the parameter names of its authors' checkpoints.

X. Li, N. Navab, Z. Jiang, Speckle2Self, Medical Image Analysis 2025, 103755. Graph and names follow the code that the
authors released under the MIT licence (February 2026); their class is called ``SpeckleReductionNet``.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from Speckle2SelfLogic.errors import WeightsError
from Speckle2SelfLogic.perturbation import PerturbedScales, normalise_each_frame

CHANNELS = (32, 64, 128, 256)
STRIDE_PX = 16
"""The encoder halves each side four times, so the graph takes only sides that are multiples of 16 pixels."""
SMALLEST_SIDE_PX = 32
"""Shorter frames are padded to this: instance normalisation is not defined on a bottleneck of one pixel."""


class ReferenceNetwork(nn.Module):
    """Three encoders, one for each scale of the perturbation, and one decoder that they share. No skip connections.

    Every convolution is 3 x 3 with zero padding, followed by instance normalisation without parameters and a ReLU.
    The one-channel output layer is no exception: its grey values have lost the brightness of the input and are
    relative to the content of the frame. 7,821,825 parameters; inference uses 3,910,785 of them.

    Parameters
    ----------
    all_scales
        Whether the encoders of half and quarter scale are there, which only training uses.
    """

    def __init__(self, all_scales: bool = True) -> None:
        super().__init__()
        self.all_scales = bool(all_scales)
        self.encoder_highRes = _encoder()
        if self.all_scales:
            self.encoder_lowRes = _encoder()
            self.encoder_midRes = _encoder()
        self.decoder = _decoder()

    def forward(self, frames_n1yx: torch.Tensor) -> torch.Tensor:
        """Despeckle frames as the authors' inference does: full-scale encoder and decoder, output clamped.

        Parameters
        ----------
        frames_n1yx
            Grey frames, shape (N, 1, H, W), any range and any size; each is mapped to 0..1 by its own minimum and
            maximum first. A side that is not a multiple of 16 pixels, or is shorter than 32, is extended at its end
            by reflection and cropped again. The reflected rows and columns enter the mean and variance of every
            instance normalisation, so the strip they mirror counts twice there, and the result differs a little
            from what the same pixels give inside a frame that needs no padding. Without padding the result is the
            published one.

        Returns
        -------
        torch.Tensor
            Shape (N, 1, H, W), values 0 to 1.
        """
        height, width = frames_n1yx.shape[-2:]
        padded = _pad_by_reflection(normalise_each_frame(frames_n1yx))
        restored: torch.Tensor = self.decoder(self.encoder_highRes(padded))
        return restored[..., :height, :width].clamp(0, 1)

    def forward_scales(self, scales: PerturbedScales) -> PerturbedScales:
        """Reconstruct each scale through its own encoder and the shared decoder, as in training.

        Parameters
        ----------
        scales
            What `perturb_scales` returns, with H and W multiples of 16 and at least 32 pixels.

        Returns
        -------
        PerturbedScales
            One output for each scale, shape (N, 1, H, W), not clamped: values 0 and above.

        Raises
        ------
        WeightsError
            If the network was built, or its weights were stored, without the encoders of the other scales.
        """
        if not self.all_scales:
            message = "These weights hold the full-scale encoder alone: they despeckle, but cannot be trained on."
            raise WeightsError(message)
        return PerturbedScales(
            full=self.decoder(self.encoder_highRes(scales.full)),
            half=self.decoder(self.encoder_midRes(scales.half)),
            quarter=self.decoder(self.encoder_lowRes(scales.quarter)),
        )


def published_loss(outputs: PerturbedScales, inputs: PerturbedScales) -> torch.Tensor:
    """Return the published training loss: reconstruction of each scale plus agreement between the scales.

    ``sum_s mean((o_s - x_s)^2) + mean|o_f - o_q| + mean|o_f - o_h| + mean|o_q - o_h|`` for outputs o and perturbed
    inputs x at full (f), half (h) and quarter (q) scale. All six weights are 1 and gradients flow through both sides
    of every difference (Li, Navab, Jiang 2025; weights from the authors' two training configurations).

    Parameters
    ----------
    outputs, inputs
        Frames of shape (N, 1, H, W): what `ReferenceNetwork.forward_scales` returned and what it was given.

    Returns
    -------
    torch.Tensor
        One number, at least 0.
    """
    full, half, quarter = outputs
    pairs = ((full, quarter), (full, half), (quarter, half))
    reconstruction = [functional.mse_loss(output, given) for output, given in zip(outputs, inputs, strict=True)]
    consistency = [functional.l1_loss(one, other) for one, other in pairs]
    return torch.stack(reconstruction + consistency).sum()


class _NormalisedConvolution(nn.Module):
    """Convolution, instance normalisation without parameters, and (unless told otherwise) ReLU."""

    def __init__(self, conv: nn.Module, has_relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.has_relu = has_relu

    def forward(self, features_ncyx: torch.Tensor) -> torch.Tensor:
        normalised = functional.instance_norm(self.conv(features_ncyx))
        return functional.relu(normalised) if self.has_relu else normalised


class _ResidualBlock(nn.Module):
    """Two normalised convolutions, the second without ReLU, added to their input; no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.model = nn.Sequential(_NormalisedConvolution(first), _NormalisedConvolution(second, has_relu=False))

    def forward(self, features_ncyx: torch.Tensor) -> torch.Tensor:
        correction: torch.Tensor = self.model(features_ncyx)
        return features_ncyx + correction


def _encoder() -> nn.Sequential:
    """Four times: halve each side, then a residual block. (N, 1, H, W) becomes (N, 256, H/16, W/16)."""
    stages = nn.Sequential()
    for level, (given, made) in enumerate(pairwise((1, *CHANNELS)), start=1):
        halve = nn.Conv2d(given, made, 3, stride=2, padding=1)
        stages.add_module(f"conv_block_{level}", _NormalisedConvolution(halve))
        stages.add_module(f"residual_block_{level if made < CHANNELS[-1] else 'end'}", _ResidualBlock(made))
    return stages


def _decoder() -> nn.Sequential:
    """Residual block, then four times: double each side, residual block (not after the last). (N, 1, H, W) again."""
    narrowing = (*reversed(CHANNELS), 1)
    stages = nn.Sequential()
    stages.add_module("residual_block_start", _ResidualBlock(narrowing[0]))
    for level, (given, made) in enumerate(pairwise(narrowing), start=1):
        double = nn.ConvTranspose2d(given, made, 3, stride=2, padding=1, output_padding=1)
        stages.add_module(f"conv_block_{level}", _NormalisedConvolution(double))
        if made > 1:
            stages.add_module(f"residual_block_{level}", _ResidualBlock(made))
    return stages


def _pad_by_reflection(frames_n1yx: torch.Tensor) -> torch.Tensor:
    for axis in (-2, -1):
        length = frames_n1yx.shape[axis]
        padded = max(SMALLEST_SIDE_PX, -(-length // STRIDE_PX) * STRIDE_PX)
        if padded != length:
            mirrored = torch.tensor(_reflected_positions(length, padded), device=frames_n1yx.device)
            frames_n1yx = frames_n1yx.index_select(axis, mirrored)
    return frames_n1yx


def _reflected_positions(length: int, padded: int) -> list[int]:
    """Positions 0 .. length-1, then back and forth without repeating the edge, until there are ``padded`` of them."""
    period = max(1, 2 * (length - 1))
    return [min(position % period, period - position % period) % length for position in range(padded)]
