"""The core's figures for frames before and after: of one frame, or of many in small steps. No MRML in here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.frames import grey_frame
from Speckle2SelfLogic.image import Pixels
from Speckle2SelfLogic.intensity import Float32, GreyRange
from Speckle2SelfLogic.metrics import QualityFigures, TemporalFlicker, compare_frames, temporal_flicker
from Speckle2SelfSlicerLib.texts import tr as _

Mask = npt.NDArray[np.bool_]

WHITE = 255.0
"""Grey of the upper end of the grey range, as in the core's reports."""
WAIT_S = 0.005
FLICKER_PIXELS = 100_000_000
"""Flicker is measured over the first frames that have no more pixels together; beyond, memory would run short."""


@dataclass(frozen=True)
class FramePairs:
    """Frames before and after, and how they are to be measured.

    Parameters
    ----------
    inputs, outputs
        Frames (Y, X) or (Y, X, C) of one size, in arrays or read when they are asked for.
    grey_range
        Black and white of the whole original (`frames.grey_range_of`), for both sides.
    spacing_mm
        Pixel spacing (x, y) in mm; None if it is not calibrated.
    region
        Masks (M, Y, X): one for all frames, or one for each; of a cine of volumes one for each slice.
    tissue
        Masks of a second region, homogeneous tissue, of the same shape.
    numbers
        Frame numbers to show; left out: from 0.
    is_cine
        Whether frames follow each other in time.

    Raises
    ------
    SettingsError
        If there are no frames, or not the same number on both sides.
    """

    inputs: Sequence[Pixels] | Pixels
    outputs: Sequence[Pixels] | Pixels
    grey_range: GreyRange
    spacing_mm: tuple[float, float] | None = None
    region: Mask | None = None
    tissue: Mask | None = None
    numbers: tuple[int, ...] = ()
    is_cine: bool = False

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.outputs) or not len(self.inputs):
            message = _("There are {before} frames before and {after} after; choose an input and its result.").format(
                before=len(self.inputs), after=len(self.outputs)
            )
            raise SettingsError(message)
        if not self.numbers:
            object.__setattr__(self, "numbers", tuple(range(len(self.inputs))))

    def __len__(self) -> int:
        return len(self.inputs)

    def only(self, number: int) -> FramePairs:
        """Return the frame of a number alone. Raises `SettingsError` if there is none."""
        if number not in self.numbers:
            message = _("There is no frame {number}; choose one from {first} to {last}.").format(
                number=number, first=self.numbers[0], last=self.numbers[-1]
            )
            raise SettingsError(message)
        at = self.numbers.index(number)
        before, after, region, tissue = self.at(at)
        return replace(
            self,
            inputs=before[None],
            outputs=after[None],
            region=None if region is None else region[None],
            tissue=None if tissue is None else tissue[None],
            numbers=(number,),
        )

    def at(self, position: int) -> tuple[Pixels, Pixels, Mask | None, Mask | None]:
        """Copy the frame before, the frame after, the region and the tissue at a position, counted from 0."""
        masks = (None if mask is None else mask[position % len(mask)] for mask in (self.region, self.tissue))
        return np.array(self.inputs[position]), np.array(self.outputs[position]), *masks


@dataclass(frozen=True)
class FrameFigures:
    """Figures of one frame: the input's own, and the output's against the input."""

    number: int
    input: QualityFigures
    output: QualityFigures
    notes: tuple[str, ...] = ()
    """Why figures are absent."""


@dataclass(frozen=True)
class FlickerFigures:
    """Restlessness of a cine over time: the input's own, and the output's against the input."""

    input: TemporalFlicker
    output: TemporalFlicker


@dataclass(frozen=True)
class FiguresOverFrames:
    """What was measured in all frames."""

    frames: tuple[FrameFigures, ...]
    flicker: FlickerFigures | None
    """None for slices of a volume and for a single frame."""
    notes: tuple[str, ...]
    """Why figures are absent, each once."""


def figures_of_frame(pairs: FramePairs, number: int) -> FrameFigures:
    """Measure one frame. Takes up to half a second: from a window, run a job of `FramePairs.only` instead."""
    job = figures_over_frames(pairs.only(number))
    for _step in job:
        pass
    return job.result.frames[0]


def figures_over_frames(pairs: FramePairs, thread: ThreadPoolExecutor | None = None) -> FiguresJob:
    """Return a job that measures all frames.

    Parameters
    ----------
    pairs
        The frames; they are read by whoever carries the job on.
    thread
        The thread to compute in; left out: one of the job's own.
    """
    return FiguresJob(pairs, thread)


