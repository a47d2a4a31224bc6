"""A network that any child understands: dark is lumen, grey is wall, bright is background."""

import torch
from torch import nn

from Speckle2SelfLogic.segmenter import VesselSegmenter


class DarkIsLumen(nn.Module):
    def forward(self, frames):
        levels = torch.tensor([0.9, 0.1, 0.5])[:, None, None]  # of background, lumen, wall
        return -400 * (frames - levels) ** 2


class OnlyWhatIsLeft(nn.Module):
    """Sees a lumen in the left half alone, so that a frame and its mirror image never agree."""

    def forward(self, frames):
        is_left = (torch.arange(frames.shape[-1]) < frames.shape[-1] // 2).expand_as(frames[:, 0])
        return 10.0 * torch.stack([~is_left, is_left, torch.zeros_like(is_left)], 1).float()


def a_segmenter(network=None, trusted_from=0.8, side_px=64):
    return VesselSegmenter(
        network or DarkIsLumen(), "dark", "Dark is lumen", side_px, trusted_from, torch.device("cpu")
    )
