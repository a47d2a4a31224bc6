"""BM3D: groups of similar patches, thresholded together in a transform domain.

Written from K. Dabov, A. Foi, V. Katkovnik and K. Egiazarian, "Image denoising by sparse 3-D transform-domain
collaborative filtering", IEEE TIP 16(8):2080-2095, 2007 (equation numbers below are theirs), because no package with a
permissive licence runs on all Pythons that we support without torchvision. Differences from the paper: the DCT is the
transform of patches in both steps (the paper has a bior1.5 wavelet in the first), and patches count as alike up to a
distance that grows with the variance of the noise, so that one set of sizes serves all noise levels (the paper has
fixed distances, and larger patches above a standard deviation of 40 / 255; on a photograph with 50 / 255 that is
0.3 dB worse).
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.linalg import hadamard

from Speckle2SelfLogic.filters import ClassicalFilter
from Speckle2SelfLogic.statistical_filters import Frame, as_frame, checked_frame, estimated_noise, require_positive
from Training.per_image.patch_groups import Float32, Groups, PatchGrid, matched_groups

PATCH_PX, SPACING_PX, SEARCH_PX = 8, 3, 39
"""Side of a patch, distance of reference patches, side of the search window (Table I, normal profile)."""
FIRST_GROUP, SECOND_GROUP = 16, 32
"""Most patches in a group, in the first and the second step."""
FIRST_DISTANCE, SECOND_DISTANCE = 8.0, 0.64
"""Largest mean squared difference of patches, in variances of the noise. Two noisy patches of one thing differ by 2;
the second value is that of the paper (400) at a standard deviation of 25."""
THRESHOLD = 2.7
"""Coefficients of a group below this many standard deviations of the noise are noise."""


def bm3d(frame_yx: Frame, *, noise_std: float | None = None, strength: float = 1.0) -> Frame:
    """BM3D of one frame (Dabov et al., IEEE TIP 16(8), 2007): hard thresholding, then a Wiener filter.

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The noise model is additive, white and Gaussian. Speckle is neither, and being correlated it
        passes thresholds that are set for white noise: it takes a larger standard deviation than its own.
    noise_std
        Standard deviation of the noise in grey values; None measures that of the frame's speckle.
    strength
        Factor of it.

    Returns
    -------
    numpy.ndarray
        Float32 in 0..1, same shape.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range.
    """
    frame = checked_frame(frame_yx)
    measured = estimated_noise(frame, gamma=0) if noise_std is None else require_positive("noise_std", noise_std)
    sigma = measured * require_positive("strength", strength)
    if sigma == 0:
        return as_frame(frame)
    noisy = frame.astype(np.float32)
    return as_frame(_second_step(noisy, _first_step(noisy, sigma), sigma))


def bm3d_filter(**parameters: float | None) -> ClassicalFilter:
    """Return BM3D as a `FrameDespeckler`, with some of its parameters changed.

    Raises
    ------
    SettingsError
        If there is no such parameter.
    """
    citation = "Dabov et al., IEEE TIP 16(8):2080-2095, 2007"
    return ClassicalFilter("bm3d", "BM3D", citation, bm3d, parameters)


def _first_step(noisy: Float32, sigma: float) -> Float32:
    """Make the basic estimate (eq. 2 to 6): hard threshold of whole groups, weight ``1 / N`` for N values kept."""
    grid = PatchGrid.of(noisy, PATCH_PX, SPACING_PX)
    spectra = _spectra(grid)
    total = _Total(grid)
    for groups in matched_groups(grid, spectra, SEARCH_PX, FIRST_GROUP, FIRST_DISTANCE * sigma**2):
        coefficients = _along_group(spectra[groups.patches])
        is_kept = np.abs(coefficients) > THRESHOLD * sigma
        is_kept[:, 0, 0] = True  # the mean of a group is never noise
        weights = 1 / is_kept.sum((1, 2))
        total.add(groups, _along_group(coefficients * is_kept), weights)
    return total.estimate()


def _second_step(noisy: Float32, basic: Float32, sigma: float) -> Float32:
    """Make the final estimate (eq. 7 to 11): Wiener filter by the spectrum of the basic one, weight ``1 / |W|^2``."""
    grid, basic_grid = (PatchGrid.of(frame, PATCH_PX, SPACING_PX) for frame in (noisy, basic))
    spectra, basic_spectra = _spectra(grid), _spectra(basic_grid)
    total = _Total(grid)
    for groups in matched_groups(basic_grid, basic_spectra, SEARCH_PX, SECOND_GROUP, SECOND_DISTANCE * sigma**2):
        power = _along_group(basic_spectra[groups.patches]) ** 2
        gain = power / (power + np.float32(sigma**2))
        weights = 1 / np.maximum((gain**2).sum((1, 2)), 1e-6)
        total.add(groups, _along_group(gain * _along_group(spectra[groups.patches])), weights)
    return total.estimate()


def _spectra(grid: PatchGrid) -> Float32:
    """Orthonormal DCT of every patch, shape (patches, pixels of a patch)."""
    patches = grid.all_patches()
    spectra = fft.dctn(patches, axes=(1, 2), norm="ortho")
    return np.ascontiguousarray(spectra.reshape(len(patches), -1), np.float32)


def _along_group(spectra: Float32) -> Float32:
    """Orthonormal Walsh-Hadamard transform along groups, axis 1, whose length is a power of two; its own inverse."""
    size = spectra.shape[1]
    matrix = hadamard(size).astype(np.float32) / np.float32(math.sqrt(size))
    return np.matmul(matrix, spectra)


class _Total:
    """Weighted sum of patches where they lie in the frame; a Kaiser window takes weight from their borders."""

    def __init__(self, grid: PatchGrid) -> None:
        self.grid = grid
        window = np.kaiser(grid.patch_px, 2.0)
        self.window = np.outer(window, window).ravel().astype(np.float32)
        self.sum, self.weight = (np.zeros(grid.frame.size, np.float64) for _ in range(2))

    def add(self, groups: Groups, spectra: Float32, group_weights: npt.NDArray[np.floating]) -> None:
        """Add groups of patches, given as spectra (groups, patches, pixels)."""
        side = self.grid.patch_px
        patches = fft.idctn(spectra.reshape(-1, side, side), axes=(1, 2), norm="ortho").reshape(-1, side**2)
        weights = np.repeat(group_weights, spectra.shape[1])[:, None] * self.window
        places = self.grid.pixels_of(groups.patches.ravel())
        count = partial(np.bincount, places.ravel(), minlength=self.sum.size)
        self.sum += count((patches * weights).ravel())
        self.weight += count(weights.ravel())

    def estimate(self) -> Float32:
        """Return the weighted mean (eq. 12), without what was added around small frames."""
        mean = (self.sum / np.maximum(self.weight, 1e-12)).reshape(self.grid.frame.shape)
        height, width = self.grid.shape_yx
        return mean[:height, :width].astype(np.float32)