class FiguresJob(Iterator[tuple[int, int]]):
    """Measures frame by frame: every `next` reads a frame or waits some milliseconds for figures.

    Gives how many frames are measured, and their number; `result` is there at the end. What goes wrong is raised by
    `next`.
    """

    def __init__(self, pairs: FramePairs, thread: ThreadPoolExecutor | None) -> None:
        self.result: FiguresOverFrames | None = None
        self._steps = self._all_steps(pairs, thread)

    def __next__(self) -> tuple[int, int]:
        return next(self._steps)

    def cancel(self) -> None:
        """Stop; a frame that is being measured is let go."""
        self._steps.close()

    def _all_steps(self, pairs: FramePairs, thread: ThreadPoolExecutor | None) -> Iterator[tuple[int, int]]:
        own_thread = ThreadPoolExecutor(1, "Speckle2Self figures") if thread is None else None
        try:
            yield from self._measure(pairs, thread or own_thread)
        finally:
            if own_thread is not None:
                own_thread.shutdown(wait=False, cancel_futures=True)

    def _measure(self, pairs: FramePairs, thread: ThreadPoolExecutor) -> Iterator[tuple[int, int]]:
        total, frames, greys = len(pairs), [], []
        for position in range(total):
            task = thread.submit(_measured, pairs, pairs.at(position), pairs.numbers[position])
            figures, before, after = yield from _result_of(task, (position, total))
            frames.append(figures)
            if pairs.is_cine and (len(greys) + 1) * before.size <= FLICKER_PIXELS:
                greys.append((before, after))
        flicker = None
        if len(greys) > 1:
            flicker = yield from _result_of(thread.submit(_flicker, greys), (total, total))
        notes = [note for figures in frames for note in figures.notes]
        if flicker is not None and len(greys) < total:
            notes.append(_("Flicker was measured over the first {count} frames.").format(count=len(greys)))
        self.result = FiguresOverFrames(tuple(frames), flicker, tuple(dict.fromkeys(notes)))
        yield total, total


def measure_frame(
    input_yx: Pixels,
    output_yx: Pixels,
    *,
    spacing_mm: tuple[float, float] | None = None,
    region: Mask | None = None,
    tissue: Mask | None = None,
    number: int = 0,
) -> FrameFigures:
    """Measure one frame (Y, X) of grey 0..255 with the core.

    With a region alone, signal to noise is taken within it, and the edge at its boundary. With tissue too, the
    boundary and the contrast are the region's, and signal to noise is the tissue's. Regions that are empty have no
    figures; a note says so.
    """
    missing = []
    if region is not None and not region.any():
        missing.append(_("The region does not reach this frame; its figures are left out."))
    if tissue is not None and not tissue.any():
        missing.append(_("The tissue region does not reach this frame; its figures are left out."))
    lumen = region if region is not None and region.any() else None
    homogeneous = lumen if tissue is None else (tissue if tissue.any() else None)

    def figures(values: Pixels) -> QualityFigures:
        measured = compare_frames(
            input_yx, values, data_range=WHITE, spacing_mm=spacing_mm, lumen_mask=lumen, tissue_mask=homogeneous
        )
        return measured if tissue is not None else replace(measured, gcnr=None, cnr=None)  # no contrast with itself

    return FrameFigures(number, figures(input_yx), figures(output_yx), tuple(missing))


def _measured(
    pairs: FramePairs, frame: tuple[Pixels, Pixels, Mask | None, Mask | None], number: int
) -> tuple[FrameFigures, Float32, Float32]:
    """Return figures of a frame and its grey 0..1 before and after."""
    *pixels, region, tissue = frame
    before, after = (grey_frame(each, pairs.grey_range) for each in pixels)
    figures = measure_frame(
        np.asarray(before, np.float64) * WHITE,
        np.asarray(after, np.float64) * WHITE,
        spacing_mm=pairs.spacing_mm,
        region=region,
        tissue=tissue,
        number=number,
    )
    return figures, before, after


def _flicker(greys: Sequence[tuple[Float32, Float32]]) -> FlickerFigures:
    before, after = (np.stack(side) for side in zip(*greys, strict=True))
    return FlickerFigures(
        temporal_flicker(before, before, data_range=1.0), temporal_flicker(before, after, data_range=1.0)
    )


def _result_of(task: Future[Any], progress: tuple[int, int]) -> Iterator[Any]:
    try:
        while not task.done():
            wait([task], timeout=WAIT_S)
            yield progress
        return task.result()
    finally:
        task.cancel()  # of a job that was cancelled: the thread may be busy with something else yet
