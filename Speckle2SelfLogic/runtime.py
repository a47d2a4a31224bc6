"""Running a network on frames: devices, memory, and arrays that travel by DLPack.

`torch.from_numpy` and `Tensor.numpy` do not work with torch 2.2 and NumPy 2 (the pair that runs on Intel Macs); the
DLPack exchange does. torch is imported when a network is first used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError, WeightsError

if TYPE_CHECKING:
    import torch

Float32 = npt.NDArray[np.float32]

DEVICES = ("auto", "cpu", "cuda", "mps")


class FrameDespeckler(Protocol):
    """Anything that turns a stack of frames into despeckled frames: a network or a classical filter."""

    @property
    def name(self) -> str:
        """Short name, as on the command line."""

    @property
    def title(self) -> str:
        """Name for people."""

    @property
    def citation(self) -> str:
        """Where the method was published."""

    def despeckle(self, frames_nyx: Float32) -> Float32:
        """Despeckle frames (N, Y, X) of grey 0..1; returns the same shape, not necessarily within 0..1.

        The frames may be read-only, and in memory that is used for something else later: keep a copy of them, if any.
        """


def method_domain(method: FrameDespeckler) -> str:
    """Return what a method takes: ``"bmode"``, or the domain that its model's card names."""
    return str(getattr(method, "domain", "bmode"))


def to_tensor(array: npt.NDArray[np.floating]) -> torch.Tensor:
    """Share (or, if it is read-only or not contiguous, copy) an array as a float32 tensor."""
    import torch

    values = np.ascontiguousarray(array, np.float32)
    if not values.flags.writeable:
        values = values.copy()
    return torch.from_dlpack(values)  # type: ignore[attr-defined]


def to_array(tensor: torch.Tensor) -> Float32:
    """Bring a tensor to the CPU as a float32 array."""
    values = tensor.detach().float().cpu().contiguous()
    return np.array(np.from_dlpack(values), np.float32)


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device for ``"auto"``, ``"cpu"``, ``"cuda"`` (or ``"cuda:1"``) or ``"mps"``.

    Automatic takes CUDA where there is one and otherwise the CPU; Apple's MPS only on request.

    Raises
    ------
    SettingsError
        If the name is unknown or this computer has no such device.
    """
    import torch

    if name.split(":")[0] not in DEVICES:
        message = f"There is no device '{name}'; choose one of {', '.join(DEVICES)}."
        raise SettingsError(message)
    has_cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "cpu")
    if (name.startswith("cuda") and not has_cuda) or (name == "mps" and not torch.backends.mps.is_available()):
        message = f"This computer has no '{name}' device that torch can use; choose 'cpu' or 'auto'."
        raise SettingsError(message)
    return torch.device(name)


@dataclass
class NetworkDespeckler:
    """A network as a `FrameDespeckler`. When an accelerator runs out of memory, frames go on one by one, then on CPU.

    ``messages`` collects what the user should know about that.
    """

    network: torch.nn.Module
    name: str
    title: str
    citation: str
    device: torch.device
    messages: list[str] = field(default_factory=list)
    sha256: str = ""
    """Checksum of the file of weights, as its card says."""
    domain: str = "bmode"
    """What the model takes, as its card says."""
    notes: list[str] = field(default_factory=list)
    """Why it runs on torch although another runtime was asked for."""

    @property
    def record(self) -> dict[str, Any]:
        """What computes the answers: plain values for JSON."""
        import torch

        device = str(self.device)
        what = {"runtime": "torch", "version": torch.__version__, "precision": "single", "device": device}
        return {**what, "threads": torch.get_num_threads()} if device == "cpu" else what

    @classmethod
    def load(cls, name_or_path: str | Path, device: str = "auto") -> NetworkDespeckler:
        """Load a named model or a weight file (see `weights.load_network`).

        Raises
        ------
        WeightsError
            As `weights.load_network`, and if the network segments instead of despeckling.
        """
        from Speckle2SelfLogic.checkpoint import SEGMENTATION_NETWORKS
        from Speckle2SelfLogic.weights import load_network

        chosen = choose_device(device)
        network, card = load_network(name_or_path, device=str(chosen))
        if card.network in SEGMENTATION_NETWORKS:
            message = f"'{name_or_path}' is a model that segments, not one that despeckles; use it with 'segment'."
            raise WeightsError(message)
        return cls(network, card.name, card.title, card.citation, chosen, sha256=card.sha256, domain=card.domain)

    def despeckle(self, frames_nyx: Float32) -> Float32:
        """Despeckle frames (N, Y, X) of grey 0..1."""
        try:
            return self._run(frames_nyx)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        return self._run_with_less_memory(frames_nyx)

    def _run(self, frames_nyx: Float32) -> Float32:
        import torch

        with torch.inference_mode():
            frames = to_tensor(frames_nyx)[:, None].to(self.device, memory_format=torch.channels_last)
            return to_array(self.network(frames)[:, 0])

    def _run_with_less_memory(self, frames_nyx: Float32) -> Float32:
        import torch

        if len(frames_nyx) > 1:
            return np.concatenate([self.despeckle(frame[None]) for frame in frames_nyx])
        size = f"a frame of {frames_nyx.shape[1]} x {frames_nyx.shape[2]}"
        if self.device.type == "cpu":
            message = f"There is not enough memory for {size}; close other programs or crop the image."
            raise SettingsError(message)
        self.messages.append(f"The memory of device '{self.device}' was not enough for {size}: went on with the CPU.")
        self.device = torch.device("cpu")
        self.network.to(self.device)
        return self.despeckle(frames_nyx)


def _is_out_of_memory(error: RuntimeError) -> bool:
    text = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in text or "can't allocate memory" in text
