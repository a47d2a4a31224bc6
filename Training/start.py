"""How a training begins: the network with the weights to start from, and the schedule of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.io import is_readable
from Speckle2SelfLogic.weights import load_network
from Training.datasets.reading import simulated_items


def started(network: nn.Module, initial_weights: str | None, device: torch.device) -> nn.Module:
    """Return the network on its device, with the weights of a model (name or file) when some are given.

    Raises
    ------
    WeightsError
        If there is no such model or its weights do not fit the network.
    """
    if initial_weights:
        source, _ = load_network(initial_weights)
        network.load_state_dict(source.state_dict())
    return network.to(device)


def network_of(model: str) -> nn.Module:
    """Return the network of a model (name or file) with its weights, whichever settings it has."""
    return load_network(model)[0]


def image_items(folder: str | Path) -> list[dict[str, str]]:
    """List the image files of a folder as items: the path as ``image``, which is read, and as ``path``, which stays.

    Raises
    ------
    SettingsError
        If there are none.
    """
    paths = sorted(str(path) for path in Path(folder).glob("*") if path.is_file() and is_readable(path))
    if not paths:
        message = f"The folder '{folder}' has no image files that can be read."
        raise SettingsError(message)
    return [{"image": path, "path": path} for path in paths]


def warmup_then_cosine(
    optimizer: torch.optim.Optimizer, warmup_steps: int, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Raise the learning rate linearly, then lower it along one cosine to a thousandth (Loshchilov & Hutter 2017)."""

    def factor(step: int) -> float:
        warm = min(1.0, (step + 1) / max(warmup_steps, 1))
        return warm * (0.5005 + 0.4995 * math.cos(math.pi * min(step / max(steps, 1), 1.0)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def scenes(
    seed: int, count: int, folder: str = "", sets: Sequence[str] | None = None, first: int = 0
) -> list[dict[str, Any]]:
    """List scenes to simulate while training, each by its seed; with a folder of simulated sets, its scenes in between.

    The scenes of the folder come up again and again, one for every three new ones. ``first`` is the number of the scene
    that the list begins with: a run that goes on has seen the ones before.
    """
    numbers = range(first, first + count)
    if not folder:
        return [{"seed": (seed << 40) + number} for number in numbers]
    kept = simulated_items(folder, sets, "train")
    return [{"seed": (seed << 40) + n} if n % 4 else kept[(n // 4) % len(kept)] for n in numbers]


def teacher(weights: str | None) -> nn.Module | None:
    """Return the network of a model as a fixed teacher; without a model there is none."""
    return load_network(weights)[0] if weights else None
