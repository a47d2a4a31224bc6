"""Tubes, double lines and an hourglass of known size; tolerances in pixels."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.geometry import measure_cine, measure_frame, measure_longitudinal

SHAPE_YX = (160, 240)


def places(centre_yx=(80.3, 120.6), angle_rad=0.0, step_yx=(1.0, 1.0), shape_yx=SHAPE_YX):
    """Coordinates along and across a line, in the unit of the step."""
    y, x = np.mgrid[: shape_yx[0], : shape_yx[1]]
    y, x = (y - centre_yx[0]) * step_yx[0], (x - centre_yx[1]) * step_yx[1]
    return x * math.cos(angle_rad) + y * math.sin(angle_rad), y * math.cos(angle_rad) - x * math.sin(angle_rad)


def a_tube(diameter, angle_deg=0.0, imt=6.0, **geometry):
    """Lumen and wall of a straight vessel."""
    _, across = places(angle_rad=math.radians(angle_deg), **geometry)
    return np.abs(across) < diameter / 2, np.abs(across) < diameter / 2 + imt


@pytest.mark.parametrize("angle_deg", [0, 3, -11, 25, -40, 75, 90])
def test_a_tube_at_an_angle_has_its_diameter_everywhere(angle_deg):
    found = measure_longitudinal(a_tube(31.4, angle_deg)[0])
    turn = math.radians(angle_deg)
    assert math.sin(found.angle_rad - turn) == pytest.approx(0, abs=0.002)
    assert found.mean_diameter.value == pytest.approx(31.4, abs=1 if angle_deg in (0, 90) else 0.05)
    assert found.minimum_diameter.value == pytest.approx(31.4, abs=0.8)
    assert found.maximum_diameter.value == pytest.approx(31.4, abs=0.8)
    assert found.mean_diameter.unit == "px"


@pytest.mark.parametrize("angle_deg", [0, 8, -30])
def test_anisotropic_pixels_are_measured_across_the_axis_in_millimetres(angle_deg):
    lumen, wall = a_tube(5.3, angle_deg, imt=0.83, step_yx=(0.08, 0.11))
    found = measure_longitudinal(lumen, wall, spacing_mm=(0.11, 0.08))
    assert math.degrees(found.angle_rad) == pytest.approx(angle_deg, abs=0.1)
    assert found.mean_diameter.value == pytest.approx(5.3, abs=0.05)
    assert found.mean_imt.value == pytest.approx(0.83, abs=0.05)
    assert found.mean_imt.unit == "mm"
    assert found.far_wall.meets_consensus
    assert found.notes == ()


def test_sections_are_perpendicular_to_a_bent_axis():
    """A ring: a straight ruler would find more than its width where it bends."""
    y, x = np.mgrid[:160, :240]
    radius = np.hypot(y - 260.2, x - 120.4)
    found = measure_longitudinal(np.abs(radius - 200) < 15)
    assert found.mean_diameter.value == pytest.approx(30, abs=0.1)
    assert found.maximum_diameter.value == pytest.approx(30, abs=0.8)


def test_the_middle_of_a_tube_is_as_wide_as_the_distance_map_says():
    lumen, _ = a_tube(30.0, 17)
    inscribed = 2 * ndimage.distance_transform_edt(lumen)[40:120, 60:180].max()
    assert measure_longitudinal(lumen).mean_diameter.value == pytest.approx(inscribed, abs=1.5)


def test_the_far_wall_lies_below_the_lumen_and_the_near_wall_does_not_count():
    _, across = places(angle_rad=math.radians(6))
    lumen = np.abs(across) < 20
    wall = (across > -33) & (across < 27.5)
    found = measure_longitudinal(lumen, wall)
    assert found.mean_imt.value == pytest.approx(7.5, abs=0.1)
    assert found.maximum_imt.value == pytest.approx(7.5, abs=0.6)
    rows = found.far_wall.outer_yx_px[:, 0] - found.far_wall.inner_yx_px[:, 0]
    assert rows.min() > 0
    assert (found.far_yx_px[:, 0] > found.near_yx_px[:, 0]).all()


def test_less_than_ten_millimetres_of_far_wall_is_said():
    lumen, wall = a_tube(3.0, 4, imt=0.6, step_yx=(0.03, 0.03))
    found = measure_longitudinal(lumen, wall, spacing_mm=(0.03, 0.03))
    assert found.mean_imt.value == pytest.approx(0.6, abs=0.02)
    assert not found.far_wall.meets_consensus
    assert any("at least 10 mm" in note for note in found.notes)


def test_without_calibration_nobody_knows_about_ten_millimetres():
    found = measure_longitudinal(*a_tube(30, 4))
    assert not found.far_wall.meets_consensus
    assert any("not calibrated" in note for note in found.notes)


def test_plaque_and_gaps_are_left_out_of_the_intima_media_thickness():
    along, across = places(step_yx=(0.1, 0.1))
    thickness = 0.8 + 1.2 * np.exp(-(((along - 6) / 1.5) ** 2))
    lumen = (across > -3) & (across < 3)
    wall = (across >= 3) & (across < 3 + thickness)
    wall[:, 20:23] = False
    found = measure_longitudinal(lumen, wall, spacing_mm=(0.1, 0.1))
    assert found.mean_imt.value == pytest.approx(0.8, abs=0.07)
    assert found.maximum_imt.value < 1.25
    assert found.far_wall.is_plaque.any()
    assert not (found.far_wall.is_used & found.far_wall.is_plaque).any()
    assert np.nanmax(found.far_wall.thickness) == pytest.approx(2.0, abs=0.1)
    assert np.isnan(found.far_wall.thickness).any()
    assert any("plaque" in note for note in found.notes)
    assert not found.far_wall.meets_consensus


def an_hourglass(least, normal, angle_deg=0.0, distal_factor=1.0):
    along, across = places(angle_rad=math.radians(angle_deg))
    diameter = normal - (normal - least) * np.exp(-((along / 25) ** 2))
    diameter = np.where(along < 0, np.minimum(diameter, diameter * distal_factor), diameter)
    return np.abs(across) < diameter / 2


@pytest.mark.parametrize(("least", "normal", "angle_deg"), [(12, 40, 0), (12, 40, 9), (24, 36, -14), (30, 40, 5)])
def test_an_hourglass_has_its_analytic_stenosis(least, normal, angle_deg):
    found = measure_longitudinal(an_hourglass(least, normal, angle_deg)).stenosis
    pixel = 100 * 1.0 / normal  # one pixel of the diameter in percent
    assert found.nascet.value == pytest.approx(100 * (1 - least / normal), abs=pixel)
    assert found.area.value == pytest.approx(100 * (1 - (least / normal) ** 2), abs=2 * pixel)
    assert found.minimum_diameter.value == pytest.approx(least, abs=0.8)
    assert found.reference_diameter.value == pytest.approx(normal, abs=0.6)
    (y0, x0), (y1, x1) = found.minimum_line_yx_px
    assert ((y0 + y1) / 2, (x0 + x1) / 2) == pytest.approx((80.3, 120.6), abs=4)
    assert found.nascet.uncertainty == pytest.approx(
        100 * 2 * math.sqrt(1 / 12 + 0.25) / normal * math.hypot(1, least / normal), rel=0.05
    )


def test_the_reference_is_the_distal_end_or_the_stretch_that_is_named():
    lumen = an_hourglass(12, 40)
    lumen[:66, 170:] = lumen[95:, 170:] = False  # the right end is narrower
    left, right = (measure_longitudinal(lumen, distal_end=end).stenosis for end in ("left", "right"))
    assert left.reference_diameter.value == pytest.approx(40, abs=0.8)
    assert right.reference_diameter.value == pytest.approx(29, abs=0.8)
    named = measure_longitudinal(lumen, reference_stretch=(190.0, 230.0)).stenosis
    assert named.reference_diameter.value == pytest.approx(29, abs=0.8)


def test_a_narrowest_place_within_the_reference_is_no_stenosis_but_a_reason():
    along, across = places()
    found = measure_longitudinal(np.abs(across) < (30 + along / 10) / 2).stenosis
    assert found.nascet.value is None
    assert "narrowest place" in found.nascet.reason
    assert found.minimum_diameter.value is not None


@settings(max_examples=12)
@given(
    angle_deg=st.floats(2, 42),
    is_falling=st.booleans(),
    row=st.floats(75, 85),
    diameter=st.floats(16, 40),
    step=st.floats(0.02, 0.2),
)
def test_turning_moving_and_scaling_a_tube_does_not_change_it(angle_deg, is_falling, row, diameter, step):
    lumen, wall = a_tube(diameter, angle_deg if is_falling else -angle_deg, centre_yx=(row, 120.4))
    found = measure_longitudinal(lumen, wall, spacing_mm=(step, step))
    assert found.mean_diameter.value == pytest.approx(diameter * step, abs=0.1 * step)
    assert np.nanmean(found.far_wall.thickness) == pytest.approx(6 * step, abs=0.1 * step)


def test_ends_inside_the_image_are_left_out_and_said():
    along, across = places()
    lumen = (np.abs(across) < 15) & (np.abs(along) < 80)
    capped = lumen | (np.hypot(np.abs(along) - 80, across) < 15)
    found = measure_longitudinal(capped)
    assert found.minimum_diameter.value == pytest.approx(30, abs=0.8)
    assert found.length.value == pytest.approx(160, abs=3)
    assert any("half a diameter" in note for note in found.notes)


def test_a_vessel_that_runs_down_the_image_has_no_far_wall():
    found = measure_longitudinal(*a_tube(30, 80))
    assert found.mean_diameter.value == pytest.approx(30, abs=0.1)
    assert "no far wall" in found.mean_imt.reason


@pytest.mark.parametrize(
    ("lumen", "reason"),
    [
        (np.zeros(SHAPE_YX), "no lumen"),
        (np.ones(SHAPE_YX), "no section"),
        (np.hypot(*np.ogrid[-80:80, -120:120]) < 40, "not longer than wide"),
    ],
)
def test_what_is_no_vessel_along_the_image_gives_a_reason(lumen, reason):
    found = measure_longitudinal(lumen, lumen)
    assert {each.value for each in found.measures().values()} == {None}
    assert all(reason in each.reason for each in found.measures().values())


def test_a_wall_elsewhere_or_of_another_shape_is_not_measured():
    lumen, _ = a_tube(30)
    elsewhere = np.zeros_like(lumen)
    assert "empty outside" in measure_longitudinal(lumen, elsewhere).mean_imt.reason
    elsewhere[-4:] = True
    assert "does not touch" in measure_longitudinal(lumen, elsewhere).mean_imt.reason
    with pytest.raises(UnsupportedImageError, match="shape"):
        measure_longitudinal(lumen, elsewhere[1:])
    with pytest.raises(SettingsError, match="distal end"):
        measure_longitudinal(lumen, distal_end="top")
    with pytest.raises(SettingsError, match="reference stretch"):
        measure_longitudinal(lumen, reference_stretch=(500.0, 600.0))


# Cines


def a_beating_vessel(diameters, view="transverse"):
    along, across = places(angle_rad=0.1, shape_yx=(100, 120), centre_yx=(50.2, 60.4))
    distance = np.hypot(along, across) if view == "transverse" else np.abs(across)
    return np.stack([distance < diameter / 2 for diameter in diameters])


@pytest.mark.parametrize("view", ["transverse", "longitudinal"])
def test_systole_diastole_and_distension_of_a_beat_are_found(view):
    beat = 40 + 4 * np.sin(np.linspace(0, 2 * np.pi, 13)[:12])
    times = np.arange(12) / 20
    found = measure_cine(a_beating_vessel(beat, view), view=view, spacing_mm=(0.1, 0.1), times_s=times)
    curve = found.curve
    assert len(found.frames) == 12
    assert curve.diameter == pytest.approx(beat / 10, abs=0.02)
    assert (curve.systolic_frame, curve.diastolic_frame) == (3, 9)
    assert curve.distension.value == pytest.approx(0.8, abs=0.02)
    assert curve.relative_distension.value == pytest.approx(100 * 8 / 36, abs=0.5)
    assert curve.distension.uncertainty == pytest.approx(0.1 * math.sqrt(4 / 12))
    assert curve.time_s == pytest.approx(times)
    assert curve.outliers == ()


@pytest.mark.parametrize("at", [0, 5, 11])
def test_one_frame_that_stands_out_changes_no_extreme(at):
    beat = 40 + 2 * np.sin(np.linspace(0, 2 * np.pi, 13)[:12])
    spoiled = beat.copy()
    spoiled[at] = 70
    curve = measure_cine(a_beating_vessel(spoiled)).curve
    assert curve.outliers == (at,)
    assert curve.systolic.value == pytest.approx(np.delete(beat, at).max(), abs=0.2)
    assert curve.diastolic.value == pytest.approx(np.delete(beat, at).min(), abs=0.2)


def test_frames_without_a_lumen_are_gaps_in_the_curve():
    masks = a_beating_vessel([40, 41, 42, 41, 40])
    masks[2] = False
    found = measure_cine(masks)
    assert np.isnan(found.curve.diameter[2])
    assert found.frames[2].area.reason == "no lumen"
    assert found.curve.systolic.value == pytest.approx(41, abs=0.1)
    alone = measure_cine(masks[:3]).curve
    assert alone.distension.value is None
    assert "2 frames" in alone.distension.reason


def test_a_cine_that_does_not_fit_is_refused_and_progress_is_told():
    masks = a_beating_vessel([40, 41, 42])
    with pytest.raises(UnsupportedImageError, match="three axes"):
        measure_cine(masks[0])
    with pytest.raises(UnsupportedImageError, match="shape"):
        measure_cine(masks, masks[:2])
    with pytest.raises(SettingsError, match="2 times"):
        measure_cine(masks, times_s=[0, 1])
    with pytest.raises(SettingsError, match="view"):
        measure_frame(masks[0], view="oblique")
    told = []
    measure_cine(masks, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_pixels_of_very_unequal_sides_need_no_more_memory_than_others():
    y = np.mgrid[:300, :400][0]
    tracemalloc.start()
    measured = measure_longitudinal(np.abs(y - 150.2) < 40, spacing_mm=(5.0, 0.05))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert measured.mean_diameter.value == pytest.approx(4.0, abs=0.05)
    assert peak < 400e6
