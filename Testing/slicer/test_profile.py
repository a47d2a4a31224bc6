"""Profiles along lines and curves, on real MRML."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.metrics import edge_rise_width_px
from Speckle2SelfLogic.overlay import luminance
from Testing.slicer.cines import add_cine, show
from Testing.slicer.pairs import LEFT_HANDED_OBLIQUE, UPRIGHT, add, add_pair, smooth, speckle
from Testing.slicer.segments import SHEAR_AND_SCALE, SMALL_TURN, about, add_transform, add_warp

SHAPE = (5, 24, 20)


@pytest.fixture
def the_profile(the_module):
    from Speckle2SelfSlicerLib import profile

    return profile


@pytest.fixture
def a_pair(a_scene):
    return add_pair(speckle(SHAPE), LEFT_HANDED_OBLIQUE)


def add_line(scene, *places, kind="Line", name="Wall"):
    line = scene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", name)
    for place in places:
        line.AddControlPoint(*place)
    return line


def world(ijk_to_ras, *ijk):
    return (ijk_to_ras @ (*ijk, 1.0))[:3]


def sampled(pixels, world_from_ijk, places):
    """What SciPy finds at places in the world, in the inside of an array."""
    ijk = np.linalg.solve(world_from_ijk, np.c_[places, np.ones(len(places))].T)[:3]
    return ndimage.map_coordinates(pixels.astype(float), ijk[::-1], order=1, mode="constant", cval=np.nan)


def along(start, end, distances_mm):
    return start + np.outer(distances_mm, (end - start) / np.linalg.norm(end - start))


def test_both_volumes_are_sampled_at_the_same_places_of_an_oblique_grid(the_profile, a_scene, a_pair):
    start, end = world(LEFT_HANDED_OBLIQUE, 1.3, 2.2, 0.4), world(LEFT_HANDED_OBLIQUE, 17.1, 20.6, 3.5)
    profile = the_profile.profile_along(add_line(a_scene, start, end), a_pair)
    assert profile.volume_names == ("Carotid", "Carotid (Speckle2Self)")
    assert profile.distances_mm[0] == 0
    assert profile.distances_mm[-1] == pytest.approx(np.linalg.norm(end - start))
    assert 0.13 < profile.step_mm <= 0.15  # half of 0.3, the smaller in-plane spacing
    np.testing.assert_allclose(np.diff(profile.distances_mm), profile.step_mm)
    places = along(start, end, profile.distances_mm)
    for values, pixels in zip(profile.values, (speckle(SHAPE), smooth(speckle(SHAPE))), strict=True):
        np.testing.assert_allclose(values, sampled(pixels, LEFT_HANDED_OBLIQUE, places), atol=1e-6)
    assert (profile.unit, profile.is_calibrated) == ("mm", True)


def test_transforms_of_the_line_and_of_the_volumes_are_respected(the_profile, a_scene, a_pair):
    start, end = world(LEFT_HANDED_OBLIQUE, 5, 7, 1.6), world(LEFT_HANDED_OBLIQUE, 13, 15, 2.6)
    of_volume = about(LEFT_HANDED_OBLIQUE, SHAPE, SHEAR_AND_SCALE)
    of_line = about(LEFT_HANDED_OBLIQUE, SHAPE, SMALL_TURN)
    line = add_line(a_scene, start, end)
    add_transform(a_scene, of_line, line)
    add_transform(a_scene, of_volume, a_pair.original)
    profile = the_profile.profile_along(line, a_pair, step_mm=0.05)
    start, end = world(of_line, *start), world(of_line, *end)
    places = along(start, end, profile.distances_mm)
    first = sampled(speckle(SHAPE), of_volume @ LEFT_HANDED_OBLIQUE, places)
    second = sampled(smooth(speckle(SHAPE)), LEFT_HANDED_OBLIQUE, places)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(profile.values[0], first, atol=1e-6)
    np.testing.assert_allclose(profile.values[1], second, atol=1e-6)


def test_a_volume_under_a_warp_is_sampled_where_the_warp_puts_it(the_profile, a_scene):
    volume = add(speckle(SHAPE), UPRIGHT, "Carotid")
    line = add_line(a_scene, (-1, -1, 0.5), (-4, -5, 1.5))
    straight = the_profile.profile_along(line, [volume])
    add_warp(a_scene, volume)
    warped = the_profile.profile_along(line, [volume])
    local = [0.0, 0.0, 0.0]
    volume.TransformPointFromWorld((-1, -1, 0.5), local)
    assert warped.values[0][0] == pytest.approx(sampled(speckle(SHAPE), UPRIGHT, np.array([local]))[0], abs=1e-4)
    assert warped.values[0][0] != pytest.approx(straight.values[0][0], abs=0.1)
    add_warp(a_scene, line)
    assert np.isfinite(the_profile.profile_along(line, [volume]).values[0]).all()


def test_a_frame_of_one_slice_is_sampled_by_a_line_just_off_its_plane(the_profile, a_scene):
    frame = speckle((1, 20, 30))
    matrix = np.diag((-0.2, -0.3, 2.0, 1.0))
    volume = add(frame, matrix, "Frame")
    start, end = world(matrix, 3, 4, 0.0), world(matrix, 25, 16, 0.8)
    values = the_profile.profile_along(add_line(a_scene, start, end), [volume], step_mm=0.1).values[0]
    share = np.linspace(0, 1, values.size)
    expected = ndimage.map_coordinates(frame[0].astype(float), (4 + 12 * share, 3 + 22 * share), order=1)
    is_near = 0.8 * share <= 0.5
    assert is_near.sum() > 10
    assert (~is_near).sum() > 10
    np.testing.assert_allclose(values[is_near], expected[is_near], atol=1e-6)
    assert np.isnan(values[~is_near]).all()


def test_outside_of_the_volume_there_is_no_value(the_profile, a_scene):
    volume = add(np.full((1, 10, 10), 50, np.uint8), np.diag((1.5, 1.5, 1.0, 1.0)), "Frame")
    profile = the_profile.profile_along(add_line(a_scene, (-3, 6, 0), (18, 6, 0)), [volume], step_mm=0.25)
    x_px = (profile.distances_mm - 3) / 1.5
    is_inside = (x_px >= -0.5) & (x_px <= 9.5)  # voxels end half a spacing beyond their centres
    np.testing.assert_array_equal(profile.values[0], np.where(is_inside, 50.0, np.nan))
    assert profile.edge_rise_mm == (None,)


@pytest.mark.parametrize("components", [3, 4])
def test_colour_is_sampled_as_luminance(the_profile, a_scene, components):
    colour = speckle((1, 20, 30, components))
    volume = add(colour, np.diag((-0.2, -0.3, 1.0, 1.0)), "Colour")
    line = add_line(a_scene, (-0.6, -0.9, 0), (-5.0, -4.5, 0))
    values = the_profile.profile_along(line, [volume]).values[0]
    places = np.linspace((-0.6, -0.9, 0), (-5.0, -4.5, 0), values.size)
    expected = sampled(np.repeat(luminance(colour), 2, 0), np.diag((-0.2, -0.3, 1.0, 1.0)), places)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_sixteen_bit_and_real_values_are_given_as_they_are_stored(the_profile, a_scene):
    for dtype in (np.int16, np.float32):
        pixels = (speckle(SHAPE).astype(float) * 100 - 9000).astype(dtype)
        volume = add(pixels, UPRIGHT, "Deep")
        line = add_line(a_scene, (-1, -1, 0.5), (-4, -5, 1.5))
        values = the_profile.profile_along(line, [volume]).values[0]
        places = np.linspace((-1, -1, 0.5), (-4, -5, 1.5), values.size)
        np.testing.assert_allclose(values, sampled(pixels, UPRIGHT, places), atol=1e-2)


def test_extents_that_do_not_start_at_zero_are_respected(the_profile, a_scene):
    volume = add(speckle(SHAPE), UPRIGHT, "Carotid")
    line = add_line(a_scene, (-1.5, -1, 1), (-4, -4, 2))
    volume.GetImageData().SetExtent(2, 21, -3, 20, 1, 5)
    values = the_profile.profile_along(line, [volume]).values[0]
    shifted = UPRIGHT.copy()
    shifted[:3, 3] = UPRIGHT[:3, :3] @ (2, -3, 1)
    places = np.linspace((-1.5, -1, 1), (-4, -4, 2), values.size)
    np.testing.assert_allclose(values, sampled(speckle(SHAPE), shifted, places), atol=1e-6)


@pytest.mark.parametrize("kind", ["Curve", "ClosedCurve"])
def test_a_curve_is_sampled_evenly_along_its_length(the_profile, a_scene, kind):
    y, x = np.indices((80, 100))
    ramp = (1.0 * x + 0.01 * y).astype(np.float32)[None]  # the value says where it was read
    volume = add(ramp, np.diag((0.5, 0.5, 1.0, 1.0)), "Ramp")
    curve = add_line(a_scene, (5, 5, 0), (25, 10, 0), (40, 30, 0), kind=kind)
    curve.SetCurveTypeToLinear()
    profile = the_profile.profile_along(curve, [volume], step_mm=0.5)
    corners = [np.array(place, float) for place in ((5, 5, 0), (25, 10, 0), (40, 30, 0))]
    if kind == "ClosedCurve":
        corners.append(corners[0])
    lengths = np.concatenate(([0], np.cumsum([np.linalg.norm(b - a) for a, b in pairwise(corners)])))
    assert profile.distances_mm[-1] == pytest.approx(lengths[-1], rel=1e-4)
    at = [np.interp(profile.distances_mm, lengths, [corner[axis] for corner in corners]) for axis in (0, 1)]
    np.testing.assert_allclose(profile.values[0], at[0] / 0.5 + 0.01 * at[1] / 0.5, atol=0.02)


def test_the_rise_of_a_blurred_step_comes_from_the_core_in_millimetres(the_profile, a_scene):
    step = np.where(np.arange(200) < 100, 20.0, 200.0)
    sharp, soft = (ndimage.gaussian_filter1d(step, sigma) for sigma in (2.0, 5.0))
    volumes = [
        add(np.tile(row, (1, 30, 1)).astype(np.float32), np.diag((0.1, 0.1, 1.0, 1.0)), name)
        for name, row in (("Sharp", sharp), ("Soft", soft))
    ]
    line = add_line(a_scene, (2, 1.5, 0), (18, 1.5, 0))
    profile = the_profile.profile_along(line, volumes)
    assert profile.step_mm == pytest.approx(0.05)
    for rise, values, sigma in zip(profile.edge_rise_mm, profile.values, (2.0, 5.0), strict=True):
        assert rise == pytest.approx(edge_rise_width_px(values) * 0.05)
        assert rise == pytest.approx(2.563 * sigma * 0.1, rel=0.05)
    reaching_out = add_line(a_scene, (-5, 1.5, 0), (18, 1.5, 0))
    beyond = the_profile.profile_along(reaching_out, volumes, step_mm=0.05)
    assert beyond.edge_rise_mm[0] == pytest.approx(profile.edge_rise_mm[0], rel=0.02)


def test_the_proxy_of_a_sequence_is_sampled_at_its_current_frame(the_profile, a_scene):
    frames = speckle((3, 24, 30))
    _, browser, proxy = add_cine(a_scene, frames)
    line = add_line(a_scene, (-0.6, -0.9, 0), (-5.0, -4.5, 0))
    for number in (0, 2):
        show(browser, number)
        values = the_profile.profile_along(line, [proxy]).values[0]
        places = np.linspace((-0.6, -0.9, 0), (-5.0, -4.5, 0), values.size)
        expected = sampled(np.repeat(frames[number][None], 2, 0), np.diag((-0.2, -0.3, 1.0, 1.0)), places)
        np.testing.assert_allclose(values, expected, atol=1e-6)


def test_uncalibrated_distances_are_pixels_unless_a_transform_holds_the_scale(the_profile, a_scene):
    volume = add(speckle((1, 20, 30)), np.diag((-1.0, -1.0, 1.0, 1.0)), "Frame")
    line = add_line(a_scene, (-2, -3, 0), (-20, -3, 0))
    profile = the_profile.profile_along(line, [volume])
    assert (profile.unit, profile.step_mm) == ("px", 0.5)
    table = the_profile.profile_table(profile, volume)
    assert table.GetColumnName(0) == "Distance (px)"
    chart = the_profile.profile_plot(profile, table)
    assert chart.GetXAxisTitle() == "Distance (px), spacing not calibrated"
    add_transform(a_scene, np.diag((0.1, 0.1, 1.0, 1.0)), volume, line)
    scaled = the_profile.profile_along(line, [volume])
    assert scaled.unit == "mm"
    assert scaled.step_mm == pytest.approx(0.05)
    np.testing.assert_allclose(scaled.values[0], profile.values[0], atol=1e-6)


def test_one_plot_shows_both_volumes_in_two_colours(the_profile, a_scene, a_pair):
    line = add_line(a_scene, world(LEFT_HANDED_OBLIQUE, 2, 2, 2), world(LEFT_HANDED_OBLIQUE, 12, 12, 2))
    profile = the_profile.profile_along(line, a_pair)
    table = the_profile.profile_table(profile, a_pair.original)
    chart = the_profile.profile_plot(profile, table)
    assert [table.GetColumnName(n) for n in range(3)] == ["Distance (mm)", "Carotid", "Carotid (Speckle2Self)"]
    content = table.GetTable()
    for number, expected in enumerate((profile.distances_mm, *profile.values)):
        column = [content.GetColumn(number).GetValue(row) for row in range(content.GetNumberOfRows())]
        np.testing.assert_array_equal(column, expected)
    assert (chart.GetName(), chart.GetTitle()) == ("Wall: profile", "Wall: profile")
    assert (chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("Distance (mm)", "Grey value")
    series = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [each.GetYColumnName() for each in series] == ["Carotid", "Carotid (Speckle2Self)"]
    assert {each.GetXColumnName() for each in series} == {"Distance (mm)"}
    assert {each.GetTableNode() for each in series} == {table}
    assert len({each.GetColor() for each in series}) == 2


def test_a_moved_line_updates_table_and_chart_in_place(the_profile, a_scene, a_pair):
    line = add_line(a_scene, world(LEFT_HANDED_OBLIQUE, 2, 2, 2), world(LEFT_HANDED_OBLIQUE, 12, 12, 2))
    profile = the_profile.profile_along(line, a_pair)
    table = the_profile.profile_table(profile, a_pair.original)
    chart = the_profile.profile_plot(profile, table)
    count = a_scene.GetNumberOfNodes()
    line.SetNthControlPointPositionWorld(1, *world(LEFT_HANDED_OBLIQUE, 4, 5, 2))
    moved = the_profile.profile_along(line, a_pair)
    assert the_profile.profile_table(moved, a_pair.original, table) is table
    assert the_profile.profile_plot(moved, table, chart) is chart
    assert a_scene.GetNumberOfNodes() == count
    assert table.GetNumberOfRows() == moved.distances_mm.size < profile.distances_mm.size
    a_scene.RemoveNode(table)
    a_scene.RemoveNode(chart)
    again = the_profile.profile_table(moved, a_pair.original, table)
    assert again.GetScene() is a_scene
    assert the_profile.profile_plot(moved, again, chart).GetScene() is a_scene


def test_volumes_of_one_name_get_columns_of_their_own(the_profile, a_scene):
    volumes = [add(speckle(SHAPE, dtype), UPRIGHT, "Same") for dtype in (np.uint8, np.int16)]
    profile = the_profile.profile_along(add_line(a_scene, (-1, -1, 0.5), (-4, -5, 1.5)), volumes)
    assert profile.volume_names == ("Same", "Same (2)")
    assert the_profile.profile_table(profile, volumes[0]).GetNumberOfColumns() == 3


def test_what_cannot_be_sampled_is_named_in_one_sentence(the_profile, a_scene, a_pair):
    line = add_line(a_scene, (0, 0, 0))
    with pytest.raises(SettingsError, match="'Wall' has no length; place two points first"):
        the_profile.profile_along(line, a_pair)
    line.AddControlPoint(0, 0, 0)
    assert the_profile.why_no_profile(line) == "The line 'Wall' has no length; place two points first."
    line.SetNthControlPointPosition(1, 5, 0, 0)
    assert the_profile.why_no_profile(line) == ""
    assert the_profile.why_no_profile(None) == "Choose a line or curve across the wall first."
    angle = add_line(a_scene, kind="Angle", name="Bend")
    assert the_profile.why_no_profile(angle) == "'Bend' is a vtkMRMLMarkupsAngleNode; choose a line or a curve."
    for step in (0.0, -1.0, np.nan):
        with pytest.raises(SettingsError, match="The step must be above zero"):
            the_profile.profile_along(line, a_pair, step)
    with pytest.raises(SettingsError, match="too many samples; use larger steps"):
        the_profile.profile_along(line, a_pair, 1e-6)
    with pytest.raises(UnsupportedImageError, match="Choose an ultrasound volume first"):
        the_profile.profile_along(line, [])
    empty = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    with pytest.raises(UnsupportedImageError, match="'Empty' has no pixels yet"):
        the_profile.profile_along(line, [empty])
    a_scene.RemoveNode(line)
    with pytest.raises(SettingsError, match="'Wall' is no longer in the scene"):
        the_profile.profile_along(line, a_pair)
