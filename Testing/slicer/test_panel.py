"""The panel driven as a person would: every control, cancel, error paths, scene close, pictures."""

import numpy as np
import pytest

from Testing.slicer.cines import OBLIQUE, Inverse, Patient, add_cine, show, speckle
from Testing.slicer.pairs import pixels_of
from Testing.slicer.saving import able_to_read_files


def test_three_clicks_choose_apply_compare(a_panel, a_slicer_app, a_volume, apply):
    import slicer

    a_panel.panel.parameters.method = "median"
    longest_gap_s = apply()
    assert longest_gap_s < 0.2
    result = a_panel.panel.result
    assert result.GetName() == "Carotid (Speckle2Self)"
    assert a_panel.ui.messageLabel.text.startswith("Carotid (Speckle2Self): 3 of 3 slices despeckled")
    red = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert red.GetBackgroundVolumeID() == result.GetID()
    a_panel.ui.sideBySideButton.click()
    a_slicer_app.raise_errors()
    assert a_panel.ui.sideBySideButton.checked
    assert a_panel.ui.restoreButton.enabled
    a_panel.ui.restoreButton.click()
    assert not a_panel.ui.sideBySideButton.checked
    np.testing.assert_array_equal(pixels_of(a_volume), speckle((3, 64, 72)))


def test_apply_says_why_it_is_disabled(a_panel, a_scene):
    button = a_panel.ui.applyButton
    assert not button.enabled
    assert "Choose an ultrasound volume first." in button.toolTip
    empty = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    a_panel.ui.inputSelector.setCurrentNode(empty)
    assert "'Empty' has no pixels yet" in button.toolTip
    import slicer

    slicer.util.updateVolumeFromArray(empty, speckle((1, 40, 40)))  # it gets its pixels after it was chosen
    assert button.enabled
    a_panel.panel.parameters.method = "file"
    assert "Choose a file of weights" in button.toolTip
    assert not button.enabled
    a_panel.ui.methodCollapsibleButton.collapsed = False
    assert not a_panel.ui.modelFileLineEdit.isHidden()
    a_panel.panel.parameters.method = "median"
    assert a_panel.ui.modelFileLineEdit.isHidden()


def test_the_selector_lists_grey_rgb_and_proxies_but_no_label_maps_and_no_hidden_volumes(a_panel, a_scene):
    import slicer

    slicer.util.addVolumeFromArray(speckle((1, 9, 9)), name="Mask", nodeClassName="vtkMRMLLabelMapVolumeNode")
    hidden = slicer.util.addVolumeFromArray(speckle((1, 9, 9)), name="Hidden")
    hidden.SetHideFromEditors(True)
    slicer.util.addVolumeFromArray(speckle((1, 9, 9)), name="Grey")
    rgb = speckle((1, 9, 9))[..., None].repeat(3, axis=3)
    slicer.util.addVolumeFromArray(rgb, name="Screen", nodeClassName="vtkMRMLVectorVolumeNode")
    add_cine(a_scene, speckle((2, 9, 9)), "Clip")
    selector = a_panel.ui.inputSelector
    names = {selector.nodeFromIndex(number).GetName() for number in range(selector.nodeCount())}
    assert names == {"Grey", "Screen", "Clip"}


def test_the_panel_describes_the_input_and_shows_missing_calibration(a_panel, a_scene, a_volume):
    import slicer

    text = a_panel.ui.inputInfoLabel.text
    assert text == "3 slices of 72 x 64 pixels, grey. 0.2 x 0.3 mm per pixel."
    assert "K" in a_panel.ui.sliceAxisInfoLabel.text
    plain = slicer.util.addVolumeFromArray(speckle((1, 20, 30)), name="Plain")
    a_panel.ui.inputSelector.setCurrentNode(plain)
    assert "Uncalibrated" in a_panel.ui.inputInfoLabel.text
    _, _, proxy = add_cine(a_scene, speckle((4, 20, 30)))
    a_panel.ui.inputSelector.setCurrentNode(proxy)
    assert a_panel.ui.inputInfoLabel.text.startswith("4 frames of 30 x 20 pixels")


