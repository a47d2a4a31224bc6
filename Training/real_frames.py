"""Real frames for self-supervision, and smoothed ones that lend simulated scenes their anatomy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.simulation.scene import Rng
from Speckle2SelfLogic.simulation.shapes import Float32, blur
from Training.datasets.splits import split_frames

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RealFrames:
    """Grey frames (Y, X), 8 bit, and how often each is drawn."""

    frames: tuple[UInt8, ...] = ()
    chances: tuple[float, ...] = ()

    def draw(self, rng: Rng) -> UInt8:
        """Return one frame."""
        return self.frames[int(rng.choice(len(self.frames), p=self.chances))]


def load_frames(folder: str | Path | None, sets: Sequence[Mapping[str, Any]]) -> RealFrames:
    """Read the frames that the recipe names below ``folder``.

    Parameters
    ----------
    folder
        Where the glob patterns start.
    sets
        One mapping for each origin: ``set`` (a name of `Training.datasets.real.REAL_SETS`, of which the training
        subjects are taken), ``pattern``, or ``files`` (a list of paths), and ``share`` (how often it is drawn, relative
        to the others; 1 if none).

    Raises
    ------
    SettingsError
        If a set of the recipe has no file in the folder, or a listed file is missing.
    """
    frames: list[UInt8] = []
    chances: list[float] = []
    for entry in sets:
        name = str(entry.get("set", entry.get("pattern", entry.get("files"))))
        paths = _paths(folder, entry) if folder else []
        if not paths:
            message = f"The recipe names real frames '{name}', but '{folder}' has none: give a data folder."
            raise SettingsError(message)
        frames += [np.asarray(Image.open(path).convert("L")) for path in paths]
        chances += [float(entry.get("share", 1.0)) / len(paths)] * len(paths)
    return RealFrames(tuple(frames), tuple(chance / sum(chances) for chance in chances))


def _paths(folder: str | Path, entry: Mapping[str, Any]) -> list[Path]:
    if "set" in entry:
        return [frame.path for frame in split_frames(folder, str(entry["set"]))["train"]]
    if "files" in entry:
        paths = [Path(folder) / str(name) for name in entry["files"]]
        if missing := [path for path in paths if not path.is_file()]:
            message = f"The recipe names the real frame '{missing[0]}', which is not there."
            raise SettingsError(message)
        return paths
    return sorted(Path(folder).glob(str(entry["pattern"])))


def anatomy_maps(frames: tuple[UInt8, ...], longest_px: int = 300) -> tuple[Float32, ...]:
    """Scale frames down and smooth away speckle with total variation, to use as echogenicity (grey 0..1)."""
    from skimage.restoration import denoise_tv_chambolle

    maps = []
    for frame in frames:
        scale = min(1.0, longest_px / max(frame.shape))
        size = (max(8, int(frame.shape[1] * scale)), max(8, int(frame.shape[0] * scale)))
        grey = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX), np.float32) / 255
        maps.append(blur(denoise_tv_chambolle(grey, weight=0.2, max_num_iter=60), 0.8))
    return tuple(maps)


def random_real_batch(rng: Rng, real: RealFrames, count: int, crop_px: int) -> Float32:
    """Crops (count, 1, crop, crop) of random frames at random scale, grey 0..1; nearly black ones are drawn again."""
    crops: list[Float32] = []
    while len(crops) < count:
        frame = real.draw(rng)
        zoom = max(float(np.exp(rng.uniform(np.log(0.5), np.log(1.2)))), (crop_px + 1) / min(frame.shape))
        window = int(np.ceil(crop_px / zoom))
        stretch = min(int(window * float(np.exp(0.1 * rng.normal()))), frame.shape[1])
        top = int(rng.integers(0, frame.shape[0] - window + 1))
        left = int(rng.integers(0, frame.shape[1] - stretch + 1))
        box = (left, top, left + stretch, top + window)
        resample = Image.Resampling.BOX if zoom < 1 else Image.Resampling.BILINEAR
        crop = np.asarray(Image.fromarray(frame).resize((crop_px, crop_px), resample, box), np.float32) / 255
        if crop.mean() < 0.04:
            continue
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.ascontiguousarray(np.stack(crops)[:, None])
