"""Our objective: the speckle-free truth of simulation, and self-supervision on real frames beside it.

Frames are tensors (N, 1, H, W), grey 0..1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from Training.objectives.insertion import blurred, random_insertion
from Training.objectives.scales import coarsened
from Training.objectives.speckle_size import speckle_scale

FrameFunction = Callable[[Tensor], Tensor]

BRIGHTNESS_SHARE = 0.8
"""How much of the darkening by the teacher's passes is taken back: all of it lifts lumens, whose speckle is rare."""
DETAIL_SIGMA_PX, DETAIL_GREY, DETAIL_SOFTNESS_GREY = 3.0, 10 / 255, 1.5 / 255
"""What counts as detail of a teacher's answer: finer than this blur, and on average (1 px) stronger than this."""
FLAT_GREY = 2 / 255
"""A change between neighbours well below this is none."""


@dataclass(frozen=True)
class RealFrameWeights:
    """How much each term on real frames weighs; see `RealFrames`."""

    brightness: float = 0.5
    consistency: float = 0.05
    teacher: float = 0.7
    flatness: float = 0.0
    insertion: float = 0.1
    teacher_passes: int = 1
    """How often the teacher is applied to its own answer. Further passes smooth more and make walls steeper, but they
    cost fibres and small structures (measured: docs/README.md)."""
    teacher_detail: float | None = None
    """If given: where the teacher's first answer has clear detail, that answer counts and not the further passes, with
    its detail raised by this share."""
    teacher_beta: float = 0.004
    """As ``beta`` of `Despeckling`, for the distance to the teacher. Its answer is not ambiguous, and most of what is
    to be learnt from it is smaller than five grey levels of 255."""


