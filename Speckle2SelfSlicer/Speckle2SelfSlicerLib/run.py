"""One run of a method on a volume or a whole sequence, in small steps.

MRML is touched only by whoever calls `advance`, a few milliseconds at a time; the method works in a thread of its
own. A window calls `advance` from a timer and stays alive, a script calls `finish`. Nothing is added to the scene
before everything is computed, so that cancelling has nothing to take back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from Speckle2SelfLogic.denoiser import Despeckled, Mask
from Speckle2SelfLogic.errors import CancelledError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfSlicerLib.methods import MethodStore, record
from Speckle2SelfSlicerLib.regions import region_mask
from Speckle2SelfSlicerLib.request import DespeckleRequest
from Speckle2SelfSlicerLib.results import FRAME_ATTRIBUTE, input_of, link_result
from Speckle2SelfSlicerLib.sequences import Cine, check_cine_output, cine_of, read_cine, write_cine
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import (
    SourceState,
    changed_meanwhile,
    check_output,
    filled_image,
    read_volume,
    why_unsupported,
    write_volume,
)

if TYPE_CHECKING:
    from slicer import vtkMRMLVolumeNode


class RunState(Enum):
    """What a run is busy with, or how it ended."""

    READING = "reading"
    DESPECKLING = "despeckling"
    WRITING = "writing"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen any more."""
        return self in (RunState.DONE, RunState.CANCELLED, RunState.FAILED)


