"""The panel as a whole: one object that knows its sections, the parameters they share, and the clock they run by."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from Speckle2SelfSlicerLib.engine import Engine
from Speckle2SelfSlicerLib.layers import shown_volume
from Speckle2SelfSlicerLib.pair import NodeLink
from Speckle2SelfSlicerLib.panel.compare_section import CompareSection
from Speckle2SelfSlicerLib.panel.continue_section import ContinueSection
from Speckle2SelfSlicerLib.panel.input_section import InputSection
from Speckle2SelfSlicerLib.panel.labels import set_text
from Speckle2SelfSlicerLib.panel.live_section import LiveSection
from Speckle2SelfSlicerLib.panel.method_section import MethodSection
from Speckle2SelfSlicerLib.panel.preview_section import PreviewSection
from Speckle2SelfSlicerLib.panel.quality_section import QualitySection
from Speckle2SelfSlicerLib.panel.run_section import RunSection
from Speckle2SelfSlicerLib.panel.vessel_section import VesselSection
from Speckle2SelfSlicerLib.panel.widget_binding import WidgetBinding
from Speckle2SelfSlicerLib.parameters import Speckle2SelfParameters
from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest
from Speckle2SelfSlicerLib.results import is_of_frame_shown, results_of, suggested_input
from Speckle2SelfSlicerLib.status import StatusLog, explain
from Speckle2SelfSlicerLib.volumes import why_unsupported

WATCHED_NODES = ("region", "qualityRegion", "tissueRegion", "vesselSegmentation", "otherSegmentation", "caliperLine")
"""Parameters whose nodes are drawn after they were chosen."""
OPTIONAL_NODES = ("outputVolume", "profileLine", *WATCHED_NODES)
IDLE_MS = 10
"""Pause between two ticks while there is nothing to wait for."""
WAITED_S = 0.005
"""A tick that took longer has waited for the thread, and let it have Python meanwhile. The next one follows at once:
the event loop keeps Python to itself between two ticks."""


class Panel(VTKObservationMixin):
    """The panel.

    Parameters
    ----------
    ui
        The widgets of ``Speckle2SelfSlicer.ui`` by name.
    engine
        Where runs, previews and live images come from.
    logic
        The module's logic, which has the parameter node.
    """

    def __init__(self, ui: object, engine: Engine, logic: object) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self.engine = ui, engine
        self.parameters: Speckle2SelfParameters | None = None
        self.log = StatusLog()
        self._logic = logic
        self._binding: WidgetBinding | None = None
        self._input: slicer.vtkMRMLVolumeNode | None = None
        self._regions: list[slicer.vtkMRMLNode] = []
        self._refreshing = self._waiting = self._woken = self._preparing = self._closed = False
        self._latest = NodeLink(None)
        self._why_unsupported = ""
        self.input = InputSection(self)
        self.method = MethodSection(self)
        self.preview = PreviewSection(self)
        self.compare = CompareSection(self)
        self.quality = QualitySection(self)
        self.continuation = ContinueSection(self)
        self.vessel = VesselSection(self)
        self.live = LiveSection(self)
        self.run = RunSection(self)
        self._sections = (
            self.input,
            self.method,
            self.preview,
            self.compare,
            self.quality,
            self.continuation,
            self.vessel,
            self.live,
            self.run,
        )
        self._clock = qt.QTimer()
        self._clock.setInterval(0)
        self._clock.connect("timeout()", self.tick)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_closed)
        self.addObserver(scene, scene.StartImportEvent, self._on_import_starts)
        self.addObserver(scene, scene.EndImportEvent, self._on_scene_closed)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_goes)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_nodes_changed)
        self.addObserver(scene, scene.NodeRemovedEvent, self._on_nodes_changed)
        self.addObserver(scene, scene.EndBatchProcessEvent, self._on_nodes_changed)
        for label in (ui.messageLabel, ui.qualityInfoLabel, ui.profileInfoLabel, ui.vesselInfoLabel, ui.liveInfoLabel):
            set_text(label, "")
        self.bind(logic.getParameterNode())

    @property
    def volume(self) -> slicer.vtkMRMLVolumeNode | None:
        """The input."""
        return None if self.parameters is None else self.parameters.inputVolume

    @property
    def result(self) -> slicer.vtkMRMLVolumeNode | None:
        """The latest result of the input."""
        results = [each for each in results_of(self.volume) if is_of_frame_shown(each, self.volume)]
        if self._latest.node in results:
            return self._latest.node
        return results[-1] if results else None

    def remember(self, result: slicer.vtkMRMLVolumeNode) -> None:
        """Keep in mind which result was made last: an earlier one may have been filled anew."""
        self._latest = NodeLink(result)

    def request(self) -> DespeckleRequest:
        """Return what the panel asks for."""
        return DespeckleRequest(
            volume=self.volume,
            how=self.method.how(),
            output=self.parameters.outputVolume,
            whole_sequence=self.parameters.wholeSequence,
            slice_axis=self.parameters.sliceAxis.value,
            region=self.parameters.region,
            segment_id=self.method.segment_id(),
        )

    def bind(self, parameters: Speckle2SelfParameters | None) -> None:
        """Show the parameters of a scene, or none while a scene is being closed."""
        if self.parameters is not None:
            self._binding.end()
            self.removeObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._on_parameters)
        self.parameters = parameters
        if parameters is not None:
            if parameters.inputVolume is None:
                parameters.inputVolume = suggested_input(slicer.mrmlScene, shown_volume(slicer.mrmlScene))
            self._binding = WidgetBinding(parameters, self.ui)
            self.addObserver(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._on_parameters)
        self.refresh()

    def refresh(self) -> None:
        """Let every section show what is possible now."""
        if self._refreshing or self._closed:
            return
        self._refreshing = True
        try:
            self._watch_input()
            self._why_unsupported = why_unsupported(self.volume)
            self._watch_regions()
            for section in self._sections:
                section.refresh()
        finally:
            self._refreshing = False

    def say(self, sentence: str) -> None:
        """Show a sentence below Apply and keep it in the log."""
        self.show(sentence)
        self.log.add(sentence)
        view = self.ui.logTextEdit
        view.plainText = self.log.text
        view.verticalScrollBar().value = view.verticalScrollBar().maximum

    def show(self, sentence: str) -> None:
        """Show a sentence below Apply, for the moment."""
        set_text(self.ui.messageLabel, sentence)

    def ask(self, question: str) -> bool:
        """Ask in a window; the answer is no where nobody can answer, as in automatic tests."""
        return not slicer.app.testingEnabled() and bool(slicer.util.confirmOkCancelDisplay(question))

    def prepare(self, how: MethodRequest) -> bool:
        """Install what a method needs, after asking; return false if something is being installed already.

        Raises what `Engine.prepare` raises.
        """
        return self._install(lambda: self.engine.prepare(how, ask=self.ask, tell=self.announce))

    def install_faster_runtimes(self) -> None:
        """Install the faster runtimes, after asking, and say what came of it."""
        try:
            self._install(lambda: self.engine.install_faster_runtimes(ask=self.ask, tell=self.announce))
        except Exception as error:
            self.fail(error)
        self.refresh()

    def _install(self, install: Callable[[], None]) -> bool:
        """Install one thing at a time: the window takes clicks while pip writes its log."""
        if self._preparing:
            return False
        self._preparing = True
        try:
            install()
        finally:
            self._preparing = False
        return True

    def announce(self, sentence: str) -> None:
        """Say something that must be seen before the window stands still."""
        self.say(sentence)
        slicer.app.processEvents()

    def fail(self, error: BaseException) -> None:
        """Say what went wrong, in one sentence."""
        self.say(explain(error))

    def wake(self) -> None:
        """Start the clock, which runs as long as a section is busy."""
        self._woken = True
        self._clock.start()

    def tick(self) -> None:
        """Let the sections do a little; stop the clock when none is busy."""
        started, self._woken = time.perf_counter(), False
        busy = [section.tick() for section in self._sections]
        if not any(busy) and not self._woken:
            self._clock.stop()
            return
        self._clock.setInterval(0 if time.perf_counter() - started > WAITED_S else IDLE_MS)

    def enter(self) -> None:
        """Take up what changed while another module was shown."""
        if self.parameters is None:
            self.bind(self._logic.getParameterNode())
        elif self.parameters.inputVolume is None:
            self.parameters.inputVolume = suggested_input(slicer.mrmlScene, shown_volume(slicer.mrmlScene))
        self.compare.enable_key(True)
        self.refresh()

    def exit(self) -> None:
        """Give back what other modules may need; a run, a comparison and a live image go on."""
        self.preview.stop()
        self.compare.enable_key(False)

    def close(self) -> None:
        """End everything and let go of the scene."""
        self.compare.release_key()
        self.stop_everything()
        self.bind(None)
        self.removeObservers()
        self._clock.stop()
        self._closed = True  # refreshes that wait in the event loop find no widgets any more

    def stop_everything(self) -> None:
        """Stop run, preview, live image and comparison; the run first, whatever the others do."""
        self.run.stop()
        for section in self._sections:
            section.stop()

    def _watch_input(self) -> None:
        if self.volume is self._input:
            return
        if self._input is not None:
            self.removeObserver(self._input, vtk.vtkCommand.ModifiedEvent, self._on_input_modified)
            self.removeObserver(self._input, self._input.ImageDataModifiedEvent, self._on_input_pixels)
        self._input = self.volume
        if self._input is not None:  # it may get its pixels after it was chosen
            self.addObserver(self._input, vtk.vtkCommand.ModifiedEvent, self._on_input_modified)
            self.addObserver(self._input, self._input.ImageDataModifiedEvent, self._on_input_pixels)

    def _watch_regions(self) -> None:
        """Take up that a region is drawn after it was chosen."""
        names = () if self.parameters is None else WATCHED_NODES
        chosen = (getattr(self.parameters, name) for name in names)
        regions = list(dict.fromkeys(node for node in chosen if node is not None))
        if regions == self._regions:
            return
        for node in self._regions:
            for event in _events_of(node):
                self.removeObserver(node, event, self._on_region)
        for node in regions:
            for event in _events_of(node):
                self.addObserver(node, event, self._on_region)
        self._regions = regions

    def _on_region(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._refresh_soon()

    def _on_parameters(self, _caller: vtk.vtkObject, _event: str) -> None:
        self.refresh()

    def _on_input_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        if why_unsupported(self.volume) != self._why_unsupported:
            self.refresh()
        else:
            self._refresh_soon()

    def _on_input_pixels(self, _caller: vtk.vtkObject, _event: str) -> None:
        self.compare.follow()
        self._refresh_soon()
        self.continuation.follow()
        self.vessel.follow()
        self.preview.ask()

    def _on_nodes_changed(self, _caller: vtk.vtkObject, _event: str) -> None:
        if not slicer.mrmlScene.IsBatchProcessing():
            self._refresh_soon()

    def _refresh_soon(self) -> None:
        """Refresh once when the event loop comes round, however many nodes come and go until then."""
        if self.parameters is not None and not self._waiting:
            self._waiting = True
            qt.QTimer.singleShot(0, self._refresh_at_last)

    def _refresh_at_last(self) -> None:
        self._waiting = False
        self.refresh()

    def _on_import_starts(self, _caller: vtk.vtkObject, _event: str) -> None:
        """Let go of the parameters: selectors fill their lists anew at the end of an import, and would write that."""
        self.bind(None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_goes(self, _caller: vtk.vtkObject, _event: str, node: slicer.vtkMRMLNode) -> None:
        """Choose nothing instead of a node that is deleted: its selector would go on to the next one in the list."""
        for name in OPTIONAL_NODES:
            if self.parameters is not None and getattr(self.parameters, name) is node:
                setattr(self.parameters, name, None)

    def _on_scene_closes(self, _caller: vtk.vtkObject, _event: str) -> None:
        self.stop_everything()
        self.bind(None)

    def _on_scene_closed(self, _caller: vtk.vtkObject, _event: str) -> None:
        self.bind(self._logic.getParameterNode())


def _events_of(region: slicer.vtkMRMLNode) -> tuple[int, ...]:
    """Return the events of a region that may make it usable, or not any more."""
    if not region.IsA("vtkMRMLSegmentationNode"):
        return (vtk.vtkCommand.ModifiedEvent, region.PointModifiedEvent)
    segments = slicer.vtkSegmentation
    return (
        vtk.vtkCommand.ModifiedEvent,
        segments.SegmentAdded,
        segments.SegmentRemoved,
        segments.SegmentModified,
        segments.SourceRepresentationModified,
    )
