"""A model as a `FrameDespeckler` on the runtime that suits this computer."""

from __future__ import annotations

import ctypes.util
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.model_card import ModelCard
from Speckle2SelfLogic.runtime import FrameDespeckler, NetworkDespeckler
from Speckle2SelfLogic.runtimes.choice import REFERENCE, candidates, choose
from Speckle2SelfLogic.runtimes.engines import check_names, one_at_a_time, runtime_version
from Speckle2SelfLogic.runtimes.gate import ParityError
from Speckle2SelfLogic.runtimes.graph import Float32
from Speckle2SelfLogic.runtimes.preparation import EXPORTED, Prepared
from Speckle2SelfLogic.runtimes.processor import physical_cores
from Speckle2SelfLogic.weights import card_of, verify_model


@dataclass
class RuntimeDespeckler:
    """A model on a runtime whose answers were compared with the reference's. Runs on the processor."""

    prepared: Prepared
    card: ModelCard
    threads: int
    notes: list[str] = field(default_factory=list)
    """What the user should know about the choice of the runtime; part of every `DenoiseReport`."""
    warm_up_seconds: float = 0.0
    """Time that only the first frames cost: loading, comparing and measuring, and the first frame of each size."""
    device: str = "cpu"
    _known_shapes: set[tuple[int, ...]] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.card.name

    @property
    def title(self) -> str:
        """Name of the model for people."""
        return self.card.title

    @property
    def citation(self) -> str:
        """What to cite for the model."""
        return self.card.citation

    @property
    def sha256(self) -> str:
        """Checksum of the file of weights."""
        return self.card.sha256

    @property
    def domain(self) -> str:
        """What the model takes, as its card says."""
        return self.card.domain

    @property
    def precision(self) -> str:
        """``"single"``, or what the user asked for instead."""
        return self.prepared.engine.precision

    @property
    def record(self) -> dict[str, Any]:
        """What computed the answers, and how far it is from the reference: plain values for JSON."""
        runtime, parity = self.prepared.engine.runtime, self.prepared.parity
        return {
            "runtime": runtime,
            "version": runtime_version(runtime),
            "precision": self.precision,
            "device": self.device,
            "threads": self.threads,
            "difference_from_reference": parity.as_dict() if parity.frames else None,
            "warm_up_seconds": round(self.warm_up_seconds, 3),
        }

    def despeckle(self, frames_nyx: Float32) -> Float32:
        """Despeckle frames (N, Y, X) of grey 0..1."""
        with one_at_a_time:
            started = time.perf_counter()
            answers = self.prepared.engine.run(frames_nyx)
            if frames_nyx.shape not in self._known_shapes:
                self._known_shapes.add(frames_nyx.shape)
                self.warm_up_seconds += time.perf_counter() - started
        return answers


def load_model(
    name_or_path: str | Path,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "single",
    threads: int = 0,
) -> FrameDespeckler:
    """Load a model on a runtime; where that cannot be, on torch in single precision, with a message that says so.

    Parameters
    ----------
    name_or_path
        As `weights.load_network` takes it.
    device
        Anything but the processor is torch's.
    runtime
        ``"auto"`` for the fastest, or one of `engines.RUNTIMES`.
    precision
        One of `engines.PRECISIONS`, or ``"reduced"`` for the fastest that passes the gate.
    threads
        Threads of the processor; 0 for one on each physical core.

    Raises
    ------
    SettingsError
        If runtime, precision or device are unknown, not installed, or do not go together.
    WeightsError
        If the weights are damaged, unsafe, or belong to another network.
    """
    check_names(runtime, precision)
    started = time.perf_counter()
    if candidates(runtime, precision) == (REFERENCE,):
        return _on_torch(name_or_path, device, threads, [])
    if _is_for_accelerator(device):
        return _on_torch(name_or_path, device, threads, _note(runtime, precision, "they are for the processor"))
    card = card_of(name_or_path)
    if card.network != EXPORTED:
        return _on_torch(name_or_path, device, threads, _note(runtime, precision, "this network has torch alone"))
    verify_model(card)
    try:
        prepared, refused = choose(card, runtime, precision, threads)
    except ParityError as error:
        note = f"{error} Went on with torch in single precision."
        return _on_torch(name_or_path, device, threads, [note])
    if (prepared.engine.runtime, prepared.engine.precision) == REFERENCE:
        return _on_torch(name_or_path, device, threads, [])  # knows what to do when memory does not suffice
    notes = refused if runtime != "auto" or precision == "reduced" else []
    return RuntimeDespeckler(prepared, card, threads or physical_cores(), notes, time.perf_counter() - started)


def _on_torch(name_or_path: str | Path, device: str, threads: int, notes: list[str]) -> NetworkDespeckler:
    network = NetworkDespeckler.load(name_or_path, device)
    network.notes += notes
    if threads:
        import torch

        torch.set_num_threads(threads)
    return network


def _note(runtime: str, precision: str, why: str) -> list[str]:
    if runtime in ("auto", "torch") and precision == "single":
        return []
    return [f"Runtime '{runtime}' in {precision} precision was not used, since {why}: torch in single precision was."]


def _is_for_accelerator(device: str) -> bool:
    """Whether torch may run on something else than the processor. Asked without loading torch where that is enough."""
    if device == "cpu" or (device == "auto" and not _has_nvidia_driver()):
        return False
    from Speckle2SelfLogic.runtime import choose_device

    return choose_device(device).type != "cpu"


def _has_nvidia_driver() -> bool:
    if runtime_version("torch").endswith("+cpu") or sys.platform == "darwin":
        return False
    return ctypes.util.find_library("nvcuda" if sys.platform == "win32" else "cuda") is not None
