"""Methods as a plan names them: where each comes from, and what identifies it when figures are measured again."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.checkpoint import network_from_file
from Speckle2SelfLogic.errors import SettingsError, Speckle2SelfError
from Speckle2SelfLogic.filters import classical_filter
from Speckle2SelfLogic.runtime import FrameDespeckler, NetworkDespeckler
from Training.checkpoints import latest_checkpoint, read_checkpoint

KINDS = ("filter", "model", "run", "per_image")
INPUT, TRUTH = "Input", "Truth"
"""Rows of a table that no method made: the frame as it was, and the truth measured like an output."""


@dataclass(frozen=True)
class MethodEntry:
    """One method of a plan."""

    name: str
    """As the tables say."""
    kind: str
    """One of `KINDS`: a classical filter, a model (name, card or weights), the folder of a training run, or a method
    that learns from the one frame."""
    source: str
    """Name of the filter or method, or path of the model or run."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of the filter or method; of a run, the settings of its network where they are not the defaults."""
    learned_from: str = "nothing"
    """What the method had seen before: nothing, speckled frames, two realisations, the truth of simulation, ..."""
    is_ours: bool = False
    in_pictures: bool = True
    frames: int | None = None
    """Measure at most this many frames of each data set (slow methods)."""
    sets: tuple[str, ...] = ()
    """Measure on these data sets only; none: on all."""

    def load(self) -> FrameDespeckler:
        """Load the method.

        Raises
        ------
        SettingsError, WeightsError
            If it does not exist, its parameters are wrong, or its weights cannot be read.
        """
        if self.kind == "filter":
            return classical_filter(self.source, **self.parameters)
        if self.kind == "per_image":
            return _per_image(self.source, self.parameters)
        return NetworkDespeckler.load(self.weights_file, "cpu") if self.kind == "model" else _from_run(self)

    @property
    def weights_file(self) -> str | Path:
        """The file of weights, or the name of a model."""
        return newest_weights(Path(self.source)) if self.kind == "run" else self.source

    def fingerprint(self) -> dict[str, Any]:
        """Return what the answers depend on: figures are measured again when it changes."""
        identity: dict[str, Any] = {"kind": self.kind, "parameters": dict(self.parameters)}
        if self.kind in ("filter", "per_image"):
            return identity | {"name": self.source, "package": __version__}
        return identity | {"sha256": _weights_checksum(self.weights_file)}


def newest_weights(run: Path) -> Path:
    """Return the model card of a training run or, if it has none, its newest checkpoint.

    Raises
    ------
    SettingsError
        If the folder has neither.
    """
    cards = [path for path in sorted(run.glob("**/*.json")) if _is_card(path)]
    if cards:
        return cards[-1]
    folders = sorted({path.parent for path in run.glob("**/*.pt")})
    found = [Path(newest) for folder in folders if (newest := latest_checkpoint(folder))]
    if not found:
        message = f"'{run}' is no training run: it holds neither a model card nor a checkpoint (.pt)."
        raise SettingsError(message)
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def _is_card(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"name", "network", "file", "sha256"} <= content.keys()


def _from_run(entry: MethodEntry) -> FrameDespeckler:
    """Load the running average of a checkpoint. Its network is recognised by its tensors, or has the given settings."""
    path = newest_weights(Path(entry.source))
    if path.suffix == ".json":
        return NetworkDespeckler.load(path, "cpu")
    weights = read_checkpoint(path)["average"]
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "average.pt"
        torch.save({key: value for key, value in weights.items() if value.is_floating_point()}, plain)
        network, _ = network_from_file(plain, "despeckler" if entry.parameters else None, entry.parameters)
    return NetworkDespeckler(network, entry.name, entry.name, "", torch.device("cpu"))


def _per_image(name: str, parameters: Mapping[str, Any]) -> FrameDespeckler:
    from Training.per_image.methods import per_image_method

    method: FrameDespeckler = per_image_method(name, **parameters)
    return method


def _weights_checksum(name_or_path: str | Path) -> str:
    path = Path(name_or_path)
    if path.suffix in (".pt", ".pth") and path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    from Speckle2SelfLogic.model_card import read_card
    from Speckle2SelfLogic.weights import find_model

    try:
        return (read_card(path) if path.suffix == ".json" else find_model(str(name_or_path))).sha256
    except Speckle2SelfError as error:
        message = f"The model '{name_or_path}' of the plan cannot be used: {error}"
        raise SettingsError(message) from error
