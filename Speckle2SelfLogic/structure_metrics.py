"""What a despeckler did to edges, structure, brightness and time.

NumPy and SciPy only, since these run inside 3D Slicer too. Images are two-dimensional arrays of any real type.
``data_range`` is the span of grey values that the images can have (255 for 8 bits, 1 for 0..1); it never has a
default, since a wrong guess gives a wrong number without an error. A figure is None where there is nothing to measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import interpolate, ndimage, spatial

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError

Image = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

DARK_GREY = 8 / 255
"""Share of the data range below which the input counts as black: there is no tissue brightness to keep."""


def checked_data_range(data_range: float) -> float:
    """Return the data range if it is a finite number above zero.

    Raises
    ------
    SettingsError
        If it is not.
    """
    if not math.isfinite(data_range) or data_range <= 0:
        message = f"data_range must be a finite number above zero, but is {data_range!r}."
        raise SettingsError(message)
    return float(data_range)


def checked_images(*images: Image, dimensions: int = 2) -> tuple[Values, ...]:
    """Return images as float64.

    Raises
    ------
    UnsupportedImageError
        If one is empty, has another number of axes or holds non-finite values, or their shapes differ.
    """
    values = tuple(np.asarray(image, dtype=np.float64) for image in images)
    shape = values[0].shape
    for each in values:
        if each.ndim != dimensions or each.size == 0:
            message = f"The metric needs images with {dimensions} axes, but got an array of shape {each.shape}."
            raise UnsupportedImageError(message)
        if each.shape != shape:
            message = f"The images must have one shape, but have {shape} and {each.shape}."
            raise UnsupportedImageError(message)
        if not np.isfinite(each).all():
            message = "An image holds values that are not finite; repair or remove them first."
            raise UnsupportedImageError(message)
    return values


def checked_mask(name: str, mask: Mask, image: Values) -> Mask:
    """Return the mask as booleans.

    Raises
    ------
    UnsupportedImageError
        If its shape is not the image's.
    SettingsError
        If it is empty.
    """
    region = np.asarray(mask, dtype=bool)
    if region.shape != image.shape:
        message = f"The {name} has shape {region.shape}, but the image has shape {image.shape}."
        raise UnsupportedImageError(message)
    if not region.any():
        message = f"The {name} is empty; mark at least one pixel."
        raise SettingsError(message)
    return region


def with_mean_of(image: Image, reference: Image) -> Values:
    """Multiply an image by the one scalar that gives it the reference's mean (unchanged if either mean is not > 0)."""
    values, target = checked_images(image, reference)
    if values.mean() <= 0 or target.mean() <= 0:
        return values
    scaled: Values = values * (target.mean() / values.mean())
    return scaled


def edge_rise_width_px(profile: Image) -> float | None:
    """Return the 10-90 % rise of a grey profile across an edge, in samples, to a fraction of a sample.

    The plateaus are the highest value and the lowest value before it. The rise ends where 90 % of their difference
    is first reached and starts at the last crossing of 10 % before that, on a monotone cubic interpolation (PCHIP,
    Fritsch and Carlson 1980). A falling profile is turned round. A step that a Gaussian of standard deviation s
    blurred has 2.563 s.

    Returns
    -------
    float or None
        None for a profile that does not rise.
    """
    (values,) = checked_images(profile, dimensions=1)
    half = values.size // 2
    if half and values[:half].mean() > values[-half:].mean():
        values = values[::-1]
    top = int(np.argmax(values))
    flank = values[int(np.argmin(values[: top + 1])) : top + 1]
    if flank[-1] <= flank[0]:
        return None
    # Rounded, since the interpolation divides by slopes.
    share = np.round((flank - flank[0]) / (flank[-1] - flank[0]), 12)
    parts = 64
    fine = np.arange((flank.size - 1) * parts + 1) / parts
    rise = interpolate.PchipInterpolator(np.arange(flank.size), share)(fine)
    end = int(np.argmax(rise >= 0.9))
    start = int(np.flatnonzero(rise[:end] <= 0.1)[-1])
    return (end - start) / parts


@dataclass(frozen=True)
class EdgeRise:
    """Median 10-90 % rise along the normals of a boundary."""

    width_px: float
    width_mm: float | None
    """None without a spacing."""
    profile_count: int
    """Number of profiles that the median is taken over."""


