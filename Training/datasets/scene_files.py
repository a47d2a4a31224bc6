"""One simulated scene from its seed, and its PNG files."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from Speckle2SelfLogic.simulation.formation import ImagingSettings
from Training.datasets.catalogue import SETS, SPLITS
from Training.datasets.realisations import Realisations, SideLobes, form_realisations

KINDS = ("speckled", "second", "truth", "clean")
PART = ".part"
"""End of the name of a file that is not yet whole."""


@dataclass(frozen=True)
class SceneTask:
    """Which scene: ``number`` counts from 0 within its set and split; ``seed`` is that of the whole folder."""

    set_name: str
    split: str
    number: int
    seed: int
    size_px: int

    def path(self, kind: str) -> str:
        """Path below the folder, with forward slashes."""
        return f"{self.set_name}/{self.split}/{self.number:04d}_{kind}.png"

    def sequence(self) -> np.random.SeedSequence:
        """Seed of this scene alone: it does not depend on other sets, on counts or on the order of work."""
        name = zlib.crc32(self.set_name.encode())
        return np.random.SeedSequence((self.seed, name, SPLITS.index(self.split), self.number))


@dataclass(frozen=True)
class SimulatedScene:
    """Frames of a scene and the scanner that saw it."""

    frames: Realisations
    settings: ImagingSettings
    side_lobes: SideLobes


def simulate_scene(task: SceneTask, realisations: int = 2) -> SimulatedScene:
    """Draw scene and scanner and form ``realisations`` speckled frames that share nothing but those."""
    recipe = SETS[task.set_name]
    scene_seed, scanner_seed, *speckle_seeds = task.sequence().spawn(2 + realisations)
    scene_rng = np.random.default_rng(scene_seed)
    scene = recipe.scene((task.size_px, task.size_px), scene_rng)
    unshadowed = copy.deepcopy(scene)
    if recipe.shadows is not None:
        recipe.shadows(scene, scene_rng)
    settings, side_lobes = recipe.scanners.draw(np.random.default_rng(scanner_seed), task.size_px)
    rngs = tuple(np.random.default_rng(seed) for seed in speckle_seeds)
    frames = form_realisations(scene, unshadowed, settings, side_lobes, scene_rng, rngs)
    return SimulatedScene(frames, settings, side_lobes)


def write_scene(task: SceneTask, folder: Path) -> dict[str, Any]:
    """Write the files of one scene below ``folder`` and return its entry of the manifest."""
    made = simulate_scene(task)
    scanner = {"scanner": asdict(made.settings), "side_lobes": asdict(made.side_lobes)}
    return write_frames(task, folder, made.frames, scanner)


def write_frames(task: SceneTask, folder: Path, frames: Realisations, scanner: dict[str, Any]) -> dict[str, Any]:
    """Write two realisations, truth and clean frame of a scene; return its entry, with ``scanner`` in it."""
    files = {}
    for kind, frame_yx in zip(KINDS, (*frames.speckled, frames.truth, frames.clean), strict=True):
        content = png_bytes(grey_8bit(frame_yx) if kind in ("speckled", "second") else grey_16bit(frame_yx))
        replace_file(folder / task.path(kind), content)
        files[kind] = {"path": task.path(kind), "sha256": hashlib.sha256(content).hexdigest()}
    return {
        "set": task.set_name,
        "split": task.split,
        "number": task.number,
        "seed": [int(word) for word in task.sequence().generate_state(4)],
        **scanner,
        "files": files,
    }


def grey_8bit(frame_yx: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Grey 0..1 as 0..255, rounded."""
    return np.asarray(np.clip(frame_yx, 0, 1) * 255 + 0.5, np.uint8)


def grey_16bit(frame_yx: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    """Grey 0..1 as 0..65535, rounded."""
    return np.asarray(np.clip(frame_yx, 0, 1).astype(np.float64) * 65535 + 0.5, np.uint16)


def png_bytes(pixels_yx: npt.NDArray[np.unsignedinteger]) -> bytes:
    """PNG of an 8 or 16 bit grey frame, without time or other metadata."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_yx).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that it is there completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
