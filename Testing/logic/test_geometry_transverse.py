"""Cross-sections of known size. Tolerances are in pixels unless they say otherwise.

A mask of whole pixels shows an extent along rows or columns to one pixel only, which bounds the extreme diameters. What
uses the whole border (area, equivalent diameter, centroid, mean thickness) is held to 0.1 to 0.3 px.
"""

import math

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import measure

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.geometry import Measure, measure_transverse
from Speckle2SelfLogic.geometry.contour import level_lines, polygon_area

SHAPE_YX = (90, 100)


def an_ellipse(semi_major, semi_minor, angle_rad=0.0, centre_yx=(44.3, 50.7), step_yx=(1.0, 1.0), shape_yx=SHAPE_YX):
    """A filled ellipse; semi-axes in the unit of the step, the centre in pixels."""
    y, x = np.mgrid[: shape_yx[0], : shape_yx[1]]
    y, x = (y - centre_yx[0]) * step_yx[0], (x - centre_yx[1]) * step_yx[1]
    along, across = x * math.cos(angle_rad) + y * math.sin(angle_rad), y * math.cos(angle_rad) - x * math.sin(angle_rad)
    return np.hypot(along / semi_major, across / semi_minor) < 1


def ellipse_perimeter(a, b):
    h = ((a - b) / (a + b)) ** 2
    return math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))


@pytest.mark.parametrize("radius", [5.2, 12.4, 33.1])
@pytest.mark.parametrize("centre_yx", [(44.0, 50.0), (44.5, 50.5), (43.81, 50.27)])
def test_a_circle_has_its_analytic_figures(radius, centre_yx):
    found = measure_transverse(an_ellipse(radius, radius, centre_yx=centre_yx))
    assert found.equivalent_diameter.value == pytest.approx(2 * radius, abs=0.3)
    assert found.area.value == pytest.approx(math.pi * radius**2, rel=0.5 / radius)
    assert found.minimum_diameter.value == pytest.approx(2 * radius, abs=0.75)
    assert found.maximum_diameter.value == pytest.approx(2 * radius, abs=0.75)
    assert found.perimeter.value == pytest.approx(2 * math.pi * radius, rel=0.035 if radius < 6 else 0.01)
    assert found.circularity.value == pytest.approx(1, abs=0.025 if radius < 6 else 0.01)
    assert found.centroid_yx_px == pytest.approx(centre_yx, abs=0.15)
    assert found.area.unit == "px2"
    assert found.notes == ()


@pytest.mark.parametrize("angle_deg", [0, 20, 45, 70, 90, 133])
def test_an_ellipse_at_any_angle_has_its_axes_as_extreme_diameters(angle_deg):
    found = measure_transverse(an_ellipse(30, 18, math.radians(angle_deg)))
    assert found.maximum_diameter.value == pytest.approx(60, abs=0.5)
    assert found.minimum_diameter.value == pytest.approx(36, abs=0.5)
    assert found.area.value == pytest.approx(math.pi * 30 * 18, rel=0.005)
    assert found.perimeter.value == pytest.approx(ellipse_perimeter(30, 18), rel=0.005)
    (y0, x0), (y1, x1) = found.maximum_line_yx_px
    assert math.atan2(y1 - y0, x1 - x0) % math.pi == pytest.approx(math.radians(angle_deg) % math.pi, abs=0.05)


def test_anisotropic_pixels_are_measured_in_millimetres():
    step_yx = (0.1, 0.25)
    mask = an_ellipse(3.4, 2.6, 0.4, centre_yx=(90.3, 41.2), step_yx=step_yx, shape_yx=(180, 80))
    found = measure_transverse(mask, spacing_mm=(0.25, 0.1))
    assert found.area.unit == "mm2"
    assert found.area.value == pytest.approx(math.pi * 3.4 * 2.6, rel=0.01)
    assert found.maximum_diameter.value == pytest.approx(6.8, abs=0.08)
    assert found.minimum_diameter.value == pytest.approx(5.2, abs=0.08)
    assert found.perimeter.value == pytest.approx(ellipse_perimeter(3.4, 2.6), rel=0.01)
    assert found.centroid_yx_px == pytest.approx((90.3, 41.2), abs=0.1)


