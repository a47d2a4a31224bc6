"""Picture sheets: input, truth and methods side by side, and the same detail of each enlarged."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from Training.evidence.charts import save_figure

Frame = npt.NDArray[np.float64]
Window = tuple[int, int, int]
"""Top, left and side in pixels."""
PANEL_IN = 2.3
BOX_RGB = (230, 159, 0)
"""Orange of Okabe and Ito (2008)."""


def busiest_window(frame_yx: Frame, share: float = 0.3) -> Window:
    """Return the square window with the most edges (Gaussian gradient magnitude), away from the frame's border."""
    side = max(8, int(share * min(frame_yx.shape)))
    edges = ndimage.uniform_filter(ndimage.gaussian_gradient_magnitude(frame_yx, 2.0), side, mode="constant")
    half, margin = side // 2, side // 2 + max(2, min(frame_yx.shape) // 12)
    inner = edges[margin : edges.shape[0] - margin, margin : edges.shape[1] - margin]
    if inner.size == 0:
        return (0, 0, min(side, *frame_yx.shape))
    y, x = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return (int(y) + margin - half, int(x) + margin - half, side)


def picture_sheet(
    panels: Sequence[tuple[str, Frame]], path: Path, *, window: Window, title: str = "", columns: int = 4
) -> None:
    """Write a sheet: each panel as a whole and, below it, its detail.

    All have one grey window, from 0 to what only a thousandth of the first panel's pixels exceeds.

    Parameters
    ----------
    panels
        Caption and frame (Y, X), grey 0..1, all of one shape.
    window
        The detail, marked in the first panel.
    """
    highest = max(float(np.quantile(panels[0][1], 0.999)), 1e-3)
    bands = -(-len(panels) // columns)
    columns = -(-len(panels) // bands)  # bands of like length leave no empty corner
    ratio = panels[0][1].shape[0] / panels[0][1].shape[1]
    heights = [ratio, 1.0] * bands
    lines = textwrap.wrap(title, 34 * columns)
    with mpl.rc_context({"font.size": 8.5}):
        size = (PANEL_IN * columns, PANEL_IN * sum(heights) + 0.26 * bands + 0.2 * len(lines))
        drawn = Figure(figsize=size, layout="constrained")
        drawn.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
        if lines:
            drawn.suptitle("\n".join(lines), fontsize=9.5)
        axes = drawn.subplots(2 * bands, columns, squeeze=False, gridspec_kw={"height_ratios": heights})
        for ax in axes.ravel():
            ax.set_axis_off()
        top, left, side = window
        for number, (caption, frame) in enumerate(panels):
            row, column = 2 * (number // columns), number % columns
            show = {"cmap": "gray", "vmin": 0.0, "vmax": highest, "interpolation": "antialiased"}
            axes[row, column].imshow(frame, **show)
            axes[row, column].set_title(caption, fontsize=8.5, pad=3)
            axes[row + 1, column].imshow(frame[top : top + side, left : left + side], **show)
            if number == 0:
                box = Rectangle(
                    (left, top), side, side, fill=False, edgecolor=[value / 255 for value in BOX_RGB], linewidth=1.2
                )
                axes[row, column].add_patch(box)
        save_figure(drawn, path, greys_and=BOX_RGB)
