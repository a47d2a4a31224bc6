"""Metrics against other libraries, against cases that can be worked out on paper, and for what must not change them."""

import dataclasses
import json
import math
import subprocess
import sys

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage, special

from Speckle2SelfLogic import metrics
from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError

LEFT = np.arange(40) < 20
LEFT_OF_ROW = LEFT[None]
RIGHT_OF_ROW = ~LEFT[None]


@pytest.fixture
def a_frame():
    speckle = np.random.default_rng(4).rayleigh(60, (48, 56))
    return ndimage.gaussian_filter(speckle, 0.8).clip(0, 255)


@pytest.fixture
def a_smooth_frame(a_frame):
    return ndimage.gaussian_filter(a_frame, 2)


@pytest.fixture
def a_disc():
    y, x = np.mgrid[:80, :90]
    return np.hypot(y - 40.3, x - 44.6) < 20


def blurred_disc(sigma_px, inside=40.0, outside=160.0):
    """A disc as `a_disc`, its edge an error function of known standard deviation along every normal."""
    y, x = np.mgrid[:80, :90]
    distance = np.hypot(y - 40.3, x - 44.6) - 20
    return inside + (outside - inside) * 0.5 * (1 + special.erf(distance / (sigma_px * math.sqrt(2))))


# Similarity to a reference


