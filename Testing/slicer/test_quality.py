"""Figures of input and output, of one frame and of many, on real MRML."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from Speckle2SelfLogic.errors import CancelledError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.metrics import compare_frames, temporal_flicker
from Speckle2SelfLogic.overlay import luminance
from Testing.slicer.cines import add_cine, show
from Testing.slicer.pairs import Pair
from Testing.slicer.segments import add_segmentation
from Testing.slicer.tubes import (
    CONTRAST,
    SHAPE,
    SPACED,
    add_tube,
    assert_same_figures,
    blurred,
    finished,
    grey,
    lumen,
    pairs_of,
    tissue,
    tube,
)


@pytest.fixture
def the_quality(the_module):
    from Speckle2SelfSlicerLib import quality

    return quality


def test_figures_of_a_frame_are_the_cores_for_input_and_output(the_quality, a_scene):
    pair, before, after = add_tube()
    pairs = pairs_of(pair, region=lumen(), tissue=tissue())
    figures = the_quality.figures_of_frame(pairs, 1)
    settings = {
        "data_range": 255,
        "spacing_mm": (0.2, 0.3),
        "lumen_mask": lumen()[1],
        "tissue_mask": tissue()[1],
    }
    before, after = before[1].astype(float), after[1].astype(float)
    assert_same_figures(figures.input, compare_frames(before, before, **settings))
    assert_same_figures(figures.output, compare_frames(before, after, **settings))
    assert (figures.number, figures.notes) == (1, ())
    assert figures.output.edge_rise_mm is not None
    assert figures.output.gcnr is not None


def test_without_a_region_there_are_the_figures_of_the_whole_frame_alone(the_quality, a_scene):
    pair, before, after = add_tube()
    figures = the_quality.figures_of_frame(pairs_of(pair), 2)
    assert_same_figures(figures.output, compare_frames(before[2], after[2], data_range=255, spacing_mm=(0.2, 0.3)))
    assert (figures.output.snr, figures.output.edge_rise_px) == (None, None)
    assert figures.output.homogeneity > figures.input.homogeneity


def test_a_region_alone_gives_its_noise_and_its_edge_but_no_contrast_with_itself(the_quality, a_scene):
    pair, before, after = add_tube()
    figures = the_quality.figures_of_frame(pairs_of(pair, region=lumen()), 0)
    mask = lumen()[0]
    expected = compare_frames(
        before[0], after[0], data_range=255, spacing_mm=(0.2, 0.3), lumen_mask=mask, tissue_mask=mask
    )
    assert_same_figures(figures.output, expected, CONTRAST)
    assert expected.gcnr == 0
    assert figures.output.snr > figures.input.snr


def test_a_region_that_does_not_reach_a_frame_leaves_its_figures_out_with_a_note(the_quality, a_scene):
    pair, before, after = add_tube()
    alone = the_quality.figures_of_frame(pairs_of(pair, region=lumen()), 3)
    assert_same_figures(alone.output, compare_frames(before[3], after[3], data_range=255, spacing_mm=(0.2, 0.3)))
    assert alone.notes == ("The region does not reach this frame; its figures are left out.",)
    both = the_quality.figures_of_frame(pairs_of(pair, region=lumen(), tissue=tissue()), 3)
    assert both.output.snr == pytest.approx(
        compare_frames(before[3], after[3], data_range=255, tissue_mask=tissue()[3]).snr
    )
    assert (both.output.edge_rise_px, both.output.gcnr) == (None, None)
    empty = np.zeros(SHAPE, bool)
    neither = the_quality.figures_of_frame(pairs_of(pair, region=lumen(), tissue=empty), 0)
    assert (neither.output.snr, neither.output.gcnr) == (None, None)  # not the region's own instead
    assert neither.output.edge_rise_px is not None
    assert neither.notes == ("The tissue region does not reach this frame; its figures are left out.",)


@pytest.mark.parametrize(
    ("axis", "number", "spacing_mm"), [("z", 1, (0.2, 0.3)), ("y", 19, (0.2, 0.9)), ("x", 22, (0.3, 0.9))]
)
def test_slices_along_any_axis_have_their_own_spacing(the_quality, a_scene, axis, number, spacing_mm):
    pair, before, after = add_tube()
    place = "zyx".index(axis)
    before, after, mask = (np.take(each, number, place) for each in (before, after, lumen()))
    pairs = pairs_of(pair, axis=axis, region=lumen())
    assert len(pairs) == SHAPE[place]
    assert pairs.spacing_mm == pytest.approx(spacing_mm)
    expected = compare_frames(before, after, data_range=255, spacing_mm=spacing_mm, lumen_mask=mask, tissue_mask=mask)
    assert_same_figures(the_quality.figures_of_frame(pairs, number).output, expected, CONTRAST)


def test_edges_have_no_millimetres_where_the_spacing_is_not_calibrated(the_quality, a_scene):
    pair, _, _ = add_tube(matrix=np.diag((-1.0, -1.0, 1.0, 1.0)))
    figures = the_quality.figures_of_frame(pairs_of(pair, region=lumen()), 0)
    assert figures.output.edge_rise_px is not None
    assert figures.output.edge_rise_mm is None


def test_colour_is_measured_as_luminance(the_quality, a_scene):
    pair, before, after = add_tube(colour=True)
    figures = the_quality.figures_of_frame(pairs_of(pair, region=lumen()), 1)
    mask = lumen()[1]
    expected = compare_frames(
        luminance(before[1]),
        luminance(after[1]),
        data_range=255,
        spacing_mm=(0.2, 0.3),
        lumen_mask=mask,
        tissue_mask=mask,
    )
    assert_same_figures(figures.output, expected, CONTRAST)


@pytest.mark.parametrize(("dtype", "scale"), [(np.int16, 100.0), (np.uint16, 200.0), (np.float32, 7.5)])
def test_deep_pixels_are_measured_over_the_range_of_the_whole_original(the_quality, a_scene, dtype, scale):
    pair, before, after = add_tube(dtype, scale=scale)
    grey_range = GreyRange.of(before)
    assert grey_range != GreyRange.of(before[1])
    figures = the_quality.figures_of_frame(pairs_of(pair), 1)
    expected = compare_frames(
        grey(before[1], grey_range), grey(after[1], grey_range), data_range=255, spacing_mm=(0.2, 0.3)
    )
    assert_same_figures(figures.output, expected)


def test_a_segment_of_the_scene_can_be_the_region(the_quality, the_module, a_scene):
    from Speckle2SelfSlicerLib.regions import region_mask

    pair, before, after = add_tube()
    segmentation = add_segmentation(a_scene, {"Lumen": lumen(), "Tissue": tissue()}, SPACED)
    pairs = pairs_of(pair, region=region_mask(segmentation, pair.original, "Lumen"))
    mask = lumen()[0]
    expected = compare_frames(
        before[0], after[0], data_range=255, spacing_mm=(0.2, 0.3), lumen_mask=mask, tissue_mask=mask
    )
    assert_same_figures(the_quality.figures_of_frame(pairs, 0).output, expected, CONTRAST)


def test_frames_that_are_not_there_are_named(the_quality, a_scene):
    pair, before, _ = add_tube()
    with pytest.raises(SettingsError, match="There is no frame 4; choose one from 0 to 3"):
        pairs_of(pair).only(4)
    for after in (before[:3], before[:0]):
        with pytest.raises(SettingsError, match=f"There are 4 frames before and {len(after)} after"):
            the_quality.FramePairs(before, after, GreyRange.of(before))


def test_all_slices_of_a_volume_are_measured_in_small_steps(the_quality, a_scene):
    pair, before, after = add_tube()
    job = the_quality.figures_over_frames(pairs_of(pair, region=lumen()))
    steps = list(job)
    assert steps == sorted(steps)
    assert {total for _, total in steps} == {4}
    assert steps[-1] == (4, 4)
    assert [frame.number for frame in job.result.frames] == [0, 1, 2, 3]
    for number, frame in enumerate(job.result.frames):
        mask = lumen()[number] if number < 3 else None
        expected = compare_frames(
            before[number], after[number], data_range=255, spacing_mm=(0.2, 0.3), lumen_mask=mask, tissue_mask=mask
        )
        assert_same_figures(frame.output, expected, CONTRAST)
    assert job.result.flicker is None  # slices do not follow each other in time
    assert job.result.notes == ("The region does not reach this frame; its figures are left out.",)


def test_every_step_returns_soon_and_computing_happens_in_the_given_thread(the_quality, a_scene, monkeypatch):
    pair, _, _ = add_tube()
    go_on, names = threading.Event(), []

    def slow(*arguments, **keywords):
        names.append(threading.current_thread().name)
        assert go_on.wait(20)
        return compare_frames(*arguments, **keywords)

    monkeypatch.setattr(the_quality, "compare_frames", slow)
    with ThreadPoolExecutor(1, "methods") as thread:
        job = the_quality.figures_over_frames(pairs_of(pair), thread)
        assert [next(job) for _ in range(5)] == [(0, 4)] * 5  # none waits for the figures
        assert job.result is None
        go_on.set()
        finished(job)
    assert {name.split("_")[0] for name in names} == {"methods"}
    assert len(names) == 8


def test_a_cancelled_job_measures_no_further_frame_and_has_no_result(the_quality, a_scene, monkeypatch):
    pair, _, _ = add_tube()
    measured, go_on = [], threading.Event()

    def counted(*arguments, **keywords):
        measured.append(1)
        assert go_on.wait(20)
        return compare_frames(*arguments, **keywords)

    monkeypatch.setattr(the_quality, "compare_frames", counted)
    with ThreadPoolExecutor(1) as thread:
        job = the_quality.figures_over_frames(pairs_of(pair), thread)
        next(job)
        job.cancel()
        go_on.set()
    assert len(measured) <= 2
    assert job.result is None
    assert list(job) == []


def test_a_job_that_is_cancelled_while_the_thread_is_busy_is_never_begun(the_quality, monkeypatch):
    measured, go_on = [], threading.Event()
    monkeypatch.setattr(the_quality, "compare_frames", lambda *_arguments, **_keywords: measured.append(1))
    frames = tube().clip(0, 255).astype(np.uint8)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(go_on.wait, 20)
        job = the_quality.figures_over_frames(the_quality.FramePairs(frames, frames, GreyRange.of(frames)), thread)
        next(job)
        job.cancel()
        go_on.set()
    assert measured == []


def test_what_goes_wrong_while_measuring_is_raised_by_the_next_step(the_quality):
    before = np.ones((2, 20, 20), np.float32)
    after = before.copy()
    after[1, 3, 3] = np.nan
    job = the_quality.figures_over_frames(the_quality.FramePairs(before, after, GreyRange.of(before)))
    with pytest.raises(UnsupportedImageError, match="not finite"):
        list(job)
    assert job.result is None


@pytest.fixture
def a_cine_pair(a_scene):
    """Browser, proxies, and frames (N, Y, X) before and after, of 16 bit."""
    frames = np.stack([tube((2, 40, 48), seed)[0] * (1 + 0.1 * seed) for seed in range(5)])
    before = (frames * 100).clip(0, 30000).astype(np.int16)
    after = blurred(before).astype(np.int16)
    _, browser, original = add_cine(a_scene, before, matrices=[SPACED] * 5)
    sequence, other, _ = add_cine(a_scene, after, name="Cine (Speckle2Self)", matrices=[SPACED] * 5)
    a_scene.RemoveNode(other)
    browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    show(browser, 0)
    return browser, Pair(original, browser.GetProxyNode(sequence)), before, after


def test_all_frames_of_a_sequence_are_measured_with_flicker_over_time(the_quality, a_cine_pair):
    _, pair, before, after = a_cine_pair
    mask = lumen((2, 40, 48))[:1]
    pairs = pairs_of(pair, whole=True, region=mask)
    over = finished(the_quality.figures_over_frames(pairs))
    grey_range = GreyRange.of(before)
    before, after = grey(before, grey_range), grey(after, grey_range)
    for number, frame in enumerate(over.frames):
        settings = {"data_range": 255, "spacing_mm": (0.2, 0.3), "lumen_mask": mask[0], "tissue_mask": mask[0]}
        assert_same_figures(frame.output, compare_frames(before[number], after[number], **settings), CONTRAST)
        assert_same_figures(frame.input, compare_frames(before[number], before[number], **settings), CONTRAST)
    assert_same_figures(over.flicker.output, temporal_flicker(before, after, data_range=255))
    assert_same_figures(over.flicker.input, temporal_flicker(before, before, data_range=255))


def test_a_long_cine_has_flicker_of_its_first_frames_and_says_so(the_quality, a_cine_pair, monkeypatch):
    _, pair, before, after = a_cine_pair
    monkeypatch.setattr(the_quality, "FLICKER_PIXELS", 3 * 40 * 48)
    pairs = pairs_of(pair, whole=True)
    over = finished(the_quality.figures_over_frames(pairs))
    before, after = (grey(each, pairs.grey_range)[:3] for each in (before, after))
    assert_same_figures(over.flicker.output, temporal_flicker(before, after, data_range=255))
    assert over.notes == ("Flicker was measured over the first 3 frames.",)


def test_a_frame_that_cannot_be_read_any_more_ends_the_job_with_its_sentence(the_quality):
    class Leaving(list):
        def __getitem__(self, number):
            if number == 1:
                message = "The scene was closed."
                raise CancelledError(message)
            return super().__getitem__(number)

    frames = Leaving(tube().clip(0, 255).astype(np.uint8))
    job = the_quality.figures_over_frames(the_quality.FramePairs(frames, frames, GreyRange.of(frames[0])))
    with pytest.raises(CancelledError, match=r"The scene was closed\."):
        list(job)
    assert job.result is None
