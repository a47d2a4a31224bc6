"""Bias, limits of agreement and wall shift as a markdown part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from Training.geometry_accuracy.masks import MaskRow
from Training.geometry_accuracy.measuring import ORIGINAL, SPECKLE_FREE, AccuracyRow
from Training.geometry_accuracy.vessels import PIXEL_MM

LIMIT_PX = 0.1
NAMES = {"lumen": "lumen diameter", "imt": "far-wall IMT"}


@dataclass(frozen=True)
class Agreement:
    """Differences as Bland and Altman (Lancet 1986) sum them up."""

    count: int
    bias: float
    sd: float

    @classmethod
    def of(cls, differences: Iterable[float]) -> Agreement | None:
        """Return bias and standard deviation; None of fewer than two differences."""
        values = np.fromiter(differences, np.float64)
        if values.size < 2:
            return None
        return cls(values.size, float(values.mean()), float(values.std(ddof=1)))

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of agreement: bias -+ 1.96 standard deviations."""
        return self.bias - 1.96 * self.sd, self.bias + 1.96 * self.sd


def images_of(rows: Sequence[AccuracyRow]) -> list[str]:
    """Return the kinds of image in the order in which they were measured."""
    return list(dict.fromkeys(row.image for row in rows))


def to_geometry(row: AccuracyRow) -> float | None:
    """Measured less geometric length."""
    return None if row.measured_px is None else row.measured_px - row.geometry_px


def to_speckle_free(row: AccuracyRow) -> float | None:
    """Measured length less that in the image without speckle."""
    if row.measured_px is None or row.speckle_free_px is None:
        return None
    return row.measured_px - row.speckle_free_px


def differences(
    rows: Sequence[AccuracyRow], image: str, structure: str, view: str, what: Callable[[AccuracyRow], float | None]
) -> list[float]:
    """Return the differences of one kind of image, structure and view that exist."""
    chosen = (row for row in rows if (row.image, row.structure, row.view) == (image, structure, view))
    return [value for row in chosen if (value := what(row)) is not None]


def wall_shifts(rows: Sequence[AccuracyRow], image: str, view: str | None = None) -> dict[int, list[float]]:
    """Return the shifts of the lumen-intima edges of lumen lines, by vessel (numbers of one view, or of all)."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row.image == image and row.structure == "lumen" and view in (None, row.view):
            key = row.vessel + (100_000 if row.view == "longitudinal" else 0)
            found.setdefault(key, []).extend(s for s in (row.first_shift_px, row.last_shift_px) if s is not None)
    return {key: values for key, values in found.items() if values}


def markdown(rows: Sequence[AccuracyRow], masks: Sequence[MaskRow], command: str, figure: str) -> str:
    """Return tables and sentences; numbers in pixels of 0.078 mm."""
    vessels = len({(row.view, row.vessel) for row in rows})
    return "\n".join(
        [
            f"Printed by `{command}`: {vessels} vessels, three lines each for diameter and IMT,",
            f"{len(rows)} measurements. Numbers are pixels of {PIXEL_MM:.3f} mm.",
            "",
            "#### Wall shift",
            "",
            *_shift_table(rows),
            "",
            *_verdicts(rows),
            "",
            "#### Caliper",
            "",
            *_agreement_table(rows),
            "",
            f"![Bland-Altman plots of diameter and IMT]({figure})",
            "",
            "#### From masks",
            "",
            *_mask_table(masks),
            "",
        ]
    )


def _shift_table(rows: Sequence[AccuracyRow]) -> list[str]:
    lines = [
        "| image | transverse, near | transverse, far | longitudinal, near | longitudinal, far | all walls | median |",
        "|---|---|---|---|---|---|---|",
    ]
    for image in images_of(rows):
        if image == SPECKLE_FREE:
            continue
        cells = [
            _cell(Agreement.of(differences(rows, image, "lumen", view, end)))
            for view in ("transverse", "longitudinal")
            for end in (lambda row: row.first_shift_px, lambda row: row.last_shift_px)
        ]
        everything = [value for values in wall_shifts(rows, image).values() for value in values]
        cells += [_cell(Agreement.of(everything)), f"{np.median(everything):+.2f}" if everything else ""]
        lines.append(f"| {image} | " + " | ".join(cells) + " |")
    return lines


def _cell(agreement: Agreement | None) -> str:
    return "" if agreement is None else f"{agreement.bias:+.2f} ± {agreement.sd:.2f} ({agreement.count})"


def _verdicts(rows: Sequence[AccuracyRow]) -> list[str]:
    lines = ["Mean over vessels of each vessel's mean shift, with its 95 % confidence interval:", ""]
    for image in images_of(rows):
        means = np.array([np.mean(values) for values in wall_shifts(rows, image).values()])
        if image == SPECKLE_FREE or means.size < 2:
            continue
        half = 1.96 * float(means.std(ddof=1)) / math.sqrt(means.size)
        verdict = "below" if abs(means.mean()) < LIMIT_PX else "NOT below"
        lines.append(f"- {image}: {means.mean():+.3f} ± {half:.3f} px, {verdict} {LIMIT_PX:g} px")
    return lines


def _agreement_table(rows: Sequence[AccuracyRow]) -> list[str]:
    lines = [
        "| measured | view | image | found | bias to speckle-free | limits of agreement | bias to geometry |"
        " limits of agreement |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for structure, view in (
        ("lumen", "transverse"),
        ("lumen", "longitudinal"),
        ("imt", "transverse"),
        ("imt", "longitudinal"),
    ):
        for image in images_of(rows):
            of_kind = [row for row in rows if (row.image, row.structure, row.view) == (image, structure, view)]
            if not of_kind:
                continue
            found = sum(row.measured_px is not None for row in of_kind)
            cells = []
            for what in (to_speckle_free, to_geometry):
                agreement = Agreement.of(differences(rows, image, structure, view, what))
                if agreement is None or (image == SPECKLE_FREE and what is to_speckle_free):
                    cells += ["", ""]
                else:
                    low, high = agreement.limits
                    cells += [f"{agreement.bias:+.2f}", f"{low:+.2f} to {high:+.2f}"]
            head = f"{NAMES[structure]} | {view} | {image} | {found} of {len(of_kind)}"
            lines.append(f"| {head} | " + " | ".join(cells) + " |")
    return lines


def _mask_table(masks: Sequence[MaskRow]) -> list[str]:
    lines = [
        "| view | figure | vessels | bias | limits of agreement | stated uncertainty |",
        "|---|---|---|---|---|---|",
    ]
    for view, figure in dict.fromkeys((row.view, row.figure) for row in masks):
        chosen = [row for row in masks if (row.view, row.figure) == (view, figure)]
        agreement = Agreement.of(row.measured_px - row.geometry_px for row in chosen)
        if agreement is None:
            continue
        low, high = agreement.limits
        stated = float(np.mean([row.uncertainty_px for row in chosen]))
        limits = f"{low:+.2f} to {high:+.2f}"
        name = figure.replace("_", " ")
        lines.append(f"| {view} | {name} | {agreement.count} | {agreement.bias:+.3f} | {limits} | {stated:.2f} |")
    return lines


__all__ = [
    "ORIGINAL",
    "Agreement",
    "differences",
    "images_of",
    "markdown",
    "to_geometry",
    "to_speckle_free",
    "wall_shifts",
]