@pytest.mark.parametrize("data_range", [255.0, 400.0])
def test_psnr_and_ssim_equal_scikit_image(a_frame, a_smooth_frame, data_range):
    reference = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    expected = reference.peak_signal_noise_ratio(a_frame, a_smooth_frame, data_range=data_range)
    assert metrics.psnr_db(a_frame, a_smooth_frame, data_range=data_range) == pytest.approx(expected)
    expected = reference.structural_similarity(
        a_frame,
        a_smooth_frame,
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert metrics.ssim(a_frame, a_smooth_frame, data_range=data_range) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_a_known_error_is_known():
    assert metrics.psnr_db(np.zeros((3, 4)), np.full((3, 4), 25.5), data_range=255) == pytest.approx(20.0)
    assert metrics.psnr_db(np.ones((3, 4)), np.ones((3, 4)), data_range=255) == math.inf


def test_whole_number_images_do_not_wrap_round():
    dark, bright = np.zeros((12, 12), np.uint8), np.full((12, 12), 255, np.uint8)
    assert metrics.psnr_db(dark, bright, data_range=255) == pytest.approx(0.0)
    assert metrics.residual_structure_correlation(dark, bright) == 0.0


@given(gain=st.floats(0.05, 20))
def test_a_fitted_scale_undoes_any_gain(gain):
    frame = np.random.default_rng(8).random((16, 18)) + 0.1
    noisy = frame + np.random.default_rng(9).normal(0, 0.05, frame.shape)
    assert metrics.fitted_scale(frame, gain * frame) == pytest.approx(1 / gain)
    for measure in (metrics.psnr_after_scale_db, metrics.ssim_after_scale):
        assert measure(frame, gain * noisy, data_range=1) == pytest.approx(measure(frame, noisy, data_range=1))


def test_no_other_scale_gives_a_higher_psnr_than_the_fitted_one(a_frame, a_smooth_frame):
    best = metrics.psnr_after_scale_db(a_frame, 0.7 * a_smooth_frame, data_range=255)
    scales = np.linspace(0.8, 2.0, 41)
    assert best >= max(metrics.psnr_db(a_frame, s * 0.7 * a_smooth_frame, data_range=255) for s in scales)


def test_an_estimate_of_zeros_cannot_be_scaled_and_keeps_its_psnr(a_frame):
    black = np.zeros_like(a_frame)
    assert metrics.fitted_scale(a_frame, black) == 1.0


# Regions


def test_rayleigh_speckle_has_its_textbook_statistics():
    envelope = np.random.default_rng(0).rayleigh(3.0, (600, 600))
    everywhere = np.ones(envelope.shape, bool)
    assert metrics.snr(envelope, everywhere) == pytest.approx(math.sqrt(math.pi / (4 - math.pi)), rel=0.01)  # 1.91
    assert metrics.enl(envelope**2, everywhere) == pytest.approx(1.0, rel=0.02)
    assert metrics.enl(envelope, everywhere) == pytest.approx(3.66, rel=0.02)


def test_cnr_is_the_difference_of_means_over_the_root_of_summed_variances():
    row = np.concatenate([np.tile([1.0, 3.0], 10), np.tile([10.0, 16.0], 10)])[None]
    assert metrics.cnr(row, LEFT_OF_ROW, RIGHT_OF_ROW) == pytest.approx((13 - 2) / math.sqrt(1 + 9))


def test_flat_regions_have_an_infinite_snr_and_cnr_unless_they_are_black_or_alike():
    row = np.where(LEFT, 0.0, 5.0)[None]
    assert metrics.snr(row, RIGHT_OF_ROW) == math.inf
    assert metrics.snr(row, LEFT_OF_ROW) == 0.0
    assert metrics.cnr(row, LEFT_OF_ROW, RIGHT_OF_ROW) == math.inf
    assert metrics.cnr(row, LEFT_OF_ROW, LEFT_OF_ROW) == 0.0


@given(gain=st.floats(0.01, 100), grey=hnp.arrays(np.float64, (1, 40), elements=st.floats(1, 200)))
def test_snr_enl_and_cnr_do_not_depend_on_the_gain(gain, grey):
    assume(grey[:, LEFT].std() > 1e-3)
    assert metrics.snr(gain * grey, LEFT_OF_ROW) == pytest.approx(metrics.snr(grey, LEFT_OF_ROW), rel=1e-6)
    assert metrics.enl(gain * grey, LEFT_OF_ROW) == pytest.approx(metrics.enl(grey, LEFT_OF_ROW), rel=1e-6)
    expected = metrics.cnr(grey, LEFT_OF_ROW, RIGHT_OF_ROW)
    assert metrics.cnr(gain * grey, LEFT_OF_ROW, RIGHT_OF_ROW) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(
    first=hnp.arrays(np.uint8, (1, 20), elements=st.integers(0, 99)),
    second=hnp.arrays(np.uint8, (1, 20), elements=st.integers(100, 255)),
)
def test_gcnr_of_disjoint_regions_is_one_and_of_the_same_pixels_zero(first, second):
    assert metrics.gcnr(np.hstack([first, second]), LEFT_OF_ROW, RIGHT_OF_ROW) == 1.0
    assert metrics.gcnr(np.hstack([first, first]), LEFT_OF_ROW, RIGHT_OF_ROW) == pytest.approx(0.0, abs=1e-12)


@given(
    grey=hnp.arrays(np.uint8, (1, 40)),
    steps=hnp.arrays(np.int64, 256, elements=st.integers(1, 1000)),
)
def test_gcnr_does_not_change_under_any_increasing_grey_map(grey, steps):
    mapped = np.cumsum(steps)[grey]
    before = metrics.gcnr(grey, LEFT_OF_ROW, RIGHT_OF_ROW)
    assert metrics.gcnr(mapped, LEFT_OF_ROW, RIGHT_OF_ROW) == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.5])
def test_gcnr_of_two_gaussians_is_that_of_their_overlap(distance):
    noise = np.random.default_rng(6).normal(0, 1, (200, 200))
    first = np.arange(200) < 100
    image = noise + np.where(first, 0, distance)
    masks = [np.broadcast_to(side, image.shape) for side in (first, ~first)]
    expected = special.erf(distance / 2 / math.sqrt(2))  # 1 - 2 Phi(-distance / 2)
    assert metrics.gcnr(image, *masks) == pytest.approx(expected, abs=0.04)


# Homogeneity


