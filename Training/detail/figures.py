"""What a detail figure is, and the shape that every check has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from Speckle2SelfLogic.runtime import FrameDespeckler

Figures = dict[str, float | None]
"""One number for each key; None where there was no data or nothing to measure."""


@dataclass(frozen=True)
class DetailFigure:
    """One row of the table: what is measured, and what the default weights must reach."""

    key: str
    bound: float | None = None
    """None: shown, but nothing is required of it."""
    sense: Literal["at least", "at most", "below"] = "at least"
    decimals: int = 3

    def holds(self, value: float | None) -> bool | None:
        """Whether a value keeps the bound; None without a bound or a value."""
        if self.bound is None or value is None:
            return None
        if self.sense == "at least":
            return value >= self.bound
        return value <= self.bound if self.sense == "at most" else value < self.bound

    @property
    def requirement(self) -> str:
        """The bound in words."""
        signs = {"at least": ">=", "at most": "<=", "below": "<"}
        return "" if self.bound is None else f"{signs[self.sense]} {self.bound:g}"


class Check(Protocol):
    """A group of figures that are measured together; what does not depend on the method is computed once."""

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """Every figure that `figures` returns."""

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""


def middle(values: Sequence[float]) -> float | None:
    """Return the median, or None of nothing."""
    return float(np.median(values)) if len(values) else None


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return a quantile, or None of nothing."""
    return float(np.quantile(values, share)) if len(values) else None
