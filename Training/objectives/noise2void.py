"""Noise2Void: hide single pixels behind random neighbours and predict them from their surroundings."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from Speckle2SelfLogic.errors import SettingsError


class Noise2Void(nn.Module):
    """Squared distance at hidden pixels, which the network sees replaced by a random neighbour.

    ``L = sum_m (f(y~) - y)^2 / sum_m 1`` over hidden pixels m, where y~ is y with each of them replaced by another
    pixel of the window around it, drawn uniformly, never itself (Krull, Buchholz and Jug, "Noise2Void - learning
    denoising from single noisy images", CVPR 2019, section 3.3). One pixel in each box of ``box_px`` x ``box_px`` is
    hidden (stratified sampling): a share of ``1 / box_px^2``, by default 64 pixels of each 64 x 64, as published.

    Assumes noise that is independent from pixel to pixel with mean zero. Speckle is correlated over several pixels: the
    neighbours give it away, and the network learns to reproduce it.

    Parameters
    ----------
    box_px
        Side of the boxes, in pixels.
    radius_px
        The window is ``2 radius_px + 1`` wide; it ends at the border of the frame. 5 as in the authors' code.
    """

    def __init__(self, box_px: int = 8, radius_px: int = 5) -> None:
        super().__init__()
        if box_px < 1 or radius_px < 1:
            message = f"box_px and radius_px must be at least 1, but are {box_px} and {radius_px}."
            raise SettingsError(message)
        self.box_px, self.radius_px = box_px, radius_px

    @property
    def share(self) -> float:
        """Share of hidden pixels."""
        return 1 / self.box_px**2

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, shape (), of a batch with ``speckled`` (N, 1, H, W), grey 0..1."""
        speckled = batch["speckled"]
        is_hidden = stratified_mask(speckled, self.box_px)
        given = torch.where(is_hidden, random_neighbours(speckled, self.radius_px), speckled)
        squared = (network(given).float() - speckled).square() * is_hidden
        return squared.sum() / is_hidden.sum().clamp(min=1)


def stratified_mask(frames_n1yx: Tensor, box_px: int) -> Tensor:
    """Return a mask (N, 1, H, W) with one random pixel in each box; boxes that the border cuts may have none."""
    count, _, height, width = frames_n1yx.shape
    rows, columns = -(-height // box_px), -(-width // box_px)
    chosen = torch.randint(box_px**2, (count, 1, rows, columns), device=frames_n1yx.device)
    boxes = functional.one_hot(chosen, box_px**2).unflatten(-1, (box_px, box_px))
    mask = boxes.permute(0, 1, 2, 4, 3, 5).reshape(count, 1, rows * box_px, columns * box_px)
    return mask[..., :height, :width].bool()


def random_neighbours(frames_n1yx: Tensor, radius_px: int) -> Tensor:
    """Return for each pixel the value of another one of its window, drawn uniformly, never its own place.

    Raises
    ------
    SettingsError
        If the frames are a single pixel, which has no neighbour.
    """
    height, width = frames_n1yx.shape[-2:]
    if height * width < 2:
        message = "A frame of one pixel has no neighbour to hide a pixel behind; give larger frames."
        raise SettingsError(message)
    y, x = (torch.arange(length, device=frames_n1yx.device) for length in (height, width))
    top, left = (y - radius_px).clamp(min=0)[:, None], (x - radius_px).clamp(min=0)[None]
    bottom, right = (y + radius_px).clamp(max=height - 1)[:, None], (x + radius_px).clamp(max=width - 1)[None]
    columns = right - left + 1
    others = (bottom - top + 1) * columns - 1
    # Count through the window without its centre: places from the centre on move by one.
    drawn = (torch.rand(frames_n1yx.shape, device=frames_n1yx.device) * others).long().clamp(max=others - 1)
    drawn = drawn + (drawn >= (y[:, None] - top) * columns + (x[None] - left))
    place = (top + drawn // columns) * width + left + drawn % columns
    return frames_n1yx.flatten(2).gather(2, place.flatten(2)).view_as(frames_n1yx)