def test_the_figures_agree_with_simpleitk_and_scikit_image():
    mask = an_ellipse(31, 17, 0.6)
    found = measure_transverse(mask, spacing_mm=(0.2, 0.2))
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((0.2, 0.2))
    oracle = SimpleITK.LabelShapeStatisticsImageFilter()
    oracle.ComputeFeretDiameterOn()
    oracle.Execute(image)
    assert found.area.value == pytest.approx(oracle.GetPhysicalSize(1), rel=0.002)
    assert found.perimeter.value == pytest.approx(oracle.GetPerimeter(1), rel=0.02)
    assert found.maximum_diameter.value == pytest.approx(oracle.GetFeretDiameter(1), abs=0.2)
    other = measure.regionprops(mask.astype(np.uint8))[0]
    assert found.equivalent_diameter.value == pytest.approx(0.2 * other.equivalent_diameter_area, rel=0.002)
    assert found.centroid_yx_px == pytest.approx(other.centroid, abs=0.05)


def test_level_lines_are_those_of_scikit_image():
    field = np.pad(np.random.default_rng(3).random((12, 15)), 2)
    ours = sorted(polygon_area(line) for line in level_lines(field, 0.5))
    theirs = sorted(polygon_area(line[:-1]) for line in measure.find_contours(field, 0.5, fully_connected="low"))
    assert ours == pytest.approx(theirs)


def test_the_wall_of_a_ring_is_as_thick_all_round_as_its_radii_say():
    lumen, outer = an_ellipse(20, 20), an_ellipse(26.5, 26.5)
    found = measure_transverse(lumen, outer & ~lumen)
    assert found.mean_wall.value == pytest.approx(6.5, abs=0.1)
    assert found.minimum_wall.value == pytest.approx(6.5, abs=0.75)
    assert found.maximum_wall.value == pytest.approx(6.5, abs=0.75)
    assert found.wall.coverage == 1
    assert np.diff(found.wall.angle_rad).min() > 0


def test_a_wall_that_is_thicker_on_one_side_has_its_extremes_at_their_angles():
    lumen, outer = an_ellipse(20, 20, centre_yx=(44, 50)), an_ellipse(27, 27, centre_yx=(48, 50))
    found = measure_transverse(lumen, outer)  # the mask may include the lumen
    assert found.maximum_wall.value == pytest.approx(11, abs=0.5)
    assert found.minimum_wall.value == pytest.approx(3, abs=0.5)
    assert found.wall.angle_rad[found.wall.thickness.argmax()] == pytest.approx(math.pi / 2, abs=0.3)  # downward


def test_where_the_mask_has_no_wall_none_is_measured():
    lumen, outer = an_ellipse(20, 20), an_ellipse(26, 26)
    wall = outer & ~lumen
    wall[:44] = False
    found = measure_transverse(lumen, wall)
    assert found.wall.coverage == pytest.approx(0.5, abs=0.1)
    assert np.isnan(found.wall.thickness[np.abs(found.wall.angle_rad + math.pi / 2) < 1.1]).all()
    assert found.mean_wall.value == pytest.approx(6, abs=0.2)
    assert any("covers" in note for note in found.notes)


@settings(max_examples=15)
@given(
    angle=st.floats(0, math.pi),
    row=st.floats(42, 47),
    column=st.floats(48, 53),
    step=st.floats(0.01, 3),
)
def test_turning_moving_and_scaling_an_ellipse_does_not_change_it(angle, row, column, step):
    found = measure_transverse(an_ellipse(31, 21, angle, (row, column)), spacing_mm=(step, step))
    assert found.equivalent_diameter.value == pytest.approx(2 * math.sqrt(31 * 21) * step, rel=0.005)
    assert found.maximum_diameter.value == pytest.approx(62 * step, abs=step)
    assert found.minimum_diameter.value == pytest.approx(42 * step, abs=step)


