from itertools import product

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from Speckle2SelfLogic.simulation.formation import Compression, ImagingSettings
from Speckle2SelfLogic.simulation.scene import Scene
from Training.datasets.catalogue import SETS
from Training.datasets.realisations import (
    SideLobes,
    expected_grey_frame,
    expected_power,
    form_realisations,
    with_side_lobes,
)
from Training.datasets.scene_files import SceneTask, simulate_scene

NO_LOBES = SideLobes().kernel(2.0)


def a_point(shape=(41, 61)):
    power = np.zeros(shape)
    power[shape[0] // 2, shape[1] // 2] = 1
    return power


@pytest.mark.parametrize("name", list(SETS))
def test_truth_is_the_mean_of_many_realisations_at_every_pixel(name):
    frames = simulate_scene(SceneTask(name, "test", 3, 0, 64), realisations=200).frames
    spread = np.std(frames.speckled, 0)
    error = np.mean(frames.speckled, 0) - frames.truth
    assert abs(error.mean()) < 0.002
    # An error as small as 200 draws leave: of every pixel, and of the borders, where nothing must wrap around.
    assert np.sqrt((error**2).mean()) < 1.15 * np.sqrt((spread**2).mean() / 200)
    assert (
        abs(np.concatenate([error[:2].ravel(), error[-2:].ravel(), error[:, :2].ravel(), error[:, -2:].ravel()]).mean())
        < 0.004
    )


@pytest.mark.parametrize("name", list(SETS))
def test_two_realisations_share_nothing_but_the_truth(name):
    correlations, biases = [], []
    for number in range(4):
        made = simulate_scene(SceneTask(name, "test", number, 0, 96)).frames
        first, second = (frame - made.truth for frame in made.speckled)
        correlations.append(np.corrcoef(first.ravel(), second.ravel())[0, 1])
        biases += [first.mean(), second.mean()]
    assert abs(np.mean(correlations)) < 0.06
    assert abs(np.mean(biases)) < 0.005  # as bright as the truth


def test_s_i_is_further_from_its_clean_scene_than_s_ii_and_s_iii():
    def distance(name):
        frames = [simulate_scene(SceneTask(name, "test", number, 0, 96)).frames for number in range(6)]
        return np.mean([np.abs(frame.truth - frame.clean).mean() for frame in frames])

    heavy, light, other = map(distance, ("S-I", "S-II", "S-III"))
    assert heavy > 2.5 * light
    assert 0.5 < other / light < 2


def test_s_i_and_s_ii_show_corners_and_s_iii_other_outlines():
    from Training.datasets.disc_scenes import OTHER_SHAPES, PUBLISHED_SHAPES

    y, x = np.mgrid[-30:31, -30:31].astype(float)
    masks = [outline(y, x, 14.0, np.random.default_rng(0)) < 0 for outline in (*PUBLISHED_SHAPES, *OTHER_SHAPES)]
    assert all(150 < mask.sum() < 1400 for mask in masks)
    for first, second in product(masks[:3], masks[3:]):
        assert (first & second).sum() / (first | second).sum() < 0.97
    ring = masks[3 + [shape.__name__ for shape in OTHER_SHAPES].index("ring")]
    assert not ring[30, 30]
    square, circle, triangle = (mask.sum() for mask in masks[:3])
    assert square == pytest.approx(28**2, rel=0.08)
    assert circle == pytest.approx(np.pi * 14**2, rel=0.02)
    assert triangle == pytest.approx(3 * np.sqrt(3) / 4 * (1.3 * 14) ** 2, rel=0.05)


def test_mean_power_behind_a_constant_beam_is_a_gaussian_of_the_squared_width():
    settings = ImagingSettings(axial_psf_px=1.5, lateral_psf_px=3.0, lateral_growth=0.0)
    expected = ndimage.gaussian_filter(a_point(), (1.5 / np.sqrt(2), 3.0 / np.sqrt(2)), truncate=6)
    np.testing.assert_allclose(expected_power(a_point(), settings, NO_LOBES), expected, atol=2e-4)


def test_the_beam_spreads_power_but_keeps_its_sum_at_every_depth():
    settings = ImagingSettings(axial_psf_px=1.0, lateral_psf_px=2.5, lateral_growth=1.0, focus_depth=0.1)
    power = np.zeros((80, 81))
    power[[8, 70], 40] = 1
    spread = expected_power(power, settings, NO_LOBES)
    near, far = spread[:30], spread[50:]
    assert (near.sum(), far.sum()) == (pytest.approx(1, abs=0.02), pytest.approx(1, abs=0.02))
    assert far.max() < 0.6 * near.max()


def test_side_lobes_are_a_convolution_of_each_row():
    kernel = SideLobes(level_db=-20, reach_px=6, ripple_px=4).kernel(2.0)
    assert kernel[kernel.size // 2 - 4 : kernel.size // 2 + 5].max() == 0
    rng = np.random.default_rng(0)
    field = (rng.standard_normal((3, 50)) + 1j * rng.standard_normal((3, 50))).astype(np.complex64)
    expected = field + np.stack([np.convolve(row, kernel, mode="same") for row in field])
    np.testing.assert_allclose(with_side_lobes(field, kernel), expected, atol=1e-5)


@pytest.mark.parametrize(("random_power", "coherent_power"), [(1.0, 0.0), (0.5, 0.5), (0.02, 0.3), (0.0001, 0.0)])
@pytest.mark.parametrize("kind", ["log", "power"])
def test_expected_grey_is_that_of_a_rician_intensity(random_power, coherent_power, kind):
    compression = Compression(kind=kind, dynamic_range_db=50, peak_grey=0.6)
    rng = np.random.default_rng(0)
    noise = np.sqrt(random_power / 2) * (rng.standard_normal(400_000) + 1j * rng.standard_normal(400_000))
    drawn = np.clip(compression.curve()(np.abs(np.sqrt(coherent_power) + noise) ** 2), 0, 1).mean()
    expected = expected_grey_frame(np.full((2, 2), random_power), np.full((2, 2), coherent_power), 1.0, compression)
    np.testing.assert_allclose(expected, drawn, atol=0.0015)


def test_a_coherent_reflector_is_the_same_in_both_realisations():
    scene = Scene.empty((64, 64), -60.0)
    scene.reflect(np.where(np.arange(64)[:, None] == 32, 0.0, -80.0) * np.ones((1, 64)))
    seeds = [np.random.default_rng(seed) for seed in range(3)]
    made = form_realisations(scene, scene, ImagingSettings(noise_db=-80), SideLobes(), seeds[0], tuple(seeds[1:]))
    first, second = (frame[30:35] for frame in made.speckled)
    np.testing.assert_allclose(first, second, atol=0.02)
    np.testing.assert_allclose(first, made.truth[30:35], atol=0.02)


def test_scenes_of_one_set_are_not_alike():
    frames = [simulate_scene(SceneTask("thyroid", "train", number, 0, 64)).frames.clean for number in range(4)]
    alike = [structural_similarity(frames[i], frames[j], data_range=1.0) for i in range(4) for j in range(i)]
    assert max(alike) < 0.97
