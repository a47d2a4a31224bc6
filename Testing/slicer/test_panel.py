"""The panel driven as a person would: input, method, Apply and Cancel, pictures."""

import numpy as np

from Testing.slicer.cines import OBLIQUE, Inverse, Patient, add_cine, show, speckle
from Testing.slicer.pairs import pixels_of


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


def test_every_control_can_be_reached_with_the_keyboard(a_panel):
    for name, widget in vars(a_panel.ui).items():
        if name.endswith(("Button", "CheckBox", "ComboBox")):
            assert widget.focusPolicy & 1, name  # Qt::TabFocus
    for label, buddy in (("inputLabel", "inputSelector"), ("strengthLabel", "strengthSlider")):
        assert "&" in getattr(a_panel.ui, label).text
        assert getattr(a_panel.ui, label).buddy() is getattr(a_panel.ui, buddy)
