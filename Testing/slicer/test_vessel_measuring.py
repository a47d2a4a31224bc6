"""Segments measured on real MRML: figures, tables, plot, lines and curves."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Testing.slicer.cines import OBLIQUE, show, update
from Testing.slicer.segments import SMALL_TURN, add_segmentation, add_transform, add_warp
from Testing.slicer.tubes import column_of
from Testing.slicer.vessels import RADII_PX, STEP_MM, UPRIGHT, WALL_PX, add_stack, add_vessel_cine, ring, tube

DOCUMENT = Path(__file__).parents[2] / "Speckle2SelfSlicer/README.md"
DIAMETER = "Equivalent diameter (mm)"


@pytest.fixture
def measure(a_logic):
    """Measure lumen and wall of a segmentation and return the result."""
    from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest

    def measure(volume, segmentation, wall="Wall", **settings):
        return a_logic.engine.measure_vessel(MeasureRequest(volume, segmentation, "Lumen", wall, **settings)).finish()

    return measure


def markups_of(scene, kind="vtkMRMLMarkupsNode"):
    count = scene.GetNumberOfNodesByClass(kind)
    return {
        node.GetName().partition(": ")[2]: node
        for node in (scene.GetNthNodeByClass(number, kind) for number in range(count))
    }


def world_points(node):
    place = [0.0, 0.0, 0.0]
    points = []
    for number in range(node.GetNumberOfControlPoints()):
        node.GetNthControlPointPositionWorld(number, place)
        points.append(tuple(place))
    return np.array(points)


def test_every_slice_is_measured_in_mm_with_its_uncertainty(measure, a_scene):
    labels = np.stack([ring(12.0), ring(16.0)])
    volume, segmentation = add_stack(labels)
    result = measure(volume, segmentation)
    np.testing.assert_allclose(column_of(result.table, DIAMETER), [6.0, 8.0], atol=0.05)
    np.testing.assert_allclose(column_of(result.table, "Mean wall (mm)"), WALL_PX * STEP_MM, atol=0.08)
    uncertainty = 2 * STEP_MM * np.sqrt(1 / 12 + 0.25)
    np.testing.assert_allclose(column_of(result.table, "Equivalent diameter \u00b1 (mm)"), uncertainty, rtol=0.05)
    assert column_of(result.table, "Frame") == [0, 1]
    assert result.table.GetName() == "Carotid drawn (Speckle2Self vessel)"
    assert "Research use only" in result.table.GetAttribute("Speckle2Self.Notes")
    assert result.summary is None
    assert result.chart.GetNumberOfPlotSeriesNodes() == 3


def test_without_calibration_lengths_are_in_pixels(measure, a_scene):
    volume, segmentation = add_stack(ring(12.0)[None], np.diag((-1.0, -1.0, 1.0, 1.0)))
    result = measure(volume, segmentation)
    assert column_of(result.table, "Equivalent diameter (px)") == pytest.approx([24.0], abs=0.2)
    assert result.table.GetTable().GetColumnByName(DIAMETER) is None
    lines = markups_of(a_scene, "vtkMRMLMarkupsLineNode")
    assert not any(line.GetDisplayNode().GetPropertiesLabelVisibility() for line in lines.values())  # would say mm
    assert lines["maximum diameter"].GetNthControlPointLabel(0).endswith(" px")


def test_lines_and_curves_lie_on_the_walls_under_the_images_transform(measure, a_scene):
    labels = ring(14.0)[None]
    volume, segmentation = add_stack(labels, OBLIQUE)
    transform = add_transform(a_scene, SMALL_TURN, volume, segmentation)
    measure(volume, segmentation)
    nodes = markups_of(a_scene)
    assert set(nodes) == {
        "lumen contour", "outer wall contour", "minimum diameter", "maximum diameter", "thickest wall",
    }  # fmt: skip
    to_pixels = np.linalg.inv(SMALL_TURN @ OBLIQUE)
    for name, radius_px in (("lumen contour", 14.0), ("outer wall contour", 14.0 + WALL_PX)):
        points = world_points(nodes[name])
        ijk = np.concatenate([points, np.ones((len(points), 1))], 1) @ to_pixels.T
        np.testing.assert_allclose(ijk[:, 2], 0, atol=1e-6)
        np.testing.assert_allclose(np.hypot(ijk[:, 0] - 36.2, ijk[:, 1] - 32.3), radius_px, atol=0.7)
    assert all(node.GetTransformNodeID() == transform.GetID() and node.GetLocked() for node in nodes.values())


def test_drawings_follow_the_slice_in_view(measure, a_scene):
    volume, segmentation = add_stack(np.stack([ring(10.0), ring(16.0), np.zeros_like(ring(9.0))]))
    result = measure(volume, segmentation)
    line = markups_of(a_scene)["maximum diameter"]
    assert line.GetMeasurement("length").GetValue() == pytest.approx(20 * STEP_MM, abs=0.3)
    assert line.GetNthControlPointLabel(0).startswith("max 5.")
    result.drawing.show(1)
    assert line.GetMeasurement("length").GetValue() == pytest.approx(32 * STEP_MM, abs=0.3)
    np.testing.assert_allclose(world_points(line)[:, 2], 1.0)
    result.drawing.show(2)
    assert line.GetNumberOfControlPoints() == 0
    assert "no lumen" in column_of(result.table, "Notes")[2]


def test_measuring_again_fills_the_same_table_and_draws_anew(measure, a_scene):
    volume, segmentation = add_stack(np.stack([ring(12.0), ring(16.0)]))
    first = measure(volume, segmentation)
    counts = a_scene.GetNumberOfNodes()
    second = measure(volume, segmentation, wall="")
    assert second.table is first.table
    assert second.chart is first.chart
    assert second.table.GetTable().GetColumnByName("Mean wall (mm)") is None
    assert set(markups_of(a_scene)) == {"lumen contour", "minimum diameter", "maximum diameter"}
    assert a_scene.GetNumberOfNodes() < counts


def a_segmentation_cine(scene, browser, cine, labels):
    """Add a user's own sequence of segmentations to a browser; return its proxy."""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Mine")
    sequence.SetIndexName("time")
    for number, frame in enumerate(labels):
        node = add_segmentation(scene, {"Lumen": frame[None] == 1, "Wall": frame[None] == 2}, UPRIGHT, "frame")
        sequence.SetDataNodeAtValue(node, cine.GetNthIndexValue(number))
        scene.RemoveNode(node)
    browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    update(browser)
    return browser.GetProxyNode(sequence)


