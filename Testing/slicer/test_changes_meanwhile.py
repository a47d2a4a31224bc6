"""What goes on around a run: inputs that change, results given as outputs, frames that move on, methods that fail."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError, Speckle2SelfError, UnsupportedImageError
from Testing.slicer.cines import OBLIQUE, Inverse, Patient, add_cine, show, speckle
from Testing.slicer.pairs import ijk_to_ras_of, pixels_of

SHAPE = (4, 24, 30)


def add(pixels, name="V"):
    import slicer

    return slicer.util.addVolumeFromArray(pixels, name=name)


def sweep(scene):
    matrices = [np.array([[-0.2, 0, 0, n], [0, -0.3, 0, 7], [0, 0, 1.0, 10 * n], [0, 0, 0, 1]]) for n in range(4)]
    return *add_cine(scene, speckle(SHAPE), matrices=matrices), matrices


def started(logic, volume, **kwargs):
    from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest
    from Speckle2SelfSlicerLib.run import RunState

    method = Patient()
    run = logic.engine.start(DespeckleRequest(volume, MethodRequest(method), **kwargs))
    while run.state is RunState.READING:
        run.advance(0.001)
    method.go_on.release(99)
    return run


def test_a_result_has_name_and_geometry_of_the_frame_that_was_read(a_logic, a_scene):
    _, browser, proxy, matrices = sweep(a_scene)
    show(browser, 1)
    run = started(a_logic, proxy)
    show(browser, 3)
    result = run.finish()
    np.testing.assert_array_equal(pixels_of(result)[0], 255 - speckle(SHAPE)[1])
    np.testing.assert_allclose(ijk_to_ras_of(result), matrices[1])
    assert result.GetName() == "Cine frame 1 (Speckle2Self)"


@pytest.mark.parametrize("change", ["other size", "no pixels"])
def test_an_input_that_gets_other_pixels_while_running_is_survived(a_logic, a_scene, change):
    import slicer

    volume = add(speckle((3, 24, 30)))
    run = started(a_logic, volume)
    if change == "other size":
        slicer.util.updateVolumeFromArray(volume, speckle((6, 24, 30)))
        np.testing.assert_array_equal(pixels_of(run.finish()), 255 - speckle((3, 24, 30)))
    else:
        volume.SetAndObserveImageData(None)
        with pytest.raises(UnsupportedImageError, match="'V' changed while it was despeckled"):
            run.finish()


def test_a_large_input_that_grows_while_running_gives_no_uninitialised_slices(a_logic, a_scene):
    import slicer

    volume = add(speckle((3, 2100, 4100)))
    run = started(a_logic, volume)
    slicer.util.updateVolumeFromArray(volume, speckle((6, 2100, 4100)))
    assert pixels_of(run.finish()).shape == (3, 2100, 4100)


def test_pixels_that_change_while_they_are_read_are_refused(a_logic, a_scene):
    import slicer

    from Speckle2SelfSlicerLib.volumes import read_volume

    volume = add(np.full((8, 2100, 2100), 10, np.uint8))
    steps = read_volume(volume)
    next(steps)
    pixels_of(volume)[:] = 77
    slicer.util.arrayFromVolumeModified(volume)
    with pytest.raises(UnsupportedImageError, match="got other pixels while it was read"):
        list(steps)


@pytest.mark.parametrize("change", ["remove first", "add last", "resize"])
def test_a_sequence_that_changes_while_running_is_refused(a_logic, a_scene, change):
    import slicer

    sequence, _, proxy = add_cine(a_scene, speckle(SHAPE))
    run = started(a_logic, proxy, whole_sequence=True)
    if change == "remove first":
        sequence.RemoveDataNodeAtValue(sequence.GetNthIndexValue(0))
    elif change == "add last":
        sequence.SetDataNodeAtValue(sequence.GetNthDataNode(0), "9")
    else:
        slicer.util.updateVolumeFromArray(sequence.GetNthDataNode(2), speckle((1, 10, 30)))
    nodes = a_scene.GetNumberOfNodes()
    with pytest.raises(UnsupportedImageError, match="'Cine' changed while it was despeckled"):
        run.finish()
    assert a_scene.GetNumberOfNodes() == nodes


def test_a_result_loses_the_frames_that_its_source_lost(a_logic, a_scene):
    sequence, browser, proxy = add_cine(a_scene, speckle(SHAPE))
    shown = a_logic.process(proxy, method=Inverse(), wholeSequence=True)
    sequence.RemoveDataNodeAtValue(sequence.GetNthIndexValue(1))
    a_logic.process(proxy, shown, method=Inverse(), wholeSequence=True)
    result = browser.GetSequenceNode(shown)
    values = [[each.GetNthIndexValue(n) for n in range(each.GetNumberOfDataNodes())] for each in (sequence, result)]
    assert values[0] == values[1]


def test_what_shows_a_sequence_or_belongs_to_another_input_takes_no_volume(a_logic, a_scene):
    _, _, proxy = add_cine(a_scene, speckle(SHAPE))
    shown = a_logic.process(proxy, method=Inverse(), wholeSequence=True)
    first, second = add(speckle((2, 9, 9)), "A"), add(speckle((3, 8, 7)), "B")
    for volume in (proxy, first):
        with pytest.raises(SettingsError, match="shows the frames of a sequence"):
            a_logic.process(volume, shown, method=Inverse())
    result = a_logic.process(first, method=Inverse())
    with pytest.raises(SettingsError, match=r"'A \(Speckle2Self\)' is the result of 'A', not of 'B'"):
        a_logic.process(second, result, method=Inverse())


def test_the_sequence_that_process_returned_may_be_given_as_output(a_logic, a_scene):
    sequence, _, _ = add_cine(a_scene, speckle(SHAPE))
    result = a_logic.process(sequence, method=Inverse())
    assert a_logic.process(sequence, result, method="median") is result


def test_a_region_is_refused_for_frames_at_different_places(a_logic, a_scene):
    sequence, browser, _, _ = sweep(a_scene)
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    roi.SetCenter(-3, 3, 0)
    roi.SetSize(3, 3, 2)
    show(browser, 0)
    with pytest.raises(SettingsError, match="lie at different places"):
        a_logic.process(sequence, method=Inverse(), region=roi)


def test_a_sequence_that_is_being_recorded_is_refused_without_a_trace(a_logic, a_scene):
    sequence, browser, _ = add_cine(a_scene, speckle(SHAPE))
    browser.SetRecordingActive(True)
    nodes = a_scene.GetNumberOfNodes()
    with pytest.raises(SettingsError, match="is recording"):
        a_logic.process(sequence, method=Inverse())
    assert a_scene.GetNumberOfNodes() == nodes


@pytest.mark.filterwarnings("default")  # Slicer does not turn warnings into errors
@pytest.mark.parametrize("answer", [lambda f: f * np.nan, lambda f: f[:, :5], lambda f: None, lambda f: f[0]])
def test_an_answer_that_is_no_image_is_refused(a_logic, a_scene, answer):
    class Bad(Inverse):
        def despeckle(self, frames_nyx):
            return answer(frames_nyx)

    volume = add(speckle((2, 24, 30)))
    with pytest.raises(Speckle2SelfError, match="'inverse' failed"):
        a_logic.process(volume, method=Bad())
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1


def test_a_method_that_quits_does_not_end_slicer(a_logic, a_scene):
    class Quits(Inverse):
        def despeckle(self, frames_nyx):
            raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        a_logic.process(add(speckle((2, 24, 30))), method=Quits())


def test_an_unusual_display_node_of_the_input_does_not_stop_the_result(a_logic, a_scene):
    volume = add(speckle((2, 24, 30)))
    display = a_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeDisplayNode")
    volume.SetAndObserveDisplayNodeID(display.GetID())
    assert a_logic.process(volume, method=Inverse()).GetDisplayNode() is not None


@pytest.mark.parametrize("what", ["output", "region"])
def test_the_node_that_was_deleted_is_named(a_logic, a_scene, what):
    volume = add(speckle((2, 24, 30)))
    output = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Mine")
    roi.SetSize(99, 99, 99)
    node = {"output": output, "region": roi}[what]
    run = started(a_logic, volume, **{what: node})
    a_scene.RemoveNode(node)
    with pytest.raises(Speckle2SelfError, match=rf"The {what}.* 'Mine' was deleted"):
        run.finish()


def test_live_keeps_the_place_of_an_image_whose_indices_do_not_start_at_0(a_panel, a_slicer_app, a_volume, use):
    a_volume.GetImageData().SetExtent(10, 81, -5, 58, 2, 4)
    use(Inverse())
    a_panel.ui.liveButton.checked = True
    a_slicer_app.pump(lambda: a_panel.panel.live._live.output is not None)
    output = a_panel.panel.live._live.output
    a_panel.ui.liveButton.checked = False
    assert output.GetImageData().GetExtent() == (10, 81, -5, 58, 2, 4)
    np.testing.assert_allclose(ijk_to_ras_of(output), OBLIQUE)


def test_the_result_of_a_frame_is_not_compared_with_another_frame(a_panel, a_slicer_app, a_scene, use, apply):
    _, browser, proxy = add_cine(a_scene, speckle((4, 40, 40)))
    ui = a_panel.ui
    ui.inputSelector.setCurrentNode(proxy)
    a_panel.panel.parameters.wholeSequence = False
    show(browser, 1)
    use(Inverse())
    apply()
    ui.residualButton.click()
    a_slicer_app.pump(lambda: ui.measureButton.enabled)
    show(browser, 3)
    a_slicer_app.pump(lambda: not ui.measureButton.enabled)
    assert not ui.residualButton.checked
    show(browser, 1)
    a_slicer_app.pump(lambda: ui.measureButton.enabled)


def test_the_result_that_was_filled_last_is_the_one_to_compare(a_panel, a_scene, a_volume, apply):
    a_panel.panel.parameters.method = "median"
    apply()
    first = a_panel.panel.result
    apply()
    assert a_panel.panel.result is not first
    a_panel.panel.parameters.outputVolume = first
    apply()
    assert a_panel.panel.result is first


def test_a_profile_follows_a_result_that_is_replaced(a_panel, a_slicer_app, a_scene, a_volume, use, apply):
    use(Inverse())
    apply()
    line = a_scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Wall")
    for ijk in ((10, 10, 1), (10, 50, 1)):
        line.AddControlPointWorld((OBLIQUE @ (*ijk, 1))[:3])
    a_panel.ui.profileLineSelector.setCurrentNode(line)
    a_panel.ui.profileButton.click()
    column = lambda: a_scene.GetFirstNodeByClass("vtkMRMLTableNode").GetTable().GetColumn(2).GetValue(4)  # noqa: E731
    before = column()
    a_panel.panel.parameters.outputVolume = a_panel.panel.result
    a_panel.panel.parameters.strength = 0.0
    apply()
    assert column() != before


def test_a_region_that_is_drawn_after_it_was_chosen_allows_apply(a_panel, a_slicer_app, a_scene, a_volume):
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    a_panel.ui.regionSelector.setCurrentNode(roi)
    a_slicer_app.pump(lambda: not a_panel.panel._waiting)  # nothing else is due that would look again
    assert not a_panel.ui.applyButton.enabled
    roi.SetCenter((OBLIQUE @ (36, 32, 1, 1))[:3])
    roi.SetSize(6, 6, 2)
    a_slicer_app.pump(lambda: a_panel.ui.applyButton.enabled)


def test_a_chosen_segment_that_is_removed_is_not_replaced_by_another(a_panel, a_slicer_app, a_scene, a_volume):
    import slicer

    mask = np.zeros((3, 64, 72), np.uint8)
    mask[:, 20:44, 20:50], mask[:, :10, :10] = 1, 2
    labels = slicer.util.addVolumeFromArray(mask, OBLIQUE, nodeClassName="vtkMRMLLabelMapVolumeNode")
    region = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, region)
    a_panel.panel.parameters.region = region
    chosen = region.GetSegmentation().GetNthSegmentID(1)
    a_panel.panel.parameters.segment = chosen
    region.GetSegmentation().RemoveSegment(chosen)
    a_slicer_app.pump(lambda: not a_panel.ui.applyButton.enabled)
    assert "has no segment with the ID" in a_panel.ui.applyButton.toolTip


def test_a_weight_file_that_cannot_be_looked_at_is_none(a_panel, a_slicer_app, a_volume):
    a_panel.panel.parameters.method = "file"
    a_panel.ui.modelFileLineEdit.currentPath = "x" * 300  # longer than a name of a file may be
    a_slicer_app.raise_errors()
    assert "Choose a file of weights" in a_panel.ui.applyButton.toolTip


def test_a_model_whose_card_was_removed_does_not_stop_the_panel(a_panel, a_slicer_app, a_volume, monkeypatch):
    from Speckle2SelfLogic.errors import WeightsError
    from Speckle2SelfSlicerLib import methods

    def gone(name):
        raise WeightsError(f"There is no model '{name}'.")

    monkeypatch.setattr(methods, "find_model", gone)
    a_panel.panel.parameters.strength = 0.5
    a_slicer_app.raise_errors()


def test_a_preview_taken_away_before_its_answer_does_not_spoil_the_next(a_panel, a_slicer_app, a_scene):
    import threading

    stack = speckle((4, 64, 72)).astype(np.int16)
    stack[0] *= 20  # the grey range of the volume is not that of the slice in view
    ui, preview = a_panel.ui, a_panel.panel.preview._preview
    ui.inputSelector.setCurrentNode(add(stack))
    a_panel.panel.parameters.method = "median"
    ui.previewCheckBox.checked = True
    a_slicer_app.pump(lambda: ui.messageLabel.text.startswith("Preview") and not preview.is_busy)
    expected = preview._context[1].grey_range
    hold = threading.Event()
    a_panel.panel.engine._thread.submit(hold.wait, 5)
    a_panel.panel.parameters.strength = 0.7
    a_panel.panel.tick()  # a question with the slice alone is handed over
    ui.previewCheckBox.checked = False
    hold.set()
    ui.previewCheckBox.checked = True
    a_slicer_app.pump(lambda: ui.messageLabel.text.startswith("Preview") and not preview.is_busy)
    assert preview._context[1].grey_range == expected
    ui.previewCheckBox.checked = False