def test_a_sequence_asks_by_a_check_box(a_panel, a_scene, a_volume, use, apply):
    box = a_panel.ui.wholeSequenceCheckBox
    assert box.isHidden()
    _, browser, proxy = add_cine(a_scene, speckle((4, 40, 40)))
    a_panel.ui.inputSelector.setCurrentNode(proxy)
    assert not box.isHidden()
    assert box.checked
    use(Inverse())
    apply()
    assert browser.GetSequenceNode(a_panel.panel.result).GetNumberOfDataNodes() == 4
    box.checked = False
    show(browser, 2)
    apply()
    assert browser.GetSequenceNode(a_panel.panel.result) is None
    np.testing.assert_array_equal(pixels_of(a_panel.panel.result)[0], 255 - speckle((4, 40, 40))[2])


def test_apply_becomes_cancel_and_cancelling_leaves_no_node(a_panel, a_slicer_app, a_scene, a_volume, use):
    nodes = a_scene.GetNumberOfNodes()
    method = use(Patient())
    ui = a_panel.ui
    ui.applyButton.click()
    assert ui.applyButton.text == "Cancel"
    assert not ui.progressBar.isHidden()
    method.go_on.release()
    a_slicer_app.pump(lambda: ui.messageLabel.text.startswith("Frame 1 of 3, about "))
    assert (ui.progressBar.value, ui.progressBar.maximum) == (1, 3)
    ui.applyButton.click()
    assert ui.messageLabel.text == "Cancelling..."
    method.go_on.release(3)
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert ui.messageLabel.text == "Cancelled; nothing was changed."
    assert (ui.applyButton.text, ui.applyButton.enabled) == ("Apply", True)
    assert ui.progressBar.isHidden()
    assert a_scene.GetNumberOfNodes() == nodes
    assert a_panel.panel.result is None


def test_closing_the_scene_while_running_is_survived(a_panel, a_slicer_app, a_scene, a_volume, use, apply):
    import slicer

    method = use(Patient())
    a_panel.ui.applyButton.click()
    a_slicer_app.pump(lambda: a_panel.panel.run._run.state.value == "despeckling")
    a_scene.Clear(0)
    method.go_on.release(9)
    assert not a_panel.panel.run.is_busy
    assert "the scene or the module was closed" in a_panel.ui.logTextEdit.plainText
    assert not a_panel.ui.applyButton.enabled
    again = slicer.util.addVolumeFromArray(speckle((2, 40, 40)), name="Next")
    a_panel.ui.inputSelector.setCurrentNode(again)
    apply()
    assert a_panel.panel.result.GetName() == "Next (Speckle2Self)"
    a_panel.ui.strengthSlider.value = 0.5
    assert a_panel.panel.parameters.strength == 0.5
    assert a_panel.panel.volume is again  # the parameters of the closed scene do not interfere


def test_deleting_the_input_while_running_is_survived(a_panel, a_slicer_app, a_scene, a_volume, use):
    method = use(Patient())
    a_panel.ui.applyButton.click()
    a_slicer_app.pump(lambda: a_panel.panel.run._run.state.value == "despeckling")
    a_scene.RemoveNode(a_volume)
    method.go_on.release(9)
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert a_panel.ui.messageLabel.text == "The input was deleted or the scene closed meanwhile; nothing was written."
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0


def test_every_failure_is_one_sentence_in_panel_and_log(a_panel, a_volume, use, apply, caplog):
    class Broken(Inverse):
        def despeckle(self, frames_nyx):
            message = "something inside"
            raise KeyError(message)

    use(Broken())
    apply()
    text = a_panel.ui.messageLabel.text
    assert text.startswith("Unexpected error, please report it: KeyError: 'something inside'")
    assert text in a_panel.ui.logTextEdit.plainText
    assert "Traceback" in caplog.text
    use("no such method")
    apply()
    assert "no method, model or weight file 'no such method'" in a_panel.ui.messageLabel.text
    assert a_panel.ui.applyButton.enabled


