"""The real frames that detail is measured on, what a pixel of each is in millimetres, and how a method answers them.

Where the depth of a frame was not recorded it is assumed, and the assumption is written beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from Speckle2SelfLogic.denoiser import Denoiser, ImageContext
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.runtime import FrameDespeckler

Grey = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Top, bottom, left and right of a crop in pixels."""


@dataclass(frozen=True)
class FrameSource:
    """Where a frame is, what is cropped from it, and its scale."""

    name: str
    path: str
    """Below the data folder, or below the folder of published frames if ``is_published``."""
    mm_per_px: float
    scale_is: str
    box: Box | None = None
    number: int = 0
    is_published: bool = False


INSERTION_SOURCES = (
    FrameSource("published 01", "Input_01.gif", 40 / 256, "assumed: 40 mm deep", None, 0, True),
    FrameSource("published 06", "Input_06.gif", 40 / 256, "assumed: 40 mm deep", None, 1, True),
    FrameSource(
        "carotid, Clarius",
        "carotid_clarius_raw/carotid_env_isotropic_0.1mm.png",
        0.1,
        "known in depth, inferred across",
    ),
    FrameSource(
        "carotid, Mindray",
        "cca_transverse_mindray/images/subjB_acq029_slice4843.png",
        40 / 749,
        "assumed: 40 mm deep",
        (160, 416, 60, 316),
    ),
    FrameSource(
        "nerve, Mindray",
        "vessel_nerve_mindray_te7/images/0189.png",
        40 / 512,
        "assumed: 40 mm deep",
        (120, 376, 100, 356),
    ),
    FrameSource(
        "muscle, GE", "muscle_ge_logiq_e9/S8_L20_step_025.png", 50 / 458, "assumed: 50 mm deep", (80, 336, 120, 376)
    ),
    FrameSource("fetal, Voluson", "fetal_head_hc18/images/017_HC.png", 0.12, "assumed: 0.12 mm", (150, 406, 40, 296)),
)
"""Vessels of the published frames come out 7 mm wide and those of Mindray 6 to 8 mm with these scales, as a common
carotid artery is."""


@dataclass(frozen=True)
class DetailFrame:
    """A real frame (Y, X), grey 0..1, with its scale and the context that all of its variants are answered in."""

    name: str
    grey_yx: Grey
    mm_per_px: float
    context: ImageContext

    @classmethod
    def of(cls, name: str, grey_yx: Grey, mm_per_px: float) -> DetailFrame:
        """Find the context once."""
        return cls(name, grey_yx, mm_per_px, Denoiser(_Nobody()).context_of(UltrasoundImage(grey_yx)))

    def answers(self, method: FrameDespeckler, grey_nyx: Grey) -> Grey:
        """Despeckle variants (N, Y, X) of this frame as the product does, in the sector of the frame itself."""
        image = UltrasoundImage(np.asarray(grey_nyx, np.float32), axes="TYX")
        return np.asarray(Denoiser(method).run(image, context=self.context).image.pixels, np.float32)


def answer(method: FrameDespeckler, grey: Grey) -> Grey:
    """Despeckle a frame (Y, X) or cine (T, Y, X), grey 0..1, as the product does."""
    image = UltrasoundImage(np.asarray(grey, np.float32), axes="TYX" if grey.ndim == 3 else "YX")
    return np.asarray(Denoiser(method).run(image).image.pixels, np.float32)


def read_grey(path: Path, number: int = 0) -> Grey:
    """Return a picture, or one frame of an animation, as grey 0..1."""
    with Image.open(path) as picture:
        frame = picture if number == 0 else list(ImageSequence.Iterator(picture))[number]
        return np.asarray(frame.convert("L"), np.float32) / 255


def read_animation(path: Path) -> list[Grey]:
    """Return the frames of an animation as grey 0..1."""
    with Image.open(path) as picture:
        return [np.asarray(frame.convert("L"), np.float32) / 255 for frame in ImageSequence.Iterator(picture)]


def load_frames(sources: tuple[FrameSource, ...], data: Path | None, published: Path | None) -> list[DetailFrame]:
    """Read those of the sources that exist. Of a pattern, the first file."""
    frames = []
    for source in sources:
        folder = published if source.is_published else data
        paths = sorted(folder.glob(source.path)) if folder is not None else []
        if paths:
            grey = read_grey(paths[0], source.number)
            if source.box is not None:
                top, bottom, left, right = source.box
                grey = np.ascontiguousarray(grey[top:bottom, left:right])
            frames.append(DetailFrame.of(source.name, grey, source.mm_per_px))
    return frames


class _Nobody:
    """Stands where only the context of an image is wanted."""

    name = title = citation = ""

    def despeckle(self, frames_nyx: Grey) -> Grey:
        """Return the frames as they are."""
        return frames_nyx
