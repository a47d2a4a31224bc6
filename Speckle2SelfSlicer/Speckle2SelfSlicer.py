"""The Slicer module "Speckle2Self": the classes that Slicer looks for by name. The library does the work."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from Speckle2SelfSlicerLib.core_path import make_core_importable
from Speckle2SelfSlicerLib.sample_data import register_sample_data
from Speckle2SelfSlicerLib.self_test import SelfTest

if TYPE_CHECKING:
    from Speckle2SelfLogic.runtime import FrameDespeckler
    from Speckle2SelfSlicerLib.parameters import Speckle2SelfParameters


class Speckle2SelfSlicer(ScriptedLoadableModule):
    def __init__(self, parent: slicer.qSlicerScriptedLoadableModule) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Speckle2Self")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Ultrasound")]
        parent.dependencies = []
        parent.contributors = ["Speckle2Self developers"]
        parent.helpText = _(
            "<p>Removes speckle from ultrasound volumes and cines, slice by slice, into a new volume with the same "
            "geometry, data type and window/level. Choose the input, press Apply, compare.</p><p><b>Research use only. "
            "Not for diagnosis.</b> Speckle reduction can remove faint structures: always look at the original beside "
            "the despeckled image.</p>"
        )
        parent.acknowledgementText = _(
            "If you use this module, please cite its method: X. Li, N. Navab, Z. Jiang. Speckle2Self: Self-supervised "
            "ultrasound speckle reduction without clean data. Medical Image Analysis, 2025, 103755. "
            "doi:10.1016/j.media.2025.103755. This software is an independent implementation."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


class Speckle2SelfSlicerWidget(ScriptedLoadableModuleWidget):
    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = Speckle2SelfSlicerLogic()
        from Speckle2SelfSlicerLib.panel import Panel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/Speckle2SelfSlicer.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.panel = Panel(self.ui, self.logic.engine, self.logic)
        if getattr(self.parent, "isEntered", False):  # reloaded while it is shown
            self.panel.enter()

    def cleanup(self) -> None:
        self.panel.close()
        self.logic.close()

    def enter(self) -> None:
        self.panel.enter()

    def exit(self) -> None:
        self.panel.exit()

    def onReload(self) -> None:
        packages = ("Speckle2SelfSlicerLib", "Speckle2SelfLogic")
        for name in [name for name in sys.modules if name.split(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class Speckle2SelfSlicerLogic(ScriptedLoadableModuleLogic):
    """Everything without a panel, for scripts and batch jobs."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        make_core_importable()
        from Speckle2SelfSlicerLib.engine import Engine

        self.engine = Engine()

    def getParameterNode(self) -> Speckle2SelfParameters:
        from Speckle2SelfSlicerLib.parameters import Speckle2SelfParameters

        return Speckle2SelfParameters(ScriptedLoadableModuleLogic.getParameterNode(self))

    def process(
        self,
        inputVolume: slicer.vtkMRMLVolumeNode | slicer.vtkMRMLSequenceNode,
        outputVolume: slicer.vtkMRMLVolumeNode | None = None,
        method: str | FrameDespeckler | None = None,
        strength: float = 1.0,
        *,
        wholeSequence: bool = False,
        sliceAxis: str = "auto",
        device: str = "auto",
        keepOverlays: bool = True,
        domain: str = "bmode",
        dynamicRange: float | None = None,
        region: slicer.vtkMRMLNode | None = None,
        segmentID: str = "",
        interactive: bool = False,
    ) -> slicer.vtkMRMLVolumeNode | slicer.vtkMRMLSequenceNode:
        """Despeckle a scalar or RGB volume slice by slice, or a sequence, and return the node that holds the result.

        :param inputVolume: a volume; a sequence node stands for all of its frames and gives a sequence node.
        :param outputVolume: takes the result (an empty volume or an earlier result); left out: a new node
          "<input> (Speckle2Self)".
        :param method: a model, classical filter or weight file by name, or an object; left out: the default model.
        :param strength: 0 keeps the input bit for bit, 1 is the method's full answer.
        :param wholeSequence: for the proxy volume of a sequence, whether all frames are meant.
        :param sliceAxis: "auto", or "z", "y", "x" for slices along K, J, I.
        :param device: "auto", "cuda" or "cpu".
        :param keepOverlays: whether coloured overlays (calipers, Doppler, text) keep their pixels.
        :param domain: "bmode", or "envelope" or "log-envelope", whose ``dynamicRange`` in dB is needed.
        :param region: segmentation or ROI node outside of which nothing changes, with ``segmentID`` if needed.
        :param interactive: whether it may ask (for example to install PyTorch) and keep the window alive.
        :raises Speckle2SelfError: in one sentence, if something cannot be done.
        """
        from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest
        from Speckle2SelfSlicerLib.sequences import cine_of, resolve_sequence

        volume, sequence = resolve_sequence(inputVolume)
        output, _none = resolve_sequence(outputVolume)
        how = MethodRequest.of(method, strength, device, keepOverlays, domain, dynamicRange)
        whole = wholeSequence or sequence is not None
        request = DespeckleRequest(volume, how, output, whole, sliceAxis, region, segmentID)
        if interactive:
            self.engine.prepare(how, slicer.util.confirmOkCancelDisplay, logging.info)
        output = self.engine.start(request).finish(slicer.app.processEvents if interactive else None)
        return output if sequence is None else cine_of(output).sequence

    def close(self) -> None:
        """End the thread that methods work in."""
        self.engine.close()


class Speckle2SelfSlicerTest(SelfTest, ScriptedLoadableModuleTest):
    """Runs inside Slicer, without PyTorch and with it; the tests are those of `SelfTest`."""

    logicClass = Speckle2SelfSlicerLogic
