"""What a comparison compares: data sets, methods, folds and budget, read from a YAML file and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.real import set_named

ORIGINAL = "original"
ALL = "all"
LAYOUTS = ("folders", "suffix")
FILE, UNKNOWN = "file", "unknown"
"""Rules for subjects besides a regular expression: every file is another person; or nobody knows who is who."""

KNOWN: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "cca_transverse_mindray": {
            "images": "cca_transverse_mindray/images",
            "masks": "cca_transverse_mindray/masks",
            "labels": {"lumen": [255]},
        },
        "fetal_head_hc18": {
            "images": "fetal_head_hc18/images",
            "masks": "fetal_head_hc18/masks",
            "labels": {"head": [255]},
        },
        "vessel_nerve_mindray_te7": {
            "images": "vessel_nerve_mindray_te7/images",
            "masks": "vessel_nerve_mindray_te7/masks",
            "labels": {"nerve": [1], "lumen": [2]},
        },
    }
)
"""Real sets with masks; who is who in them is stated in `Training.datasets.real`."""


@dataclass(frozen=True)
class Simulated:
    """Simulated carotids: each subject is one seed with a frame of every kind."""

    subjects: int = 8
    size_px: int = 256
    seed: int = 7

    def __post_init__(self) -> None:
        if self.subjects < 2 or not 64 <= self.size_px <= 1024:
            message = (
                f"Simulated data need 2 subjects or more and 64 to 1024 pixels, but have {self.subjects} and "
                f"{self.size_px}."
            )
            raise SettingsError(message)


@dataclass(frozen=True)
class DataPlan:
    """One data set.

    ``subject`` is a regular expression on the file name whose first group is the person, or ``"file"``, or
    ``"unknown"``: then the set can be tested on but not divided into folds. ``labels`` names each class and the mask
    values that stand for it. ``spacing_mm`` (row, column) calibrates files that do not say it themselves.
    """

    name: str
    subject: str
    labels: Mapping[str, tuple[int, ...]]
    images: Path = Path()
    masks: Path = Path()
    layout: str = "folders"
    suffix: str = "_mask"
    simulated: Simulated | None = None
    spacing_mm: tuple[float, float] | None = None
    unseen: bool = False
    """Whether it is only tested on, by the networks that were trained on the other sets."""
    frames_per_subject: int | None = None
    few_shot: tuple[int, ...] | None = None
    """Other training sizes than the comparison's."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            message = f"The layout of '{self.name}' must be one of {', '.join(LAYOUTS)}, but is '{self.layout}'."
            raise SettingsError(message)
        if self.subject == UNKNOWN and not self.unseen:
            message = (
                f"Who is who in '{self.name}' is unknown, so it cannot be divided by subject; set 'unseen: true' to "
                "test on it only, or give 'subject' as a regular expression or 'file'."
            )
            raise SettingsError(message)
        if not self.labels:
            message = f"The data set '{self.name}' needs 'labels', such as lumen: 1."
            raise SettingsError(message)
        if self.subject not in (FILE, UNKNOWN):
            _check_pattern(self.name, self.subject)


@dataclass(frozen=True)
class MethodPlan:
    """How images are prepared: ``original``, or what `Speckle2SelfLogic.methods.load_method` takes."""

    name: str
    model: str = ""


@dataclass(frozen=True)
class Plan:
    """A whole comparison. Numbers of the network and its augmentation are those of ``configs/segment.yaml``."""

    data: tuple[DataPlan, ...]
    methods: tuple[MethodPlan, ...]
    side_px: int = 128
    steps: int = 400
    batch: int = 8
    folds: int = 4
    few_shot: tuple[int, ...] = (5, 10, 25)
    seed: int = 20261
    title: str = "Segmentation with and without despeckling"
    notes: tuple[str, ...] = ()
    """Sentences that a reader of the report must know."""

    def __post_init__(self) -> None:
        names = [each.name for each in (*self.data, *self.methods)]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            message = f"The names {', '.join(repeated)} are used twice in the plan; give each its own."
            raise SettingsError(message)
        if not self.trained_on or not self.methods or self.methods[0].name != ORIGINAL:
            message = f"A plan needs a data set to train on, and methods of which the first is '{ORIGINAL}'."
            raise SettingsError(message)
        if self.folds < 2 or self.steps < 1 or self.batch < 1 or self.side_px % 8 or self.side_px < 32:
            message = (
                "A plan needs 2 folds or more, 1 step and 1 picture in a batch or more, and side_px a multiple of 8 "
                f"from 32 on; it has {self.folds}, {self.steps}, {self.batch} and {self.side_px}."
            )
            raise SettingsError(message)

    @property
    def trained_on(self) -> tuple[DataPlan, ...]:
        """The data sets that are divided into folds."""
        return tuple(data for data in self.data if not data.unseen)

    @property
    def unseen(self) -> tuple[DataPlan, ...]:
        """The data sets that are tested on only."""
        return tuple(data for data in self.data if data.unseen)