def test_out_of_memory_and_bad_weights_are_explained(a_panel, a_volume, use, apply, tmp_path):
    class Hungry(Inverse):
        def despeckle(self, frames_nyx):
            raise MemoryError

    use(Hungry())
    apply()
    assert a_panel.ui.messageLabel.text.startswith("There is not enough memory")
    weights = tmp_path / "bad.pth"
    weights.write_bytes(b"not weights")
    use(str(weights))
    apply()
    assert "bad.pth" in a_panel.ui.messageLabel.text
    assert "Unexpected" not in a_panel.ui.messageLabel.text


def test_controls_and_parameters_follow_each_other(a_panel, a_volume):
    ui, parameters = a_panel.ui, a_panel.panel.parameters
    ui.strengthSlider.value = 0.4
    ui.keepOverlaysCheckBox.checked = False
    ui.deviceComboBox.currentIndex = 2
    ui.sliceAxisComboBox.currentIndex = 3
    ui.methodComboBox.currentIndex = ui.methodComboBox.findData("srad")
    assert (parameters.strength, parameters.keepOverlays) == (0.4, False)
    assert (parameters.device.value, parameters.sliceAxis.value, parameters.method) == ("cpu", "x", "srad")
    request = a_panel.panel.request()
    assert (request.axis, request.how.method, request.how.device) == ("x", "srad", "cpu")
    assert ui.inputInfoLabel.text.startswith("72 slices of 64 x 3")
    parameters.strength = 0.9
    parameters.method = "median"
    assert ui.strengthSlider.value == 0.9
    assert ui.methodComboBox.currentText == "Median"
    assert "Tukey" in ui.methodInfoLabel.text


def test_the_result_can_be_restricted_to_a_region(a_panel, a_scene, a_volume, use, apply):
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    centre = (OBLIQUE @ (36, 32, 1, 1))[:3]
    roi.SetCenter(centre)
    roi.SetSize(0.3 * 20, 0.2 * 24, 1.0)
    a_panel.ui.regionSelector.setCurrentNode(roi)
    use(Inverse())
    apply()
    changed = pixels_of(a_panel.panel.result) != pixels_of(a_volume)
    assert changed.any()
    assert not changed[0].any()
    assert not changed[2].any()
    assert 300 < changed[1].sum() < 600
    assert a_panel.panel.result.GetAttribute("Speckle2Self.Region") == "Box"


def test_a_preview_shows_settings_before_anything_is_applied(a_panel, a_slicer_app, a_scene, a_volume):
    import slicer

    layers = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    layers.SetBackgroundVolumeID(a_volume.GetID())
    a_panel.panel.parameters.method = "median"
    ui = a_panel.ui
    ui.previewCheckBox.checked = True
    preview = a_panel.panel.preview
    a_slicer_app.pump(lambda: ui.messageLabel.text.startswith("Preview"))
    node = preview._preview.node
    assert layers.GetForegroundVolumeID() == node.GetID()
    assert layers.GetForegroundOpacity() == 1
    full = pixels_of(node).copy()
    ui.strengthSlider.value = 0.0
    a_slicer_app.pump(lambda: np.array_equal(pixels_of(node)[0], pixels_of(a_volume)[2]))
    assert (full[0] != pixels_of(a_volume)[2]).any()  # the slice nearest to the view, which is at 0 mm
    ui.previewCheckBox.checked = False
    assert not layers.GetForegroundVolumeID()
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1
    a_slicer_app.pump(lambda: not a_panel.panel._clock.active)  # nothing goes on ticking


