"""Our network: a small residual U-Net at a half or a quarter of the resolution and below, without normalisation layers.

Without instance normalisation the output keeps the brightness of the input, a frame does not change when it is cropped
or when something far away in it changes, and an empty frame stays empty. The receptive field is about 250 px.
With the default settings: 0.87 M parameters and 5.6 GFLOP for a frame of 512 x 512 (a multiply and an add are two).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as nnf


def _convolution(channels_in: int, channels_out: int, side_px: int = 3, groups: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, side_px, padding=side_px // 2, groups=groups)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity; starts as the identity.

    Both are 3x3. With ``group_channels`` the first connects only so many channels with each other, and the second is a
    1x1 convolution that connects all of them: a fifth of the cost at four groups (Xie et al. 2017, ResNeXt).
    """

    def __init__(self, channels: int, group_channels: int = 0) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, groups=channels // (group_channels or channels))
        self.second = _convolution(channels, channels, side_px=1 if group_channels else 3)
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
        Side of the squares of pixels that become channels, 2 or 4. A coarser network costs less and blurs more, unless
        it has many channels for each pixel, which ``group_channels`` makes cheap.
    group_channels
        Channels that the 3x3 convolutions of a block connect, see `ResidualBlock`; 0: all.
    finest_blocks
        Residual blocks on the way down and up at the finest level, if other than ``blocks``.
    ends_px
        Side of the kernels of the first and the last but one convolution.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 128),
        blocks: int = 1,
        middle_blocks: int = 2,
        fold: int = 2,
        group_channels: int = 0,
        finest_blocks: Sequence[int] = (),
        ends_px: int = 3,
    ) -> None:
        super().__init__()
        if fold not in (2, 4):
            message = f"Squares of {fold} x {fold} pixels cannot be folded; choose 2 or 4."
            raise ValueError(message)
        levels, finer, coarser = channels[:-1], channels[:-1], channels[1:]
        self.fold = fold
        self.side_multiple = fold * 2 ** len(levels)
        down, up = finest_blocks or (blocks, blocks)
        counts_down, counts_up = ([count] + [blocks] * (len(levels) - 1) for count in (down, up))
        self.head = _convolution(fold**2, channels[0], ends_px)
        self.encoder = nn.ModuleList(map(partial(_stage, group_channels=group_channels), levels, counts_down))
        self.down = nn.ModuleList(nn.Conv2d(f, c, 2, stride=2) for f, c in zip(finer, coarser, strict=True))
        self.middle = _stage(channels[-1], middle_blocks, group_channels)
        self.up = nn.ModuleList(nn.ConvTranspose2d(c, f, 2, stride=2) for f, c in zip(finer, coarser, strict=True))
        self.decoder = nn.ModuleList(map(partial(_stage, group_channels=group_channels), levels, counts_up))
        self.tail = _convolution(channels[0], 16, ends_px)
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


def _stage(channels: int, blocks: int, group_channels: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, group_channels) for _ in range(blocks)))
