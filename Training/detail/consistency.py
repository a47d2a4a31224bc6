"""Checks 7 and 8: a crop is answered as the whole is, and what is clean already stays as it is.

Crop: a frame and a crop of it, compared at least 128 px away from the crop's border, in 8-bit grey levels. Once the
crop starts at a multiple of 32 px, where a network with pooling has its own grid in the same place, and once
anywhere, as a user does. Clean: the speckle-free truth of simulated scenes, and a smooth synthetic image with a
bright line and a soft disc; mean and 99 % quantile of the absolute change in 8-bit grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.simulation import simulate
from Training.detail.figures import DetailFigure, Figures
from Training.detail.frames import Grey, answer, read_grey

WHOLE_FRAME = "vessel_nerve_mindray_te7/images/0189.png"
ALIGNED_CORNER, ANY_CORNER = (64, 96), (53, 87)
CROP_PX = 350
AWAY_PX = 128
CLEAN_PHANTOMS = (("carotid", 21), ("muscle", 22))


@dataclass(frozen=True)
class ConsistencyCheck:
    """Crops, and clean images."""

    whole_yx: Grey | None
    clean_nyx: Grey
    smooth_yx: Grey

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None) -> ConsistencyCheck:  # noqa: ARG003 - as all checks
        """Read the frame, simulate the clean images."""
        path = None if data is None else data / WHOLE_FRAME
        whole = read_grey(path) if path is not None and path.is_file() else None
        truths = [simulate(name, size_yx=(256, 256), seed=seed).truth.pixels for name, seed in CLEAN_PHANTOMS]
        return cls(whole, np.stack(truths).astype(np.float32) / 255, smooth_image())

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """All in 8-bit grey levels."""
        return (
            DetailFigure("crop on the grid: largest difference", 0.5, "at most", decimals=2),
            DetailFigure("crop anywhere: mean difference", 0.5, "at most", decimals=2),
            DetailFigure("crop anywhere: largest difference", 5.0, "at most", decimals=2),
            DetailFigure("clean, simulated: mean change", 1.0, "at most", decimals=2),
            DetailFigure("clean, simulated: 99 % of changes", 6.0, "at most", decimals=2),
            DetailFigure("clean, synthetic: mean change", 1.0, "at most", decimals=2),
            DetailFigure("clean, synthetic: 99 % of changes", 6.0, "at most", decimals=2),
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        crops: tuple[float | None, ...] = (None,) * 3
        if self.whole_yx is not None:
            whole = answer(method, self.whole_yx)
            aligned, anywhere = (
                crop_difference(method, self.whole_yx, whole, at) for at in (ALIGNED_CORNER, ANY_CORNER)
            )
            crops = (aligned.max(), anywhere.mean(), anywhere.max())
        values = (*crops, *_changes(method, self.clean_nyx), *_changes(method, self.smooth_yx[None]))
        numbers = (None if value is None else float(value) for value in values)
        return dict(zip((row.key for row in self.rows), numbers, strict=True))


def crop_difference(method: FrameDespeckler, whole_yx: Grey, answer_yx: Grey, corner_yx: tuple[int, int]) -> Grey:
    """Return the absolute difference of the whole's answer and the crop's, away from the crop's border."""
    box = tuple(slice(start, start + CROP_PX) for start in corner_yx)
    crop = answer(method, np.ascontiguousarray(whole_yx[box]))
    inner = np.s_[AWAY_PX:-AWAY_PX, AWAY_PX:-AWAY_PX]
    return np.asarray(255 * np.abs(answer_yx[box] - crop)[inner])


def smooth_image(size_px: int = 256) -> Grey:
    """Return a ramp with a soft dark disc and a bright line, without any noise."""
    y, x = np.mgrid[:size_px, :size_px] / size_px
    image = 0.25 + 0.2 * y + 0.1 * np.sin(2 * np.pi * x)
    image = np.where(np.hypot(y - 0.6, x - 0.45) < 0.16, 0.08, image)
    image = image + 0.35 * (np.abs(y - 0.22 - 0.06 * x) < 0.008)
    return np.asarray(ndimage.gaussian_filter(image, 1.2), np.float32)


def _changes(method: FrameDespeckler, clean_nyx: Grey) -> tuple[float, float]:
    change = 255 * np.abs(answer(method, clean_nyx) - clean_nyx)
    return float(change.mean()), float(np.quantile(change, 0.99))
