"""The multi-scale perturbation, held against hand-made arrays and SciPy's bilinear interpolation."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.perturbation import PerturbedScales, normalise_each_frame, perturb_scales

SIZES = [(16, 16), (15, 17), (7, 9), (4, 5), (22, 31), (64, 33)]


def perturbed(*frames_yx):
    return perturb_scales(torch.from_dlpack(np.stack(frames_yx).astype(np.float32))[:, None])


def array(frames):
    return np.from_dlpack(frames[:, 0])


def bilinear(frame_yx, size):
    """Bilinear resampling between pixel centres by SciPy, edges repeated."""
    rows, columns = ((np.arange(new) + 0.5) * old / new - 0.5 for old, new in zip(frame_yx.shape, size, strict=True))
    grid = np.meshgrid(rows, columns, indexing="ij")
    return ndimage.map_coordinates(frame_yx.astype(np.float64), grid, order=1, mode="nearest")


def min_max(frame_yx):
    return (frame_yx - frame_yx.min()) / (frame_yx.max() - frame_yx.min())


@pytest.fixture
def a_speckled_frame():
    def make(size):
        return np.random.default_rng(7).gamma(2.0, 20.0, size)

    return make


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("field", "scale"), [("half", 0.5), ("quarter", 0.25)])
def test_each_scale_is_bilinear_down_bilinear_up_then_min_max(a_speckled_frame, size, field, scale):
    frame = a_speckled_frame(size)
    down = bilinear(frame, (int(size[0] * scale), int(size[1] * scale)))
    expected = np.zeros(size) if down.size == 1 else min_max(bilinear(down, size))

    np.testing.assert_allclose(array(getattr(perturbed(frame), field))[0], expected, atol=2e-5)


def test_full_scale_is_only_normalised(a_speckled_frame):
    frame = a_speckled_frame((9, 11))

    np.testing.assert_allclose(array(perturbed(frame).full)[0], min_max(frame), atol=1e-6)


def test_half_scale_takes_the_mean_of_two_by_two_pixels():
    frame = [[0, 2, 4, 4], [4, 2, 4, 4], [8, 8, 12, 16], [8, 8, 16, 20]]
    up = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    block_means = np.array([[2, 4], [8, 16]])

    half = array(perturbed(frame).half)[0]

    np.testing.assert_allclose(half, (up @ block_means @ up.T - 2) / 14, atol=1e-6)


def test_quarter_scale_sees_only_the_central_four_of_sixteen_pixels():
    frame = np.zeros((8, 8))
    frame[0, 0] = frame[3, 7] = frame[4, 3] = 100  # on the rim of their 4 x 4 blocks
    frame[5, 5] = 4  # in the centre of the last block

    quarter = array(perturbed(frame).quarter)[0]

    up = np.clip((np.arange(8) - 1.5) / 4, 0, 1)
    np.testing.assert_allclose(quarter, np.outer(up, up), atol=1e-6)


def test_a_frame_that_is_constant_at_one_scale_is_zero_there_only():
    frame = np.zeros((8, 8))
    frame[0, 0] = 1

    scales = perturbed(frame)

    assert array(scales.quarter).max() == 0
    assert array(scales.half).max() == array(scales.full).max() == 1


@settings(max_examples=60, deadline=None)
@example(level=1.401298464324817e-45, height=5, width=5)
@given(
    level=st.floats(-1e6, 1e6, width=32),
    height=st.integers(4, 90),
    width=st.integers(4, 90),
)
def test_a_constant_frame_becomes_zero_at_every_scale_and_size(level, height, width):
    scales = perturb_scales(torch.full((1, 1, height, width), level))

    assert [float(frames.abs().max()) for frames in scales] == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(8, 60), width=st.integers(8, 60))
def test_every_scale_keeps_the_size_and_spans_zero_to_one(seed, height, width):
    frames = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed))

    for frames_at_scale in perturb_scales(frames):
        assert frames_at_scale.shape == frames.shape
        assert frames_at_scale.amin(dim=(1, 2, 3)).tolist() == [0, 0]
        assert frames_at_scale.amax(dim=(1, 2, 3)).tolist() == [1, 1]


def test_frames_of_a_batch_do_not_influence_each_other(a_speckled_frame):
    frame = a_speckled_frame((16, 20))

    together, alone = perturbed(1000 * frame[::-1], frame), perturbed(frame)

    for in_batch, single in zip(together, alone, strict=True):
        assert torch.equal(in_batch[1:], single)


def test_frames_are_not_modified():
    frames = torch.arange(64.0).reshape(1, 1, 8, 8)

    perturb_scales(frames)

    assert torch.equal(frames, torch.arange(64.0).reshape(1, 1, 8, 8))


def test_eight_bit_frames_are_resampled_as_floating_point_numbers():
    frames = torch.arange(0, 256, 4, dtype=torch.uint8).reshape(1, 1, 8, 8)

    for from_bytes, from_floats in zip(perturb_scales(frames), perturb_scales(frames.float()), strict=True):
        assert from_bytes.dtype == torch.float32
        assert torch.equal(from_bytes, from_floats)


def test_scales_are_named_and_ordered_from_full_to_quarter():
    assert PerturbedScales._fields == ("full", "half", "quarter")


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (1, 3, 8, 8)])
def test_frames_of_another_shape_are_refused(shape):
    with pytest.raises(UnsupportedImageError, match=r"shape \(N, 1, H, W\)"):
        perturb_scales(torch.zeros(shape))


@pytest.mark.parametrize("size", [(3, 40), (40, 1)])
def test_frames_too_small_for_the_quarter_scale_are_refused(size):
    with pytest.raises(UnsupportedImageError, match=f"{size[0]} x {size[1]} pixels is too small"):
        perturb_scales(torch.zeros(1, 1, *size))


def test_faint_contrast_on_a_bright_frame_is_not_taken_for_constant():
    frames = torch.full((1, 1, 4, 4), 1000.0)
    frames[0, 0, 1, 1] += 0.001

    assert float(normalise_each_frame(frames).max()) == 1
