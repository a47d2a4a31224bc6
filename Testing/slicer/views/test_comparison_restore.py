"""Going back from a comparison, and nodes that go away during one."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Testing.slicer.pairs import add, add_pair, pixels_of, speckle

ORIGINAL, DESPECKLED, SINGLE = "Speckle2SelfOriginal", "Speckle2SelfDespeckled", "Speckle2SelfCompare"
OWN_VIEWS = (ORIGINAL, DESPECKLED, SINGLE)
MODES = ["SIDE_BY_SIDE", "FADE", "FLIP", "RESIDUAL", "SWIPE"]


@pytest.fixture
def a_used_application(an_application, a_pair):
    """Views as a user may have left them."""
    third = add(speckle((4, 9, 9)), name="Third")
    label_map = add(speckle((4, 9, 9)), name="Label")
    an_application.layout_node.SetViewArrangement(an_application.layout_node.SlicerLayoutConventionalView)
    red, green = an_application.composite("Red"), an_application.composite("Green")
    red.SetBackgroundVolumeID(a_pair.original.GetID())
    red.SetForegroundVolumeID(third.GetID())
    red.SetLabelVolumeID(label_map.GetID())
    red.SetForegroundOpacity(0.3)
    red.SetLabelOpacity(0.6)
    red.SetLinkedControl(True)
    green.SetBackgroundVolumeID(third.GetID())
    green.SetHotLinkedControl(True)
    node = an_application.slice_node("Red")
    node.RotateToVolumePlane(a_pair.original)
    node.SetSliceOffset(0.75)
    node.SetFieldOfView(11, 11, 1)
    node.SetXYZOrigin(1, 2, 0)
    an_application.layout_node.AddMaximizedViewNode(node)
    return an_application


def upset(application):
    """Do to the user's views what a user, or Slicer for a new volume, may do while comparing."""
    newest = add(speckle((3, 5, 5)), np.diag([2.0, 3, 4, 1]), name="Newest")
    application.logic.GetSelectionNode().SetActiveVolumeID(newest.GetID())
    application.logic.PropagateVolumeSelection()
    for name in ("Red", "Green", "Yellow"):
        composite, node = application.composite(name), application.slice_node(name)
        composite.SetLinkedControl(not composite.GetLinkedControl())
        composite.SetHotLinkedControl(not composite.GetHotLinkedControl())
        composite.SetForegroundOpacity(1)
        composite.SetLabelOpacity(0.1)
        node.SetOrientation("Sagittal" if name == "Red" else "Axial")
        node.SetXYZOrigin(7, 7, 0)
        node.SetFieldOfView(99, 99, 1)


@pytest.mark.parametrize("shown", [[mode] for mode in MODES] + [MODES, ["RESIDUAL", "SWIPE", "SIDE_BY_SIDE"]])
def test_restore_brings_back_the_state_before_the_first_mode(compare, modes, a_used_application, everything, shown):
    before = everything()
    comparison = compare()
    for mode in shown:
        comparison.show(modes[mode])
        assert everything()["layout"] != before["layout"]
        upset(a_used_application)
    comparison.restore()
    assert everything() == before
    assert comparison.mode is None


@pytest.mark.usefixtures("a_used_application")
def test_a_comparison_alone_changes_nothing_in_the_users_views_but_the_layout(compare, modes, everything):
    shown = {"layout": None, "maximized": None}
    before = everything() | shown
    comparison = compare()
    for mode in modes:
        comparison.show(mode)
        assert everything() | shown == before


def test_no_maximized_view_stands_before_a_comparison_nor_before_what_was_there(
    compare, modes, a_used_application, everything
):
    before = everything()
    assert before["maximized"] == [a_used_application.slice_node("Red")]
    comparison = compare()
    for mode, name in ((modes.SIDE_BY_SIDE, DESPECKLED), (modes.FADE, SINGLE)):
        comparison.show(mode)
        assert everything()["maximized"] == []
        a_used_application.layout_node.AddMaximizedViewNode(a_used_application.slice_node(name))
    comparison.restore()
    assert everything() == before


def test_a_view_that_was_resized_meanwhile_keeps_its_pixels_square(compare, modes, a_used_application):
    comparison = compare()
    comparison.show(modes.FADE)
    a_used_application.slice_logic("Red").ResizeSliceNode(100, 200)
    a_used_application.slice_node("Red").SetFieldOfView(50, 100, 1)
    comparison.restore()
    np.testing.assert_allclose(a_used_application.slice_node("Red").GetFieldOfView()[:2], [5.5, 11])


