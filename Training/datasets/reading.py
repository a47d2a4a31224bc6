"""Lists of items for MONAI data sets: simulated scenes of a folder, and real frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.catalogue import SPLITS
from Training.datasets.manifest import read_manifest
from Training.datasets.published_frames import refuse_test_frames
from Training.datasets.splits import split_frames

__all__ = ["real_items", "simulated_items"]


def simulated_items(folder: str | Path, sets: Sequence[str] | str | None, split: str) -> list[dict[str, Any]]:
    """List the scenes of one split of a folder that ``python -m Training.datasets`` made.

    Parameters
    ----------
    folder
        The folder with the manifest.
    sets
        Names of sets, or one name; None for all that the folder holds.
    split
        ``"train"``, ``"validation"`` or ``"test"``.

    Returns
    -------
    list of dict
        ``speckled``, ``second``, ``truth``, ``clean`` (paths), ``set``, ``number``; in the order of ``sets``.

    Raises
    ------
    SettingsError
        If the folder is not finished, or has no scene of a set in this split.
    """
    check_split(split)
    scenes = read_manifest(Path(folder))["scenes"]
    present = list(dict.fromkeys(scene["set"] for scene in scenes))
    wanted = present if sets is None else [sets] if isinstance(sets, str) else list(sets)
    items = []
    for name in wanted:
        of_set = [scene for scene in scenes if scene["set"] == name and scene["split"] == split]
        if not of_set:
            message = (
                f"'{folder}' has no {split} scenes of set '{name}'; it has the sets {', '.join(present) or 'none'}."
            )
            raise SettingsError(message)
        for scene in of_set:
            paths = {kind: str(Path(folder) / file["path"]) for kind, file in scene["files"].items()}
            items.append({**paths, "set": name, "number": scene["number"]})
    return items


def real_items(folder: str | Path, split: str, sets: Sequence[str] | str | None = None) -> list[dict[str, Any]]:
    """List the real frames of one split below a data folder.

    Parameters
    ----------
    folder
        The data folder, one folder per set as in `Training.datasets.real.REAL_SETS`.
    split
        ``"train"``, ``"validation"`` or ``"test"``. Subjects do not cross splits.
    sets
        Names of sets, or one name; None for all that the folder holds.

    Returns
    -------
    list of dict
        ``speckled`` (path), ``set``, ``subject``, ``device``; sorted by path within each set.

    Raises
    ------
    SettingsError
        For an unknown set, a folder without any frame, or a published test frame among those to learn from.
    """
    check_split(split)
    frames = split_frames(folder, sets)[split]
    if split != "test":
        refuse_test_frames([frame.path for frame in frames])
    return [frame.as_item() for frame in frames]


def check_split(split: str) -> None:
    """Refuse an unknown split.

    Raises
    ------
    SettingsError
        If it is none of train, validation and test.
    """
    if split not in SPLITS:
        message = f"There is no split '{split}'; choose from {', '.join(SPLITS)}."
        raise SettingsError(message)
