"""The published network: parameter counts and names, and an independent functional forward as the oracle."""

import pytest
import torch
from torch.nn import functional

from Speckle2SelfLogic.networks.reference import ReferenceNetwork, published_loss
from Speckle2SelfLogic.perturbation import PerturbedScales, normalise_each_frame, perturb_scales

ENCODERS = ("encoder_highRes", "encoder_midRes", "encoder_lowRes")


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def normalised(features):
    """Instance normalisation from its definition: zero mean and unit variance per frame and channel."""
    mean = features.mean(dim=(2, 3), keepdim=True)
    variance = ((features - mean) ** 2).mean(dim=(2, 3), keepdim=True)
    return (features - mean) / (variance + 1e-5).sqrt()


def residual(weights, name, features, normalised):
    first, second = ((weights[f"{name}.model.{i}.conv.weight"], weights[f"{name}.model.{i}.conv.bias"]) for i in (0, 1))
    hidden = normalised(functional.conv2d(features, *first, padding=1)).clamp(min=0)
    return features + normalised(functional.conv2d(hidden, *second, padding=1))


def published_forward(weights, encoder, frames, normalised=normalised):
    """The graph as the paper's authors describe it, written with functions on a state dict only."""

    def layer(name):
        return weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"]

    features = frames
    for level, block in enumerate(("1", "2", "3", "end"), start=1):
        features = functional.conv2d(features, *layer(f"{encoder}.conv_block_{level}"), stride=2, padding=1)
        features = residual(weights, f"{encoder}.residual_block_{block}", normalised(features).clamp(min=0), normalised)
    features = residual(weights, "decoder.residual_block_start", features, normalised)
    for level in (1, 2, 3, 4):
        kernel, bias = layer(f"decoder.conv_block_{level}")
        features = functional.conv_transpose2d(features, kernel, bias, stride=2, padding=1, output_padding=1)
        features = normalised(features).clamp(min=0)
        if level < 4:
            features = residual(weights, f"decoder.residual_block_{level}", features, normalised)
    return features