def test_live_follows_a_played_sequence_and_shows_its_pace(a_panel, a_slicer_app, a_scene, use):
    _, browser, proxy = add_cine(a_scene, speckle((4, 40, 50)))
    a_panel.ui.inputSelector.setCurrentNode(proxy)
    use(Inverse())
    ui = a_panel.ui
    ui.liveButton.checked = True
    assert ui.liveButton.text == "Stop live despeckling"
    for number in (1, 3):
        show(browser, number)
        expected = 255 - speckle((4, 40, 50))[number]
        a_slicer_app.pump(
            lambda expected=expected: (
                a_panel.panel.live._live.output is not None
                and (pixels_of(a_panel.panel.live._live.output)[0] == expected).all()
            )
        )
    assert "frames per second" in ui.liveInfoLabel.text
    output = a_panel.panel.live._live.output
    ui.liveButton.checked = False
    assert ui.liveButton.text == "Start live despeckling"
    show(browser, 0)
    a_slicer_app.pump(lambda: not a_panel.panel._clock.active)
    assert (pixels_of(output)[0] == expected).all()
    ui.liveButton.checked = True
    a_scene.Clear(0)
    assert not ui.liveButton.checked
    a_slicer_app.pump(lambda: not a_panel.panel._clock.active)


def test_comparison_modes_their_slider_and_the_key(a_panel, a_slicer_app, a_volume, apply):
    ui = a_panel.ui
    assert not ui.fadeButton.enabled
    assert "Press Apply first" in ui.compareCollapsibleButton.toolTip
    a_panel.panel.parameters.method = "median"
    apply()
    compare = a_panel.panel.compare
    for button in (ui.sideBySideButton, ui.fadeButton, ui.residualButton, ui.swipeButton, ui.flipButton):
        button.click()
        a_slicer_app.raise_errors()
        assert [b for b in compare._buttons.values() if b.checked] == [button]
    assert ui.messageLabel.text.startswith("Carotid")
    compare.flip()
    assert ui.messageLabel.text in ("Original", "Despeckled")
    before = ui.messageLabel.text
    ui.flipButton.click()
    assert {before, ui.messageLabel.text} == {"Original", "Despeckled"}
    ui.swipeButton.click()
    assert ui.fractionSlider.enabled
    ui.fractionSlider.value = 0.25
    assert compare._comparison.fraction == 0.25
    ui.restoreButton.click()
    assert not any(button.checked for button in compare._buttons.values())


def test_a_result_chosen_as_input_is_compared_with_its_original(a_panel, a_volume, apply):
    a_panel.panel.parameters.method = "median"
    apply()
    result = a_panel.panel.result
    a_panel.ui.inputSelector.setCurrentNode(result)
    assert a_panel.panel.compare.pair() == (a_volume, result)
    assert a_panel.ui.sideBySideButton.enabled


def test_without_views_comparing_says_so(a_panel, a_slicer_app, a_volume, apply):
    a_slicer_app.app.setLayoutManager(None)
    a_panel.panel.parameters.method = "median"
    apply()
    assert a_panel.panel.result is not None
    assert not a_panel.ui.sideBySideButton.enabled
    assert "no views" in a_panel.ui.compareCollapsibleButton.toolTip


def test_everything_but_the_common_case_starts_collapsed(a_panel):
    ui = a_panel.ui
    assert not ui.inputCollapsibleButton.collapsed
    assert not ui.compareCollapsibleButton.collapsed
    for name in ("method", "quality", "continue", "live", "log"):
        assert getattr(ui, f"{name}CollapsibleButton").collapsed


def test_the_panel_reads_well_at_400_pixels(a_panel, a_slicer_app, a_volume, apply):
    a_panel.panel.parameters.method = "median"
    apply()
    a_slicer_app.picture(a_panel.parent, "panel_after_apply")
    for name in ("method", "quality", "continue", "live", "log"):
        getattr(a_panel.ui, f"{name}CollapsibleButton").collapsed = False
    a_slicer_app.picture(a_panel.parent, "panel_all_open")
    assert a_panel.parent.minimumSizeHint().width() <= 400


