"""The section "Segment and measure", used as a person would."""

import numpy as np
import pytest

from Testing.slicer.cines import show
from Testing.slicer.segments import add_segmentation
from Testing.slicer.vessels import UPRIGHT, add_stack, add_vessel_cine, ring


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
    ui.vesselViewComboBox.currentIndex = 1
    assert not ui.distalEndComboBox.isHidden()


def test_measuring_fills_a_table_a_plot_and_the_figures_of_the_slice_in_view(
    a_panel, a_slicer_app, a_scene, a_vessel, wait, tmp_path
):
    ui = a_panel.ui
    assert not ui.vesselExportButton.enabled
    ui.vesselMeasureButton.click()
    assert not ui.vesselMeasureButton.enabled
    assert wait().startswith("2 of 2 frames of 'Carotid drawn' were measured")
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
