"""Splits of real frames: no subject on both sides, the same on every machine; and the shift to an unseen device.

Subjects of a set are put into an order that depends on nothing but their names (SHA-256), so that another set or
further files of known subjects move nobody. A further subject of a set may move others of that set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.catalogue import SPLITS
from Training.datasets.real import RealFrame, list_frames, set_named

TEST_SHARE = 0.25
VALIDATION_SHARE = 0.15


def split_frames(folder: str | Path, sets: Sequence[str] | str | None = None) -> dict[str, list[RealFrame]]:
    """Split the frames below a data folder into train, validation and test, each set by its own subjects.

    Raises
    ------
    SettingsError
        As `list_frames`.
    """
    frames = list_frames(folder, sets)
    split_of: dict[str, str] = {}
    for name in dict.fromkeys(frame.set_name for frame in frames):
        subjects = {frame.subject for frame in frames if frame.set_name == name}
        split_of |= split_subjects(subjects, set_named(name).alone)
    return {split: [frame for frame in frames if split_of[frame.subject] == split] for split in SPLITS}


def split_subjects(subjects: set[str], alone: str = "train") -> dict[str, str]:
    """Give each subject of one set a split: a quarter to test, .15 to validation, at least one each if there are three.

    Of two subjects one is for training and one for test; a single one goes to ``alone``.
    """
    order = in_fixed_order(subjects)
    if len(order) == 1:
        return {order[0]: alone}
    test = max(1, round(TEST_SHARE * len(order)))
    validation = max(1, round(VALIDATION_SHARE * len(order))) if len(order) > 2 else 0
    return {
        subject: "test" if place < test else "validation" if place < test + validation else "train"
        for place, subject in enumerate(order)
    }


def in_fixed_order(names: set[str]) -> list[str]:
    """Order names by their SHA-256."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


@dataclass(frozen=True)
class DeviceShift:
    """Train without a device, test on it, fine-tune on a few of its frames.

    ``tuning`` are frames of the device whose subjects are not in ``test``, in the order in which they are used.
    """

    device: str
    train: list[RealFrame]
    validation: list[RealFrame]
    test: list[RealFrame]
    tuning: list[RealFrame]

    def few(self, count: int) -> list[RealFrame]:
        """Return ``count`` fine-tuning frames; the frames of a smaller count are among those of a larger one.

        Raises
        ------
        SettingsError
            If the device has not that many frames of subjects outside of the test.
        """
        if not 1 <= count <= len(self.tuning):
            message = f"{self.device} has 1 to {len(self.tuning)} frames to fine-tune on, but {count} were asked for."
            raise SettingsError(message)
        return self.tuning[:count]


def leave_out_device(folder: str | Path, device: str, sets: Sequence[str] | str | None = None) -> DeviceShift:
    """Split the frames below a data folder for the shift to ``device``, for example ``"GE Logiq E9"``.

    Half of the device's subjects (rounded down) are for fine-tuning, the others for the test; with one subject all its
    frames are for the test. Other devices are split as in `split_frames`.

    Raises
    ------
    SettingsError
        If no frame is of this device, or all are.
    """
    frames = list_frames(folder, sets)
    of_device = [frame for frame in frames if frame.device == device]
    others = split_frames(folder, sets)
    train, validation = ([frame for frame in others[split] if frame.device != device] for split in SPLITS[:2])
    if not of_device or not train:
        devices = ", ".join(sorted({frame.device for frame in frames}))
        message = f"Leaving out '{device}' leaves nothing to test or to train on; the devices are {devices}."
        raise SettingsError(message)
    order = in_fixed_order({frame.subject for frame in of_device})
    tuning_subjects = order[: len(order) // 2]
    test = [frame for frame in of_device if frame.subject not in tuning_subjects]
    return DeviceShift(device, train, validation, test, _in_turn(of_device, tuning_subjects))


def _in_turn(frames: list[RealFrame], subjects: list[str]) -> list[RealFrame]:
    """Frames of the subjects, one of each subject in turn, so that few frames show many subjects."""
    queues = [[frame for frame in frames if frame.subject == subject] for subject in subjects]
    longest = max(map(len, queues), default=0)
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]
