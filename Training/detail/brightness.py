"""Checks 5 and 9: brightness is kept, nothing becomes a black hole, and the answer follows the gain.

Brightness bias is `local_brightness_bias` (blocks of 32 px), without any matching of the mean.

Black holes are pixels at grey 1/255 or less where the input is brighter than 8/255 all around (blurred by 2 px, and
the least of that within 5 px): a black grain of speckle, or the dark side of an edge, is no hole. Those of the input
are not counted.

Gain is the median over pixels above grey 0.05 of |answer(0.8 frame) / (0.8 answer(frame)) - 1|.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.structure_metrics import black_share, local_brightness_bias
from Training.detail.figures import DetailFigure, Figures, middle
from Training.detail.frames import INSERTION_SOURCES, DetailFrame, Grey, load_frames

GAIN = 0.8
VISIBLE = 0.05
HOLE_SIGMA_PX, HOLE_REACH_PX = 2.0, 5


@dataclass(frozen=True)
class BrightnessCheck:
    """Brightness of the answer, and of the answer to a darker frame."""

    frames: tuple[DetailFrame, ...]

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None) -> BrightnessCheck:
        """Take the frames that structures are inserted into."""
        return cls(tuple(load_frames(INSERTION_SOURCES, data, published)))

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """Bias, holes, gain."""
        return (
            DetailFigure("brightness: bias, median frame", 0.02, "at most"),
            DetailFigure("brightness: bias, worst frame", 0.02, "at most"),
            DetailFigure("brightness: black holes added, worst frame", 0.0, "at most", decimals=5),
            DetailFigure("gain 0.8: deviation, worst frame", 0.02, "at most"),
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        biases, holes, deviations = [], [], []
        for frame in self.frames:
            grey = frame.grey_yx
            bright, dark = frame.answers(method, np.stack([grey, np.float32(GAIN) * grey]))
            biases.append(local_brightness_bias(grey, bright, data_range=1.0))
            holes.append(added_holes(grey, bright))
            deviations.append(gain_deviation(bright, dark))
        known = [[value for value in values if value is not None] for values in (biases, holes, deviations)]
        worst = [max(values, default=None) for values in known]
        return dict(zip((row.key for row in self.rows), (middle(known[0]), *worst), strict=True))


def added_holes(input_yx: Grey, answer_yx: Grey) -> float | None:
    """Return the share of lit pixels that are black in the answer and not in the input; None if nothing is lit."""
    around = ndimage.minimum_filter(ndimage.gaussian_filter(input_yx, HOLE_SIGMA_PX), 2 * HOLE_REACH_PX + 1)
    was_black = input_yx <= 1 / 255
    return black_share(around, np.where(was_black, 1, answer_yx), data_range=1.0)


def gain_deviation(answer_yx: Grey, darker_answer_yx: Grey, gain: float = GAIN) -> float | None:
    """Return the median relative deviation of the answer to the darker frame from the darkened answer."""
    visible = answer_yx > VISIBLE
    if not visible.any():
        return None
    return float(np.median(np.abs(darker_answer_yx[visible] / (gain * answer_yx[visible]) - 1)))