def test_the_module_can_be_left_entered_and_closed_at_any_time(a_panel, a_slicer_app, a_volume, use):
    method = use(Patient())
    a_panel.ui.applyButton.click()
    a_panel.exit()
    a_panel.enter()
    assert a_panel.panel.run.is_busy  # a run goes on while another module is shown
    method.go_on.release(9)
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert a_panel.panel.result is not None


@pytest.fixture
def a_result(a_panel, a_volume, apply):
    a_panel.panel.parameters.method = "median"
    apply()
    return a_panel.panel.result


def test_figures_of_the_slice_are_shown_and_saved(a_panel, a_slicer_app, a_result, tmp_path):
    ui, quality = a_panel.ui, a_panel.panel.quality
    assert ui.measureButton.enabled
    assert not ui.exportButton.enabled
    ui.qualityCollapsibleButton.collapsed = False
    ui.measureButton.click()
    longest_gap_s = a_slicer_app.pump(lambda: not quality.is_busy)
    assert longest_gap_s < 0.2
    rows = [ui.qualityTable.item(row, 0).text() for row in range(ui.qualityTable.rowCount)]
    assert "GLCM homogeneity" in rows
    assert "PSNR (dB)" not in rows  # there is no truth
    assert "blur raises it too" in ui.qualityTable.item(rows.index("GLCM homogeneity"), 1).toolTip()
    path = tmp_path / "figures.csv"
    a_slicer_app.dialogs.expect("getSaveFileName", str(path))
    ui.exportButton.click()
    assert path.read_text(encoding="utf-8").startswith("Figure,Unit,Input,Output,Better,Meaning")
    assert "figures.csv" in ui.messageLabel.text
    a_slicer_app.picture(a_panel.parent, "panel_quality")


def test_figures_of_all_slices_are_plotted_and_can_be_cancelled(a_panel, a_slicer_app, a_scene, a_result):
    ui, quality = a_panel.ui, a_panel.panel.quality
    ui.measureAllButton.click()
    assert ui.measureAllButton.text == "Cancel"
    ui.measureAllButton.click()
    assert not quality.is_busy
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0
    ui.measureAllButton.click()
    a_slicer_app.pump(lambda: not quality.is_busy)
    table = a_scene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == 3
    assert a_scene.GetFirstNodeByClass("vtkMRMLPlotChartNode") is not None
    ui.measureAllButton.click()
    a_slicer_app.pump(lambda: not quality.is_busy)
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1  # filled anew


def test_the_region_of_the_figures_is_a_segment_of_a_list(a_panel, a_slicer_app, a_scene, a_result, a_volume):
    import slicer

    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(a_volume)
    for name in ("lumen", "wall"):
        segmentation.GetSegmentation().AddEmptySegment(name, name)
    mask = np.zeros((3, 64, 72), np.uint8)
    mask[:, 20:44, 20:50] = 1
    labels = slicer.util.addVolumeFromArray(mask, OBLIQUE, nodeClassName="vtkMRMLLabelMapVolumeNode")
    segmentation.GetSegmentation().RemoveAllSegments()
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, segmentation)
    a_panel.ui.qualityCollapsibleButton.collapsed = False
    a_panel.ui.qualityRegionSelector.setCurrentNode(segmentation)
    assert not a_panel.ui.qualitySegmentComboBox.isHidden()
    assert a_panel.ui.qualitySegmentComboBox.count == 1
    assert a_panel.panel.parameters.qualitySegment == segmentation.GetSegmentation().GetNthSegmentID(0)
    a_panel.ui.measureButton.click()
    a_slicer_app.pump(lambda: not a_panel.panel.quality.is_busy)
    rows = [a_panel.ui.qualityTable.item(row, 0).text() for row in range(a_panel.ui.qualityTable.rowCount)]
    assert "Tissue SNR" in rows
    a_panel.ui.qualityRegionSelector.setCurrentNode(None)
    assert a_panel.ui.qualitySegmentComboBox.isHidden()


