"""The manifest of a simulated folder: what was made, from which seed, with which checksums; and its check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError

SCHEMA = 1
MANIFEST = "manifest.json"


def manifest_of(plan: Mapping[str, Any], about: Mapping[str, Any], scenes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest of a finished folder: schema, plan, what the sets are, versions of libraries, scenes."""
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "pillow")}
    files = "speckled and second: 8 bit grey; truth (expectation) and clean (without artefacts): 16 bit grey"
    head = {"schema": SCHEMA, "plan": dict(plan), "made_by": "python -m Training.datasets", "versions": versions}
    return {**head, "files": files, **about, "scenes": scenes}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the form of the manifest of a folder.

    Raises
    ------
    SettingsError
        If the folder has none, or one of another schema or form.
    """
    path = folder / MANIFEST
    if not path.is_file():
        message = f"'{folder}' has no {MANIFEST}: it is not a finished folder of 'python -m Training.datasets'."
        raise SettingsError(message)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        schema, scenes = manifest["schema"], manifest["scenes"]
        complete = isinstance(scenes, list) and all(is_scene(scene) for scene in scenes)
    except (ValueError, KeyError, TypeError):
        complete, schema = False, None
    if schema is not None and schema != SCHEMA:
        message = f"'{path}' has schema {schema}, but this version reads schema {SCHEMA}; make the folder again."
        raise SettingsError(message)
    if not complete:
        message = f"'{path}' is damaged; make the folder again."
        raise SettingsError(message)
    return dict(manifest)


def is_scene(entry: object) -> bool:
    """Whether an entry names its set, split, number and files with checksums."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("files"), Mapping):
        return False
    named = all(key in entry for key in ("set", "split", "number", "seed", "scanner"))
    return named and all({"path", "sha256"} <= set(file) for file in entry["files"].values())


def problems_of(folder: Path) -> Iterator[str]:
    """Compare a folder with its manifest; one sentence for each file that is missing, changed or not listed."""
    listed = {MANIFEST}
    for scene in read_manifest(folder)["scenes"]:
        for file in scene["files"].values():
            listed.add(file["path"])
            path = folder / file["path"]
            if not path.is_file():
                yield f"{file['path']} is missing."
            elif sha256_of(path) != file["sha256"]:
                yield f"{file['path']} is not the file that was made: its checksum differs."
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in listed:
            yield f"{name} is not in the manifest."


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
