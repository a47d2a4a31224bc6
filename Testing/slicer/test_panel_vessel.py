"""The section "Segment and measure", used as a person would."""

import numpy as np
import pytest

from Testing.slicer.cines import show
from Testing.slicer.segments import add_segmentation
from Testing.slicer.vessels import UPRIGHT, LabelSegmenter, add_stack, add_vessel_cine, ring


@pytest.fixture
def a_vessel(a_panel, a_scene):
    """A volume of two slices as input, and a segmentation of it that is chosen."""
    volume, segmentation = add_stack(np.stack([ring(12.0), ring(16.0)]))
    a_panel.ui.inputSelector.setCurrentNode(volume)
    a_panel.ui.vesselCollapsibleButton.collapsed = False
    a_panel.ui.vesselSegmentationSelector.setCurrentNode(segmentation)
    return volume, segmentation


@pytest.fixture
def wait(a_panel, a_slicer_app):
    """Let the section finish; return what it says."""

    def wait():
        a_slicer_app.pump(lambda: not a_panel.panel.vessel.is_busy)
        return a_panel.ui.vesselInfoLabel.text

    return wait


def rows_shown(table):
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}


def test_lumen_and_wall_are_proposed_by_name_and_the_wall_may_be_left_out(a_panel, a_vessel):
    ui, parameters = a_panel.ui, a_panel.panel.parameters
    assert (parameters.lumenSegment, parameters.wallSegment) == ("Lumen", "Wall")
    assert [ui.wallSegmentComboBox.itemText(n) for n in range(ui.wallSegmentComboBox.count)] == [
        "None", "Lumen", "Wall",
    ]  # fmt: skip
    ui.wallSegmentComboBox.currentIndex = 1
    assert "two different segments" in ui.vesselMeasureButton.toolTip
    ui.wallSegmentComboBox.currentIndex = 0
    assert parameters.wallSegment == "(none)"
    assert ui.vesselMeasureButton.enabled
    assert ui.distalEndComboBox.isHidden()
    assert not ui.normalSlicesComboBox.isHidden()
    ui.vesselViewComboBox.currentIndex = 1
    assert not ui.distalEndComboBox.isHidden()
    assert ui.normalSlicesComboBox.isHidden()


def test_measuring_fills_a_table_a_plot_and_the_figures_of_the_slice_in_view(
    a_panel, a_slicer_app, a_scene, a_vessel, wait, tmp_path
):
    ui = a_panel.ui
    assert not ui.vesselExportButton.enabled
    ui.vesselMeasureButton.click()
    assert not ui.vesselMeasureButton.enabled
    said = wait()
    assert said.startswith("2 of 2 frames of 'Carotid drawn' were measured")
    assert "Area stenosis" not in said
    ui.normalSlicesComboBox.currentIndex = 2  # the last, where it is wider
    ui.vesselMeasureButton.click()
    assert "Area stenosis: 43" in wait()  # 1 - (12 / 16)^2
    red = a_slicer_app.views.slice_node("Red")
    for offset, diameter in ((0.0, "6.0"), (1.0, "8.0")):
        red.SetSliceOffset(offset)
        a_slicer_app.pump(
            lambda diameter=diameter: rows_shown(ui.vesselTable)["Equivalent diameter"].startswith(diameter[:2])
        )
        assert "\u00b1" in rows_shown(ui.vesselTable)["Equivalent diameter"]
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1
    path = tmp_path / "vessel.csv"
    a_slicer_app.dialogs.expect("getSaveFileName", str(path))
    ui.vesselExportButton.click()
    assert path.read_text(encoding="utf-8").startswith("Frame,Area (mm2)")
    a_slicer_app.picture(a_panel.parent, "panel_vessel")
    a_slicer_app.pump(lambda: not a_panel.panel._clock.active)


def test_only_the_slice_in_view_is_measured_if_that_is_wanted(a_panel, a_slicer_app, a_scene, a_vessel, wait):
    a_panel.ui.vesselAllFramesCheckBox.checked = False
    a_slicer_app.views.slice_node("Red").SetSliceOffset(1.0)
    a_panel.ui.vesselMeasureButton.click()
    assert wait().startswith("1 of 1 frames")
    table = a_scene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert [table.GetTable().GetColumnByName("Frame").GetValue(0), table.GetNumberOfRows()] == [1, 1]


def test_cancelling_closing_the_scene_and_deleting_nodes_are_survived(a_panel, a_slicer_app, a_scene, a_vessel, wait):
    ui = a_panel.ui
    ui.vesselMeasureButton.click()
    assert ui.vesselCancelButton.enabled
    ui.vesselCancelButton.click()
    wait()
    assert ui.messageLabel.text == "Cancelled; nothing was changed."
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0
    ui.vesselMeasureButton.click()
    a_scene.RemoveNode(a_vessel[1])
    wait()
    assert "was deleted or the scene closed meanwhile" in ui.messageLabel.text
    assert a_panel.panel.parameters.vesselSegmentation is None
    assert "Choose a segmentation first" in ui.vesselMeasureButton.toolTip
    segmentation = add_segmentation(a_scene, {"lumen": np.stack([ring(9.0)] * 2) == 1}, UPRIGHT, "Again")
    ui.vesselSegmentationSelector.setCurrentNode(segmentation)
    ui.vesselMeasureButton.click()
    wait()
    ui.vesselMeasureButton.click()
    a_scene.Clear(0)
    assert not a_panel.panel.vessel.is_busy
    assert not ui.vesselExportButton.enabled
    a_slicer_app.pump(lambda: not a_panel.panel._clock.active)


