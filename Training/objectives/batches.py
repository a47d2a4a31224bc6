"""What the objectives ask of a batch, and the two distances that they measure with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor
from torch.nn import functional

from Speckle2SelfLogic.errors import SettingsError

DistanceName = Literal["l1", "l2"]
Distance = Callable[[Tensor, Tensor], Tensor]


def frames_of(batch: Mapping[str, Tensor], key: str, method: str) -> Tensor:
    """Return the frames (N, 1, H, W) of a batch that a method cannot do without.

    Raises
    ------
    SettingsError
        If the batch has none.
    """
    if key not in batch:
        message = f"{method} needs frames '{key}', but the batch has only {sorted(batch)}: add the key to frame_keys."
        raise SettingsError(message)
    return batch[key]


def distance_named(name: str) -> Distance:
    """Return the mean absolute (``"l1"``) or mean squared (``"l2"``) difference of two stacks of frames.

    Raises
    ------
    SettingsError
        If there is no such distance.
    """
    distances: dict[str, Distance] = {"l1": functional.l1_loss, "l2": functional.mse_loss}
    if name not in distances:
        message = f"A distance must be 'l1' or 'l2', but is {name!r}."
        raise SettingsError(message)
    return distances[name]
