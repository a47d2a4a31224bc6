"""Segments and ROIs on the grid of a volume, on real MRML."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Testing.slicer.cines import add_cine
from Testing.slicer.pairs import LEFT_HANDED_OBLIQUE, UPRIGHT, add, speckle
from Testing.slicer.segments import (
    SHEAR_AND_SCALE,
    SMALL_TURN,
    about,
    add_segmentation,
    add_surface,
    add_transform,
    add_warp,
    looked_up,
    places,
)

SHAPE = (5, 24, 20)
CENTRE = tuple((LEFT_HANDED_OBLIQUE @ (9.5, 11.5, 2, 1))[:3])


@pytest.fixture
def the_regions(the_module):
    from Speckle2SelfSlicerLib import regions

    return regions


@pytest.fixture
def a_volume(a_scene):
    return add(speckle(SHAPE), LEFT_HANDED_OBLIQUE, "Carotid")


@pytest.fixture
def a_mask():
    return np.random.default_rng(2).random(SHAPE) > 0.6


@pytest.fixture
def a_segmentation(a_scene, a_mask):
    return add_segmentation(a_scene, {"Lumen": a_mask}, LEFT_HANDED_OBLIQUE)


def add_roi(scene, centre, size_mm, axes=None, name="Box"):
    import slicer.util

    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    roi.SetCenter(*centre)
    roi.SetSize(*size_mm)
    if axes is not None:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = axes, centre
        roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return roi


def nodes_of(scene):
    return sorted(scene.GetNthNode(number).GetID() for number in range(scene.GetNumberOfNodes()))


def test_a_segment_on_the_volumes_grid_comes_back_voxel_by_voxel(
    the_regions, a_scene, a_volume, a_segmentation, a_mask
):
    nodes = nodes_of(a_scene)
    mask = the_regions.region_mask(a_segmentation, a_volume)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, a_mask)
    assert nodes_of(a_scene) == nodes


@pytest.mark.parametrize("matrix", [SMALL_TURN, SHEAR_AND_SCALE, np.diag((-1.0, 1.0, 1.0, 1.0))])
@pytest.mark.parametrize("moved", ["volume", "segmentation", "both", "apart"])
def test_a_segment_lies_where_the_transforms_of_both_sides_put_it(
    the_regions, a_scene, a_volume, a_segmentation, a_mask, matrix, moved
):
    matrix = about(LEFT_HANDED_OBLIQUE, SHAPE, matrix)
    of_volume, of_segments = np.eye(4), np.eye(4)
    if moved in ("volume", "both", "apart"):
        transform, of_volume = add_transform(a_scene, matrix, a_volume), matrix
    if moved == "both":
        a_segmentation.SetAndObserveTransformNodeID(transform.GetID())
        of_segments = matrix
    if moved in ("segmentation", "apart"):
        of_segments = about(LEFT_HANDED_OBLIQUE, SHAPE, SMALL_TURN)
        add_transform(a_scene, of_segments, a_segmentation)
    expected = looked_up(a_mask, of_segments @ LEFT_HANDED_OBLIQUE, places(of_volume @ LEFT_HANDED_OBLIQUE, SHAPE))
    assert expected.sum() > 100
    np.testing.assert_array_equal(the_regions.region_mask(a_segmentation, a_volume), expected)


def test_a_segment_drawn_on_a_finer_and_turned_grid_is_looked_up_at_the_volumes_voxels(the_regions, a_scene, a_volume):
    fine = about(LEFT_HANDED_OBLIQUE, SHAPE, SMALL_TURN) @ LEFT_HANDED_OBLIQUE @ np.diag((0.45, 0.6, 0.3, 1.0))
    mask = np.random.default_rng(3).random((17, 40, 44)) > 0.5
    segmentation = add_segmentation(a_scene, {"Fine": mask}, fine)
    expected = looked_up(mask, fine, places(LEFT_HANDED_OBLIQUE, SHAPE))
    assert 100 < expected.sum() < expected.size - 100
    np.testing.assert_array_equal(the_regions.region_mask(segmentation, a_volume), expected)


def test_of_several_segments_the_named_one_is_taken_also_where_they_share_a_labelmap(
    the_regions, a_scene, a_volume, a_mask
):
    other = ~a_mask & (np.random.default_rng(4).random(SHAPE) > 0.5)
    segmentation = add_segmentation(a_scene, {"Lumen": a_mask, "Wall": other}, LEFT_HANDED_OBLIQUE)
    segmentation.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    np.testing.assert_array_equal(the_regions.region_mask(segmentation, a_volume, "Wall"), other)
    np.testing.assert_array_equal(the_regions.region_mask(segmentation, a_volume, "Lumen"), a_mask)
    with pytest.raises(SettingsError, match="several segments; choose one of 'Lumen', 'Wall'"):
        the_regions.region_mask(segmentation, a_volume)
    with pytest.raises(SettingsError, match="no segment with the ID 'Plaque'; choose one of 'Lumen', 'Wall'"):
        the_regions.region_mask(segmentation, a_volume, "Plaque")


def test_a_closed_surface_is_converted_on_the_volumes_grid_and_stays_a_surface(the_regions, a_scene, a_volume):
    segmentation = add_surface(a_scene, CENTRE, 1.7)
    turn = about(LEFT_HANDED_OBLIQUE, SHAPE, SMALL_TURN)
    add_transform(a_scene, turn, segmentation)
    nodes = nodes_of(a_scene)
    mask = the_regions.region_mask(segmentation, a_volume)
    moved = (turn @ [*CENTRE, 1.0])[:3]
    expected = np.linalg.norm(places(LEFT_HANDED_OBLIQUE, SHAPE) - moved, axis=-1) < 1.7
    assert expected.sum() > 100
    np.testing.assert_array_equal(mask, expected)
    assert nodes_of(a_scene) == nodes
    names = []
    segmentation.GetSegmentation().GetContainedRepresentationNames(names)
    assert names == ["Closed surface"]


def test_a_surface_with_a_coarse_labelmap_of_its_own_is_converted_anew(the_regions, a_scene, a_volume):
    import slicer

    segmentation = add_surface(a_scene, CENTRE, 1.7)
    coarse = add(speckle((3, 4, 4)), LEFT_HANDED_OBLIQUE @ np.diag((5.0, 6.0, 2.0, 1.0)), "Coarse")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(coarse)
    labelmap = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    assert segmentation.GetSegmentation().CreateRepresentation(labelmap)
    expected = np.linalg.norm(places(LEFT_HANDED_OBLIQUE, SHAPE) - CENTRE, axis=-1) < 1.7
    np.testing.assert_array_equal(the_regions.region_mask(segmentation, a_volume), expected)


def test_a_frame_of_one_slice_takes_the_cut_of_a_region(the_regions, a_scene, a_segmentation, a_mask):
    at_slice = LEFT_HANDED_OBLIQUE.copy()
    at_slice[:3, 3] = (LEFT_HANDED_OBLIQUE @ (0, 0, 3, 1))[:3]
    frame = add(speckle((1, *SHAPE[1:], 3)), at_slice, "Frame")
    np.testing.assert_array_equal(the_regions.region_mask(a_segmentation, frame)[0], a_mask[3])
    ball = add_surface(a_scene, CENTRE, 1.7)
    expected = np.linalg.norm(places(at_slice, (1, *SHAPE[1:])) - CENTRE, axis=-1) < 1.7
    assert expected.any()
    assert (the_regions.region_mask(ball, frame) != expected).sum() <= 2
    roi = add_roi(a_scene, CENTRE, (3, 3, 3))
    expected = (np.abs(places(at_slice, (1, *SHAPE[1:])) - CENTRE) <= 1.5).all(-1)
    np.testing.assert_array_equal(the_regions.region_mask(roi, frame), expected)


@pytest.mark.parametrize("volume_matrix", [np.eye(4), SHEAR_AND_SCALE])
@pytest.mark.parametrize("roi_matrix", [np.eye(4), SMALL_TURN])
def test_a_turned_roi_holds_the_voxels_whose_centres_are_inside(
    the_regions, a_scene, a_volume, volume_matrix, roi_matrix
):
    axes = SMALL_TURN[:3, :3] @ [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    size_mm = np.array((2.31, 3.13, 4.07))
    roi = add_roi(a_scene, CENTRE, size_mm, axes)
    volume_matrix, roi_matrix = (about(LEFT_HANDED_OBLIQUE, SHAPE, each) for each in (volume_matrix, roi_matrix))
    add_transform(a_scene, volume_matrix, a_volume)
    add_transform(a_scene, roi_matrix, roi)
    in_roi = np.linalg.inv(roi_matrix) @ volume_matrix @ LEFT_HANDED_OBLIQUE
    expected = (np.abs((places(in_roi, SHAPE) - CENTRE) @ axes) <= size_mm / 2).all(-1)
    assert 30 < expected.sum() < expected.size / 2
    nodes = nodes_of(a_scene)
    np.testing.assert_array_equal(the_regions.region_mask(roi, a_volume), expected)
    roi.SetInsideOut(True)
    np.testing.assert_array_equal(the_regions.region_mask(roi, a_volume), ~expected)
    assert nodes_of(a_scene) == nodes


def test_voxel_centres_on_the_face_of_an_roi_are_inside_in_spite_of_rounding(the_regions, a_scene):
    volume = add(speckle((9, 9, 9)), np.diag((-0.1, -0.1, 0.1, 1.0)), "Carotid")
    roi = add_roi(a_scene, (-0.4, -0.3, 0.5), (0.4, 0.2, 0.6))
    expected = np.zeros((9, 9, 9), bool)
    expected[2:9, 2:5, 2:7] = True
    np.testing.assert_array_equal(the_regions.region_mask(roi, volume), expected)


def test_extents_that_do_not_start_at_zero_are_respected(the_regions, a_scene, a_volume, a_segmentation, a_mask):
    a_volume.GetImageData().SetExtent(3, 22, -2, 21, 1, 5)
    shifted = np.eye(4)
    shifted[:3, 3] = (3, -2, 1)
    at = places(LEFT_HANDED_OBLIQUE @ shifted, SHAPE)
    np.testing.assert_array_equal(
        the_regions.region_mask(a_segmentation, a_volume), looked_up(a_mask, LEFT_HANDED_OBLIQUE, at)
    )
    roi = add_roi(a_scene, CENTRE, (3, 2, 3))
    np.testing.assert_array_equal(
        the_regions.region_mask(roi, a_volume), (np.abs(at - CENTRE) <= (1.5, 1.0, 1.5)).all(-1)
    )


def test_the_proxy_of_a_sequence_takes_regions_like_any_volume(the_regions, a_scene):
    _, _, proxy = add_cine(a_scene, speckle((3, 24, 30)))
    mask = np.zeros((1, 24, 30), bool)
    mask[0, 5:15, 8:20] = True
    segmentation = add_segmentation(a_scene, {"Lumen": mask}, np.diag((-0.2, -0.3, 1.0, 1.0)))
    np.testing.assert_array_equal(the_regions.region_mask(segmentation, proxy), mask)


def test_a_region_that_touches_no_voxel_says_so(the_regions, a_scene, a_volume, a_segmentation):
    add_transform(a_scene, np.array([[1, 0, 0, 300], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), a_segmentation)
    roi = add_roi(a_scene, (500, 0, 0), (2, 2, 2))
    for region, name in ((a_segmentation, "The segment 'Lumen' of 'Regions'"), (roi, "The ROI 'Box'")):
        assert the_regions.why_unusable(region, "", a_volume) == ""
        with pytest.raises(SettingsError) as caught:
            the_regions.region_mask(region, a_volume)
        assert str(caught.value) == (f"{name} touches no voxel of 'Carotid'; draw or move it, or choose another one.")


def test_a_segment_that_was_never_drawn_beside_others_touches_nothing(the_regions, a_volume, a_segmentation):
    a_segmentation.GetSegmentation().AddEmptySegment("Plaque", "Plaque")
    with pytest.raises(SettingsError, match="The segment 'Plaque' of 'Regions' touches no voxel"):
        the_regions.region_mask(a_segmentation, a_volume, "Plaque")


def test_a_warp_between_region_and_volume_is_refused_and_a_common_one_is_not(
    the_regions, a_scene, a_volume, a_segmentation, a_mask
):
    warp = add_warp(a_scene, a_segmentation)
    with pytest.raises(SettingsError, match="'Regions' and 'Carotid' are parted by a transform that is not linear"):
        the_regions.region_mask(a_segmentation, a_volume)
    a_volume.SetAndObserveTransformNodeID(warp.GetID())
    np.testing.assert_array_equal(the_regions.region_mask(a_segmentation, a_volume), a_mask)


def test_what_cannot_be_used_is_named_in_one_sentence(the_regions, a_scene, a_volume, a_segmentation):
    def why(region, segment_id=""):
        sentence = the_regions.why_unusable(region, segment_id, a_volume)
        with pytest.raises(SettingsError) as caught:
            the_regions.region_mask(region, a_volume, segment_id)
        assert str(caught.value) == sentence
        return sentence

    assert the_regions.why_unusable(a_segmentation, "", a_volume) == ""
    assert the_regions.why_unusable(a_segmentation, "", None) == "Choose an ultrasound volume first."
    assert why(None) == "Choose a segmentation or an ROI first."
    assert why(a_volume) == "'Carotid' is a vtkMRMLScalarVolumeNode; choose a segmentation or an ROI."
    assert why(a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "New")) == (
        "'New' has no segments; add one and draw it first."
    )
    not_drawn = add_segmentation(a_scene, {}, UPRIGHT, "New too")
    not_drawn.GetSegmentation().AddEmptySegment("Plaque", "Plaque")
    assert why(not_drawn) == "The segment 'Plaque' of 'New too' is empty; draw it first."
    assert why(a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")) == (
        "The ROI 'Box' has no volume; draw it first."
    )
    a_scene.RemoveNode(a_segmentation)
    assert why(a_segmentation, "Lumen") == "The region 'Regions' is no longer in the scene; choose another one."
