"""Comparing original and despeckled in slice views: real MRML, layouts, slice logics and links, without drawing."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Testing.slicer.pairs import (
    LEFT_HANDED_OBLIQUE,
    UPRIGHT,
    add,
    add_cine_pair,
    add_pair,
    matrix_of,
    pixels_of,
    select_frame,
    speckle,
)

ORIGINAL, DESPECKLED, SINGLE = "Speckle2SelfOriginal", "Speckle2SelfDespeckled", "Speckle2SelfCompare"
USERS_VIEWS = ["Red", "Green", "Yellow"]


def directions(application, name):
    """Return the screen's right, up and normal as rows, in RAS."""
    return matrix_of(application.slice_node(name).GetSliceToRAS())[:3, :3].T


def test_side_by_side_shows_each_volume_in_a_view_of_its_own(compare, modes, an_application, a_pair, volumes_in):
    comparison = compare()
    assert comparison.mode is None
    comparison.show(modes.SIDE_BY_SIDE)
    assert comparison.mode is modes.SIDE_BY_SIDE
    assert an_application.views_shown() == [ORIGINAL, DESPECKLED]
    for name, volume, label in ((ORIGINAL, a_pair.original, "Original"), (DESPECKLED, a_pair.despeckled, "Despeckled")):
        assert volumes_in(name) == (volume, None, None)
        assert an_application.slice_node(name).GetLayoutLabel() == label
    colours = {an_application.slice_node(name).GetLayoutColor() for name in (ORIGINAL, DESPECKLED)}
    assert len(colours) == 2


@pytest.mark.parametrize("mode", ["FADE", "FLIP"])
def test_fading_and_flipping_lay_the_despeckled_over_the_original_in_one_view(
    compare, modes, an_application, a_pair, mode, volumes_in
):
    comparison = compare()
    comparison.show(modes[mode])
    assert an_application.views_shown() == [SINGLE]
    assert volumes_in(SINGLE) == (*a_pair, None)
    assert an_application.composite(SINGLE).GetForegroundOpacity() == comparison.fraction


@pytest.mark.parametrize(("axis", "number"), [("x", 0), ("y", 1), ("z", 2)])
@pytest.mark.parametrize("mode", ["SIDE_BY_SIDE", "FADE"])
def test_views_lie_in_the_slices_of_an_oblique_left_handed_moved_volume_and_hold_all_of_it(
    compare, modes, an_application, a_scene, axis, number, mode
):
    import vtk

    turn = vtk.vtkTransform()
    turn.RotateWXYZ(40, 1, 2, 3)
    turn.Translate(30, -20, 10)
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    pair = add_pair(speckle((7, 24, 20)), LEFT_HANDED_OBLIQUE)
    for volume in pair:
        volume.SetAndObserveTransformNodeID(transform.GetID())
    compare(pair, axis).show(modes[mode])
    to_world = matrix_of(turn.GetMatrix()) @ LEFT_HANDED_OBLIQUE
    axes = to_world[:3, :3] / np.linalg.norm(to_world[:3, :3], axis=0)
    for name in an_application.views_shown():
        alignment = np.abs(directions(an_application, name) @ axes)
        np.testing.assert_allclose(alignment[2, number], 1, atol=1e-6)
        np.testing.assert_allclose(alignment.max(axis=1), 1, atol=1e-6)
        corners_ijk = np.array([[i, j, k, 1] for i in (-0.5, 19.5) for j in (-0.5, 23.5) for k in (-0.5, 6.5)])
        ras_to_view = np.linalg.inv(matrix_of(an_application.slice_node(name).GetXYToRAS()))
        corners_xy = (ras_to_view @ to_world @ corners_ijk.T)[:2]
        size = np.array(an_application.slice_node(name).GetDimensions()[:2])
        assert (corners_xy > -1e-6 - 0.5).all()
        assert (size + 1e-6 > corners_xy.T).all()
        assert ((corners_xy.max(axis=1) - corners_xy.min(axis=1)) / size).max() > 0.99  # it fills the view


