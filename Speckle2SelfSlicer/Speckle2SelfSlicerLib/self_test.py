"""What the module tests about itself in Slicer: with an injected method, and with the network if PyTorch is there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBLIQUE_IJK_TO_RAS = ((0, -0.3, 0, 5), (-0.2, 0, 0, 7), (0, 0, 1.5, -9), (0, 0, 0, 1))


class Inverse:
    """A method that leaves no pixel as it was, and needs nothing."""

    name = title = citation = "inverse"

    def despeckle(self, frames_nyx: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the negative."""
        return 1 - frames_nyx


class SelfTest:
    """The tests, to be mixed into the test class of the module's file, which sets `logicClass`."""

    logicClass: type

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        self.logic = self.logicClass()

    def tearDown(self) -> None:
        self.logic.close()

    def test_result_is_a_new_volume_with_the_geometry_and_type_of_the_input(self) -> None:
        pixels = _speckle((3, 40, 50))
        source = slicer.util.addVolumeFromArray(pixels, np.array(OBLIQUE_IJK_TO_RAS, float), "Frames")
        output = self.logic.process(source, method=Inverse())
        matrix = vtk.vtkMatrix4x4()
        output.GetIJKToRASMatrix(matrix)
        np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), OBLIQUE_IJK_TO_RAS)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(output), 255 - pixels)
        np.testing.assert_equal(slicer.util.arrayFromVolume(output).dtype, np.uint8)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(source), pixels)

    def test_a_sequence_gives_a_sequence_in_the_same_browser(self) -> None:
        sequence, browser = self._a_sequence(_speckle((4, 32, 40)))
        result = self.logic.process(sequence, method=Inverse())
        assert result.GetNumberOfDataNodes() == 4
        assert result.GetNthIndexValue(2) == sequence.GetNthIndexValue(2)
        browser.SetSelectedItemNumber(3)
        shown, original = browser.GetProxyNode(result), browser.GetProxyNode(sequence)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(shown), 255 - slicer.util.arrayFromVolume(original))

    def test_a_round_lumen_is_measured_and_drawn(self) -> None:
        from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest

        y, x = np.indices((96, 96))
        mask = (np.hypot(y - 48.3, x - 47.2) < 24)[None].astype(np.uint8)
        matrix = np.diag((-0.25, -0.25, 1.0, 1.0))
        volume = slicer.util.addVolumeFromArray(_speckle((1, 96, 96)), matrix, "Frame")
        labels = slicer.util.addVolumeFromArray(mask, matrix, "Mask", "vtkMRMLLabelMapVolumeNode")
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, segmentation)
        segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
        result = self.logic.engine.measure_vessel(MeasureRequest(volume, segmentation, segment_id)).finish()
        assert abs(result.figures.measured[0].equivalent_diameter.value - 12) < 0.05
        line = result.drawing.nodes["maximum diameter"]
        assert abs(line.GetLineLengthWorld() - 12) < 0.3

    def test_cancelling_leaves_no_node_behind(self) -> None:
        from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest
        from Speckle2SelfSlicerLib.run import RunState

        source = slicer.util.addVolumeFromArray(_speckle((3, 40, 50)), name="Frames")
        run = self.logic.engine.start(DespeckleRequest(source, MethodRequest(Inverse())))
        run.cancel()
        while not run.advance():
            pass
        assert run.state is RunState.CANCELLED
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1

    def test_the_default_network_runs_if_pytorch_is_installed(self) -> None:
        from Speckle2SelfSlicerLib.installation import TorchState, torch_state

        if torch_state() is not TorchState.READY:
            logging.info("Speckle2Self: the network was not tested, because PyTorch is not installed.")
            return
        pixels = _speckle((1, 64, 64))
        source = slicer.util.addVolumeFromArray(pixels, name="Frame")
        output = slicer.util.arrayFromVolume(self.logic.process(source))
        assert output.std() < 0.8 * pixels.std()
        assert abs(output.mean() / pixels.mean() - 1) < 0.1

    def _a_sequence(
        self, frames_nyx: NDArray[np.uint8]
    ) -> tuple[slicer.vtkMRMLSequenceNode, slicer.vtkMRMLSequenceBrowserNode]:
        sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Cine")
        frame = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Frame")
        for number, frame_yx in enumerate(frames_nyx):
            slicer.util.updateVolumeFromArray(frame, frame_yx[None])
            sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Cine browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        return sequence, browser


def _speckle(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).rayleigh(60, shape).clip(1, 254).astype(np.uint8)
