"""The caliper on blurred edges and lines whose places are known; tolerances in pixels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.geometry import refine_line
from Speckle2SelfLogic.geometry.edges import ALONG_BLUR_PX
from Speckle2SelfLogic.simulation import simulate

SHAPE_YX = (140, 170)


def step(distance, sigma=1.2):
    return 0.5 * (1 + special.erf(distance / (sigma * math.sqrt(2))))


def grid(step_yx=(1.0, 1.0)):
    y, x = np.mgrid[: SHAPE_YX[0], : SHAPE_YX[1]]
    return y * step_yx[0], x * step_yx[1]


def a_dark_disc(radius, centre_yx=(70.3, 84.6), noise=0.0, step_yx=(1.0, 1.0)):
    y, x = grid(step_yx)
    distance = np.hypot(y - centre_yx[0] * step_yx[0], x - centre_yx[1] * step_yx[1])
    return (
        20 + 130 * step(distance - radius, 1.2 * min(step_yx)) + noise * np.random.default_rng(0).normal(size=SHAPE_YX)
    )


def a_double_line(gap, angle_rad=0.0, noise=0.0):
    """Two bright lines of one width on dark ground above and brighter ground below, as a far wall; and its normal."""
    y, x = grid()
    across = (y - 70.4) * math.cos(angle_rad) - (x - 84.6) * math.sin(angle_rad)
    lines = 110 * np.exp(-0.5 * (across / 1.2) ** 2) + 110 * np.exp(-0.5 * ((across - gap) / 1.2) ** 2)
    image = 10 + lines + 10 * step(across) + 60 * step(across - gap - 3)
    normal = np.array([math.cos(angle_rad), -math.sin(angle_rad)])
    return image + noise * np.random.default_rng(1).normal(size=SHAPE_YX), normal


def line(centre_yx, way, start, end):
    ends = np.add(centre_yx, np.outer([start, end], way))
    return tuple(map(tuple, ends.tolist()))


@settings(max_examples=15)
@given(
    angle=st.floats(0, 2 * math.pi),
    radius=st.floats(20, 50),
    misses=st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
    noise=st.floats(0, 3),
)
def test_a_rough_line_across_a_disc_becomes_its_diameter(angle, radius, misses, noise):
    way = (math.sin(angle), math.cos(angle))
    rough = line((70.3, 84.6), way, -radius - misses[0], radius + misses[1])
    found = refine_line(a_dark_disc(radius, noise=noise), rough)
    assert found.width.value == pytest.approx(2 * radius, abs=0.15)
    assert math.dist(*found.line_yx_px) == pytest.approx(found.width.value)
    for end, side in zip(found.line_yx_px, (-1, 1), strict=True):
        assert end == pytest.approx((70.3 + side * radius * way[0], 84.6 + side * radius * way[1]), abs=0.15)
    assert found.quality == 1
    assert found.width.unit == "px"


def test_anisotropic_pixels_are_measured_in_millimetres():
    step_yx = (0.1, 0.16)
    image = a_dark_disc(4.0, step_yx=step_yx)
    for way in ((1.0, 0.0), (0.0, 1.0), (0.6, 0.8)):  # in millimetres
        ends = [(70.3 + side * 4.2 * way[0] / 0.1, 84.6 + side * 4.2 * way[1] / 0.16) for side in (-1, 1)]
        found = refine_line(image, tuple(ends), spacing_mm=(0.16, 0.1))
        assert found.width.value == pytest.approx(8.0, abs=0.02)
        assert found.width.unit == "mm"
        assert found.width.uncertainty > 0.1 * math.sqrt(2 / 12)


@pytest.mark.parametrize("gap", [5.5, 8.0, 12.3])
@pytest.mark.parametrize("angle_deg", [0, -8, 20])
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_the_gap_of_a_double_line_is_the_intima_media_thickness(gap, angle_deg, noise):
    image, normal = a_double_line(gap, math.radians(angle_deg), noise)
    found = refine_line(image, line((70.4, 84.6), normal, -1.5, gap + 1.0), structure="imt")
    tolerance = 0.45 if gap < 6 else 0.3  # lines as near as four times their width run into each other
    assert found.width.value == pytest.approx(gap, abs=tolerance)
    assert found.line_yx_px[0] < found.line_yx_px[1]


def test_a_lumen_edge_is_the_first_wall_line_and_not_the_brighter_one_behind_it():
    image, _ = a_double_line(10.0)
    image[:15] = 150  # the near wall
    below = refine_line(image, ((15.0, 84.6), (72.0, 84.6)))
    width = math.hypot(1.2, ALONG_BLUR_PX)  # of the line, as the caliper sees it
    assert below.line_yx_px[1][0] == pytest.approx(70.4 - width * math.sqrt(2 * math.log(2)), abs=0.15)


def test_a_faint_inner_line_is_the_edge_even_where_the_outer_one_is_three_times_brighter_and_the_wall_oblique():
    y, x = grid()
    across = (y - 100.4) - 0.1 * (x - 84.6)
    image = 5 + 60 * np.exp(-0.5 * (across / 1.2) ** 2) + 190 * np.exp(-0.5 * ((across - 7) / 1.8) ** 2)
    image += 120 * step(across - 9) + 40 * step(across - 1) + 150 * step(42 - y)
    found = refine_line(image, ((43.0, 84.6), (103.0, 84.6)))
    assert found.line_yx_px[1][0] == pytest.approx(99, abs=0.6)


def test_an_oblique_wall_does_not_blur_the_edge():
    image, _ = a_double_line(9.0, math.radians(25))
    straight_down = refine_line(image, ((69.0, 84.6), (81.0, 84.6)), structure="imt")
    assert straight_down.width.value == pytest.approx(9.0 / math.cos(math.radians(25)), abs=0.3)


def test_the_profile_can_be_plotted():
    found = refine_line(a_dark_disc(30), ((41.0, 84.6), (100.0, 84.6)))
    assert found.position.shape == found.profile.shape
    at = np.interp(found.position, [0, 59], [41, 100])
    assert found.profile[np.argmin(np.abs(at - 70))] == pytest.approx(20, abs=1)
    assert found.profile.max() == pytest.approx(150, abs=1)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full(SHAPE_YX, 7.0), "no rise"),
        (255.0 - a_dark_disc(30), "first wall"),
    ],
)
def test_where_there_is_no_edge_the_caliper_refuses_with_a_reason(image, reason):
    found = refine_line(image, ((41.0, 84.6), (100.0, 84.6)))
    assert found.width.value is None
    assert found.line_yx_px is None
    assert found.quality == 0
    assert reason in found.width.reason


@pytest.mark.parametrize(("structure", "length", "most"), [("lumen", 60, 1), ("imt", 9, 3)])
def test_speckle_without_a_vessel_is_hardly_ever_taken_for_one(structure, length, most):
    image = simulate("uniform", size_yx=(160, 160), seed=5).speckled.pixels
    rng = np.random.default_rng(0)
    starts = rng.uniform(45, 85, (20, 2))
    found = [refine_line(image, line(start, (1, 0), 0, length), structure=structure) for start in starts]
    assert sum(each.width.value is not None for each in found) <= most
    assert all(each.width.reason for each in found if each.width.value is None)


def test_one_line_has_no_intima_media_thickness():
    y, _ = grid()
    image = 10 + 120 * step(y - 70)
    found = refine_line(image, ((69.0, 84.6), (78.0, 84.6)), structure="imt")
    assert found.width.value is None
    assert "media-adventitia line" in found.width.reason


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"line_yx_px": ((10.0, 10.0), (11.0, 10.0))}, "at least 3 px"),
        ({"line_yx_px": ((-1.0, 10.0), (40.0, 10.0))}, "within 139 and 169"),
        ({"structure": "plaque"}, "'lumen' or 'imt'"),
        ({"half_band_px": 0.0}, "half band"),
        ({"search_px": math.nan}, "search"),
    ],
)
def test_a_line_or_setting_that_cannot_be_used_is_refused_in_a_sentence(arguments, sentence):
    given_line = arguments.pop("line_yx_px", ((41.0, 84.6), (100.0, 84.6)))
    with pytest.raises(SettingsError, match=sentence):
        refine_line(a_dark_disc(30), given_line, **arguments)


def test_a_line_at_the_border_of_the_image_and_a_broken_image_are_refused():
    image = a_dark_disc(30, centre_yx=(25.0, 84.6))
    at_the_top = refine_line(image, ((0.0, 84.6), (55.0, 84.6)))
    assert at_the_top.width.value is None
    image[3, 3] = math.nan
    with pytest.raises(UnsupportedImageError, match="finite"):
        refine_line(image, ((10.0, 84.6), (55.0, 84.6)))
