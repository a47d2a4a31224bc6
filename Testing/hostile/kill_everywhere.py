"""Run a small archive and end the process before and after every step that it takes; print what is left then.

    python Testing/hostile/kill_everywhere.py FOLDER

Every run is a child of this process that ends itself like one that is killed: no cleaning up. After each, the archive
is run again to its end. Prints one line of JSON for each place of the end, and one for the undisturbed run.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from Speckle2SelfLogic import batch
from Speckle2SelfLogic.archive.inline_worker import InlineWorker
from Speckle2SelfLogic.archive.job import Job, Method
from Speckle2SelfLogic.archive.manifest import Manifest
from Speckle2SelfLogic.archive.run import MANIFEST_NAME, Archive, run_archive
from Speckle2SelfLogic.archive.store import Store
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import write_image

KILLED = 9
STRIDE = int(os.environ.get("SPECKLE2SELF_KILL_STRIDE", "2"))
"""Step 2 of a call is nearly step 1 of the next; 1 takes all of them, twice as long."""


class Steps:
    """Counts steps, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self.last, self.count = last, 0

    def step(self) -> None:
        """Go one step, or end here."""
        self.count += 1
        if self.count == self.last:
            os._exit(KILLED)

    def around(self, owner: Any, name: str) -> None:
        """Make a step before and after each call of a function."""
        original: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(original)
        def stepping(*arguments: object, **options: object) -> object:
            self.step()
            answer = original(*arguments, **options)
            self.step()
            return answer

        setattr(owner, name, stepping)


def run(folder: Path, last: int) -> None:
    """Run the archive in this process, which ends at a step."""
    steps, done = Steps(last), []

    class Noting(InlineWorker):
        def submit(self, job: Job) -> None:
            done.append(job.name)
            super().submit(job)

    steps.around(Manifest, "record")
    for name in ("rename", "remove_folder", "checksum"):
        steps.around(Store, name)
    steps.around(batch, "write_image")
    method = Method("median")
    rows = list(run_archive(Archive(str(folder / "in"), str(folder / "out"), method), lambda _: Noting(method)))
    report = {"steps": steps.count, "done": done, "states": [row.status for row in rows]}
    (folder / "report.json").write_text(json.dumps(report))


def in_a_child(folder: Path, last: int) -> dict[str, Any]:
    """Run in a child process; returns what it reports, or that it was killed."""
    (folder / "report.json").unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            run(folder, last)
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    report = folder / "report.json"
    return {"status": status, **(json.loads(report.read_text()) if report.exists() else {})}


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of what is visible below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and MANIFEST_NAME not in path.name
    }


def main() -> None:
    """Run undisturbed, then with an end at every step."""
    folder = Path(sys.argv[1])
    (folder / "in").mkdir(parents=True)
    for number, suffix in enumerate((".mhd", ".nrrd")):
        frame = np.random.default_rng(number).integers(0, 255, (12, 14)).astype(np.uint8)
        write_image(UltrasoundImage(frame), folder / "in" / f"a{number}{suffix}")
    Method("median").load()
    inputs = checksums(folder / "in")
    undisturbed = in_a_child(folder, 0)
    expected = checksums(folder / "out")
    print(json.dumps({"undisturbed": undisturbed, "expected": expected}))  # noqa: T201
    for last in range(1, undisturbed["steps"] + 1, STRIDE):
        shutil.rmtree(folder / "out")
        first = in_a_child(folder, last)
        left = checksums(folder / "out") if (folder / "out").exists() else {}
        second = in_a_child(folder, 0)
        hidden = [path.name for path in (folder / "out").rglob(".speckle2self-batch-*")]
        result = {
            "killed_at": last,
            "first": first["status"],
            "left": left,
            "again": second,
            "outputs": checksums(folder / "out") == expected,
            "inputs": checksums(folder / "in") == inputs,
            "hidden": hidden,
        }
        print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()
