import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.runtime import NetworkDespeckler, choose_device, to_array, to_tensor


@pytest.fixture(scope="module")
def a_network():
    torch.manual_seed(0)
    return Despeckler().eval()


def a_method(network, device="cpu"):
    return NetworkDespeckler(network, "test", "Test", "none", torch.device(device))


class SmallMemory(torch.nn.Module):
    """Doubles frames, but only one at a time and, if asked, only on the CPU."""

    def __init__(self, only_cpu=False):
        super().__init__()
        self.only_cpu, self.calls = only_cpu, []

    def forward(self, frames):
        self.calls.append((len(frames), frames.device.type))
        if len(frames) > 1 or (self.only_cpu and frames.device.type != "cpu"):
            raise torch.OutOfMemoryError("out of memory")
        return frames * 2


class NoMemory(torch.nn.Module):
    def forward(self, frames):
        del frames
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


def test_arrays_travel_to_torch_and_back_unchanged():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(to_array(to_tensor(values)), values)
    values.flags.writeable = False
    np.testing.assert_array_equal(to_array(to_tensor(values[:, ::-1])), values[:, ::-1])


def test_our_network_is_small(a_network):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        a_network(torch.rand(1, 1, 512, 512))
    assert sum(p.numel() for p in a_network.parameters()) <= 2_000_000
    assert counter.get_total_flops() <= 6e9


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), level=st.floats(-1e6, 1e6))
def test_any_frame_size_gives_the_same_size_and_finite_values(a_network, height, width, level):
    frames = np.full((1, height, width), level, np.float32)
    frames[0, 0, 0] = 1
    output = a_method(a_network).despeckle(frames)
    assert output.shape == frames.shape
    assert np.isfinite(output).all()


def test_what_happens_far_away_does_not_change_a_frame(a_network):
    frame = np.random.default_rng(0).random((1, 64, 640), np.float32)
    changed = frame.copy()
    changed[:, :, :100] = 0
    first, second = (a_method(a_network).despeckle(f) for f in (frame, changed))
    np.testing.assert_allclose(first[:, :, 400:], second[:, :, 400:], atol=1e-6)


def test_the_same_input_gives_the_same_output_bit_for_bit_and_leaves_random_numbers_alone(a_network):
    frames = np.random.default_rng(0).random((2, 40, 40), np.float32)
    state = torch.get_rng_state()
    first, second = (a_method(a_network).despeckle(frames) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


def test_a_batch_that_is_too_large_goes_frame_by_frame():
    network = SmallMemory()
    frames = np.ones((3, 4, 4), np.float32)
    np.testing.assert_array_equal(a_method(network).despeckle(frames), 2 * frames)
    assert [count for count, _ in network.calls] == [3, 1, 1, 1]


def test_an_accelerator_without_memory_hands_over_to_the_cpu_with_a_message():
    network = SmallMemory(only_cpu=True)
    method = a_method(network, "meta")
    frames = np.ones((2, 4, 4), np.float32)
    np.testing.assert_array_equal(method.despeckle(frames), 2 * frames)
    assert method.device.type == "cpu"
    assert len(method.messages) == 1
    assert "went on with the CPU" in method.messages[0]


def test_a_message_stands_in_the_report_of_the_run_that_it_belongs_to():
    method = a_method(SmallMemory(only_cpu=True), "meta")
    image = UltrasoundImage(np.random.default_rng(0).integers(0, 255, (20, 20), np.uint8))
    first, second = (Denoiser(method).run(image).report.messages for _ in range(2))
    assert len(first) == 1
    assert second == []


def test_a_cpu_without_memory_says_so():
    with pytest.raises(SettingsError, match="not enough memory for a frame of 4 x 4"):
        a_method(NoMemory()).despeckle(np.ones((1, 4, 4), np.float32))


def test_other_errors_of_a_network_are_not_hidden():
    with pytest.raises(RuntimeError, match=r"expected|Expected|channels"):
        a_method(torch.nn.Conv2d(3, 1, 1)).despeckle(np.ones((1, 4, 4), np.float32))


def test_devices_are_checked():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(SettingsError, match="no device 'abacus'"):
        choose_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="no 'cuda' device"):
            choose_device("cuda")


def test_methods_are_found_by_name():
    assert load_method("nlm").name == "nlm"
    assert load_method().name == "speckle2self-fast"
    with pytest.raises(SettingsError, match=r"no method, model or weight file 'x.pth'.*speckle2self-small.*nlm"):
        load_method("x.pth")
