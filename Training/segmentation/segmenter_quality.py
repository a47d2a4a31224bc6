"""Measure the carotid segmenter on frames it has not seen, and choose from which score on it may be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.frames import grey_frame, grey_range_of
from Speckle2SelfLogic.intensity import Float32
from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.segmentation_quality import ContourQuality
from Speckle2SelfLogic.segmenter import VesselSegmenter, grid_of
from Speckle2SelfLogic.working_grid import WorkingGrid, fit_grid
from Training.datasets.real import RealFrame
from Training.segmentation.carotid_scenes import KINDS, LUMEN, NO_VESSEL, WALL, simulated_carotid
from Training.segmentation.scores import label_scores
from Training.segmentation.segmenter_pictures import SIDE_PX, SIMULATED_PX, mask_path_of

GOOD_DICE = 0.8
"""Lumen overlap from which a contour is worth correcting instead of drawing it anew."""
WANTED_PRECISION = 0.95
HARMS = ("faint", "blurred", "noisy", "shadowed")

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Example:
    """A frame (Y, X), grey 0..1, with its labels, and what kind of frame it is."""

    group: str
    subject: str
    grey_yx: Float32
    labels_yx: Labels
    grid: WorkingGrid
    spacing_mm: float | None = None


@dataclass(frozen=True)
class Judged:
    """What the segmenter made of an example."""

    group: str
    subject: str
    quality: ContourQuality
    lumen: dict[str, float | None]
    wall: dict[str, float | None]

    @property
    def is_good(self) -> bool:
        """Whether the lumen is there and found well enough."""
        dice = self.lumen["dice"]
        return dice is not None and dice >= GOOD_DICE

    @property
    def is_plausible(self) -> bool:
        """Whether nothing but a low score speaks against it."""
        return self.quality.score > 0 and not self.quality.reasons


def real_examples(frames: Sequence[RealFrame]) -> Iterator[Example]:
    """Read real frames in which the lumen was drawn."""
    for frame in frames:
        image, mask = read_image(frame.path), read_image(mask_path_of(frame.path))
        grey = grey_frame(image.pixels, grey_range_of(image))
        labels = np.uint8(np.asarray(mask.pixels) > 0)
        yield Example("real", frame.subject, grey, labels, grid_of(image, SIDE_PX))


def simulated_examples(count: int, seed: int) -> Iterator[Example]:
    """Simulate carotids of every kind in turn, and for every fifth of them a frame of muscle without a vessel."""
    kinds = [*(KINDS[number % len(KINDS)] for number in range(count)), *[NO_VESSEL] * (count // 5)]
    for number, kind in enumerate(kinds):
        made = simulated_carotid(kind, seed + number, SIMULATED_PX, "any" if number // len(KINDS) % 2 else "clinical")
        grid = fit_grid((SIMULATED_PX, SIMULATED_PX), SIDE_PX)
        grey = np.asarray(made.frame_yx / np.float32(255), np.float32)
        group = kind if kind == NO_VESSEL else "simulated"
        yield Example(group, f"{kind}-{seed + number}", grey, made.labels_yx, grid, made.spacing_mm)


def harmed(examples: Sequence[Example], seed: int) -> Iterator[Example]:
    """Spoil each frame in one of `HARMS` ways, so that there are contours that must not be trusted."""
    for number, example in enumerate(examples):
        rng = np.random.default_rng((seed, number))
        grey = spoiled(example.grey_yx, HARMS[number % len(HARMS)], rng)
        group = example.group if example.group == NO_VESSEL else f"{example.group}, spoiled"
        yield replace(example, group=group, grey_yx=grey)


def spoiled(grey_yx: Float32, harm: str, rng: np.random.Generator) -> Float32:
    """Make a frame faint, blurred, noisy, or hide a broad band of it behind a shadow."""
    height, width = grey_yx.shape
    if harm == "faint":
        grey = 0.06 * grey_yx + 0.03 * rng.random(grey_yx.shape)
    elif harm == "blurred":
        grey = ndimage.gaussian_filter(grey_yx, 0.035 * max(height, width))
    elif harm == "noisy":
        grey = 0.4 * grey_yx + 0.6 * ndimage.gaussian_filter(rng.random(grey_yx.shape), 0.004 * max(height, width))
    else:
        centre = float(rng.uniform(0.3, 0.7)) * width
        grey = grey_yx * (np.abs(np.arange(width) - centre) > 0.25 * width)
    return np.asarray(np.clip(grey, 0, 1), np.float32)


def judge(segmenter: VesselSegmenter, example: Example) -> Judged:
    """Segment an example and compare with its labels; distances in mm where it is calibrated, else in pixels."""
    labels, quality = segmenter.frame(example.grey_yx, example.grid)
    spacing = (example.spacing_mm or 1.0,) * 2
    lumen, wall = (label_scores(labels, example.labels_yx, label, spacing) for label in (LUMEN, WALL))
    return Judged(example.group, example.subject, quality, lumen, wall)


def lowest_trusted(judged: Sequence[Judged], precision: float = WANTED_PRECISION) -> float:
    """Return the lowest score from which on at least ``precision`` of the plausible contours are good; 1 if none is.

    Each must have been judged with ``trusted_from`` 0, so that its reasons are those of plausibility alone.
    """
    ordered = sorted((each for each in judged if each.is_plausible), key=lambda each: -each.quality.score)
    best, good = 1.0, 0
    for count, each in enumerate(ordered, 1):
        good += each.is_good
        is_last_of_score = count == len(ordered) or ordered[count].quality.score < each.quality.score
        if is_last_of_score and good >= precision * count:
            best = each.quality.score
    return best


def measured(judged: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Return the figures of a model card by kind of frame."""
    groups = dict.fromkeys(each.group for each in judged)
    return {group: _group_figures([each for each in judged if each.group == group]) for group in groups}


def _group_figures(judged: Sequence[Judged]) -> dict[str, float]:
    trusted = [each for each in judged if each.quality.is_trusted]
    figures = {
        "frames": len(judged),
        "subjects": len({each.subject for each in judged}),
        "trusted": len(trusted),
        "good": sum(each.is_good for each in judged),
        "trusted_and_good": sum(each.is_good for each in trusted),
    }
    for name, value in (
        ("lumen_dice", _mean(judged, "lumen", "dice")),
        ("lumen_dice_of_trusted", _mean(trusted, "lumen", "dice")),
        ("lumen_hd95_of_trusted", _mean(trusted, "lumen", "hd95")),
        ("wall_dice", _mean(judged, "wall", "dice")),
        ("wall_dice_of_trusted", _mean(trusted, "wall", "dice")),
    ):
        if value is not None:
            figures[name] = round(value, 4)
    return figures


def _mean(judged: Sequence[Judged], part: str, figure: str) -> float | None:
    values = [value for each in judged if (value := getattr(each, part)[figure]) is not None]
    return float(np.mean(values)) if values else None