def read_plan(file: Path, root: Path | None = None) -> Plan:
    """Read and check a plan.

    Parameters
    ----------
    file
        YAML with the fields of `Plan`; plain values only, nothing in it is run.
    root
        Folder that paths of data and weights start from. Left out: the folder of the file.

    Raises
    ------
    SettingsError
        If the file cannot be read, or something in it is unknown, missing or out of range.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"The plan '{file}' cannot be read: {error.strerror or error}."
        raise SettingsError(message) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"The plan '{file}' is no YAML: {' '.join(str(error).split())}."
        raise SettingsError(message) from error
    given = _known_fields(content, Plan, f"The plan '{file}'")
    start = root or file.parent
    made = dict(given)
    made["data"] = tuple(_data(each, start) for each in _list(given, "data"))
    made["methods"] = tuple(_method(each, start) for each in _list(given, "methods"))
    if "few_shot" in given:
        made["few_shot"] = _counts(given["few_shot"])
    made["notes"] = tuple(map(str, given.get("notes") or ()))
    return _built(Plan, made, f"The plan '{file}'")


def _data(content: object, start: Path) -> DataPlan:
    names = {field.name for field in fields(DataPlan)} | {"known"}
    given = dict(content) if isinstance(content, dict) else {"known": content}
    if unknown := sorted(set(given) - names):
        message = f"A data set of the plan has unknown {', '.join(unknown)}; known are {', '.join(sorted(names))}."
        raise SettingsError(message)
    if known := given.pop("known", None):
        if known not in KNOWN:
            message = f"There is no known data set '{known}'; known are {', '.join(KNOWN)}."
            raise SettingsError(message)
        given = {"name": known, "subject": set_named(known).subject or UNKNOWN, **KNOWN[known], **given}
    if isinstance(simulated := given.get("simulated"), dict):
        subject = {"subject": r"(\d+)_", "labels": {"lumen": [1], "wall": [2]}}
        given = {**subject, **given, "simulated": _built(Simulated, simulated, "Simulated data of the plan")}
    given["labels"] = {
        str(name): tuple(values) if isinstance(values, (list, tuple)) else (values,)
        for name, values in dict(given.get("labels") or {}).items()
    }
    for key in ("images", "masks"):
        if key in given:
            given[key] = start / str(given[key])
    for key in ("few_shot", "spacing_mm"):
        if given.get(key) is not None:
            given[key] = _counts(given[key]) if key == "few_shot" else tuple(map(float, given[key]))
    return _built(DataPlan, given, "A data set of the plan")


def _method(content: object, start: Path) -> MethodPlan:
    if isinstance(content, str):
        return MethodPlan(content, "" if content == ORIGINAL else content)
    method = _built(MethodPlan, content, "A method of the plan")
    is_file = method.model and (start / method.model).is_file()
    return MethodPlan(method.name, str(start / method.model)) if is_file else method


def _counts(values: object) -> tuple[int, ...]:
    """Training sizes; ``all`` is always among them and need not be said."""
    numbers = [value for value in (values if isinstance(values, list) else [values]) if value != ALL]
    if any(not isinstance(value, int) or value < 1 for value in numbers):
        message = f"few_shot must be numbers of training images, such as [5, 10, 25, all], but is {values}."
        raise SettingsError(message)
    return tuple(sorted(numbers))


def _check_pattern(name: str, pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        message = f"The subject rule '{pattern}' of '{name}' is no regular expression: {error}."
        raise SettingsError(message) from error
    if groups < 1:
        message = f"The subject rule '{pattern}' of '{name}' needs a group in parentheses that is the subject."
        raise SettingsError(message)


def _list(given: Mapping[str, Any], key: str) -> Sequence[object]:
    value = given.get(key)
    if not isinstance(value, list) or not value:
        message = f"A plan needs '{key}', a list that is not empty."
        raise SettingsError(message)
    return value


def _known_fields(content: object, kind: type, subject: str) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    if not isinstance(content, dict):
        message = f"{subject} must be a list of settings ({', '.join(names)}), but is {type(content).__name__}."
        raise SettingsError(message)
    if unknown := sorted(set(map(str, content)) - set(names)):
        message = f"{subject} has unknown {', '.join(unknown)}; known are {', '.join(names)}."
        raise SettingsError(message)
    return dict(content)


def _built(kind: Any, content: object, subject: str) -> Any:  # noqa: ANN401 - one of the classes above
    given = _known_fields(content, kind, subject)
    try:
        return kind(**given)
    except TypeError as error:
        message = f"{subject} is not complete or has a value of the wrong kind: {error}."
        raise SettingsError(message) from error
