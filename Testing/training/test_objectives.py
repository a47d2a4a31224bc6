import pytest
import torch
from torch import nn

from Speckle2SelfLogic.errors import SettingsError
from Training.objectives.imitation import Imitation
from Training.objectives.neighbor2neighbor import PAIRS, Neighbor2Neighbor, random_cells, sub_sampled
from Training.objectives.noise2noise import Noise2Noise
from Training.objectives.noise2self import Noise2Self, grid_mask, interpolated
from Training.objectives.noise2void import Noise2Void, random_neighbours, stratified_mask
from Training.objectives.supervised import Noise2True


class Constant(nn.Module):
    def __init__(self, grey):
        super().__init__()
        self.grey = grey

    def forward(self, frames):
        return torch.full_like(frames, self.grey)


class Gain(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, frames):
        return self.gain * frames


class Recorder(nn.Module):
    def forward(self, frames):
        self.given = frames.clone()
        return frames


def a_frame(*rows):
    return torch.tensor([[list(map(list, rows))]], dtype=torch.float32)


@pytest.fixture
def a_ramp():
    return torch.arange(64.0).view(1, 1, 8, 8) / 64


@pytest.mark.parametrize(("distance", "expected"), [("l1", (0.1 + 0.2 + 0.3) / 4), ("l2", (0.01 + 0.04 + 0.09) / 4)])
def test_noise2true_is_the_distance_to_the_truth(distance, expected):
    batch = {"speckled": a_frame((0.1, 0.2), (0.3, 0.4)), "truth": a_frame((0.1, 0.3), (0.5, 0.1))}
    assert Noise2True(distance)(nn.Identity(), batch).item() == pytest.approx(expected)


def test_noise2noise_compares_with_the_second_realisation_and_both_ways_if_asked():
    batch = {"speckled": a_frame((0.2, 0.4)), "second": a_frame((0.6, 0.4))}
    network = Gain(2.0)
    # 2 y - y' = (-0.2, 0.4) and 2 y' - y = (1.0, 0.4)
    assert Noise2Noise()(network, batch).item() == pytest.approx((0.04 + 0.16) / 2)
    assert Noise2Noise("l1", is_symmetric=True)(network, batch).item() == pytest.approx((0.3 + 0.7) / 2)


@pytest.mark.parametrize(("objective", "key"), [(Noise2True(), "truth"), (Noise2Noise(), "second")])
def test_a_batch_without_the_needed_frames_is_named(objective, key):
    with pytest.raises(SettingsError, match=f"needs frames '{key}'.*add the key to frame_keys"):
        objective(nn.Identity(), {"speckled": torch.zeros(1, 1, 2, 2)})


def test_an_unknown_distance_is_named():
    with pytest.raises(SettingsError, match="'l1' or 'l2', but is 'l3'"):
        Noise2True("l3")


def test_one_pixel_is_hidden_in_each_box():
    mask = stratified_mask(torch.zeros(3, 1, 16, 24), 8)
    boxes = nn.functional.avg_pool2d(mask.float(), 8) * 64
    torch.testing.assert_close(boxes, torch.ones(3, 1, 2, 3))
    assert Noise2Void(box_px=8).share == 1 / 64
    assert stratified_mask(torch.zeros(1, 1, 5, 11), 8).shape == (1, 1, 5, 11)


def test_a_hidden_pixel_takes_a_neighbour_in_reach_and_never_itself():
    torch.manual_seed(0)
    numbers = torch.arange(30.0).view(1, 1, 5, 6).expand(400, 1, 5, 6)
    drawn = random_neighbours(numbers, 1).long()
    rows, columns = drawn // 6, drawn % 6
    dy = rows - torch.arange(5).view(1, 1, 5, 1)
    dx = columns - torch.arange(6).view(1, 1, 1, 6)
    assert not ((dy == 0) & (dx == 0)).any()
    assert dy.abs().max() == 1
    assert dx.abs().max() == 1
    # In the middle all eight come up, about 50 times each; in the corner all three.
    seen = torch.bincount(drawn[:, 0, 2, 2], minlength=30)
    assert (seen[[7, 8, 9, 13, 15, 19, 20, 21]] > 25).all()
    assert sorted(set(drawn[:, 0, 0, 0].tolist())) == [1, 6, 7]


