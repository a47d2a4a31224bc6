"""What is done to a single frame before and after the method: grey, mask, overlays, reasons to leave it, and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.frames import grey_frame
from Speckle2SelfLogic.intensity import Float32, GreyRange, Pixels
from Speckle2SelfLogic.sector import find_overlay, without_surround

Mask = npt.NDArray[np.bool_]

LOWEST_CONTRAST = 4 / 255
"""Frames whose grey spans less than this between the 1 % and the 99 % quantile are returned unchanged."""
OUTSIDE_REGION = "outside the region"
_PROOF_STEP = 241


class PreparedFrame(NamedTuple):
    """A frame that is ready for the method, or the reason why it is left alone."""

    number: int
    pixels: Pixels
    """As in the image."""
    grey_yx: Float32
    """What the method sees. Restoring the frame needs this memory for something else."""
    mask_yx: Mask
    """Pixels that may change."""
    overlay_pixels: int
    empty_because: str


class RestoredFrame(NamedTuple):
    """A frame as pixels of the image again, and how many values were clipped or belong to overlays."""

    number: int
    pixels: Pixels
    overlay_pixels: int
    clipped_low: int = 0
    clipped_high: int = 0
    empty_because: str = ""
    """Why the frame is as it was."""


def prepare_frame(
    number: int,
    pixels: Pixels,
    grey_range: GreyRange,
    sector_yx: Mask,
    region_yx: Pixels | None,
    find_overlays: bool,
    grey: Float32,
) -> PreparedFrame:
    """Turn a frame (Y, X) or (Y, X, C) into grey 0..1, in an array (Y, X), and find which of its pixels may change."""
    grey_frame(pixels, grey_range, grey)
    if region_yx is not None and not region_yx.any():
        return PreparedFrame(number, pixels, grey, sector_yx, 0, OUTSIDE_REGION)
    mask, overlay_pixels = without_surround(sector_yx, grey), 0
    if find_overlays and pixels.ndim == 3:
        overlay = find_overlay(grey_range.to_grey(pixels[..., :3]), data_range=1.0)
        overlay_pixels = int(overlay.sum())
        if overlay_pixels:
            mask = mask & ~overlay
            if not overlay.all():
                grey[...] = _fill_from_neighbours(grey, overlay)
    empty_because = "low contrast: the whole image is noise at most" if grey_range.is_meaningless else ""
    empty_because = empty_because or _why_empty(grey, mask)
    if region_yx is not None:
        mask = np.asarray(mask & np.asarray(region_yx, bool))
    return PreparedFrame(number, pixels, grey, mask, overlay_pixels, empty_because)


def unchanged(frame: PreparedFrame) -> RestoredFrame:
    """Return a frame that is left alone."""
    return RestoredFrame(frame.number, frame.pixels, frame.overlay_pixels, empty_because=frame.empty_because)


def restore_frame(frame: PreparedFrame, answer_yx: Float32, strength: float, grey_range: GreyRange) -> RestoredFrame:
    """Blend a method's answer into a copy of the frame where its mask allows it. The frame's grey is lost."""
    change = np.subtract(answer_yx, frame.grey_yx, out=frame.grey_yx)
    everywhere = bool(frame.mask_yx.all())
    if strength != 1:
        change *= np.float32(strength)
    if not everywhere:
        change *= frame.mask_yx
    counted = None if everywhere else frame.mask_yx  # pixels that stay as they are do not count
    if frame.pixels.ndim == 2:
        output, low, high = grey_range.add(frame.pixels, change, counted)
        if not everywhere:
            np.copyto(output, frame.pixels, where=~frame.mask_yx)
        return RestoredFrame(frame.number, output, frame.overlay_pixels, low, high)
    output, low, high = frame.pixels.copy(), 0, 0
    for colour in range(3):
        changed, below, above = grey_range.add(frame.pixels[..., colour], change.copy(), counted)
        np.copyto(output[..., colour], changed, where=everywhere or frame.mask_yx)
        low, high = low + below, high + above
    return RestoredFrame(frame.number, output, frame.overlay_pixels, low, high)


def check_answers(answers: object, grey_nyx: Float32, name: str) -> None:
    """Refuse what is no grey: it would become black, or whatever the pixel type makes of it."""
    values = np.asarray(answers)
    if values.shape != grey_nyx.shape or not np.isfinite(values).all():
        message = f"The method '{name}' failed: its answer is no image of the same size, or holds NaN or infinity."
        raise UnsupportedImageError(message)


def _why_empty(grey_yx: Float32, mask_yx: Mask) -> str:
    """Return why a frame must be left alone, or nothing."""
    values = grey_yx.reshape(-1) if mask_yx.all() else grey_yx[mask_yx]
    if values.size == 0:
        return "no ultrasound found in this frame"
    if _has_contrast(values):
        return ""
    low, high = (float(v) for v in np.quantile(values, (0.01, 0.99)))
    if values.min() == values.max():
        return f"flat: every pixel has the same grey ({low:.3f} of 1)"
    if high - low < LOWEST_CONTRAST:
        return f"low contrast: grey spans only {high - low:.4f} of 1"
    return ""


def _has_contrast(values: Float32) -> bool:
    """Whether a few values prove that the quantiles are far enough apart, without sorting them all.

    If more than 1 % of the values lie at or below one grey, the 1 % quantile does too; likewise at the bright end.
    """
    sample = np.sort(values[::_PROOF_STEP])
    low, high = sample[len(sample) // 20], sample[-1 - len(sample) // 20]
    enough = 0.01 * values.size + 1
    is_proof = np.count_nonzero(values <= low) > enough and np.count_nonzero(values >= high) > enough
    return bool(is_proof and high - low >= LOWEST_CONTRAST)


def _fill_from_neighbours(grey_yx: Float32, hole_yx: Mask) -> Float32:
    """Give overlay pixels the grey of the nearest tissue, so that letters do not bleed into what is around them."""
    nearest = ndimage.distance_transform_edt(hole_yx, return_distances=False, return_indices=True)
    return np.asarray(grey_yx[tuple(nearest)])
