"""Event handlers that MONAI and ignite do not have: clipping, seeds for every batch, and stopping on a signal."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.transforms import Randomizable
from torch import distributed, nn

from Training.sampling import DrawWithReplacement


class ClipGradients:
    """Limit the norm of all gradients before the optimiser steps, also when the trainer scales its loss."""

    def __init__(self, network: nn.Module, largest_norm: float) -> None:
        self.network, self.largest_norm = network, largest_norm

    def attach(self, engine: Engine) -> None:
        """Clip after every backward pass."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Any) -> None:  # noqa: ANN401 - a MONAI trainer
        """Clip the gradients of the iteration that has just run backwards."""
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.largest_norm)


class SeedEachBatch:
    """Tie everything random in a step to seed and number of the step, so that resuming anywhere changes nothing.

    Needs a loader without worker processes, since those draw ahead.
    """

    def __init__(self, seed: int, sampler: DrawWithReplacement, transform: Randomizable, rank: int = 0) -> None:
        self.seed, self.sampler, self.transform, self.rank = seed, sampler, transform, rank

    def attach(self, engine: Engine) -> None:
        """Place the sampler at the start of each epoch, seed before each batch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.place)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self.seed_batch)

    def place(self, engine: Engine) -> None:
        """Tell the sampler the epoch, and how many of its batches an earlier process has used."""
        self.sampler.epoch = engine.state.epoch
        self.sampler.batches_done = engine.state.iteration % int(engine.state.epoch_length or 1)

    def seed_batch(self, engine: Engine) -> None:
        """Seed the random transforms and torch for the step to come."""
        number = int(np.random.SeedSequence((self.seed, engine.state.iteration, self.rank)).generate_state(1)[0])
        self.transform.set_random_state(seed=number)
        torch.manual_seed(number)


class StopOnSignal:
    """On Ctrl+C or SIGTERM finish the step and end the run, so that its state can be saved; a second one ends at once.

    With several processes all of them stop after the same step, whichever got the signal.
    """

    def __init__(self) -> None:
        self.asked = False
        self._earlier: dict[int, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Watch signals while the engine runs."""
        engine.add_event_handler(Events.STARTED, self.watch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.stop_if_asked)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.stop_if_asked)
        engine.add_event_handler(Events.TERMINATE, self.unwatch)
        engine.add_event_handler(Events.COMPLETED, self.unwatch)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._raise)

    def watch(self) -> None:
        """Take over SIGINT and SIGTERM, which only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._earlier = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop_if_asked(self, engine: Engine) -> None:
        """End the run after this step if a signal came to this or another process.

        After the last step of an epoch the epoch is brought to its end first, with validation and checkpoint.
        """
        if distributed.is_available() and distributed.is_initialized():
            asked = torch.tensor(float(self.asked), device=engine.state.device)
            distributed.all_reduce(asked, op=distributed.ReduceOp.MAX)
            self.asked = bool(asked.item())
        state, is_in_epoch = engine.state, engine.last_event_name == Events.ITERATION_COMPLETED
        if is_in_epoch and state.iteration % int(state.epoch_length or 1) == 0:
            return
        if self.asked and (is_in_epoch or state.epoch < int(state.max_epochs or 0)):
            engine.terminate(skip_completed=True)

    def unwatch(self) -> None:
        """Give the signals back."""
        for number, earlier in self._earlier.items():
            signal.signal(number, earlier)
        self._earlier = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        self.unwatch()

    def _raise(self, error: BaseException) -> None:
        self.unwatch()
        raise error
