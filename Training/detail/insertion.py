"""Check 1: a known small structure, inserted into real frames, is still there after despeckling.

Kept contrast of one place = (contrast of the structure in the answer to the frame with it, less that in the answer to
the frame without it) / (the same in the frames themselves). Contrast is a matched filter: grey weighted by the change
that the structure is expected to make, less the mean grey of a ring around it (of a pair of lines: less the gap
between them). A method that changes nothing keeps exactly 1, one that erases the structure 0, a blur its share. The
table has the median over all places of all frames, the quartiles, and the least median of a single frame.

What can be asked for: the change of local mean grey that the structure is expected to make, which is the answer of a
despeckler that knows the truth, scores 0.94 to 1.09 (median over places) for every structure, size and level.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.detail.figures import DetailFigure, Figures, middle, quantile
from Training.detail.frames import INSERTION_SOURCES, DetailFrame, Grey, load_frames
from Training.detail.places import quiet_places
from Training.detail.structures import LAYER_LENGTH_MM, Inserted, Structure, insert, psf_sigma_px

STRUCTURES = (
    *(Structure("spot", size, 18.0) for size in (0.35, 0.5, 0.8)),
    *(Structure("cyst", size, -30.0) for size in (0.7, 1.0, 1.5)),
    *(Structure("layer", size, 10.0) for size in (0.25, 0.4, 0.6)),
    *(Structure("pair", size, 15.0) for size in (0.6, 0.8, 1.2)),
    *(Structure("spot", 0.5, level, is_usual=False) for level in (12.0, 24.0)),
    Structure("cyst", 1.0, -12.0, is_usual=False),
    *(Structure("layer", 0.4, level, is_usual=False) for level in (6.0, 15.0)),
)
REQUIRED = {"spot 0.5 mm": 0.8, "cyst 1 mm": 0.8, "layer 0.4 mm": 0.8}
PLACES_PER_FRAME = 6
LEAST_CONTRAST, LEAST_SHOWN = 0.02, 0.25
"""Places are left out where the structure shows less than this (grey 0..1) in the frame itself, or less than this share
of its contrast without speckle: nobody can ask for what the scanner does not resolve."""


@dataclass(frozen=True)
class FrameWithStructures:
    """One real frame, and its variants with each structure."""

    frame: DetailFrame
    variants: dict[Structure, Inserted]

    def kept(self, method: FrameDespeckler) -> dict[Structure, list[float]]:
        """Return kept contrast at each place, for each structure."""
        stack = np.stack([self.frame.grey_yx, *(variant.grey_yx for variant in self.variants.values())])
        answers = self.frame.answers(method, stack)
        return {
            structure: kept_contrast(self.frame.grey_yx, variant, answers[0], with_it)
            for (structure, variant), with_it in zip(self.variants.items(), answers[1:], strict=True)
        }


@dataclass(frozen=True)
class InsertionCheck:
    """Kept contrast of inserted structures."""

    frames: tuple[FrameWithStructures, ...]

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None, seed: int = 4) -> InsertionCheck:
        """Insert every structure into every frame that exists."""
        frames = load_frames(INSERTION_SOURCES, data, published)
        return cls(tuple(with_structures(frame, STRUCTURES, seed + number) for number, frame in enumerate(frames)))

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """Median, quartiles and least frame of each structure and size."""
        rows: list[DetailFigure] = []
        for structure in STRUCTURES:
            rows.append(DetailFigure(f"kept: {structure.name}", REQUIRED.get(structure.name), decimals=2))
            if structure.name in REQUIRED:
                rows += [
                    DetailFigure(f"kept: {structure.name}, {what}", decimals=2)
                    for what in ("lower quartile", "upper quartile", "least frame")
                ]
        return tuple(rows)

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        by_frame = [frame.kept(method) for frame in self.frames]
        figures: Figures = {}
        for structure in STRUCTURES:
            places = [value for frame in by_frame for value in frame.get(structure, [])]
            key = f"kept: {structure.name}"
            figures[key] = middle(places)
            if structure.name in REQUIRED:
                medians = [np.median(frame[structure]) for frame in by_frame if frame.get(structure)]
                figures[f"{key}, lower quartile"] = quantile(places, 0.25)
                figures[f"{key}, upper quartile"] = quantile(places, 0.75)
                figures[f"{key}, least frame"] = float(min(medians)) if medians else None
        return figures


def with_structures(frame: DetailFrame, structures: tuple[Structure, ...], seed: int) -> FrameWithStructures:
    """Insert each structure at several places of a frame, the same places for all sizes and levels of a kind."""
    sigma = psf_sigma_px(frame.grey_yx)
    variants = {}
    for structure in structures:
        rng = np.random.default_rng([seed, ("spot", "cyst", "layer", "pair").index(structure.kind)])
        is_long = structure.kind in ("layer", "pair")
        reach = (LAYER_LENGTH_MM if is_long else 1.5) / frame.mm_per_px
        places = quiet_places(
            frame.grey_yx,
            frame.context.sector.mask_yx,
            rng,
            count=PLACES_PER_FRAME,
            apart_px=1.2 * reach + 10,
            margin_px=int(reach / 2) + 8,
        )
        if places:
            variants[structure] = insert(frame.grey_yx, structure, places, frame.mm_per_px, sigma, rng)
    return FrameWithStructures(frame, variants)


def kept_contrast(without_yx: Grey, inserted: Inserted, answer_without_yx: Grey, answer_with_yx: Grey) -> list[float]:
    """Return the share of each inserted structure's contrast that is left in the answers."""
    put_in = inserted.grey_yx.astype(np.float64) - without_yx
    came_out = answer_with_yx.astype(np.float64) - answer_without_yx
    kept = []
    for template in inserted.templates:
        shown = template.contrast(put_in)
        if abs(shown) >= LEAST_CONTRAST and shown / template.expected >= LEAST_SHOWN:
            kept.append(template.contrast(came_out) / shown)
    return kept
