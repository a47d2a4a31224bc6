"""The fixed grid that a segmentation network works on, and the way there and back.

A frame, or the window of it that holds tissue, is scaled as a whole so that its pixels become square and its longer
side fills the grid, and is centred on black. What the network says of the grid is scaled back as probabilities, so that
borders come back finer than the pixels of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import GeometryError
from Speckle2SelfLogic.runtime import to_array, to_tensor

if TYPE_CHECKING:
    import torch

Float32 = npt.NDArray[np.float32]
AnyNumber = TypeVar("AnyNumber", bound=np.generic)
Window = tuple[int, int, int, int]
"""First row, end row, first column, end column (ends are not part of it)."""


@dataclass(frozen=True)
class WorkingGrid:
    """Where a frame lies on a square grid. Make one with `fit_grid`."""

    frame_yx: tuple[int, int]
    """Rows and columns of the frame."""
    window: Window
    """The part of the frame that is used."""
    side_px: int
    """Rows and columns of the grid."""
    filled_yx: tuple[int, int]
    """Rows and columns of the grid that the window fills, in its middle."""

    @property
    def pixel_of_frame_yx(self) -> tuple[float, float]:
        """Height and width of a pixel of the grid in pixels of the frame."""
        top, bottom, left, right = self.window
        return (bottom - top) / self.filled_yx[0], (right - left) / self.filled_yx[1]

    def from_frames(self, frames_nyx: npt.NDArray[np.floating]) -> Float32:
        """Bring frames (N, Y, X) to the grid (N, side, side), by bilinear sampling with a filter against aliasing."""
        top, bottom, left, right = self.window
        values = to_tensor(np.asarray(frames_nyx[:, top:bottom, left:right], np.float32))[:, None]
        scaled = to_array(_scaled(values, self.filled_yx)[:, 0])
        on_grid = np.zeros((len(scaled), self.side_px, self.side_px), np.float32)
        self.filled(on_grid)[:] = scaled
        return on_grid

    def to_frame(self, probabilities_cyx: npt.NDArray[np.floating]) -> Float32:
        """Bring class probabilities (C, side, side) to the frame (C, Y, X); outside the window is class 0."""
        top, bottom, left, right = self.window
        values = to_tensor(np.asarray(self.filled(probabilities_cyx), np.float32))[None]
        frame = np.zeros((len(probabilities_cyx), *self.frame_yx), np.float32)
        frame[0] = 1
        frame[:, top:bottom, left:right] = to_array(_scaled(values, (bottom - top, right - left))[0])
        return frame

    def labels_from_frame(self, labels_yx: npt.NDArray[np.integer], classes: int) -> npt.NDArray[np.uint8]:
        """Bring a label frame (Y, X) to the grid (side, side): each pixel gets the class that covers most of it."""
        planes = np.stack([labels_yx == number for number in range(classes)]).astype(np.float32)
        planes = self.from_frames(planes)
        planes[0, planes.sum(0) == 0] = 1
        return np.asarray(planes.argmax(0), np.uint8)

    def filled(self, values: npt.NDArray[AnyNumber]) -> npt.NDArray[AnyNumber]:
        """Return the part of values on the grid (..., side, side) that the window fills, as a view."""
        top, left = ((self.side_px - count) // 2 for count in self.filled_yx)
        return values[..., top : top + self.filled_yx[0], left : left + self.filled_yx[1]]


def fit_grid(
    frame_yx: tuple[int, int],
    side_px: int,
    spacing_yx: tuple[float, float] = (1.0, 1.0),
    window: Window | None = None,
) -> WorkingGrid:
    """Choose how a frame lies on a grid.

    Parameters
    ----------
    frame_yx
        Rows and columns of the frame.
    side_px
        Rows and columns of the grid.
    spacing_yx
        Height and width of a pixel in any unit; only their ratio is used.
    window
        The part of the frame to use. Left out: all of it.

    Raises
    ------
    GeometryError
        If the window is empty or reaches beyond the frame.
    """
    top, bottom, left, right = window or (0, frame_yx[0], 0, frame_yx[1])
    if not (0 <= top < bottom <= frame_yx[0] and 0 <= left < right <= frame_yx[1]):
        message = f"The window {window} does not lie within a frame of {frame_yx[0]} x {frame_yx[1]} pixels."
        raise GeometryError(message)
    height, width = (bottom - top) * spacing_yx[0], (right - left) * spacing_yx[1]
    scale = side_px / max(height, width)
    filled = (max(1, round(height * scale)), max(1, round(width * scale)))
    return WorkingGrid(frame_yx, (top, bottom, left, right), side_px, filled)


def window_of(mask_yx: npt.NDArray[np.bool_]) -> Window | None:
    """Return the smallest window that holds a mask; None for an empty one."""
    rows, columns = np.flatnonzero(mask_yx.any(1)), np.flatnonzero(mask_yx.any(0))
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _scaled(values_ncyx: torch.Tensor, size_yx: tuple[int, int]) -> torch.Tensor:
    from torch.nn import functional as nnf

    return nnf.interpolate(values_ncyx, size_yx, mode="bilinear", align_corners=False, antialias=True)