class Despeckling(nn.Module):
    """Distance to the truth of simulated frames, plus terms on real frames when the batch has some.

    Parameters
    ----------
    gradient_weight
        Weight of the distance of gradients.
    beta
        Grey difference below which the distance is quadratic (Charbonnier et al. 1994).
    real
        Weights of the terms on real frames; left out: simulation alone.
    teacher
        Network as simulation left it, kept fixed. Needed when there are real frames.
    real_share
        Real frames for each simulated one.
    inserted_share, clean_share
        Share of the simulated frames that get small structures, and of those whose input is the truth itself, which has
        to come out as it went in.
    flat_weight
        Weight of what is drawn where the truth is flat (`flat_loss`).
    """

    def __init__(
        self,
        gradient_weight: float = 1.0,
        beta: float = 0.012,
        flat_weight: float = 0.0,
        real: Mapping[str, float] | None = None,
        teacher: nn.Module | None = None,
        real_share: float = 0.5,
        inserted_share: float = 0.5,
        clean_share: float = 0.125,
    ) -> None:
        super().__init__()
        self.inserted_share, self.clean_share = inserted_share, clean_share
        self.gradient_weight, self.beta, self.real_share = gradient_weight, beta, real_share
        self.flat_weight = flat_weight
        self.weights = None if real is None else RealFrameWeights(**real)
        # Kept out of the module tree: the teacher is neither trained nor saved.
        self._teacher = [] if teacher is None else [copy.deepcopy(teacher).eval().requires_grad_(requires_grad=False)]

    def forward(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch with ``speckled``, ``truth`` and maybe ``real``."""
        speckled, truth = self._with_structures(batch["speckled"], batch["truth"])
        output = network(speckled).float()
        loss = supervised_loss(output, truth, self.gradient_weight, self.beta)
        if self.flat_weight > 0:
            loss = loss + self.flat_weight * flat_loss(output, truth)
        if self.weights is None or "real" not in batch or not self._teacher:
            return loss
        real = batch["real"][: max(1, int(len(batch["real"]) * self.real_share))]
        teacher = self._teacher[0].to(real.device)
        return loss + real_frame_loss(network, teacher, real, self.weights, self.gradient_weight)

    def _with_structures(self, speckled: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Put structures into the first frames of a batch, and the truth itself in place of the last speckled ones."""
        inserted, clean = (round(len(speckled) * share) for share in (self.inserted_share, self.clean_share))
        if inserted:
            insertion = random_insertion(speckled[:inserted])
            speckled = torch.cat([insertion.into_speckled(speckled[:inserted]), speckled[inserted:]])
            truth = torch.cat([insertion.into_clean(truth[:inserted]), truth[inserted:]])
        if clean:
            speckled = torch.cat([speckled[:-clean], truth[-clean:]])
        return speckled, truth


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


def flat_loss(output: Tensor, guide: Tensor) -> Tensor:
    """Mean square of the differences between neighbours (grey of 255) where the guide is flat.

    Quadratic, so that crisp lines which are not there cost more than a soft change; the L1 form makes staircases.
    """
    loss = output.new_zeros(())
    for gradient in (gradient_x, gradient_y):
        is_flat = torch.exp(-((gradient(guide) / FLAT_GREY) ** 2))
        loss = loss + ((gradient(output) * 255) ** 2 * is_flat).mean()
    return loss


@torch.no_grad()
def teacher_answer(teacher: FrameFunction, frames: Tensor, passes: int = 1, detail: float | None = None) -> Tensor:
    """Return what a teacher makes of frames, maybe in several passes.

    The frames are shifted by a random number of pixels for the first pass, so that on average over many steps nothing
    depends on the position of the pooling grid. A second pass sees a frame whose speckle is nearly gone, so it judges
    by structure what is left; its answer is smoother in tissue and steeper at walls. With ``detail`` the first answer
    counts where it has clear detail, and that detail is raised by this share. Each pass darkens a little, so a part of
    the change of local brightness (32 px, in dB) is taken back at the end.
    """
    height, width = frames.shape[-2:]
    dy, dx = (int(v) for v in torch.randint(0, 16, (2,)))
    answer = teacher(nnf.pad(frames, (dx, 16 - dx, dy, 16 - dy), mode="reflect")).float()
    first = answer = answer[..., dy : dy + height, dx : dx + width]
    for _ in range(passes - 1):
        answer = teacher(answer.clamp(0, 1)).float()
    if detail is not None:
        answer = _with_detail(answer, first, detail)
    ratio = (_smooth_mean(frames) + 0.01) / (_smooth_mean(answer) + 0.01)
    return (answer * ratio.clamp(0.8, 1.25) ** BRIGHTNESS_SHARE).clamp(0, 1)


def _with_detail(smooth: Tensor, first: Tensor, share: float) -> Tensor:
    """Put the clear detail of the first answer, raised by a share, into the smooth one."""
    fine = first - blurred(first, (DETAIL_SIGMA_PX, DETAIL_SIGMA_PX))
    strength = blurred(fine.abs(), (1.0, 1.0))
    is_clear = torch.sigmoid((strength - DETAIL_GREY) / DETAIL_SOFTNESS_GREY)
    return smooth + is_clear * (first - smooth + share * fine)


def _smooth_mean(frames: Tensor) -> Tensor:
    return blurred(frames.float(), (16.0, 16.0))


def real_frame_loss(
    network: FrameFunction,
    teacher: FrameFunction,
    frames: Tensor,
    weights: RealFrameWeights,
    gradient_weight: float = 1.0,
) -> Tensor:
    """Self-supervision on real frames.

    Brightness: local means (16 px) of output and input agree. Teacher: the answer of the fixed teacher, maybe passed
    through it twice (`teacher_answer`). Insertion: a known structure put into the input has to come out again, on top
    of what the network makes of the frame without it. Consistency: the multi-scale term of Speckle2Self (Li et al.
    2025) with two changes, a scale that fits the speckle and a gradient stop toward the finer scale, so that the coarse
    branch follows the fine one and detail is not limited to the coarse image. Flatness: `flat_loss` beside the teacher.
    """
    output = network(frames).float()
    guide = teacher_answer(teacher, frames, weights.teacher_passes, detail=weights.teacher_detail)
    loss = weights.brightness * (_local_mean(output) - _local_mean(frames)).abs().mean()
    loss = loss + weights.teacher * supervised_loss(output, guide, gradient_weight, weights.teacher_beta)
    if weights.consistency > 0:
        jitter = float(torch.empty(1).uniform_(-0.3, 0.3).exp())
        coarse = network(coarsened(frames, min(speckle_scale(frames) * jitter, 1.0))).float()
        loss = loss + weights.consistency * (coarse - output.detach()).abs().mean()
    if weights.flatness > 0:
        loss = loss + weights.flatness * flat_loss(output, guide)
    if weights.insertion > 0:
        loss = loss + weights.insertion * insertion_loss(network, frames, output.detach())
    return loss


def insertion_loss(network: FrameFunction, frames: Tensor, output: Tensor) -> Tensor:
    """Share of inserted structures that is lost: 0 when all come out and nothing else changes, 1 when all are gone.

    ``sum |network(frames with structures) - expected| / sum |expected - output|`` over the batch, where ``output`` is
    the answer without structures (no gradient) and ``expected`` the same with the structures put in. The frames with
    structures are cropped by a few rows and columns, so that the answer may not depend on the position of the pooling
    grid.
    """
    insertion = random_insertion(frames)
    top, left = (int(v) for v in torch.randint(0, 16, (2,)))
    expected = insertion.into_clean(output.clamp(0, 1))
    answer = network(insertion.into_speckled(frames)[..., top:, left:]).float()
    difference = (answer - expected[..., top:, left:]).abs().sum()
    return difference / (expected - output).abs().sum().clamp(min=1.0)


def _local_mean(frames: Tensor) -> Tensor:
    return nnf.avg_pool2d(nnf.avg_pool2d(frames, 16, 4, count_include_pad=False), 3, 1)
