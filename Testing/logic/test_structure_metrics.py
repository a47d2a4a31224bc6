"""Edges of known width, brightness, residuals and flicker, each on images whose figures can be worked out on paper."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, special

from Speckle2SelfLogic import metrics
from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError


@pytest.fixture
def a_disc():
    y, x = np.mgrid[:80, :90]
    return np.hypot(y - 40.3, x - 44.6) < 20


def blurred_disc(sigma_px, inside=40.0, outside=160.0):
    """A disc as `a_disc`, its edge an error function of known standard deviation along every normal."""
    y, x = np.mgrid[:80, :90]
    distance = np.hypot(y - 40.3, x - 44.6) - 20
    return inside + (outside - inside) * 0.5 * (1 + special.erf(distance / (sigma_px * math.sqrt(2))))


# Edges


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
@pytest.mark.parametrize("shift", [0.0, 0.37])
@pytest.mark.parametrize("direction", [1, -1])
def test_the_rise_of_a_blurred_step_is_2_563_sigma(sigma, shift, direction):
    position = np.arange(-15, 16) + shift
    profile = 20 + 50 * special.erf(direction * position / (sigma * math.sqrt(2)))
    assert metrics.edge_rise_width_px(profile) == pytest.approx(2.563 * sigma, abs=0.12)


@given(profile=hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 255)))
def test_any_profile_has_a_rise_no_longer_than_itself_or_none(profile):
    width = metrics.edge_rise_width_px(profile)
    assert width is None or 0 < width < profile.size


def test_a_flat_profile_has_no_rise():
    assert metrics.edge_rise_width_px(np.full(9, 3.0)) is None


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(("inside", "outside"), [(40.0, 160.0), (160.0, 40.0)])
def test_the_rise_along_the_normals_of_a_disc_is_that_of_its_blur(a_disc, sigma, inside, outside):
    edge = metrics.boundary_rise_width(blurred_disc(sigma, inside, outside), a_disc)
    assert edge.width_px == pytest.approx(2.563 * sigma, abs=0.1)
    assert edge.width_mm is None
    assert edge.profile_count > 80


def test_a_width_in_millimetres_follows_the_spacing_along_each_normal(a_disc):
    image = blurred_disc(2.0)
    square = metrics.boundary_rise_width(image, a_disc, spacing_mm=(0.05, 0.05))
    assert square.width_mm == pytest.approx(0.05 * square.width_px)
    layers = np.broadcast_to(np.arange(80)[:, None] < 30, (80, 90))
    step = 100 * special.erf((np.arange(80) - 29.5) / (2 * math.sqrt(2)))[:, None] + np.zeros(90)
    edge = metrics.boundary_rise_width(step, layers, spacing_mm=(0.5, 0.1))
    assert edge.width_mm == pytest.approx(0.1 * edge.width_px)  # normals along y, whose spacing is the second


def test_the_border_of_the_image_is_not_an_edge():
    region = np.zeros((50, 60), bool)
    region[:25] = True
    step = np.where(region, 10.0, 90.0)
    edge = metrics.boundary_rise_width(ndimage.gaussian_filter1d(step, 1.5, axis=0), region)
    assert edge.width_px == pytest.approx(2.563 * 1.5, abs=0.25)
    assert metrics.boundary_rise_width(step, np.ones_like(region)) is None


def test_averaging_along_the_boundary_brings_a_speckled_edge_nearer_to_its_width(a_disc):
    speckle = np.random.default_rng(3).rayleigh(math.sqrt(2 / math.pi), a_disc.shape)
    image = blurred_disc(2.0) * ndimage.gaussian_filter(speckle, 1)
    single, averaged = (metrics.boundary_rise_width(image, a_disc, neighbourhood_px=n).width_px for n in (0.5, 4.0))
    assert 2.563 * 2 < averaged < single < 1.6 * 2.563 * 2


def test_a_spacing_that_is_not_positive_is_refused(a_disc):
    with pytest.raises(SettingsError, match=r"Spacing must be positive and finite, but is \(0\.1, 0\.0\)"):
        metrics.boundary_rise_width(blurred_disc(1.0), a_disc, spacing_mm=(0.1, 0.0))


# Brightness, residual, time


def test_local_brightness_bias_is_the_median_of_the_block_ratios():
    source = np.full((64, 96), 100.0)
    gains = np.kron([[1.0, 1.1, 1.2], [0.9, 1.0, 1.5]], np.ones((32, 32)))
    expected = np.median(np.abs(np.log([1.0, 1.1, 1.2, 0.9, 1.0, 1.5])))
    assert metrics.local_brightness_bias(source, gains * source, data_range=255) == pytest.approx(expected)
    assert metrics.local_brightness_bias(0.01 * source, source, data_range=255) is None
    assert metrics.local_brightness_bias(source[:5, :7], 1.3 * source[:5, :7], data_range=255) == pytest.approx(
        math.log(1.3)
    )


def test_black_share_counts_the_pixels_that_lost_their_signal():
    source = np.array([[100.0, 100.0, 5.0, 9.0]])
    output = np.array([[0.0, 50.0, 0.0, 1.0]])
    assert metrics.black_share(source, output, data_range=255) == pytest.approx(2 / 3)
    assert metrics.black_share(source, output, data_range=2550) == pytest.approx(1 / 2)
    assert metrics.black_share(np.zeros((2, 2)), np.zeros((2, 2)), data_range=255) is None


def test_a_residual_without_structure_scores_near_zero_and_a_sharpened_edge_does_not():
    edge = np.broadcast_to(100.0 + 50 * special.erf((np.arange(90) - 45) / 3), (80, 90))
    noise = np.random.default_rng(1).normal(0, 5, edge.shape)
    assert metrics.residual_structure_correlation(edge + noise, edge) < 0.03
    assert metrics.residual_structure_correlation(edge, edge) == 0.0
    gradient = ndimage.gaussian_gradient_magnitude(edge, 1)
    assert metrics.residual_structure_correlation(edge + 0.3 * gradient, edge) == pytest.approx(1.0)


@given(gain=st.floats(0.1, 10))
def test_residual_correlation_equals_numpy_and_ignores_a_common_gain(gain):
    source = np.random.default_rng(12).random((20, 22)) * 100
    output = ndimage.gaussian_filter(source, 1.5)
    gradient = ndimage.gaussian_gradient_magnitude(output, 1)
    expected = abs(np.corrcoef((source - output).ravel(), gradient.ravel())[0, 1])
    assert metrics.residual_structure_correlation(gain * source, gain * output) == pytest.approx(expected)


@pytest.fixture
def a_cine():
    """Eight frames: still tissue with noise on the left, a pulsing band on the right."""
    rng = np.random.default_rng(2)
    frames = 100 + rng.normal(0, 10, (8, 40, 60))
    frames[:, :, 40:] += 60 * np.sin(np.arange(8))[:, None, None]
    return frames.clip(0, 255)


def test_flicker_of_the_input_itself_is_none_at_all(a_cine):
    flicker = metrics.temporal_flicker(a_cine, a_cine, data_range=255)
    assert flicker.brightness_flicker == pytest.approx(0.0, abs=1e-12)
    assert flicker.static_change_ratio == pytest.approx(1.0)
    assert flicker.static_change == pytest.approx(10 * 2 / math.sqrt(math.pi) / 100, rel=0.05)


def test_brightness_flicker_is_the_spread_of_the_frames_gains(a_cine):
    gains = np.array([1, 1.1, 0.9, 1, 1.2, 1, 0.8, 1])
    flicker = metrics.temporal_flicker(a_cine, gains[:, None, None] * a_cine, data_range=255)
    assert flicker.brightness_flicker == pytest.approx(np.log(gains).std())
    assert flicker.static_change_ratio > 1.5


@given(gain=st.floats(0.05, 20))
def test_a_darker_output_is_not_calmer_for_that(gain):
    cine = np.random.default_rng(5).random((4, 12, 12)) + 0.5
    smooth = ndimage.gaussian_filter(cine, (0, 1, 1))
    expected = metrics.temporal_flicker(cine, smooth, data_range=2)
    flicker = metrics.temporal_flicker(cine, gain * smooth, data_range=2)
    assert flicker.static_change_ratio == pytest.approx(expected.static_change_ratio)
    assert flicker.static_change_ratio < 0.7


def test_motion_elsewhere_is_not_counted_as_flicker(a_cine):
    still_but_for_the_band = np.where(np.arange(60) < 40, 100.0, a_cine)
    assert metrics.temporal_flicker(a_cine, still_but_for_the_band, data_range=255).static_change < 0.01


def test_a_cine_that_never_changes_has_no_ratio_and_a_black_one_no_change():
    still = np.full((3, 8, 8), 50.0)
    assert metrics.temporal_flicker(still, still, data_range=255) == metrics.TemporalFlicker(0.0, 0.0, None)
    black = np.zeros_like(still)
    assert metrics.temporal_flicker(black, black, data_range=255) == metrics.TemporalFlicker(0.0, None, None)
    with pytest.raises(UnsupportedImageError, match="at least two frames"):
        metrics.temporal_flicker(still[:1], still[:1], data_range=255)
