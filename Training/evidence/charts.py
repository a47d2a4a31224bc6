"""Charts of stored figures: methods by set, and figures over the number of frames that a network was fine-tuned on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from Training.evidence.figures import INFOS
from Training.evidence.methods import INPUT
from Training.evidence.rows import Measured
from Training.evidence.statistics import Summary, summary

OURS, RIVAL, REFERENCE = "#D55E00", "#0072B2", "#666666"
"""Vermilion, blue and grey (Okabe and Ito 2008), which can be told apart with any colour vision."""
LINES = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def save_figure(figure: Figure, path: Path, *, greys_and: tuple[int, int, int] | None = None) -> None:
    """Write a figure as a PNG with a palette, which is small. Nothing in the file depends on the time.

    Parameters
    ----------
    greys_and
        For pictures: 86 greys and this one colour. Left out: the 128 colours that fit best.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    with Image.open(path) as picture:
        colours = picture.convert("RGB")
        if greys_and is None:
            small = colours.quantize(128, dither=Image.Dither.NONE)
        else:
            palette = Image.new("P", (1, 1))
            palette.putpalette([*(grey for level in range(0, 256, 3) for grey in (level,) * 3), *greys_and])
            small = colours.quantize(palette=palette, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def methods_chart(by_set: Mapping[str, Sequence[Measured]], figure: str, ours: str, path: Path) -> None:
    """Draw one panel for each set: mean and standard deviation of a figure for each method, best on average on top."""
    found = {d: {m.method: s for m in methods if (s := _summary(m, figure))} for d, methods in by_set.items()}
    found = {data: values for data, values in found.items() if values}
    names = list(dict.fromkeys(name for values in found.values() for name in values if name != "Truth"))
    average = {name: np.mean([values[name].mean for values in found.values() if name in values]) for name in names}
    names.sort(key=lambda name: average[name], reverse=INFOS[figure].better == "lower")
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(2 + 2.6 * columns, rows * (0.9 + 0.19 * len(names))), layout="constrained")
        axes = np.atleast_1d(drawn.subplots(rows, columns, sharey=True, squeeze=False)).ravel()
        for ax, (data, values) in zip(axes, found.items(), strict=False):
            for height, name in enumerate(names):
                if name in values:
                    colour = OURS if name == ours else REFERENCE if name == INPUT else RIVAL
                    marker = "D" if name == ours else "o"
                    ax.errorbar(
                        values[name].mean, height, xerr=values[name].spread, fmt=marker, color=colour, ms=4.5, lw=1
                    )
            ax.set_title(data)
            ax.set_yticks(range(len(names)), names)
            ax.set_ylim(-0.6, len(names) - 0.4)
        for ax in axes[len(found) :]:
            ax.set_visible(False)
        unit = f" ({INFOS[figure].unit})" if INFOS[figure].unit else ""
        drawn.supxlabel(
            f"{INFOS[figure].title}{unit}, {INFOS[figure].better} is better; bars: standard deviation over images"
        )
        save_figure(drawn, path)


def curves_chart(curves: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]], path: Path) -> None:
    """Draw one panel for each figure: values over the number of frames, one line for each device.

    Parameters
    ----------
    curves
        Figure to device to number of frames to the values of its runs.
    """
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(max(6, 1 + 3.1 * len(curves)), 3.8), layout="constrained")
        axes = drawn.subplots(1, len(curves), squeeze=False)[0]
        for ax, (figure, devices) in zip(axes, curves.items(), strict=True):
            counts = sorted({count for values in devices.values() for count in values})
            for number, (device, values) in enumerate(devices.items()):
                style = {"color": LINES[number % 6], "marker": MARKERS[number % 6], "ms": 5}
                at = [counts.index(count) for count in sorted(values)]
                ax.plot(at, [np.mean(values[count]) for count in sorted(values)], label=device, **style)
            unit = f" ({INFOS[figure].unit})" if INFOS[figure].unit else ""
            ax.set_title(f"{INFOS[figure].title}{unit}")
            ax.set_xticks(range(len(counts)), [f"{count}" for count in counts])
            ax.set_xlabel("Frames of the left-out device")
        lines = axes[0].get_legend_handles_labels()
        drawn.legend(
            *lines, title="Device left out", fontsize=8, loc="outside lower center", ncols=min(4, len(lines[0]))
        )
        save_figure(drawn, path)


def _summary(method: Measured, figure: str) -> Summary | None:
    return summary(list(method.values(figure).values()))