def test_the_uncertainty_follows_the_pixel_and_the_segmentation():
    mask = an_ellipse(20, 20)
    sharp = measure_transverse(mask, spacing_mm=(0.2, 0.2), segmentation_px=0)
    loose = measure_transverse(mask, spacing_mm=(0.2, 0.2), segmentation_px=2)
    assert sharp.maximum_diameter.uncertainty == pytest.approx(2 * 0.2 * math.sqrt(1 / 12))
    assert loose.maximum_diameter.uncertainty == pytest.approx(2 * 0.2 * math.sqrt(1 / 12 + 4))
    assert loose.area.uncertainty == pytest.approx(loose.perimeter.value * 0.2 * math.sqrt(1 / 12 + 4))


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_border_that_is_shifted_by_the_uncertainty_changes_the_area_by_its_uncertainty(shift):
    found = measure_transverse(an_ellipse(25, 25))
    border = 0.5 * found.maximum_diameter.uncertainty
    moved = measure_transverse(an_ellipse(25 + shift * border, 25 + shift * border))
    assert abs(moved.area.value - found.area.value) == pytest.approx(found.area.uncertainty, rel=0.1)


def test_of_several_parts_the_largest_is_measured_and_said_so():
    mask = an_ellipse(20, 20)
    mask[2:6, 2:6] = True
    mask[44, 50] = False
    found = measure_transverse(mask)
    assert found.equivalent_diameter.value == pytest.approx(40, abs=0.15)
    assert "2 separate parts" in found.notes[0]
    assert "holes of 1 px" in found.notes[1]


def test_a_lumen_at_the_border_of_the_image_is_measured_and_flagged():
    found = measure_transverse(an_ellipse(20, 20, centre_yx=(10, 50)))
    assert found.area.value is not None
    assert "touches the border" in found.notes[0]
    lumen, wall = an_ellipse(20, 20, centre_yx=(24, 50)), an_ellipse(30, 30, centre_yx=(24, 50))
    assert "the wall mask touches the border" in measure_transverse(lumen, wall).notes[0]


@pytest.mark.parametrize(("pixels", "reason"), [(0, "no lumen"), (3, "3 pixels")])
def test_without_enough_pixels_there_is_a_reason_and_no_figure(pixels, reason):
    mask = np.zeros(SHAPE_YX)
    mask[5, 5 : 5 + pixels] = 1
    found = measure_transverse(mask, mask)
    assert {each.value for each in found.measures().values()} == {None}
    assert all(reason in each.reason for each in found.measures().values())
    assert found.contour_yx_px.shape == (0, 2)


@pytest.mark.parametrize(
    ("wall", "reason"),
    [(None, "no wall mask"), ("empty", "empty outside"), ("far away", "does not touch")],
)
def test_a_missing_wall_is_no_reason_to_measure_no_lumen(wall, reason):
    lumen = an_ellipse(12, 12)
    masks = {None: None, "empty": np.zeros_like(lumen), "far away": an_ellipse(40, 14, centre_yx=(80, 50))}
    masks["far away"] &= ~an_ellipse(16, 16)
    masks["far away"][:62] = False
    found = measure_transverse(lumen, masks[wall])
    assert found.area.value is not None
    assert found.wall is None
    assert reason in found.mean_wall.reason


def test_a_thin_line_of_pixels_is_measured_by_its_pixels():
    mask = np.zeros((40, 60), bool)
    mask[20, 10:50] = True
    assert measure_transverse(mask).area.value == pytest.approx(40, rel=0.1)


def test_what_cannot_be_a_mask_or_a_spacing_is_refused_in_a_sentence():
    mask = an_ellipse(12, 12)
    with pytest.raises(UnsupportedImageError, match="one frame"):
        measure_transverse(mask[None])
    with pytest.raises(UnsupportedImageError, match="wall mask has shape"):
        measure_transverse(mask, mask[1:])
    with pytest.raises(SettingsError, match="Spacing"):
        measure_transverse(mask, spacing_mm=(0.1, 0.0))
    with pytest.raises(SettingsError, match="segmentation"):
        measure_transverse(mask, segmentation_px=-1)


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Measure(6.4213, 0.08, "mm"), "6.421 ± 0.080 mm"),
        (Measure(812.3, 21.0, "px2"), "812 ± 21 px2"),
        (Measure(0.987, 0.02, ""), "0.987 ± 0.020"),
        (Measure.missing("mm", "no lumen"), "not measured: no lumen"),
    ],
)
def test_a_figure_reads_with_as_many_digits_as_its_uncertainty_has(figure, text):
    assert str(figure) == text
