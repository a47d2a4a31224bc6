"""Every image-quality and speckle metric of the package, and `compare_frames`, which takes them all.

Definitions and sources are in `image_metrics` (similarity, region statistics, homogeneity) and `structure_metrics`
(edges, brightness, residual, flicker); all can be imported from here. NumPy and SciPy only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Literal

from Speckle2SelfLogic.image_metrics import (
    SSIM_LEAST_PX,
    cnr,
    enl,
    fitted_scale,
    gcnr,
    glcm_homogeneity,
    psnr_after_scale_db,
    psnr_db,
    snr,
    ssim,
    ssim_after_scale,
)
from Speckle2SelfLogic.structure_metrics import (
    EdgeRise,
    Image,
    Mask,
    TemporalFlicker,
    black_share,
    boundary_rise_width,
    checked_data_range,
    checked_images,
    checked_mask,
    edge_rise_width_px,
    local_brightness_bias,
    residual_structure_correlation,
    temporal_flicker,
    with_mean_of,
)

__all__ = [
    "FIGURES",
    "EdgeRise",
    "FigureInfo",
    "QualityFigures",
    "TemporalFlicker",
    "black_share",
    "boundary_rise_width",
    "cnr",
    "compare_frames",
    "edge_rise_width_px",
    "enl",
    "fitted_scale",
    "gcnr",
    "glcm_homogeneity",
    "local_brightness_bias",
    "psnr_after_scale_db",
    "psnr_db",
    "residual_structure_correlation",
    "snr",
    "ssim",
    "ssim_after_scale",
    "temporal_flicker",
    "with_mean_of",
]


@dataclass(frozen=True)
class FigureInfo:
    """What a report says about one figure."""

    title: str
    unit: str
    """Empty for a pure number."""
    better: Literal["higher", "lower", "neither"]
    definition: str
    """One sentence, with the caution that a reader needs."""


@dataclass(frozen=True)
class QualityFigures:
    """What `compare_frames` measured; None where truth, a mask or the spacing was not given or nothing was there."""

    psnr_db: float | None
    psnr_after_scale_db: float | None
    ssim: float | None
    ssim_after_scale: float | None
    homogeneity: float | None
    gcnr: float | None
    cnr: float | None
    snr: float | None
    enl: float | None
    edge_rise_px: float | None
    edge_rise_mm: float | None
    brightness_ratio: float | None
    local_brightness_bias: float | None
    residual_structure: float | None
    black_share: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Figures by name, ready for JSON: infinite ones (PSNR of equal images, SNR of a flat region) become None."""
        figures: dict[str, float | None] = asdict(self)
        return {name: value if value is None or math.isfinite(value) else None for name, value in figures.items()}


FIGURES: Mapping[str, FigureInfo] = MappingProxyType(
    {
        "psnr_db": FigureInfo(
            "PSNR",
            "dB",
            "higher",
            "Peak signal-to-noise ratio against the speckle-free truth; counts overall brightness.",
        ),
        "psnr_after_scale_db": FigureInfo(
            "PSNR, brightness fitted", "dB", "higher", "PSNR after the one scale factor that fits the truth best."
        ),
        "ssim": FigureInfo(
            "SSIM", "", "higher", "Structural similarity to the truth (Wang 2004, Gaussian window 11 x 11, sigma 1.5)."
        ),
        "ssim_after_scale": FigureInfo(
            "SSIM, brightness fitted", "", "higher", "SSIM after the one scale factor that fits the truth best."
        ),
        "homogeneity": FigureInfo(
            "GLCM homogeneity",
            "",
            "higher",
            "Mean of 1 / (1 + d^2) over grey differences d of horizontal neighbours, at the input's mean brightness; "
            "blur raises it too, so read it beside the edge rise.",
        ),
        "gcnr": FigureInfo(
            "gCNR", "", "higher", "1 - overlap of the grey histograms of lumen and tissue; no grey map can change it."
        ),
        "cnr": FigureInfo(
            "CNR", "", "higher", "|difference of means| / root of summed variances of lumen and tissue; blur raises it."
        ),
        "snr": FigureInfo(
            "Tissue SNR", "", "higher", "Mean / standard deviation of homogeneous tissue; blur raises it too."
        ),
        "enl": FigureInfo(
            "Tissue ENL", "", "higher", "Mean^2 / variance of homogeneous tissue; on compressed grey only a ranking."
        ),
        "edge_rise_px": FigureInfo(
            "Edge rise 10-90 %",
            "px",
            "lower",
            "Median width of the lumen's edge; below the truth's own it is sharpened.",
        ),
        "edge_rise_mm": FigureInfo(
            "Edge rise 10-90 %", "mm", "lower", "The same in millimetres, where the spacing is calibrated."
        ),
        "brightness_ratio": FigureInfo(
            "Brightness kept", "", "neither", "Mean of the output / mean of the input; 1 is best."
        ),
        "local_brightness_bias": FigureInfo(
            "Local brightness bias",
            "",
            "lower",
            "Median of |log mean ratio| over 32 px blocks after overall brightness was matched; 0.02 is 2 %.",
        ),
        "residual_structure": FigureInfo(
            "Structure in the residual",
            "",
            "lower",
            "|Correlation| of input - output with the output's gradient; speckle alone would give 0.",
        ),
        "black_share": FigureInfo(
            "Blackened pixels", "", "lower", "Share of pixels at most 1/255 bright whose input was above 8/255."
        ),
        "brightness_flicker": FigureInfo(
            "Brightness flicker", "", "lower", "Standard deviation over frames of log(mean output / mean input)."
        ),
        "static_change": FigureInfo(
            "Change in static tissue",
            "",
            "lower",
            "Mean absolute change between frames where the input stands still, over the mean grey there.",
        ),
        "static_change_ratio": FigureInfo(
            "Change against input", "", "lower", "Change in static tissue over the input's own; below 1 is calmer."
        ),
    }
)
"""Every field of `QualityFigures` and `TemporalFlicker`, in the order of a report."""


