"""Our network: a small residual U-Net at a half or a quarter of the resolution and below, without normalisation layers.

Without instance normalisation the output keeps the brightness of the input, a frame does not change when it is cropped
or when something far away in it changes, and an empty frame stays empty. The receptive field is about 250 px.
With the default settings: 0.87 M parameters and 5.6 GFLOP for a frame of 512 x 512 (a multiply and an add are two).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as nnf


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = _convolution(channels, channels)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        change: Tensor = self.second(nnf.relu(self.first(features)))
        return features + change


class Despeckler(nn.Module):
    """Despeckle frames of any size, grey 0..1.

    Parameters
    ----------
    channels
        Feature channels at 1/fold, 1/(2 fold), 1/(4 fold), ... of the resolution.
    blocks
        Residual blocks on each way down and up.
    middle_blocks
        Residual blocks at the coarsest level.
    fold
        Side of the squares of pixels that become channels, 2 or 4. With 4 the network costs half as much.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 128),
        blocks: int = 1,
        middle_blocks: int = 2,
        fold: int = 2,
    ) -> None:
        super().__init__()
        if fold not in (2, 4):
            message = f"Squares of {fold} x {fold} pixels cannot be folded; choose 2 or 4."
            raise ValueError(message)
        levels, finer, coarser = channels[:-1], channels[:-1], channels[1:]
        self.fold = fold
        self.side_multiple = fold * 2 ** len(levels)
        self.head = _convolution(fold**2, channels[0])
        self.encoder = nn.ModuleList(_stage(width, blocks) for width in levels)
        self.down = nn.ModuleList(nn.Conv2d(f, c, 2, stride=2) for f, c in zip(finer, coarser, strict=True))
        self.middle = _stage(channels[-1], middle_blocks)
        self.up = nn.ModuleList(nn.ConvTranspose2d(c, f, 2, stride=2) for f, c in zip(finer, coarser, strict=True))
        self.decoder = nn.ModuleList(_stage(width, blocks) for width in levels)
        self.tail = _convolution(channels[0], 16)
        self.last = _convolution(16 // fold**2, 1)  # at full resolution, so that no grid of squares remains

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (N, 1, H, W) to frames of the same shape; pads by replication and crops back."""
        height, width = frames.shape[-2:]
        pad_y, pad_x = -height % self.side_multiple, -width % self.side_multiple
        padded = nnf.pad(frames, (0, pad_x, 0, pad_y), mode="replicate") if pad_y or pad_x else frames
        features = self.head(nnf.pixel_unshuffle(padded, self.fold))
        skips: list[Tensor] = []
        for stage, down in zip(self.encoder, self.down, strict=True):
            features = stage(features)
            skips.append(features)
            features = down(features)
        features = self.middle(features)
        for stage, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = stage(up(features) + skips.pop())
        output: Tensor = self.last(nnf.pixel_shuffle(self.tail(features), self.fold))
        return output[..., :height, :width]


def _stage(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
