"""Write the simulated sets: all of them or no folder, on any number of processes, and again where it was stopped.

Scenes are written into an unfinished folder beside the wanted one, with a journal of finished scenes. Only when all are
there is the manifest written and the folder given its name. A run of the same plan goes on from the journal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.manifest import MANIFEST, SCHEMA, is_scene, manifest_of, read_manifest, sha256_of
from Training.datasets.scene_files import PART, SceneTask, replace_file

Progress = Callable[[int, int], None]
_PLAN, _JOURNAL = "plan.json", "journal.jsonl"


class Plan(Protocol):
    """What to write: scenes, how to write one, and what the manifest says about them."""

    def as_json(self) -> dict[str, Any]:
        """Return options that, when equal, give equal files."""

    def tasks(self) -> list[SceneTask]:
        """List the scenes in their order."""

    def write(self, task: SceneTask, folder: Path) -> dict[str, Any]:
        """Write one scene below a folder and return its entry of the manifest."""

    def about(self) -> dict[str, Any]:
        """Return further entries of the manifest."""


def write_folder(folder: Path, plan: Plan, workers: int = 1, progress: Progress | None = None) -> None:
    """Make ``folder`` with the scenes of ``plan``; does nothing if it is there already.

    Parameters
    ----------
    folder
        Must not exist, be empty, or be a finished folder of the same plan.
    plan
        What to make.
    workers
        Processes, 1 or more. The files do not depend on it.
    progress
        Called with the number of finished scenes and of all.

    Raises
    ------
    SettingsError
        If the folder holds something else, or the unfinished one beside it belongs to another plan.
    """
    if workers < 1:
        message = f"The number of workers must be 1 or more, but is {workers}."
        raise SettingsError(message)
    folder = folder.resolve()
    tasks, unfinished = plan.tasks(), unfinished_folder(folder)
    report = progress or (lambda _done, _total: None)
    if _is_finished(folder, plan):
        report(len(tasks), len(tasks))
        return
    if not (unfinished / MANIFEST).is_file() or not _is_finished(unfinished, plan):
        done = _begin(unfinished, plan)
        open_tasks = [task for task in tasks if _key_of(task) not in done]
        with (unfinished / _JOURNAL).open("a", encoding="utf-8") as journal:
            for entry in _entries(plan, open_tasks, unfinished, workers):
                journal.write(json.dumps(entry) + "\n")
                journal.flush()
                done[entry["set"], entry["split"], entry["number"]] = entry
                report(len(done), len(tasks))
        manifest = manifest_of(plan.as_json(), plan.about(), [done[_key_of(task)] for task in tasks])
        replace_file(unfinished / MANIFEST, json.dumps(manifest, indent=1).encode())
    _finish(unfinished, folder)


def unfinished_folder(folder: Path) -> Path:
    """Where the files lie until all are there."""
    return folder.with_name(f".{folder.name}.unfinished")


def _is_finished(folder: Path, plan: Plan) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not folder.is_dir() or not (folder / MANIFEST).is_file():
        message = f"'{folder}' holds something else: give a folder that is new or empty."
        raise SettingsError(message)
    if read_manifest(folder).get("plan") != plan.as_json():
        message = f"'{folder}' holds sets made with other options: give another folder or the options of its manifest."
        raise SettingsError(message)
    return True


def _finish(unfinished: Path, folder: Path) -> None:
    """Remove what only an unfinished folder holds, and give it its name."""
    for leftover in (unfinished / _JOURNAL, unfinished / _PLAN, *unfinished.rglob(f".*{PART}")):
        leftover.unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()  # it is empty, or this fails and nothing is lost
    unfinished.rename(folder)


def _begin(unfinished: Path, plan: Plan) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Set up the unfinished folder, or check that it is of the same plan; return the scenes that are done."""
    wanted = json.dumps({"schema": SCHEMA, "plan": plan.as_json()})
    unfinished.mkdir(parents=True, exist_ok=True)
    if not any(unfinished.iterdir()):
        replace_file(unfinished / _PLAN, wanted.encode())
    if not (unfinished / _PLAN).is_file() or (unfinished / _PLAN).read_text(encoding="utf-8") != wanted:
        message = f"'{unfinished}' was begun with other options: use those again, or delete it."
        raise SettingsError(message)
    journal = unfinished / _JOURNAL
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    entries = [entry for entry in map(_parsed, lines) if entry is not None and _is_whole(entry, unfinished)]
    replace_file(journal, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
    return {(entry["set"], entry["split"], entry["number"]): entry for entry in entries}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:  # the last line of a process that was killed
        return None
    return entry if is_scene(entry) else None


def _is_whole(entry: dict[str, Any], folder: Path) -> bool:
    files = entry["files"].values()
    return all((folder / f["path"]).is_file() and sha256_of(folder / f["path"]) == f["sha256"] for f in files)


def _key_of(task: SceneTask) -> tuple[str, str, int]:
    return task.set_name, task.split, task.number


def _entries(plan: Plan, tasks: list[SceneTask], folder: Path, workers: int) -> Iterator[dict[str, Any]]:
    if workers == 1 or len(tasks) < 2:
        yield from (plan.write(task, folder) for task in tasks)
        return
    with get_context("spawn").Pool(min(workers, len(tasks))) as pool:
        yield from pool.imap(partial(plan.write, folder=folder), tasks, chunksize=4)
