"""The figures of one output: against the truth where there is one, without it where there is none.

Grey is 0..1 everywhere. Figures that need no truth are taken after the output was scaled to the input's mean, since
they would otherwise report overall brightness, which has its own figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.metrics import (
    FIGURES,
    FigureInfo,
    black_share,
    boundary_rise_width,
    fitted_scale,
    gcnr,
    glcm_homogeneity,
    local_brightness_bias,
    psnr_after_scale_db,
    psnr_db,
    residual_structure_correlation,
    snr,
    ssim,
    ssim_after_scale,
    temporal_flicker,
    with_mean_of,
)
from Training.evidence.frames import EvidenceItem, Float32
from Training.evidence.regions import flat_blocks, regions_of_truth

VERSION = 3
"""Counts changes of any definition below; figures that were stored under another number are measured again."""

Figures = dict[str, float | None]
Perceptual = Callable[[npt.NDArray[np.floating], npt.NDArray[np.floating]], float]
"""Distance of an estimate to a reference, both grey 0..1."""
Better = Literal["higher", "lower", "neither"]


def _info(title: str, unit: str, better: Better, definition: str) -> FigureInfo:
    return FigureInfo(title, unit, better, definition)


INFOS: Mapping[str, FigureInfo] = MappingProxyType(
    {
        **{name: FIGURES[name] for name in ("psnr_db", "psnr_after_scale_db", "ssim", "ssim_after_scale")},
        "ssim_uniform": _info(
            "SSIM, 7 x 7", "", "higher", "SSIM with a uniform window of 7 x 7, the default of scikit-image."
        ),
        "ssim_uniform_after_scale": _info(
            "SSIM, 7 x 7, brightness fitted", "", "higher", "The same after the one scale factor that fits best."
        ),
        "lpips": _info("LPIPS", "", "lower", "Shift-tolerant LPIPS (Ghildyal and Liu 2022), grey as three channels."),
        "lpips_after_scale": _info(
            "LPIPS, brightness fitted", "", "lower", "The same after the one scale factor that fits best."
        ),
        "homogeneity": FIGURES["homogeneity"],
        "gcnr": _info(
            "gCNR",
            "",
            "higher",
            "1 - overlap of the grey histograms of the dark and the bright part of the truth (Otsu's threshold).",
        ),
        "edge_rise_px": _info(
            "Edge rise 10-90 %",
            "px",
            "lower",
            "Median width of the border of that bright part; below the truth's own it is sharpened.",
        ),
        "flat_snr": _info(
            "Speckle SNR",
            "",
            "higher",
            "Median of mean / standard deviation in up to eight 32 px blocks, the flattest of the input.",
        ),
        **{name: FIGURES[name] for name in ("brightness_ratio", "local_brightness_bias", "black_share")},
        "truth_brightness_bias": _info(
            "Local brightness bias to the truth",
            "",
            "lower",
            "Median of |log mean ratio| of output and truth over 32 px blocks after overall brightness was matched.",
        ),
        "residual_structure": FIGURES["residual_structure"],
        **{name: FIGURES[name] for name in ("brightness_flicker", "static_change_ratio")},
        "gcnr_below": _info("gCNR lumen/below", "", "higher", "gCNR of lumen and tissue below the vessel, 64 bins."),
        "gcnr_muscle": _info("gCNR lumen/muscle", "", "higher", "gCNR of lumen and strap muscle above it, 64 bins."),
        "snr_below": _info("SNR below vessel", "", "higher", "Mean / standard deviation of tissue below the vessel."),
        "snr_muscle": _info("SNR muscle", "", "higher", "Mean / standard deviation of the strap muscle."),
        "far_wall_px": _info("Far-wall rise", "px", "lower", "10-90 % rise from the lumen to the far wall."),
    }
)
"""Every figure that is measured, in the order of the tables."""


@dataclass(frozen=True)
class Meter:
    """Measures outputs. Without ``perceptual`` the LPIPS figures are None."""

    perceptual: Perceptual | None = None

    def figures(self, item: EvidenceItem, output_nyx: Float32) -> Figures:
        """Measure a method's answer to an item: means over its frames, and flicker for a cine."""
        frames = [
            self._frame(source, output, item.truth_yx)
            for source, output in zip(item.frames_nyx, output_nyx, strict=True)
        ]
        figures = {name: _mean([frame[name] for frame in frames]) for name in frames[0]}
        if len(frames) > 1:
            flicker = temporal_flicker(item.frames_nyx, output_nyx, data_range=1.0)
            figures["brightness_flicker"] = flicker.brightness_flicker
            figures["static_change_ratio"] = flicker.static_change_ratio
        return figures

    def _frame(self, input_yx: Float32, output_yx: Float32, truth_yx: Float32 | None) -> Figures:
        matched = with_mean_of(output_yx, input_yx)
        figures: Figures = {
            "homogeneity": glcm_homogeneity(output_yx, input_yx, data_range=1.0),
            "brightness_ratio": float(output_yx.mean() / input_yx.mean()) if input_yx.mean() > 0 else None,
            "local_brightness_bias": local_brightness_bias(input_yx, matched, data_range=1.0),
            "residual_structure": residual_structure_correlation(input_yx, matched),
            "black_share": black_share(input_yx, matched, data_range=1.0),
        }
        if truth_yx is None:
            blocks = flat_blocks(input_yx)
            return figures | {"flat_snr": float(np.median([snr(matched, b) for b in blocks])) if blocks else None}
        return figures | self._similarity(truth_yx, output_yx) | _structure(input_yx, matched, truth_yx)

    def _similarity(self, truth_yx: Float32, output_yx: Float32) -> Figures:
        scaled = output_yx * fitted_scale(truth_yx, output_yx)
        distance = self.perceptual or (lambda *_: None)
        return {
            "psnr_db": psnr_db(truth_yx, output_yx, data_range=1.0),
            "psnr_after_scale_db": psnr_after_scale_db(truth_yx, output_yx, data_range=1.0),
            "ssim": ssim(truth_yx, output_yx, data_range=1.0),
            "ssim_after_scale": ssim_after_scale(truth_yx, output_yx, data_range=1.0),
            "ssim_uniform": uniform_ssim(truth_yx, output_yx),
            "ssim_uniform_after_scale": uniform_ssim(truth_yx, scaled),
            "lpips": distance(truth_yx, output_yx),
            "lpips_after_scale": distance(truth_yx, scaled),
            "truth_brightness_bias": local_brightness_bias(truth_yx, with_mean_of(output_yx, truth_yx), data_range=1.0),
        }


def uniform_ssim(truth_yx: npt.NDArray[np.floating], output_yx: npt.NDArray[np.floating]) -> float:
    """Return SSIM as scikit-image has it by default: uniform window of 7 x 7, sample covariance, data range 1."""
    from skimage.metrics import structural_similarity

    return float(structural_similarity(np.float64(truth_yx), np.float64(output_yx), data_range=1.0))


def _structure(input_yx: Float32, matched_yx: npt.NDArray[np.float64], truth_yx: Float32) -> Figures:
    regions = regions_of_truth(input_yx, truth_yx)
    if regions is None:
        return {"gcnr": None, "edge_rise_px": None}
    edge = boundary_rise_width(matched_yx, regions.brighter_yx)
    return {
        "gcnr": gcnr(matched_yx, regions.dark_yx, regions.bright_yx),
        "edge_rise_px": None if edge is None else edge.width_px,
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None