def random_frame(*size, seed=5):
    return torch.rand(1, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def a_network():
    """Random weights in double precision, so that a difference of graphs cannot hide behind rounding."""
    torch.manual_seed(3)
    return ReferenceNetwork().double().eval()


@pytest.fixture
def a_frame():
    return random_frame(48, 64)


def test_parameter_counts_are_the_published_ones(a_network):
    assert count(a_network) == 7_821_825
    assert [count(getattr(a_network, name)) for name in ENCODERS] == [1_955_520] * 3
    assert count(a_network.decoder) == 1_955_265
    assert count(a_network.encoder_highRes) + count(a_network.decoder) == 3_910_785


def test_state_dict_has_the_names_and_shapes_of_the_authors_checkpoints(a_network):
    widths = (32, 64, 128, 256)
    expected = {}

    def expect(name, *kernel_shape, outputs):
        expected[f"{name}.conv.weight"] = (*kernel_shape, 3, 3)
        expected[f"{name}.conv.bias"] = (outputs,)

    def expect_residual(name, width):
        for i in (0, 1):
            expect(f"{name}.model.{i}", width, width, outputs=width)

    for encoder in ENCODERS:
        for level, (given, made) in enumerate([(1, 32), (32, 64), (64, 128), (128, 256)], start=1):
            expect(f"{encoder}.conv_block_{level}", made, given, outputs=made)
        for block, width in zip(("1", "2", "3", "end"), widths, strict=True):
            expect_residual(f"{encoder}.residual_block_{block}", width)
    for level, (given, made) in enumerate([(256, 128), (128, 64), (64, 32), (32, 1)], start=1):
        expect(f"decoder.conv_block_{level}", given, made, outputs=made)
    for block, width in (("start", 256), ("1", 128), ("2", 64), ("3", 32)):
        expect_residual(f"decoder.residual_block_{block}", width)

    assert {name: tuple(values.shape) for name, values in a_network.state_dict().items()} == expected
    assert len(expected) == 96


def test_inference_equals_the_published_graph(a_network, a_frame):
    expected = published_forward(a_network.state_dict(), "encoder_highRes", normalise_each_frame(a_frame))

    with torch.inference_mode():
        torch.testing.assert_close(a_network(a_frame), expected.clamp(0, 1), atol=1e-9, rtol=0)
    assert expected.max() > 1  # so that the clamp was tested too


def test_inference_in_single_precision_equals_the_published_graph_to_1e_5():
    torch.manual_seed(3)
    network, frame = ReferenceNetwork().eval(), random_frame(160, 176).float()
    torch_kernel = functional.instance_norm  # the definition above rounds differently, which 24 layers amplify to 3e-5
    expected = published_forward(network.state_dict(), "encoder_highRes", normalise_each_frame(frame), torch_kernel)

    with torch.inference_mode():
        torch.testing.assert_close(network(frame), expected.clamp(0, 1), atol=1e-5, rtol=0)


def test_each_scale_goes_through_its_own_encoder_and_the_shared_decoder(a_network, a_frame):
    scales = perturb_scales(a_frame)

    with torch.inference_mode():
        outputs = a_network.forward_scales(scales)

    for output, given, encoder in zip(outputs, scales, ENCODERS, strict=True):
        expected = published_forward(a_network.state_dict(), encoder, given)
        torch.testing.assert_close(output, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [(15, 17), (1, 1), (2, 33), (47, 64), (16, 16)])
def test_a_frame_of_any_size_keeps_its_size_and_is_finite(a_network, size):
    with torch.inference_mode():
        output = a_network(random_frame(*size))

    assert output.shape == (1, 1, *size)
    assert bool(output.isfinite().all())


def test_an_odd_size_is_the_published_graph_on_the_frame_extended_by_reflection(a_network):
    frame = random_frame(41, 50)
    extended = functional.pad(normalise_each_frame(frame), (0, 14, 0, 7), mode="reflect")
    expected = published_forward(a_network.state_dict(), "encoder_highRes", extended)[..., :41, :50].clamp(0, 1)

    with torch.inference_mode():
        torch.testing.assert_close(a_network(frame), expected, atol=1e-9, rtol=0)


def test_a_very_short_side_is_reflected_back_and_forth(a_network):
    frame = random_frame(3, 32)
    rows = ([0, 1, 2, 1] * 8)[:32]

    with torch.inference_mode():
        torch.testing.assert_close(a_network(frame), a_network(frame[:, :, rows])[:, :, :3], atol=1e-9, rtol=0)


def test_brightness_and_contrast_of_the_input_do_not_matter(a_network, a_frame):
    with torch.inference_mode():
        torch.testing.assert_close(a_network(255 * a_frame + 30), a_network(a_frame), atol=1e-9, rtol=0)


def test_a_flat_frame_gives_finite_values_in_range(a_network):
    with torch.inference_mode():
        output = a_network(torch.full((1, 1, 32, 48), 0.4, dtype=torch.float64))

    assert 0 <= float(output.min()) <= float(output.max()) <= 1


def test_frames_of_a_batch_do_not_influence_each_other(a_network, a_frame):
    with torch.inference_mode():
        together = a_network(torch.cat([a_frame.flip(-1) ** 2, a_frame]))
        torch.testing.assert_close(together[1:], a_network(a_frame), atol=1e-9, rtol=0)


def test_loss_of_hand_made_scales():
    outputs = PerturbedScales(*(torch.full((1, 1, 2, 2), value) for value in (1.0, 0.5, 0.25)))
    inputs = PerturbedScales(*(torch.full((1, 1, 2, 2), value) for value in (0.0, 0.5, 0.75)))

    # reconstruction 1^2 + 0 + 0.5^2, consistency |1 - .25| + |1 - .5| + |.25 - .5|
    assert float(published_loss(outputs, inputs)) == 1.25 + 1.5


def test_loss_trains_every_parameter_through_both_sides_of_the_consistency(a_frame):
    torch.manual_seed(0)
    network = ReferenceNetwork()
    scales = perturb_scales(a_frame.float())

    published_loss(network.forward_scales(scales), scales).backward()

    assert all(float(p.grad.abs().sum()) > 0 for name, p in network.named_parameters() if name.endswith("weight"))
