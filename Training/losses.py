"""Losses: supervised on simulated pairs, self-supervised on real frames. Frames are tensors (N, 1, H, W), grey 0..1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as nnf

from Training.settings import RealFrameSettings

FrameFunction = Callable[[Tensor], Tensor]


def gradient_x(frames: Tensor) -> Tensor:
    """Differences between horizontal neighbours."""
    return frames[..., 1:] - frames[..., :-1]


def gradient_y(frames: Tensor) -> Tensor:
    """Differences between vertical neighbours."""
    return frames[..., 1:, :] - frames[..., :-1, :]


def charbonnier(difference: Tensor, beta: float) -> Tensor:
    """Return the mean of sqrt(d^2 + beta^2) - beta (Charbonnier et al. 1994): quadratic below ``beta``, L1 above.

    The quadratic part matters for ambiguous faint structures: its minimum is their mean over all possibilities, a soft
    grey, where L1 decides for the likelier one and draws crisp lines that may not be there.
    """
    return (difference.square() + beta**2).sqrt().mean() - beta


def supervised_loss(output: Tensor, truth: Tensor, gradient_weight: float, beta: float) -> Tensor:
    """Charbonnier distance of grey, and of gradients at full, half and quarter resolution (edges, thin lines)."""
    loss = charbonnier(output - truth, beta)
    for factor in (1, 2, 4):
        o, t = (frames if factor == 1 else nnf.avg_pool2d(frames, factor) for frames in (output, truth))
        difference = o - t
        edges = charbonnier(gradient_x(difference), beta) + charbonnier(gradient_y(difference), beta)
        loss = loss + gradient_weight / 3 * edges
    return loss


def coarsen(frames: Tensor, scale: float) -> Tensor:
    """Perturb at one scale as the published method does: bilinear down by ``scale``, bilinear up again."""
    height, width = frames.shape[-2:]
    smaller = (max(1, int(height * scale)), max(1, int(width * scale)))
    down = nnf.interpolate(frames, smaller, mode="bilinear", align_corners=False)
    return nnf.interpolate(down, (height, width), mode="bilinear", align_corners=False)


def speckle_scale(frames: Tensor) -> float:
    """Scale at which the perturbation decorrelates this speckle: 1 / FWHM of the high-passed autocorrelation.

    The published fixed scales (0.5, 0.25) hardly change speckle that is wider than four pixels; the measured width
    (geometric mean of both directions, limited to 2..6 px) adapts the scale to the frames.
    """
    detail = frames - nnf.avg_pool2d(frames, 9, 1, 4)
    correlation = torch.fft.ifft2(torch.fft.fft2(detail.float()).abs() ** 2).real.mean((0, 1))
    correlation = correlation / correlation[0, 0].clamp(min=1e-12)
    widths = [2 * float((line[:12] > 0.5).sum()) - 0.5 for line in (correlation[:, 0], correlation[0])]
    return 1 / min(max((widths[0] * widths[1]) ** 0.5, 2.0), 6.0)


@torch.no_grad()
def teacher_ensemble(teacher: FrameFunction, frames: Tensor, generator: torch.Generator, members: int = 3) -> Tensor:
    """Average the teacher over flips and shifts, which removes what depends on the position of its pooling grid."""
    height, width = frames.shape[-2:]
    total = torch.zeros_like(frames)
    for member in range(members):
        dy, dx = (int(v) for v in torch.randint(0, 16, (2,), generator=generator))
        shifted = nnf.pad(frames, (dx, 16 - dx, dy, 16 - dy), mode="reflect")
        answer = teacher(shifted.flip(3)).flip(3) if member % 2 else teacher(shifted)
        total += answer[..., dy : dy + height, dx : dx + width].float()
    return total / members


def real_frame_loss(
    network: FrameFunction,
    teacher: FrameFunction,
    frames: Tensor,
    weights: RealFrameSettings,
    generator: torch.Generator,
) -> Tensor:
    """Self-supervision on real frames.

    Brightness: local means (16 px) of output and input agree. Consistency: the multi-scale term of Speckle2Self (Li et
    al. 2025) with two changes, a scale that fits the speckle and a gradient stop toward the finer scale, so that the
    coarse branch follows the fine one and detail is not limited to the coarse image. Teacher: stay near the network as
    simulation left it. Flatness: gradients that the teacher puts below about two grey levels of 255 shrink; quadratic,
    since the L1 form makes staircases.
    """
    output = network(frames).float()
    jitter = float(torch.empty(1).uniform_(-0.3, 0.3, generator=generator).exp())
    coarse = network(coarsen(frames, min(speckle_scale(frames) * jitter, 1.0))).float()
    guide = teacher_ensemble(teacher, frames, generator)
    loss = weights.brightness * (_local_mean(output) - _local_mean(frames)).abs().mean()
    loss = loss + weights.consistency * (coarse - output.detach()).abs().mean()
    loss = loss + weights.teacher * (output - guide).abs().mean()
    for gradient in (gradient_x, gradient_y):
        loss = loss + weights.teacher * (gradient(output) - gradient(guide)).abs().mean()
        is_flat = torch.exp(-((gradient(guide) * 255 / 2) ** 2))
        loss = loss + weights.flatness * ((gradient(output) * 255) ** 2 * is_flat).mean()
    return loss


def _local_mean(frames: Tensor) -> Tensor:
    return nnf.avg_pool2d(nnf.avg_pool2d(frames, 16, 4, count_include_pad=False), 3, 1)
