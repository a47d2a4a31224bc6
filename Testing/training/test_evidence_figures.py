import importlib
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.feature import graycomatrix, graycoprops
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from Speckle2SelfLogic.errors import SettingsError
from Testing.training.evidence_folders import scene
from Training.evidence import perceptual
from Training.evidence.figures import INFOS, Meter
from Training.evidence.frames import EvidenceItem
from Training.evidence.published_frames import far_wall_rise_px, published_figures, published_items, published_names
from Training.evidence.regions import flat_blocks, regions_of_truth
from Training.evidence.statistics import holm, paired_test, summary

SHARED = Path(__file__).parents[3] / "shared" / "reference_outputs"


def item_of(frame, truth=None):
    return EvidenceItem("a", np.float32(frame)[None], None if truth is None else np.float32(truth))


@pytest.fixture
def a_scene():
    return scene(3)


def test_similarity_agrees_with_scikit_image(a_scene):
    speckled, truth = (np.float64(np.float32(frame)) for frame in a_scene)
    figures = Meter().figures(item_of(*a_scene), np.float32(speckled)[None])
    scale = (truth * speckled).sum() / (speckled**2).sum()
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    assert figures["psnr_db"] == pytest.approx(peak_signal_noise_ratio(truth, speckled, data_range=1.0), rel=1e-5)
    assert figures["ssim"] == pytest.approx(structural_similarity(truth, speckled, **gaussian), rel=1e-5)
    assert figures["ssim_uniform"] == pytest.approx(structural_similarity(truth, speckled, data_range=1.0), rel=1e-5)
    assert figures["ssim_uniform_after_scale"] == pytest.approx(
        structural_similarity(truth, scale * speckled, data_range=1.0), rel=1e-4
    )
    assert figures["psnr_after_scale_db"] == pytest.approx(
        peak_signal_noise_ratio(truth, scale * speckled, data_range=1.0), rel=1e-5
    )


def test_homogeneity_is_that_of_the_cooccurrence_matrix_at_the_brightness_of_the_input(a_scene):
    speckled, truth = a_scene
    output = truth * 0.5
    figures = Meter().figures(item_of(speckled), np.float32(output)[None])
    levels = np.uint8(np.rint(np.clip(output * speckled.mean() / output.mean(), 0, 1) * 255))
    matrix = graycomatrix(levels, [1], [0], levels=256, symmetric=True, normed=True)
    assert figures["homogeneity"] == pytest.approx(graycoprops(matrix, "homogeneity")[0, 0], rel=1e-3)


def test_the_truth_measured_as_an_output_is_perfect(a_scene):
    speckled, truth = a_scene
    figures = Meter(lambda a, b: float(np.abs(a - b).mean())).figures(item_of(speckled, truth), np.float32(truth)[None])
    assert figures["ssim"] == figures["ssim_after_scale"] == pytest.approx(1)
    assert figures["lpips"] == 0
    assert figures["gcnr"] == 1
    assert figures["truth_brightness_bias"] == pytest.approx(0, abs=1e-7)
    assert figures["edge_rise_px"] < 3


def test_every_figure_that_is_measured_is_described(a_scene):
    speckled, truth = a_scene
    cine = EvidenceItem("c", np.float32([speckled, speckled]))
    measured = Meter().figures(item_of(speckled, truth), np.float32(truth)[None]) | Meter().figures(
        cine, cine.frames_nyx
    )
    measured |= published_figures("01_0", np.full((256, 256), 0.4), np.full((256, 256), 0.4))
    assert set(measured) == set(INFOS)


def test_a_cine_that_does_not_flicker_has_none():
    frames = np.float32([scene(1)[0]] * 3)
    figures = Meter().figures(EvidenceItem("c", frames), frames * np.float32(0.8))
    assert figures["brightness_flicker"] == pytest.approx(0, abs=1e-6)
    assert figures["brightness_ratio"] == pytest.approx(0.8, rel=1e-5)


def test_regions_of_a_truth_are_the_disc_and_the_ground_around_it(a_scene):
    speckled, truth = a_scene
    regions = regions_of_truth(speckled, truth)
    assert set(np.unique(truth[regions.dark_yx])) == {0.25}
    assert set(np.unique(truth[regions.bright_yx])) == {0.6}
    assert regions.brighter_yx.sum() == pytest.approx((truth == 0.6).sum(), rel=0.1)


def test_a_truth_without_contrast_has_no_regions(a_scene):
    speckled, truth = a_scene
    assert regions_of_truth(speckled, np.full_like(truth, 0.3)) is None
    figures = Meter().figures(item_of(speckled, np.full_like(truth, 0.3)), np.float32(speckled)[None])
    assert figures["gcnr"] is None
    assert figures["edge_rise_px"] is None