def test_restore_leaves_no_helper_nodes_and_empty_views(compare, modes, a_scene, volumes_in, an_application):
    for number in range(3):
        comparison = compare()
        for mode in modes:
            comparison.show(mode)
        comparison.restore()
        count = a_scene.GetNumberOfNodes()
        if number == 0:
            first_count = count  # the views themselves stay, as those of every layout do
        assert count == first_count
        assert [volumes_in(name) for name in OWN_VIEWS] == [(None, None, None)] * 3
        assert not an_application.composite(ORIGINAL).GetLinkedControl()
        assert list(an_application.layout_node.GetAttributeNames()) == []
    names = [a_scene.GetNthNode(number).GetName() for number in range(count)]
    assert not [name for name in names if "swipe" in name or "residual" in name]


def test_a_removed_residual_leaves_no_item_in_the_subject_hierarchy(compare, modes, a_scene, a_pair):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_pair.original)  # the application does so by itself
    before = hierarchy.GetNumberOfItems()
    comparison = compare()
    comparison.show(modes.RESIDUAL)
    assert hierarchy.GetNumberOfItems() == before + 1
    comparison.restore()
    assert hierarchy.GetNumberOfItems() == before


def test_restore_twice_or_before_a_comparison_does_nothing(compare, modes, an_application, everything):
    first, second = compare(), compare()
    first.show(modes.FADE)
    second.restore()
    assert an_application.views_shown() == [SINGLE]
    first.restore()
    an_application.layout_node.SetViewArrangement(an_application.layout_node.SlicerLayoutOneUpRedSliceView)
    before = everything()
    first.restore()
    assert everything() == before


def test_a_comparison_can_be_shown_again_after_restore(compare, modes, an_application, volumes_in, a_pair):
    comparison = compare()
    for mode in (modes.SWIPE, modes.SIDE_BY_SIDE):
        comparison.show(mode)
        comparison.restore()
    comparison.show(modes.FADE)
    assert volumes_in(SINGLE) == (*a_pair, None)
    comparison.restore()
    assert an_application.views_shown() == ["Red", "Green", "Yellow"]


@pytest.mark.usefixtures("a_used_application")
def test_a_second_comparison_without_restore_goes_back_to_before_the_first(compare, modes, everything, volumes_in):
    before = everything() | {"maximized": []}
    compare().show(modes.SIDE_BY_SIDE)
    second = compare(add_pair(speckle((2, 9, 9)), name="Other"))
    second.show(modes.FLIP)
    second.restore()
    assert everything() == before
    assert [volumes_in(name) for name in OWN_VIEWS] == [(None, None, None)] * 3


@pytest.mark.parametrize("how", ["kept", "renamed"])
def test_a_residual_that_the_user_wants_stays(compare, modes, a_scene, how):
    comparison = compare()
    comparison.show(modes.RESIDUAL)
    residual = comparison.residual
    if how == "kept":
        assert comparison.keep_residual() is residual
    else:
        residual.SetName("Speckle")
    comparison.restore()
    assert residual.GetScene() is a_scene
    assert residual.GetDisplayNode() is not None
    comparison.show(modes.RESIDUAL)
    assert comparison.residual is not residual
    comparison.restore()
    assert residual.GetScene() is a_scene
    assert comparison.residual is None


def test_there_is_no_residual_to_keep_before_one_was_shown(compare, modes):
    comparison = compare()
    assert comparison.keep_residual() is None
    comparison.show(modes.RESIDUAL)
    comparison.restore()
    assert comparison.residual is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gone", ["original", "despeckled", "both"])
def test_a_volume_that_goes_during_a_comparison_is_survived(
    compare, modes, a_used_application, a_scene, everything, mode, gone
):
    layout = a_used_application.layout_node.GetViewArrangement()
    pair = add_pair(speckle((2, 9, 9)), name="Short-lived")
    comparison = compare(pair)
    comparison.show(modes[mode])
    for volume in pair if gone == "both" else [getattr(pair, gone)]:
        a_scene.RemoveNode(volume)
    comparison.set_fraction(0.3)
    comparison.flip()
    comparison.refresh()
    a_used_application.resize(100, 90)
    with pytest.raises(SettingsError, match="no longer in the scene"):
        comparison.show(modes.FADE)
    comparison.restore()
    assert everything()["layout"] == layout
    assert comparison.residual is None


def test_volumes_that_left_the_scene_are_not_kept_in_memory(compare, modes, a_scene):
    import vtk

    pair = add_pair(speckle((2, 9, 9)))
    comparison = compare(pair)
    for mode in modes:
        comparison.show(mode)
    watched = vtk.vtkWeakReference()
    watched.Set(pair.despeckled)
    a_scene.RemoveNode(pair.despeckled)
    del pair
    assert watched.Get() is None


