"""The frames of a data set: image, labels, person, and whether a pixel has a known size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.frames import frames_view
from Speckle2SelfLogic.image import Calibration, UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Training.segmentation.carotid_scenes import KINDS, simulated_carotid
from Training.segmentation.layouts import find_pairs
from Training.segmentation.masks import read_masks
from Training.segmentation.plan import DataPlan, Simulated
from Training.segmentation.subjects import at_most, subject_of

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MaskedFrame:
    """One frame of one file, and where its labels are."""

    name: str
    """File and, in a cine or volume, number of the frame; unique in its set."""
    image: Path
    mask: Path
    number: int
    frames: int
    subject: str
    plan: DataPlan

    @property
    def key(self) -> str:
        """Name that is unique over all sets of a plan."""
        return f"{self.plan.name}/{self.name}"

    def labels(self) -> Labels:
        """Return the labels (Y, X), 1, 2, ... in the order of the plan.

        Raises
        ------
        SettingsError
            If image and mask differ in size.
        """
        labels: Labels = _masks(self.mask, tuple(self.plan.labels.items()), self.frames)[self.number]
        return labels

    def spacing_mm_yx(self) -> tuple[float, float] | None:
        """Return height and width of a pixel in mm, or None where nobody knows them."""
        if self.plan.spacing_mm is not None:
            return self.plan.spacing_mm
        image = read(self.image)
        return (image.spacing_mm[1], image.spacing_mm[0]) if image.calibration.is_calibrated else None


def list_frames(plan: DataPlan, work: Path) -> list[MaskedFrame]:
    """List the frames of a data set; simulated ones are made below ``work`` if they are not there yet.

    Raises
    ------
    SettingsError
        As `find_pairs` and `subject_of`.
    """
    if plan.simulated is not None:
        folder = work / "simulated" / plan.name
        _simulate(plan.simulated, folder)
        pairs = [(path, folder / "masks" / path.name) for path in sorted((folder / "images").glob("*.nrrd"))]
    else:
        pairs = find_pairs(plan)
    frames = [frame for pair in pairs for frame in _frames_of(*pair, plan)]
    return at_most(frames, plan.frames_per_subject)


@lru_cache(maxsize=4)
def read(path: Path) -> UltrasoundImage:
    """Read an image; the last few stay in memory."""
    return read_image(path)


def _frames_of(image: Path, mask: Path, plan: DataPlan) -> Iterator[MaskedFrame]:
    count = len(frames_view(read(image)))
    subject = f"{plan.name}/{subject_of(image, plan.subject, plan.name)}"
    for number in range(count):
        name = image.name if count == 1 else f"{image.name}#{number}"
        yield MaskedFrame(name, image, mask, number, count, subject, plan)


@lru_cache(maxsize=4)
def _masks(path: Path, labels: tuple[tuple[str, tuple[int, ...]], ...], frames: int) -> Labels:
    return read_masks(path, dict(labels), frames)


def check_sizes(frames: list[MaskedFrame]) -> None:
    """Check that each mask has the size of its image.

    Raises
    ------
    SettingsError
        If one has not; the message names it.
    """
    for frame in frames:
        height, width = frames_view(read(frame.image)).shape[1:3]
        shape = frame.labels().shape
        if shape != (height, width):
            message = f"The mask of '{frame.name}' has {shape[0]} x {shape[1]} pixels, its image {height} x {width}."
            raise SettingsError(message)


def _simulate(simulated: Simulated, folder: Path) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for subject in range(simulated.subjects):
        for place, kind in enumerate(KINDS):
            path = folder / "images" / f"{subject:03d}_{kind}-{simulated.size_px}-{simulated.seed}.nrrd"
            mask = folder / "masks" / path.name
            if mask.exists():
                continue
            seed = 1000 * simulated.seed + len(KINDS) * subject + place
            made = simulated_carotid(kind, seed, simulated.size_px)
            spacing = (made.spacing_mm, made.spacing_mm)
            known = Calibration(is_calibrated=True, reason="simulated")
            write_image(UltrasoundImage(made.frame_yx, "YX", spacing, calibration=known), path)
            write_image(UltrasoundImage(made.labels_yx, "YX", spacing, calibration=known), mask)
