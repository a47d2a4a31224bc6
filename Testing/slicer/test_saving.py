"""A scene with results, saved as one file and loaded again on real MRML."""

import numpy as np
import pytest

from Testing.slicer.cines import OBLIQUE, Inverse, add_cine, ready_for_sequences, show, speckle
from Testing.slicer.pairs import pixels_of
from Testing.slicer.saving import able_to_read_files


@pytest.fixture
def reloaded(the_module, a_scene, tmp_path):
    """Save the scene as .mrb and read it into a new one."""

    def reloaded():
        import slicer

        keep = able_to_read_files(a_scene, tmp_path)
        assert a_scene.WriteToMRB(str(tmp_path / "scene.mrb"), None)
        other = slicer.vtkMRMLScene()
        ready_for_sequences(other)
        (tmp_path / "cache").mkdir()
        other.keep = (*keep, *able_to_read_files(other, tmp_path / "cache"))
        assert other.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
        return other

    return reloaded


def test_a_result_its_record_and_its_link_to_the_input_survive(the_module, a_scene, reloaded):
    import slicer

    logic = the_module.Speckle2SelfSlicerLogic()
    volume = slicer.util.addVolumeFromArray(speckle((3, 20, 24)), OBLIQUE, "Carotid")
    logic.process(volume, method=Inverse(), strength=0.5)
    logic.close()
    scene = reloaded()
    result = scene.GetFirstNodeByName("Carotid (Speckle2Self)")
    np.testing.assert_allclose(pixels_of(result), 127.5, atol=0.5)
    assert result.GetAttribute("Speckle2Self.Strength") == "0.5"
    assert result.GetAttribute("Speckle2Self.Notice") == "Research use only. Not for diagnosis."
    from Speckle2SelfSlicerLib.results import results_of

    original = scene.GetFirstNodeByName("Carotid")
    assert results_of(original) == [result]
    np.testing.assert_allclose(
        pixels_of(result), (255 - pixels_of(original).astype(int) + pixels_of(original)) / 2, atol=1
    )
    assert result.GetSpacing() == original.GetSpacing()
    assert result.GetOrigin() == original.GetOrigin()  # Slicer's reader may turn left-handed volumes: both alike


def test_a_cine_and_its_result_play_together_after_loading(the_module, a_scene, reloaded):
    logic = the_module.Speckle2SelfSlicerLogic()
    frames = speckle((4, 20, 24))
    _, _, proxy = add_cine(a_scene, frames, "Clip")
    logic.process(proxy, method=Inverse(), wholeSequence=True)
    scene = reloaded()
    browser = scene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode")
    result = scene.GetFirstNode("Clip (Speckle2Self)", "vtkMRMLScalarVolumeNode")
    show(browser, 2)
    np.testing.assert_array_equal(pixels_of(result)[0], 255 - frames[2])
    from Speckle2SelfSlicerLib.results import results_of

    original = scene.GetFirstNode("Clip", "vtkMRMLScalarVolumeNode")
    assert results_of(original) == [result]
    again = logic.process(original, result, method="median", wholeSequence=True)  # and can be replaced
    logic.close()
    assert again is result


def test_a_preview_is_not_saved(the_module, a_scene, reloaded):
    import time

    import slicer

    from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest

    logic = the_module.Speckle2SelfSlicerLogic()
    volume = slicer.util.addVolumeFromArray(speckle((1, 60, 60)), OBLIQUE, "Carotid")
    preview = logic.engine.preview()
    preview.ask(DespeckleRequest(volume, MethodRequest(Inverse())), 0)
    while preview.is_busy:
        preview.advance()
        time.sleep(0.002)
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 2
    logic.close()
    assert reloaded().GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1
