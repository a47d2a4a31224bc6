"""The hand-over to the Segment Editor on real MRML."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Testing.slicer.cines import add_cine, speckle
from Testing.slicer.pairs import LEFT_HANDED_OBLIQUE, UPRIGHT, add, add_pair, matrix_of
from Testing.slicer.pairs import speckle as voxels
from Testing.slicer.segments import SMALL_TURN, about, add_segmentation, add_transform, draw, ready_for_segmentations

SHAPE = (5, 24, 20)


@pytest.fixture
def the_segmenting(the_module):
    from Speckle2SelfSlicerLib import segmenting

    return segmenting


@pytest.fixture
def a_pair(a_scene):
    ready_for_segmentations(a_scene)
    return add_pair(voxels(SHAPE), LEFT_HANDED_OBLIQUE)


def grid_of(segmentation):
    """Return matrix and extent of the reference geometry of a segmentation."""
    import slicer
    import vtk

    converter = slicer.vtkSegmentationConverter
    geometry = segmentation.GetSegmentation().GetConversionParameter(converter.GetReferenceImageGeometryParameterName())
    image = slicer.vtkOrientedImageData()
    assert converter.DeserializeImageGeometry(geometry, image, False)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return matrix_of(matrix), image.GetExtent()


def exported(segmentation, volume):
    """Export a segmentation as the application does, and return labelmap voxels and IJKToRAS."""
    import slicer
    import slicer.util
    import vtk

    scene = segmentation.GetScene()
    labelmap = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    ids = vtk.vtkStringArray()
    segmentation.GetSegmentation().GetSegmentIDs(ids)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.ExportSegmentsToLabelmapNode(segmentation, ids, labelmap, volume)
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVolume(labelmap), matrix_of(matrix)


def source_of(editor):
    is_new = hasattr(editor, "GetSourceVolumeNode")
    return editor.GetSourceVolumeNode() if is_new else editor.GetMasterVolumeNode()


def test_a_new_segmentation_has_the_originals_grid_and_one_empty_segment(the_segmenting, a_scene, a_pair):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    patient = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    hierarchy.CreateItem(patient, a_pair.original)
    transform = add_transform(a_scene, SMALL_TURN, *a_pair)
    segmentation = the_segmenting.prepare_segmentation(*a_pair)
    assert segmentation.GetName() == "Carotid segmentation"
    assert segmentation.GetTransformNodeID() == transform.GetID()
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 1
    assert segmentation.GetDisplayNode() is not None
    matrix, extent = grid_of(segmentation)
    np.testing.assert_allclose(matrix, LEFT_HANDED_OBLIQUE, atol=1e-9)
    assert extent == a_pair.original.GetImageData().GetExtent()
    assert segmentation.GetNodeReference("referenceImageGeometryRef") is a_pair.original
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(segmentation)) == patient


def test_a_mask_drawn_on_the_despeckled_volume_lies_on_the_originals_grid(the_segmenting, a_scene, a_pair):
    add_transform(a_scene, about(LEFT_HANDED_OBLIQUE, SHAPE, SMALL_TURN), *a_pair)
    segmentation = the_segmenting.prepare_segmentation(*a_pair)
    the_segmenting.segment_editor_setup(a_scene, segmentation, a_pair.despeckled)
    mask = np.random.default_rng(5).random(SHAPE) > 0.5
    mask[0] = mask[:, 0] = mask[:, :, -1] = False  # a labelmap that does not fill the grid
    matrix, _ = grid_of(segmentation)
    draw(segmentation, segmentation.GetSegmentation().GetNthSegmentID(0), mask, matrix)
    labels, labels_matrix = exported(segmentation, a_pair.original)
    np.testing.assert_array_equal(labels > 0, mask)
    np.testing.assert_allclose(labels_matrix, LEFT_HANDED_OBLIQUE, atol=1e-9)
    from Speckle2SelfSlicerLib.regions import region_mask

    np.testing.assert_array_equal(region_mask(segmentation, a_pair.original), mask)


def test_the_editor_opens_with_segmentation_segment_and_despeckled_source(the_segmenting, a_scene, a_pair):
    segmentation = the_segmenting.prepare_segmentation(*a_pair)
    editor = the_segmenting.segment_editor_setup(a_scene, segmentation, a_pair.despeckled)
    assert a_scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode") is editor
    assert editor.GetSegmentationNode() is segmentation
    assert source_of(editor) is a_pair.despeckled
    assert editor.GetSelectedSegmentID() == segmentation.GetSegmentation().GetNthSegmentID(0)
    matrix, _ = grid_of(segmentation)
    np.testing.assert_allclose(matrix, LEFT_HANDED_OBLIQUE, atol=1e-9)


def test_the_editors_own_settings_are_used_again_with_the_segment_that_was_chosen(the_segmenting, a_scene, a_pair):
    segmentation = the_segmenting.prepare_segmentation(*a_pair)
    wall = segmentation.GetSegmentation().AddEmptySegment("Wall", "Wall")
    editor = the_segmenting.segment_editor_setup(a_scene, segmentation, a_pair.despeckled)
    editor.SetSelectedSegmentID(wall)
    assert the_segmenting.segment_editor_setup(a_scene, segmentation, a_pair.original) is editor
    assert editor.GetSelectedSegmentID() == wall
    assert source_of(editor) is a_pair.original
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 1


def test_an_application_without_source_volumes_gets_a_master_volume(the_segmenting, a_scene, a_pair, monkeypatch):
    segmentation = the_segmenting.prepare_segmentation(*a_pair)
    seen = []

    class OldEditor:
        SetAndObserveMasterVolumeNode = staticmethod(seen.append)

        def GetSelectedSegmentID(self):  # noqa: N802
            return None

        def SetSelectedSegmentID(self, segment_id):  # noqa: N802
            seen.append(segment_id)

        def SetAndObserveSegmentationNode(self, node):  # noqa: N802
            seen.append(node)

    class OldScene:
        def GetSingletonNode(self, _tag, _kind):  # noqa: N802
            return OldEditor()

    the_segmenting.segment_editor_setup(OldScene(), segmentation, a_pair.despeckled)
    assert seen == [segmentation, a_pair.despeckled, segmentation.GetSegmentation().GetNthSegmentID(0)]


def test_a_given_segmentation_keeps_its_segments_and_takes_the_originals_grid(the_segmenting, a_scene, a_pair):
    mask = np.random.default_rng(6).random((4, 30, 30)) > 0.5
    segmentation = add_segmentation(a_scene, {"Lumen": mask, "Wall": ~mask}, UPRIGHT, "Mine")
    assert the_segmenting.prepare_segmentation(*a_pair, segmentation) is segmentation
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2
    np.testing.assert_allclose(grid_of(segmentation)[0], LEFT_HANDED_OBLIQUE, atol=1e-9)
    other = add(voxels((4, 30, 30)), UPRIGHT, "Other")
    from Speckle2SelfSlicerLib.regions import region_mask

    np.testing.assert_array_equal(region_mask(segmentation, other, "Lumen"), mask)


def test_segments_are_not_moved_by_another_transform(the_segmenting, a_scene, a_pair):
    mask = np.ones(SHAPE, bool)
    segmentation = add_segmentation(a_scene, {"Lumen": mask}, LEFT_HANDED_OBLIQUE, "Mine")
    transform = add_transform(a_scene, SMALL_TURN, *a_pair)
    with pytest.raises(SettingsError, match="'Mine' lies under another transform than 'Carotid'"):
        the_segmenting.prepare_segmentation(*a_pair, segmentation)
    assert segmentation.GetTransformNodeID() is None
    empty = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    the_segmenting.prepare_segmentation(*a_pair, empty)
    assert empty.GetTransformNodeID() == transform.GetID()
    assert empty.GetSegmentation().GetNumberOfSegments() == 1


def test_a_deleted_segmentation_is_replaced_by_a_new_one_and_names_stay_apart(the_segmenting, a_scene, a_pair):
    first = the_segmenting.prepare_segmentation(*a_pair)
    second = the_segmenting.prepare_segmentation(*a_pair)
    assert (first is second, first.GetName() == second.GetName()) == (False, False)
    a_scene.RemoveNode(first)
    third = the_segmenting.prepare_segmentation(*a_pair, first)
    assert third is not first
    assert third.GetScene() is a_scene


def test_proxies_of_sequences_and_colour_volumes_can_be_segmented(the_segmenting, a_scene, a_pair):
    _, _, cine = add_cine(a_scene, speckle((3, 24, 30)))
    _, _, result = add_cine(a_scene, speckle((3, 24, 30)), name="Cine (Speckle2Self)")
    segmentation = the_segmenting.prepare_segmentation(cine, result)
    np.testing.assert_allclose(grid_of(segmentation)[0], np.diag((-0.2, -0.3, 1.0, 1.0)))
    colour = add_pair(voxels((1, 24, 20, 3)), LEFT_HANDED_OBLIQUE, "Colour")
    segmentation = the_segmenting.prepare_segmentation(*colour)
    assert grid_of(segmentation)[1] == (0, 19, 0, 23, 0, 0)


def test_volumes_on_different_grids_are_refused(the_segmenting, a_scene, a_pair):
    count = a_scene.GetNumberOfNodes()
    moved = LEFT_HANDED_OBLIQUE.copy()
    moved[0, 3] += 3
    other = add(voxels(SHAPE), moved, "Other")
    nodes = a_scene.GetNumberOfNodes()
    with pytest.raises(SettingsError, match="lie at different places"):
        the_segmenting.prepare_segmentation(a_pair.original, other)
    assert a_scene.GetNumberOfNodes() == nodes > count
