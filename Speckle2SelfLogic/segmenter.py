"""A first contour of lumen and wall in every frame of an image, and how far each can be trusted.

Meant for annotators, who correct it; for research use only. torch is imported when a network is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.denoiser import ProgressCallback
from Speckle2SelfLogic.errors import CancelledError, SettingsError, UnsupportedImageError, WeightsError
from Speckle2SelfLogic.frame_steps import LOWEST_CONTRAST
from Speckle2SelfLogic.frames import GreyFrames, as_frames, frames_view, grey_frame, grey_range_of
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.intensity import Float32
from Speckle2SelfLogic.runtime import choose_device, to_array, to_tensor
from Speckle2SelfLogic.sector import find_sector
from Speckle2SelfLogic.segmentation_quality import ContourQuality, contour_quality
from Speckle2SelfLogic.weights import DEFAULT_SEGMENTER
from Speckle2SelfLogic.working_grid import WorkingGrid, fit_grid, window_of

if TYPE_CHECKING:
    import torch

LABEL_NAMES = ("Lumen", "Wall")
"""Names of labels 1 and 2; 0 is everything else."""
SMALLEST_PART = 0.1
"""Parts of a vessel that are smaller than this share of its largest part are dropped as specks."""


@dataclass
class SegmentationReport:
    """What was found in an image."""

    method: str
    quality: dict[int, ContourQuality] = field(default_factory=dict)
    """By the number of the frame; frames that were not asked for are missing."""
    seconds: float = 0.0

    @property
    def trusted(self) -> list[int]:
        """Numbers of the frames whose contour may be taken as a first contour."""
        return [number for number, quality in self.quality.items() if quality.is_trusted]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        frames = [{"frame": number, **asdict(quality)} for number, quality in self.quality.items()]
        return {"method": self.method, "frames": frames, "trusted": self.trusted, "seconds": self.seconds}


class Segmented(NamedTuple):
    """Labels (8 bit, the axes and geometry of the image without colour) and the report."""

    labels: UltrasoundImage
    report: SegmentationReport


@dataclass(frozen=True)
class VesselSegmenter:
    """A segmentation network with its weights, ready for images."""

    network: torch.nn.Module
    name: str
    title: str
    side_px: int
    trusted_from: float
    device: torch.device

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_SEGMENTER, device: str = "auto") -> VesselSegmenter:
        """Load a named segmenter or a weight file (see `weights.load_network`).

        Raises
        ------
        WeightsError
            If there is no such model, it is damaged, or it does not segment.
        SettingsError
            If the device cannot be used.
        """
        from Speckle2SelfLogic.checkpoint import SEGMENTATION_NETWORKS
        from Speckle2SelfLogic.weights import load_network

        chosen = choose_device(device)
        network, card = load_network(name_or_path, device=str(chosen))
        if card.network not in SEGMENTATION_NETWORKS:
            message = f"'{name_or_path}' is a model that despeckles; choose one that segments: {DEFAULT_SEGMENTER}."
            raise WeightsError(message)
        settings: Any = network
        return cls(network, card.name, card.title, settings.side_px, settings.trusted_from, chosen)

    def run(
        self,
        image: UltrasoundImage,
        progress: ProgressCallback | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        *,
        frames: tuple[int | None, int | None] = (None, None),
        slice_axis: str = "auto",
    ) -> Segmented:
        """Label every pixel of an image: 0 background, 1 lumen, 2 wall. Equal inputs give equal outputs.

        Parameters
        ----------
        image
            Frame, cine or volume of log-compressed grey values.
        progress, is_cancelled
            Called after each frame, and before it.
        frames
            First and last-plus-one frame (or slice) to look at; all others stay 0. Left out: all.
        slice_axis
            As `DenoiseSettings.slice_axis`.

        Raises
        ------
        UnsupportedImageError
            For non-finite values, pixels that are not numbers, or a linear envelope (compress it first).
        SettingsError
            If the slice axis does not fit the image, or it has none of the frames.
        CancelledError
            As soon as ``is_cancelled`` returns true.
        """
        started = time.perf_counter()
        if image.intensity is IntensityDomain.ENVELOPE:
            message = "This image is a linear envelope; log-compress it to B-mode before segmenting."
            raise UnsupportedImageError(message)
        views, grey_range = frames_view(image, slice_axis), grey_range_of(image)
        chosen = range(*slice(*frames).indices(len(views)))
        if not chosen:
            message = f"The chosen frames {frames} hold none of the image's {len(views)} frames."
            raise SettingsError(message)
        grid = grid_of(image, self.side_px, slice_axis)
        labels = np.zeros(image.pixels.shape[: image.geometry_dimension], np.uint8)
        label_frames, report = as_frames(labels, image, slice_axis), SegmentationReport(self.name)
        for done, number in enumerate(chosen, 1):
            if is_cancelled is not None and is_cancelled():
                message = f"Stopped after {done - 1} of {len(chosen)} frames."
                raise CancelledError(message)
            grey_yx = grey_frame(views[number], grey_range)
            label_frames[number][:], report.quality[number] = self.frame(
                grey_yx, grid, "low contrast: the image is noise at most" if grey_range.is_meaningless else ""
            )
            if progress is not None:
                progress(done, len(chosen))
        report.seconds = time.perf_counter() - started
        step = f"first contour by {self.title} ({self.name}), 1 lumen, 2 wall, not corrected"
        return Segmented(image.with_pixels(labels, step), report)

    def frame(
        self, grey_yx: Float32, grid: WorkingGrid, empty_because: str = ""
    ) -> tuple[npt.NDArray[np.uint8], ContourQuality]:
        """Label one frame (Y, X), grey 0..1, and judge the contour; see `run`."""
        empty_because = empty_because or _why_empty(grey_yx, grid)
        if empty_because:
            nothing = np.zeros((3, 1, 1), np.float32)
            return np.zeros(grid.frame_yx, np.uint8), contour_quality(nothing, nothing, 1.0, empty_because)
        straight, mirrored = self.probabilities(grid.from_frames(grey_yx[None])[0])
        quality = contour_quality(grid.filled(straight), grid.filled(mirrored), self.trusted_from)
        labels = np.asarray(grid.to_frame((straight + mirrored) / 2).argmax(0), np.uint8)
        return without_specks(labels), quality

    def probabilities(self, grid_yx: Float32) -> tuple[Float32, Float32]:
        """Return class probabilities (C, side, side) of a frame on the grid and of its mirror image, mirrored back."""
        import torch

        with torch.inference_mode():
            pair = to_tensor(np.stack([grid_yx, grid_yx[:, ::-1]]))[:, None].to(self.device)
            answers = to_array(self.network(pair).softmax(1))
        return answers[0], answers[1][..., ::-1]


def grid_of(image: UltrasoundImage, side_px: int, slice_axis: str = "auto") -> WorkingGrid:
    """Choose one grid for all frames of an image: what lies outside the sector is cut off, pixels become square."""
    frames = frames_view(image, slice_axis)
    sector = find_sector(GreyFrames(frames, grey_range_of(image)), data_range=1.0)
    return fit_grid(
        (int(frames.shape[1]), int(frames.shape[2])),
        side_px,
        frame_spacing_yx(image, slice_axis),
        window_of(sector.mask_yx),
    )


def frame_spacing_yx(image: UltrasoundImage, slice_axis: str = "auto") -> tuple[float, float]:
    """Return row and column spacing of the frames that are cut along an axis."""
    rows, columns = {"y": (2, 0), "x": (2, 1)}.get(slice_axis, (1, 0))
    return image.spacing_mm[rows], image.spacing_mm[columns]


def without_specks(labels_yx: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return labels without parts (of any class) smaller than `SMALLEST_PART` of the largest part."""
    parts, count = ndimage.label(labels_yx > 0)
    if count < 2:
        return labels_yx
    pixels = np.bincount(parts.ravel())
    is_kept = pixels >= SMALLEST_PART * pixels[1:].max()
    return np.where(is_kept[parts], labels_yx, np.uint8(0))


def _why_empty(grey_yx: Float32, grid: WorkingGrid) -> str:
    """Return why no contour can be expected in a frame, or nothing."""
    top, bottom, left, right = grid.window
    low, high = (float(value) for value in np.quantile(grey_yx[top:bottom, left:right], (0.01, 0.99)))
    return f"low contrast: grey spans only {high - low:.4f} of 1" if high - low < LOWEST_CONTRAST else ""
