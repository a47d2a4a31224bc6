"""What a run folder says about the run: ``run.json`` with command, settings and versions."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from Speckle2SelfLogic import __version__

RECORD = "run.json"
_PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy")


def write_record(folder: str | Path, settings: Mapping[str, Any]) -> None:
    """Write command line, settings and versions into a run folder, in place of what an earlier process wrote."""
    path = Path(folder) / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    program = Path(sys.argv[0])
    name = f"python -m {program.parent.name}" if program.name == "__main__.py" else program.name
    command = [name.replace("python -m bundle", "python -m monai.bundle"), *sys.argv[1:]]
    versions = {"speckle2self": __version__} | {name: metadata.version(name) for name in _PACKAGES}
    content = {"command": " ".join(command), "settings": plain(settings), "versions": versions}
    draft = path.with_suffix(".partial")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def read_record(folder: str | Path) -> dict[str, Any]:
    """Return what `write_record` wrote; nothing if there is none or it is damaged."""
    try:
        content = json.loads((Path(folder) / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def described(thing: object) -> dict[str, Any]:
    """Return the class of an object and its plain public attributes, as a record of how it was set."""
    kinds = (int, float, str, bool, tuple, list)
    found: dict[str, Any] = {"class": type(thing).__name__}
    for name, value in vars(thing).items():
        if name.startswith("_") or name in {"training"}:
            continue
        if is_dataclass(value) and not isinstance(value, type):
            found[name] = asdict(value)
        elif isinstance(value, kinds):
            found[name] = value
    return found


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON has no type of its own
    """Return a value as JSON can hold it; anything else by its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