@pytest.mark.parametrize("data_range", [255.0, 1.0])
def test_homogeneity_equals_that_of_the_co_occurrence_matrix(a_frame, data_range):
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")
    bytes_yx = a_frame.round().astype(np.uint8)
    matrix = feature.graycomatrix(bytes_yx, [1], [0], levels=256, symmetric=True, normed=True)
    expected = feature.graycoprops(matrix, "homogeneity")[0, 0]
    image = bytes_yx / 255 * data_range
    assert metrics.glcm_homogeneity(image, None, data_range=data_range) == pytest.approx(expected)


def test_homogeneity_of_a_literal_image_is_the_mean_over_its_neighbours():
    image = np.array([[10, 10, 12], [7, 8, 11]])
    expected = (1 + 1 / 5 + 1 / 2 + 1 / 10) / 4
    assert metrics.glcm_homogeneity(image, None, data_range=255) == pytest.approx(expected)


def test_darkening_raises_homogeneity_only_where_brightness_is_not_matched(a_frame):
    darker = 0.4 * a_frame
    own = metrics.glcm_homogeneity(a_frame, a_frame, data_range=255)
    assert metrics.glcm_homogeneity(darker, None, data_range=255) > 1.5 * own
    assert metrics.glcm_homogeneity(darker, a_frame, data_range=255) == pytest.approx(own, rel=1e-3)


@given(gain=st.floats(0.01, 100), grey=hnp.arrays(np.uint8, (6, 7)))
def test_matched_homogeneity_does_not_depend_on_the_gain(gain, grey):
    # A grey value half way between two levels may fall to either side when a product rounds: shift off the halves.
    frame = grey + 0.2
    expected = metrics.glcm_homogeneity(frame, frame, data_range=256)
    assert metrics.glcm_homogeneity(gain * frame, frame, data_range=256) == pytest.approx(expected, abs=1e-9)


# All together


def test_every_figure_is_measured_where_everything_is_given(a_disc):
    truth = blurred_disc(1.0)
    noisy = truth + np.random.default_rng(1).normal(0, 20, truth.shape)
    output = ndimage.gaussian_filter(noisy, 1)
    figures = metrics.compare_frames(
        noisy, output, data_range=255, truth=truth, spacing_mm=(0.1, 0.1), lumen_mask=a_disc, tissue_mask=~a_disc
    )
    assert None not in figures.as_dict().values()
    assert figures.psnr_db == metrics.psnr_db(truth, output, data_range=255)
    assert figures.snr == pytest.approx(metrics.snr(output, ~a_disc))
    assert figures.edge_rise_mm == pytest.approx(0.1 * figures.edge_rise_px)
    own = metrics.compare_frames(noisy, noisy, data_range=255, truth=truth, lumen_mask=a_disc, tissue_mask=~a_disc)
    assert figures.psnr_db > own.psnr_db + 6
    assert figures.homogeneity > own.homogeneity
    assert figures.gcnr >= own.gcnr
    assert own.edge_rise_mm is None
    assert (own.brightness_ratio, own.local_brightness_bias, own.residual_structure, own.black_share) == (1, 0, 0, 0)


def test_what_needs_truth_or_masks_is_none_without_them(a_frame, a_smooth_frame):
    figures = metrics.compare_frames(a_frame, a_smooth_frame, data_range=255).as_dict()
    measured = {name for name, value in figures.items() if value is not None}
    without = {"homogeneity", "brightness_ratio", "local_brightness_bias", "residual_structure", "black_share"}
    assert measured == without


def test_a_gain_shows_in_the_brightness_ratio_and_raw_psnr_only(a_frame, a_smooth_frame):
    plain = metrics.compare_frames(a_frame, a_smooth_frame, data_range=255, truth=a_smooth_frame).as_dict()
    darker = metrics.compare_frames(a_frame, 0.5 * a_smooth_frame, data_range=255, truth=a_smooth_frame).as_dict()
    changed = {
        name
        for name, value in plain.items()
        if value is not None and darker[name] is not None and not math.isclose(value, darker[name], abs_tol=1e-3)
    }
    assert changed == {"brightness_ratio", "ssim"}
    assert plain["psnr_db"] is None  # infinite
    assert darker["psnr_db"] < 20
    assert darker["brightness_ratio"] == pytest.approx(0.5 * plain["brightness_ratio"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (15, 17)])
