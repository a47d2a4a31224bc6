"""Overlap and distance of label frames, by MONAI's metrics."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics import DiceMetric, HausdorffDistanceMetric, MeanIoU, SurfaceDistanceMetric

from Speckle2SelfLogic.working_grid import window_of

FIGURES = ("dice", "iou", "hd95", "assd")
"""Dice and intersection over union (1 is best); 95 % Hausdorff distance and average symmetric surface distance."""
DISTANCES = ("hd95", "assd")


def label_scores(
    predicted_yx: npt.NDArray[np.integer],
    truth_yx: npt.NDArray[np.integer],
    label: int,
    spacing_yx: tuple[float, float] = (1.0, 1.0),
) -> dict[str, float | None]:
    """Compare one label of two label frames (Y, X).

    Parameters
    ----------
    spacing_yx
        Height and width of a pixel in mm, or 1 and 1 for distances in pixels.

    Returns
    -------
    dict
        `FIGURES`. All None where the truth does not have the label; distances None where the prediction does not.
    """
    predicted, truth = predicted_yx == label, truth_yx == label
    if not truth.any():
        return dict.fromkeys(FIGURES)
    if not predicted.any():
        return {"dice": 0.0, "iou": 0.0, "hd95": None, "assd": None}
    top, bottom, left, right = window_of(predicted | truth) or (0, 0, 0, 0)
    around = np.s_[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]  # less to compute, the same distances
    pair = [torch.from_dlpack(mask[around].astype(np.float32))[None, None] for mask in (predicted, truth)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns of empty masks, of which there are none here
        return {
            "dice": float(DiceMetric()(*pair)),
            "iou": float(MeanIoU()(*pair)),
            "hd95": float(HausdorffDistanceMetric(include_background=True, percentile=95)(*pair, spacing=spacing_yx)),
            "assd": float(SurfaceDistanceMetric(include_background=True, symmetric=True)(*pair, spacing=spacing_yx)),
        }
