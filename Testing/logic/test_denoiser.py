from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.errors import CancelledError, GeometryError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.frames import frames_view
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange

OBLIQUE = (0.0, 1.0, 0.0, 0.6, 0.0, 0.8, 0.8, 0.0, -0.6)  # left- or right-handed does not matter: it must come back


@dataclass
class Blur:
    """A stand-in method that changes every frame and records the stacks it was given."""

    name: str = "blur"
    title: str = "Gaussian blur"
    citation: str = "none"
    seen: tuple = ()

    def despeckle(self, frames_nyx):
        self.seen = (*self.seen, frames_nyx.copy())
        return ndimage.gaussian_filter(frames_nyx, (0, 1.5, 1.5))


@dataclass
class Offset:
    """A method that adds a constant to grey."""

    value: float
    name: str = "offset"
    title: str = "Offset"
    citation: str = "none"

    def despeckle(self, frames_nyx):
        return frames_nyx + np.float32(self.value)


@pytest.fixture
def a_speckled_volume():
    pixels = np.random.default_rng(0).rayleigh(60, (5, 24, 20)).clip(1, 255).astype(np.uint8)
    return UltrasoundImage(
        pixels, "ZYX", spacing_mm=(0.1, 0.2, 1.5), origin_mm=(-3.5, 7.25, 100.125), direction=OBLIQUE
    )


def test_output_keeps_the_oblique_direction_of_its_input(a_speckled_volume):
    output = Denoiser(Blur()).run(a_speckled_volume).image
    assert output.same_geometry(a_speckled_volume)
    assert output.pixels.dtype == np.uint8
    assert (output.pixels != a_speckled_volume.pixels).any()
    assert "Gaussian blur" in output.provenance.history[-1]


def test_input_is_never_modified(a_speckled_volume):
    before = a_speckled_volume.pixels.copy()
    Denoiser(Blur()).run(a_speckled_volume)
    np.testing.assert_array_equal(a_speckled_volume.pixels, before)
    with pytest.raises(ValueError, match="read-only"):
        a_speckled_volume.pixels[0, 0, 0] = 1


@settings(max_examples=60, deadline=None)
@given(
    pixels=hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]),
        st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
    )
)
@example(pixels=np.array([[[1.7e308, -1.7e308, np.nan, np.inf]]]))
def test_strength_zero_returns_the_input_bit_for_bit(pixels):
    image = UltrasoundImage(pixels, "ZYX")
    output = Denoiser(Blur(), DenoiseSettings(strength=0)).run(image).image
    assert output.pixels.tobytes() == pixels.tobytes()


@settings(max_examples=40, deadline=None)
@given(
    pixels=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 18), st.integers(1, 18)), elements=st.floats(-1e6, 1e6, width=32)
    ),
    dtype=st.sampled_from([np.float32, np.float64, np.int32]),
)
def test_output_is_finite_and_stays_in_its_range(pixels, dtype):
    values = pixels.astype(dtype)
    output, report = Denoiser(Offset(0.3)).run(UltrasoundImage(values))
    stays_within = (0, 1) if (report.black, report.white) == (0, 1) else (values.min(), values.max())
    assert np.isfinite(output.pixels).all()
    assert output.pixels.min() >= stays_within[0]
    assert output.pixels.max() <= stays_within[1]


def test_strength_blends_input_and_answer():
    pixels = np.linspace(0, 200, 400).reshape(20, 20).astype(np.uint8)
    output = Denoiser(Offset(0.2), DenoiseSettings(strength=0.5)).run(UltrasoundImage(pixels)).image.pixels
    np.testing.assert_allclose(output[2:].astype(float) - pixels[2:], 0.1 * 255, atol=1)


def test_clipped_values_are_counted():
    pixels = np.full((20, 20), 100, np.uint8)
    pixels[10:] = 240
    report = Denoiser(Offset(0.2)).run(UltrasoundImage(pixels)).report
    assert (report.clipped_low, report.clipped_high) == (0, 200)


def test_16_bit_negative_values_keep_their_type_and_range():
    pixels = np.random.default_rng(1).integers(-1200, 900, (32, 32)).astype(np.int16)
    output, report = Denoiser(Blur()).run(UltrasoundImage(pixels))
    assert output.pixels.dtype == np.int16
    assert pixels.min() <= report.black < report.white <= pixels.max()
    assert abs(float(output.pixels.mean()) - float(pixels.mean())) < 20


