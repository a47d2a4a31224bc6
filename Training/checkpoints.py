"""Checkpoints of a run: the newest whole one, how far it got, and which older ones may go.

A checkpoint holds ``network``, ``average``, ``optimizer``, ``lr_scheduler``, ``early_stop`` and ``trainer``. Files are
read without running code.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from Speckle2SelfLogic.errors import SettingsError


def latest_checkpoint(folder: str | Path) -> str:
    """Return the newest whole checkpoint of a run, or ``""``; one that was cut off in writing is passed over."""
    return next((str(path) for path in _newest_first(folder) if zipfile.is_zipfile(path)), "")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU.

    Raises
    ------
    SettingsError
        If the file is no checkpoint.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if "average" in content and "trainer" in content:
            return dict(content)
        problem = "it lacks the average of the weights or the state of the trainer"
    except Exception as error:
        problem = type(error).__name__
    message = f"'{path}' is not a checkpoint of a training ({problem})."
    raise SettingsError(message)


def steps_done(path: str | Path) -> int:
    """Return how many steps the run had made when a checkpoint was written; 0 without one (``""``)."""
    return int(read_checkpoint(path)["trainer"]["iteration"]) if path else 0


def epochs_done(path: str | Path) -> int:
    """Return how many whole epochs the run had made when a checkpoint was written; 0 without one (``""``)."""
    if not path:
        return 0
    trainer = read_checkpoint(path)["trainer"]
    return int(trainer["iteration"]) // int(trainer["epoch_length"])


def keep_newest(folder: str | Path, count: int) -> None:
    """Remove all but the newest whole checkpoints: an earlier process of the same run does not know of later ones."""
    whole = [path for path in _newest_first(folder) if zipfile.is_zipfile(path)]
    for path in whole[count:]:
        path.unlink(missing_ok=True)


def _newest_first(folder: str | Path) -> list[Path]:
    return sorted(Path(folder).glob("*.pt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
