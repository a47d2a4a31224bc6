"""Cines as sequences on real MRML: frames, index values, geometry, proxies, saving and loading."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import CancelledError, SettingsError, UnsupportedImageError
from Testing.slicer.cines import Inverse, Patient, add_cine, ready_for_sequences, show, speckle, update
from Testing.slicer.pairs import ijk_to_ras_of, pixels_of


@pytest.fixture
def a_cine(a_logic, a_scene):
    return add_cine(a_scene, speckle((4, 24, 30)))


def test_a_sequence_gives_a_sequence_in_the_same_browser_with_the_same_index(a_logic, a_cine):
    sequence, browser, _ = a_cine
    show(browser, 2)
    result = a_logic.process(sequence, method=Inverse())
    assert browser.IsSynchronizedSequenceNode(result)
    assert [result.GetNthIndexValue(n) for n in range(4)] == [sequence.GetNthIndexValue(n) for n in range(4)]
    assert (result.GetIndexName(), result.GetIndexUnit()) == ("time", "s")
    assert result.GetName() == "Cine (Speckle2Self)"
    assert browser.GetSelectedItemNumber() == 2  # the user's view of the cine has not moved
    for number in range(4):
        np.testing.assert_array_equal(pixels_of(result.GetNthDataNode(number))[0], 255 - speckle((4, 24, 30))[number])
        np.testing.assert_array_equal(pixels_of(sequence.GetNthDataNode(number))[0], speckle((4, 24, 30))[number])


def test_the_proxy_follows_the_browser_and_keeps_its_name_record_and_window(a_logic, a_cine):
    sequence, browser, proxy = a_cine
    proxy.GetDisplayNode().SetAutoWindowLevel(False)
    proxy.GetDisplayNode().SetWindowLevel(90, 44)
    shown = browser.GetProxyNode(a_logic.process(sequence, method=Inverse()))
    assert shown.GetName() == f"{proxy.GetName()} (Speckle2Self)"
    for number in (3, 0, 1):
        show(browser, number)
        np.testing.assert_array_equal(pixels_of(shown)[0], 255 - speckle((4, 24, 30))[number])
        assert shown.GetName() == f"{proxy.GetName()} (Speckle2Self)"
        assert shown.GetAttribute("Speckle2Self.Method") == "inverse"
        assert (shown.GetDisplayNode().GetWindow(), shown.GetDisplayNode().GetLevel()) == (90, 44)
    from Speckle2SelfSlicerLib.results import results_of

    assert results_of(proxy) == [shown]


def test_every_frame_keeps_its_own_geometry_and_the_proxy_its_parent_transform(a_logic, a_scene):
    matrices = [np.array([[0, -0.3, 0, n], [-0.2, 0, 0, 7], [0, 0, 1.5, -9.0 * n], [0, 0, 0, 1.0]]) for n in range(3)]
    sequence, browser, proxy = add_cine(a_scene, speckle((3, 20, 22)), matrices=matrices)
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Probe")
    proxy.SetAndObserveTransformNodeID(transform.GetID())
    result = a_logic.process(sequence, method=Inverse())
    for number in range(3):
        np.testing.assert_allclose(ijk_to_ras_of(result.GetNthDataNode(number)), matrices[number])
    assert browser.GetProxyNode(result).GetTransformNodeID() == transform.GetID()


def test_rgb_frames_stay_rgb_and_a_cine_of_one_frame_works(a_logic, a_scene):
    frames = speckle((1, 20, 24))[..., None].repeat(3, axis=3)
    sequence, browser, _ = add_cine(a_scene, frames)
    shown = browser.GetProxyNode(a_logic.process(sequence, method=Inverse()))
    assert shown.GetClassName() == "vtkMRMLVectorVolumeNode"
    np.testing.assert_allclose(pixels_of(shown)[0].astype(int), 255 - frames[0].astype(int), atol=1)


def test_the_proxy_stands_for_the_current_frame_or_for_the_whole_sequence(a_logic, a_scene, a_cine):
    sequence, browser, proxy = a_cine
    show(browser, 1)
    frame = a_logic.process(proxy, method=Inverse())
    assert frame.GetName() == f"{proxy.GetName()} frame 1 (Speckle2Self)"
    np.testing.assert_array_equal(pixels_of(frame)[0], 255 - speckle((4, 24, 30))[1])
    show(browser, 3)  # the result is a volume of its own: it stays
    np.testing.assert_array_equal(pixels_of(frame)[0], 255 - speckle((4, 24, 30))[1])
    whole = a_logic.process(proxy, method=Inverse(), wholeSequence=True)
    assert browser.GetSequenceNode(whole) is not sequence
    assert browser.GetSequenceNode(whole).GetNumberOfDataNodes() == 4
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 2


def test_an_earlier_result_can_be_replaced_and_nothing_else(a_logic, a_scene, a_cine):
    _, browser, proxy = a_cine
    shown = a_logic.process(proxy, method=Inverse(), wholeSequence=True)
    again = a_logic.process(proxy, shown, method="median", wholeSequence=True)
    assert again is shown
    assert shown.GetAttribute("Speckle2Self.Method") == "median"
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 2
    result = browser.GetSequenceNode(shown)
    assert pixels_of(result.GetNthDataNode(2)).std() < 0.6 * speckle((4, 24, 30))[2].std()
    with pytest.raises(SettingsError, match="would overwrite its source"):
        a_logic.process(proxy, proxy, method=Inverse(), wholeSequence=True)
    other = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Plain")
    with pytest.raises(SettingsError, match="'Plain' is no earlier result for the sequence 'Cine'"):
        a_logic.process(proxy, other, method=Inverse(), wholeSequence=True)
    _, _, foreign = add_cine(a_scene, speckle((2, 9, 9)), "Other")
    with pytest.raises(SettingsError, match="is no earlier result"):
        a_logic.process(proxy, foreign, method=Inverse(), wholeSequence=True)


def test_frames_of_different_size_are_named(a_logic, a_scene):
    sequence, _, _ = add_cine(a_scene, [speckle((20, 24)), speckle((20, 23))])
    with pytest.raises(UnsupportedImageError, match=r"Frame 1 of 'Cine' has 1 x 20 x 23 .* one by one"):
        a_logic.process(sequence, method=Inverse())
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 1


def test_a_sequence_without_browser_says_what_to_do(a_logic, a_scene):
    ready_for_sequences(a_scene)
    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Loose")
    with pytest.raises(SettingsError, match="'Loose' has no browser"):
        a_logic.process(sequence, method=Inverse())


def test_cancelling_or_deleting_while_running_leaves_no_trace(a_logic, a_scene, a_cine):
    from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest
    from Speckle2SelfSlicerLib.run import RunState

    sequence, _, proxy = a_cine
    before = a_scene.GetNumberOfNodes()
    for interrupt in ("cancel", "delete"):
        method = Patient()
        run = a_logic.engine.start(DespeckleRequest(proxy, MethodRequest(method), whole_sequence=True))
        while run.state is RunState.READING:
            run.advance(0.001)
        method.go_on.release()
        while not method.frames:
            run.advance(0.001)
        if interrupt == "cancel":
            run.cancel()
        else:
            a_scene.RemoveNode(sequence)
            before = a_scene.GetNumberOfNodes()
            run.advance(0.001)
        method.go_on.release(3)
        with pytest.raises(CancelledError, match="nothing was changed" if interrupt == "cancel" else "was deleted"):
            run.finish()
        assert run.state is RunState.CANCELLED
        assert method.frames < 4
        assert a_scene.GetNumberOfNodes() == before


def test_the_result_is_saved_and_loaded_as_one_nrrd_file(a_logic, a_cine, tmp_path):
    import slicer

    result = a_logic.process(a_cine[0], method=Inverse())
    assert result.GetStorageNode().GetClassName() == "vtkMRMLVolumeSequenceStorageNode"
    path = tmp_path / "result.seq.nrrd"
    result.GetStorageNode().SetFileName(str(path))
    assert result.GetStorageNode().WriteData(result)
    loaded = slicer.vtkMRMLSequenceNode()
    storage = slicer.vtkMRMLVolumeSequenceStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(loaded)
    assert loaded.GetNumberOfDataNodes() == 4
    np.testing.assert_array_equal(pixels_of(loaded.GetNthDataNode(3))[0], 255 - speckle((4, 24, 30))[3])
    np.testing.assert_allclose(ijk_to_ras_of(loaded.GetNthDataNode(3)), np.diag((-0.2, -0.3, 1, 1)), atol=1e-9)


@pytest.mark.parametrize("kind", ["text", "fine"])
def test_frames_with_text_or_very_close_index_values_stay_apart(a_logic, a_scene, kind):
    frames = speckle((4, 24, 30))
    sequence, _, _ = add_cine(a_scene, frames)
    values = {"text": ["first", "second", "third", "fourth"], "fine": [f"{n * 1e-5:.5f}" for n in range(4)]}[kind]
    other = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Other")
    if kind == "text":
        other.SetIndexType(other.TextIndex)
    else:
        other.SetNumericIndexValueTolerance(1e-7)
    for number, value in enumerate(values):
        other.SetDataNodeAtValue(sequence.GetNthDataNode(number), value)
    own = a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Own")
    own.SetAndObserveMasterSequenceNodeID(other.GetID())
    update(own)
    result = a_logic.process(other, method=Inverse())
    assert [result.GetNthIndexValue(number) for number in range(4)] == values
    for number in range(4):
        np.testing.assert_array_equal(pixels_of(result.GetNthDataNode(number))[0], 255 - frames[number])
