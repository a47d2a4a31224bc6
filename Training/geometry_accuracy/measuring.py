"""Every line of every vessel, measured on the original, on each despeckled image and on the speckle-free one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from Speckle2SelfLogic.geometry import Line, refine_line
from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.geometry_accuracy.vessels import Grey, KnownVessel, MeasuredLine

ORIGINAL, SPECKLE_FREE = "original", "speckle-free"


@dataclass(frozen=True)
class AccuracyRow:
    """One line on one image; lengths in pixels. None: the caliper refused."""

    view: str
    vessel: int
    speckle: str
    radius_px: float
    line: int
    structure: str
    image: str
    geometry_px: float
    """Length of the line between the walls as the scene puts them."""
    speckle_free_px: float | None
    """What the caliper finds in the image without speckle."""
    measured_px: float | None
    first_shift_px: float | None
    """How far the first edge lies from the speckle-free one, positive away from the middle of the line (lumen), or
    away from the lumen (IMT)."""
    last_shift_px: float | None
    uncertainty_px: float | None
    quality: float
    reason: str


def measure_vessel(vessel: KnownVessel, methods: Mapping[str, FrameDespeckler]) -> Iterator[AccuracyRow]:
    """Measure all lines of a vessel on all images."""
    images: dict[str, Grey] = {ORIGINAL: vessel.speckled_yx}
    for name, method in methods.items():
        images[name] = np.clip(method.despeckle(vessel.speckled_yx[None])[0], 0, 1)
    images[SPECKLE_FREE] = vessel.speckle_free_yx
    for index, line in enumerate(vessel.lines):
        reference = refine_line(vessel.speckle_free_yx, line.rough, structure=line.structure).line_yx_px
        for name, image in images.items():
            yield _row(vessel, index, line, name, image, reference)


def _row(
    vessel: KnownVessel, index: int, line: MeasuredLine, name: str, image: Grey, reference: Line | None
) -> AccuracyRow:
    found = refine_line(image, line.rough, structure=line.structure)
    shifts: tuple[float | None, float | None] = None, None
    if found.line_yx_px is not None and reference is not None:
        along = np.subtract(line.true[1], line.true[0]) / math.dist(*line.true)
        steps = [float(np.subtract(a, b) @ along) for a, b in zip(found.line_yx_px, reference, strict=True)]
        shifts = (-steps[0] if line.structure == "lumen" else steps[0]), steps[1]
    return AccuracyRow(
        vessel.view,
        vessel.number,
        vessel.speckle,
        vessel.radius_px,
        index,
        line.structure,
        name,
        math.dist(*line.true),
        None if reference is None else math.dist(*reference),
        found.width.value,
        *shifts,
        found.width.uncertainty,
        found.quality,
        found.width.reason,
    )


def measure_all(
    vessels: Iterator[KnownVessel], methods: Mapping[str, FrameDespeckler], tell: Callable[[str], None]
) -> list[AccuracyRow]:
    """Measure vessels one after the other."""
    rows: list[AccuracyRow] = []
    for vessel in vessels:
        rows += measure_vessel(vessel, methods)
        tell(f"{vessel.view} vessel {vessel.number}: {len(rows)} measurements")
    return rows
