"""What a folder of simulated sets shall hold; the same plan gives the same files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.catalogue import SETS, SPLITS
from Training.datasets.scene_files import SceneTask, write_scene

_SIZES_PX = (32, 2048)


@dataclass(frozen=True)
class FolderPlan:
    """Sets of `Training.datasets.catalogue`, scenes of each per split, size and seed.

    Raises
    ------
    SettingsError
        For an unknown or repeated set, a size or a count out of range.
    """

    sets: tuple[str, ...]
    train: int = 240
    validation: int = 12
    test: int = 24
    size_px: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.sets if name not in SETS]
        if unknown or not self.sets:
            message = f"There is no set '{', '.join(unknown)}'; choose from {', '.join(SETS)}."
            raise SettingsError(message)
        if len(set(self.sets)) < len(self.sets):
            message = f"Name each set once, not {', '.join(self.sets)}."
            raise SettingsError(message)
        if not _SIZES_PX[0] <= self.size_px <= _SIZES_PX[1]:
            message = f"The size must be {_SIZES_PX[0]} to {_SIZES_PX[1]} pixels, but is {self.size_px}."
            raise SettingsError(message)
        if min(self.train, self.validation, self.test, self.seed) < 0:
            message = "Counts of scenes and the seed must be 0 or more."
            raise SettingsError(message)

    def counts(self) -> dict[str, int]:
        """Scenes per set of each split."""
        return dict(zip(SPLITS, (self.train, self.validation, self.test), strict=True))

    def as_json(self) -> dict[str, Any]:
        """Return the plan as the manifest holds it."""
        return {**asdict(self), "sets": list(self.sets)}

    def tasks(self) -> list[SceneTask]:
        """List all scenes in their order."""
        return [
            SceneTask(name, split, number, self.seed, self.size_px)
            for name in self.sets
            for split, count in self.counts().items()
            for number in range(count)
        ]

    def write(self, task: SceneTask, folder: Path) -> dict[str, Any]:
        """Write one scene and return its entry of the manifest."""
        return write_scene(task, folder)

    def about(self) -> dict[str, Any]:
        """Describe the sets for the manifest."""
        return {
            "sets": {
                name: {"description": SETS[name].description, "scanner_ranges": asdict(SETS[name].scanners)}
                for name in self.sets
            }
        }
