import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.networks.reference import ReferenceNetwork, published_loss
from Speckle2SelfLogic.perturbation import PerturbedScales, perturb_scales
from Training.objectives import scales as scales_module
from Training.objectives.augmentation import affinely_mapped, augmented_alike
from Training.objectives.published import Speckle2Self, outputs_at_scales
from Training.objectives.scales import coarsened, matched_scales, perturbed


@pytest.fixture
def some_frames():
    return torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(5))


def test_the_three_published_scales_are_those_of_the_core(some_frames):
    for ours, core in zip(perturbed(some_frames, (1, 0.5, 0.25)), perturb_scales(some_frames), strict=True):
        torch.testing.assert_close(ours, core, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125, 0.37])
def test_a_scale_agrees_with_linear_interpolation_of_scipy(scale):
    frame = np.random.default_rng(0).random((37, 50))

    def resampled(values, shape):
        places = [(np.arange(made) + 0.5) * given / made - 0.5 for made, given in zip(shape, values.shape, strict=True)]
        return ndimage.map_coordinates(values, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")

    smaller = (int(37 * scale), int(50 * scale))
    expected = resampled(resampled(frame, smaller), frame.shape)
    ours = coarsened(torch.from_numpy(frame)[None, None], scale)[0, 0].numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_the_objective_with_the_published_network_is_the_published_loss(some_frames):
    torch.manual_seed(0)
    network = ReferenceNetwork()
    inputs = perturb_scales(some_frames)
    expected = published_loss(network.forward_scales(inputs), inputs)
    torch.testing.assert_close(Speckle2Self(augments=False)(network, {"speckled": some_frames}), expected)


def test_the_loss_is_that_of_the_core_for_any_outputs(some_frames):
    inputs = perturb_scales(some_frames)
    outputs = PerturbedScales(*(torch.rand_like(stack) for stack in inputs))
    torch.testing.assert_close(Speckle2Self().loss_of(list(outputs), list(inputs)), published_loss(outputs, inputs))


def test_the_ablations_change_the_terms_as_they_say():
    outputs = [torch.full((1, 1, 2, 2), grey) for grey in (0.5, 0.3)]
    inputs = [torch.full((1, 1, 2, 2), grey) for grey in (0.4, 0.6)]
    reconstruction = {"l1": 0.1 + 0.3, "l2": 0.01 + 0.09}
    consistency = {"l1": 0.2, "l2": 0.04}
    for one in reconstruction:
        for other in consistency:
            objective = Speckle2Self((1, 0.5), other, one, consistency_weight=3)
            expected = reconstruction[one] + 3 * consistency[other]
            assert objective.loss_of(outputs, inputs).item() == pytest.approx(expected)
    assert Speckle2Self((1,)).loss_of(outputs[:1], inputs[:1]).item() == pytest.approx(0.01)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_any_number_of_scales_trains_our_network_with_one_encoder(some_frames, count):
    torch.manual_seed(0)
    network = Despeckler((4, 4, 8))
    objective = Speckle2Self((1, 0.5, 0.25, 0.125)[:count])
    loss = objective(network, {"speckled": some_frames})
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert len(objective.inputs(some_frames)) == count


def test_with_the_gradient_stopped_the_coarse_output_follows_the_fine_one():
    fine, coarse = (torch.full((1, 1, 2, 2), grey, requires_grad=True) for grey in (0.4, 0.6))
    inputs = [fine.detach(), coarse.detach()]  # nothing is left to reconstruct
    Speckle2Self((1, 0.5), stops_gradient=True).loss_of([fine, coarse], inputs).backward()
    assert fine.grad.abs().sum() == 0
    assert (coarse.grad > 0).all()


def test_matched_scales_end_at_the_scale_of_the_speckle(monkeypatch, some_frames):
    monkeypatch.setattr(scales_module, "speckle_scale", lambda _: 1 / 6)
    assert matched_scales(some_frames, (1, 0.5, 0.25)) == pytest.approx((1, 6**-0.5, 1 / 6))
    assert matched_scales(some_frames, (1,)) == (1,)
    monkeypatch.setattr(scales_module, "speckle_scale", lambda _: 0.25)
    assert matched_scales(some_frames, (1, 0.5, 0.25)) == pytest.approx((1, 0.5, 0.25))
    assert len(Speckle2Self(fits_speckle=True).inputs(some_frames)) == 3


def test_inputs_keep_their_brightness_when_they_are_not_normalised():
    frames = torch.full((1, 1, 16, 16), 0.3)
    objective = Speckle2Self(normalises=False, augments=False)
    for stack in objective.inputs(frames):
        torch.testing.assert_close(stack, frames)


def test_the_published_network_has_no_fourth_encoder(some_frames):
    with pytest.raises(SettingsError, match="three encoders, but was given 4"):
        outputs_at_scales(ReferenceNetwork(), [some_frames] * 4)


@pytest.mark.parametrize("scales", [(), (0.5, 0.25), (1, 0.5, 0.5), (1, -0.5)])
def test_scales_that_do_not_fall_from_one_are_refused(scales):
    with pytest.raises(SettingsError, match="must start at 1 and fall"):
        Speckle2Self(scales)


def test_all_scales_are_augmented_alike_and_frames_differently(some_frames):
    torch.manual_seed(1)
    first, second = augmented_alike([some_frames, 0.5 * some_frames], chance=1.0)
    torch.testing.assert_close(second, 0.5 * first)
    assert first.shape == some_frames.shape
    alike = augmented_alike([some_frames[:1].expand(2, -1, -1, -1)], chance=1.0)[0]
    assert (alike[0] - alike[1]).abs().max() > 0.1


def test_without_chance_nothing_is_augmented(some_frames):
    assert augmented_alike([some_frames], chance=0.0)[0].equal(some_frames)


def test_the_augmentation_comes_after_the_perturbation(some_frames):
    torch.manual_seed(7)
    given = Speckle2Self().inputs(some_frames)
    torch.manual_seed(7)
    for ours, expected in zip(given, augmented_alike(perturb_scales(some_frames)), strict=True):
        torch.testing.assert_close(ours, expected)


def test_each_augmentation_happens_three_times_in_ten():
    torch.manual_seed(0)
    corner = torch.zeros(3000, 1, 4, 4)
    corner[:, :, 0, 0] = 1
    moved = augmented_alike([corner])[0]
    places = [(0, 0), (0, 3), (3, 0), (3, 3)]
    unmoved = torch.stack([(moved[:, 0, y, x] == 1).float().mean() for y, x in places])
    expected = torch.tensor([0.7 * 0.7, 0.3 * 0.7, 0.7 * 0.3, 0.3 * 0.3]) * 0.7
    torch.testing.assert_close(unmoved, expected, rtol=0, atol=0.03)


def test_the_affine_map_shifts_and_turns_about_the_centre():
    frame = torch.rand(1, 1, 8, 8)
    zero, one = torch.zeros(1), torch.ones(1)
    shifted = affinely_mapped(frame, zero, one, torch.tensor([[0.25, 0.125]]))  # 2 px to the right, 1 px down
    torch.testing.assert_close(shifted[..., 1:, 2:], frame[..., :-1, :-2], rtol=0, atol=1e-5)
    assert shifted[..., 0, :].abs().max() < 1e-5
    turned = affinely_mapped(frame, torch.full((1,), torch.pi / 2), one, torch.zeros(1, 2))
    torch.testing.assert_close(turned, frame.rot90(-1, (2, 3)), rtol=0, atol=1e-5)  # x towards y is clockwise


def test_the_affine_map_of_an_oblong_frame_agrees_with_scipy():
    frame = torch.rand(1, 1, 20, 30, dtype=torch.float64)
    angle, zoom, shift = 0.4, 1.15, (0.1, -0.05)
    ours = affinely_mapped(frame, *(torch.tensor([value], dtype=torch.float64) for value in (angle, zoom, shift)))[0, 0]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom  # rows and columns
    centre = np.array([9.5, 14.5])
    offset = centre - turn @ (centre + np.array([shift[1] * 20, shift[0] * 30]))
    expected = ndimage.affine_transform(frame[0, 0].numpy(), turn, offset, order=1, mode="grid-constant")
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-9)


def test_half_precision_outputs_are_summed_in_single_precision():
    class Half(nn.Module):
        def forward(self, frames):
            return frames.bfloat16()

    assert Speckle2Self(augments=False)(Half(), {"speckled": torch.rand(1, 1, 16, 16)}).dtype == torch.float32
