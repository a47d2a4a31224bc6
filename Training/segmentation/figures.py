"""Figures of a comparison: every person's line from originals to despeckled images, and scores by training size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
MOST_COLUMNS = 6


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
    lines = [(test, part) for test, found in rows for part in _in_lines(found)]
    columns = max(len(part) for _, part in lines)
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(max(1.2 + 1.75 * columns, 5.0), 0.7 + 2.5 * len(lines)), layout="constrained")
        axes = drawn.subplots(len(lines), columns, squeeze=False)
        panels = []
        for line, (test, part) in zip(axes, lines, strict=True):
            for ax, each in zip(line, part, strict=False):
                _paired_lines(ax, base.figures[figure], each.figures[figure], each.group.images)
                panels.append((ax, each.mean(figure)))
            for ax in line[len(part) :]:
                ax.set_visible(False)
            line[0].set_ylabel(f"{figure.upper() if figure != 'dice' else 'Dice'}\n{test}")
        _share_scale(panels, base.mean(figure) or 0.0)
        count = len(base.figures[figure])
        drawn.suptitle(f"{data}, {label}: one line per subject (n = {count}), thick: mean", fontsize=10)
        save_figure(drawn, path)
    return True


def _in_lines(found: Sequence[SubjectMeans]) -> Iterator[Sequence[SubjectMeans]]:
    """Yield the panels of one line of a figure after the other, as even as they can be."""
    lines = -(-len(found) // MOST_COLUMNS)
    columns = -(-len(found) // lines)
    for start in range(0, len(found), columns):
        yield found[start : start + columns]


def _share_scale(panels: Sequence[tuple[Axes, float | None]], base: float) -> None:
    """Give panels one scale, but not those whose mean is far from the originals: they would flatten all the others."""
    near = [ax for ax, mean in panels if mean is None or 0.9 * base <= mean <= 1.1 * base]
    limits = [ax.get_ylim() for ax in near or [ax for ax, _ in panels]]
    for ax, _ in panels:
        if ax in near or not near:
            ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        else:
            ax.set_title("own scale", fontsize=7)


def sizes_figure(means: Sequence[SubjectMeans], data: str, label: str, path: Path, figure: str = "dice") -> bool:
    """Draw mean scores over the number of training images, one line for each method on its own kind of image."""
    own = [each for each in means if _is(each, data, OWN, label, size=None)]
    sizes = sorted({each.group.size for each in own}, key=lambda size: (size == _ALL, int(size) if size != _ALL else 0))
    if len(sizes) < 2:
        return False
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(6.4, 3.6), layout="constrained")
        ax = drawn.subplots()
        for number, method in enumerate(dict.fromkeys(each.group.images for each in own)):
            found = {each.group.size: each.mean(figure) for each in own if each.group.images == method}
            at = [place for place, size in enumerate(sizes) if found.get(size) is not None]
            colour = REFERENCE if method == ORIGINAL else LINES[(number - 1) % len(LINES)]
            dashes = "-" if number <= len(LINES) else "--"  # a colour that comes again
            style = {"color": colour, "marker": MARKERS[number % len(MARKERS)], "ms": 5, "linestyle": dashes}
            ax.plot(at, [found[sizes[place]] for place in at], label=method, **style)
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set_xlabel("Training images")
        ax.set_ylabel("Dice" if figure == "dice" else figure.upper())
        ax.set_title(f"{data}, {label}: mean over subjects")
        drawn.legend(loc="outside right upper", fontsize=8)
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
