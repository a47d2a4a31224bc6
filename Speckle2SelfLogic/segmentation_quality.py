"""How far a contour can be trusted, from what the network says of one frame and of its mirror image.

The score is the product of three numbers from 0 to 1:

agreement
    Dice of the lumen found in the frame and the lumen found in its mirror image, mirrored back (test-time augmentation:
    Wang et al., Neurocomputing 338, 2019).
certainty
    Dice that the network expects of its own answer, the mean of both: 2 sum(p m) / (sum p + sum m) for probabilities p
    of the lumen and the mask m where they are above one half.
unity
    Share of the lumen that its largest part has. A common carotid artery has one lumen; after the bifurcation there are
    two, and the score says so by being low.

The lowest score that may be trusted is chosen on frames held out of training, and comes with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LUMEN, WALL = 1, 2
SMALLEST_SHARE, LARGEST_SHARE = 0.001, 0.5
"""Share of the grid that a lumen can have; a carotid 4 mm wide in a frame 60 mm deep has 0.003."""
FEWEST_WALLED = 0.3
"""Share of the lumen's border that must lie at the wall, or at the border of the frame."""


@dataclass(frozen=True)
class ContourQuality:
    """What is known of the contour of one frame without knowing the truth."""

    score: float
    """0 (no lumen, or no agreement at all) to 1."""
    agreement: float
    certainty: float
    unity: float
    is_trusted: bool
    """Whether the score is high enough and nothing speaks against it."""
    reasons: tuple[str, ...] = ()
    """Why not, each a clause."""


def contour_quality(
    probabilities_cyx: Float32, mirrored_cyx: Float32, trusted_from: float, empty_because: str = ""
) -> ContourQuality:
    """Judge the contour of one frame.

    Parameters
    ----------
    probabilities_cyx, mirrored_cyx
        Class probabilities (C, Y, X) of the frame, and of its mirror image after mirroring them back. Class 1 is lumen,
        class 2 wall.
    trusted_from
        Lowest score that is trusted.
    empty_because
        Why there is nothing to see in the frame, if that is known.
    """
    mean = np.asarray((probabilities_cyx + mirrored_cyx) / 2, np.float32)
    lumen = mean.argmax(0) == LUMEN
    if empty_because or not lumen.any():
        return ContourQuality(0.0, 0.0, 0.0, 0.0, is_trusted=False, reasons=(empty_because or "no lumen found",))
    agreement = dice(probabilities_cyx.argmax(0) == LUMEN, mirrored_cyx.argmax(0) == LUMEN)
    likely = mean[LUMEN] > 0.5
    certainty = float(2 * mean[LUMEN][likely].sum() / (mean[LUMEN].sum() + likely.sum()))
    parts, count = ndimage.label(lumen)
    unity = float(np.bincount(parts.ravel())[1:].max() / lumen.sum()) if count else 0.0
    score = agreement * certainty * unity
    reasons = [*_implausible(lumen, mean)]
    if score < trusted_from:
        weakest = min((agreement, "frame and mirror image disagree"), (certainty, "the border is uncertain"))
        reasons.append(min(weakest, (unity, "the lumen is in pieces"))[1])
    return ContourQuality(score, agreement, certainty, unity, is_trusted=not reasons, reasons=tuple(reasons))


def dice(first: Mask, second: Mask) -> float:
    """Overlap of two masks, 2 |A and B| / (|A| + |B|) (Dice, Ecology 26(3), 1945); 1 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def _implausible(lumen: Mask, mean_cyx: Float32) -> list[str]:
    """Return what no carotid artery looks like."""
    reasons = []
    share = float(lumen.mean())
    if not SMALLEST_SHARE <= share <= LARGEST_SHARE:
        reasons.append(f"the lumen has {100 * share:.2g} % of the frame")
    if len(mean_cyx) > WALL:
        around = ndimage.binary_dilation(lumen, iterations=2) & ~lumen
        walled = float((mean_cyx[WALL] + mean_cyx[LUMEN])[around].mean()) if around.any() else 0.0
        if walled < FEWEST_WALLED:
            reasons.append("hardly any wall around the lumen")
    return reasons
