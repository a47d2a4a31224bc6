"""What every face stands on: loaded methods, the thread they work in, and runs, previews, live images, figures."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfSlicerLib.faster_runtimes import FasterRuntimes
from Speckle2SelfSlicerLib.installation import ensure_packages, ensure_torch
from Speckle2SelfSlicerLib.live import LiveDespeckler
from Speckle2SelfSlicerLib.methods import MethodStore, needs_torch, packages_for
from Speckle2SelfSlicerLib.preview import Preview
from Speckle2SelfSlicerLib.quality import FiguresJob, FramePairs, figures_over_frames
from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest
from Speckle2SelfSlicerLib.run import DespeckleRun
from Speckle2SelfSlicerLib.vessel.comparing import CompareRequest, CompareResult, compare_segments
from Speckle2SelfSlicerLib.vessel.first_contour import ContourRequest, ContourResult, Segmenter, first_contour
from Speckle2SelfSlicerLib.vessel.job import Job
from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest, MeasureResult, measure_vessel
from Speckle2SelfSlicerLib.vessel.refining import RefineRequest, RefineResult, refine_line
from Speckle2SelfSlicerLib.vessel.segmenters import SegmenterStore

if TYPE_CHECKING:
    from slicer import vtkMRMLVolumeNode


class Engine:
    """Makes runs, previews, live images and figures. All share one thread, which keeps a network's libraries warm."""

    def __init__(self) -> None:
        self._methods, self._segmenters = MethodStore(), SegmenterStore()
        self.faster_runtimes = FasterRuntimes()
        self._is_closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="Speckle2Self")

    def prepare(self, how: MethodRequest, ask: Callable[[str], bool], tell: Callable[[str], None]) -> None:
        """Install what a method needs and Slicer lacks (PyTorch, scikit-image), after asking.

        Parameters
        ----------
        how
            The method.
        ask
            Shows a question and returns whether the user agrees.
        tell
            Takes a sentence about what is going on.

        Raises
        ------
        Speckle2SelfError
            If it cannot be installed, or the user declined.
        """
        if needs_torch(how.method):
            ensure_torch(ask, tell)
        else:
            ensure_packages(packages_for(how.method), ask, tell)

    def install_faster_runtimes(self, ask: Callable[[str], bool], tell: Callable[[str], None]) -> None:
        """Install the faster runtimes after asking; networks that are loaded from now on can run on them.

        Raises what `FasterRuntimes.install` raises.
        """
        try:
            self.faster_runtimes.install(ask, tell)
        finally:
            self._methods.forget()

    def start(self, request: DespeckleRequest) -> DespeckleRun:
        """Return a run that `DespeckleRun.advance` or `DespeckleRun.finish` carries on.

        Raises
        ------
        SettingsError, UnsupportedImageError
            If the request cannot be carried out, or the engine was closed.
        """
        if self._is_closed:
            message = "This logic was closed; make a new Speckle2SelfSlicerLogic."
            raise SettingsError(message)
        return DespeckleRun(request, self._methods, self._thread)

    def preview(self) -> Preview:
        """Return an empty preview."""
        return Preview(self._methods, self._thread)

    def live(self, volume: vtkMRMLVolumeNode, how: MethodRequest) -> LiveDespeckler:
        """Return a live image of a volume that changes."""
        return LiveDespeckler(volume, how, self._methods, self._thread)

    def measure(self, pairs: FramePairs) -> FiguresJob:
        """Return a job that takes the figures of pairs of frames."""
        return figures_over_frames(pairs, self._thread)

    def measure_vessel(self, request: MeasureRequest) -> Job[MeasureResult]:
        """Return a job that measures segments of a vessel; see `vessel.measuring`."""
        return measure_vessel(request, self._thread)

    def segmenter(self, device: str = "auto") -> Segmenter:
        """Return the shipped segmenter of carotid lumen and wall; takes seconds the first time."""
        return self._segmenters.load(device)

    def first_contour(self, request: ContourRequest) -> Job[ContourResult]:
        """Return a job that makes a first contour; see `vessel.first_contour`."""
        return first_contour(request, self._thread)

    def refine_line(self, request: RefineRequest) -> Job[RefineResult]:
        """Return a job that refines a line; see `vessel.refining`."""
        return refine_line(request, self._thread)

    def compare_segments(self, request: CompareRequest) -> Job[CompareResult]:
        """Return a job that compares two segments; see `vessel.comparing`."""
        return compare_segments(request, self._thread)

    def close(self) -> None:
        """End the thread once it has finished what it is busy with."""
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
