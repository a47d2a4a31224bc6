"""The multi-scale perturbation of Speckle2Self: the same anatomy with the speckle resampled at three scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from Speckle2SelfLogic.errors import UnsupportedImageError

if TYPE_CHECKING:
    import torch

HALF_SCALE = 0.5
QUARTER_SCALE = 0.25
RESAMPLING_ROUNDING_STEPS = 16
"""Two bilinear passes leave fewer rounding steps than this on a constant frame."""


class PerturbedScales(NamedTuple):
    """One frame stack per scale, each of shape (N, 1, H, W) and the same size as the frames they came from."""

    full: torch.Tensor
    """Scale 1.0: not resampled (the large scale of the paper, ``hr`` in the authors' code)."""
    half: torch.Tensor
    """Scale 0.5 (medium scale, ``mid``)."""
    quarter: torch.Tensor
    """Scale 0.25 (small scale, ``lr``)."""


def perturb_scales(frames_n1yx: torch.Tensor) -> PerturbedScales:
    """Return the frames at scales 1.0, 0.5 and 0.25, each brought back to full size and to the range 0 to 1.

    For a frame x of H x W pixels and a scale s the result is ``N(Up(Down_s(x)))``: bilinear down to
    ``int(H * s)`` x ``int(W * s)``, bilinear back to H x W, and only then min-max normalisation N of each frame
    and each scale on its own. Sample points are pixel centres and there is no low-pass filter, so for sides that
    are multiples of 4

    * scale 0.5 replaces each 2 x 2 block by its mean, and
    * scale 0.25 replaces each 4 x 4 block by the mean of its central 2 x 2 pixels. The other twelve are not used:
      the speckle is aliased, not averaged;

    and the way back interpolates linearly between block centres.

    Parameters
    ----------
    frames_n1yx
        Grey frames, shape (N, 1, H, W), any range. H and W at least 4. Integers are converted to float32 first.

    Returns
    -------
    PerturbedScales
        Three tensors of shape (N, 1, H, W), values 0 to 1. A frame that is constant at a scale is all zero there.

    Raises
    ------
    UnsupportedImageError
        If the shape is not (N, 1, H, W) or a side is shorter than 4 pixels.

    Notes
    -----
    X. Li, N. Navab, Z. Jiang, Speckle2Self, Medical Image Analysis 2025, 103755, as coded by its authors (MIT
    licence, February 2026): OpenCV ``INTER_LINEAR`` twice, then the normalisation in float32. OpenCV rounds 8-bit
    frames to whole grey levels after each resampling; here frames are resampled as floating point numbers.
    """
    _check_frames(frames_n1yx)
    frames = frames_n1yx if frames_n1yx.is_floating_point() else frames_n1yx.float()
    return PerturbedScales(
        full=normalise_each_frame(frames),
        half=normalise_each_frame(_resample_through(frames, HALF_SCALE), RESAMPLING_ROUNDING_STEPS),
        quarter=normalise_each_frame(_resample_through(frames, QUARTER_SCALE), RESAMPLING_ROUNDING_STEPS),
    )


def normalise_each_frame(frames_n1yx: torch.Tensor, rounding_steps: int = 0) -> torch.Tensor:
    """Map each frame to 0..1 by its own minimum and maximum; a constant frame becomes all zero.

    Parameters
    ----------
    frames_n1yx
        Floating point frames, shape (N, 1, H, W), finite.
    rounding_steps
        A frame counts as constant if its extent is at most this many rounding steps of its brightest magnitude
        (1.2e-7 of it each for float32). Resampling a constant leaves such steps behind, and without this they would
        be stretched over the whole range.

    Returns
    -------
    torch.Tensor
        ``(x - min x) / (max x - min x)`` for each frame, same shape and type.
    """
    import torch

    darkest = frames_n1yx.amin(dim=(-2, -1), keepdim=True)
    brightest = frames_n1yx.amax(dim=(-2, -1), keepdim=True)
    extent = brightest - darkest
    number = torch.finfo(frames_n1yx.dtype)
    step = (number.eps * torch.maximum(darkest.abs(), brightest.abs())).clamp(min=number.tiny)
    is_constant = extent <= rounding_steps * step
    return ((frames_n1yx - darkest) / extent.masked_fill(is_constant, 1)).masked_fill(is_constant, 0)


def _resample_through(frames_n1yx: torch.Tensor, scale: float) -> torch.Tensor:
    from torch.nn.functional import interpolate

    height, width = frames_n1yx.shape[-2:]
    smaller = (int(height * scale), int(width * scale))
    down = interpolate(frames_n1yx, size=smaller, mode="bilinear", align_corners=False, antialias=False)
    return interpolate(down, size=(height, width), mode="bilinear", align_corners=False, antialias=False)


def _check_frames(frames_n1yx: torch.Tensor) -> None:
    shape = tuple(frames_n1yx.shape)
    if len(shape) != 4 or shape[1] != 1:
        message = f"The perturbation needs grey frames of shape (N, 1, H, W), but was given shape {shape}."
        raise UnsupportedImageError(message)
    if min(shape[-2:]) * QUARTER_SCALE < 1:
        message = (
            f"A frame of {shape[-2]} x {shape[-1]} pixels is too small for scale 0.25; give at least 4 x 4 pixels."
        )
        raise UnsupportedImageError(message)