def test_segment_editor_opens_with_the_despeckled_image_and_the_originals_geometry(
    a_panel, a_slicer_app, a_scene, a_result, a_volume
):
    a_panel.ui.segmentButton.click()
    assert a_slicer_app.selected_modules == ["SegmentEditor"]
    editor = a_scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSourceVolumeNode() is a_result
    assert editor.GetSegmentationNode().GetName() == "Carotid segmentation"
    a_panel.ui.segmentButton.click()
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_a_line_profile_shows_both_images_and_follows_the_line(a_panel, a_slicer_app, a_scene, a_result):
    ui = a_panel.ui
    assert "Choose a line" in ui.profileButton.toolTip
    line = a_scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Wall")
    for ijk in ((10, 10, 1), (10, 50, 1)):
        line.AddControlPointWorld((OBLIQUE @ (*ijk, 1))[:3])
    ui.profileLineSelector.setCurrentNode(line)
    ui.profileButton.click()
    table = a_scene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert table.GetNumberOfColumns() == 3
    assert "10-90 % rise" in ui.profileInfoLabel.text
    rows = table.GetNumberOfRows()
    line.SetNthControlPointPositionWorld(1, (OBLIQUE @ (10, 20, 1, 1))[:3])
    a_slicer_app.pump(lambda: table.GetNumberOfRows() < rows)


def test_a_new_line_can_be_clicked_at_once(a_panel, a_scene):
    selector = a_panel.ui.profileLineSelector
    line = selector.addNode()
    import slicer

    logic = slicer.app.applicationLogic()
    assert logic.GetSelectionNode().GetActivePlaceNodeID() == line.GetID()
    assert logic.GetInteractionNode().GetCurrentInteractionMode() == logic.GetInteractionNode().Place


def test_a_scene_that_is_loaded_brings_back_its_parameters(a_panel, a_slicer_app, a_scene, tmp_path):
    import slicer

    for name in ("Alpha", "Beta"):
        slicer.util.addVolumeFromArray(speckle((2, 20, 20)), OBLIQUE, name)
    box = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    ui = a_panel.ui
    ui.inputSelector.setCurrentNode(a_scene.GetFirstNodeByName("Beta"))
    ui.regionSelector.setCurrentNode(box)
    ui.strengthSlider.value = 0.3
    keep = able_to_read_files(a_scene, tmp_path)
    assert a_scene.WriteToMRB(str(tmp_path / "scene.mrb"), None)
    ui.strengthSlider.value = 0.9
    assert a_scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    a_slicer_app.pump(lambda: a_panel.panel.volume is not None)
    assert (a_panel.panel.volume.GetName(), a_panel.panel.parameters.region.GetName()) == ("Beta", "Box")
    assert ui.inputSelector.currentNode().GetName() == "Beta"
    assert ui.strengthSlider.value == pytest.approx(0.3)
    del keep


def test_importing_another_scene_keeps_what_is_chosen(a_panel, a_slicer_app, a_scene, a_volume):
    import slicer

    slicer.util.addVolumeFromArray(speckle((2, 20, 20)), OBLIQUE, "Last")
    a_panel.ui.inputSelector.setCurrentNode(a_scene.GetFirstNodeByName("Last"))
    a_scene.StartState(a_scene.ImportState)
    a_scene.EndState(a_scene.ImportState)
    assert a_panel.panel.volume.GetName() == "Last"
    assert a_panel.ui.inputSelector.currentNode().GetName() == "Last"


