"""The Bland-Altman figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from Training.geometry_accuracy.measuring import SPECKLE_FREE, AccuracyRow
from Training.geometry_accuracy.tables import NAMES, Agreement, images_of

_COLOURS = {"transverse": "#1f6f8b", "longitudinal": "#d1495b"}
_REACH_PX = 4.0


def write_bland_altman(rows: Sequence[AccuracyRow], path: Path) -> None:
    """Write differences to the speckle-free image against means: a row for each structure, a column for each image."""
    from matplotlib.figure import Figure

    images = [image for image in images_of(rows) if image != SPECKLE_FREE]
    figure = Figure(figsize=(3.1 * len(images) + 0.6, 6.0), layout="constrained")
    axes = figure.subplots(len(NAMES), len(images), squeeze=False, sharey=True, sharex="row")
    for line, structure in zip(axes, NAMES, strict=True):
        for axis, image in zip(line, images, strict=True):
            _draw(axis, [row for row in rows if (row.image, row.structure) == (image, structure)])
            axis.set_title(f"{NAMES[structure]}, {image}", fontsize=9)
        line[0].set_ylabel("difference to speckle-free (px)")
    for axis in axes[-1]:
        axis.set_xlabel("mean of both (px)")
    axes[0][0].legend(fontsize=7, loc="upper right")
    figure.savefig(path, dpi=110)


def _draw(axis: object, rows: Sequence[AccuracyRow]) -> None:
    pairs = [
        (row.view, (row.measured_px + row.speckle_free_px) / 2, row.measured_px - row.speckle_free_px)
        for row in rows
        if row.measured_px is not None and row.speckle_free_px is not None
    ]
    plot = axis  # matplotlib has no types that are worth importing here
    for view, colour in _COLOURS.items():
        inside = [(x, y) for name, x, y in pairs if name == view and abs(y) <= _REACH_PX]
        beyond = [
            (x, _REACH_PX if y > 0 else -_REACH_PX) for name, x, y in pairs if name == view and abs(y) > _REACH_PX
        ]
        if inside:
            plot.scatter(*zip(*inside, strict=True), s=7, color=colour, alpha=0.7, label=view)  # type: ignore[attr-defined]
        if beyond:
            plot.scatter(*zip(*beyond, strict=True), s=26, marker="x", color=colour)  # type: ignore[attr-defined]
    agreement = Agreement.of(y for _, _, y in pairs)
    if agreement is not None:
        low, high = agreement.limits
        plot.axhline(agreement.bias, color="black", linewidth=1)  # type: ignore[attr-defined]
        for limit in (low, high):
            plot.axhline(limit, color="black", linewidth=0.8, linestyle="--")  # type: ignore[attr-defined]
        text = f"bias {agreement.bias:+.2f}\nlimits {low:+.2f} to {high:+.2f}\nn = {agreement.count}"
        plot.text(0.03, 0.03, text, fontsize=7, transform=plot.transAxes)  # type: ignore[attr-defined]
    plot.axhline(0, color="grey", linewidth=0.6)  # type: ignore[attr-defined]
    plot.set_ylim(-_REACH_PX * 1.06, _REACH_PX * 1.06)  # type: ignore[attr-defined]
