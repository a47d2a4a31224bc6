"""Method and output: which method, how strong, on which device, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfLogic.plain_errors import is_file
from Speckle2SelfLogic.weights import DEFAULT_MODEL
from Speckle2SelfSlicerLib.faster_runtimes import helps_on
from Speckle2SelfSlicerLib.installation import device_hint
from Speckle2SelfSlicerLib.methods import describe_method, method_titles, needs_torch
from Speckle2SelfSlicerLib.panel.labels import set_text
from Speckle2SelfSlicerLib.panel.segment_choice import SegmentChoice
from Speckle2SelfSlicerLib.planes import IJK, choose_axis
from Speckle2SelfSlicerLib.regions import why_unusable
from Speckle2SelfSlicerLib.request import MethodRequest
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    import slicer

    from Speckle2SelfSlicerLib.panel.panel import Panel

FROM_FILE = "file"


class MethodSection:
    """The section "Method and output"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._segment = SegmentChoice(panel.ui.segmentLabel, panel.ui.segmentComboBox, self._on_segment)
        combo = panel.ui.methodComboBox
        for name, title in {**method_titles(), FROM_FILE: _("Network from a file of weights...")}.items():
            combo.addItem(title, name)
        combo.connect("currentIndexChanged(int)", self._on_method)
        panel.ui.installRuntimeButton.connect("clicked(bool)", lambda _checked=False: panel.install_faster_runtimes())
        panel.ui.deviceComboBox.toolTip = _("Where networks run.") + " " + device_hint()

    def how(self) -> MethodRequest:
        """Return the method that the panel asks for."""
        parameters = self._panel.parameters
        method = str(parameters.modelFile) if parameters.method == FROM_FILE else parameters.method
        return MethodRequest(
            method,
            parameters.strength,
            parameters.device.value,
            parameters.keepOverlays,
            parameters.domain.value,
            parameters.dynamicRange,
        )

    def segment_id(self) -> str:
        """Return the segment outside of which nothing changes."""
        return "" if self._panel.parameters.region is None else self._panel.parameters.segment

    def why_not(self) -> str:
        """Return one sentence that says why the method cannot run, or nothing."""
        parameters = self._panel.parameters
        if parameters.method == FROM_FILE and not is_file(parameters.modelFile):
            return _("Choose a file of weights in 'Method and output', or another method.")
        if parameters.region is not None:
            return why_unusable(parameters.region, self.segment_id(), self._panel.volume)
        return ""

    def refresh(self) -> None:
        """Show the parameters that are not bound to a widget, and what follows from them."""
        ui, parameters = self._panel.ui, self._panel.parameters
        if parameters is None:
            return
        index = ui.methodComboBox.findData(parameters.method)
        if index < 0:  # a scene from a computer with other models
            self._panel.say(_("There is no method '{name}' here.").format(name=parameters.method))
            parameters.method, index = DEFAULT_MODEL, ui.methodComboBox.findData(DEFAULT_MODEL)
        ui.methodComboBox.currentIndex = index
        from_file = parameters.method == FROM_FILE
        ui.modelFileLabel.visible = ui.modelFileLineEdit.visible = from_file
        set_text(ui.methodInfoLabel, "" if from_file else describe_method(parameters.method))
        self._show_faster_runtimes()
        self._segment.show(parameters.region, parameters.segment)
        volume = self._panel.volume
        automatic = parameters.sliceAxis.value == "auto" and not why_unsupported(volume)
        set_text(ui.sliceAxisInfoLabel, _axis_sentence(volume) if automatic else "")

    def tick(self) -> bool:
        """Nothing runs here."""
        return False

    def stop(self) -> None:
        """Nothing runs here."""

    def _show_faster_runtimes(self) -> None:
        """Offer faster runtimes where they are missing and would be used: for networks on the processor."""
        button, parameters = self._panel.ui.installRuntimeButton, self._panel.parameters
        missing = self._panel.engine.faster_runtimes.missing
        button.visible = bool(missing) and needs_torch(parameters.method) and helps_on(parameters.device.value)
        button.enabled = not self._panel.run.is_busy
        button.toolTip = _(
            "Networks can run faster on the processor than with PyTorch. This asks, and then installs {packages}."
        ).format(packages=", ".join(missing))

    def _on_method(self, index: int) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.method = self._panel.ui.methodComboBox.itemData(index)

    def _on_segment(self, segment_id: str) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.segment = segment_id


def _axis_sentence(volume: slicer.vtkMRMLVolumeNode) -> str:
    choice = choose_axis(volume)
    return _("Slices along {axis}: {reason}").format(axis=IJK[choice.axis], reason=choice.reason)
