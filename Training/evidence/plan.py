"""The plan of a measurement: data sets and methods, read from YAML and checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.real import list_frames, set_named
from Training.datasets.splits import split_frames
from Training.evidence.frames import EvidenceItem, image_files, items_of
from Training.evidence.methods import KINDS, MethodEntry
from Training.evidence.published_frames import published_items

DATA_KINDS = ("simulated", "real", "published")


@dataclass(frozen=True)
class DataSet:
    """Frames that belong together in a table."""

    name: str
    kind: str
    """``simulated`` (frames with truth, as `Training.datasets` writes them), ``real``, or ``published`` (the carotid
    frames of the paper's project page)."""
    folder: Path
    pattern: str = "*"
    """Glob pattern below the folder. Simulated sets: ``SET/SPLIT/*.png``."""
    real_set: str = ""
    """Instead of a pattern: a set of `Training.datasets.real`, of which only the subjects of the split are taken."""
    files: tuple[str, ...] = ()
    """Instead of a pattern: paths below the folder."""
    split: str = "test"
    every: int = 1
    """Take every n-th file only."""
    frames: int | None = None
    """Take at most this many files."""
    cine_frames: int = 1
    """Frames that are taken from the middle of a cine; more than one gives the figures of its flicker."""
    description: str = ""
    source: str = ""
    """Origin and licence, for the caption of a picture. Without it no picture of the set goes into the documents."""
    pictures: int = 1
    """Frames that are shown, from the first on."""

    @property
    def goes_through_denoiser(self) -> bool:
        """Real frames are despeckled as a user would have it done; simulated ones by the bare method."""
        return self.kind != "simulated"

    def items(self) -> Iterator[EvidenceItem]:
        """Read the frames one after the other. Raises what reading raises, and SettingsError if there are none."""
        if self.kind == "published":
            yield from list(published_items(self.folder))[: self.frames]
            return
        paths = self._paths()
        if self.kind == "simulated":
            paths = [path for path in paths if path.stem.endswith("_speckled")]
        chosen = paths[:: self.every][: self.frames]
        lies_in_several = len({path.parent for path in chosen}) > 1  # where names may be the same
        for path in chosen:
            folder = path.relative_to(self.folder).parts[0]
            for item in items_of([path], most_frames=self.cine_frames):
                yield replace(item, name=f"{folder} {item.name}") if lies_in_several else item

    def _paths(self) -> list[Path]:
        if self.files:
            return [self.folder / name for name in self.files]
        if not self.real_set:
            return image_files(self.folder, self.pattern)
        found = [frame.path for frame in split_frames(self.folder, self.real_set)[self.split]]
        if not found:
            message = f"The set '{self.real_set}' has no frame for the split '{self.split}'; give a pattern instead."
            raise SettingsError(message)
        return found


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    path: Path
    data: tuple[DataSet, ...]
    methods: tuple[MethodEntry, ...]
    yardstick: str = "nlm"
    """Classical filter that runs on the same frames in the same process; times are multiples of its time."""
    timed: int = 5
    """Frames of each data set on which the yardstick runs beside a method."""
    folder_names: tuple[str, ...] = ()


def read_plan(path: Path, folders: Mapping[str, Path]) -> Plan:
    """Read a plan.

    Parameters
    ----------
    path
        YAML file with the keys ``data``, ``methods`` and, if they are not the defaults, ``yardstick`` and ``timed``.
    folders
        What the names under ``folder`` and the first part of ``model`` and ``run`` (``{name}/...``) stand for, so that
        a plan holds no path of one machine.

    Raises
    ------
    SettingsError
        If the file is no such plan, names something unknown, or a folder that is not given.
    """
    content = _mapping(path)
    unknown = sorted(content.keys() - {"data", "methods", "yardstick", "timed"})
    if unknown:
        message = f"The plan '{path}' has the unknown key '{unknown[0]}'; known are data, methods, yardstick, timed."
        raise SettingsError(message)
    data = tuple(_data_set(entry, folders) for entry in content.get("data") or ())
    methods = tuple(method for entry in content.get("methods") or () for method in _methods(entry, path, folders))
    for kind, names in (("data set", [d.name for d in data]), ("method", [m.name for m in methods])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            message = f"The plan '{path}' has {f'two {kind}s named {twice[0]!r}' if twice else f'no {kind}'}."
            raise SettingsError(message)
    return Plan(path, data, methods, str(content.get("yardstick", "nlm")), int(content.get("timed", 5)), tuple(folders))


def _data_set(entry: Mapping[str, Any], folders: Mapping[str, Path]) -> DataSet:
    values = dict(entry)
    kind = values.get("kind")
    if kind not in DATA_KINDS:
        message = f"The data set {values.get('name')!r} must be of the kind {', '.join(DATA_KINDS)}, but is '{kind}'."
        raise SettingsError(message)
    _known(values, {field.name for field in fields(DataSet)}, f"data set {values.get('name')!r}")
    values["folder"] = _folder(str(values.get("folder", kind)), folders)
    values["files"] = tuple(values.get("files", ()))
    if kind == "simulated":
        values.setdefault("pattern", f"{values['name']}/{values.get('split', 'test')}/*_speckled.png")
    if values.get("real_set"):
        list_frames(values["folder"], values["real_set"])  # refuses a set that it does not know
        known = set_named(values["real_set"])
        values.setdefault("source", f"{known.attribution}, {known.licence}")
        values.setdefault("description", f"{known.anatomy}, {known.device}. Subjects that no training saw.")
    return DataSet(**values)


def _methods(entry: Mapping[str, Any], plan: Path, folders: Mapping[str, Path]) -> Iterator[MethodEntry]:
    """Return the methods of one entry: one or, for ``tuned``, none if the file of tuned settings does not name it."""
    values = dict(entry)
    kinds = [kind for kind in KINDS if kind in values]
    if len(kinds) != 1 or "name" not in values:
        message = f"A method of '{plan}' needs a name and one of {', '.join(KINDS)}, but is {values}."
        raise SettingsError(message)
    values["kind"] = kinds[0]
    values["source"] = _with_folders(str(values.pop(kinds[0])), folders)
    tuned = values.pop("tuned", None)
    _known(values, {field.name for field in fields(MethodEntry)}, f"method {values['name']!r}")
    values["sets"] = tuple(values.get("sets", ()))
    if tuned is not None:
        settings = _tuned(plan.parent / _with_folders(str(tuned), folders))
        if values["source"] not in settings:
            return
        values["parameters"] = settings[values["source"]]
    yield MethodEntry(**values)


def _tuned(path: Path) -> dict[str, Any]:
    """Read settings by the name of the filter. The path of a plan starts at the plan's own folder."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        message = f"The tuned settings '{path}' cannot be read: {' '.join(str(error).split())}."
        raise SettingsError(message) from error


def _known(values: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(values.keys() - known)
    if unknown:
        message = f"The {what} has the unknown key '{unknown[0]}'; known are {', '.join(sorted(known))}."
        raise SettingsError(message)


def _folder(name: str, folders: Mapping[str, Path]) -> Path:
    if name not in folders:
        message = f"The plan needs the folder '{name}': give it as --folder {name}=PATH."
        raise SettingsError(message)
    return folders[name]


def _with_folders(text: str, folders: Mapping[str, Path]) -> str:
    if not text.startswith("{"):
        return text
    name, _, rest = text[1:].partition("}")
    return str(_folder(name, folders)) + rest


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        message = f"The plan '{path}' cannot be read: {' '.join(str(error).split())}."
        raise SettingsError(message) from error
    if not isinstance(content, dict):
        message = f"The plan '{path}' must hold keys and values."
        raise SettingsError(message)
    return content
