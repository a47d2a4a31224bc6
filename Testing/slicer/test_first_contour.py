"""First contours on real MRML: a new segmentation on the original's grid, sequences, and what is said of quality."""

import threading

import numpy as np
import pytest

from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Testing.slicer.cines import OBLIQUE, show
from Testing.slicer.pairs import add
from Testing.slicer.saving import able_to_read_files
from Testing.slicer.segments import SMALL_TURN, add_transform, ready_for_segmentations
from Testing.slicer.test_segmenting import grid_of
from Testing.slicer.tubes import column_of
from Testing.slicer.vessels import (
    RADII_PX,
    STEP_MM,
    LabelSegmenter,
    add_stack,
    add_vessel_cine,
    picture,
    ring,
    smooth_picture,
)


@pytest.fixture
def request_of(a_logic, a_scene):
    ready_for_segmentations(a_scene)
    from Speckle2SelfSlicerLib.vessel.first_contour import ContourRequest

    def request_of(volume, segmenter, looked_at=None, **settings):
        return ContourRequest(volume, looked_at or volume, lambda: segmenter, **settings)

    return request_of


@pytest.fixture
def contour(a_logic, request_of):
    def contour(*arguments, **settings):
        return a_logic.engine.first_contour(request_of(*arguments, **settings)).finish()

    return contour


def masks_of(segmentation, volume):
    from Speckle2SelfSlicerLib.regions import region_mask

    return region_mask(segmentation, volume, "Lumen"), region_mask(segmentation, volume, "Wall")


def test_a_new_segmentation_has_lumen_and_wall_on_the_originals_grid(contour, a_scene):
    labels = np.stack([ring(12.0), ring(15.0)])
    original, despeckled = (add(make(labels), OBLIQUE, "Carotid") for make in (picture, smooth_picture))
    transform = add_transform(a_scene, SMALL_TURN, original, despeckled)
    segmenter = LabelSegmenter(labels)
    segmentation = contour(original, segmenter, despeckled).segmentation
    np.testing.assert_array_equal(segmenter.seen[0].pixels, smooth_picture(labels))  # the despeckled image was seen
    for mask, label in zip(masks_of(segmentation, original), (1, 2), strict=True):
        np.testing.assert_array_equal(mask, labels == label)
    np.testing.assert_allclose(grid_of(segmentation)[0], OBLIQUE, atol=1e-9)
    assert segmentation.GetNodeReference("referenceImageGeometryRef") is original
    assert segmentation.GetTransformNodeID() == transform.GetID()
    assert segmentation.GetName() == "Carotid first contour"
    assert segmentation.GetDisplayNode() is not None
    segment = segmentation.GetSegmentation().GetSegment("Wall")
    assert segment.GetColor() == pytest.approx((0.95, 0.8, 0.3))
    import vtk

    entry = vtk.reference("")
    assert segment.GetTag(segment.GetTerminologyEntryTagName(), entry)
    assert "SCT^51114001^Artery" in str(entry)


def test_every_first_contour_is_a_node_of_its_own(contour, a_scene):
    labels = ring(12.0)[None]
    volume, drawn = add_stack(labels)
    before = masks_of(drawn, volume)
    first, second = (contour(volume, LabelSegmenter(labels)).segmentation for _ in range(2))
    assert len({drawn.GetID(), first.GetID(), second.GetID()}) == 3
    assert first.GetName() != second.GetName()
    np.testing.assert_array_equal(masks_of(drawn, volume), before)


def test_contours_that_should_not_be_trusted_are_named_in_words_and_in_the_table(contour, a_logic, a_scene):
    from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest

    labels = np.stack([ring(12.0), ring(15.0)])
    volume, _drawn = add_stack(labels)
    result = contour(volume, LabelSegmenter(labels, untrusted=(1,)))
    assert result.sentence == (
        "DO NOT TRUST the contour in 1 of 2 frames (1) of 'Carotid first contour': the border is uncertain."
    )
    measured = a_logic.engine.measure_vessel(MeasureRequest(volume, result.segmentation, "Lumen", "Wall")).finish()
    assert column_of(measured.table, "First contour") == ["", "the border is uncertain"]
    assert "Check and correct them" in contour(volume, LabelSegmenter(labels)).sentence


def test_a_cine_gets_a_sequence_of_segmentations_in_its_browser(contour, a_logic, a_scene):
    from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest

    sequence, browser, proxy, labels = add_vessel_cine(a_scene)
    segmentation = contour(proxy, LabelSegmenter(labels)).segmentation
    frames = browser.GetSequenceNode(segmentation)
    assert [frames.GetNthIndexValue(n) for n in range(4)] == [sequence.GetNthIndexValue(n) for n in range(4)]
    for number in (2, 0):
        show(browser, number)
        np.testing.assert_array_equal(masks_of(segmentation, proxy)[0][0], labels[number] == 1)
    measured = a_logic.engine.measure_vessel(MeasureRequest(proxy, segmentation, "Lumen", "Wall")).finish()
    diameters = column_of(measured.table, "Equivalent diameter (mm)")
    np.testing.assert_allclose(diameters, 2 * STEP_MM * np.array(RADII_PX), atol=0.05)


