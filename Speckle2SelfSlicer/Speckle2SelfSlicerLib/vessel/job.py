"""Work on a vessel in small steps: MRML is touched by whoever carries it on, computing is done in the thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from Speckle2SelfLogic.errors import CancelledError
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

Result = TypeVar("Result")
Steps = Generator[Future[Any] | None, None, Result]
"""Gives what to wait for, or None to be called again soon; returns the result."""


class JobControl:
    """What steps see of their job: progress to report, and whether to stop.

    Parameters
    ----------
    thread
        Where to compute.
    """

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.thread = thread
        self.done, self.total = 0, 0
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Ask to stop."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether to stop; may be asked in the thread."""
        return self._cancelled.is_set()

    def progress(self, done: int, total: int) -> None:
        """Say how many frames are done; may be called in the thread, and raises `CancelledError` to stop there."""
        self.done, self.total = done, total
        self.check()

    def check(self) -> None:
        """Raise `CancelledError` if it was asked to stop."""
        if self.is_cancelled():
            message = _("Cancelled; nothing was changed.")
            raise CancelledError(message)

    def compute(self, function: Callable[..., Result], *arguments: object, **named: object) -> Steps[Result]:
        """Call a function in the thread and return what it returns."""
        work = self.thread.submit(function, *arguments, **named)
        try:
            while not work.done():
                yield work
            return work.result()
        finally:
            work.cancel()  # of a job that was let go


class Job(Generic[Result]):
    """Steps that `advance` carries on until `is_finished`.

    Parameters
    ----------
    steps
        What to do.
    control
        The control that the steps were made with.
    watched
        Nodes that must stay in their scene meanwhile.
    """

    def __init__(self, steps: Steps[Result], control: JobControl, watched: Sequence[vtkMRMLNode]) -> None:
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.is_finished = False
        self._steps, self._control, self._watched = steps, control, tuple(watched)

    @property
    def progress(self) -> tuple[int, int]:
        """Frames done, and frames in all; (0, 0) before that is known."""
        return self._control.done, self._control.total

    def cancel(self) -> None:
        """Stop at the next step, or in the thread at the next frame; nothing is written then."""
        self._control.cancel()

    def advance(self, budget_s: float = 0.03) -> bool:
        """Carry on for about ``budget_s`` seconds; return whether all is over. What went wrong is in ``error``."""
        deadline = time.perf_counter() + budget_s
        while not self.is_finished and (left := deadline - time.perf_counter()) > 0:
            try:
                self._check_still_wanted()
                awaited = next(self._steps)
                if awaited is not None:
                    wait([awaited], timeout=left)
            except StopIteration as end:
                self.result, self.is_finished = end.value, True
            except Exception as error:
                self.error, self.is_finished = error, True
        return self.is_finished

    def finish(self, between: Callable[[], None] | None = None) -> Result:
        """Carry on to the end and return the result; raises what went wrong."""
        while not self.advance():
            if between is not None:
                between()
        if self.error is not None:
            raise self.error
        return self.result

    def _check_still_wanted(self) -> None:
        gone = next((node for node in self._watched if node.GetScene() is None), None)
        if gone is not None:
            self._control.cancel()
            self._steps.close()
            message = _("'{name}' was deleted or the scene closed meanwhile; nothing was written.")
            raise CancelledError(message.format(name=gone.GetName()))
        if self._control.is_cancelled():
            self._steps.close()
        self._control.check()
