"""What a validation looks at: the averaged network on frames, and the objective's own value where there is no truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from Training.engine import prepare_batch


class OnSpeckled(nn.Module):
    """A network as a function of a batch: it sees the speckled frames (N, 1, H, W) and nothing else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the answer to the speckled frames, same shape, float32."""
        answer: Tensor = self.network(batch["speckled"]).float()
        return answer


class ObjectiveOf:
    """The value of an objective on a validation batch, always with the same random draws, so that epochs compare."""

    def __init__(self, network: nn.Module, objective: nn.Module, seed: int = 0) -> None:
        self.network, self.objective, self.seed = network, objective, seed

    def __call__(self, output: Mapping[str, Any]) -> float:
        """Return the objective of what an evaluator has put out for a batch."""
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return float(self.objective(self.network, output["image"]))


def prepare_validation(
    batch: Mapping[str, Tensor], device: str | torch.device | None, non_blocking: bool = False, **kwargs: object
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the frames of a batch on the device, and their truth; without a truth the speckled frames themselves."""
    frames, _ = prepare_batch(batch, device, non_blocking, **kwargs)
    frames = {key: value.float() for key, value in frames.items()}
    return frames, frames.get("truth", frames["speckled"])
