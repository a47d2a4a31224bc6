import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.simulation import PHANTOMS, Compression, ImagingSettings, form_frame, simulate
from Speckle2SelfLogic.simulation.formation import expected_grey
from Speckle2SelfLogic.simulation.scan import FanGeometry
from Speckle2SelfLogic.simulation.shapes import draw_segment

QUIET = ImagingSettings(noise_db=-120.0)


def a_uniform_frame(settings=QUIET, seed=0, shape=(256, 256)):
    level = np.full(shape, -10, np.float32)
    return form_frame(level, np.full(shape, -80, np.float32), settings, np.random.default_rng(seed))


@pytest.mark.parametrize("growth", [0.0, 0.5, 1.0])
def test_fully_developed_speckle_is_rayleigh(growth):
    settings = ImagingSettings(noise_db=-120.0, lateral_growth=growth)
    envelope = np.concatenate([a_uniform_frame(settings, seed).envelope_yx.ravel() for seed in range(4)])
    # Mean over standard deviation of a Rayleigh variable: sqrt(pi / (4 - pi)) = 1.913; skewness 0.631.
    assert envelope.mean() / envelope.std() == pytest.approx(1.913, abs=0.03)
    skewness = ((envelope - envelope.mean()) ** 3).mean() / envelope.std() ** 3
    assert skewness == pytest.approx(0.631, abs=0.06)


def test_mean_power_is_the_same_at_every_depth():
    settings = ImagingSettings(noise_db=-120.0, lateral_growth=1.0)
    power = np.mean([a_uniform_frame(settings, seed).envelope_yx ** 2 for seed in range(12)], axis=(0, 2))
    thirds = power.reshape(4, 64).mean(1)
    np.testing.assert_allclose(thirds / thirds.mean(), 1, atol=0.06)


def test_the_beam_is_narrowest_at_the_focus():
    settings = ImagingSettings(noise_db=-120.0, lateral_growth=1.0, focus_depth=0.1, lateral_psf_px=2.5)
    frames = [a_uniform_frame(settings, seed).envelope_yx for seed in range(6)]

    def correlation_of_neighbours(rows):
        left, right = (
            np.concatenate([f[rows, columns].ravel() for f in frames]) for columns in (np.s_[:-3], np.s_[3:])
        )
        return np.corrcoef(left, right)[0, 1]

    assert correlation_of_neighbours(np.s_[10:50]) + 0.2 < correlation_of_neighbours(np.s_[210:250])


@pytest.mark.parametrize("kind", ["log", "power", "soft_log"])
def test_truth_is_the_mean_of_many_speckle_realisations(kind):
    settings = ImagingSettings(noise_db=-120.0, compression=Compression(kind=kind, dynamic_range_db=50))
    frames = [a_uniform_frame(settings, seed) for seed in range(16)]
    assert np.mean([f.speckled_yx for f in frames]) == pytest.approx(float(frames[0].truth_yx.mean()), rel=0.01)
    assert np.ptp(frames[0].truth_yx[8:-8]) < 0.02


def test_expected_log_grey_lies_2_51_db_below_the_grey_of_the_mean():
    # E[10 log10 of an exponential variable] = -10 gamma / ln 10 dB with Euler's gamma.
    grey = Compression(dynamic_range_db=100, peak_grey=0.5).curve()
    shift_db = (expected_grey(grey, np.ones(1), np.zeros(1))[0] - 0.5) * 100
    assert shift_db == pytest.approx(-10 * 0.57722 / np.log(10), abs=0.02)


@settings(max_examples=20, deadline=None)
@given(phantom=st.sampled_from(sorted(PHANTOMS)), seed=st.integers(0, 1000), height=st.integers(32, 90))
def test_every_phantom_gives_finite_grey_and_disjoint_masks(phantom, seed, height):
    made = simulate(phantom, size_yx=(height, 64), seed=seed)
    assert made.speckled.pixels.dtype == np.uint8
    assert made.truth.pixels.shape == made.speckled.pixels.shape == (height, 64)
    assert not (made.lumen.pixels & made.wall.pixels).any()
    assert made.lumen.same_geometry(made.speckled)


def test_the_same_seed_gives_the_same_images_and_another_seed_others():
    first, again, other = (simulate(size_yx=(64, 64), seed=seed).speckled.pixels for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_lumen_is_darker_than_wall_in_the_truth():
    made = simulate("carotid", size_yx=(256, 256), seed=3)
    truth = made.truth.pixels.astype(float)
    assert truth[made.lumen.pixels == 1].mean() < 0.5 * truth[made.wall.pixels == 1].mean()


def test_a_cine_pulsates_while_tissue_speckle_changes_slowly():
    cine = simulate("carotid", size_yx=(160, 160), frames=6, seed=1)
    assert cine.speckled.axes == "TYX"
    areas = cine.lumen.pixels.sum((1, 2))
    assert areas.argmax() == 3
    assert 1.05 < areas.max() / areas.min() < 1.2
    deep = cine.speckled.pixels[:, 120:150, :40].reshape(6, -1).astype(float)
    assert 0.5 < np.corrcoef(deep[0], deep[1])[0, 1] < 0.99


def test_a_fan_is_black_outside_and_its_beams_return_to_where_they_came_from():
    fan = FanGeometry((120, 160))
    y, x = np.mgrid[:120, :160].astype(np.float32)
    inside = fan.mask_yx() & (y > 4) & (y < 110)
    for original in (y, x):
        np.testing.assert_allclose(fan.to_frame(fan.to_beams(original))[inside], original[inside], atol=0.6)
    made = simulate("uniform", size_yx=(120, 160), geometry="fan")
    assert made.speckled.pixels[~fan.mask_yx()].max() == 0


def test_a_segment_has_its_length_its_width_and_its_place():
    canvas = np.zeros((41, 41), np.float32)
    draw_segment(canvas, (20, 20), length_px=20, angle_rad=0, sigma_px=1.0, peak=1.0)
    assert canvas[20, 10:31].min() == pytest.approx(1)
    assert canvas[21, 20] == pytest.approx(np.exp(-0.5))
    assert canvas[20, 33] == pytest.approx(np.exp(-4.5), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"phantom": "liver"}, "no phantom 'liver'"),
        ({"geometry": "spiral"}, "'linear' or 'fan'"),
        ({"size_yx": (8, 8)}, "32 to 4096"),
        ({"frames": 0}, "at least 1"),
        ({"dynamic_range_db": 5}, "between 20 and 120 dB"),
    ],
)
def test_impossible_requests_are_named(options, part):
    with pytest.raises(SettingsError, match=part):
        simulate(**{"size_yx": (64, 64), **options})
