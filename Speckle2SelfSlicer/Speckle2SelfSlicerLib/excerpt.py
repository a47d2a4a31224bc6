"""A part of one slice of an image, despeckled as the whole image would be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from Speckle2SelfLogic.denoiser import OUTSIDE_REGION, Denoiser, DenoiseReport, ImageContext, Mask, SkippedFrame
from Speckle2SelfLogic.envelope import EnvelopeDenoiser
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfLogic.sector import Sector

ARRAY_AXES = "zyx"
LEAST_SIDE_PX = 48
"""The smallest part that is worth a look."""


@dataclass(frozen=True)
class Excerpt:
    """A despeckled part of one slice."""

    pixels: Pixels
    """Array (Z, Y, X[, C]) with one slice along the slice axis."""
    window_zyx: tuple[slice, slice, slice]
    """Where the part lies in the image."""
    is_whole: bool
    """Whether it is the whole slice."""
    seconds_per_pixel: float
    """Pace of the method."""
    seconds_for_slice: float
    """Seconds that the method needs for the whole slice at that pace."""
    report: DenoiseReport


def despeckle_excerpt(
    image: UltrasoundImage,
    denoiser: Denoiser | EnvelopeDenoiser,
    context: ImageContext,
    slice_number: int,
    affordable_px: float,
    region: Mask | None = None,
) -> Excerpt:
    """Despeckle one slice of an image (ZYX or ZYXC), or the centre of it that has no more than ``affordable_px``.

    Parameters
    ----------
    image
        The volume.
    denoiser
        Method and settings; its slice axis is one of ``"z"``, ``"y"``, ``"x"``.
    context
        Grey range and sector of the whole image.
    slice_number
        Which slice along that axis, from 0.
    affordable_px
        Most pixels of the part; a part is not made smaller than `LEAST_SIDE_PX` along each side.
    region
        Pixels of the image that may change (Z, Y, X); left out: all.
    """
    array_axis = ARRAY_AXES.index(denoiser.settings.slice_axis)
    shape_zyx = image.pixels.shape[:3]
    window = central_window(shape_zyx, array_axis, slice_number, affordable_px)
    part = replace(image, pixels=image.pixels[window])
    in_plane = tuple(index for axis, index in enumerate(window) if axis != array_axis)
    mask_yx = context.sector.mask_yx[in_plane]
    cropped = context._replace(sector=Sector(mask_yx, float(mask_yx.mean()), context.sector.reason))
    mask = None if region is None else region[window]
    if mask is None or mask.any():
        despeckled, report = denoiser.run(part, context=cropped, region=mask)
    else:  # the core takes a region without pixels for a mistake
        report = DenoiseReport(denoiser.method.name, denoiser.settings.strength, 1)
        report.skipped.append(SkippedFrame(0, OUTSIDE_REGION))
        despeckled = part
    part_px, slice_px = (math.prod(shape[:3]) for shape in (part.pixels.shape, np.delete(shape_zyx, array_axis)))
    pace = report.method_seconds / part_px
    return Excerpt(despeckled.pixels, window, part_px == slice_px, pace, pace * slice_px, report)


def central_window(
    shape_zyx: tuple[int, ...], array_axis: int, slice_number: int, affordable_px: float
) -> tuple[slice, slice, slice]:
    """Return the centre of a slice, with the slice's proportions and at most ``affordable_px`` pixels if possible."""
    in_plane_px = math.prod(length for axis, length in enumerate(shape_zyx) if axis != array_axis)
    share = min(1.0, math.sqrt(affordable_px / in_plane_px))
    window = []
    for axis, length in enumerate(shape_zyx):
        if axis == array_axis:
            window.append(slice(slice_number, slice_number + 1))
            continue
        side = min(length, max(LEAST_SIDE_PX, int(length * share)))
        window.append(slice((length - side) // 2, (length - side) // 2 + side))
    return tuple(window)