def test_figures_and_lines_follow_the_frame_of_a_cine(a_panel, a_slicer_app, a_scene, wait):
    _sequence, browser, proxy, labels = add_vessel_cine(a_scene)
    ui = a_panel.ui
    ui.inputSelector.setCurrentNode(proxy)
    ui.vesselCollapsibleButton.collapsed = False
    segmentation = add_segmentation(a_scene, {"Lumen": labels[0][None] == 1}, UPRIGHT, "Drawn")
    ui.vesselSegmentationSelector.setCurrentNode(segmentation)
    ui.vesselMeasureButton.click()
    assert "Only the frame in view was measured" in wait()
    assert rows_shown(ui.vesselTable)["Equivalent diameter"].startswith("6.0")
    show(browser, 1)
    a_slicer_app.pump(lambda: ui.vesselTable.rowCount == 0)


def test_a_first_contour_is_made_chosen_and_measured(a_panel, a_slicer_app, a_vessel, wait, monkeypatch):
    ui, panel = a_panel.ui, a_panel.panel
    assert "no despeckled image yet" in ui.contourButton.toolTip
    ui.vesselImageComboBox.currentIndex = 1
    assert ui.contourButton.enabled
    panel.parameters.domain = type(panel.parameters.domain).ENVELOPE
    assert "linear envelope to B-mode first" in ui.contourButton.toolTip
    panel.parameters.domain = type(panel.parameters.domain).BMODE
    monkeypatch.setattr(panel, "prepare", lambda _how: True)
    labels = np.stack([ring(10.0), ring(11.0)])
    monkeypatch.setattr(panel.engine, "segmenter", lambda _device: LabelSegmenter(labels, untrusted=(0,)))
    ui.contourButton.click()
    assert wait().startswith("DO NOT TRUST the contour in 1 of 2 frames (0) of 'Carotid first contour'")
    assert panel.parameters.vesselSegmentation.GetName() == "Carotid first contour"
    assert ui.vesselSegmentationSelector.currentNode() is panel.parameters.vesselSegmentation
    assert ui.lumenSegmentComboBox.currentText == "Lumen"
    ui.vesselMeasureButton.click()
    assert "DO NOT TRUST the first contour in 1 frames." in wait()


def test_the_despeckled_image_is_looked_at_once_there_is_one(a_panel, a_slicer_app, a_vessel, wait, apply, monkeypatch):
    from Testing.slicer.pairs import pixels_of

    a_panel.panel.parameters.method = "median"
    apply()
    monkeypatch.setattr(a_panel.panel, "prepare", lambda _how: True)
    segmenter = LabelSegmenter(np.stack([ring(10.0), ring(11.0)]))
    monkeypatch.setattr(a_panel.panel.engine, "segmenter", lambda _device: segmenter)
    a_panel.ui.contourButton.click()
    wait()
    np.testing.assert_array_equal(segmenter.seen[0].pixels, pixels_of(a_panel.panel.result))


def test_two_segmentations_are_compared_and_the_table_can_be_saved(a_panel, a_slicer_app, a_scene, a_vessel, wait):
    ui = a_panel.ui
    assert "Choose a second segmentation" in ui.agreementButton.toolTip
    other = add_segmentation(a_scene, {"lumen B": np.stack([ring(13.0)] * 2) == 1}, UPRIGHT, "Second reader")
    ui.otherSegmentationSelector.setCurrentNode(other)
    assert ui.otherSegmentComboBox.currentText == "lumen B"
    ui.agreementButton.click()
    assert wait().startswith("Mean over 2 frames: Dice 0.8")
    assert ui.vesselExportButton.enabled
    a_scene.RemoveNode(other)
    assert a_panel.panel.parameters.otherSegmentation is None


def test_a_line_placed_by_hand_is_refined_or_refused_in_words(a_panel, a_slicer_app, a_scene, a_vessel, wait):
    import slicer

    ui = a_panel.ui
    ui.vesselImageComboBox.currentIndex = 1
    line = ui.caliperLineSelector.addNode()
    assert slicer.app.applicationLogic().GetSelectionNode().GetActivePlaceNodeID() == line.GetID()
    assert "has no length" in ui.refineButton.toolTip
    for column in (20.0, 52.0):
        line.AddControlPointWorld((UPRIGHT @ (column, 32.3, 1.0, 1.0))[:3])
    a_slicer_app.pump(lambda: ui.refineButton.enabled)
    ui.refineButton.click()
    assert "Lumen diameter at" in wait()
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLMarkupsLineNode") == 2
    ui.caliperKindComboBox.currentIndex = 1
    for number, column in enumerate((5.0, 12.0)):
        line.SetNthControlPointPositionWorld(number, (UPRIGHT @ (column, 5.0, 1.0, 1.0))[:3])
    ui.refineButton.click()
    assert "was not refined: lumen-intima line" in wait()


def test_without_pytorch_a_first_contour_says_so(a_panel, a_vessel, monkeypatch):
    from Speckle2SelfLogic.errors import SettingsError

    a_panel.ui.vesselImageComboBox.currentIndex = 1

    def missing(_how):
        message = "No PyTorch here."
        raise SettingsError(message)

    monkeypatch.setattr(a_panel.panel, "prepare", missing)
    a_panel.ui.contourButton.click()
    assert a_panel.ui.messageLabel.text == "No PyTorch here."
    assert not a_panel.panel.vessel.is_busy
