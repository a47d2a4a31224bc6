"""Mean and spread over images, and paired tests between methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Summary:
    """A figure over images."""

    mean: float
    spread: float
    """Standard deviation over images (n - 1); 0 for a single image."""
    count: int


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon's signed-rank test (Wilcoxon, Biometrics Bulletin 1(6), 1945) of two methods on the same images."""

    mean_difference: float
    """First minus second."""
    p: float
    """Two-sided; 1 where all differences are zero."""
    count: int
    """Images on which both have the figure."""


def summary(values: Sequence[float]) -> Summary | None:
    """Return mean and spread, or None without values."""
    if not len(values):
        return None
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Summary(float(np.mean(values)), spread, len(values))


def paired_test(first: Mapping[str, float], second: Mapping[str, float]) -> PairedTest | None:
    """Compare two methods by the images (keys) that both have; None if there are none."""
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None
    differences = np.array([first[name] - second[name] for name in shared])
    p = float(stats.wilcoxon(differences).pvalue) if np.any(differences != 0) else 1.0
    return PairedTest(float(differences.mean()), p, len(shared))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number (Holm, Scandinavian Journal of Statistics 6(2), 1979), in their own order.

    The k-th smallest of m is multiplied by m - k + 1, and none may be below a smaller one.
    """
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected
