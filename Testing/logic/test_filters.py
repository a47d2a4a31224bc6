"""The classical despecklers against loops written from their formulae, and against what a despeckler must not do."""

import importlib.util
import math
import pickle
import subprocess
import sys

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.filters import FILTERS, ClassicalFilter, classical_filter, lee

NEEDS = {"nlm": "skimage", "tv": "skimage", "wavelet": "pywt"}
USABLE = [name for name in FILTERS if importlib.util.find_spec(NEEDS.get(name, "scipy")) is not None]
EVERY_FILTER = [
    pytest.param(name, marks=pytest.mark.skipif(name not in USABLE, reason=f"{NEEDS.get(name)} is not installed"))
    for name in FILTERS
]
needs_skimage = pytest.mark.skipif("nlm" not in USABLE, reason="skimage is not installed")
needs_wavelets = pytest.mark.skipif("wavelet" not in USABLE, reason="pywt is not installed")


def filtered(name, frame_yx, **parameters):
    return classical_filter(name, **parameters).despeckle(np.asarray(frame_yx, np.float32)[None])[0]


def window_around(frame_yx, y, x, radius):
    return np.pad(frame_yx, radius, mode="symmetric")[y : y + 2 * radius + 1, x : x + 2 * radius + 1]


@pytest.fixture
def a_tiny_frame():
    return np.array(
        [
            [0.10, 0.20, 0.15, 0.90, 0.80],
            [0.12, 0.05, 0.20, 0.85, 0.70],
            [0.00, 0.30, 0.10, 0.95, 0.75],
            [0.20, 0.10, 0.25, 0.60, 1.00],
        ]
    )


@pytest.fixture
def a_speckled_step():
    """A Rayleigh envelope of unit-mean speckle on two levels, 0.15 left of column 40 and 0.45 from there."""
    envelope = np.random.default_rng(7).rayleigh(math.sqrt(2 / math.pi), (64, 80))
    echogenicity = np.where(np.arange(80) < 40, 0.15, 0.45)
    return np.clip(envelope * echogenicity / 2, 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", EVERY_FILTER)
@pytest.mark.parametrize("grey", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (15, 17)])
def test_a_constant_frame_of_any_size_is_unchanged(name, grey, shape):
    frame = np.full(shape, grey, np.float32)
    np.testing.assert_allclose(filtered(name, frame), frame, atol=2e-6)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(USABLE),
    frame=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(0, 1, width=32)
    ),
)
def test_every_frame_in_range_gives_a_finite_frame_in_range(name, frame):
    output = filtered(name, frame)
    assert output.shape == frame.shape
    assert output.dtype == np.float32
    assert np.isfinite(output).all()
    assert 0 <= output.min() <= output.max() <= 1


@pytest.mark.parametrize("name", EVERY_FILTER)
def test_the_input_is_not_modified_and_the_result_is_repeatable(name, a_speckled_step):
    before = a_speckled_step.copy()
    first, second = filtered(name, a_speckled_step), filtered(name, a_speckled_step)
    np.testing.assert_array_equal(a_speckled_step, before)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", EVERY_FILTER)
def test_speckle_falls_by_half_while_the_step_keeps_its_place_and_the_mean_stays(name, a_speckled_step):
    output = filtered(name, a_speckled_step)
    for side in (np.s_[8:-8, 8:32], np.s_[8:-8, 48:72]):
        assert output[side].std() < 0.5 * a_speckled_step[side].std()
        # The exponential that stands in for the compression, the median and the Pearson distance each shift a mean.
        assert output[side].mean() == pytest.approx(a_speckled_step[side].mean(), rel=0.12)
    profile = output[8:-8].mean(axis=0)
    middle = (profile[8:32].mean() + profile[48:72].mean()) / 2
    assert abs(np.interp(middle, profile[34:46], np.arange(34, 46)) - 39.5) < 1.5


@pytest.mark.parametrize("name", EVERY_FILTER)
def test_a_stack_is_despeckled_frame_by_frame(name):
    stack = np.random.default_rng(3).random((3, 9, 8), dtype=np.float32)
    output = FILTERS[name].despeckle(stack)
    for frame, expected in zip(output, stack, strict=True):
        np.testing.assert_array_equal(frame, filtered(name, expected))


def test_median_is_the_middle_of_the_sorted_window(a_tiny_frame):
    output = filtered("median", a_tiny_frame, window_px=3)
    for y, x in np.ndindex(a_tiny_frame.shape):
        assert output[y, x] == pytest.approx(sorted(window_around(a_tiny_frame, y, x, 1).ravel())[4])


@pytest.mark.parametrize("name", ["lee", "kuan"])
def test_lee_and_kuan_equal_a_loop_over_pixels(name, a_tiny_frame):
    noise_squared = 0.4**2
    output = filtered(name, a_tiny_frame, window_px=3, noise_variation=0.4)
    for y, x in np.ndindex(a_tiny_frame.shape):
        window = window_around(a_tiny_frame, y, x, 1)
        gain = max(0.0, 1 - noise_squared * window.mean() ** 2 / window.var())
        gain /= 1 + noise_squared if name == "kuan" else 1
        expected = window.mean() + gain * (a_tiny_frame[y, x] - window.mean())
        assert output[y, x] == pytest.approx(expected, abs=1e-6)


def test_lee_measures_the_speckle_of_a_homogeneous_envelope_as_rayleigh():
    envelope = np.random.default_rng(1).rayleigh(0.1, (128, 128)).clip(0, 1).astype(np.float32)
    measured = filtered("lee", envelope, window_px=15)
    given_value = filtered("lee", envelope, window_px=15, noise_variation=math.sqrt(4 / math.pi - 1))
    assert np.abs(measured - given_value).mean() < 0.05 * envelope.std()


def test_frost_equals_a_loop_over_pixels(a_tiny_frame):
    output = filtered("frost", a_tiny_frame, window_px=3, damping=2.5)
    distance = np.hypot(*np.mgrid[-1:2, -1:2])
    for y, x in np.ndindex(a_tiny_frame.shape):
        window = window_around(a_tiny_frame, y, x, 1)
        weights = np.exp(-2.5 * window.var() / window.mean() ** 2 * distance)
        assert output[y, x] == pytest.approx((weights * window).sum() / weights.sum(), abs=1e-6)


def test_one_srad_step_equals_a_loop_over_pixels(a_tiny_frame):
    u = a_tiny_frame + 1e-3
    height, width = u.shape
    q0_squared = 0.3**2

    def at(values, y, x):
        return values[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    def neighbours(values, y, x):
        return [at(values, y - 1, x), at(values, y + 1, x), at(values, y, x - 1), at(values, y, x + 1)]

    conductance = np.empty_like(u)
    for y, x in np.ndindex(u.shape):
        differences = np.array(neighbours(u, y, x)) - u[y, x]
        gradient, laplacian = math.sqrt((differences**2).sum()) / u[y, x], differences.sum() / u[y, x]
        q_squared = (gradient**2 / 2 - laplacian**2 / 16) / (1 + laplacian / 4) ** 2
        conductance[y, x] = min(1, 1 / max(1e-9, 1 + (q_squared - q0_squared) / (q0_squared * (1 + q0_squared))))
        if q_squared <= q0_squared:
            conductance[y, x] = 1
    output = filtered("srad", a_tiny_frame, iterations=1, time_step=0.8, noise_variation=0.3, is_log_compressed=False)
    for y, x in np.ndindex(u.shape):
        north, south, west, east = np.array(neighbours(u, y, x)) - u[y, x]
        flow = conductance[y, x] * (north + west) + at(conductance, y + 1, x) * south + at(conductance, y, x + 1) * east
        assert output[y, x] == pytest.approx(a_tiny_frame[y, x] + 0.8 / 4 * flow, abs=1e-6)


def test_srad_moves_edges_up_and_left_as_its_published_scheme_does():
    bar = ndimage.gaussian_filter1d(np.where(np.abs(np.arange(64) - 31.5) < 10, 0.7, 0.3), 1.5)
    speckle = ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 0.2, (64, 128)), (0, 1))
    frame = np.clip(bar[:, None] + speckle, 0, 1).astype(np.float32)

    def middle(values):  # of the bar, between its two edges
        profile = values.mean(axis=1)
        first, last = np.flatnonzero(profile > 0.5)[[0, -1]]
        rises = np.interp(0.5, profile[first - 1 : first + 1], [first - 1, first])
        return (rises + np.interp(-0.5, -profile[last : last + 2], [last, last + 1])) / 2

    along_y = filtered("srad", frame, iterations=80, time_step=1.0)
    np.testing.assert_array_equal(filtered("srad", frame.T.copy(), iterations=80, time_step=1.0), along_y.T)
    upside_down = filtered("srad", frame[::-1].copy(), iterations=80, time_step=1.0)[::-1]
    assert (middle(upside_down) - middle(along_y)) / 2 == pytest.approx(0.5, abs=0.1)  # a symmetric scheme has 0


def test_srad_keeps_the_sum_of_an_envelope_and_never_leaves_its_range(a_speckled_step):
    output = filtered("srad", a_speckled_step, iterations=100, time_step=1.0, is_log_compressed=False)
    assert output.mean() == pytest.approx(a_speckled_step.mean(), rel=1e-4)
    assert a_speckled_step.min() - 1e-6 <= output.min() <= output.max() <= a_speckled_step.max() + 1e-6


@pytest.mark.parametrize("step", [1, 2, 3])
def test_obnlm_equals_a_loop_over_blocks(a_tiny_frame, step):
    reach, floor, smoothing = 2, 1 / 255, 0.3
    height, width = a_tiny_frame.shape
    padded = np.pad(a_tiny_frame, 8, mode="symmetric")
    total, count = np.zeros_like(padded), np.zeros_like(padded)

    def block(y, x):
        return padded[y + 7 : y + 10, x + 7 : x + 10]

    for y in range(0, height + step - 1, step):
        for x in range(0, width + step - 1, step):
            weighted, weights = np.zeros((3, 3)), 0.0
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    other = block(y + dy, x + dx)
                    distance = np.mean((block(y, x) - other) ** 2 / np.maximum(other, floor) ** (2 * 0.5))
                    weighted += math.exp(-distance / smoothing**2) * other
                    weights += math.exp(-distance / smoothing**2)
            total[y + 7 : y + 10, x + 7 : x + 10] += weighted / weights
            count[y + 7 : y + 10, x + 7 : x + 10] += 1
    expected = (total / np.maximum(count, 1))[8 : 8 + height, 8 : 8 + width]
    parameters = {"block_radius_px": 1, "search_radius_px": reach, "block_step_px": step, "smoothing": smoothing}
    np.testing.assert_allclose(filtered("obnlm", a_tiny_frame, **parameters), expected, atol=1e-5)


@needs_skimage
def test_non_local_means_averages_repeats_of_a_pattern_wherever_they_lie():
    stripes = np.tile([0.2, 0.2, 0.7, 0.7], (24, 6))
    noisy = stripes + np.random.default_rng(5).normal(0, 0.03, stripes.shape)
    output = filtered("nlm", noisy.clip(0, 1), smoothing=0.1, patch_px=5)
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(output - stripes)[inner].mean() < 0.3 * np.abs(noisy - stripes)[inner].mean()
    assert np.abs(ndimage.gaussian_filter(noisy, 1) - stripes)[inner].mean() > 0.1


@needs_skimage
def test_total_variation_minimises_the_functional_of_its_docstring(a_speckled_step):
    def functional(u, weight):
        down, right = np.diff(u, axis=0, append=u[-1:]), np.diff(u, axis=1, append=u[:, -1:])
        return np.hypot(down, right).sum() + ((u - a_speckled_step) ** 2).sum() / (2 * weight)

    best = functional(filtered("tv", a_speckled_step, weight=0.2), 0.2)
    others = [a_speckled_step, *(filtered("tv", a_speckled_step, weight=weight) for weight in (0.15, 0.27))]
    assert best < min(functional(other, 0.2) for other in others)


@needs_wavelets
def test_wavelet_shrinkage_takes_white_noise_from_a_smooth_frame():
    y, x = np.mgrid[:96, :100] / 100
    smooth = 0.5 + 0.3 * np.sin(6 * x) * np.cos(5 * y)
    noisy = smooth + np.random.default_rng(2).normal(0, 0.05, smooth.shape)
    output = filtered("wavelet", noisy.clip(0, 1), noise_std=0.05)
    assert np.std(output - smooth) < 0.3 * np.std(noisy - smooth)


@pytest.mark.parametrize("name", [each for each in EVERY_FILTER if each.values[0] != "srad"])
def test_a_gain_changes_the_brightness_and_nothing_else(name, a_speckled_step):
    whole, half = filtered(name, a_speckled_step), filtered(name, a_speckled_step / 2)
    np.testing.assert_allclose(half * 2, whole, atol=4e-3)


@needs_skimage
@pytest.mark.parametrize(
    ("name", "parameter", "factor", "gamma"),
    [
        ("nlm", "smoothing", 0.9, 0.0),
        ("tv", "weight", 2.3, 0.0),
        pytest.param("wavelet", "noise_std", 1.35, 0.0, marks=needs_wavelets),
        ("obnlm", "smoothing", 1.0, 0.5),
    ],
)
def test_a_strength_that_is_left_out_follows_the_speckle_of_the_frame(name, parameter, factor, gamma, a_speckled_step):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(a_speckled_step, 4, mode="symmetric"), (9, 9))
    mean, std = windows.mean((2, 3), dtype=float), windows.std((2, 3), dtype=float)
    noise = np.quantile((std / mean**gamma)[mean > 0.1 * a_speckled_step.mean()], 0.75)
    given_value = filtered(name, a_speckled_step, **{parameter: float(factor * noise)})
    np.testing.assert_allclose(filtered(name, a_speckled_step), given_value, atol=1e-5)


def test_a_changed_parameter_is_used_and_the_table_stays_as_it_was(a_tiny_frame):
    narrow = classical_filter("median", window_px=1)
    np.testing.assert_allclose(narrow.despeckle(a_tiny_frame[None].astype(np.float32))[0], a_tiny_frame, atol=1e-7)
    assert FILTERS["median"].parameters["window_px"] == 7
    with pytest.raises(TypeError):
        narrow.parameters["window_px"] = 3
    with pytest.raises(TypeError):
        FILTERS["mine"] = narrow


@pytest.mark.parametrize("name", EVERY_FILTER)
def test_a_filter_names_itself_and_travels_to_another_process(name):
    chosen = FILTERS[name]
    assert chosen.name == name
    assert chosen.title
    assert any(year in chosen.citation for year in ("19", "20"))
    assert pickle.loads(pickle.dumps(chosen)) == chosen  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("srad", {"decay": 1e6, "noise_variation": 1e-3}),
        ("srad", {"noise_variation": 1e-200}),
        ("obnlm", {"smoothing": 1e-200}),
    ],
)
def test_a_strength_of_almost_nothing_does_almost_nothing(name, parameters, a_tiny_frame):
    np.testing.assert_allclose(filtered(name, a_tiny_frame, **parameters), a_tiny_frame, atol=1e-3)


@pytest.mark.parametrize("name", EVERY_FILTER)
def test_differences_far_below_a_grey_level_do_no_harm(name):
    frame = np.array([[0, 1e-45, 1e-30], [1e-20, 1e-12, 0]], np.float32)
    np.testing.assert_allclose(filtered(name, frame), 0, atol=1e-6)


def test_an_unknown_name_or_parameter_is_answered_with_the_known_ones():
    with pytest.raises(
        SettingsError, match=r"no classical filter 'bm3d'; choose one of median, lee, frost, kuan, srad"
    ):
        classical_filter("bm3d")
    with pytest.raises(SettingsError, match=r"'frost' has no parameter 'radius'; it has window_px, damping"):
        classical_filter("frost", radius=3)
    with pytest.raises(SettingsError, match="'mine' has no parameter 'h'"):
        ClassicalFilter("mine", "Mine", "nobody, 2000", lee, {"h": 1})


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("median", {"window_px": 4}, "window_px must be an odd whole number"),
        ("lee", {"noise_variation": 0.0}, "noise_variation must be a finite number above zero"),
        ("kuan", {"window_px": 3.0}, "window_px must be an odd whole number"),
        ("frost", {"damping": math.nan}, "damping must be a finite number above zero"),
        ("srad", {"time_step": 1.5}, "time_step must be at most 1 for a stable diffusion"),
        ("srad", {"decay": -0.1}, "decay must be a finite number from 0 up"),
        ("nlm", {"patch_px": 2}, "patch_px must be an odd whole number"),
        ("obnlm", {"block_step_px": 9}, "block_step_px must be at most the block's side of 7"),
        ("obnlm", {"gamma": 2.0}, r"gamma must lie in 0\.\.1"),
        ("tv", {"iterations": 0}, "iterations must be a whole number from 1 up"),
        pytest.param(
            "wavelet", {"wavelet_name": "haarlem"}, "wavelet_name must be a discrete wavelet", marks=needs_wavelets
        ),
        ("wavelet", {"levels": 9}, "levels must be at most 8"),
        ("curvature", {"time_step": 0.2}, r"time_step must be at most 0\.125"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name_and_value(name, parameters, sentence, a_tiny_frame):
    with pytest.raises(SettingsError, match=sentence) as caught:
        filtered(name, a_tiny_frame, **parameters)
    assert repr(next(iter(parameters.values()))) in str(caught.value)


@pytest.mark.parametrize("name", EVERY_FILTER)
@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (np.array([[0.1, np.nan]]), "not finite"),
        (np.array([[0.0, 255.0]]), r"span 0 to 255; scale them to 0\.\.1 first"),
        (np.zeros((0, 3)), "the array has shape"),
    ],
)
def test_a_frame_that_is_damaged_or_not_scaled_is_refused(name, frame, sentence):
    with pytest.raises(UnsupportedImageError, match=sentence):
        filtered(name, frame)


def test_a_single_frame_in_place_of_a_stack_is_refused():
    with pytest.raises(UnsupportedImageError, match="stack of frames"):
        FILTERS["lee"].despeckle(np.zeros((4, 4), np.float32))


def test_importing_the_filters_loads_no_optional_library():
    code = "import sys, Speckle2SelfLogic.filters; print([m for m in ('torch', 'skimage', 'pywt') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "library"), [("nlm", "skimage"), ("tv", "skimage"), ("wavelet", "pywt")])
def test_a_missing_library_is_named_with_the_command_that_installs_it(name, library, a_tiny_frame, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SettingsError, match=r'pip install "speckle2self\[filters\]"'):
        filtered(name, a_tiny_frame)