def test_a_cine_goes_frame_by_frame_and_a_volume_along_the_chosen_axis(a_speckled_volume):
    method = Blur()
    Denoiser(method, DenoiseSettings(slice_axis="y")).run(a_speckled_volume)
    assert {stack.shape[1:] for stack in method.seen} == {(5, 20)}
    assert sum(map(len, method.seen)) == 24
    along_x = frames_view(a_speckled_volume, "x")
    np.testing.assert_array_equal(along_x[7], a_speckled_volume.pixels[:, :, 7])
    cine = UltrasoundImage(a_speckled_volume.pixels, "TYX")
    with pytest.raises(SettingsError, match="for a volume only"):
        Denoiser(method, DenoiseSettings(slice_axis="y")).run(cine)


def test_frames_do_not_influence_each_other(a_speckled_volume):
    whole = Denoiser(Blur(), DenoiseSettings(batch_frames=4)).run(a_speckled_volume).image.pixels
    single = Denoiser(Blur(), DenoiseSettings(batch_frames=1)).run(a_speckled_volume).image.pixels
    np.testing.assert_array_equal(whole, single)


def test_a_4d_cine_of_volumes_is_processed_slice_by_slice():
    pixels = np.random.default_rng(2).rayleigh(60, (2, 3, 24, 20)).clip(1, 255).astype(np.uint8)
    output, report = Denoiser(Blur()).run(UltrasoundImage(pixels, "TZYX"))
    assert report.processed == 6
    expected = Denoiser(Blur()).run(UltrasoundImage(pixels[1], "ZYX")).image.pixels
    np.testing.assert_array_equal(output.pixels[1], expected)


