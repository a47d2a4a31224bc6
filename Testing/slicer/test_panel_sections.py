"""Preview, compare, quality, continue and live: the sections of the panel that come after Apply."""

import numpy as np
import pytest

from Testing.slicer.cines import OBLIQUE, Inverse, add_cine, show, speckle
from Testing.slicer.pairs import pixels_of


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