@pytest.mark.parametrize("grey", [0.0, 0.5])
def test_any_size_and_black_frames_give_figures_that_json_can_hold(shape, grey):
    frame = np.full(shape, grey)
    mask = np.zeros(shape, bool)
    mask[0, 0] = True
    figures = metrics.compare_frames(frame, frame, data_range=1, truth=frame, lumen_mask=mask, tissue_mask=mask)
    assert json.loads(json.dumps(figures.as_dict(), allow_nan=False))["gcnr"] == 0.0


def test_every_figure_has_a_line_for_the_reader():
    fields = [*dataclasses.fields(metrics.QualityFigures), *dataclasses.fields(metrics.TemporalFlicker)]
    assert list(metrics.FIGURES) == [field.name for field in fields]
    for info in metrics.FIGURES.values():
        assert info.title
        assert info.better in {"higher", "lower", "neither"}
        assert info.definition.endswith(".")
    with pytest.raises(TypeError):
        metrics.FIGURES["mine"] = info


# Errors


@pytest.mark.parametrize("data_range", [0, -1.0, math.nan, math.inf])
def test_a_data_range_that_is_not_positive_is_refused(data_range):
    frame = np.ones((12, 12))
    for measure in (metrics.psnr_db, metrics.ssim, metrics.black_share, metrics.compare_frames):
        with pytest.raises(SettingsError, match=f"data_range must be a finite number above zero, but is {data_range}"):
            measure(frame, frame, data_range=data_range)


def test_images_that_do_not_fit_are_refused_with_their_shapes():
    with pytest.raises(UnsupportedImageError, match=r"one shape, but have \(3, 4\) and \(4, 3\)"):
        metrics.psnr_db(np.ones((3, 4)), np.ones((4, 3)), data_range=1)
    with pytest.raises(UnsupportedImageError, match=r"2 axes, but got an array of shape \(2, 3, 4\)"):
        metrics.fitted_scale(np.ones((2, 3, 4)), np.ones((2, 3, 4)))
    with pytest.raises(UnsupportedImageError, match="not finite"):
        metrics.compare_frames(np.ones((1, 2)), np.array([[1, np.nan]]), data_range=1)
    with pytest.raises(UnsupportedImageError, match="at least 11 x 11 pixels"):
        metrics.ssim(np.ones((10, 30)), np.ones((10, 30)), data_range=1)
    with pytest.raises(UnsupportedImageError, match="at least two columns"):
        metrics.glcm_homogeneity(np.ones((10, 1)), None, data_range=1)


def test_masks_that_are_empty_or_of_another_shape_are_refused_by_name():
    frame = np.ones((12, 12))
    with pytest.raises(SettingsError, match="lumen mask is empty"):
        metrics.compare_frames(frame, frame, data_range=1, lumen_mask=np.zeros((12, 12), bool))
    with pytest.raises(UnsupportedImageError, match=r"tissue mask has shape \(3, 3\)"):
        metrics.compare_frames(frame, frame, data_range=1, tissue_mask=np.ones((3, 3), bool))
    with pytest.raises(SettingsError, match="region is empty"):
        metrics.snr(frame, np.zeros((12, 12), bool))


def test_data_range_has_no_default():
    with pytest.raises(TypeError, match="data_range"):
        metrics.compare_frames(np.ones((2, 2)), np.ones((2, 2)))


def test_importing_the_metrics_loads_numpy_and_scipy_only():
    code = (
        "import sys, Speckle2SelfLogic.metrics; "
        "print([m for m in ('torch', 'skimage', 'SimpleITK', 'pydicom', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
