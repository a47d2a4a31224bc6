"""Regions that figures are taken in, found without a person: on simulation from the truth, otherwise from the input.

They never depend on a method's output and so are the same for all methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Frame = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

LEAST_PIXELS = 60
"""Fewer pixels than this are no region."""
LEAST_CONTRAST = 8 / 255
"""Dark and bright regions have to differ by this much grey (0..1)."""
BORDER_PX = 2
BLOCK_PX = 32


@dataclass(frozen=True)
class TruthRegions:
    """The two brightness classes of a truth."""

    dark_yx: Mask
    bright_yx: Mask
    """Both without the pixels next to their border."""
    brighter_yx: Mask
    """The bright class with its border."""


def regions_of_truth(input_yx: Frame, truth_yx: Frame) -> TruthRegions | None:
    """Divide a truth, grey 0..1, halfway between the medians of its two classes by Otsu (IEEE T-SMC 9(1), 1979).

    Only seen pixels count, whose input has a mean over 9 x 9 pixels above 2/255 (outside the field of view nothing is
    despeckled). Bright parts of less than 60 pixels are left out, and two pixels on either side of the border.

    Returns
    -------
    TruthRegions or None
        None where a class has less than 60 pixels, or their medians differ by less than `LEAST_CONTRAST`.
    """
    from skimage.filters import threshold_otsu

    is_seen = ndimage.uniform_filter(np.asarray(input_yx, np.float64), 9) > 2 / 255
    seen = np.asarray(truth_yx, np.float64)[is_seen]
    if seen.size == 0 or np.ptp(seen) < LEAST_CONTRAST:
        return None
    is_above = seen > threshold_otsu(seen)
    between = (np.median(seen[is_above]) + np.median(seen[~is_above])) / 2
    brighter = _without_specks(ndimage.gaussian_filter(np.float64(truth_yx), 1) > between)
    bright = is_seen & ndimage.binary_erosion(brighter, iterations=BORDER_PX)
    dark = is_seen & ndimage.binary_erosion(~brighter, iterations=BORDER_PX)
    if min(dark.sum(), bright.sum()) < LEAST_PIXELS:
        return None
    if np.median(truth_yx[bright]) - np.median(truth_yx[dark]) < LEAST_CONTRAST:
        return None
    return TruthRegions(dark, bright, brighter)


def _without_specks(mask_yx: Mask) -> Mask:
    labels, count = ndimage.label(mask_yx)
    if count == 0:
        return mask_yx
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(sizes >= LEAST_PIXELS)[labels]


def flat_blocks(input_yx: Frame, most: int = 8) -> list[Mask]:
    """Find the tissue of a real frame, grey 0..1, that is most even: up to ``most`` blocks of 32 x 32 pixels.

    A block is flat if the means of its sixteen 8 x 8 parts vary little (standard deviation over mean), so that neither
    edges nor brightness gradients count as speckle. Blocks lie on a grid of 16 px; of overlapping ones the flatter
    stays. None varies more than twice as much as the flattest. Their mean is 16/255 to 200/255, and no more than a
    hundredth of their pixels is black or white.
    """
    candidates: list[tuple[float, int, int]] = []
    height, width = input_yx.shape
    for top in range(0, height - BLOCK_PX + 1, BLOCK_PX // 2):
        for left in range(0, width - BLOCK_PX + 1, BLOCK_PX // 2):
            block = input_yx[top : top + BLOCK_PX, left : left + BLOCK_PX]
            mean = float(block.mean())
            is_cut = float(((block <= 1 / 255) | (block >= 254 / 255)).mean()) > 0.01
            if not 16 / 255 <= mean <= 200 / 255 or is_cut:
                continue
            parts = block.reshape(4, BLOCK_PX // 4, 4, BLOCK_PX // 4).mean((1, 3))
            candidates.append((float(parts.std()) / mean, top, left))
    taken: list[tuple[int, int]] = []
    most_variation = max(2 * min(candidates)[0], 0.02) if candidates else 0.0
    for variation, top, left in sorted(candidates):
        if variation > most_variation or len(taken) == most:
            break
        if all(abs(top - t) >= BLOCK_PX or abs(left - x) >= BLOCK_PX for t, x in taken):
            taken.append((top, left))
    masks = []
    for top, left in taken:
        mask = np.zeros(input_yx.shape, bool)
        mask[top : top + BLOCK_PX, left : left + BLOCK_PX] = True
        masks.append(mask)
    return masks