def compare_frames(
    input_yx: Image,
    output_yx: Image,
    *,
    data_range: float,
    truth: Image | None = None,
    spacing_mm: tuple[float, float] | None = None,
    lumen_mask: Mask | None = None,
    tissue_mask: Mask | None = None,
) -> QualityFigures:
    """Measure one despeckled frame. For the input's own figures, pass it as the output too.

    The figures that need no truth are taken after the output was scaled to the input's mean (`with_mean_of`), because
    homogeneity, black pixels and local brightness would otherwise report the overall brightness over again, which
    ``brightness_ratio`` gives by itself. PSNR and SSIM are given for the output as it is and after one fitted scale.

    Parameters
    ----------
    input_yx, output_yx
        Frame before and after, one shape, one grey scale.
    data_range
        Span of grey values.
    truth
        Speckle-free frame under the same compression.
    spacing_mm
        Pixel spacing (x, y) in mm, in the order of `UltrasoundImage.spacing_mm`.
    lumen_mask
        Vessel lumen (or any region with a boundary): for the edge and, with ``tissue_mask``, the contrast.
    tissue_mask
        Homogeneous tissue: for SNR and ENL.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If ``data_range`` or the spacing is not positive, a mask is empty, or shapes differ.
    """
    source, output = checked_images(input_yx, output_yx)
    span = checked_data_range(data_range)
    lumen = None if lumen_mask is None else checked_mask("lumen mask", lumen_mask, source)
    tissue = None if tissue_mask is None else checked_mask("tissue mask", tissue_mask, source)
    matched = with_mean_of(output, source)
    edge = None if lumen is None else boundary_rise_width(matched, lumen, spacing_mm=spacing_mm)
    return QualityFigures(
        **_truth_figures(output, truth, span),
        homogeneity=glcm_homogeneity(output, source, data_range=span) if source.shape[1] > 1 else None,
        gcnr=None if lumen is None or tissue is None else gcnr(matched, lumen, tissue),
        cnr=None if lumen is None or tissue is None else cnr(matched, lumen, tissue),
        snr=None if tissue is None else snr(matched, tissue),
        enl=None if tissue is None else enl(matched, tissue),
        edge_rise_px=None if edge is None else edge.width_px,
        edge_rise_mm=None if edge is None else edge.width_mm,
        brightness_ratio=float(output.mean() / source.mean()) if source.mean() > 0 else None,
        local_brightness_bias=local_brightness_bias(source, matched, data_range=span),
        residual_structure=residual_structure_correlation(source, matched),
        black_share=black_share(source, matched, data_range=span),
    )


def _truth_figures(output: Image, truth: Image | None, data_range: float) -> dict[str, float | None]:
    if truth is None:
        return dict.fromkeys(("psnr_db", "psnr_after_scale_db", "ssim", "ssim_after_scale"))
    figures: dict[str, float | None] = {
        "psnr_db": psnr_db(truth, output, data_range=data_range),
        "psnr_after_scale_db": psnr_after_scale_db(truth, output, data_range=data_range),
        "ssim": None,
        "ssim_after_scale": None,
    }
    if min(output.shape) >= SSIM_LEAST_PX:
        figures["ssim"] = ssim(truth, output, data_range=data_range)
        figures["ssim_after_scale"] = ssim_after_scale(truth, output, data_range=data_range)
    return figures
