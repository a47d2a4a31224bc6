"""Figures of a comparison: every person's line from originals to despeckled images, and scores by training size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from Training.evidence.charts import LINES, MARKERS, OURS, REFERENCE, RIVAL, STYLE, save_figure
from Training.segmentation.cells import OWN, SWAPPED
from Training.segmentation.findings import SubjectMeans
from Training.segmentation.plan import ORIGINAL

_ALL = "all"


def paired_figure(means: Sequence[SubjectMeans], data: str, label: str, path: Path, figure: str = "dice") -> bool:
    """Draw one panel for each method, above trained and tested on it, below only tested: one line for each person.

    Returns false, and writes nothing, if there is nothing to draw.
    """
    base = _named(means, data, OWN, ORIGINAL, label)
    pairs = {
        test: [each for each in means if _is(each, data, test, label) and each.group.images != ORIGINAL]
        for test in (OWN, SWAPPED)
    }
    rows = [(test, found) for test, found in pairs.items() if found]
    if base is None or not rows:
        return False
    columns = max(len(found) for _, found in rows)
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(max(1.2 + 1.75 * columns, 5.0), 0.7 + 2.5 * len(rows)), layout="constrained")
        axes = drawn.subplots(len(rows), columns, sharey=True, squeeze=False)
        for line, (test, found) in zip(axes, rows, strict=True):
            for ax, each in zip(line, found, strict=False):
                _paired_lines(ax, base.figures[figure], each.figures[figure], each.group.images)
            for ax in line[len(found) :]:
                ax.set_visible(False)
            line[0].set_ylabel(f"{figure.upper() if figure != 'dice' else 'Dice'}\n{test}")
        count = len(base.figures[figure])
        drawn.suptitle(f"{data}, {label}: one line per subject (n = {count}), thick: mean", fontsize=10)
        save_figure(drawn, path)
    return True


def sizes_figure(means: Sequence[SubjectMeans], data: str, label: str, path: Path, figure: str = "dice") -> bool:
    """Draw mean scores over the number of training images, one line for each method on its own kind of image."""
    own = [each for each in means if _is(each, data, OWN, label, size=None)]
    sizes = sorted({each.group.size for each in own}, key=lambda size: (size == _ALL, int(size) if size != _ALL else 0))
    if len(sizes) < 2:
        return False
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(5.2, 3.2), layout="constrained")
        ax = drawn.subplots()
        for number, method in enumerate(dict.fromkeys(each.group.images for each in own)):
            found = {each.group.size: each.mean(figure) for each in own if each.group.images == method}
            at = [place for place, size in enumerate(sizes) if found.get(size) is not None]
            colour = REFERENCE if method == ORIGINAL else LINES[(number - 1) % len(LINES)]
            style = {"color": colour, "marker": MARKERS[number % len(MARKERS)], "ms": 5}
            ax.plot(at, [found[sizes[place]] for place in at], label=method, **style)
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set_xlabel("Training images")
        ax.set_ylabel("Dice" if figure == "dice" else figure.upper())
        ax.set_title(f"{data}, {label}: mean over subjects")
        ax.legend(fontsize=8)
        save_figure(drawn, path)
    return True


def _paired_lines(ax: Axes, before: Mapping[str, float], after: Mapping[str, float], method: str) -> None:
    shared = sorted(before.keys() & after.keys())
    for name in shared:
        is_higher = after[name] > before[name]
        colour = RIVAL if is_higher else OURS
        ax.plot([0, 1], [before[name], after[name]], color=colour, marker="o", ms=3, lw=0.9, alpha=0.75)
    ax.plot(
        [0, 1],
        [np.mean([values[name] for name in shared]) for values in (before, after)],
        color="black",
        marker="D",
        ms=4,
        lw=2.2,
    )
    ax.set_xlim(-0.25, 1.25)
    ax.set_xticks([0, 1], [ORIGINAL, method], fontsize=7)


def _named(means: Sequence[SubjectMeans], data: str, test: str, images: str, label: str) -> SubjectMeans | None:
    return next((each for each in means if _is(each, data, test, label) and each.group.images == images), None)


def _is(each: SubjectMeans, data: str, test: str, label: str, size: str | None = _ALL) -> bool:
    group = each.group
    return (group.data, group.test, group.label) == (data, test, label) and size in (None, group.size)