def test_a_correction_stays_in_its_frame(contour, a_scene):
    from Testing.slicer.segments import draw
    from Testing.slicer.vessels import UPRIGHT

    _sequence, browser, proxy, labels = add_vessel_cine(a_scene)
    segmentation = contour(proxy, LabelSegmenter(labels)).segmentation
    show(browser, 1)
    corrected = ring(9.0)[None] == 1
    draw(segmentation, "Lumen", corrected, UPRIGHT)
    show(browser, 3)
    np.testing.assert_array_equal(masks_of(segmentation, proxy)[0][0], labels[3] == 1)
    show(browser, 1)
    np.testing.assert_array_equal(masks_of(segmentation, proxy)[0], corrected)


def test_the_frame_in_view_alone_gets_a_single_segmentation(contour, a_scene):
    _sequence, browser, proxy, labels = add_vessel_cine(a_scene)
    show(browser, 2)
    result = contour(proxy, LabelSegmenter(labels[2:3]), all_frames=False)
    assert browser.GetSequenceNode(result.segmentation) is None
    np.testing.assert_array_equal(masks_of(result.segmentation, proxy)[0][0], labels[2] == 1)
    assert list(result.remarks) == [2]


def test_a_result_of_one_frame_cannot_stand_for_the_whole_cine(contour, a_scene):
    _sequence, _browser, proxy, labels = add_vessel_cine(a_scene)
    despeckled = add(smooth_picture(labels[:1]), np.diag((-STEP_MM, -STEP_MM, 1.0, 1.0)), "One")
    with pytest.raises(SettingsError, match="'One' does not have all frames of the cine"):
        contour(proxy, LabelSegmenter(labels), despeckled)


def test_cancelling_leaves_nothing_behind(a_logic, request_of, a_scene):
    labels = np.stack([ring(12.0)] * 3)
    volume, _drawn = add_stack(labels)
    count = a_scene.GetNumberOfNodes()
    go_on = threading.Semaphore(1)
    job = a_logic.engine.first_contour(request_of(volume, LabelSegmenter(labels, go_on=go_on)))
    while job.progress != (1, 3):
        job.advance()
    job.cancel()
    go_on.release(9)
    with pytest.raises(CancelledError):
        job.finish()
    assert a_scene.GetNumberOfNodes() == count


def test_the_shipped_segmenter_makes_a_first_contour(a_logic, a_scene):
    pytest.importorskip("torch")
    from Speckle2SelfSlicerLib.vessel.first_contour import ContourRequest

    labels = np.stack([ring(30.0, 8.0, (128, 128), (64.3, 64.2))])
    ready_for_segmentations(a_scene)
    volume = add(smooth_picture(labels), np.diag((-0.1, -0.1, 1.0, 1.0)), "Carotid")
    result = a_logic.engine.first_contour(
        ContourRequest(volume, volume, lambda: a_logic.engine.segmenter("cpu"))
    ).finish()
    segments = result.segmentation.GetSegmentation()
    assert [segments.GetNthSegmentID(n) for n in range(2)] == ["Lumen", "Wall"]
    assert result.sentence.startswith(("First contours are in", "DO NOT TRUST"))


def test_contours_figures_and_drawings_of_a_cine_are_found_again_in_a_saved_scene(contour, a_logic, a_scene, tmp_path):
    from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest

    _sequence, _browser, proxy, labels = add_vessel_cine(a_scene)
    segmentation = contour(proxy, LabelSegmenter(labels, untrusted=(1,))).segmentation
    name = segmentation.GetName()
    a_logic.engine.measure_vessel(MeasureRequest(proxy, segmentation, "Lumen", "Wall")).finish()
    keep = able_to_read_files(a_scene, tmp_path)
    assert a_scene.WriteToMRB(str(tmp_path / "scene.mrb"), None)
    a_scene.Clear(0)
    assert a_scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    browser = a_scene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode")
    proxy = a_scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = a_scene.GetFirstNode(name, "vtkMRMLSegmentationNode")
    count = a_scene.GetNumberOfNodes()
    again = a_logic.engine.measure_vessel(MeasureRequest(proxy, segmentation, "Lumen", "Wall")).finish()
    assert column_of(again.table, "First contour") == ["", "the border is uncertain", "", ""]
    diameters = column_of(again.table, "Equivalent diameter (mm)")
    np.testing.assert_allclose(diameters, 2 * STEP_MM * np.array(RADII_PX), atol=0.05)
    assert a_scene.GetNumberOfNodes() == count  # tables, plot and drawings were filled anew
    show(browser, 2)
    assert again.drawing.nodes["maximum diameter"].GetNthControlPointLabel(0).startswith("max 8.")
    del keep