def test_noise2void_measures_hidden_pixels_only():
    batch = {"speckled": torch.full((2, 1, 4, 4), 0.2)}
    assert Noise2Void(box_px=2, radius_px=1)(Constant(0.5), batch).item() == pytest.approx(0.09)
    # The identity answers with the neighbour, whose distance from the pixel is then the loss.
    checkers = a_frame((0.0, 1.0), (0.0, 1.0)).repeat(1, 1, 8, 8)
    assert 0 < Noise2Void(box_px=4, radius_px=1)(nn.Identity(), {"speckled": checkers}) <= 1
    rows = a_frame((0.5, 0.5))
    assert Noise2Void(box_px=2, radius_px=1)(nn.Identity(), {"speckled": rows}).item() == 0


@pytest.mark.parametrize("objective", [Noise2Void(box_px=4, radius_px=2), Noise2Self(4)])
def test_the_network_does_not_see_the_pixel_that_it_has_to_predict(objective):
    frames = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    given = []
    for grey in (0.0, 1.0):
        changed, network = frames.clone(), Recorder()
        torch.manual_seed(3)
        mask = (
            stratified_mask(frames, 4)
            if isinstance(objective, Noise2Void)
            else grid_mask(frames, 4, int(torch.randint(16, ())))
        )
        changed[mask] = grey
        torch.manual_seed(3)
        objective(network, {"speckled": changed})
        given.append(network.given)
    assert mask.sum() == 1
    torch.testing.assert_close(given[0], given[1], rtol=0, atol=0)


def test_the_phases_of_the_grid_hide_each_pixel_once():
    frames = torch.zeros(1, 1, 6, 7)
    total = sum(grid_mask(frames, 3, phase).int() for phase in range(9))
    assert (total == 1).all()


def test_hidden_pixels_become_the_weighted_mean_of_their_neighbours():
    frames = a_frame((1, 2, 3), (4, 9, 6), (7, 8, 5))
    centre = grid_mask(frames, 3, 4)
    # Sides 2 + 4 + 6 + 8 weigh 1, corners 1 + 3 + 7 + 5 weigh 1/2.
    assert interpolated(frames, centre)[0, 0, 1, 1].item() == pytest.approx((20 + 8) / 6)
    corner = grid_mask(frames, 3, 0)
    # Mirrored about the border: twice 2 and 4 with weight 1, four times 9 with weight 1/2.
    assert interpolated(frames, corner)[0, 0, 0, 0].item() == pytest.approx((4 + 8 + 18) / 6)
    assert (interpolated(frames, corner) != frames).sum() == 1


def test_noise2self_measures_hidden_pixels_only(a_ramp):
    assert Noise2Self(4)(Constant(0.5), {"speckled": torch.full((3, 1, 8, 8), 0.2)}).item() == pytest.approx(0.09)
    torch.manual_seed(0)
    mask = grid_mask(a_ramp, 2, int(torch.randint(4, ())))
    expected = (interpolated(a_ramp, mask) - a_ramp)[mask].square().mean()
    torch.manual_seed(0)
    torch.testing.assert_close(Noise2Self(2)(nn.Identity(), {"speckled": a_ramp}), expected)


def test_the_sub_samplers_take_two_pixels_that_share_a_side():
    cells = random_cells(torch.zeros(4, 1, 20, 21))
    pairs = set(zip(cells.first.flatten().tolist(), cells.second.flatten().tolist(), strict=True))
    assert pairs == set(PAIRS)
    assert all(first != second and first + second != 3 for first, second in pairs)  # 0 + 3 and 1 + 2 are diagonals


def test_a_sub_sampled_frame_has_the_chosen_pixel_of_each_cell():
    frames = a_frame((0, 1, 2, 3, 9), (4, 5, 6, 7, 9), (9, 9, 9, 9, 9))
    torch.testing.assert_close(sub_sampled(frames, torch.tensor([[[[2, 1]]]])), a_frame((4, 3)))


def test_neighbor2neighbor_has_the_published_terms():
    batch = {"speckled": torch.full((1, 1, 4, 4), 0.2)}
    # A constant answer: difference 0.3 in both terms, since g1 f(y) - g2 f(y) = 0.
    assert Neighbor2Neighbor(2.0)(Constant(0.5), batch).item() == pytest.approx(0.09 * (1 + 2))
    # The identity: difference and expected difference are equal, so that the regulariser vanishes.
    frames = a_frame((0.0, 1.0), (1.0, 0.0))  # every pair that shares a side differs by 1
    assert Neighbor2Neighbor(7.0)(nn.Identity(), {"speckled": frames}).item() == pytest.approx(1)