@pytest.mark.parametrize("mode", MODES)
def test_after_the_scene_was_closed_only_the_layout_is_brought_back(
    compare, modes, a_used_application, a_scene, volumes_in, mode
):
    layout = a_used_application.layout_node.GetViewArrangement()
    comparison = compare()
    comparison.show(modes[mode])
    a_scene.Clear(False)
    new = add(speckle((2, 6, 6)), name="New")  # has the ID of the former original
    for name in ("Red", "Yellow"):
        a_used_application.composite(name).SetBackgroundVolumeID(new.GetID())
    comparison.refresh()
    comparison.flip()
    comparison.restore()
    assert [volumes_in(name)[0] for name in ("Red", "Yellow")] == [new, new]
    assert a_used_application.layout_node.GetViewArrangement() == layout
    assert [volumes_in(name) for name in OWN_VIEWS if a_used_application.slice_logic(name)].count(
        (new, None, None)
    ) == 0


def test_a_residual_that_the_user_deletes_is_made_anew_only_when_it_is_shown(compare, modes, a_scene):
    comparison = compare()
    comparison.show(modes.RESIDUAL)
    a_scene.RemoveNode(comparison.residual)
    comparison.refresh()
    assert comparison.residual is None
    comparison.show(modes.RESIDUAL)
    assert comparison.residual is not None


def test_a_users_volume_that_goes_during_a_comparison_leaves_its_layer_as_it_is_by_then(
    compare, modes, a_used_application, a_scene, volumes_in
):
    red, third, label_map = volumes_in("Red")
    newest = add(speckle((2, 3, 3)), name="Newest")
    comparison = compare()
    comparison.show(modes.FADE)
    a_scene.RemoveNode(third)
    a_scene.RemoveNode(label_map)
    a_used_application.composite("Red").SetForegroundVolumeID(newest.GetID())
    comparison.restore()
    assert volumes_in("Red") == (red, newest, None)


def test_a_scene_without_a_layout_node_is_refused_in_words(the_library, a_scene):
    from Speckle2SelfSlicerLib.compare import CompareMode, Comparison

    pair = add_pair(speckle())
    before = a_scene.GetNumberOfNodes()
    for application_logic in (None, pytest.importorskip("slicer").vtkMRMLApplicationLogic()):
        comparison = Comparison(*pair, application_logic)
        with pytest.raises(SettingsError, match="There are no slice views to compare in"):
            comparison.show(CompareMode.SIDE_BY_SIDE)
        assert comparison.mode is None
        comparison.flip()
        comparison.restore()
    assert a_scene.GetNumberOfNodes() == before


@pytest.mark.parametrize("mode", ["SIDE_BY_SIDE", "SWIPE"])
def test_a_layout_that_nobody_makes_views_for_is_taken_back(the_library, a_scene, mode):
    import slicer

    from Speckle2SelfSlicerLib.compare import CompareMode, Comparison

    pair = add_pair(speckle())
    layout_node = a_scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    layout_node.AddLayoutDescription(7, "<layout></layout>")
    layout_node.SetViewArrangement(7)
    before = a_scene.GetNumberOfNodes()
    comparison = Comparison(*pair, slicer.vtkMRMLApplicationLogic())
    with pytest.raises(SettingsError, match="There are no slice views to compare in"):
        comparison.show(CompareMode[mode])
    assert layout_node.GetViewArrangement() == 7
    assert a_scene.GetNumberOfNodes() == before


def test_views_without_slice_logics_are_found_in_the_scene(modes, an_application, a_pair, volumes_in):
    from Speckle2SelfSlicerLib.compare import Comparison

    comparison = Comparison(*a_pair, None)
    for mode in modes:
        comparison.show(mode)
    assert np.shape(pixels_of(volumes_in(SINGLE)[0])) == (5, 24, 20)
    comparison.restore()
    assert an_application.views_shown() == ["Red", "Green", "Yellow"]


def test_a_scene_saved_while_comparing_keeps_the_volumes_but_not_the_swipe(compare, modes, a_scene, tmp_path):
    comparison = compare()
    comparison.show(modes.SWIPE)
    a_scene.SetRootDirectory(str(tmp_path))
    a_scene.Commit(str(tmp_path / "scene.mrml"))
    text = (tmp_path / "scene.mrml").read_text()
    assert "Carotid (Speckle2Self)" in text
    assert "(Speckle2Self swipe)" not in text


def test_layouts_can_be_registered_ahead_and_again(the_library, an_application):
    from Speckle2SelfSlicerLib.slice_views import LAYOUT_VIEWS, register_layouts

    for _ in range(2):
        register_layouts(an_application.layout_node)
    for layout, names in LAYOUT_VIEWS.items():
        description = an_application.layout_node.GetLayoutDescription(layout)
        assert all(f'singletontag="{name}"' in description for name in names)
    an_application.layout_node.SetLayoutDescription(layout, "<layout>of an older version</layout>")
    register_layouts(an_application.layout_node)
    assert an_application.layout_node.GetLayoutDescription(layout) == description
