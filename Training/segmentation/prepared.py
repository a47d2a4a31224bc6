"""Images as each method prepares them, kept on disk by what they were made of, and pictures for the network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.comparison import single_frame
from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.filters import FILTERS
from Speckle2SelfLogic.frames import grey_frame, grey_range_of
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.methods import identify_method, load_method
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.segmenter import grid_of
from Speckle2SelfLogic.working_grid import WorkingGrid
from Training.segmentation.frames import MaskedFrame, read
from Training.segmentation.pictures import write_picture
from Training.segmentation.plan import ORIGINAL, MethodPlan
from Training.segmentation.transforms import read_picture

Float32 = npt.NDArray[np.float32]


@dataclass
class Preparer:
    """Prepare frames by one method for a network of ``side_px``; what is there already is read.

    A file is named by the SHA-256 of the frame's pixels and geometry, of the method (name and parameters, or checksum
    of its weights), and of the grid, so that it is made anew when any of them changes and shared when none does.
    """

    method: MethodPlan
    side_px: int
    folder: Path
    device: str = "cpu"
    _loaded: list[FrameDespeckler] = field(default_factory=list, repr=False)
    _pictures: dict[str, Path] = field(default_factory=dict, repr=False)

    def checksum(self) -> str:
        """Return what identifies the method.

        Raises
        ------
        SettingsError, WeightsError
            If there is no such method.
        """
        if self.method.name == ORIGINAL and not self.method.model:
            return ORIGINAL
        name, sha256 = identify_method(self.method.model)
        if sha256:
            return f"{sha256} {__version__}"
        chosen = FILTERS[name]
        packages = {package: metadata.version(package) for package in chosen.packages}
        return f"{name} {json.dumps(dict(chosen.parameters), sort_keys=True)} {packages} {__version__}"

    def picture(self, frame: MaskedFrame) -> Path:
        """Return the prepared picture of a frame, 8-bit grey on the grid, made if it is not there."""
        if frame.key not in self._pictures:
            self._pictures[frame.key] = self._prepared(frame)
        return self._pictures[frame.key]

    def _prepared(self, frame: MaskedFrame) -> Path:
        image = single_frame(read(frame.image), frame.number)
        content = hashlib.sha256(np.ascontiguousarray(image.pixels).tobytes())
        content.update(f"{image.pixels.shape} {image.spacing_mm} {self.side_px} {self.checksum()}".encode())
        path = self.folder / "images" / f"{content.hexdigest()[:32]}.png"
        if not path.exists():
            grid = grid_of(image, self.side_px)  # found on the original, so that every method has the same
            clean = image if self.checksum() == ORIGINAL else Denoiser(self._method()).run(image).image
            write_picture(path, np.uint8(np.clip(_on_grid(clean, grid), 0, 1) * 255 + 0.5))
        return path

    def _method(self) -> FrameDespeckler:
        if not self._loaded:
            # Always torch: another runtime rounds otherwise, and a comparison must not depend on what is installed.
            self._loaded.append(load_method(self.method.model, self.device, runtime="torch"))
        return self._loaded[0]


def label_picture(frame: MaskedFrame, side_px: int, folder: Path) -> Path:
    """Return the labels of a frame on the grid, made if they are not there."""
    labels, image = frame.labels(), single_frame(read(frame.image), frame.number)
    content = hashlib.sha256(labels.tobytes())
    content.update(np.ascontiguousarray(image.pixels).tobytes())
    content.update(f"{labels.shape} {image.spacing_mm} {side_px}".encode())
    path = folder / "labels" / f"{content.hexdigest()[:32]}.png"
    if not path.exists():
        write_picture(path, grid_of(image, side_px).labels_from_frame(labels, len(frame.plan.labels) + 1))
    return path


def grid_for(frame: MaskedFrame, side_px: int) -> WorkingGrid:
    """Return how a frame lies on the grid."""
    return grid_of(single_frame(read(frame.image), frame.number), side_px)


def grey_on_grid(picture: Path) -> Float32:
    """Read a prepared picture as grey 0..1."""
    return np.asarray(read_picture(picture) / np.float32(255), np.float32)


def data_checksum(frames: Sequence[MaskedFrame]) -> str:
    """Return a checksum of all images and masks of a data set, and of who is who."""
    files = sorted({path for frame in frames for path in (frame.image, frame.mask)})
    content = [(path.name, _file_checksum(str(path))) for path in files]
    people = [(frame.name, frame.subject) for frame in frames]
    return hashlib.sha256(json.dumps([content, people]).encode()).hexdigest()


def prepare_all(
    preparers: Sequence[Preparer], frames: Sequence[MaskedFrame], tell: Callable[[int, int, str], None]
) -> None:
    """Prepare every frame by every method; ``tell`` is called with done, total and the name of the method."""
    total, done = len(preparers) * len(frames), 0
    for preparer in preparers:
        for frame in frames:
            preparer.picture(frame)
            done += 1
            tell(done, total, preparer.method.name)


def _on_grid(image: UltrasoundImage, grid: WorkingGrid) -> Float32:
    return grid.from_frames(grey_frame(image.pixels, grey_range_of(image))[None])[0]


def _file_checksum(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