def test_no_gradient_flows_through_the_whole_frame():
    frames, network = torch.rand(2, 1, 6, 6), Gain(0.7)
    torch.manual_seed(2)
    cells = random_cells(frames)
    first, second = (sub_sampled(frames, cell) for cell in cells)
    difference = 0.7 * first - second
    expected = 2 * (difference * first).mean() + 4 * ((difference - 0.7 * (first - second)) * first).mean()
    torch.manual_seed(2)
    Neighbor2Neighbor(2.0)(network, {"speckled": frames}).backward()
    torch.testing.assert_close(network.gain.grad, expected)


def test_gamma_grows_with_the_steps_of_training_and_is_kept_with_the_state():
    batch, objective = {"speckled": torch.full((1, 1, 2, 2), 0.2)}, Neighbor2Neighbor(2.0, ramp_steps=2)
    losses = [objective(Constant(0.5), batch).item() for _ in range(4)]
    assert losses == pytest.approx([0.09, 0.18, 0.27, 0.27])
    assert objective.state_dict()["steps_done"] == 4
    objective.eval()(Constant(0.5), batch)
    assert objective.steps_done == 4


def test_neighbor2neighbor_agrees_with_deepinv():
    deepinv = pytest.importorskip("deepinv", exc_type=ImportError, reason="deepinv (which needs torchvision) is absent")
    frames = torch.rand(2, 1, 8, 6)
    torch.manual_seed(4)
    theirs = deepinv.loss.Neighbor2Neighbor(gamma=2.0)(y=frames, physics=None, model=lambda y, _: y.square())
    torch.manual_seed(4)
    ours = Neighbor2Neighbor(2.0)(torch.square, {"speckled": frames})
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Noise2Self(1), "at least 2"),
        (lambda: Noise2Void(radius_px=0), "at least 1"),
        (lambda: random_neighbours(torch.zeros(1, 1, 1, 1), 2), "one pixel has no neighbour"),
    ],
)
def test_impossible_settings_are_named(make, part):
    with pytest.raises(SettingsError, match=part):
        make()


def test_imitation_is_nothing_for_the_answers_of_the_teacher_and_grows_with_the_distance():
    frames = {"speckled": torch.full((2, 1, 16, 16), 0.8)}
    objective = Imitation(teacher=Gain(0.5), beta=0.0)
    assert float(objective(Constant(0.4), frames)) == pytest.approx(0, abs=1e-6)
    assert float(objective(Constant(0.5), frames)) == pytest.approx(0.1, abs=1e-6)  # gradients are equal


def test_imitation_trains_the_network_and_neither_trains_nor_saves_the_teacher():
    teacher, network = Gain(0.5), Gain(1.0)
    objective = Imitation(teacher=teacher)
    objective(network, {"speckled": torch.rand(1, 1, 16, 16)}).backward()
    assert network.gain.grad is not None
    assert teacher.gain.grad is None
    assert dict(objective.state_dict()) == {}


def test_imitation_takes_real_frames_in_place_of_simulated_ones():
    objective = Imitation(teacher=Gain(1.0), beta=0.0, real_share=0.5)
    batch = {"speckled": torch.full((4, 1, 32, 32), 0.8), "real": torch.full((4, 1, 32, 32), 0.4)}
    assert float(objective(Constant(0.8), batch)) == pytest.approx(0.2, abs=1e-4)  # 0.4 for half of the frames


def test_imitation_asks_for_the_structures_that_the_teacher_would_lose():
    torch.manual_seed(5)
    frames = 0.4 + 0.05 * torch.rand(4, 1, 64, 64)
    shown, expected = Imitation(teacher=Constant(0.4), inserted_share=0.5)._lesson({"speckled": frames.clone()})
    is_shown = (shown != frames).flatten(1).any(dim=1)
    assert is_shown.sum() == 2
    assert torch.equal((expected - 0.4).abs().flatten(1).amax(dim=1) > 1e-3, is_shown)


def test_imitation_expects_clean_frames_as_they_are_and_leaves_the_batch_alone():
    batch = {"speckled": torch.full((4, 1, 16, 16), 0.8), "truth": torch.full((4, 1, 16, 16), 0.3)}
    frames, expected = Imitation(teacher=Gain(0.5), clean_share=0.25)._lesson(batch)
    assert frames[-1].unique().tolist() == expected[-1].unique().tolist() == [pytest.approx(0.3)]
    assert expected[0].unique().tolist() == [pytest.approx(0.4)]
    assert (batch["speckled"] == 0.8).all()
