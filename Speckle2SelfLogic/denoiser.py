"""`Denoiser`: an image goes in, the same image without speckle comes out, and a report of what was done.

Frames are processed one by one along a chosen axis (a cine by time). Outside the sector and on coloured overlays
pixels keep their values. Frames without content are left alone, since there is nothing to recover in them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.denoise_report import DenoiseReport, SkippedFrame
from Speckle2SelfLogic.errors import CancelledError, GeometryError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.frame_steps import (
    OUTSIDE_REGION,
    PreparedFrame,
    RestoredFrame,
    check_answers,
    prepare_frame,
    restore_frame,
    unchanged,
)
from Speckle2SelfLogic.frames import SLICE_AXES, GreyFrames, as_frames, frames_view, grey_frame, grey_range_of
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.intensity import Float32, GreyRange, Pixels
from Speckle2SelfLogic.pipeline import in_turn, overlapped
from Speckle2SelfLogic.runtime import FrameDespeckler, method_domain
from Speckle2SelfLogic.sector import Sector, find_sector

__all__ = [
    "OUTSIDE_REGION",
    "DenoiseReport",
    "DenoiseSettings",
    "Denoiser",
    "Despeckled",
    "ImageContext",
    "SkippedFrame",
]

Mask = npt.NDArray[np.bool_]
Answers = tuple[Float32, ...]
ProgressCallback = Callable[[int, int], None]
"""Called with the number of finished frames and their total."""

PIXELS_PER_BATCH = 2 * 512 * 512
MOST_FRAMES_PER_BATCH = 16


@dataclass(frozen=True)
class DenoiseSettings:
    """What to do. The defaults are meant for everybody.

    Parameters
    ----------
    strength
        0 returns the input bit for bit, 1 the method's full answer; between, a weighted mean of both.
    slice_axis
        For a volume, the axis along which slices are taken: ``"z"`` (also ``"auto"``), ``"y"`` or ``"x"``.
        A cine always goes frame by frame.
    batch_frames
        Frames that are processed at once; left out, a number that fits the frame size.
    frames
        First and last-plus-one frame (or slice) to despeckle; all others keep their values. Left out: all.
    keep_overlays, keep_outside_sector
        Whether coloured overlays (calipers, Doppler, text), and everything outside the sector, keep their values.
    """

    strength: float = 1.0
    slice_axis: str = "auto"
    batch_frames: int | None = None
    frames: tuple[int | None, int | None] = (None, None)
    keep_overlays: bool = True
    keep_outside_sector: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            message = f"The strength must be between 0 and 1, but is {self.strength}."
            raise SettingsError(message)
        if self.slice_axis not in SLICE_AXES:
            message = f"The slice axis must be one of {', '.join(SLICE_AXES)}, but is '{self.slice_axis}'."
            raise SettingsError(message)
        if self.batch_frames is not None and self.batch_frames < 1:
            message = f"The number of frames per batch must be at least 1, but is {self.batch_frames}."
            raise SettingsError(message)


class ImageContext(NamedTuple):
    """What is found once for all frames of an image, and can be used again for frames that belong to it."""

    grey_range: GreyRange
    sector: Sector
    reference: float | None = None
    """Value of 0 dB of an envelope, see `envelope.EnvelopeDenoiser`; None for B-mode."""


class Despeckled(NamedTuple):
    """The result: a new image with the geometry and pixel type of the input, and the report."""

    image: UltrasoundImage
    report: DenoiseReport


@dataclass(frozen=True)
class Denoiser:
    """Apply a method (a network or a classical filter) to images."""

    method: FrameDespeckler
    settings: DenoiseSettings = DenoiseSettings()

    def context_of(self, image: UltrasoundImage) -> ImageContext:
        """Find grey range and sector of an image. Raises what `GreyRange.of` and `frames_view` raise."""
        return self.context_of_frames(frames_view(image, self.settings.slice_axis), grey_range_of(image))

    def context_of_frames(self, frames: Pixels, grey_range: GreyRange) -> ImageContext:
        """Find the sector of frames whose grey range is known already."""
        return ImageContext(grey_range, self._sector(frames, grey_range))

    def run(
        self,
        image: UltrasoundImage,
        progress: ProgressCallback | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        *,
        context: ImageContext | None = None,
        region: Mask | None = None,
    ) -> Despeckled:
        """Despeckle an image. The input is not modified; equal inputs give equal outputs.

        Parameters
        ----------
        image
            The frame, cine or volume.
        progress, is_cancelled
            Called after each batch, and before it.
        context
            Grey range and sector, if they are known already: those of a whole cine for one of its frames, or of the
            first frame of a live image. Left out: found in this image.
        region
            Pixels that may change, a boolean array with the shape of the image without colour; all others keep
            their values, and so do whole frames outside of it. Left out: every pixel.

        Raises
        ------
        UnsupportedImageError
            For non-finite values, pixels that are not numbers, or a linear envelope (compress it first); and if the
            method's answer is no image of the same size or holds non-finite values.
        GeometryError
            If the region or the sector of the context has another shape than the image.
        SettingsError
            If settings do not fit the image, or the region holds no pixel.
        CancelledError
            As soon as ``is_cancelled`` returns true, at the latest after the current batch.
        """
        frames = frames_view(image, self.settings.slice_axis)
        check_domain(self.method, image)
        output = np.array(image.pixels)  # a writeable copy
        with self.reported(len(frames)) as report:
            self._despeckle_into(output, image, frames, report, context, region, progress, is_cancelled)
        return Despeckled(image.with_pixels(output, *self.step()), report)

    @contextmanager
    def reported(self, frames: int) -> Iterator[DenoiseReport]:
        """Lend a report that gets the time and the method's messages when the block ends."""
        started = time.perf_counter()
        report = DenoiseReport(self.method.name, self.settings.strength, frames)
        earlier_messages = len(getattr(self.method, "messages", []))
        yield report
        report.seconds = time.perf_counter() - started
        report.messages += getattr(self.method, "messages", [])[earlier_messages:]
        report.messages += getattr(self.method, "notes", ())
        report.runtime = getattr(self.method, "record", {})

    def _despeckle_into(
        self,
        output: Pixels,
        image: UltrasoundImage,
        frames: Pixels,
        report: DenoiseReport,
        context: ImageContext | None,
        region: Mask | None,
        progress: ProgressCallback | None,
        is_cancelled: Callable[[], bool] | None,
    ) -> None:
        if self.settings.strength > 0:  # at 0 no value is looked at, so that any pixels come back bit for bit
            context = context or self.context_of(image)
            region_frames = None if region is None else self._region_frames(region, image)
            _check_shapes(frames, context.sector, region_frames)
            report.describe(context.grey_range, context.sector)
            output_frames = as_frames(output, image, self.settings.slice_axis)
            for number, pixels in self.despeckled(frames, context, report, region_frames, progress, is_cancelled):
                output_frames[number][...] = pixels

    def step(self) -> tuple[str, str]:
        """Return the line of the history, with the precision if that is not single, and the model with its checksum."""
        precision = getattr(self.method, "precision", "single")
        reduced = "" if precision == "single" else f", computed in {precision} precision"
        step = f"despeckled by {self.method.title} ({self.method.name}), strength {self.settings.strength:g}{reduced}"
        checksum = getattr(self.method, "sha256", "")
        return step, f"{self.method.name}, SHA-256 {checksum}" if checksum else ""

    def chosen_frames(self, count: int) -> range:
        """Return which of a number of frames are despeckled; `SettingsError` if none is."""
        chosen = range(*slice(*self.settings.frames).indices(count))
        if not chosen:
            message = f"The chosen frames {self.settings.frames} hold none of the image's {count} frames."
            raise SettingsError(message)
        return chosen

    def despeckled(
        self,
        frames: Pixels,
        context: ImageContext,
        report: DenoiseReport,
        region: Pixels | None = None,
        progress: ProgressCallback | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[tuple[int, Pixels]]:
        """Yield number and pixels of each chosen frame, in order; a few batches of frames are in memory at a time.

        Parameters
        ----------
        frames
            Frames of shape (Y, X) or (Y, X, C) by number: an array, or anything else with a shape and a length.
        context
            What was found for all of them.
        report
            Filled in on the way.
        region, progress, is_cancelled
            As for `run`; the region as frames.

        Raises
        ------
        SettingsError, UnsupportedImageError, CancelledError
            As `run`.
        """
        chosen = self.chosen_frames(len(frames))
        batches = list(_batches(chosen, self._batch_frames(frames)))
        steps = _Steps(self, frames, context, region)

        def answer(prepared: _PreparedBatch) -> Answers:
            if is_cancelled is not None and is_cancelled():
                message = f"Stopped after {report.processed + len(report.skipped)} of {len(chosen)} frames."
                raise CancelledError(message)
            started = time.perf_counter()
            answers = steps.answer(prepared)
            report.method_seconds += time.perf_counter() - started
            return answers

        in_order = overlapped if len(batches) > 1 and getattr(self.method, "threads", 1) > 1 else in_turn
        for results in in_order(batches, steps.prepare, answer, steps.finish):
            for result in results:
                report.count(result)
                yield result.number, result.pixels
            if progress is not None:
                progress(report.processed + len(report.skipped), len(chosen))

    def _batch_frames(self, frames: Pixels) -> int:
        return self.settings.batch_frames or frames_per_batch(self.method, *frames.shape[1:3])

    def _sector(self, frames: Pixels, grey_range: GreyRange) -> Sector:
        if not self.settings.keep_outside_sector:
            return Sector(np.ones(frames.shape[1:3], bool), 1.0, "Whole frame: asked for.")
        return find_sector(_extreme_frames(frames, grey_range), data_range=1.0)

    def _region_frames(self, region: Mask, image: UltrasoundImage) -> Pixels:
        expected = image.pixels.shape[: image.geometry_dimension]
        if region.shape != expected:
            message = f"The region has shape {region.shape}, but the image has {expected}."
            raise GeometryError(message)
        return as_frames(np.asarray(region, bool), image, self.settings.slice_axis)


class _PreparedBatch(NamedTuple):
    """Frames that are ready for the method, and the memory that holds their grey."""

    frames: list[PreparedFrame]
    memory_nyx: Float32


@dataclass(frozen=True)
class _Steps:
    """What is done to a batch of frames before, by and after the method."""

    denoiser: Denoiser
    frames: Pixels
    context: ImageContext
    region: Pixels | None
    spare: list[Float32] = field(default_factory=list)
    """Memory of finished batches, for the next: that of a new array costs more than what is computed in it."""

    def prepare(self, batch: range) -> _PreparedBatch:
        grey_range, sector = self.context.grey_range, self.context.sector
        keep_overlays = self.denoiser.settings.keep_overlays
        memory = self.spare.pop() if self.spare else np.empty((len(batch), *sector.mask_yx.shape), np.float32)
        prepared = []
        for number, grey in zip(batch, memory, strict=False):  # the last batch may be smaller
            pixels, region_yx = np.asarray(self.frames[number]), None if self.region is None else self.region[number]
            prepared.append(prepare_frame(number, pixels, grey_range, sector.mask_yx, region_yx, keep_overlays, grey))
        return _PreparedBatch(prepared, memory)

    def answer(self, prepared: _PreparedBatch) -> Answers:
        frames = prepared.frames
        is_ready = np.array([not frame.empty_because for frame in frames])
        if not is_ready.any():
            return ()
        grey_nyx = prepared.memory_nyx[: len(frames)]
        if not is_ready.all():
            grey_nyx = grey_nyx[is_ready]
        grey_nyx.flags.writeable = False  # the frames need it again
        answers = self.denoiser.method.despeckle(grey_nyx)
        check_answers(answers, grey_nyx, self.denoiser.method.name)
        if np.may_share_memory(answers, prepared.memory_nyx):  # which restoring a frame overwrites
            answers = np.array(answers)
        return tuple(answers)

    def finish(self, prepared: _PreparedBatch, answers: Answers) -> list[RestoredFrame]:
        left, strength = iter(answers), self.denoiser.settings.strength
        restored = [
            unchanged(frame)
            if frame.empty_because
            else restore_frame(frame, next(left), strength, self.context.grey_range)
            for frame in prepared.frames
        ]
        self.spare.append(prepared.memory_nyx)
        return restored


def check_domain(method: FrameDespeckler, image: UltrasoundImage) -> None:
    """Raise `UnsupportedImageError` if a method takes linear envelopes and the image is B-mode, or the reverse."""
    is_for_envelopes = method_domain(method) == "envelope"
    if image.intensity is IntensityDomain.ENVELOPE and not is_for_envelopes:
        message = "This image is a linear envelope; log-compress it to B-mode before despeckling."
        raise UnsupportedImageError(message)
    if is_for_envelopes and image.intensity is not IntensityDomain.ENVELOPE:
        message = f"The model '{method.name}' takes linear envelopes, but this image is B-mode; choose another model."
        raise UnsupportedImageError(message)


def _extreme_frames(frames: Pixels, grey_range: GreyRange) -> Sequence[Float32]:
    """Return frames with the same largest and smallest grey at each pixel, which is all that `find_sector` looks at.

    Grey rises with the value of a pixel, so that the extremes can be taken of the pixels as they are; not so in colour.
    """
    if len(frames.shape) > 3 or len(frames) == 1:
        return GreyFrames(frames, grey_range)
    highest, lowest = np.array(frames[0]), np.array(frames[0])
    for number in range(1, len(frames)):
        np.maximum(highest, frames[number], out=highest)
        np.minimum(lowest, frames[number], out=lowest)
    return [grey_frame(highest, grey_range), grey_frame(lowest, grey_range)]


def _check_shapes(frames: Pixels, sector: Sector, region: Pixels | None) -> None:
    shape_yx = tuple(frames.shape[1:3])
    if sector.mask_yx.shape != shape_yx:
        message = f"The sector of the context has shape {sector.mask_yx.shape}, but the frames have {shape_yx}."
        raise GeometryError(message)
    if region is not None and not any(np.any(region[number]) for number in range(len(region))):
        message = "The region holds no pixel of the image; choose one that overlaps it."
        raise SettingsError(message)


def frames_per_batch(method: FrameDespeckler, height: int, width: int) -> int:
    """Return how many frames of a size a method is given at once, unless settings say otherwise.

    One that has threads of its own takes frame by frame from what it is given, and at the end of it some threads wait
    for the last frames: it gets more at once.
    """
    pixels = PIXELS_PER_BATCH * max(1, 2 * getattr(method, "threads", 0))
    return min(max(pixels // (height * width), 1), MOST_FRAMES_PER_BATCH)


def _batches(indices: range, size: int) -> Iterator[range]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
