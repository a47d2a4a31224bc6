"""The residual and the swipe volume on real MRML."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Testing.slicer.pairs import (
    LEFT_HANDED_OBLIQUE,
    add,
    add_cine_pair,
    add_pair,
    matrix_of,
    pixels_of,
    select_frame,
    speckle,
)


@pytest.fixture
def residual_of(the_library):
    from Speckle2SelfSlicerLib.residual import residual_of

    return residual_of


@pytest.fixture
def make_swipe(the_library):
    from Speckle2SelfSlicerLib.pair import VolumePair
    from Speckle2SelfSlicerLib.swipe import Swipe

    def make(pair, *arguments):
        return Swipe(VolumePair(*pair), *arguments)

    return make


def window_level(volume):
    return volume.GetDisplayNode().GetWindow(), volume.GetDisplayNode().GetLevel()


def ijk_to_ras(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix_of(matrix)


@pytest.mark.parametrize(
    ("dtype", "signed"),
    [(np.uint8, np.int16), (np.int8, np.int16), (np.int16, np.float32), (np.uint16, np.float32), (float, np.float32)],
)
def test_residual_is_original_minus_despeckled_with_its_sign(residual_of, a_scene, dtype, signed):
    original = add(np.array([[[10, 100, 7]]], dtype))
    despeckled = add(np.array([[[12, 60, 7]]], dtype))
    residual = residual_of(original, despeckled)
    np.testing.assert_array_equal(pixels_of(residual), [[[-2, 40, 0]]])
    assert pixels_of(residual).dtype == signed
    assert residual.GetScene() is a_scene


def test_residual_of_16_bit_values_does_not_wrap_around(residual_of):
    values = np.array([[[0, 65535]]], np.uint16)
    residual = residual_of(add(values), add(values[..., ::-1].copy()))
    np.testing.assert_array_equal(pixels_of(residual), [[[-65535, 65535]]])


@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, [[[3, -6]]]), (np.float32, [[[2.99, -5.87]]])])
def test_residual_of_colour_is_the_difference_of_luminances(residual_of, dtype, expected):
    before = np.array([[[[10, 10, 10], [0, 0, 0]]]], dtype)
    after = np.array([[[[0, 10, 10], [0, 10, 0]]]], dtype)
    residual = residual_of(add(before), add(after))
    assert residual.GetClassName() == "vtkMRMLScalarVolumeNode"
    np.testing.assert_allclose(pixels_of(residual), expected, atol=1e-5)


def test_residual_lies_where_its_input_lies_and_says_what_it_is(residual_of, a_scene):
    pair = add_pair(speckle(), LEFT_HANDED_OBLIQUE)
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    pair.original.SetAndObserveTransformNodeID(transform.GetID())
    pair.original.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    residual = residual_of(*pair)
    np.testing.assert_array_equal(ijk_to_ras(residual), LEFT_HANDED_OBLIQUE)
    assert residual.GetTransformNodeID() == transform.GetID()
    assert residual.GetName() == "Carotid (Speckle2Self residual)"
    assert residual.GetAttribute("Speckle2Self.Content") == "residual: 'Carotid' minus 'Carotid (Speckle2Self)'"
    assert residual.GetAttribute("DICOM.instanceUIDs") is None
    assert residual.GetAttribute("Speckle2Self.Method") is None  # it must not pass for a despeckled volume


def test_residual_is_shown_symmetrically_about_zero_without_its_outliers(residual_of):
    original = np.zeros((1, 40, 50), np.uint8)
    despeckled = original.copy()
    original[0, :20], despeckled[0, 20:, :10], original[0, 0, 0] = 30, 12, 250
    display = residual_of(add(original), add(despeckled)).GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (60, 0, 0)


def test_residual_of_few_changed_pixels_or_none_has_a_range_all_the_same(residual_of):
    original = np.zeros((1, 40, 50), np.uint8)
    despeckled = original.copy()
    original[0, 3, 3] = 9
    assert window_level(residual_of(add(original), add(despeckled))) == (18, 0)
    assert window_level(residual_of(add(despeckled), add(despeckled))) == (2, 0)


def test_non_finite_values_do_not_spoil_the_range(residual_of):
    original = np.array([[[np.nan, 3.0, -3.0, np.inf]]])
    assert window_level(residual_of(add(original), add(np.zeros((1, 1, 4))))) == (6, 0)


def test_range_stays_from_frame_to_frame_and_an_unchanged_first_frame_does_not_set_it(residual_of, a_scene):
    frames = np.stack([np.full((1, 9, 9), 50, np.uint8), speckle((1, 9, 9)), speckle((1, 9, 9)) // 5])
    browser, pair = add_cine_pair(a_scene, frames)
    residual = residual_of(*pair)
    assert window_level(residual) == (2, 0)
    shown = []
    for number in (1, 2):
        select_frame(browser, number)
        assert residual_of(*pair, residual) is residual
        shown.append(window_level(residual))
        difference = pixels_of(pair.original).astype(int) - pixels_of(pair.despeckled)
        np.testing.assert_array_equal(pixels_of(residual), difference)
        assert difference.any()
    assert shown[0] == shown[1]
    assert shown[0][0] > 20


def test_a_window_that_the_user_chose_survives_an_update(residual_of):
    pair = add_pair(speckle())
    residual = residual_of(*pair)
    residual.GetDisplayNode().SetWindowLevel(11, 1)
    pixels_of(pair.original)[:] = 3
    residual_of(*pair, residual)
    assert window_level(residual) == (11, 1)
    np.testing.assert_array_equal(pixels_of(residual), 3 - pixels_of(pair.despeckled).astype(int))


def test_residual_is_interpolated_on_screen_as_its_input_is(residual_of):
    pair = add_pair(speckle())
    for is_interpolated in (0, 1):
        pair.original.GetDisplayNode().SetInterpolate(is_interpolated)
        assert residual_of(*pair).GetDisplayNode().GetInterpolate() == is_interpolated


def test_missing_display_nodes_are_survived(residual_of, make_swipe, a_scene):
    pair = add_pair(speckle())
    unchanged = residual_of(pair.original, pair.original)
    for volume in (*pair, unchanged):
        a_scene.RemoveNode(volume.GetDisplayNode())
    residual_of(*pair, unchanged)
    assert window_level(unchanged)[0] > 20
    assert window_level(residual_of(*pair)) == window_level(unchanged)
    assert make_swipe(pair, "x").volume.GetDisplayNode() is not None


def test_an_update_needs_no_new_memory_unless_the_size_changes(residual_of):
    pair = add_pair(speckle())
    residual = residual_of(*pair)
    image_data = residual.GetImageData()
    residual_of(*pair, residual)
    assert residual.GetImageData() is image_data
    larger = add_pair(speckle((6, 24, 20)))
    residual_of(*larger, residual)
    assert pixels_of(residual).shape == (6, 24, 20)


def test_an_update_tells_the_views(residual_of):
    import vtk

    pair = add_pair(speckle())
    residual = residual_of(*pair)
    events = []
    residual.GetImageData().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: events.append("image"))
    residual.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: events.append("node"))
    residual_of(*pair, residual)
    assert {"image", "node"} <= set(events)


def test_residual_stands_beside_its_input_in_the_subject_hierarchy(residual_of, a_scene):
    import slicer

    pair = add_pair(speckle())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Neck")
    hierarchy.CreateItem(study, pair.original)
    residual = residual_of(*pair)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(residual)) == study


def test_a_residual_of_volumes_of_different_size_is_refused_before_anything_is_added(residual_of, a_scene):
    original, other = add(speckle((1, 9, 8))), add(speckle((1, 9, 7)), name="Other")
    before = a_scene.GetNumberOfNodes()
    with pytest.raises(SettingsError, match=r"8 x 9 x 1 values of type uint8, but 'Other' has 7 x 9 x 1"):
        residual_of(original, other)
    assert a_scene.GetNumberOfNodes() == before


@pytest.mark.parametrize("colour", [(), (3,), (4,)], ids=["grey", "RGB", "RGBA"])
@pytest.mark.parametrize(("axis", "array_axis"), [("x", 2), ("y", 1), ("z", 0)])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_swipe_holds_the_original_left_of_the_line_and_the_despeckled_right_of_it(
    make_swipe, colour, axis, array_axis, is_mirrored
):
    pair = add_pair(speckle((10, 20, 10, *colour)), LEFT_HANDED_OBLIQUE)
    swipe = make_swipe(pair, axis, is_mirrored)

    def on_screen(volume):
        from_left = np.moveaxis(pixels_of(volume), array_axis, 0)
        return from_left[::-1] if is_mirrored else from_left

    for fraction in (0.5, 0.8, 0.1, 1.0, 0.0):
        swipe.move_to(fraction)
        mixed, original, despeckled = (on_screen(volume) for volume in (swipe.volume, *pair))
        line = round(fraction * len(mixed))
        np.testing.assert_array_equal(mixed[:line], original[:line])
        np.testing.assert_array_equal(mixed[line:], despeckled[line:])
    np.testing.assert_array_equal(ijk_to_ras(swipe.volume), LEFT_HANDED_OBLIQUE)


def test_moving_the_line_copies_only_the_columns_in_between(make_swipe):
    pair = add_pair(speckle((2, 5, 8)))
    swipe = make_swipe(pair, "x", False, 0.25)
    before = pixels_of(swipe.volume).copy()
    for volume in pair:
        pixels_of(volume)[:] = 0
    swipe.move_to(0.75)
    assert not pixels_of(swipe.volume)[..., 2:6].any()
    np.testing.assert_array_equal(pixels_of(swipe.volume)[..., [0, 1, 6, 7]], before[..., [0, 1, 6, 7]])


def test_swipe_follows_a_sequence_and_a_changed_place(make_swipe, a_scene):
    browser, pair = add_cine_pair(a_scene, speckle((3, 1, 6, 8)))
    swipe = make_swipe(pair, "x")
    select_frame(browser, 2)
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    pair.original.SetAndObserveTransformNodeID(transform.GetID())
    swipe.refresh()
    np.testing.assert_array_equal(pixels_of(swipe.volume)[..., :4], speckle((3, 1, 6, 8))[2, ..., :4])
    np.testing.assert_array_equal(pixels_of(swipe.volume)[..., 4:], pixels_of(pair.despeckled)[..., 4:])
    assert swipe.volume.GetTransformNodeID() == transform.GetID()


def test_swipe_is_hidden_unsaved_shown_like_its_input_and_leaves_nothing_behind(make_swipe, a_scene):
    pair = add_pair(speckle())
    pair.original.GetDisplayNode().SetWindowLevel(80, 33)
    before = a_scene.GetNumberOfNodes()
    swipe = make_swipe(pair, "x")
    assert swipe.volume.GetName() == "Carotid (Speckle2Self swipe)"
    assert window_level(swipe.volume) == (80, 33)
    for node in (swipe.volume, swipe.volume.GetDisplayNode()):
        assert not node.GetSaveWithScene()
    assert swipe.volume.GetHideFromEditors()
    swipe.remove()
    swipe.remove()
    assert swipe.volume is None
    assert a_scene.GetNumberOfNodes() == before


def test_swipe_survives_that_any_of_its_volumes_goes(make_swipe, a_scene):
    for number in range(3):
        pair = add_pair(speckle())
        swipe = make_swipe(pair, "x")
        a_scene.RemoveNode((*pair, swipe.volume)[number])
        swipe.move_to(0.9)
        swipe.refresh()
        swipe.remove()
        assert swipe.volume is None
