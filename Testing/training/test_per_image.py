from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from skimage import data
from torch import nn

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.metrics import psnr_db
from Training.per_image import PER_IMAGE_METHODS, per_image_method
from Training.per_image.deep_image_prior import DrawnFromNoise, SkipNetwork
from Training.per_image.fitting import fit_one_image
from Training.per_image.noise2self_single import invariant_answer
from Training.per_image.zs_n2n import DownSampledPair, diagonal_means, residual_network

METHODS = Path(__file__).parents[2] / "Training/configs/methods"
SETTINGS = {
    "zs_n2n": {"iterations": 60, "channels": 12, "learning_rate": 0.005},
    "deep_image_prior": {"iterations": 200, "widths": (16, 16, 16), "skip_widths": (4, 4, 4), "memory": 0.9},
    "noise2self_single": {"iterations": 100, "channels": 12, "layers": 4, "learning_rate": 0.01},
}
"""So small that each takes about a second here."""


@pytest.fixture(scope="module")
def a_clean_frame():
    return np.asarray(data.camera()[60:188:2, 180:308:2] / 255, np.float32)


@pytest.fixture(scope="module")
def a_noisy_frame(a_clean_frame):
    noise = np.random.default_rng(0).normal(0, 0.1, a_clean_frame.shape)
    return np.clip(a_clean_frame + noise, 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", SETTINGS)
def test_white_noise_is_reduced(name, a_clean_frame, a_noisy_frame):
    method = per_image_method(name, **SETTINGS[name])
    output = method.despeckle(a_noisy_frame[None])
    assert output.shape == (1, 64, 64)
    assert output.dtype == np.float32
    before, after = (psnr_db(a_clean_frame, frame, data_range=1) for frame in (a_noisy_frame, output[0]))
    assert after > before + 1


@pytest.mark.parametrize("name", SETTINGS)
def test_the_answer_depends_on_seed_and_frame_alone(name, a_noisy_frame):
    settings = SETTINGS[name] | {"iterations": 3}
    small = a_noisy_frame[:16, :20]
    torch.manual_seed(1)
    pair = per_image_method(name, **settings).despeckle(np.stack([small, small]))
    drawn_after = torch.rand(())
    torch.manual_seed(1)
    assert torch.rand(()) == drawn_after  # as if nothing had been fitted
    np.testing.assert_array_equal(pair[0], pair[1])
    other = per_image_method(name, seed=1, **settings).despeckle(small[None])
    assert (other != pair[:1]).any()


@pytest.mark.parametrize("name", PER_IMAGE_METHODS)
def test_every_method_says_what_it_is(name):
    method = per_image_method(name)
    assert method.name == name
    assert method.title
    assert method.citation[-4:].isdigit()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_configuration_of_a_method_makes_it_with_its_defaults(name):
    parser = ConfigParser()
    parser.read_config(METHODS / f"{name}.yaml")
    assert parser.get_parsed_content("method_name") == name
    assert parser.get_parsed_content("despeckler") == per_image_method(name)


@pytest.mark.parametrize("name", SETTINGS)
def test_odd_sides_and_black_frames_pass(name):
    output = per_image_method(name, **(SETTINGS[name] | {"iterations": 2})).despeckle(np.zeros((1, 7, 9), np.float32))
    assert output.shape == (1, 7, 9)
    assert np.isfinite(output).all()


def test_it_fits_also_where_the_caller_has_gradients_turned_off(a_noisy_frame):
    with torch.inference_mode():
        output = per_image_method("zs_n2n", iterations=2, channels=4).despeckle(a_noisy_frame[None])
    assert output.shape == (1, 64, 64)


def test_the_diagonals_of_a_cell_are_averaged():
    frame = torch.tensor([[[[1.0, 2.0, 9.0], [3.0, 8.0, 9.0], [9.0, 9.0, 9.0]]]])
    rising, falling = diagonal_means(frame)
    assert rising.item() == 2.5
    assert falling.item() == 4.5


def test_zs_n2n_without_a_network_measures_the_difference_of_the_halves():
    frame = torch.tensor([[[[1.0, 2.0], [3.0, 8.0]]]])

    class NoNoise(nn.Module):
        def forward(self, frames):
            return torch.zeros_like(frames)

    # Both residual terms are (2.5 - 4.5)^2 / 2; down-sampling the frame itself is consistent.
    assert DownSampledPair()(NoNoise(), {"speckled": frame}).item() == pytest.approx(4)

    class Halved(nn.Module):
        def forward(self, frames):
            return frames / 2

    # Halves 1.25 and 2.25 against 4.5 and 2.5; consistent again, since halving commutes with averaging.
    expected = ((1.25 - 4.5) ** 2 + (2.25 - 2.5) ** 2) / 2
    assert DownSampledPair()(Halved(), {"speckled": frame}).item() == pytest.approx(expected)


def test_the_consistency_term_sees_an_answer_that_depends_on_size():
    class AddsWidth(nn.Module):
        def forward(self, frames):
            return torch.full_like(frames, float(frames.shape[-1]))

    frame = torch.zeros(1, 1, 2, 2)
    # Halves are answered by -1, the frame by -2: residual (-1 - 0)^2, consistency (-1 + 2)^2, each twice and halved.
    assert DownSampledPair()(AddsWidth(), {"speckled": frame}).item() == pytest.approx(2)


def test_the_published_small_network_has_its_published_size():
    assert sum(p.numel() for p in residual_network(48).parameters()) == 480 + 20_784 + 49


def test_no_pixel_of_the_invariant_answer_depends_on_itself():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1))
    frames = torch.rand(1, 1, 6, 7)
    answer = invariant_answer(network, frames, 3)
    for y, x in ((0, 0), (2, 3), (5, 6)):
        changed = frames.clone()
        changed[..., y, x] += 0.5
        other = invariant_answer(network, changed, 3)
        assert other[0, 0, y, x] == answer[0, 0, y, x]
        assert (other != answer).any()