def boundary_rise_width(
    image_yx: Image,
    region_yx: Mask,
    *,
    spacing_mm: tuple[float, float] | None = None,
    half_length_px: float = 10.0,
    neighbourhood_px: float = 4.0,
) -> EdgeRise | None:
    """Return how wide the edge around a region is: the median of `edge_rise_width_px` along its normals.

    Around each boundary pixel, the profiles of the boundary pixels within ``neighbourhood_px`` are averaged, so that
    speckle does not pass for an edge. Profiles with less than half the median contrast are left out (a wall that is
    hardly seen), as are those that leave the image. Widths below 2 px come out up to 0.2 px too
    wide, since the image is only known at its pixels. Speckle that is left raises the plateau, and with it the width
    by a quarter or so: the input's own figure is an upper bound of its edge.

    Parameters
    ----------
    image_yx
        Grey values.
    region_yx
        For example the lumen; its boundary is where the edge is expected.
    spacing_mm
        Pixel spacing (x, y) in mm, in the order of `UltrasoundImage.spacing_mm`; None gives no width in mm.
    half_length_px
        How far a profile reaches to either side of the boundary.
    neighbourhood_px
        Radius within which profiles are averaged.

    Returns
    -------
    EdgeRise or None
        None if no profile fits into the image or none rises.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If the region is empty or of another shape than the image, or the spacing is not positive.
    """
    (image,) = checked_images(image_yx)
    region = checked_mask("region", region_yx, image)
    if spacing_mm is not None and not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        message = f"Spacing must be positive and finite, but is {spacing_mm}."
        raise SettingsError(message)
    if region.all() or min(image.shape) < 3:
        return None
    points, normals = _boundary_normals(region)
    steps = np.arange(-half_length_px, half_length_px + 0.25, 0.5)
    along = points[:, :, None] + normals[:, :, None] * steps
    inside = ((along >= 0) & (along <= np.array(image.shape)[:, None] - 1)).all(axis=(1, 2))
    if not inside.any():
        return None
    points, normals, along = points[inside], normals[inside], along[inside]
    raw = ndimage.map_coordinates(image, along.transpose(1, 0, 2), order=3)
    near = spatial.cKDTree(points).query_ball_point(points, neighbourhood_px)
    profiles = np.stack([raw[members].mean(axis=0) for members in near])
    contrast = profiles[:, steps > 0].mean(axis=1) - profiles[:, steps < 0].mean(axis=1)
    is_clear = contrast * np.sign(np.median(contrast)) >= 0.5 * abs(np.median(contrast))
    millimetres = np.hypot(normals[:, 0] * spacing_mm[1], normals[:, 1] * spacing_mm[0]) if spacing_mm else None
    widths_px, widths_mm = [], []
    for number in np.flatnonzero(is_clear):
        width = edge_rise_width_px(profiles[number])
        if width is not None:
            widths_px.append(0.5 * width)
            widths_mm.append(0.5 * width * millimetres[number] if millimetres is not None else math.nan)
    if not widths_px:
        return None
    width_mm = float(np.median(widths_mm)) if millimetres is not None else None
    return EdgeRise(float(np.median(widths_px)), width_mm, len(widths_px))


def _boundary_normals(region: Mask) -> tuple[Values, Values]:
    """Sub-pixel (y, x) points on the boundary and outward unit normals, both of shape (point, 2).

    The border of the image is not a boundary.
    """
    inner, outer = ndimage.distance_transform_edt(region), ndimage.distance_transform_edt(~region)
    signed = ndimage.gaussian_filter(np.where(region, inner - 0.5, 0.5 - outer), 1.0)
    at = np.nonzero(region & ~ndimage.binary_erosion(region, border_value=1))
    outward = -np.stack([gradient[at] for gradient in np.gradient(signed)], axis=1)
    length = np.linalg.norm(outward, axis=1, keepdims=True)
    is_regular = length[:, 0] > 1e-3  # the middle of a thin region has no side
    normals = outward[is_regular] / length[is_regular]
    points = np.stack(at, axis=1)[is_regular] + signed[at][is_regular, None] * normals
    return points, normals


def local_brightness_bias(input_yx: Image, output_yx: Image, *, data_range: float, block_px: int = 32) -> float | None:
    """Return the median over blocks of ``|log(mean output / mean input)|``: 0.02 is two per cent.

    Blocks are squares of ``block_px`` (cut at the right and lower edge; a smaller image is one block). Those whose
    input mean is at most 8/255 of the data range are left out; None if none is left.
    """
    source, output = checked_images(input_yx, output_yx)
    darkest = DARK_GREY * checked_data_range(data_range)
    means = [_block_means(values, block_px) for values in (source, output)]
    has_signal = means[0] > darkest
    if not has_signal.any():
        return None
    ratio = np.maximum(means[1][has_signal], 1e-4 * darkest) / means[0][has_signal]
    return float(np.median(np.abs(np.log(ratio))))