def test_only_the_chosen_frames_change(a_speckled_volume):
    output = Denoiser(Blur(), DenoiseSettings(frames=(1, 3))).run(a_speckled_volume).image.pixels
    changed = (output != a_speckled_volume.pixels).any(axis=(1, 2))
    assert changed.tolist() == [False, True, True, False, False]
    with pytest.raises(SettingsError, match="none of the image's 5 frames"):
        Denoiser(Blur(), DenoiseSettings(frames=(9, None))).run(a_speckled_volume)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros((20, 20), np.uint8), "flat|no ultrasound"),
        (np.full((20, 20), 90, np.uint8), "flat"),
        (90 + np.random.default_rng(0).integers(0, 3, (20, 20)).astype(np.uint8), "low contrast"),
        (np.full((1, 1), 90, np.uint8), "flat"),
    ],
)
def test_frames_without_content_are_returned_unchanged_and_reported(frame, reason):
    output, report = Denoiser(Offset(0.5)).run(UltrasoundImage(frame))
    np.testing.assert_array_equal(output.pixels, frame)
    assert report.processed == 0
    assert len(report.skipped) == 1
    assert any(part in report.skipped[0].reason for part in reason.split("|"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    pixels = np.ones((16, 16), np.float32)
    pixels[3, 3] = bad
    with pytest.raises(UnsupportedImageError, match="not finite"):
        Denoiser(Blur()).run(UltrasoundImage(pixels))


def test_a_range_beyond_the_number_format_is_refused():
    with pytest.raises(UnsupportedImageError, match="span too much"):
        Denoiser(Blur()).run(UltrasoundImage(np.array([[-1.7e308, 1.7e308]])))


def test_masks_complex_values_and_envelopes_are_refused():
    for pixels in (np.ones((8, 8), bool), np.ones((8, 8), complex)):
        with pytest.raises(UnsupportedImageError, match="cannot be despeckled"):
            Denoiser(Blur()).run(UltrasoundImage(pixels))
    envelope = UltrasoundImage(np.ones((8, 8)), intensity=IntensityDomain.ENVELOPE)
    with pytest.raises(UnsupportedImageError, match="log-compress"):
        Denoiser(Blur()).run(envelope)


def test_progress_counts_every_frame_and_cancel_stops(a_speckled_volume):
    calls = []
    Denoiser(Blur(), DenoiseSettings(batch_frames=2)).run(a_speckled_volume, lambda *call: calls.append(call))
    assert calls == [(2, 5), (4, 5), (5, 5)]
    answers = iter([False, True])
    with pytest.raises(CancelledError, match="Stopped after 2 of 5 frames"):
        Denoiser(Blur(), DenoiseSettings(batch_frames=2)).run(a_speckled_volume, is_cancelled=lambda: next(answers))


def a_colour_frame():
    grey = np.random.default_rng(3).rayleigh(60, (64, 64)).clip(20, 255).astype(np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=2)
    colour[30:34, 10:40] = (250, 220, 0)  # a caliper
    return colour


def test_coloured_overlays_keep_their_values_and_grey_stays_grey():
    pixels = a_colour_frame()
    output, report = Denoiser(Blur()).run(UltrasoundImage(pixels, "YXC"))
    np.testing.assert_array_equal(output.pixels[30:34, 10:40], pixels[30:34, 10:40])
    tissue = output.pixels[:20].astype(int)
    assert (tissue[..., 0] == tissue[..., 1]).all()
    assert (tissue != pixels[:20]).any()
    assert report.overlay_pixels >= 4 * 30


def test_an_overlay_does_not_bleed_into_the_tissue_around_it():
    pixels = a_colour_frame()
    without = pixels.copy()
    without[30:34, 10:40] = without[36:40, 10:40]
    method = Blur()
    output = Denoiser(method).run(UltrasoundImage(pixels, "YXC")).image.pixels
    assert method.seen[0][0, 30:34, 10:40].max() < 0.9  # what the method saw has no bright caliper
    assert output[36:40, 10:40].mean() < 1.2 * pixels[36:40, 10:40].mean()


def test_alpha_is_kept():
    pixels = np.dstack([a_colour_frame(), np.random.default_rng(4).integers(0, 255, (64, 64), np.uint8)])
    output = Denoiser(Blur()).run(UltrasoundImage(pixels, "YXC")).image.pixels
    np.testing.assert_array_equal(output[..., 3], pixels[..., 3])


def test_outside_the_sector_nothing_changes():
    y, x = np.mgrid[:128, :128]
    fan = (np.hypot(y + 20, x - 64) < 130) & (np.abs(x - 64) < 0.7 * (y + 20))
    pixels = np.where(fan, np.random.default_rng(5).rayleigh(60, (128, 128)).clip(10, 255), 0).astype(np.uint8)
    pixels[4:12, 2:20] = 180  # a label
    output, report = Denoiser(Offset(0.1)).run(UltrasoundImage(pixels))
    np.testing.assert_array_equal(output.pixels[4:12, 2:20], 180)
    outside = ~ndimage.binary_dilation(fan, iterations=5)
    np.testing.assert_array_equal(output.pixels[outside], pixels[outside])
    assert 0.3 < report.sector_share < 0.8


def test_the_rim_of_a_simulated_fan_does_not_bleed_into_the_surround():
    from Speckle2SelfLogic.simulation import simulate
    from Speckle2SelfLogic.simulation.scan import FanGeometry

    image = simulate("carotid", size_yx=(256, 320), geometry="fan", seed=3).speckled
    output, report = Denoiser(Offset(0.2)).run(image)
    outside = ~ndimage.binary_dilation(FanGeometry((256, 320)).mask_yx())
    assert (output.pixels[outside] != image.pixels[outside]).sum() <= 20
    inside = ndimage.binary_erosion(FanGeometry((256, 320)).mask_yx(), iterations=3)
    assert (output.pixels[inside] != image.pixels[inside]).mean() > 0.97
    assert report.sector_share < 1


def test_impossible_settings_are_named():
    for options, part in (
        ({"strength": 1.5}, "between 0 and 1"),
        ({"slice_axis": "k"}, "one of auto, z, y, x"),
        ({"batch_frames": 0}, "at least 1"),
    ):
        with pytest.raises(SettingsError, match=part):
            DenoiseSettings(**options)


def test_grey_range_follows_the_stated_policy():
    assert GreyRange.of(np.array([[3, 9]], np.uint8)) == GreyRange(0, 255, 0, 255)
    assert GreyRange.of(np.array([[0.2, 0.9]])) == GreyRange(0, 1, 0, 1)
    ramp = np.arange(-1000, 1001, dtype=np.int16)
    assert GreyRange.of(ramp) == GreyRange(-998, 998, -1000, 1000)


def test_one_hot_pixel_neither_disturbs_the_tissue_nor_is_lost():
    pixels = np.random.default_rng(1).integers(-1000, -745, (3, 64, 64)).astype(np.int16)
    hot = pixels.copy()
    hot[1, 30, 30] = 30000
    without, _ = Denoiser(Blur()).run(UltrasoundImage(pixels, "TYX"))
    output, report = Denoiser(Blur()).run(UltrasoundImage(hot, "TYX"))
    assert report.processed == 3
    assert output.pixels[1, 30, 30] > 29000
    np.testing.assert_allclose(output.pixels[0].astype(int), without.pixels[0], atol=3)


@pytest.mark.parametrize(
    "noise",
    [
        3000 + np.random.default_rng(0).integers(0, 3, (20, 20)).astype(np.uint16),
        500 + 0.001 * np.random.default_rng(0).normal(size=(20, 20)),
    ],
)
def test_noise_on_a_level_is_not_content(noise):
    output, report = Denoiser(Blur()).run(UltrasoundImage(noise))
    np.testing.assert_array_equal(output.pixels, noise)
    assert "low contrast" in report.skipped[0].reason


def test_a_small_strength_changes_little_and_nothing_by_rounding():
    pixels = np.random.default_rng(2).normal(0, 1e6, (32, 32))
    output = Denoiser(Blur(), DenoiseSettings(strength=1e-9)).run(UltrasoundImage(pixels)).image.pixels
    assert 0 < np.abs(output - pixels).max() < 1e-9 * np.ptp(pixels)


def test_alpha_has_no_part_in_the_grey_range():
    grey = np.random.default_rng(3).integers(100, 744, (32, 32)).astype(np.uint16)
    pixels = np.dstack([grey, grey, grey, np.full_like(grey, 65535)])
    _, report = Denoiser(Blur()).run(UltrasoundImage(pixels, "YXC"))
    assert report.processed == 1
    assert report.white < 800


@pytest.mark.parametrize("slice_axis", ["z", "y", "x"])
def test_only_pixels_of_the_region_change(a_speckled_volume, slice_axis):
    region = np.zeros((5, 24, 20), bool)
    region[1:3, 4:12, 5:15] = True
    denoiser = Denoiser(Blur(), DenoiseSettings(slice_axis=slice_axis))
    everywhere = denoiser.run(a_speckled_volume).image.pixels
    output, report = denoiser.run(a_speckled_volume, region=region)
    np.testing.assert_array_equal(output.pixels, np.where(region, everywhere, a_speckled_volume.pixels))
    inside = {"z": 2, "y": 8, "x": 10}[slice_axis]
    assert report.processed == inside
    assert {frame.reason for frame in report.skipped} == {"outside the region"}


def test_a_region_of_another_shape_or_without_pixels_is_refused(a_speckled_volume):
    with pytest.raises(GeometryError, match=r"region has shape \(24, 20\), but the image has \(5, 24, 20\)"):
        Denoiser(Blur()).run(a_speckled_volume, region=np.ones((24, 20), bool))
    with pytest.raises(SettingsError, match="region holds no pixel"):
        Denoiser(Blur()).run(a_speckled_volume, region=np.zeros((5, 24, 20), bool))


def test_a_frame_with_the_context_of_its_cine_gives_what_the_cine_gives():
    pixels = np.random.default_rng(1).rayleigh(400, (3, 40, 48)).astype(np.uint16)  # a range that depends on all frames
    pixels[:, :6] = 0
    cine = UltrasoundImage(pixels, "TYX")
    frame = UltrasoundImage(pixels[1], "YX")
    denoiser = Denoiser(Blur())
    expected = denoiser.run(cine).image.pixels[1]
    alone = denoiser.run(frame).image.pixels
    assert (alone != expected).any()
    np.testing.assert_array_equal(denoiser.run(frame, context=denoiser.context_of(cine)).image.pixels, expected)


def test_a_context_of_another_frame_size_is_refused(a_speckled_volume):
    other = Denoiser(Blur()).context_of(UltrasoundImage(np.zeros((8, 8), np.uint8), "YX"))
    with pytest.raises(GeometryError, match=r"sector of the context has shape \(8, 8\)"):
        Denoiser(Blur()).run(a_speckled_volume, context=other)
