"""The training recipe, read from a YAML file and checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from Speckle2SelfLogic.errors import SettingsError


@dataclass(frozen=True)
class FrameSet:
    """Frames of one origin: the files below the data folder that match a glob pattern."""

    pattern: str = ""
    share: float = 1.0
    """How often this set is drawn, relative to the others."""
    use_every: int = 1
    """Take every n-th file only."""


@dataclass(frozen=True)
class RealFrameSettings:
    """Real frames: where they are and how much each self-supervised term weighs."""

    sets: tuple[FrameSet, ...] = ()
    """None: training uses simulated frames only."""
    start: float = 0.88
    """Share of all steps after which the real-frame terms join."""
    learning_rate_factor: float = 1.0
    """Learning rate while they take part, relative to the schedule."""
    adaptation: float = 1.0
    """How far the shipped weights go from the teacher towards the adapted network: 0 is simulation alone, 1 the adapted
    network, more goes beyond it on the same line (task arithmetic, Ilharco et al. 2023)."""
    anatomy_share: float = 0.0
    """Share of simulated scenes whose echogenicity is a smoothed real frame."""
    brightness: float = 0.5
    consistency: float = 0.5
    teacher: float = 0.5
    flatness: float = 0.05


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that determines a training run."""

    name: str = "speckle2self-small"
    seed: int = 0
    steps: int = 40_000
    batch: int = 8
    crop_px: int = 160
    scene_px: int = 256
    buffer_scenes: int = 1500
    new_scenes_per_step: float = 1.0
    learning_rate: float = 1.0e-3
    warmup_steps: int = 200
    weight_decay: float = 1.0e-4
    gradient_clip: float = 0.5
    average_decay: float = 0.999
    gain_low: float = 0.4
    gradient_weight: float = 1.0
    loss_beta: float = 0.05
    """Grey difference below which the supervised loss is quadratic."""
    network: dict[str, Any] = field(default_factory=dict)
    real: RealFrameSettings = field(default_factory=RealFrameSettings)
    threads: int = 1
    workers: int = 1
    checkpoint_every: int = 1000


def load_settings(path: Path) -> TrainingSettings:
    """Read a recipe.

    Raises
    ------
    SettingsError
        If the file is no YAML mapping or has a key that the recipe does not know.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        message = f"The training settings {path} cannot be read: {error}."
        raise SettingsError(message) from error
    return _build(TrainingSettings, content, str(path))


def _build(kind: type[Any], content: object, where: str) -> Any:  # noqa: ANN401
    if not isinstance(content, dict):
        message = f"{where} must hold keys and values, but holds {type(content).__name__}."
        raise SettingsError(message)
    defaults = kind()
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(content) - known)
    if unknown:
        message = f"{where} has unknown keys {unknown}; known are {sorted(known)}."
        raise SettingsError(message)
    values: dict[str, Any] = {}
    for key, value in content.items():
        default = getattr(defaults, key)
        if is_dataclass(default):
            values[key] = _build(type(default), value, f"{where}: {key}")
        elif isinstance(default, tuple):
            values[key] = tuple(_build(FrameSet, entry, f"{where}: {key}") for entry in value)
        elif isinstance(default, float):
            values[key] = float(value)
        else:
            values[key] = value
    return kind(**values)
