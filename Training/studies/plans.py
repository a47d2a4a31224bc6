"""Plans of studies, read from YAML and checked before anything runs.

Settings of a plan are keys of the bundle's configurations and plain values. What MONAI would run as code is refused, so
that a plan may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from Speckle2SelfLogic.errors import SettingsError
from Training.bundle import config_path
from Training.own_request import OWN_METHODS

Settings = Mapping[str, Any]
PARTS = ("Training.objectives.", "Speckle2SelfLogic.networks.")
"""Where the classes that a plan may name come from."""
NOT_IN_PLANS = ("bundle_root", "dataset_dir", "data", "output_dir", "method_name", "imports", "initialize", "run")
"""Keys that the commands set, or that are code."""


@dataclass(frozen=True)
class RunPlan:
    """One training: configurations of the bundle, and settings on top of them."""

    name: str
    configs: tuple[str, ...]
    settings: Settings
    question: str = ""
    overlay: str = ""
    """What it changes of its base, for the table; the base's name before it where the baseline has another."""
    learned_from: str = ""
    needs_data: bool = False
    """Whether it learns from real frames too."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return int(self.settings["epochs"]) * int(self.settings["epoch_length"])


@dataclass(frozen=True)
class AblationPlan:
    """Trainings that differ in one choice from another."""

    runs: tuple[RunPlan, ...]
    baseline: str
    sets: tuple[str, ...]
    note: str = ""
    conclusions: tuple[str, ...] = ()
    """Sentences that a person wrote after having read the figures."""


@dataclass(frozen=True)
class FineTuning:
    """How a method is fitted to a few frames: what `speckle2self finetune` takes."""

    method: str
    steps: int
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class ShiftMethod:
    """One way to train without a device, and to fit the result to it."""

    training: RunPlan
    finetuning: FineTuning


@dataclass(frozen=True)
class DevicePlan:
    """Devices that are left out in turn."""

    devices: tuple[str, ...]
    methods: tuple[ShiftMethod, ...]
    starts: tuple[RunPlan, ...] = ()
    """Trainings on simulation alone that the methods start from."""
    frames: tuple[int, ...] = (1, 4, 16)
    sets: tuple[str, ...] | None = None
    """Real sets that take part; None: all that the data folder holds."""
    most_test_frames: int = 24
    note: str = ""


def read_ablations(path: Path) -> AblationPlan:
    """Read a plan of ablations.

    Raises
    ------
    SettingsError
        If it cannot be read, or something in it is unknown, missing or code.
    """
    given = _mapping(path, AblationPlan, "bases")
    bases = _entry(given, "bases", dict, path)
    entries = _entry(given, "runs", list, path)
    runs = tuple(_run(each, bases, path) for each in entries)
    _check_names([run.name for run in runs], path)
    baseline = str(given.get("baseline", runs[0].name))
    common = next((each["base"] for each in entries if str(each["name"]) == baseline), None)
    if common is None:
        message = f"The baseline '{baseline}' of '{path}' is none of its runs."
        raise SettingsError(message)
    sets, conclusions = (tuple(map(str, given.get(key) or ())) for key in ("sets", "conclusions"))
    runs = tuple(
        replace(run, overlay=", ".join(filter(None, (str(each["base"]), run.overlay))))
        if each["base"] != common
        else run
        for run, each in zip(runs, entries, strict=True)
    )
    return AblationPlan(runs, baseline, sets, str(given.get("note", "")), conclusions)


def read_devices(path: Path) -> DevicePlan:
    """Read a plan of device shifts.

    Raises
    ------
    SettingsError
        If it cannot be read, or something in it is unknown, missing or code.
    """
    given = _mapping(path, DevicePlan, "bases")
    bases = _entry(given, "bases", dict, path)
    methods = []
    for each in _entry(given, "methods", list, path):
        rest = dict(each)
        tuning = _finetuning(rest.pop("finetuning", None), path)
        methods.append(ShiftMethod(_run(rest, bases, path), tuning))
    starts = tuple(_run(each, bases, path) for each in given.get("starts") or ())
    _check_names([run.name for run in (*starts, *(method.training for method in methods))], path)
    frames = tuple(sorted({int(count) for count in given.get("frames", DevicePlan.frames)}))
    if not frames or frames[0] < 1:
        message = f"The plan '{path}' must fine-tune on 1 frame or more, but has {list(frames)}."
        raise SettingsError(message)
    return DevicePlan(
        devices=tuple(map(str, _entry(given, "devices", list, path))),
        methods=tuple(methods),
        starts=starts,
        frames=frames,
        sets=tuple(map(str, given["sets"])) if given.get("sets") else None,
        most_test_frames=max(1, int(given.get("most_test_frames", DevicePlan.most_test_frames))),
        note=str(given.get("note", "")),
    )


def _finetuning(entry: object, path: Path) -> FineTuning:
    given = _known(entry, FineTuning, path)
    if given.get("method") not in OWN_METHODS or not isinstance(given.get("steps"), int):
        message = f"A fine-tuning of '{path}' needs a method of {', '.join(OWN_METHODS)} and steps, but is {given}."
        raise SettingsError(message)
    _check_settings(given.get("settings") or {}, path)
    return FineTuning(given["method"], given["steps"], given.get("settings") or {})


def _run(entry: object, bases: Mapping[str, Any], path: Path) -> RunPlan:
    given = _known(entry, RunPlan, path, "base")
    if "name" not in given or given.get("base") not in bases:
        message = f"A run of '{path}' needs a name and a base of {', '.join(bases)}, but is {given}."
        raise SettingsError(message)
    base = _known(bases[given["base"]], RunPlan, path)
    own = dict(given.get("settings") or {})
    settings = {**dict(base.get("settings") or {}), **own}
    configs = tuple(given.get("configs") or base.get("configs") or ("train",))
    _check_settings(settings, path)
    for config in configs:
        config_path(config)
    for key in ("epochs", "epoch_length"):
        if not isinstance(settings.get(key), int) or settings[key] < 1:
            message = f"The run '{given['name']}' of '{path}' needs {key} of 1 or more, but has {settings.get(key)}."
            raise SettingsError(message)
    overlay = ", ".join(f"{key}: {_spelled(value)}" for key, value in own.items())
    texts = {key: str(given.get(key, base.get(key, ""))) for key in ("question", "learned_from")}
    needs_data = bool(given.get("needs_data", base.get("needs_data", False)))
    return RunPlan(str(given["name"]), configs, settings, overlay=overlay, needs_data=needs_data, **texts)


def _spelled(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).replace("\n...", "").strip()


def _check_settings(settings: Settings, path: Path) -> None:
    for key, value in _leaves(settings):
        last = key[-1].replace("::", "#").split("#")[-1]
        is_code = isinstance(value, str) and value.startswith(("$", "%"))
        if is_code or (last == "_target_" and not str(value).startswith(PARTS)):
            message = f"'{key[-1]}: {value}' of '{path}' would run as code; a plan holds plain values only."
            raise SettingsError(message)
    if taken := [key for key in settings if key.replace("::", "#").split("#")[0] in NOT_IN_PLANS]:
        message = f"'{path}' must not set '{taken[0]}'; that is for the command to do."
        raise SettingsError(message)


def _leaves(value: object, key: tuple[str, ...] = ("",)) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, (*key, str(name)))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _leaves(each, key)
    else:
        yield key, value


def _check_names(names: Sequence[str], path: Path) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"The plan '{path}' has two runs named '{twice[0]}'."
        raise SettingsError(message)


def _mapping(path: Path, kind: type, *more: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        message = f"The plan '{path}' cannot be read: {' '.join(str(error).split())}."
        raise SettingsError(message) from error
    return _known(content, kind, path, *more)


def _known(content: object, kind: Any, path: Path, *more: str) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    names = {*(each.name for each in fields(kind)), *more}
    if not isinstance(content, dict) or content.keys() - names:
        message = f"'{path}' must have the keys {', '.join(sorted(names))} where it has {content}."
        raise SettingsError(message)
    return dict(content)


def _entry(given: Mapping[str, Any], key: str, kind: type, path: Path) -> Any:  # noqa: ANN401 - a list or mapping
    if not isinstance(given.get(key), kind) or not given[key]:
        message = f"The plan '{path}' needs '{key}', which must not be empty."
        raise SettingsError(message)
    return given[key]
