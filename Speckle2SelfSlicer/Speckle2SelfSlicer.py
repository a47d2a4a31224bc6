"""The Slicer module "Speckle2Self": the classes that Slicer looks for by name. The core does the work."""

from __future__ import annotations

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
    def __init__(self, parent: slicer.qSlicerScriptedLoadableModule) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Speckle2Self")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Ultrasound")]
        parent.contributors = ["Speckle2Self developers"]
        parent.helpText = _(
            "<p>Removes speckle from ultrasound B-mode volumes, slice by slice, into a new volume with the same "
            "geometry, data type and window/level.</p><p><b>Research use only. Not for diagnosis.</b> Always look at "
            "the original beside the despeckled volume.</p>"
        )
        parent.acknowledgementText = _(
            "If you use this module, please cite its method: X. Li, N. Navab, Z. Jiang. Speckle2Self: Self-supervised "
            "ultrasound speckle reduction without clean data. Medical Image Analysis, 2025, 103755. "
            "doi:10.1016/j.media.2025.103755"
        )


class Speckle2SelfSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
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
        from Speckle2SelfSlicerLib.methods import method_titles

        for name, title in method_titles().items():
            self.ui.methodComboBox.addItem(title, name)
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
        if volume is not None:  # it may get its pixels after it was chosen
            self.addObserver(volume, vtk.vtkCommand.ModifiedEvent, self.updateApplyButton)
        self.updateApplyButton()

    def updateApplyButton(self, _caller: vtk.vtkObject | None = None, _event: str = "") -> None:
        from Speckle2SelfSlicerLib.volumes import why_unsupported

        obstacle = why_unsupported(self.ui.inputSelector.currentNode())
        self.ui.applyButton.enabled = not obstacle
        self.ui.applyButton.toolTip = obstacle or _("Despeckle the input into a new volume.")

    def onApply(self, _checked: bool = False) -> None:
        method = self.ui.methodComboBox.itemData(self.ui.methodComboBox.currentIndex)
        with slicer.util.tryWithErrorDisplay(_("The volume was not despeckled."), waitCursor=True):
            strength = self.ui.strengthSlider.value
            output = self.logic.process(self.ui.inputSelector.currentNode(), method=method, strength=strength)
            slicer.util.setSliceViewerLayers(background=output)
            self.ui.statusLabel.text = f"{output.GetName()}: {output.GetAttribute('Speckle2Self.Summary')}"


class Speckle2SelfSlicerLogic(ScriptedLoadableModuleLogic):
    """Everything without a panel, for scripts and batch jobs."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        make_core_importable()

    def process(
        self,
        inputVolume: slicer.vtkMRMLVolumeNode,
        outputVolume: slicer.vtkMRMLVolumeNode | None = None,
        method: str | FrameDespeckler | None = None,
        strength: float = 1.0,
    ) -> slicer.vtkMRMLVolumeNode:
        """Despeckle a scalar or RGB volume slice by slice and return the volume that holds the result.

        :param outputVolume: takes the result, never the input itself; left out: a new "<input> (Speckle2Self)".
        :param method: a model, classical filter or weight file by name, or an object; left out: the default model.
        :param strength: 0 keeps the input bit for bit, 1 is the method's full answer.
        """
        from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
        from Speckle2SelfSlicerLib import methods, volumes

        source = volumes.image_from_volume(inputVolume)
        volumes.check_output(inputVolume, outputVolume)
        denoiser = Denoiser(methods.resolve(method), DenoiseSettings(strength=strength))
        result, report = denoiser.run(source)
        return volumes.write_volume(result, inputVolume, outputVolume, methods.record(report))


class Speckle2SelfSlicerTest(ScriptedLoadableModuleTest):
    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def test_result_is_a_new_volume_with_the_geometry_and_type_of_the_input(self) -> None:
        import numpy as np

        class Inverse:
            name = title = citation = "inverse"

            def despeckle(self, frames_nyx: np.ndarray) -> np.ndarray:
                return 1 - frames_nyx

        pixels = np.random.default_rng(0).integers(1, 255, (3, 40, 50)).astype(np.uint8)
        ijkToRAS = np.array([[0, -0.3, 0, 5], [-0.2, 0, 0, 7], [0, 0, 1.5, -9], [0, 0, 0, 1]])
        source = slicer.util.addVolumeFromArray(pixels, ijkToRAS, "Frames")
        output = Speckle2SelfSlicerLogic().process(source, method=Inverse())
        outputToRAS = vtk.vtkMatrix4x4()
        output.GetIJKToRASMatrix(outputToRAS)
        np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(outputToRAS), ijkToRAS)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(output), 255 - pixels)
        np.testing.assert_equal(slicer.util.arrayFromVolume(output).dtype, np.uint8)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(source), pixels)
