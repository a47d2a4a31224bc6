"""Fibres, far wall and glints on images drawn by hand."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from Training.detail.controls import GaussianControl
from Training.detail.far_wall import ABOVE_PX, FarWallCheck, find_lines, kept_lines
from Training.detail.fibres import FibreCheck, FibreFrame, dominant_angle, fibre_angle, kept_fibres
from Training.detail.frames import DetailFrame
from Training.detail.glints import GlintCheck, find_glints, kept_glints

PERIOD_PX = 16.0


def stripes(angle_rad, size=160, amplitude=0.2):
    y, x = np.mgrid[:size, :size]
    across = y * np.cos(angle_rad) - x * np.sin(angle_rad)
    return np.asarray(0.4 + amplitude * np.sin(2 * np.pi * across / PERIOD_PX), np.float32)


@pytest.fixture
def a_muscle():
    return FibreFrame.of(DetailFrame.of("muscle", stripes(0.3), 0.1))


@pytest.fixture
def a_far_wall():
    """Dark lumen; a thin line, a dark gap and a bright line below, 8 px apart; grey tissue under them."""
    frame = np.full((200, 200), 0.02, np.float32)
    rows = np.arange(200)[:, None] - 140 - 0.05 * np.arange(200)[None]
    frame += 0.3 * (rows > 2) + 0.8 * np.exp(-0.5 * (rows / 1.5) ** 2) + 0.25 * np.exp(-0.5 * ((rows + 8) / 1.2) ** 2)
    return np.clip(frame, 0, 1).astype(np.float32)


@pytest.mark.parametrize("angle", [-0.6, 0.0, 0.3])
def test_the_direction_of_fibres_is_found(angle):
    frame = stripes(angle)
    assert dominant_angle(fibre_angle(frame), frame) == pytest.approx(angle, abs=0.02)


def test_an_unchanged_frame_keeps_every_fibre_and_invents_none(a_muscle):
    kept = kept_fibres(a_muscle, a_muscle.frame.grey_yx)
    assert len(a_muscle.ridges) > 50
    np.testing.assert_allclose(kept.contrast, 1)
    assert (kept.count, kept.invented) == (1, 0)


def test_a_blur_keeps_the_share_of_a_sine_that_theory_says(a_muscle):
    sigma = 3.0
    kept = kept_fibres(a_muscle, ndimage.gaussian_filter(a_muscle.frame.grey_yx, sigma, mode="nearest"))
    assert np.median(kept.contrast) == pytest.approx(np.exp(-2 * (np.pi * sigma / PERIOD_PX) ** 2), rel=0.03)


def test_an_erased_frame_keeps_no_fibre(a_muscle):
    kept = kept_fibres(a_muscle, np.full_like(a_muscle.frame.grey_yx, 0.4))
    assert np.max(np.abs(kept.contrast)) < 1e-6
    assert kept.count == 0


def test_every_second_fibre_lost_halves_the_count_and_fibres_between_are_inventions(a_muscle):
    y, x = np.mgrid[:160, :160]
    across = y * np.cos(0.3) - x * np.sin(0.3)
    every_second = np.where(np.mod(across, 2 * PERIOD_PX) < PERIOD_PX, a_muscle.frame.grey_yx, 0.2)
    lost = kept_fibres(a_muscle, every_second.astype(np.float32))
    assert lost.count == pytest.approx(0.5, abs=0.1)
    doubled = 0.4 + 0.2 * np.sin(4 * np.pi * across / PERIOD_PX)
    assert kept_fibres(a_muscle, doubled.astype(np.float32)).invented > 0.4


def test_speckle_between_fibres_does_not_count_as_fibres(a_muscle):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((160, 160)), 1.2)
    speckled = (a_muscle.frame.grey_yx + 0.05 * noise / noise.std()).astype(np.float32)
    kept = kept_fibres(FibreFrame.of(DetailFrame.of("speckled", speckled, 0.1)), a_muscle.frame.grey_yx)
    assert np.median(kept.contrast) == pytest.approx(1, abs=0.05)
    assert kept.count > 0.95


def test_both_lines_of_the_far_wall_are_found_where_they_were_drawn(a_far_wall):
    lines = find_lines(a_far_wall)
    assert lines.columns.size > 100
    np.testing.assert_allclose(lines.trace[20:180], 140 + 0.05 * np.arange(20, 180), atol=1.5)
    assert np.median(ABOVE_PX - lines.upper) == pytest.approx(8, abs=1)


def test_the_far_wall_keeps_its_dip_when_nothing_is_changed_and_loses_it_when_lines_merge(a_far_wall):
    lines = find_lines(a_far_wall)
    assert kept_lines(a_far_wall, a_far_wall, lines) == (pytest.approx(1), 1)
    dip, seen = kept_lines(a_far_wall, ndimage.gaussian_filter(a_far_wall, 4), lines)
    assert dip < 0.1
    assert seen == 0


def test_a_filled_gap_keeps_its_share_of_the_dip(a_far_wall):
    lines = find_lines(a_far_wall)
    half = a_far_wall / 2
    dip, seen = kept_lines(a_far_wall, half, lines)
    assert dip == pytest.approx(0.5, abs=1e-6)
    assert seen == 1


def spots(places, peak, size=128):
    frame = np.full((size, size), 0.2)
    y, x = np.mgrid[:size, :size]
    for row, column in places:
        frame += peak * np.exp(-0.5 * (((y - row) / 2) ** 2 + ((x - column) / 3) ** 2))
    return frame.astype(np.float32)


def test_glints_are_deep_and_seen_in_the_input_as_well():
    authors = spots([(80, 40), (100, 90), (90, 64), (30, 64)], 0.2)
    source = spots([(80, 40), (100, 90), (30, 64)], 0.3)
    assert find_glints(source, authors) == ((80, 40), (100, 90))


def test_glints_are_kept_by_the_share_of_their_peak():
    places = ((80, 40), (100, 90))
    assert kept_glints(spots(places, 0.2), spots(places, 0.15), places) == pytest.approx([0.75, 0.75], abs=0.01)
    assert kept_glints(spots(places, 0.2), spots((), 0), places) == pytest.approx([0, 0], abs=0.01)


def test_published_clips_are_read_and_measured(tmp_path):
    for name, peak in (("Input", 0.3), ("OurMethod", 0.2)):
        frames = [Image.fromarray(np.uint8(255 * spots([(80, 40), (100, 90)], peak))) for _ in range(2)]
        frames[1] = frames[1].transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        frames[0].save(tmp_path / f"{name}_01.gif", save_all=True, append_images=frames[1:])
    check = GlintCheck.prepare(None, tmp_path)
    assert [len(each.places) for each in check.frames] == [2, 2]
    assert check.figures(GaussianControl(0))["glints: share kept of the authors'"] == 1
    assert check.figures(GaussianControl(8))["glints: share kept of the authors'"] == 0


@pytest.mark.parametrize("check", [FibreCheck, FarWallCheck, GlintCheck])
def test_without_data_figures_are_none(check):
    prepared = check.prepare(None, None)
    assert prepared.figures(GaussianControl(0)) == {row.key: None for row in prepared.rows}
