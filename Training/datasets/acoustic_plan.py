"""A folder of scenes formed by the acoustic simulator: disc scenes, cysts and carotids, for the test only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.simulation.formation import Compression
from Training.datasets.acoustic import AcousticScanner, compounded_frame, mean_power, scattered_power
from Training.datasets.catalogue import SETS
from Training.datasets.realisations import Realisations, clean_grey, expected_grey_frame
from Training.datasets.scene_files import SceneTask, write_frames

SCENES_OF: Mapping[str, str] = MappingProxyType(
    {"acoustic-shapes": "S-II", "acoustic-cysts": "cysts", "acoustic-carotid": "carotid"}
)
"""Set of the acoustic folder, and the set whose scenes it draws (others than that set's own: the seeds differ)."""
FREQUENCIES_MHZ = (5.0, 6.5)


@dataclass(frozen=True)
class AcousticPlan:
    """``scenes`` in all, in turn of each set, from ``seed``.

    Raises
    ------
    SettingsError
        If a number is out of range.
    """

    scenes: int = 12
    seed: int = 0
    size_px: int = 256

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.seed < 0 or not 64 <= self.size_px <= 512:
            message = "The acoustic set needs 1 scene or more, a seed of 0 or more and 64 to 512 pixels."
            raise SettingsError(message)

    def as_json(self) -> dict[str, Any]:
        """Return the plan as the manifest holds it."""
        return {"acoustic": asdict(self)}

    def tasks(self) -> list[SceneTask]:
        """List the scenes set by set."""
        names = tuple(SCENES_OF)
        return [
            SceneTask(name, "test", number, self.seed, self.size_px)
            for place, name in enumerate(names)
            for number in range((self.scenes - place + len(names) - 1) // len(names))
        ]

    def write(self, task: SceneTask, folder: Path) -> dict[str, Any]:
        """Write one scene and return its entry of the manifest."""
        scanner, compression, frames = simulate_acoustic(task)
        return write_frames(task, folder, frames, {"scanner": asdict(scanner), "compression": asdict(compression)})

    def about(self) -> dict[str, Any]:
        """Describe the sets and the simulator for the manifest."""
        from importlib import metadata

        sets = {name: {"description": f"Scenes as of {SCENES_OF[name]}, formed by PyMUST."} for name in SCENES_OF}
        return {"sets": sets, "simulator": f"PyMUST {metadata.version('pymust')}"}


def simulate_acoustic(task: SceneTask, realisations: int = 2) -> tuple[AcousticScanner, Compression, Realisations]:
    """Draw a scene, an array and a compression, and form frames with scatterers of their own."""
    scene_seed, scanner_seed, *speckle_seeds = task.sequence().spawn(2 + realisations)
    scene = SETS[SCENES_OF[task.set_name]].scene((task.size_px, task.size_px), np.random.default_rng(scene_seed))
    scanner_rng = np.random.default_rng(scanner_seed)
    scanner = AcousticScanner(frequency_mhz=float(scanner_rng.choice(FREQUENCIES_MHZ)), size_px=task.size_px)
    compression = Compression(
        dynamic_range_db=float(scanner_rng.uniform(50, 65)), peak_grey=float(scanner_rng.uniform(0.55, 0.75))
    )
    power = scattered_power(scene, scanner)
    expected = mean_power(power, scanner)
    reference = float(np.quantile(expected, 0.97))
    curve = compression.curve()
    speckled = []
    for seed in speckle_seeds:
        intensity = np.abs(compounded_frame(power, scanner, np.random.default_rng(seed))) ** 2 / reference
        speckled.append(np.clip(curve(intensity), 0, 1).astype(np.float32))
    truth = expected_grey_frame(expected, np.zeros_like(expected), reference, compression)
    gain = float(np.quantile(10 ** (scene.echogenicity_db / 10), 0.97))
    return scanner, compression, Realisations(tuple(speckled), truth, clean_grey(scene, compression, gain))
