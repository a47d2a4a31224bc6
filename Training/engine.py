"""What the bundle adds to MONAI's trainer: one module that turns a batch into a loss, and how batches reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]
FRAME_KEYS = ("speckled", "truth", "second", "real")
"""Keys of a batch that hold frames (N, 1, H, W), grey 0..1; ``speckled`` is always there."""


class TrainingStep(nn.Module):
    """Network and objective as one module whose output is the loss.

    MONAI's `SupervisedTrainer` calls its network with a batch and gives the answer to a loss function. With this module
    as that network every method trains through the same engine, and `DistributedDataParallel` around it sees one
    forward pass for each step however often the objective calls the network.

    Parameters
    ----------
    network
        Maps frames (N, 1, H, W) to frames of the same shape.
    objective
        ``objective(network, batch)`` returns one number.
    precision
        ``"bfloat16"`` computes convolutions in half the bits on a CPU. On CUDA use the trainer's ``amp`` instead.
    """

    def __init__(self, network: nn.Module, objective: nn.Module, precision: Precision = "float32") -> None:
        super().__init__()
        self.network, self.objective, self.precision = network, objective, precision

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch, shape ()."""
        if self.precision == "float32":
            loss: Tensor = self.objective(self.network, batch)
            return loss
        with torch.autocast(batch["speckled"].device.type, torch.bfloat16):
            loss = self.objective(self.network, batch)
        return loss.float()


def prepare_batch(
    batch: Mapping[str, Tensor], device: str | torch.device | None, non_blocking: bool = False, **kwargs: object
) -> tuple[dict[str, Tensor], Tensor]:
    """Move the frames of a batch to the device. The second value is a target that nothing reads.

    They become plain tensors: MONAI's own carry the history of each frame, which an objective that slices the batch
    would have to take apart.
    """
    del kwargs
    frames = {
        key: batch[key].to(device, non_blocking=non_blocking).as_subclass(Tensor)
        for key in FRAME_KEYS
        if isinstance(batch.get(key), Tensor)
    }
    return frames, frames["speckled"].new_zeros(())


def the_loss_itself(loss: Tensor, target: Tensor) -> Tensor:
    """Pass on the loss that `TrainingStep` returned; MONAI's trainer asks for a loss function."""
    del target
    return loss
