"""Steps that overlap give what steps in turn give, and frame steps what the libraries' own give."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from Speckle2SelfLogic.denoiser import MOST_FRAMES_PER_BATCH, Denoiser, DenoiseSettings, frames_per_batch
from Speckle2SelfLogic.errors import CancelledError
from Speckle2SelfLogic.frame_steps import _has_contrast
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.pipeline import in_turn, overlapped
from Speckle2SelfLogic.sector import BOX, dilated, eroded

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))


class Halver:
    name = title = citation = "half"

    def __init__(self, threads):
        self.threads, self.workers = threads, set()

    def despeckle(self, frames):
        self.workers.add(threading.current_thread().name)
        return frames / 2


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_overlapping_steps_give_the_results_of_steps_in_turn(count):
    steps = (lambda n: n + 1, lambda n: n * 10, lambda ready, answer: (ready, answer))
    assert list(overlapped(range(count), *steps)) == list(in_turn(range(count), *steps))


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_step_ends_the_iteration(failing):
    def fail(*_):
        raise ValueError("broken")

    steps = [lambda n: n, lambda n: n, lambda ready, _: ready]
    steps[failing] = fail
    with pytest.raises(ValueError, match="broken"):
        list(overlapped(range(4), *steps))


def test_only_three_batches_are_in_memory_at_a_time():
    alive, most = set(), []

    def prepare(number):
        alive.add(number)
        most.append(len(alive))
        return number

    for number in overlapped(range(20), prepare, lambda n: n, lambda ready, _: ready):
        alive.remove(number)
    assert max(most) <= 3


def test_a_method_of_many_threads_gives_the_same_cine_as_one_of_one():
    cine = UltrasoundImage(np.random.default_rng(0).integers(0, 255, (7, 20, 24), np.uint8), "TYX")
    calls = []
    one, many = Halver(1), Halver(2)
    first = Denoiser(one).run(cine)
    second = Denoiser(many).run(cine, lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(first.image.pixels, second.image.pixels)
    assert calls[-1] == (7, 7)
    assert many.workers == {threading.current_thread().name}, "the method stays in the caller's thread"


def test_a_method_of_many_threads_gets_more_frames_at_once_up_to_a_limit():
    one, two, many = (frames_per_batch(Halver(threads), 512, 512) for threads in (1, 2, 64))
    assert (one, two, many) == (4, 8, MOST_FRAMES_PER_BATCH)
    assert frames_per_batch(object(), 512, 512) == 2, "a batch that is run as one needs its memory"
    assert frames_per_batch(Halver(1), 4096, 4096) == 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_that_batches_share_does_not_show_in_any_frame(kind, threads):
    pixels = np.random.default_rng(1).integers(0, 255, (9, 20, 24)).astype(kind)
    pixels[[0, 4, 8]] = 7  # left alone, so that batches are given in part
    cine = UltrasoundImage(pixels, "TYX")
    denoiser = Denoiser(Halver(threads), DenoiseSettings(batch_frames=2))
    context = denoiser.context_of(cine)
    together = denoiser.run(cine, context=context).image.pixels
    alone = [denoiser.run(UltrasoundImage(frame[None], "TYX"), context=context).image.pixels[0] for frame in pixels]
    np.testing.assert_array_equal(together, alone)
    assert (together[1] != pixels[1]).any()


def test_a_method_that_writes_into_its_frames_is_no_method():
    class Writer(Halver):
        def despeckle(self, frames):
            frames *= 0.5
            return frames

    with pytest.raises(ValueError, match="read-only"):
        Denoiser(Writer(1)).run(UltrasoundImage(np.random.default_rng(2).random((20, 24), np.float32)))


@pytest.mark.parametrize("answer", [lambda f: f, lambda f: f[::-1], lambda f: np.broadcast_to(f[:1], f.shape)])
def test_an_answer_may_be_a_view_of_the_frames(answer):
    cine = UltrasoundImage(np.random.default_rng(4).integers(0, 255, (6, 20, 24), np.uint8), "TYX")
    view, copy = Halver(1), Halver(1)
    view.despeckle, copy.despeckle = answer, lambda frames: np.array(answer(frames))
    settings = DenoiseSettings(batch_frames=3, strength=0.5)
    np.testing.assert_array_equal(
        Denoiser(view, settings).run(cine).image.pixels, Denoiser(copy, settings).run(cine).image.pixels
    )


def test_a_method_does_not_see_letters():
    pixels = np.random.default_rng(5).integers(90, 110, (60, 64, 1), np.uint8).repeat(3, axis=2)
    pixels[20:30, 20:24] = (255, 255, 0)
    seen = []
    method = Halver(1)
    method.despeckle = lambda frames: seen.append(frames.copy()) or frames / 2
    _, report = Denoiser(method).run(UltrasoundImage(pixels, "YXC"))
    assert report.overlay_pixels >= 40
    assert seen[0].max() < 0.5


def test_what_lies_beyond_white_stays_outside_of_a_region_and_does_not_count():
    dark, bright = (np.random.default_rng(6).normal(100, spread, (40, 48)).astype(np.float32) for spread in (30, 90))
    brighter, region = Halver(1), np.zeros((40, 48), bool)
    brighter.despeckle = lambda frames: frames + np.float32(0.3)
    denoiser = Denoiser(brighter)
    region[10:20] = True
    context = denoiser.context_of(UltrasoundImage(dark))
    image, report = denoiser.run(UltrasoundImage(bright), context=context, region=region)
    np.testing.assert_array_equal(image.pixels[~region], bright[~region])
    width, highest = context.grey_range.width, context.grey_range.highest
    assert report.clipped_high == np.count_nonzero(bright[region] + 0.3 * width > highest + 0.5 / 255 * width) > 0


def test_clipped_values_count_where_they_are_asked_for():
    grey_range = GreyRange(0.0, 255.0, 0.0, 255.0)
    pixels, change = np.array([[10, 250, 100]], np.uint8), np.array([[-0.5, 0.5, 0.1]], np.float32)
    changed, below, above = grey_range.add(pixels, change.copy())
    assert (changed.tolist(), below, above) == ([[0, 255, 126]], 1, 1)
    assert grey_range.add(pixels, change, np.array([[False, True, True]]))[1:] == (0, 1)


def test_cancelling_while_steps_overlap_leaves_no_thread_behind():
    cine = UltrasoundImage(np.random.default_rng(0).integers(0, 255, (60, 20, 24), np.uint8), "TYX")
    answers = iter([False, True])
    with pytest.raises(CancelledError, match="of 60 frames"):
        Denoiser(Halver(2)).run(cine, is_cancelled=lambda: next(answers))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("frames")]


@given(mask=MASKS)
def test_fast_dilation_and_erosion_are_those_of_scipy(mask):
    np.testing.assert_array_equal(dilated(mask), ndimage.binary_dilation(mask, BOX))
    np.testing.assert_array_equal(eroded(mask), ndimage.binary_erosion(mask, BOX))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_tabulated_grey_is_the_grey_of_the_formula(kind):
    pixels = np.arange(np.iinfo(kind).max + 1, dtype=kind)[::7]
    grey_range = GreyRange(3.0, 200.0, 0.0, 250.0)
    expected = np.clip((pixels.astype(float) - 3) / 197, 0, 1).astype(np.float32)
    np.testing.assert_array_equal(grey_range.to_grey(pixels), expected)


@given(values=arrays(np.float32, st.integers(1, 400), elements=st.sampled_from([0.0, 0.01, 0.5, 0.51, 1.0])))
def test_contrast_is_only_proved_where_the_quantiles_have_it(values):
    if _has_contrast(values):
        low, high = np.quantile(values, (0.01, 0.99))
        assert high - low >= 4 / 255 - 1e-6