def test_a_cine_has_a_diameter_curve_systole_and_distension(measure, a_scene):
    sequence, browser, proxy, labels = add_vessel_cine(a_scene)
    segmentation = a_segmentation_cine(a_scene, browser, sequence, labels)
    result = measure(proxy, segmentation)
    np.testing.assert_allclose(column_of(result.table, DIAMETER), 2 * STEP_MM * np.array(RADII_PX), atol=0.05)
    np.testing.assert_allclose(column_of(result.table, "Time (s)"), [0, 0.04, 0.08, 0.12])
    assert column_of(result.table, "Phase") == ["diastole", "", "systole", ""]
    names, values = (column_of(result.summary, name) for name in ("Figure", "Value"))
    assert dict(zip(names, values, strict=True))["Distension"] == pytest.approx(2.0, abs=0.05)
    assert result.chart.GetXAxisTitle() == "Time (s)"


def test_drawings_of_a_cine_are_sequences_in_the_same_browser(measure, a_scene):
    sequence, browser, proxy, labels = add_vessel_cine(a_scene)
    segmentation = a_segmentation_cine(a_scene, browser, sequence, labels)
    result = measure(proxy, segmentation)
    line = result.drawing.nodes["maximum diameter"]
    drawn = browser.GetSequenceNode(line)
    assert [drawn.GetNthIndexValue(n) for n in range(4)] == [sequence.GetNthIndexValue(n) for n in range(4)]
    for number in (2, 0, 1):
        show(browser, number)
        expected = 2 * STEP_MM * RADII_PX[number]
        assert line.GetMeasurement("length").GetValue() == pytest.approx(expected, abs=0.3)
    count = a_scene.GetNumberOfNodes()
    measure(proxy, segmentation)  # the earlier sequences, proxies and display nodes are gone
    assert a_scene.GetNumberOfNodes() == count


def test_one_segmentation_on_a_cine_is_measured_in_the_frame_in_view_alone(measure, a_scene):
    _sequence, browser, proxy, labels = add_vessel_cine(a_scene)
    show(browser, 2)
    segmentation = add_segmentation(a_scene, {"Lumen": labels[2][None] == 1}, UPRIGHT, "Drawn")
    result = measure(proxy, segmentation, wall="")
    assert column_of(result.table, "Frame") == [2]
    assert "Only the frame in view was measured" in result.note
    line = result.drawing.nodes["maximum diameter"]
    assert line.GetNumberOfControlPoints() == 2
    show(browser, 1)
    assert line.GetNumberOfControlPoints() == 0  # it does not hold for another frame


def test_a_longitudinal_vessel_has_diameter_and_far_wall(measure, a_scene):
    volume, segmentation = add_stack(tube(height_px=24, wall_px=3)[None])
    result = measure(volume, segmentation, view="longitudinal")
    assert column_of(result.table, "Mean diameter (mm)") == pytest.approx([6.0], abs=0.03)
    assert column_of(result.table, "Mean IMT (mm)") == pytest.approx([0.75], abs=0.05)
    nodes = markups_of(a_scene)
    assert {"near wall", "far wall, lumen-intima", "far wall, media-adventitia", "maximum IMT"} <= set(nodes)
    rows = world_points(nodes["far wall, media-adventitia"])[:, 1] / -STEP_MM
    np.testing.assert_allclose(rows, 18 + 24 + 3 - 0.5, atol=0.1)


