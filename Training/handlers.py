"""Event handlers that MONAI and ignite do not have, and where a stopped run goes on."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.transforms import Randomizable
from torch import nn
from torch.utils.data import Sampler


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


class DrawWithReplacement(Sampler[int]):
    """Random indices, a fixed number in each epoch, that depend on the seed and the epoch alone.

    A run that was stopped and goes on therefore draws what it would have drawn. With several replicas, batches of B in each
    of them are together the batches of B times the number of replicas that one process would draw.

    Parameters
    ----------
    population
        Number of items to draw from.
    count
        Indices in each epoch, over all replicas.
    batch
        Batch size of one replica.
    """

    def __init__(
        self, population: int, count: int, *, batch: int, seed: int = 0, replicas: int = 1, rank: int = 0
    ) -> None:
        self.population, self.count, self.batch = population, count, batch
        self.seed, self.replicas, self.rank, self.epoch = seed, replicas, rank, 0

    def __len__(self) -> int:
        return self.count // self.replicas

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        drawn = rng.integers(0, self.population, self.count).reshape(-1, self.replicas, self.batch)
        return iter(drawn[:, self.rank].ravel().tolist())


class SeedEachEpoch:
    """Tie everything random in an epoch to the seed and the number of the epoch, so that resuming changes nothing."""

    def __init__(self, seed: int, sampler: DrawWithReplacement, transform: Randomizable, rank: int = 0) -> None:
        self.seed, self.sampler, self.transform, self.rank = seed, sampler, transform, rank

    def attach(self, engine: Engine) -> None:
        """Seed at the start of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed the sampler, the random transforms and torch."""
        number = int(np.random.SeedSequence((self.seed, engine.state.epoch, self.rank)).generate_state(1)[0])
        self.sampler.epoch = engine.state.epoch
        self.transform.set_random_state(seed=number)
        torch.manual_seed(number)


def latest_checkpoint(folder: str | Path) -> str:
    """Return the newest whole checkpoint of a run, or ``""``. A file that was cut off while it was written is passed over."""
    found = sorted(Path(folder).glob("*.pt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return next((str(path) for path in found if zipfile.is_zipfile(path)), "")