def test_deleting_a_chosen_region_chooses_none_and_not_the_next_one(a_panel, a_scene, a_volume):
    boxes = [a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", f"Box {number}") for number in range(3)]
    a_panel.ui.regionSelector.setCurrentNode(boxes[1])
    a_scene.RemoveNode(boxes[1])
    assert a_panel.panel.parameters.region is None
    assert a_panel.ui.regionSelector.currentNode() is None


def test_applying_again_while_comparing_compares_the_new_result(a_panel, a_slicer_app, a_scene, a_volume, apply):
    parameters, compare = a_panel.panel.parameters, a_panel.panel.compare
    parameters.method = "median"
    apply()
    a_panel.ui.sideBySideButton.click()
    parameters.strength = 0.5
    apply()
    newest = a_panel.panel.result
    assert newest.GetAttribute("Speckle2Self.Strength") == "0.5"
    views = a_slicer_app.views
    assert views.composite("Speckle2SelfOriginal").GetBackgroundVolumeID() == a_volume.GetID()
    assert views.composite("Speckle2SelfDespeckled").GetBackgroundVolumeID() == newest.GetID()
    assert compare._buttons[compare._comparison.mode].checked
    a_panel.ui.previewCheckBox.checked = True  # shows in the user's views
    assert compare._comparison is None


def test_installing_is_not_started_twice(a_panel, a_slicer_app, a_volume, monkeypatch):
    started = []

    def prepare(how, ask, tell):
        started.append(how)
        a_panel.ui.applyButton.click()  # the window takes clicks while pip writes
        a_panel.ui.liveButton.checked = True

    monkeypatch.setattr(a_panel.panel.engine, "prepare", prepare)
    a_panel.panel.parameters.method = "median"
    a_panel.ui.applyButton.click()
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert len(started) == 1
    assert not a_panel.ui.liveButton.checked
    assert a_panel.panel.result is not None


def test_without_the_extension_pytorch_apply_says_how_to_get_it(a_panel, a_slicer_app, a_volume, monkeypatch):
    from Speckle2SelfSlicerLib import installation

    monkeypatch.setattr(installation, "torch_state", lambda: installation.TorchState.MISSING)
    monkeypatch.setattr(installation, "has_pytorch_extension", lambda: False)
    a_panel.ui.applyButton.click()
    text = a_panel.ui.messageLabel.text
    assert text.startswith("This method needs PyTorch, which Slicer's extension 'PyTorch' installs")
    assert "choose a classical filter such as 'median'" in text
    assert not a_panel.panel.run.is_busy
    assert a_panel.ui.applyButton.enabled


def test_pytorch_is_installed_after_asking_and_not_when_declined(a_panel, a_slicer_app, a_volume, monkeypatch):
    from Speckle2SelfSlicerLib import installation

    calls = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False):  # noqa: N802, N803 - as the extension calls it
            calls.append(askConfirmation)
            monkeypatch.setattr(installation, "torch_state", lambda: installation.TorchState.READY)
            return object()

    monkeypatch.setattr(installation, "torch_state", lambda: installation.TorchState.MISSING)
    monkeypatch.setattr(installation, "_extension_logic", PyTorchUtilsLogic)
    monkeypatch.setattr(installation, "check_torch", lambda: None)
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", False)
    a_panel.ui.applyButton.click()
    assert "because you declined" in a_panel.ui.messageLabel.text
    assert not calls
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", True)
    a_panel.ui.applyButton.click()
    assert "Installing PyTorch" in a_panel.ui.logTextEdit.plainText
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert calls == [False]
    assert a_panel.panel.result is not None


def test_the_panel_survives_a_foreign_scene(a_panel, a_slicer_app, a_volume, apply):
    import slicer

    a_panel.parent.setMRMLScene(slicer.vtkMRMLScene())
    a_panel.panel.parameters.method = "median"
    apply()
    assert a_panel.panel.result is not None


def test_every_control_can_be_reached_with_the_keyboard(a_panel):
    for name, widget in vars(a_panel.ui).items():
        if name.endswith(("Button", "CheckBox", "ComboBox")):
            assert widget.focusPolicy & 1, name  # Qt::TabFocus
    for label, buddy in (("inputLabel", "inputSelector"), ("strengthLabel", "strengthSlider")):
        assert "&" in getattr(a_panel.ui, label).text
        assert getattr(a_panel.ui, label).buddy() is getattr(a_panel.ui, buddy)
