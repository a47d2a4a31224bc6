"""The slice in view, despeckled while settings change, before anything is applied.

The answer lies in a hidden volume that is never saved. The latest question wins. A method that is too slow for the
slice gets as much of its centre as fits into the time budget.
"""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from Speckle2SelfLogic.denoiser import ImageContext, Mask
from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfSlicerLib.derived import remove_displayed
from Speckle2SelfSlicerLib.excerpt import ARRAY_AXES, Excerpt, despeckle_excerpt
from Speckle2SelfSlicerLib.methods import MethodStore
from Speckle2SelfSlicerLib.planes import ijk_to_ras_from, slice_count
from Speckle2SelfSlicerLib.regions import region_mask
from Speckle2SelfSlicerLib.request import DespeckleRequest
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import (
    fill_volume,
    image_from_volume,
    output_class,
    show_alike,
    why_unsupported,
)

if TYPE_CHECKING:
    from slicer import vtkMRMLVolumeNode

BUDGET_S = 0.5
"""Seconds that the method may take for a preview."""
FIRST_PX = 128 * 128
"""Pixels that measure the pace of a method."""


class _Question(NamedTuple):
    request: DespeckleRequest
    slice_number: int


class Preview:
    """Previews of one slice at a time.

    Parameters
    ----------
    methods, thread
        Where methods come from, and the thread that they work in.
    budget_s
        Seconds that the method may take for one preview.
    """

    def __init__(self, methods: MethodStore, thread: ThreadPoolExecutor, budget_s: float = BUDGET_S) -> None:
        self.node: vtkMRMLVolumeNode | None = None
        self.note = ""
        self.error: Exception | None = None
        self._methods, self._thread, self._budget_s = methods, thread, budget_s
        self._waiting: _Question | None = None
        self._current: _Question | None = None
        self._work: Future[tuple[Excerpt, ImageContext]] | None = None
        self._first_slice = 0
        self._pace_s: dict[tuple[str, str], float] = {}
        self._context: tuple[object, ImageContext] | None = None
        self._work_key: object = None
        self._region: tuple[object, Mask] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._work is not None or self._waiting is not None

    def ask(self, request: DespeckleRequest, slice_number: int) -> None:
        """Ask for a slice of a volume. An earlier question that is not being answered yet is forgotten."""
        self._waiting = _Question(request, slice_number)

    def advance(self, budget_s: float = 0.0) -> bool:
        """Take an answer and hand over the next question; return whether the preview changed. Never raises.

        ``budget_s`` are seconds to wait for an answer that is on its way.
        """
        changed = False
        try:
            if self._work is not None and budget_s:
                wait([self._work], timeout=budget_s)
            if self._work is not None and self._work.done():
                work, self._work = self._work, None
                changed = self._show(*work.result())
            if self._work is None and self._waiting is not None:
                self._current, self._waiting = self._waiting, None
                self._start(self._current)
        except Exception as error:
            self.error = error
        return changed

    def remove(self) -> None:
        """Forget everything and delete the hidden volume."""
        self._waiting = self._current = self._context = self._region = self.error = None
        self.note = ""
        if self.node is not None and self.node.GetScene() is not None:
            remove_displayed(self.node)
        self.node = None

    def _start(self, question: _Question) -> None:
        """Copy what is needed of MRML and hand the work to the thread."""
        self.error = None
        volume, axis = question.request.volume, question.request.axis
        question = question._replace(request=replace(question.request, slice_axis=axis))
        if obstacle := why_unsupported(volume):
            raise UnsupportedImageError(obstacle)
        how = question.request.how
        key = (volume.GetID(), volume.GetImageData().GetMTime(), axis, how.domain, how.dynamic_range_db)
        number = min(question.slice_number, slice_count(volume, axis) - 1)
        is_known = self._context is not None and self._context[0] == key
        self._first_slice = number if is_known else 0  # the whole volume is copied once, then only the slice
        window = [slice(None)] * 3
        if is_known:
            window[ARRAY_AXES.index(axis)] = slice(number, number + 1)
        image = image_from_volume(volume, tuple(window))
        context = self._context[1] if is_known else None
        region = self._region_for(question.request, key)
        mask = None if region is None else region[tuple(window)]
        self._work = self._thread.submit(
            self._answer, question.request, image, number - self._first_slice, context, mask
        )
        self._work_key = key

    def _region_for(self, request: DespeckleRequest, volume_key: object) -> Mask | None:
        """Return the region of a request on the grid of its volume, made once as long as both stay as they are."""
        if request.region is None:
            return None
        key = (volume_key, request.region.GetID(), request.region.GetMTime(), request.segment_id)
        if self._region is None or self._region[0] != key:
            self._region = (key, region_mask(request.region, request.volume, request.segment_id))
        return self._region[1]

    def _answer(
        self,
        request: DespeckleRequest,
        image: UltrasoundImage,
        slice_number: int,
        context: ImageContext | None,
        region: Mask | None,
    ) -> tuple[Excerpt, ImageContext]:
        """Despeckle in the thread. No MRML here."""
        how, axis = request.how, request.slice_axis
        method = self._methods.load(how)
        denoiser = how.denoiser(method, how.settings(axis))
        context = context or denoiser.context_of(image)
        pace_s = self._pace_s.get((method.name, how.device))
        affordable_px = FIRST_PX if pace_s is None else self._budget_s / pace_s if pace_s else math.inf
        excerpt = despeckle_excerpt(image, denoiser, context, slice_number, affordable_px, region)
        if excerpt.report.processed:
            self._pace_s[method.name, how.device] = excerpt.seconds_per_pixel
        return excerpt, context

    def _show(self, excerpt: Excerpt, context: ImageContext) -> bool:
        """Put an answer into the hidden volume, unless what it was for is gone."""
        if self._current is None or self._current.request.volume.GetScene() is None:
            return False
        self._context = (self._work_key, context)
        volume = self._current.request.volume
        first_zyx = [index.start for index in excerpt.window_zyx]
        first_zyx[ARRAY_AXES.index(self._current.request.axis)] += self._first_slice
        first_ijk = tuple(reversed(first_zyx))
        node = self._volume_for(volume)
        show_alike(volume, node)
        node.GetDisplayNode().SetSaveWithScene(False)
        fill_volume(node, excerpt.pixels, volume.GetImageData(), ijk_to_ras_from(volume, first_ijk))
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        self.note = _note(excerpt)
        fits = excerpt.seconds_for_slice <= self._budget_s
        if not excerpt.is_whole and fits and self._waiting is None:
            self._waiting = self._current  # the pace is known now: once more, with all of the slice
        return True

    def _volume_for(self, volume: vtkMRMLVolumeNode) -> vtkMRMLVolumeNode:
        wanted = output_class(volume)
        if self.node is not None and (self.node.GetScene() is None or self.node.GetClassName() != wanted):
            if self.node.GetScene() is not None:
                remove_displayed(self.node)
            self.node = None
        if self.node is None:
            scene = volume.GetScene()
            self.node = scene.CreateNodeByClass(wanted)
            self.node.UnRegister(None)
            self.node.SetName(f"{volume.GetName()} (Speckle2Self preview)")
            self.node.SetHideFromEditors(True)
            self.node.SetSaveWithScene(False)
            scene.AddNode(self.node)
        return self.node


def _note(excerpt: Excerpt) -> str:
    if excerpt.report.skipped:
        return _("Preview: unchanged, because it is {reason}.").format(reason=excerpt.report.skipped[0].reason)
    if excerpt.is_whole:
        return _("Preview: {seconds:.2f} s for this slice.").format(seconds=excerpt.seconds_for_slice)
    height, width = (n for n in excerpt.pixels.shape[:3] if n != 1)
    return _("Preview of the centre, {width} x {height} pixels: this method takes {seconds:.1f} s for a slice.").format(
        width=width, height=height, seconds=excerpt.seconds_for_slice
    )