def _block_means(values: Values, block_px: int) -> Values:
    if block_px < 1:
        message = f"block_px must be at least 1, but is {block_px}."
        raise SettingsError(message)
    height, width = (min(block_px, length) for length in values.shape)
    rows, columns = values.shape[0] // height, values.shape[1] // width
    blocks = values[: rows * height, : columns * width].reshape(rows, height, columns, width)
    means: Values = blocks.mean(axis=(1, 3))
    return means


def black_share(input_yx: Image, output_yx: Image, *, data_range: float) -> float | None:
    """Return the share of pixels that became black (at most 1/255 of the data range) though the input was not.

    Counted over the pixels whose input is above 8/255 of the data range; None if there are none.
    """
    source, output = checked_images(input_yx, output_yx)
    had_signal = source > DARK_GREY * checked_data_range(data_range)
    if not had_signal.any():
        return None
    return float((output[had_signal] <= data_range / 255).mean())


def residual_structure_correlation(input_yx: Image, output_yx: Image) -> float:
    """Return ``|correlation|`` of the residual (input - output) with the output's gradient magnitude (Gaussian, 1 px).

    0: what was taken away lies without regard to the output's edges, as speckle should. Large values: edges were
    moved, blurred or sharpened. 0 also where the residual or the gradient is constant.
    """
    source, output = checked_images(input_yx, output_yx)
    residual = source - output
    gradient = ndimage.gaussian_gradient_magnitude(output, 1.0)
    spread = residual.std() * gradient.std()
    if spread <= 1e-12 * max(float(np.abs(source).max()), float(np.abs(output).max())) ** 2:
        return 0.0
    covariance = ((residual - residual.mean()) * (gradient - gradient.mean())).mean()
    return float(min(abs(covariance) / spread, 1.0))


@dataclass(frozen=True)
class TemporalFlicker:
    """How restless a despeckled cine is; see `temporal_flicker`."""

    brightness_flicker: float
    """Standard deviation over frames of log(mean output / mean input)."""
    static_change: float | None
    """Mean absolute change from frame to frame where the input stands still, over the mean grey there."""
    static_change_ratio: float | None
    """That change over the input's own; below 1 is calmer than the input."""


def temporal_flicker(
    input_nyx: Image, output_nyx: Image, *, data_range: float, static_share: float = 0.5
) -> TemporalFlicker:
    """Return how much a cine's brightness and its static tissue change from frame to frame.

    A pixel is static if the input, smoothed by a Gaussian of 2 px to look past the speckle, varies over time no more
    than the calmest ``static_share`` of the pixels that are brighter on average than 8/255 of the data range. They are
    chosen on the input alone and so are the same for every method. Changes are divided by the mean grey of
    the same pixels, so that a darker output is not calmer for that. Real motion left in those pixels is in both terms
    of the ratio.

    Raises
    ------
    SettingsError
        If ``data_range`` is not positive or ``static_share`` is outside 0..1.
    UnsupportedImageError
        If the cines differ in shape, have fewer than two frames, or hold non-finite values.
    """
    source, output = checked_images(input_nyx, output_nyx, dimensions=3)
    darkest = DARK_GREY * checked_data_range(data_range)
    if len(source) < 2:
        message = "Flicker needs at least two frames, but the cine has one."
        raise UnsupportedImageError(message)
    if not 0 < static_share <= 1:
        message = f"static_share must be above 0 and at most 1, but is {static_share!r}."
        raise SettingsError(message)
    means = source.mean(axis=(1, 2)), output.mean(axis=(1, 2))
    is_lit = (means[0] > 0) & (means[1] > 0)
    brightness = float(np.log(means[1][is_lit] / means[0][is_lit]).std()) if is_lit.any() else 0.0
    has_signal = source.mean(axis=0) > darkest
    if not has_signal.any():
        return TemporalFlicker(brightness, None, None)
    variation = ndimage.gaussian_filter(source, (0, 2, 2)).std(axis=0)
    is_static = has_signal & (variation <= np.quantile(variation[has_signal], static_share))
    own, changed = (_relative_change(values[:, is_static]) for values in (source, output))
    ratio = changed / own if changed is not None and own else None
    return TemporalFlicker(brightness, changed, ratio)


def _relative_change(values_np: Values) -> float | None:
    mean = float(values_np.mean())
    return float(np.abs(np.diff(values_np, axis=0)).mean()) / mean if mean > 0 else None