def test_a_label_map_in_the_views_gives_way(compare, modes, an_application, volumes_in, a_pair):
    comparison = compare()
    comparison.show(modes.FADE)
    an_application.composite(SINGLE).SetLabelVolumeID(add(speckle()).GetID())
    comparison.show(modes.FLIP)
    assert volumes_in(SINGLE) == (*a_pair, None)


def test_an_upright_volume_is_shown_upright(compare, modes, an_application):
    compare().show(modes.FADE)
    np.testing.assert_allclose(directions(an_application, SINGLE)[:2], [[-1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_orientation_presets_are_not_needed(compare, modes, an_application, a_pair):
    from Speckle2SelfSlicerLib.slice_views import find_view

    compare().show(modes.FADE)
    with_presets = directions(an_application, SINGLE)
    for name in ("Axial", "Coronal", "Sagittal"):
        an_application.slice_node(SINGLE).RemoveSliceOrientationPreset(name)
    view = find_view(SINGLE, an_application.scene, an_application.logic)
    view.turn_to(a_pair.original, "x")
    assert not np.allclose(directions(an_application, SINGLE), with_presets)
    view.turn_to(a_pair.original, "z")
    np.testing.assert_allclose(directions(an_application, SINGLE), with_presets, atol=1e-9)


def test_the_comparison_starts_at_the_slice_that_the_user_looked_at(compare, modes, an_application, a_pair):
    an_application.composite("Red").SetBackgroundVolumeID(a_pair.despeckled.GetID())
    an_application.slice_logic("Red").FitSliceToVolume(a_pair.despeckled, 320, 320)
    an_application.slice_node("Red").SetSliceOffset(0.5)
    compare().show(modes.SIDE_BY_SIDE)
    assert [an_application.slice_node(name).GetSliceOffset() for name in (ORIGINAL, DESPECKLED)] == [0.5, 0.5]


def test_without_a_view_on_the_slice_the_comparison_starts_in_the_middle(compare, modes, an_application):
    compare().show(modes.FADE)
    assert an_application.slice_node(SINGLE).GetSliceOffset() == pytest.approx(1.0)  # slice 2 of 0..4, 0.5 mm each


def test_modes_go_on_with_slice_place_and_zoom(compare, modes, an_application):
    comparison = compare()
    comparison.show(modes.FADE)
    node = an_application.slice_node(SINGLE)
    node.SetSliceOffset(1.5)
    node.SetFieldOfView(2.0, 2.0, 1.0)
    node.SetXYZOrigin(0.3, -0.2, 0)
    for mode in ("SWIPE", "SIDE_BY_SIDE", "RESIDUAL"):
        comparison.show(modes[mode])
        for name in an_application.views_shown():
            node = an_application.slice_node(name)
            assert node.GetSliceOffset() == pytest.approx(1.5)
            np.testing.assert_allclose(node.GetFieldOfView()[:2], 2.0)
            np.testing.assert_allclose(node.GetXYZOrigin()[:2], [0.3, -0.2])


def test_the_picture_stays_fitted_while_the_window_settles_until_the_user_zooms(compare, modes, an_application):
    comparison = compare()  # 5 mm wide, 6 mm high
    comparison.show(modes.SIDE_BY_SIDE)
    an_application.resize(100, 400)
    for name in (ORIGINAL, DESPECKLED):
        np.testing.assert_allclose(an_application.slice_node(name).GetFieldOfView()[:2], [5, 20])
        pixel_mm = np.diag(matrix_of(an_application.slice_node(name).GetXYToSlice()))[:2]
        np.testing.assert_allclose(pixel_mm, 0.05)  # and the view's matrices know
    an_application.slice_node(ORIGINAL).SetSliceOffset(1.5)
    an_application.resize(400, 400)
    np.testing.assert_allclose(an_application.slice_node(ORIGINAL).GetFieldOfView()[:2], [6, 6])
    assert an_application.slice_node(ORIGINAL).GetSliceOffset() == 1.5
    comparison.show(modes.FADE)
    np.testing.assert_allclose(an_application.slice_node(SINGLE).GetFieldOfView()[:2], [6, 6])
    an_application.slice_node(SINGLE).SetFieldOfView(3, 3, 1)
    an_application.resize(100, 400)
    assert an_application.slice_node(SINGLE).GetFieldOfView()[1] == 3


def test_a_fit_that_was_stopped_follows_no_longer(compare, modes, an_application, a_pair):
    from Speckle2SelfSlicerLib.placement import KeptFit
    from Speckle2SelfSlicerLib.slice_views import find_view

    compare().show(modes.FADE)
    kept = KeptFit(find_view(SINGLE, an_application.scene, an_application.logic), a_pair.original)
    an_application.resize(100, 400)
    assert an_application.slice_node(SINGLE).GetFieldOfView()[1] == 20
    kept.stop()
    an_application.resize(400, 400)
    assert an_application.slice_node(SINGLE).GetFieldOfView()[1] == 20


def test_linked_views_move_together_and_leave_the_users_views_alone(compare, modes, an_application):
    comparison = compare()
    comparison.show(modes.SIDE_BY_SIDE)
    node = an_application.slice_node(ORIGINAL)
    red = matrix_of(an_application.slice_node("Red").GetSliceToRAS()), an_application.slice_node("Red").GetFieldOfView()
    with an_application.dragging(ORIGINAL, node.SliceToRASFlag):
        node.SetSliceOffset(1.5)
    with an_application.dragging(ORIGINAL, node.FieldOfViewFlag):
        node.SetFieldOfView(2, 2, 1)
        assert an_application.slice_node(DESPECKLED).GetFieldOfView()[:2] == (2, 2)  # at once, not at the end
    with an_application.dragging(ORIGINAL, node.XYZOriginFlag):
        node.SetXYZOrigin(0.5, 0.25, 0)
    other = an_application.slice_node(DESPECKLED)
    assert (other.GetSliceOffset(), other.GetXYZOrigin()) == (1.5, (0.5, 0.25, 0))
    np.testing.assert_array_equal(matrix_of(an_application.slice_node("Red").GetSliceToRAS()), red[0])
    assert an_application.slice_node("Red").GetFieldOfView() == red[1]
    for name in USERS_VIEWS:
        an_application.composite(name).SetLinkedControl(True)
        an_application.composite(name).SetHotLinkedControl(True)
    with an_application.dragging("Red", node.FieldOfViewFlag) as red_node:
        red_node.SetFieldOfView(77, 77, 1)
    assert an_application.slice_node("Green").GetFieldOfView()[0] == 77  # links do work
    assert other.GetFieldOfView()[0] == 2


def test_linked_views_keep_their_own_volumes_whatever_is_chosen_elsewhere(
    compare, modes, an_application, a_pair, volumes_in
):
    compare().show(modes.SIDE_BY_SIDE)
    third = add(speckle((3, 9, 9)), name="Third")
    selection = an_application.logic.GetSelectionNode()
    selection.SetActiveVolumeID(third.GetID())
    an_application.logic.PropagateVolumeSelection()
    assert volumes_in("Red")[0] is third
    assert volumes_in(ORIGINAL) == (a_pair.original, None, None)
    logic = an_application.slice_logic(DESPECKLED)
    logic.StartSliceCompositeNodeInteraction(logic.GetSliceCompositeNode().BackgroundVolumeFlag)
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(third.GetID())  # the user, in the view's own selector
    logic.EndSliceCompositeNodeInteraction()
    assert volumes_in(ORIGINAL) == (a_pair.original, None, None)
    assert volumes_in(DESPECKLED) == (third, None, None)


def test_fraction_fades_and_moves_the_line_each_for_itself(compare, modes, an_application, a_pair, volumes_in):
    comparison = compare()
    comparison.show(modes.FADE)
    assert comparison.fraction == 0.5
    comparison.set_fraction(0.25)
    assert an_application.composite(SINGLE).GetForegroundOpacity() == 0.25
    comparison.show(modes.SWIPE)
    assert comparison.fraction == 0.5
    comparison.set_fraction(0.1)
    swipe = volumes_in(SINGLE)[0]
    np.testing.assert_array_equal(pixels_of(swipe)[..., :2], pixels_of(a_pair.original)[..., :2])
    np.testing.assert_array_equal(pixels_of(swipe)[..., 2:], pixels_of(a_pair.despeckled)[..., 2:])
    comparison.show(modes.FADE)
    assert comparison.fraction == an_application.composite(SINGLE).GetForegroundOpacity() == 0.25


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_fraction_outside_0_to_1_is_refused(compare, modes, fraction):
    comparison = compare()
    comparison.show(modes.FADE)
    with pytest.raises(SettingsError, match=f"The fraction is {fraction}, but must be between 0 and 1"):
        comparison.set_fraction(fraction)
    assert comparison.fraction == 0.5


@pytest.mark.parametrize("mode", ["SIDE_BY_SIDE", "FLIP", "RESIDUAL"])
def test_a_fraction_has_no_effect_in_other_modes(compare, modes, mode):
    comparison = compare()
    comparison.show(modes[mode])
    comparison.set_fraction(0.2)
    assert comparison.fraction == 1


def test_flip_changes_between_original_and_despeckled_and_says_which(compare, modes, an_application):
    comparison = compare()
    comparison.show(modes.FLIP)
    composite, node = an_application.composite(SINGLE), an_application.slice_node(SINGLE)
    assert (composite.GetForegroundOpacity(), node.GetLayoutLabel()) == (1, "Despeckled")
    assert comparison.flip() is False
    assert (composite.GetForegroundOpacity(), node.GetLayoutLabel()) == (0, "Original")
    assert comparison.flip() is True
    assert (composite.GetForegroundOpacity(), node.GetLayoutLabel()) == (1, "Despeckled")


def test_flip_fades_fully_and_sweeps_the_line_to_the_edges(compare, modes, a_pair, volumes_in):
    comparison = compare()
    comparison.show(modes.FADE)
    assert [comparison.flip(), comparison.fraction, comparison.flip(), comparison.fraction] == [False, 0, True, 1]
    comparison.show(modes.SWIPE)
    for volume, is_despeckled in ((a_pair.original, False), (a_pair.despeckled, True)):
        assert comparison.flip() is is_despeckled
        np.testing.assert_array_equal(pixels_of(volumes_in(SINGLE)[0]), pixels_of(volume))


def test_flip_has_nothing_to_change_side_by_side_nor_on_a_residual_nor_before(compare, modes, volumes_in):
    comparison = compare()
    assert comparison.flip() is False
    comparison.show(modes.SIDE_BY_SIDE)
    before = [volumes_in(name) for name in (ORIGINAL, DESPECKLED)]
    assert comparison.flip() is True
    assert [volumes_in(name) for name in (ORIGINAL, DESPECKLED)] == before
    comparison.show(modes.RESIDUAL)
    assert comparison.flip() is False


@pytest.mark.parametrize(
    ("matrix", "axis", "array_axis", "is_mirrored"),
    [
        (UPRIGHT, "z", 2, False),
        (np.diag([0.25, -0.25, 0.5, 1]), "z", 2, True),
        (np.array([[0, -0.25, 0, 0], [0.25, 0, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 1]]), "z", 1, False),
        (LEFT_HANDED_OBLIQUE, "z", 2, True),
        (UPRIGHT, "y", 2, False),
        (UPRIGHT, "x", 1, False),
    ],
    ids=["upright", "mirrored", "I runs up", "oblique", "coronal", "sagittal"],
)
def test_swipe_has_the_original_on_the_left_of_the_screen(
    compare, modes, an_application, matrix, axis, array_axis, is_mirrored, volumes_in
):
    pair = add_pair(speckle((6, 20, 20)), matrix)
    comparison = compare(pair, axis)
    comparison.show(modes.SWIPE)
    comparison.set_fraction(0.25)
    swipe = pixels_of(volumes_in(SINGLE)[0])
    is_original = (swipe == pixels_of(pair.original)) & (swipe != pixels_of(pair.despeckled))
    is_despeckled = (swipe == pixels_of(pair.despeckled)) & (swipe != pixels_of(pair.original))
    from_left = [np.moveaxis(where, array_axis, 0) for where in (is_original, is_despeckled)]
    original, despeckled = (where[::-1] if is_mirrored else where for where in from_left)
    assert original[:5].any()
    assert not original[5:].any()
    assert despeckled[5:].any()
    assert not despeckled[:5].any()
    # and the voxels of the original really lie on the left
    kji = np.argwhere(is_original).mean(axis=0), np.argwhere(is_despeckled).mean(axis=0)
    ras_to_xy = np.linalg.inv(matrix_of(an_application.slice_node(SINGLE).GetXYToRAS()))
    left, right = (ras_to_xy @ matrix @ [*centre[::-1], 1] for centre in kji)
    assert left[0] < right[0]


def test_refresh_follows_a_sequence(compare, modes, a_scene, volumes_in):
    browser, pair = add_cine_pair(a_scene, speckle((3, 1, 24, 20)))
    comparison = compare(pair)
    comparison.show(modes.RESIDUAL)
    comparison.keep_residual()
    window = comparison.residual.GetDisplayNode().GetWindow()
    comparison.show(modes.SWIPE)
    select_frame(browser, 2)
    comparison.refresh()
    frame, despeckled = pixels_of(pair.original), pixels_of(pair.despeckled)
    np.testing.assert_array_equal(frame, speckle((3, 1, 24, 20))[2])
    np.testing.assert_array_equal(pixels_of(comparison.residual), frame.astype(int) - despeckled)
    assert comparison.residual.GetDisplayNode().GetWindow() == window
    swipe = pixels_of(volumes_in(SINGLE)[0])
    np.testing.assert_array_equal(swipe, np.concatenate([frame[..., :10], despeckled[..., 10:]], axis=2))


@pytest.mark.parametrize("mode", ["RESIDUAL", "SWIPE"])
def test_refresh_refuses_volumes_that_do_not_fit_any_more(compare, modes, a_pair, mode):
    comparison = compare()
    comparison.show(modes[mode])
    a_pair.original.SetAndObserveImageData(add(speckle((1, 9, 9))).GetImageData())
    with pytest.raises(SettingsError, match="compare a volume with its own result"):
        comparison.refresh()
    with pytest.raises(SettingsError, match="compare a volume with its own result"):
        comparison.show(modes.FADE)
    assert comparison.mode is modes[mode]


def test_display_settings_of_both_volumes_are_left_alone(compare, modes, a_pair):
    import vtk

    events = []
    for volume in a_pair:
        volume.GetDisplayNode().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda node, _: events.append(node.GetID()))
    comparison = compare()
    for mode in modes:
        comparison.show(mode)
        comparison.flip()
    comparison.restore()
    assert events == []


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda pair: (pair.original, pair.original), "'Carotid' cannot be compared with itself"),
        (lambda pair: (pair.original, None), "Choose an ultrasound volume first"),
        (lambda pair: (pair.original, add(speckle((1, 24, 20)))), "24 x 5 values.*24 x 1 values"),
        (lambda pair: (pair.original, add(speckle(dtype=np.int16))), "type uint8.*type int16"),
        (lambda pair: (pair.original, add(speckle(), LEFT_HANDED_OBLIQUE)), "lie at different places"),
    ],
)
def test_volumes_that_do_not_belong_together_are_refused(compare, a_pair, choose, message):
    with pytest.raises(SettingsError, match=message):
        compare(choose(a_pair))


def test_an_unknown_slice_axis_is_refused(compare):
    with pytest.raises(SettingsError, match="The slice axis is 'k', but must be one of x, y, z"):
        compare(slice_axis="k")
