import math

import pytest
import torch
from torch import nn

from Training.objectives.despeckler import BRIGHTNESS_SHARE, Despeckling, insertion_loss, teacher_answer
from Training.objectives.insertion import Insertion, blurred, random_insertion
from Training.objectives.mixture import RealFramesToo
from Training.objectives.speckle_size import speckle_scale, speckle_widths_px


@pytest.fixture
def a_speckled_frame():
    torch.manual_seed(0)
    return blurred(torch.rand(1, 1, 96, 96), (1.0, 2.0)) * 0.8


def an_insertion(gain=0.0, echo=0.0, interference=0.0, shape=(1, 1, 4, 4)):
    maps = [torch.full(shape, float(value)) for value in (gain, gain, echo, echo, interference)]
    return Insertion(*maps)


def test_a_change_of_scattering_adds_its_grey():
    frame = torch.full((1, 1, 4, 4), 0.5)
    assert torch.allclose(an_insertion(gain=-0.2).into_speckled(frame), torch.tensor(0.3))
    assert torch.allclose(an_insertion(gain=-0.7).into_speckled(frame), torch.tensor(0.0))


def test_what_is_black_is_not_lifted_by_more_scattering():
    black = torch.zeros(1, 1, 4, 4)
    assert torch.equal(an_insertion(gain=0.3).into_speckled(black), black)


def test_the_power_of_a_reflector_adds_to_that_of_the_frame():
    # Two equal powers are 3 dB more than one: 3.01 dB of 60 dB.
    frame = torch.full((1, 1, 4, 4), 0.5)
    expected = 0.5 + 10 * math.log10(2) / 60
    assert an_insertion(echo=0.5).into_clean(frame).mean().item() == pytest.approx(expected, abs=2e-3)


def test_a_reflector_in_counter_phase_cancels_the_frame():
    frame = torch.full((1, 1, 4, 4), 0.5)
    assert an_insertion(echo=0.5, interference=-1.0).into_speckled(frame).max().item() < 0.02


def test_nothing_inserted_changes_nothing():
    frame = torch.rand(1, 1, 4, 4)
    assert torch.equal(an_insertion().into_speckled(frame), frame)
    assert torch.equal(an_insertion().into_clean(frame), frame)


def test_structures_are_smaller_than_the_frame_and_change_it(a_speckled_frame):
    torch.manual_seed(1)
    shares = []
    for _ in range(20):
        insertion = random_insertion(a_speckled_frame, structures=1)
        change = (insertion.into_speckled(a_speckled_frame) - a_speckled_frame).abs()
        shares.append(float((change > 0.02).float().mean()))
    assert 0 < sum(shares) / len(shares) < 0.4
    assert max(shares) > 0


def test_the_truth_of_a_structure_is_sharper_than_what_the_scanner_shows(a_speckled_frame):
    torch.manual_seed(2)
    insertion = random_insertion(a_speckled_frame)
    steepest = [float(maps.diff(dim=2).abs().max()) for maps in (insertion.gain_sharp, insertion.gain_blurred)]
    assert steepest[0] >= steepest[1]


def test_a_blur_keeps_the_mean_and_has_the_asked_width():
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    spread = blurred(point, (2.0, 3.0))
    y = torch.arange(41.0) - 20
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)
    assert float((spread[0, 0].sum(1) * y**2).sum()) ** 0.5 == pytest.approx(2, rel=0.03)
    assert float((spread[0, 0].sum(0) * y**2).sum()) ** 0.5 == pytest.approx(3, rel=0.03)


def test_a_network_that_changes_nothing_pays_only_for_the_blur_and_one_that_erases_pays_more(a_speckled_frame):
    clean = blurred(a_speckled_frame, (6.0, 6.0))
    losses = []
    for network in (lambda frames: frames, lambda frames: torch.full_like(frames, float(clean.mean()))):
        torch.manual_seed(3)
        losses.append(float(insertion_loss(network, clean, clean)))
    assert losses[0] < losses[1]


def test_speckle_widths_follow_the_blur_that_made_the_speckle():
    torch.manual_seed(0)
    noise = torch.randn(4, 1, 256, 256)
    axial, lateral = speckle_widths_px(blurred(noise, (1.0, 2.0)))
    # Without the 9 px mean that is taken away they would be 2.355 sqrt(2) times 1 and 2.
    assert 0.7 < axial / (2.355 * math.sqrt(2)) < 1
    assert 0.7 < lateral / (2.355 * math.sqrt(2) * 2) < 1
    assert speckle_scale(noise) == pytest.approx(0.5)


def test_the_teacher_may_answer_its_own_answer_and_gets_back_a_part_of_the_brightness_it_loses(a_speckled_frame):
    def darkening(frames):
        return 0.9 * blurred(frames, (2.0, 2.0))

    once, twice = (teacher_answer(darkening, a_speckled_frame, passes) for passes in (1, 2))
    assert twice.diff(dim=3).abs().mean() < once.diff(dim=3).abs().mean()
    assert float(twice.mean() / a_speckled_frame.mean()) == pytest.approx(0.81 ** (1 - BRIGHTNESS_SHARE), abs=0.02)


def test_the_teacher_is_neither_trained_nor_saved(a_speckled_frame):
    network = nn.Conv2d(1, 1, 3, padding=1)
    objective = Despeckling(real={"insertion": 0.5, "consistency": 0.1, "flatness": 0.1}, teacher=network)
    frames = a_speckled_frame.repeat(2, 1, 1, 1)
    loss = objective(network, {"speckled": frames, "truth": frames, "real": frames})
    loss.backward()
    assert torch.isfinite(loss)
    assert not objective.state_dict()
    assert list(objective.parameters()) == []


def test_real_frames_take_the_place_of_their_share_of_the_batch():
    class MeanGrey(nn.Module):
        def forward(self, network, batch):
            return network(batch["speckled"]).mean((1, 2, 3)).sum()

    batch = {"speckled": torch.zeros(4, 1, 2, 2), "real": torch.ones(4, 1, 2, 2)}
    assert RealFramesToo(MeanGrey(), real_share=0.75)(nn.Identity(), batch).item() == pytest.approx(3)
