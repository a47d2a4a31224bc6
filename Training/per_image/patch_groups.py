"""Patches of a frame, and groups of those that look alike (block matching)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

REFERENCES_AT_ONCE = 2048


@dataclass(frozen=True)
class PatchGrid:
    """All patches of a frame, and those among them that groups are made for.

    Patches are numbered by their upper left corner, row by row. Frames smaller than a patch are mirrored at their end.
    """

    frame: Float32
    shape_yx: tuple[int, int]
    """Shape before mirroring."""
    patch_px: int
    spacing_px: int

    @classmethod
    def of(cls, frame_yx: Float32, patch_px: int, spacing_px: int) -> PatchGrid:
        """Lay the grid over a frame."""
        missing = [(0, max(0, patch_px - length)) for length in frame_yx.shape]
        height, width = frame_yx.shape
        return cls(np.pad(frame_yx, missing, mode="symmetric"), (height, width), patch_px, spacing_px)

    @property
    def corners_yx(self) -> tuple[int, int]:
        """Number of rows and columns of patches."""
        height, width = self.frame.shape
        return height - self.patch_px + 1, width - self.patch_px + 1

    def all_patches(self) -> Float32:
        """Every patch, shape (patches, y, x)."""
        windows = np.lib.stride_tricks.sliding_window_view(self.frame, (self.patch_px, self.patch_px))
        return windows.reshape(-1, self.patch_px, self.patch_px)

    def references(self) -> Indices:
        """Patches on the coarse grid, the last row and column included."""
        rows, columns = (np.unique(np.r_[np.arange(0, count, self.spacing_px), count - 1]) for count in self.corners_yx)
        return (rows[:, None] * self.corners_yx[1] + columns).ravel()

    def pixels_of(self, patches: Indices) -> Indices:
        """Positions in the raveled frame of all pixels of the given patches, shape (patches, pixels of a patch)."""
        rows, columns = np.divmod(patches, self.corners_yx[1])
        width = self.frame.shape[1]
        within = np.arange(self.patch_px)
        inner = (within[:, None] * width + within).ravel()
        return (rows * width + columns)[:, None] + inner


@dataclass(frozen=True)
class Groups:
    """Groups of one size: numbers of patches, shape (groups, size), the reference first."""

    patches: Indices


def matched_groups(
    grid: PatchGrid, features: Float32, search_px: int, largest_group: int, largest_distance: float
) -> Iterator[Groups]:
    """Find for each reference patch those that look alike within a square search window around it.

    Parameters
    ----------
    features
        What is compared: shape (patches, pixels of a patch), the patches or an orthonormal transform of them.
    search_px
        Side of the search window, odd.
    largest_group
        Most patches in a group, a power of two. Smaller groups have the greatest power of two that is found.
    largest_distance
        Mean squared difference up to which a patch counts as alike.
    """
    references = grid.references()
    for start in range(0, len(references), REFERENCES_AT_ONCE):
        some = references[start : start + REFERENCES_AT_ONCE]
        candidates, distances = _nearest(grid, features, some, search_px // 2, largest_group)
        found = (distances <= largest_distance).sum(1)
        sizes = 2 ** np.floor(np.log2(np.maximum(found, 1))).astype(int)
        for size in np.unique(sizes):
            yield Groups(candidates[sizes == size, :size])


def _nearest(
    grid: PatchGrid, features: Float32, references: Indices, reach: int, count: int
) -> tuple[Indices, Float32]:
    """Return the nearest patches and their mean squared differences, both (references, count), nearest first."""
    rows, columns = grid.corners_yx
    row, column = np.divmod(references, columns)
    own = features[references]
    steps = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    distances = np.full((len(steps), len(references)), np.inf, np.float32)
    for number, (dy, dx) in enumerate(steps):
        is_inside = (row + dy >= 0) & (row + dy < rows) & (column + dx >= 0) & (column + dx < columns)
        difference = own[is_inside] - features[references[is_inside] + dy * columns + dx]
        distances[number, is_inside] = np.einsum("rp,rp->r", difference, difference) / features.shape[1]
    distances[len(steps) // 2] = -1.0  # a patch is nearest to itself, also when others are equal to it
    best = np.argpartition(distances, count - 1, axis=0)[:count] if count < len(steps) else np.argsort(distances, 0)
    best = np.take_along_axis(best, np.argsort(np.take_along_axis(distances, best, 0), axis=0, kind="stable"), 0)
    offsets = np.array([dy * columns + dx for dy, dx in steps])
    nearest = np.maximum(np.take_along_axis(distances, best, 0), 0)
    return (references + offsets[best]).T, nearest.T
