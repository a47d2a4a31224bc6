"""Which items a training draws: random, but a function of seed and step alone, so that a stopped run loses nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class DrawWithReplacement(Sampler[int]):
    """Random indices, a fixed number in each epoch, that depend on the seed and the epoch alone.

    A run that was stopped and goes on therefore draws what it would have drawn. With several replicas, batches of B in
    each of them are together the batches of B times the number of replicas that one process would draw.

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
        self.seed, self.replicas, self.rank = seed, replicas, rank
        self.epoch, self.batches_done = 0, 0

    def __len__(self) -> int:
        return self.count // self.replicas

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of this replica from batch ``batches_done`` of epoch ``epoch`` on."""
        rng = np.random.default_rng((self.seed, self.epoch))
        drawn = rng.integers(0, self.population, self.count).reshape(-1, self.replicas, self.batch)
        return iter(drawn[self.batches_done :, self.rank].ravel().tolist())