def test_the_deep_image_prior_averages_its_drawings():
    frame = torch.full((1, 1, 2, 2), 0.5)
    objective = DrawnFromNoise(frame, 3, jitter=0.1, memory=0.75)
    assert 0 <= objective.noise.min() <= objective.noise.max() <= 0.1
    greys = iter((0.1, 0.5, 0.9))

    class Drawing(nn.Module):
        def forward(self, noise):
            assert noise.shape == (1, 3, 2, 2)
            return torch.full((1, 1, 2, 2), next(greys))

    losses = [objective(Drawing(), {"speckled": frame}).item() for _ in range(3)]
    assert losses == pytest.approx([0.16, 0, 0.16], abs=1e-6)
    torch.testing.assert_close(objective.average, torch.full((1, 1, 2, 2), 0.75 * (0.75 * 0.1 + 0.25 * 0.5) + 0.225))


def test_the_hourglass_draws_frames_of_any_size():
    network = SkipNetwork(3, (8, 16, 32, 64, 128), (0, 0, 0, 4, 4))
    drawn = network(torch.rand(1, 3, 33, 20))
    assert drawn.shape == (1, 1, 33, 20)
    assert 0 < drawn.min() <= drawn.max() < 1


def test_the_rate_is_halved_as_often_as_said():
    class Pull(nn.Module):
        def forward(self, network, _):
            rates.append(network.weight.detach().clone())
            return network.weight.sum()

    rates = []
    network = nn.Conv2d(1, 1, 1, bias=False)
    fit_one_image(network, Pull(), torch.zeros(1, 1, 2, 2), iterations=7, learning_rate=0.1, halve_every=2)
    rates.append(network.weight.detach())
    # Under a constant gradient Adam moves by the learning rate.
    steps = [(before - after).item() for before, after in pairwise(rates)]
    assert steps == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125], rel=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "part"),
    [
        (lambda: per_image_method("n3n"), SettingsError, "no per-image method 'n3n'; choose one of zs_n2n"),
        (lambda: per_image_method("zs_n2n", depth=3), SettingsError, "cannot have the settings .*depth"),
        (lambda: per_image_method("zs_n2n", iterations=0).despeckle(np.zeros((1, 8, 8))), SettingsError, "above zero"),
        (lambda: per_image_method("zs_n2n").despeckle(np.zeros((8, 8))), UnsupportedImageError, "needs a stack"),
        (
            lambda: per_image_method("zs_n2n").despeckle(np.full((1, 8, 8), np.nan)),
            UnsupportedImageError,
            "not finite",
        ),
    ],
)
def test_mistakes_are_named(call, error, part):
    with pytest.raises(error, match=part):
        call()
