"""Similarity to a reference, and statistics of grey values within regions and between neighbours.

NumPy and SciPy only, since these run inside 3D Slicer too. Regions are boolean masks of the image's shape.
``data_range`` is the span of grey values that the images can have (255 for 8 bits, 1 for 0..1) and has no default.
All raise UnsupportedImageError for images that are not finite, not two-dimensional or not of one shape, and
SettingsError for an empty region or a data range that is not positive.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.structure_metrics import (
    Image,
    Mask,
    Values,
    checked_data_range,
    checked_images,
    checked_mask,
    with_mean_of,
)

SSIM_LEAST_PX = 11
"""Side of the window of `ssim`, which has to fit into the image."""


def psnr_db(reference: Image, estimate: Image, *, data_range: float) -> float:
    """Return the peak signal-to-noise ratio ``10 log10(data_range^2 / mean squared error)`` in dB; inf if equal."""
    truth, values = checked_images(reference, estimate)
    squared_range = checked_data_range(data_range) ** 2
    error = float(((truth - values) ** 2).mean())
    return 10 * math.log10(squared_range / error) if error > 0 else math.inf


def ssim(reference: Image, estimate: Image, *, data_range: float) -> float:
    """Return the mean structural similarity (Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004, eq. 13).

    Gaussian window of 11x11 pixels and standard deviation 1.5, K1 = 0.01, K2 = 0.03, population variances, averaged
    over the pixels whose whole window lies in the image.

    Raises
    ------
    UnsupportedImageError
        If the images are smaller than the window, differ in shape or hold non-finite values.
    SettingsError
        If ``data_range`` is not positive.
    """
    truth, values = checked_images(reference, estimate)
    c1, c2 = (0.01 * checked_data_range(data_range)) ** 2, (0.03 * data_range) ** 2
    if min(truth.shape) < SSIM_LEAST_PX:
        message = f"SSIM needs images of at least {SSIM_LEAST_PX} x {SSIM_LEAST_PX} pixels, but got {truth.shape}."
        raise UnsupportedImageError(message)

    def local_mean(image: Values) -> Values:
        inner = slice(SSIM_LEAST_PX // 2, -(SSIM_LEAST_PX // 2))
        mean: Values = ndimage.gaussian_filter(image, 1.5, radius=SSIM_LEAST_PX // 2)[inner, inner]
        return mean

    mean_x, mean_y = local_mean(truth), local_mean(values)
    variance_x = local_mean(truth**2) - mean_x**2
    variance_y = local_mean(values**2) - mean_y**2
    covariance = local_mean(truth * values) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float((luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)).mean())


def fitted_scale(reference: Image, estimate: Image) -> float:
    """Return the scalar s that minimises ``sum (reference - s estimate)^2``; 1 for an estimate that is all zero."""
    truth, values = checked_images(reference, estimate)
    energy = float((values**2).sum())
    return float((truth * values).sum()) / energy if energy > 0 else 1.0


def psnr_after_scale_db(reference: Image, estimate: Image, *, data_range: float) -> float:
    """`psnr_db` after the estimate was multiplied by `fitted_scale`, which forgives overall brightness."""
    scaled = np.asarray(estimate, np.float64) * fitted_scale(reference, estimate)
    return psnr_db(reference, scaled, data_range=data_range)


def ssim_after_scale(reference: Image, estimate: Image, *, data_range: float) -> float:
    """`ssim` after the estimate was multiplied by `fitted_scale`."""
    scaled = np.asarray(estimate, np.float64) * fitted_scale(reference, estimate)
    return ssim(reference, scaled, data_range=data_range)


def _region(image_yx: Image, region_yx: Mask) -> Values:
    (image,) = checked_images(image_yx)
    pixels: Values = image[checked_mask("region", region_yx, image)]
    return pixels


def _ratio(numerator: float, denominator: float) -> float:
    if denominator > 0:
        return numerator / denominator
    return math.inf if numerator > 0 else 0.0


def snr(image_yx: Image, region_yx: Mask) -> float:
    """Return mean / standard deviation of a homogeneous region (the speckle SNR of Burckhardt, IEEE T-SU 25(1), 1978).

    1.91 for fully developed speckle in a linear envelope (Rayleigh); about 2.5 to 3.5 in B-mode as displayed.
    inf for a constant region above zero.
    """
    pixels = _region(image_yx, region_yx)
    return _ratio(float(pixels.mean()), float(pixels.std()))


def enl(image_yx: Image, region_yx: Mask) -> float:
    """Return the equivalent number of looks, ``mean^2 / variance`` of a homogeneous region.

    It counts independent speckle patterns only on intensity (squared linear envelope), where fully developed
    speckle has 1; on the envelope itself that is 3.66. On log-compressed grey it only ranks methods on one image.
    """
    pixels = _region(image_yx, region_yx)
    return _ratio(float(pixels.mean()) ** 2, float(pixels.var()))


def cnr(image_yx: Image, first_yx: Mask, second_yx: Mask) -> float:
    """Return the contrast-to-noise ratio ``|m1 - m2| / sqrt(v1 + v2)`` of two regions (means m, variances v).

    Rodriguez-Molares et al., IEEE T-UFFC 67(4), 2020. It changes with any grey map; `gcnr` does not.
    """
    first, second = _region(image_yx, first_yx), _region(image_yx, second_yx)
    return _ratio(abs(float(first.mean() - second.mean())), math.sqrt(float(first.var() + second.var())))


def gcnr(image_yx: Image, first_yx: Mask, second_yx: Mask) -> float:
    """Return the generalised CNR, ``1 - sum min(p1, p2)`` over the grey histograms of two regions: 0 alike, 1 disjoint.

    Rodriguez-Molares et al., IEEE T-UFFC 67(4), 2020. The bins end at quantiles of either region rather than at
    equal distances, which makes the figure exactly the same under any strictly increasing grey map, not only in theory.
    Their number follows the smaller region (Rice's rule), since many bins with few pixels make alike regions differ.
    """
    regions = [_region(image_yx, mask) for mask in (first_yx, second_yx)]
    count = max(1, round(min(pixels.size for pixels in regions) ** (1 / 3)))
    at = np.linspace(0, 1, count + 1)
    edges = np.unique([np.quantile(pixels, at, method="inverted_cdf") for pixels in regions])
    shares = [
        np.bincount(np.searchsorted(edges, pixels, side="right"), minlength=edges.size + 1) / pixels.size
        for pixels in regions
    ]
    return float(np.clip(1 - np.minimum(*shares).sum(), 0, 1))


def glcm_homogeneity(image_yx: Image, match_mean_of: Image | None, *, data_range: float) -> float:
    """Return the homogeneity of the grey-level co-occurrence matrix, ``sum p(i, j) / (1 + (i - j)^2)``.

    256 levels, horizontal neighbours at distance 1, both orders, whole image (the inverse difference moment of
    Haralick, Shanmugam and Dinstein, IEEE T-SMC 3(6), 1973). Computed without the matrix, as the mean of
    ``1 / (1 + (i - j)^2)`` over neighbours, which is the same number.

    It rises when an image is merely darkened, so it can only be compared at one brightness.

    Parameters
    ----------
    image_yx
        Grey values.
    match_mean_of
        The input of the despeckler: the image is first scaled to its mean. None compares nothing and takes the grey
        values as they are; it has to be said.
    data_range
        Grey values from 0 to here become the 256 levels; others are clipped.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If ``data_range`` is not positive, the image has a single column, or the images do not fit.
    """
    (image,) = checked_images(image_yx)
    checked_data_range(data_range)
    if image.shape[1] < 2:
        message = f"GLCM homogeneity needs at least two columns, but the image has shape {image.shape}."
        raise UnsupportedImageError(message)
    matched = image if match_mean_of is None else with_mean_of(image, match_mean_of)
    levels = np.rint(np.clip(matched / data_range, 0, 1) * 255)
    return float((1 / (1 + np.diff(levels, axis=1) ** 2)).mean())
