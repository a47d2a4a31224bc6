"""Despeckling of a volume that keeps changing: a stream from a scanner, or a sequence that is being played.

The latest frame wins: while a frame is worked on, newer ones replace each other. Image and pose travel together.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

import vtk

from Speckle2SelfLogic.denoiser import Despeckled, ImageContext
from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfSlicerLib.methods import MethodStore
from Speckle2SelfSlicerLib.planes import choose_axis
from Speckle2SelfSlicerLib.request import MethodRequest
from Speckle2SelfSlicerLib.volumes import (
    METHOD_ATTRIBUTE,
    fill_volume,
    ijk_to_ras_of,
    image_from_volume,
    output_class,
    place_beside,
    show_alike,
    why_unsupported,
)

if TYPE_CHECKING:
    from slicer import vtkMRMLLinearTransformNode, vtkMRMLVolumeNode

PACE_WINDOW_S = 2.0
"""Seconds over which the achieved frame rate is taken."""
CONTEXT_AGE_S = 5.0
"""Seconds after which grey range and sector are looked for again."""


class _Frame(NamedTuple):
    image: UltrasoundImage
    axis: str
    like: vtk.vtkImageData
    extent: tuple[int, ...]
    ijk_to_ras: vtk.vtkMatrix4x4
    pose: vtk.vtkMatrix4x4 | None


class LiveDespeckler:
    """Keeps a volume "<input> (Speckle2Self live)" up to date with a changing input, until `stop`.

    Parameters
    ----------
    volume
        The input.
    how
        The method; it can be replaced while running.
    methods, thread
        Where methods come from, and the thread that they work in.

    Raises
    ------
    UnsupportedImageError
        If the volume cannot be despeckled, for example because no frame has arrived yet.
    """

    def __init__(
        self, volume: vtkMRMLVolumeNode, how: MethodRequest, methods: MethodStore, thread: ThreadPoolExecutor
    ) -> None:
        if obstacle := why_unsupported(volume):
            raise UnsupportedImageError(obstacle)
        self.how = how
        self.output: vtkMRMLVolumeNode | None = None
        self.error: Exception | None = None
        self.frames_shown, self.frames_dropped = 0, 0
        self._volume, self._methods, self._thread = volume, methods, thread
        self._pose_node: vtkMRMLLinearTransformNode | None = None
        self._work: Future[Despeckled] | None = None
        self._frame: _Frame | None = None
        self._context: tuple[tuple[object, ...], float, ImageContext] | None = None
        self._seen_at = self._arrived_at = -1
        self._arrivals = 0
        self._shown_at: deque[float] = deque()
        self._observers = [volume.AddObserver(volume.ImageDataModifiedEvent, self._on_changed)]
        self.is_running = True

    @property
    def frames_per_second(self) -> float:
        """Frames that were shown per second, over the last two seconds."""
        now = time.perf_counter()
        while self._shown_at and now - self._shown_at[0] > PACE_WINDOW_S:
            self._shown_at.popleft()
        if len(self._shown_at) < 2:
            return 0.0
        return (len(self._shown_at) - 1) / (self._shown_at[-1] - self._shown_at[0])

    def advance(self, budget_s: float = 0.0) -> bool:
        """Show a finished frame and take the latest one; return whether a frame was shown. Never raises.

        ``budget_s`` are seconds to wait for a frame that is being worked on.
        """
        if not self.is_running:
            return False
        if self._volume.GetScene() is None:
            self.stop()
            return False
        shown = False
        try:
            if self._work is not None and budget_s:
                wait([self._work], timeout=budget_s)
            if self._work is not None and self._work.done():
                work, self._work = self._work, None
                self._show(work.result(), self._frame)
                shown = True
            if self._work is None and self._changed_at() != self._seen_at:
                self._take()
        except Exception as error:
            self.error = error
            self.stop()
        return shown

    def stop(self) -> None:
        """Stop. The output stays, with the last frame; observers of others are left alone."""
        self.is_running = False
        for tag in self._observers:
            self._volume.RemoveObserver(tag)
        self._observers = []

    def _on_changed(self, _caller: vtk.vtkObject, _event: str) -> None:
        """Count frames; one frame can send several events, and changes in place send none: `advance` looks itself."""
        arrived_at = self._changed_at()
        self._arrivals += arrived_at != self._arrived_at
        self._arrived_at = arrived_at

    def _changed_at(self) -> int:
        """When the pixels last changed: a value that differs after each change, whoever made it and however."""
        image_data = self._volume.GetImageData()
        scalars = None if image_data is None else image_data.GetPointData().GetScalars()
        return -1 if scalars is None else max(image_data.GetMTime(), scalars.GetMTime())

    def _take(self) -> None:
        """Copy the current frame and hand it to the thread."""
        self.frames_dropped += max(self._arrivals - 1, 0) if self._seen_at >= 0 else 0
        self._arrivals = 0
        self._seen_at = self._changed_at()
        volume = self._volume
        transform = volume.GetParentTransformNode()
        pose = None
        if transform is not None and transform.IsTransformToWorldLinear():
            pose = vtk.vtkMatrix4x4()
            transform.GetMatrixTransformToWorld(pose)
        image = image_from_volume(volume)
        like = volume.GetImageData()
        self._frame = _Frame(image, choose_axis(volume).axis, like, like.GetExtent(), ijk_to_ras_of(volume), pose)
        self._work = self._thread.submit(self._despeckle, self._frame, self.how)

    def _despeckle(self, frame: _Frame, how: MethodRequest) -> Despeckled:
        """Work in the thread. No MRML here."""
        denoiser = how.denoiser(self._methods.load(how), how.settings(frame.axis))
        key = (frame.image.pixels.shape, frame.image.pixels.dtype, frame.axis, how.domain, how.dynamic_range_db)
        now = time.perf_counter()
        if self._context is None or self._context[0] != key or now - self._context[1] > CONTEXT_AGE_S:
            self._context = (key, now, denoiser.context_of(frame.image))
        return denoiser.run(frame.image, context=self._context[2])

    def _show(self, despeckled: Despeckled, frame: _Frame) -> None:
        if despeckled.report.skipped:
            self._context = None  # it may have come from a frame without content
        output = self._output_like()
        if self.frames_shown == 0:
            show_alike(self._volume, output)
        fill_volume(output, despeckled.image.pixels, frame.like, frame.ijk_to_ras, frame.extent)
        self._carry_pose(output, frame.pose)
        output.SetAttribute(METHOD_ATTRIBUTE, despeckled.report.method)
        self.frames_shown += 1
        self._shown_at.append(time.perf_counter())

    def _output_like(self) -> vtkMRMLVolumeNode:
        wanted, scene = output_class(self._volume), self._volume.GetScene()
        gone = self.output is None or self.output.GetScene() is None or self.output.GetClassName() != wanted
        if gone:
            name = scene.GenerateUniqueName(f"{self._volume.GetName()} (Speckle2Self live)")
            self.output = scene.AddNewNodeByClass(wanted, name)
            self.frames_shown = 0
            place_beside(self.output, self._volume)
        return self.output

    def _carry_pose(self, output: vtkMRMLVolumeNode, pose: vtk.vtkMatrix4x4 | None) -> None:
        """Place the output where its frame was taken, not where the probe is by now."""
        if pose is None:  # no transform, or one that is no matrix
            output.SetAndObserveTransformNodeID(self._volume.GetTransformNodeID())
            return
        if self._pose_node is None or self._pose_node.GetScene() is None:
            name = f"{output.GetName()} pose"
            self._pose_node = output.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        self._pose_node.SetMatrixTransformToParent(pose)
        output.SetAndObserveTransformNodeID(self._pose_node.GetID())
