"""Check 6: the answer is calmer than the input, and moves with the tissue.

On cines, `temporal_flicker` is the change from frame to frame where the input stands still, as a ratio to the input's
own; below 1 is calmer. Real cines of ``sequences`` (five frames from the middle, cropped), and a simulated carotid
that pulsates with slowly changing speckle.

After motion: one real frame slides by 1, 2, 3 ... px under the window, and the answers are moved back. The input then
shows no change at all, so what is left is the method's own flicker: mean absolute difference from the first
answer in 8-bit grey levels, away from the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.simulation import simulate
from Speckle2SelfLogic.structure_metrics import temporal_flicker
from Training.detail.figures import DetailFigure, Figures
from Training.detail.frames import Grey, answer, read_grey

CINES = (
    ("bone", "sequences/BoneUltrasound_L14_cropped_21frames.nrrd", (60, 316, 100, 356)),
    ("calf, moving", "sequences/timtrack_ge_e9_gastroc_range-of-motion_20frames.nrrd", (80, 336, 150, 406)),
    ("phantom", "sequences/plus_Prostate10_10frames.nrrd", (80, 336, 200, 456)),
)
CINE_FRAMES = 5
SLIDING = ("vessel_nerve_mindray_te7/images/0189.png", (120, 376, 100, 364))
SLIDES_PX = (1, 2, 3)
BORDER_PX = 48


@dataclass(frozen=True)
class FlickerCheck:
    """Restlessness of answers over time."""

    cines: tuple[tuple[str, Grey], ...]
    sliding_yx: Grey | None

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None) -> FlickerCheck:  # noqa: ARG003 - as all checks
        """Read the cines that exist and simulate one."""
        cines = []
        for name, path, box in CINES:
            if data is not None and (data / path).is_file():
                cines.append((name, _crop(_middle_frames(data / path), box)))
        speckled = simulate("carotid", size_yx=(256, 256), frames=CINE_FRAMES, seed=11).speckled.pixels
        cines.append(("simulated", np.asarray(speckled, np.float32) / 255))
        path, box = SLIDING
        is_there = data is not None and (data / path).is_file()
        return cls(tuple(cines), _crop(read_grey(data / path), box) if data is not None and is_there else None)

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """One for each cine, and the sliding frame."""
        names = [name for name, _, _ in CINES] + ["simulated"]
        return (
            *(DetailFigure(f"flicker over the input's: {name}", 1.0, "below", decimals=2) for name in names),
            DetailFigure("flicker of a sliding frame (grey levels)", 1.0, "at most", decimals=2),
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        figures: Figures = {row.key: None for row in self.rows}
        for name, cine in self.cines:
            flicker = temporal_flicker(cine, answer(method, cine), data_range=1.0)
            figures[f"flicker over the input's: {name}"] = flicker.static_change_ratio
        if self.sliding_yx is not None:
            figures["flicker of a sliding frame (grey levels)"] = sliding_flicker(method, self.sliding_yx)
        return figures


def sliding_flicker(method: FrameDespeckler, frame_yx: Grey) -> float:
    """Return how much the answer changes when the frame slides sideways under the window, in 8-bit grey levels."""
    width = frame_yx.shape[1] - max(SLIDES_PX)
    windows = np.stack([frame_yx[:, shift : shift + width] for shift in (0, *SLIDES_PX)])
    answers = answer(method, windows)
    inner = np.s_[BORDER_PX:-BORDER_PX, BORDER_PX : width - BORDER_PX]
    first = answers[0][inner]
    changes = [
        np.abs(np.roll(moved, shift, axis=1)[inner] - first).mean()
        for shift, moved in zip(SLIDES_PX, answers[1:], strict=True)
    ]
    return float(np.mean(changes)) * 255


def _middle_frames(path: Path) -> Grey:
    pixels = read_image(path).pixels
    start = (len(pixels) - CINE_FRAMES) // 2
    return np.asarray(pixels[start : start + CINE_FRAMES], np.float32) / 255


def _crop(grey: Grey, box: tuple[int, int, int, int]) -> Grey:
    top, bottom, left, right = box
    return np.ascontiguousarray(grey[..., top:bottom, left:right])
