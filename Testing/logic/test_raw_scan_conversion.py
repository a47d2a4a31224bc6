"""Scan conversion of linear, convex and phased beams."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.raw.acquisition import BeamRecording, Processing, bmode_image
from Speckle2SelfLogic.raw.scan_geometry import (
    FrameGrid,
    LinearScan,
    SectorScan,
    grid_for,
    parse_geometry,
    scan_convert,
)
from Speckle2SelfLogic.raw.signals import Domain

GEOMETRIES = (LinearScan(0.2), SectorScan(70, 40), SectorScan(90))


def where(geometry, depth_mm, line, lines):
    """Position of a sample, written down independently of the conversion."""
    if isinstance(geometry, LinearScan):
        return (line - (lines - 1) / 2) * geometry.pitch_mm, depth_mm
    angle = math.radians(geometry.opening_deg) * (line / (lines - 1) - 0.5)
    radius = geometry.radius_mm + depth_mm
    return radius * math.sin(angle), radius * math.cos(angle) - geometry.radius_mm


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("sample", "line"), [(20, 5), (75, 30), (60, 15)])
def test_a_point_on_a_beam_comes_to_its_place_in_millimetres(geometry, sample, line):
    beams = np.zeros((101, 41), np.float32)
    beams[sample - 1 : sample + 2, line - 1 : line + 2] = 1
    grid = grid_for(geometry, beams.shape, 2.0, 0.3, spacing_mm=0.1)
    frame = scan_convert(beams, geometry, grid, 2.0, 0.3)
    x, y = (np.broadcast_to(axis, frame.shape) for axis in grid.positions_mm())
    found = np.average(x, weights=frame), np.average(y, weights=frame)
    np.testing.assert_allclose(found, where(geometry, 2 + 0.3 * sample, line, 41), atol=0.12)


@given(st.sampled_from(GEOMETRIES), st.floats(0, 1), st.floats(0, 1))
def test_the_beam_of_a_position_is_the_one_that_goes_there(geometry, depth_share, line_share):
    depth, line = 5 + 40 * depth_share, 40 * line_share
    x, y = where(geometry, depth, line, 41)
    found = geometry.beam_of(np.array([[x]]), np.array([[y]]), 41)
    np.testing.assert_allclose(np.squeeze(found), (depth, line), atol=1e-9)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_grid_holds_all_beams_and_what_lies_outside_of_them_is_black(geometry):
    beams = np.ones((101, 41), np.float32)
    grid = grid_for(geometry, beams.shape, 0.0, 0.3)
    frame = scan_convert(beams, geometry, grid, 0.0, 0.3)
    assert set(np.unique(frame)) <= {0, 1}
    left, top, right, bottom = geometry.bounds_mm(41, 0.0, 30.0)
    x, y = grid.positions_mm()
    assert (x[0, 0], y[0, 0]) == (left, top)
    assert right - grid.spacing_mm <= x[0, -1] <= right + 1e-6
    assert bottom - grid.spacing_mm <= y[-1, 0] <= bottom + 1e-6
    area_mm2 = frame.sum() * grid.spacing_mm**2
    if isinstance(geometry, SectorScan):
        near, far = geometry.radius_mm, geometry.radius_mm + 30
        expected = math.radians(geometry.opening_deg) / 2 * (far**2 - near**2)
    else:
        expected = 40 * geometry.pitch_mm * 30
    assert area_mm2 == pytest.approx(expected, rel=0.06)


def test_linear_beams_with_square_samples_are_not_changed_at_all():
    values = np.random.default_rng(0).random((30, 20)).astype(np.float32)
    grid = grid_for(LinearScan(0.2), values.shape, 1.0, 0.2)
    np.testing.assert_allclose(scan_convert(values, LinearScan(0.2), grid, 1.0, 0.2), values, atol=1e-5)


def test_a_large_record_is_held_to_a_size_that_can_be_shown():
    grid = grid_for(SectorScan(140, 10), (20000, 400), 0.0, 0.005)
    assert max(grid.shape_yx) <= 2049


def test_b_mode_of_known_geometry_is_in_millimetres():
    recording = BeamRecording(np.ones((1, 101, 41), np.float32), Domain.ENVELOPE, sampling_mhz=7.7, first_sample=10)
    image = bmode_image(recording, Processing(60, geometry=LinearScan(0.2)))
    assert image.calibration.is_calibrated
    assert image.spacing_mm == pytest.approx((math.sqrt(0.02),) * 2)
    assert image.origin_mm == pytest.approx((-4.0, 1.0))
    unknown = BeamRecording(recording.samples_nsl, Domain.ENVELOPE)
    with pytest.raises(SettingsError, match="sampling rate is needed for scan conversion"):
        bmode_image(unknown, Processing(60, geometry=LinearScan(0.2)))


def test_a_geometry_is_read_from_text():
    assert parse_geometry("linear:0.2") == LinearScan(0.2)
    assert parse_geometry("convex:60:55") == SectorScan(opening_deg=55, radius_mm=60)
    assert parse_geometry("phased:90") == SectorScan(90)
    for wrong in (
        "linear",
        "linear:a",
        "round:3",
        "convex:60",
        "linear:-1",
        "phased:400",
        "convex:900:30",
        "phased:nan",
    ):
        with pytest.raises(SettingsError, match=r"must be"):
            parse_geometry(wrong)


def test_positions_are_counted_from_the_middle_of_the_probe():
    x, y = FrameGrid((3, 4), 0.5, (-1.0, 2.0)).positions_mm()
    np.testing.assert_array_equal(x, [[-1, -0.5, 0, 0.5]])
    np.testing.assert_array_equal(y, [[2], [2.5], [3]])
