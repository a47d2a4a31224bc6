"""Our segmentation network: a small U-Net for frames on a fixed grid, which says for each pixel what it is.

It works at half resolution and below, like the despeckling network, and forms its answer at full resolution, because
the wall of a carotid artery is only a few pixels thick there. Group normalisation (Wu & He, ECCV 2018) makes it
indifferent to gain; frames are brought to the grid as a whole (see `Speckle2SelfLogic.working_grid`), none is tiled.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

_CHANNELS_PER_GROUP = 8


class NormalisedBlock(nn.Module):
    """Two 3x3 convolutions with group normalisation beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.first_norm = nn.GroupNorm(channels // _CHANNELS_PER_GROUP, channels)
        self.second_norm = nn.GroupNorm(channels // _CHANNELS_PER_GROUP, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        change = nnf.relu(self.first_norm(self.first(features)))
        changed: Tensor = nnf.relu(features + self.second_norm(self.second(change)))
        return changed


class Segmenter(nn.Module):
    """Tell classes apart on frames of a fixed grid, grey 0..1.

    Parameters
    ----------
    channels
        Feature channels at 1/2, 1/4, 1/8, ... of the resolution, multiples of 8.
    classes
        Number of classes with the background, which is class 0.
    side_px
        Rows and columns of the grid that the weights were trained on, a multiple of ``2 ** len(channels)``.
    trusted_from
        Lowest quality, 0..1, from which an answer of these weights may be taken as a first contour (see
        `Speckle2SelfLogic.segmentation_quality`). It belongs to the weights: it is chosen on frames held out.

    Raises
    ------
    ValueError
        If the numbers do not go together.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 96, 96),
        classes: int = 3,
        side_px: int = 192,
        trusted_from: float = 0.0,
    ) -> None:
        super().__init__()
        multiple = 2 ** len(channels)
        if any(width % _CHANNELS_PER_GROUP for width in channels) or side_px % multiple or not 0 <= trusted_from <= 1:
            message = (
                f"channels must be multiples of {_CHANNELS_PER_GROUP}, side_px a multiple of {multiple} and "
                f"trusted_from 0 to 1, but they are {tuple(channels)}, {side_px} and {trusted_from}"
            )
            raise ValueError(message)
        self.classes, self.side_px, self.trusted_from = int(classes), int(side_px), float(trusted_from)
        finer, coarser = channels[:-1], channels[1:]
        self.head = nn.Conv2d(4, channels[0], 3, padding=1)
        self.encoder = nn.ModuleList(NormalisedBlock(width) for width in finer)
        self.down = nn.ModuleList(nn.Conv2d(f, c, 2, stride=2) for f, c in zip(finer, coarser, strict=True))
        self.middle = nn.Sequential(NormalisedBlock(channels[-1]), NormalisedBlock(channels[-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(c, f, 2, stride=2) for f, c in zip(finer, coarser, strict=True))
        self.decoder = nn.ModuleList(NormalisedBlock(width) for width in finer)
        self.tail = nn.Conv2d(channels[0], 32, 3, padding=1)
        self.last = nn.Conv2d(9, self.classes, 3, padding=1)  # 8 features and the frame itself, at full resolution

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (N, 1, H, W), sides multiples of ``2 ** len(channels)``, to logits (N, classes, H, W)."""
        features = self.head(nnf.pixel_unshuffle(frames, 2))
        skips: list[Tensor] = []
        for stage, down in zip(self.encoder, self.down, strict=True):
            features = stage(features)
            skips.append(features)
            features = down(features)
        features = self.middle(features)
        for stage, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = stage(up(features) + skips.pop())
        fine = nnf.relu(nnf.pixel_shuffle(self.tail(features), 2))
        logits: Tensor = self.last(torch.cat([fine, frames], 1))
        return logits
