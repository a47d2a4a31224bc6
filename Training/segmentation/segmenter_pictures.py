"""Pictures that the carotid segmenter learns from: simulated carotids, and real ones in which the lumen was drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.frames import grey_frame, grey_range_of
from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.segmenter import grid_of
from Speckle2SelfLogic.working_grid import fit_grid
from Training.datasets.real import RealFrame
from Training.datasets.splits import split_frames
from Training.segmentation.carotid_scenes import KINDS, LUMEN, NO_VESSEL, simulated_carotid
from Training.segmentation.losses import NOT_LUMEN
from Training.segmentation.pictures import write_items, write_picture

REAL_SET = "cca_transverse_mindray"
SIDE_PX = 192
"""Rows and columns of the network's grid."""
SIMULATED_PX = 256
SIMULATED = 800
HELD_OUT = 100
NO_VESSELS = 40
REPEATS_OF_REAL = 6
"""How often each real training frame is in the list, so that about a third of a batch is real."""
_FIRST_HELD_OUT_SEED = 1_000_000


def prepare_pictures(data: Path, out: Path, seed: int = 20261, tell: Callable[[str], None] = lambda _: None) -> Path:
    """Write the pictures (what is there is kept) and return the list of them.

    Parameters
    ----------
    data
        Folder with the set `REAL_SET` of real frames and masks. Its subjects are split by
        `Training.datasets.splits.split_frames`; those of the validation and test are not among the pictures.
    """
    file = out / "pictures.json"
    kinds = [KINDS[number % len(KINDS)] for number in range(SIMULATED)] + [NO_VESSEL] * NO_VESSELS
    train = [_simulated(out, kind, seed + number) for number, kind in enumerate(kinds)]
    tell(f"{len(train)} simulated pictures")
    held_out = [
        _simulated(out, KINDS[number % len(KINDS)], seed + _FIRST_HELD_OUT_SEED + number) for number in range(HELD_OUT)
    ]
    real = [_real(out, frame) for frame in split_frames(data, REAL_SET)["train"]]
    tell(f"{len(real)} real pictures")
    write_items(file, {"train": [*train, *real * REPEATS_OF_REAL], "validate": held_out})
    return file


def mask_path_of(image: Path) -> Path:
    """Return where the mask of a real frame of the known sets lies: in ``masks`` beside ``images``."""
    return image.parent.parent / "masks" / image.name


def _simulated(out: Path, kind: str, seed: int) -> dict[str, str]:
    image, label = (out / "pictures" / f"{kind}-{seed}-{part}.png" for part in ("image", "label"))
    if not label.exists():
        made = simulated_carotid(kind, seed, SIMULATED_PX, "any" if seed % 2 else "clinical")
        grid = fit_grid(made.frame_yx.shape, SIDE_PX)
        write_picture(image, _grey_picture(grid.from_frames(made.frame_yx[None] / np.float32(255))[0]))
        write_picture(label, grid.labels_from_frame(made.labels_yx, 3))
    return {"image": str(image), "label": str(label)}


def _real(out: Path, frame: RealFrame) -> dict[str, str]:
    image, label = (out / "pictures" / f"{frame.path.stem}-{part}.png" for part in ("image", "label"))
    if not label.exists():
        source, mask = read_image(frame.path), read_image(mask_path_of(frame.path))
        grid = grid_of(source, SIDE_PX)
        grey = grid.from_frames(grey_frame(source.pixels, grey_range_of(source))[None])[0]
        drawn = grid.labels_from_frame(np.uint8(np.asarray(mask.pixels) > 0), 2)
        write_picture(image, _grey_picture(grey))
        write_picture(label, np.where(drawn == 1, LUMEN, NOT_LUMEN).astype(np.uint8))
    return {"image": str(image), "label": str(label)}


def _grey_picture(grey_yx: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(grey_yx, 0, 1) * 255 + 0.5, np.uint8)