def test_slices_along_a_vessel_have_an_area_stenosis_if_the_normal_ones_are_named(measure, a_scene):
    radii_px = (16.0, 16.0, 8.0, 12.0)
    labels = np.stack([*(ring(radius) for radius in radii_px), np.zeros_like(ring(1.0))])
    volume, segmentation = add_stack(labels)
    result = measure(volume, segmentation, reference="first")
    table = result.summary
    assert column_of(table, "Figure") == ["Area stenosis", "Minimum area", "Reference area"]
    areas_mm2 = [np.pi * (radius * STEP_MM) ** 2 for radius in (8.0, 16.0)]
    assert column_of(table, "Value") == pytest.approx([75.0, *areas_mm2], rel=0.01)
    assert column_of(table, "Unit") == ["%", "mm2", "mm2"]
    assert column_of(table, "Frame") == ["", "2", ""]
    assert all(column_of(table, "\u00b1"))
    notes = table.GetAttribute("Speckle2Self.Notes")
    assert "Reference frames: 0." in notes
    assert "1 frames without lumen" in notes
    refused = measure(volume, segmentation, reference=(2, 3)).summary
    assert "one of the reference frames; name others" in column_of(refused, "Remark")[0]
    assert measure(volume, segmentation, view="longitudinal", reference="first").figures.stenosis is None


def test_slices_along_another_axis_are_measured_in_their_own_plane(measure, a_scene):
    labels = np.stack(
        [ring(12.0, shape_yx=(40, 72), centre_yx=(20.3, 36.2))] * 3, axis=1
    )  # (Z, Y, X) with slices along Y
    matrix = np.diag((-0.25, 1.5, 0.25, 1.0))
    volume, segmentation = add_stack(labels, matrix)
    result = measure(volume, segmentation, slice_axis="y")
    np.testing.assert_allclose(column_of(result.table, DIAMETER), [6.0] * 3, atol=0.05)
    result.drawing.show(1)
    np.testing.assert_allclose(world_points(result.drawing.nodes["lumen contour"])[:, 1], 1.5)


def test_a_transform_that_bends_is_refused_in_one_sentence(measure, a_scene):
    volume, segmentation = add_stack(ring(12.0)[None])
    add_warp(a_scene, volume, segmentation)
    with pytest.raises(SettingsError, match="under a transform that is not linear; measure it without"):
        measure(volume, segmentation)


def test_what_cannot_be_measured_is_refused_in_one_sentence(measure, a_scene):
    volume, segmentation = add_stack(ring(12.0)[None])
    with pytest.raises(SettingsError, match="has no segment with the ID 'Plaque'"):
        measure(volume, segmentation, wall="Plaque")
    empty = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    with pytest.raises(SettingsError, match="'Empty' has no segments"):
        measure(volume, empty)


def test_cancelling_or_deleting_the_segmentation_leaves_nothing_behind(a_logic, a_scene):
    from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest

    volume, segmentation = add_stack(np.stack([ring(12.0)] * 4))
    count = a_scene.GetNumberOfNodes()
    job = a_logic.engine.measure_vessel(MeasureRequest(volume, segmentation, "Lumen"))
    job.cancel()
    with pytest.raises(CancelledError, match="nothing was changed"):
        job.finish()
    assert a_scene.GetNumberOfNodes() == count
    job = a_logic.engine.measure_vessel(MeasureRequest(volume, segmentation, "Lumen"))
    a_scene.RemoveNode(segmentation)
    with pytest.raises(CancelledError, match="'Carotid drawn' was deleted"):
        job.finish()
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_the_table_is_saved_as_csv_with_empty_cells_for_what_was_not_measured(measure, a_scene, tmp_path):
    from Speckle2SelfSlicerLib.tables import write_csv

    volume, segmentation = add_stack(np.stack([ring(12.0), np.zeros_like(ring(1.0))]))
    path = write_csv(measure(volume, segmentation).table, tmp_path / "vessel.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert float(rows[0][DIAMETER]) == pytest.approx(6.0, abs=0.05)
    assert rows[1][DIAMETER] == ""


def test_the_script_in_the_documents_measures(a_logic, a_scene, capsys):
    import slicer

    add_stack(np.stack([ring(12.0), ring(16.0), ring(13.0)]))
    text = DOCUMENT.read_text(encoding="utf-8")
    script = re.search(r"```python\n(from Speckle2SelfSlicerLib.*?)```", text, re.DOTALL)[1]
    exec(compile(script, DOCUMENT.name, "exec"), {"slicer": slicer, "logic": a_logic})  # noqa: S102 - our own document
    assert capsys.readouterr().out.startswith("Carotid drawn (Speckle2Self vessel) 8.0")
