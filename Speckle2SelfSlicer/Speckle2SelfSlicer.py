"""The Slicer module "Speckle2Self": what Slicer looks for by name. The work is done by the core, reached through the logic."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from Speckle2SelfSlicerLib.core_path import make_core_importable

if TYPE_CHECKING:
    from Speckle2SelfLogic.runtime import FrameDespeckler


class Speckle2SelfSlicer(ScriptedLoadableModule):
    """What the module selector and the help tab show."""

    def __init__(self, parent: slicer.qSlicerScriptedLoadableModule) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Speckle2Self")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Ultrasound")]
        parent.dependencies = []
        parent.contributors = ["Speckle2Self developers"]
        parent.helpText = _(
            "<p>Removes speckle from ultrasound B-mode volumes, slice by slice, into a new volume with the same geometry, "
            "data type and window/level.</p><p><b>Research use only. Not for diagnosis.</b> Always look at the original "
            "beside the despeckled image.</p>"
        )
        parent.acknowledgementText = _(
            "If you use this module, please cite the method: X. Li, N. Navab, Z. Jiang. Speckle2Self: Self-supervised "
            "ultrasound speckle reduction without clean data. Medical Image Analysis, 2025, 103755. "
            "doi:10.1016/j.media.2025.103755"
        )


class Speckle2SelfSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: choose a volume, Apply."""

    def __init__(self, parent: slicer.qMRMLWidget | None = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/Speckle2SelfSlicer.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = Speckle2SelfSlicerLogic()
        for name, title in self.logic.methodTitles().items():
            self.ui.methodComboBox.addItem(title, name)
        self.ui.statusLabel.text = self.logic.researchNotice()
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onInputChanged)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.onInputChanged(self.ui.inputSelector.currentNode())

    def cleanup(self) -> None:
        self.removeObservers()

    def onReload(self) -> None:
        packages = ("Speckle2SelfSlicerLib", "Speckle2SelfLogic")
        for name in [name for name in sys.modules if name.split(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onInputChanged(self, volume: slicer.vtkMRMLVolumeNode | None) -> None:
        self.removeObservers(self.updateApplyButton)
        if volume is not None:  # a node can get its pixels after it was chosen
            self.addObserver(volume, vtk.vtkCommand.ModifiedEvent, self.updateApplyButton)
        self.updateApplyButton()

    def updateApplyButton(self, _caller: vtk.vtkObject | None = None, _event: str = "") -> None:
        obstacle = self.logic.whyNotReady(self.ui.inputSelector.currentNode())
        self.ui.applyButton.enabled = not obstacle
        self.ui.applyButton.toolTip = obstacle or _("Despeckle the chosen volume into a new one.")

    def onApply(self, _checked: bool = False) -> None:
        method = self.ui.methodComboBox.itemData(self.ui.methodComboBox.currentIndex)
        strength = self.ui.strengthSlider.value
        with slicer.util.tryWithErrorDisplay(_("The volume was not despeckled."), waitCursor=True):
            output = self.logic.process(self.ui.inputSelector.currentNode(), method=method, strength=strength)
            slicer.util.setSliceViewerLayers(background=output)
            summary = output.GetAttribute("Speckle2Self.Summary")
            self.ui.statusLabel.text = f"{output.GetName()}: {summary}\n{self.logic.researchNotice()}"


class Speckle2SelfSlicerLogic(ScriptedLoadableModuleLogic):
    """Everything without a panel, for scripts and batch jobs."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        make_core_importable()

    def researchNotice(self) -> str:
        from Speckle2SelfLogic import RESEARCH_USE

        return _(RESEARCH_USE)

    def methodTitles(self) -> dict[str, str]:
        """Return every method's title by its name, the default model first."""
        from Speckle2SelfSlicerLib.methods import method_titles

        return method_titles()

    def whyNotReady(self, inputVolume: slicer.vtkMRMLVolumeNode | None) -> str:
        """Return why a volume cannot be despeckled, or nothing."""
        from Speckle2SelfSlicerLib.volumes import why_unsupported

        return why_unsupported(inputVolume)

    def process(
        self,
        inputVolume: slicer.vtkMRMLVolumeNode,
        outputVolume: slicer.vtkMRMLVolumeNode | None = None,
        method: str | FrameDespeckler | None = None,
        strength: float = 1.0,
    ) -> slicer.vtkMRMLVolumeNode:
        """Despeckle a scalar or RGB volume slice by slice and return the volume with the result.

        :param outputVolume: takes the result, never the input itself; left out: a new "<input> (Speckle2Self)".
        :param method: a model, classical filter or weight file by name, or an object; left out: the default model.
        :param strength: 0 keeps the input bit for bit, 1 is the method's full answer.
        """
        from Speckle2SelfSlicerLib.volumes import despeckle_volume

        output = despeckle_volume(inputVolume, outputVolume, method, strength)
        logging.info("Speckle2Self: %s: %s", output.GetName(), output.GetAttribute("Speckle2Self.Summary"))
        return output


class Speckle2SelfSlicerTest(ScriptedLoadableModuleTest):
    """The self-test that runs inside Slicer, without torch."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_despeckled_volume_keeps_geometry_type_and_input()

    def test_despeckled_volume_keeps_geometry_type_and_input(self) -> None:
        ...