def test_flat_blocks_keep_away_from_edges_and_from_black():
    frame = np.full((96, 128), 0.3)
    frame[:, 64:] = 0.0
    frame[:, 40:48] = 0.8
    blocks = flat_blocks(frame)
    assert blocks
    assert all(np.ptp(frame[block]) == 0 and frame[block].mean() == pytest.approx(0.3) for block in blocks)
    assert sum(block.astype(int) for block in blocks).max() == 1


def test_holm_is_what_one_computes_by_hand():
    # Sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04, and the last may not be below the third.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_paired_test_is_wilcoxons_on_the_shared_images():
    first = {f"{n}": 0.5 + 0.01 * n for n in range(8)} | {"alone": 9.0}
    second = {f"{n}": 0.48 + 0.012 * n for n in range(8)}
    test = paired_test(first, second)
    differences = np.array([first[f"{n}"] - second[f"{n}"] for n in range(8)])
    assert test.count == 8
    assert test.mean_difference == pytest.approx(differences.mean())
    assert test.p == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_methods_that_agree_everywhere_do_not_differ():
    assert paired_test({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}).p == 1.0
    assert paired_test({"a": 1.0}, {"b": 1.0}) is None


def test_spread_is_the_standard_deviation_of_a_sample():
    assert summary([1.0, 2.0, 3.0]).spread == pytest.approx(1.0)
    assert summary([4.0]).spread == 0.0
    assert summary([]) is None


def test_far_wall_rise_is_read_off_a_ramp():
    profile = np.r_[np.zeros(10), np.linspace(0, 1, 11), np.full(5, 0.9)]
    assert far_wall_rise_px(profile) == pytest.approx(8.0)  # 10 samples from 0 to 1, of which 10..90 % are eight


needs_lpips = pytest.mark.skipif(perceptual.weights_path() is None, reason="stlpips-pytorch is not installed")


@needs_lpips
def test_perceptual_distance_agrees_with_the_authors_own_code(monkeypatch):
    for name in ("torchvision", "torchvision.models", "IPython", "torchsummary"):
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(sys.modules["torchvision"], "models", sys.modules["torchvision.models"], raising=False)
    monkeypatch.setattr(sys.modules["IPython"], "embed", None, raising=False)
    monkeypatch.setattr(sys.modules["torchsummary"], "summary", None, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = importlib.import_module("stlpips_pytorch.stlpips").LPIPS(
            net="alex", variant="shift_tolerant", verbose=False
        )
    first, second = (np.float32(frame) for frame in scene(1))
    inputs = [torch.from_dlpack(frame)[None, None].expand(1, 3, -1, -1) * 2 - 1 for frame in (first, second)]
    with torch.inference_mode():
        expected = float(theirs(*inputs))
    assert perceptual.perceptual_distance(perceptual.load_perceptual(), first, second) == pytest.approx(
        expected, rel=1e-4
    )


@needs_lpips
def test_perceptual_distance_is_zero_for_equal_frames_and_grows_with_noise():
    metric, (speckled, truth) = perceptual.load_perceptual(), scene(1)
    half = 0.5 * (speckled + truth)
    assert perceptual.perceptual_distance(metric, truth, truth) == 0
    assert (
        0
        < perceptual.perceptual_distance(metric, truth, half)
        < perceptual.perceptual_distance(metric, truth, speckled)
    )


def test_a_missing_lpips_package_is_named(monkeypatch):
    monkeypatch.setattr(perceptual.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="LPIPS needs the package 'stlpips-pytorch'"):
        perceptual.load_perceptual()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/reference_outputs")
def test_published_figures_agree_with_the_score_they_were_compared_by():
    spec = importlib.util.spec_from_file_location("score", SHARED / "score.py")
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    keys = list(published_figures("01_0", np.ones((256, 256)), np.ones((256, 256))))
    assert "OurMethod" in published_names(SHARED)
    inputs, outputs = (list(published_items(SHARED, name)) for name in ("Input", "OurMethod"))
    for source, output in zip(inputs, outputs, strict=True):
        ours = published_figures(source.name, source.frames_nyx[0], output.frames_nyx[0])
        cx, cy = (round(v * score.S) for v in score.C[int(source.name[:2])][int(source.name[3])])
        theirs = score.score(source.frames_nyx[0] * 255.0, output.frames_nyx[0] * 255.0, cx, cy)
        np.testing.assert_allclose([ours[key] for key in keys], list(theirs.values()), rtol=2e-3, atol=2e-4)
