"""Checks 7 and 8: a crop is answered as the whole is, and what is clean already stays as it is.

Crop: a frame and a crop of it, compared at least 128 px away from the crop's border, in 8-bit grey levels.
Clean: the speckle-free truth of simulated scenes, and a smooth synthetic image with a bright line and a soft disc; mean
and 99 % quantile of the absolute change in 8-bit grey levels.
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
CROP_BOX = (50, 400, 80, 430)
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
            DetailFigure("crop and whole: mean difference", 0.2, "at most", decimals=2),
            DetailFigure("crop and whole: largest difference", 2.0, "at most", decimals=2),
            DetailFigure("clean, simulated: mean change", 1.0, "at most", decimals=2),
            DetailFigure("clean, simulated: 99 % of changes", 6.0, "at most", decimals=2),
            DetailFigure("clean, synthetic: mean change", 1.0, "at most", decimals=2),
            DetailFigure("clean, synthetic: 99 % of changes", 6.0, "at most", decimals=2),
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        crop = (None, None) if self.whole_yx is None else crop_difference(method, self.whole_yx)
        changes = [_changes(method, self.clean_nyx), _changes(method, self.smooth_yx[None])]
        return dict(zip((row.key for row in self.rows), (*crop, *changes[0], *changes[1]), strict=True))


def crop_difference(method: FrameDespeckler, whole_yx: Grey) -> tuple[float, float]:
    """Return mean and largest difference of whole and crop, in 8-bit grey levels."""
    top, bottom, left, right = CROP_BOX
    whole = answer(method, whole_yx)[top:bottom, left:right]
    crop = answer(method, np.ascontiguousarray(whole_yx[top:bottom, left:right]))
    inner = np.s_[AWAY_PX:-AWAY_PX, AWAY_PX:-AWAY_PX]
    difference = 255 * np.abs(whole - crop)[inner]
    return float(difference.mean()), float(difference.max())


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
