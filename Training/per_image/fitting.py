"""Fitting a network to one frame, with MONAI's trainer: what all methods of this room share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from ignite.handlers import LRScheduler
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.runtime import Float32, choose_device, to_array, to_tensor
from Training.engine import TrainingStep, prepare_batch, the_loss_itself

SMALLEST_SIDE_PX = 4
"""Two pixels after the down-samplers, which is what mirrored borders need."""


class FrameFit(Protocol):
    """What a method does with one frame (1, 1, H, W), grey 0..1; returns the despeckled frame of that shape."""

    def __call__(self, frame_11yx: Tensor) -> Tensor:
        """Fit and despeckle."""


def fit_one_image(
    network: nn.Module,
    objective: nn.Module,
    frame_11yx: Tensor,
    *,
    iterations: int,
    learning_rate: float,
    halve_every: int = 0,
    handlers: Sequence[Any] = (),
) -> nn.Module:
    """Train a network on one frame with Adam, one step for each repetition of the frame.

    MONAI's `SupervisedTrainer` runs over a list that holds the same batch ``iterations`` times: no copies, no workers.

    Parameters
    ----------
    network, objective
        ``objective(network, {"speckled": frame})`` is the loss; parameters of both are trained.
    frame_11yx
        Grey frame (1, 1, H, W), 0..1; its device is where training runs.
    halve_every
        Number of steps after which the learning rate is halved, again and again. 0: never.
    handlers
        More event handlers of ignite.

    Returns
    -------
    nn.Module
        The network, in evaluation mode.

    Raises
    ------
    SettingsError
        If ``iterations`` is not at least 1 or the learning rate is not above zero.
    """
    if iterations < 1 or learning_rate <= 0:
        message = f"iterations and learning_rate must be above zero, but are {iterations} and {learning_rate}."
        raise SettingsError(message)
    # Channels last is a quarter faster for thin networks on a CPU.
    step = TrainingStep(network, objective).to(frame_11yx.device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(step.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, halve_every or iterations + 1, gamma=0.5)
    trainer = SupervisedTrainer(
        device=frame_11yx.device,
        max_epochs=1,
        train_data_loader=[{"speckled": frame_11yx}] * iterations,
        network=step,
        optimizer=optimizer,
        loss_function=the_loss_itself,
        prepare_batch=prepare_batch,
        train_handlers=[_EachIteration(LRScheduler(schedule)), *handlers],
        decollate=False,
        optim_set_to_none=True,
    )
    trainer.run()
    return network.eval()


class _EachIteration:
    """Attach a parameter scheduler of ignite to iterations."""

    def __init__(self, scheduler: LRScheduler) -> None:
        self.scheduler = scheduler

    def attach(self, engine: Any) -> None:  # noqa: ANN401 - a MONAI trainer
        from ignite.engine import Events

        engine.add_event_handler(Events.ITERATION_STARTED, self.scheduler)


def despeckle_each(frames_nyx: Float32, fit: FrameFit, *, seed: int, device: str = "auto") -> Float32:
    """Fit each frame of a stack (N, Y, X), grey 0..1, on its own. The same seed gives the same answer for each frame.

    Random numbers that the caller draws afterwards are the same as if nothing had been fitted.

    Raises
    ------
    SettingsError
        If this computer has no such device.
    UnsupportedImageError
        If the array is not a stack of finite frames of at least 4 x 4 pixels.
    """
    _check_frames(frames_nyx)
    chosen = choose_device(device)
    output = np.empty(frames_nyx.shape, np.float32)
    for number, frame_yx in enumerate(frames_nyx):
        # Gradients also for a caller that has turned them off.
        with _seeded(seed, chosen), torch.inference_mode(mode=False), torch.enable_grad():
            frame = to_tensor(frame_yx)[None, None].to(chosen)
            output[number] = to_array(fit(frame))[0, 0]
    return output


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _check_frames(frames_nyx: Float32) -> None:
    if frames_nyx.ndim != 3 or min(frames_nyx.shape[1:]) < SMALLEST_SIDE_PX:
        message = (
            f"A method that learns from one frame needs a stack (frame, y, x) with sides of at least "
            f"{SMALLEST_SIDE_PX} pixels, but was given shape {frames_nyx.shape}."
        )
        raise UnsupportedImageError(message)
    if not np.isfinite(frames_nyx).all():
        message = "The frames hold values that are not finite; repair or remove them first."
        raise UnsupportedImageError(message)
