"""Who is where when a device is left out: frames to train on, to fine-tune on and to test on, nobody on both sides."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.published_frames import refuse_test_frames
from Training.datasets.real import RealFrame
from Training.datasets.splits import DeviceShift, leave_out_device


@dataclass(frozen=True)
class Shift:
    """A device that is left out.

    ``counts`` are the numbers of frames to fine-tune on: those asked for as far as the device has so many, otherwise
    all that it has. ``test`` are at most so many frames as the plan says, spread over all of the split.
    """

    device: str
    split: DeviceShift
    counts: tuple[int, ...]
    test: tuple[RealFrame, ...]
    said: str
    """One sentence about what is missing, or nothing."""


def shift_of(
    folder: Path, device: str, counts: Sequence[int], most_test_frames: int, sets: Sequence[str] | None = None
) -> Shift:
    """Leave out a device.

    Raises
    ------
    SettingsError
        If the folder has no frame of it or none of others, or somebody would be trained and tested on.
    """
    split = leave_out_device(folder, device, sets)
    has = len(split.tuning)
    possible = tuple(sorted({min(count, has) for count in counts})) if has else ()
    said = ""
    if not has:
        said = f"{device} has frames of one subject only, so nothing is left to fine-tune on: zero-shot alone."
    elif has < max(counts):
        said = f"{device} has {has} frames to fine-tune on, so {has} stands in place of {max(counts)}."
    step = max(1, -(-len(split.test) // most_test_frames))
    shift = Shift(device, split, possible, tuple(split.test[::step]), said)
    check_apart(shift)
    return shift


def check_apart(shift: Shift) -> None:
    """Check that no subject of the test is among those to learn from.

    Raises
    ------
    SettingsError
        If one is, or a frame to learn from is a published test frame.
    """
    learnt = [*shift.split.train, *shift.split.tuning]
    tested = {frame.subject for frame in shift.test}
    if both := sorted(tested & {frame.subject for frame in learnt}):
        message = f"'{both[0]}' would be learnt from and tested on when {shift.device} is left out."
        raise SettingsError(message)
    if any(frame.device == shift.device for frame in shift.split.train):
        message = f"Frames of {shift.device} would be trained on while it is left out."
        raise SettingsError(message)
    refuse_test_frames([frame.path for frame in learnt])


def recipe_sets(frames: Sequence[RealFrame], folder: Path) -> list[dict[str, Any]]:
    """Return frames as `Training.real_frames.load_frames` takes them: every set as often as every other."""
    names = dict.fromkeys(frame.set_name for frame in frames)
    return [
        {"files": [frame.path.relative_to(folder).as_posix() for frame in frames if frame.set_name == name]}
        for name in names
    ]


def copied(frames: Sequence[RealFrame], folder: Path) -> Path:
    """Copy frames into a folder of their own, as a user would have them; nothing else stays in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        shutil.copyfile(frame.path, folder / f"{number:02d}_{frame.path.name}")
    return folder