class DespeckleRun:
    """A run that `advance` carries on until its state is final.

    Parameters
    ----------
    request
        What to do.
    methods
        Where the method comes from.
    thread
        The one thread that methods work in.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If the request cannot be carried out; nothing has been started then.
    """

    def __init__(self, request: DespeckleRequest, methods: MethodStore, thread: ThreadPoolExecutor) -> None:
        self.state = RunState.READING
        self.output: vtkMRMLVolumeNode | None = None
        self.error: BaseException | None = None
        self.frames_done, self.frames_total = 0, 0
        self._methods, self._thread = methods, thread
        self._cancelled = threading.Event()
        self._started_at: float | None = None
        self._cine = _checked(request)
        self.request = replace(request, slice_axis=request.axis)  # what follows must not change with the volume
        self._settings = self.request.settings()
        self._source: SourceState | None = None
        self._steps = self._all_steps()

    @property
    def is_finished(self) -> bool:
        """Whether the state is final."""
        return self.state.is_final

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the remaining frames will take at the pace so far; None before the first is done."""
        if not self.frames_done or self._started_at is None:
            return None
        pace = (time.perf_counter() - self._started_at) / self.frames_done
        return pace * (self.frames_total - self.frames_done)

    def cancel(self) -> None:
        """Ask the run to stop: at once, or after the frames that the method is busy with."""
        self._cancelled.set()

    def advance(self, budget_s: float = 0.03) -> bool:
        """Carry on for about ``budget_s`` seconds, waiting for the method meanwhile; return whether all is over.

        Never raises: what went wrong is in ``error``.
        """
        deadline = time.perf_counter() + budget_s
        while not self.is_finished and (left := deadline - time.perf_counter()) > 0:
            try:
                awaited = next(self._steps)
                if awaited is not None:
                    wait([awaited], timeout=left)
            except StopIteration:
                self.state = RunState.DONE
            except CancelledError as error:
                self.state, self.error = RunState.CANCELLED, error
            except Exception as error:
                self.state, self.error = RunState.FAILED, error
        return self.is_finished

    def finish(self, between: Callable[[], None] | None = None) -> vtkMRMLVolumeNode:
        """Carry on to the end and return the output; ``between`` is called every few milliseconds.

        Raises
        ------
        CancelledError
            If the run was cancelled, or its input was deleted.
        Exception
            Whatever went wrong.
        """
        while not self.advance():
            if between is not None:
                between()
        if self.error is not None:
            raise self.error
        return self.output

    def _all_steps(self) -> Iterator[Future[Any] | None]:
        """Do everything in pieces; yield what to wait for, or None to be called again soon."""
        index_values = () if self._cine is None else self._cine.index_values
        image = yield from self._read()
        self._source = SourceState.of(self.request.volume, _name_of_frame(self.request.volume))
        frame = None if self._cine is not None else _value_of_frame(self.request.volume)
        if self._cine is not None and index_values != self._cine.index_values:
            raise UnsupportedImageError(changed_meanwhile(self._cine.sequence))
        region = None
        if self.request.region is not None:
            if self._cine is not None:
                self._cine.check_one_place(self.request.region)
            region = _for_frames(region_mask(self.request.region, self.request.volume, self.request.segment_id), image)
        self.state = RunState.DESPECKLING
        work = self._thread.submit(self._despeckle, image, region)
        despeckled, method = yield from self._result_of(work)
        self.state = RunState.WRITING
        unit = "slice" if self._cine is None else "frame"
        attributes = record(despeckled.report, self.request, method, unit)
        self._check_still_wanted()
        if self._cine is not None and index_values != self._cine.index_values:
            raise UnsupportedImageError(changed_meanwhile(self._cine.sequence))
        yield from self._write(despeckled.image, attributes)
        link_result(self.output, self.request.volume)
        self.output.SetAttribute(FRAME_ATTRIBUTE, frame)

    def _write(self, image: UltrasoundImage, attributes: dict[str, str]) -> Iterator[None]:
        volume, output = self.request.volume, self.request.output
        if self._cine is None:
            image_data = yield from self._last_of(filled_image(image.pixels, self._source.image_data))
            self.output = write_volume(image_data, volume, output, attributes, self._source)
        else:
            self.output = yield from self._last_of(write_cine(image, self._cine, output, attributes))

    def _last_of(self, steps: Iterator[Any]) -> Iterator[Any]:
        """Go through steps that give nothing until the last one, and stop in between when asked to."""
        for given in steps:
            if given is not None:
                return given
            yield None
            self._check_still_wanted()

    def _result_of(self, work: Future[Any]) -> Iterator[Any]:
        while not work.done():
            if self._is_orphaned():
                self._cancelled.set()
            yield work
        try:
            return work.result()
        except CancelledError:
            self._check_still_wanted()  # says why
            raise
        except (SystemExit, KeyboardInterrupt) as error:  # of a method: Slicer would quit
            message = f"The method ended with {type(error).__name__}."
            raise RuntimeError(message) from error

    def _read(self) -> Iterator[Any]:
        steps = read_volume(self.request.volume) if self._cine is None else read_cine(self._cine)
        return (yield from self._last_of(steps))

    def _check_still_wanted(self) -> None:
        if self._is_orphaned():
            raise CancelledError(self._what_is_gone())
        if self._cancelled.is_set():
            message = _("Cancelled; nothing was changed.")
            raise CancelledError(message)

    def _is_orphaned(self) -> bool:
        """Whether a node that the run needs is gone from its scene."""
        watched = [self.request.volume, self.request.output, self.request.region]
        if self._cine is not None:
            watched += [self._cine.sequence, self._cine.browser]
        return any(node is not None and node.GetScene() is None for node in watched)

    def _what_is_gone(self) -> str:
        for node, sentence in (
            (self.request.output, _("The output volume '{name}' was deleted meanwhile; nothing was written.")),
            (self.request.region, _("The region '{name}' was deleted meanwhile; nothing was written.")),
        ):
            if node is not None and node.GetScene() is None and self.request.volume.GetScene() is not None:
                return sentence.format(name=node.GetName())
        return _("The input was deleted or the scene closed meanwhile; nothing was written.")

    def _despeckle(self, image: UltrasoundImage, region: Mask | None) -> tuple[Despeckled, FrameDespeckler]:
        """Run in the thread: load the method and apply it. No MRML here."""
        method = self._methods.load(self.request.how)
        batch_frames = None if hasattr(method, "network") else 1  # filters are slow: let cancelling not wait for many
        self._started_at = time.perf_counter()
        denoiser = self.request.how.denoiser(method, replace(self._settings, batch_frames=batch_frames))
        return denoiser.run(image, self._on_progress, self._cancelled.is_set, region=region), method

    def _on_progress(self, done: int, total: int) -> None:
        self.frames_done, self.frames_total = done, total


def _checked(request: DespeckleRequest) -> Cine | None:
    """Return the cine of a request for a whole sequence, None for a volume; refuse what cannot be done."""
    if obstacle := why_unsupported(request.volume):
        raise UnsupportedImageError(obstacle)
    cine = cine_of(request.volume) if request.whole_sequence else None
    if cine is None:
        check_output(request.volume, request.output)
        _check_is_free(request.volume, request.output)
    else:
        check_cine_output(cine, request.output)
    return cine


def _check_is_free(volume: vtkMRMLVolumeNode, output: vtkMRMLVolumeNode | None) -> None:
    """Refuse an output whose pixels come from a sequence, and the result of another volume."""
    if cine_of(output) is not None:
        message = _("'{name}' shows the frames of a sequence; choose another volume, or none.").format(
            name=output.GetName()
        )
        raise SettingsError(message)
    other = input_of(output)
    if other is not None and other is not volume:
        message = _("'{output}' is the result of '{other}', not of '{volume}'; choose another volume, or none.").format(
            output=output.GetName(), other=other.GetName(), volume=volume.GetName()
        )
        raise SettingsError(message)


def _name_of_frame(volume: vtkMRMLVolumeNode) -> str | None:
    """Return a name that tells a single frame of a sequence from the whole; None for a volume of its own."""
    cine = cine_of(volume)
    if cine is None or cine.frame_count == 1:
        return None
    return f"{volume.GetName()} frame {cine.frame_number} (Speckle2Self)"


def _value_of_frame(volume: vtkMRMLVolumeNode) -> str | None:
    """Return the index value of a single frame of a sequence; None for a volume of its own."""
    cine = cine_of(volume)
    return None if cine is None or cine.frame_count == 1 else cine.index_value


def _for_frames(mask: Mask, image: UltrasoundImage) -> Mask:
    """Return a region (Z, Y, X) for every frame of a cine, or as it is for a volume."""
    shape = image.pixels.shape[: image.geometry_dimension]
    return np.broadcast_to(mask, shape)
