"""Which pixels are ultrasound: made screens with known truth, and the ultrasound files that pydicom ships."""

import io
import time
import tracemalloc

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.sector import find_overlay, find_sector, find_tint, luminance

SHAPE = (300, 400)
YELLOW = (255, 220, 0)


def speckle(shape, seed=0):
    """8-bit speckle of a log-compressed Rayleigh envelope, 45 dB of dynamic range; about 1 % of it is black."""
    spots = np.random.default_rng(seed).normal(size=(2, *shape))
    envelope = np.hypot(*ndimage.gaussian_filter(spots, (0, 1, 1)))
    return np.clip(150 + 20 * np.log10(envelope / envelope.mean()) * 255 / 45, 0, 255).round()


def fan(shape=SHAPE, centre_x=200.0, half_angle_deg=35.0, reach_px=300.0):
    """Truth mask of a convex sector whose apex lies 20 px above the picture."""
    y, x = np.indices(shape)
    radius, angle = np.hypot(y + 20, x - centre_x), np.degrees(np.arctan2(x - centre_x, y + 20))
    return (radius > 60) & (radius < reach_px) & (np.abs(angle) < half_angle_deg)


def write(frame_yx, lines, xy, fill=255):
    """Write lines of text and return the new frame and the mask of the letters."""
    canvas = Image.fromarray(frame_yx.astype(np.uint8))
    ImageDraw.Draw(canvas).multiline_text(xy, "\n".join(lines), fill=fill)
    written = np.asarray(canvas)
    return written, written != frame_yx


def as_jpeg(frame, quality):
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def colour(frame_yx):
    return np.repeat(frame_yx[..., np.newaxis], 3, axis=-1).astype(np.uint8)


def best_time(function, repeats):
    durations = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        durations.append(time.process_time() - start)
    return min(durations)


@pytest.fixture
def a_screen():
    """A fan on a black screen with settings, a depth scale and a grey bar; with the masks of tissue and graphics."""
    tissue = fan()
    frame = np.where(tissue, np.maximum(speckle(SHAPE), 1), 0)
    frame, settings_text = write(frame, ["Carotid", "L14-5 38 fps", "Gn 60", "DR 65 dB", "MI 0.8"], (8, 8))
    frame, patient_text = write(frame, ["Name: test", "2026-01-31"], (320, 6))
    frame = frame.copy()
    frame[20:280:20, 392:398] = 200
    frame[200:280, 6:12] = np.linspace(255, 0, 80)[:, np.newaxis]
    return frame, tissue, settings_text | patient_text


@pytest.fixture(scope="module")
def a_cardiac_clip():
    """30 frames of a phased-array fan inside a user interface, JPEG-compressed, 4:2:2."""
    return pixel_array(pydicom.dcmread(get_testdata_file("examples_ybr_color.dcm")))


@pytest.fixture(scope="module")
def a_power_doppler_screen():
    """A lymph node with power Doppler, white text above and below; the tissue fills rows 54 to 168."""
    return pixel_array(pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm")))


# Luminance


def test_luminance_agrees_with_the_grey_conversion_of_pillow():
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_allclose(luminance(pixels), np.asarray(Image.fromarray(pixels).convert("L")), atol=1)


def test_luminance_of_the_primaries_is_that_of_bt_601():
    np.testing.assert_allclose(luminance(np.eye(3)), [0.299, 0.587, 0.114], rtol=1e-6)


@given(value=st.floats(-1e4, 1e4, width=32), alpha=st.floats(0, 1e4, width=32))
def test_luminance_of_grey_is_exactly_that_grey_whatever_the_alpha(value, alpha):
    assert luminance(np.array([value, value, value, alpha], dtype=np.float32)) == np.float32(value)


def test_luminance_refuses_pixels_that_are_not_rgb():
    with pytest.raises(UnsupportedImageError, match="3 or 4 components"):
        luminance(np.zeros((4, 4, 2)))


# Overlays


def test_a_thin_coloured_caliper_and_its_rim_are_overlay_and_the_tissue_is_not():
    frame = colour(speckle(SHAPE))
    frame[100, 90:111] = frame[90:111, 100] = YELLOW
    overlay = find_overlay(frame, data_range=255)
    assert overlay[99:102, 89:112].all()
    assert overlay.sum() < 400
    assert not overlay[:80].any()


def test_dotted_lines_of_single_coloured_pixels_are_overlay():
    frame = colour(speckle(SHAPE))
    frame[50, 20:200:6] = (0, 255, 0)
    assert find_overlay(frame, data_range=255)[50, 20:195].mean() > 0.8


def test_lone_specks_of_moderate_chroma_are_noise_and_not_overlay():
    frame = colour(np.full(SHAPE, 100))
    frame[10::20, 10::20] = (130, 95, 90)
    assert not find_overlay(frame, data_range=255).any()


def test_chroma_that_jpeg_leaves_around_coloured_text_is_not_overlay():
    frame = Image.fromarray(colour(speckle(SHAPE)))
    ImageDraw.Draw(frame).text((60, 60), "12.4 mm", fill=YELLOW)
    overlay = find_overlay(as_jpeg(np.asarray(frame), quality=50), data_range=255)
    letters = np.zeros(SHAPE, dtype=bool)
    letters[60:74, 60:104] = True
    assert overlay[letters].mean() > 0.7
    assert not overlay[~ndimage.binary_dilation(letters, iterations=24)].any()


def test_a_grey_frame_has_no_overlay_after_jpeg():
    assert not find_overlay(as_jpeg(colour(speckle(SHAPE)), quality=40), data_range=255).any()


def test_power_doppler_and_colour_bars_are_overlay_and_the_grey_tissue_is_not(a_power_doppler_screen):
    overlay = find_overlay(a_power_doppler_screen, data_range=255)
    chroma = np.ptp(a_power_doppler_screen.astype(int), axis=-1)
    assert overlay[chroma > 60].all()
    assert overlay[100:110, 10:20].all()  # the colour bar
    assert not overlay[152:168].any()  # grey tissue below the Doppler box
    assert 0.05 < overlay.mean() < 0.2


@pytest.mark.parametrize("tint", [(1.15, 0.97, 0.70), (0.85, 1.0, 1.35)], ids=["sepia", "blue"])
def test_a_tinted_b_mode_is_no_overlay_but_a_caliper_on_it_is(tint):
    grey = np.minimum(speckle(SHAPE), 185)
    frame = (grey[..., np.newaxis] * tint).round().astype(np.uint8)
    assert find_tint(frame, data_range=255) is not None
    assert not find_overlay(frame, data_range=255).any()
    frame[140:160, 200:203] = (0, 255, 60)
    overlay = find_overlay(frame, data_range=255)
    assert overlay[140:160, 200:203].all()
    assert overlay.sum() < 400


def test_a_tint_is_described_in_one_sentence():
    frame = (speckle(SHAPE)[..., np.newaxis] * (1.0, 0.85, 0.6)).astype(np.uint8)
    assert "tinted (on average red +" in str(find_tint(frame, data_range=255))


def test_colour_doppler_over_most_of_the_tissue_is_overlay_and_no_tint():
    velocity = np.linspace(-1, 1, SHAPE[1])
    red_blue = np.stack([np.maximum(velocity, 0), 0.4 * np.abs(velocity), np.maximum(-velocity, 0)], axis=-1)
    frame = colour(speckle(SHAPE))
    frame[60:280, 20:180] = (100 + 155 * red_blue[20:180]) * (red_blue[20:180] > 0)
    frame[60:280, 220:380] = (100 + 155 * red_blue[220:380]) * (red_blue[220:380] > 0)
    assert find_tint(frame, data_range=255) is None
    assert find_overlay(frame, data_range=255)[60:280, 20:180].all()


@settings(max_examples=15, deadline=None)
@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-500, 500), seed=st.integers(0, 99))
def test_the_overlay_does_not_depend_on_the_scale_of_the_pixels(gain, offset, seed):
    frame = colour(speckle((60, 80), seed))
    frame[20:25, 30:50] = YELLOW
    expected = find_overlay(frame, data_range=255)
    np.testing.assert_array_equal(find_overlay(frame * gain, data_range=255 * gain), expected)
    # A shift of all components leaves chroma as it is.
    np.testing.assert_array_equal(find_overlay(frame + offset, data_range=255), expected)


def test_the_overlay_of_signed_and_of_rgba_pixels_is_that_of_8_bits():
    frame = colour(speckle(SHAPE))
    frame[100:120, 100:120] = (200, 30, 30)
    expected = find_overlay(frame, data_range=255)
    wide = (frame.astype(np.int32) * 256 - 32768).astype(np.int16)
    rgba = np.concatenate([frame, np.zeros((*SHAPE, 1), np.uint8)], axis=-1)
    np.testing.assert_array_equal(find_overlay(wide, data_range=65280), expected)
    np.testing.assert_array_equal(find_overlay(rgba, data_range=255), expected)


@pytest.mark.parametrize("find", [find_overlay, find_tint])
def test_colour_functions_refuse_grey_frames_and_empty_ranges(find):
    with pytest.raises(UnsupportedImageError, match=r"needs the shape \(Y, X, 3\)"):
        find(np.zeros((8, 8)), data_range=255)
    with pytest.raises(SettingsError, match="must be a positive number, but is 0"):
        find(np.zeros((8, 8, 3)), data_range=0)


# Sector


def test_the_sector_holds_every_tissue_pixel_and_no_letter(a_screen):
    frame, tissue, letters = a_screen
    sector = find_sector([frame], data_range=255)
    assert sector.mask_yx[tissue].all()
    assert not sector.mask_yx[letters].any()
    assert sector.share == pytest.approx(tissue.mean(), rel=0.1)
    assert "inside a surround of value 0" in sector.reason


def test_the_sector_survives_jpeg(a_screen):
    frame, tissue, letters = a_screen
    sector = find_sector([as_jpeg(frame, quality=60)], data_range=255)
    assert sector.mask_yx[tissue].all()
    assert sector.mask_yx[letters].mean() < 0.05


def test_letters_that_touch_the_sector_are_cut_off():
    tissue = fan()
    frame, letters = write(np.where(tissue, np.maximum(speckle(SHAPE), 1), 0), ["Depth 45 mm, Gn 60"], (30, 150))
    letters &= ~tissue
    sector = find_sector([frame], data_range=255)
    assert sector.mask_yx[tissue].all()
    assert sector.mask_yx[letters].mean() < 0.25


def test_an_anechoic_lumen_and_a_shadow_of_the_value_of_the_surround_belong_to_the_sector(a_screen):
    frame, tissue, _ = a_screen
    y, x = np.indices(SHAPE)
    frame[np.hypot(y - 150, x - 200) < 35] = 0
    frame[(np.abs(x - 260) < 12) & (y > 180)] = 0
    sector = find_sector([frame], data_range=255)
    assert sector.mask_yx[tissue].mean() > 0.999


def test_tissue_peppered_with_the_value_of_the_surround_is_not_torn(a_screen):
    frame, tissue, letters = a_screen
    dark = np.where(tissue, np.maximum(frame - 105.0, 0), frame)
    assert (dark[tissue] == 0).mean() > 0.1
    sector = find_sector([dark], data_range=255)
    assert sector.mask_yx[tissue].mean() > 0.999
    assert not sector.mask_yx[letters].any()


@pytest.mark.parametrize("surround", [0, 20, 128, 255])
def test_the_surround_may_have_any_constant_value(surround):
    tissue = fan()
    sector = find_sector([np.where(tissue, speckle(SHAPE), surround)], data_range=255)
    assert sector.mask_yx[tissue].all()
    assert sector.share == pytest.approx(tissue.mean(), rel=0.1)


def test_a_black_panel_inside_a_grey_interface_is_surround_too():
    tissue = fan(half_angle_deg=28, reach_px=280)
    frame = np.full(SHAPE, 40.0)
    frame[15:285, 40:360] = 0
    frame = np.where(tissue, np.maximum(speckle(SHAPE), 1), frame)
    sector = find_sector([frame], data_range=255)
    assert sector.mask_yx[tissue].all()
    assert sector.share == pytest.approx(tissue.mean(), rel=0.12)


@settings(max_examples=10, deadline=None)
@given(gain=st.sampled_from([1 / 255, 0.5, 1.0, 128.0, 257.0]), offset=st.integers(-32768, 1000))
def test_the_sector_does_not_depend_on_scale_and_offset(gain, offset):
    tissue = fan()
    frame = np.where(tissue, np.maximum(speckle(SHAPE), 1), 0)
    shifted = find_sector([frame * gain + gain * offset], data_range=255 * gain)
    np.testing.assert_array_equal(shifted.mask_yx, find_sector([frame], data_range=255).mask_yx)


def test_both_halves_of_a_dual_image_are_kept():
    tissue = fan(centre_x=105, half_angle_deg=18, reach_px=290) | fan(centre_x=300, half_angle_deg=18, reach_px=290)
    frame, letters = write(np.where(tissue, np.maximum(speckle(SHAPE), 1), 0), ["B/B"], (5, 5))
    sector = find_sector([frame], data_range=255)
    assert sector.mask_yx[tissue].all()
    assert not sector.mask_yx[letters].any()
    assert not sector.mask_yx[20:60, 200].any()  # the gap between them


def test_a_cropped_picture_is_sector_as_a_whole():
    sector = find_sector([speckle(SHAPE)], data_range=255)
    assert sector.mask_yx.all()
    assert sector.share == 1
    assert sector.reason == "Whole frame: no surround of constant value was found at its border."


def test_a_cropped_picture_that_fades_to_black_is_never_cut_in_half():
    depth = np.linspace(60, -300, SHAPE[0])[:, np.newaxis] + 25 * np.sin(np.arange(SHAPE[1]) / 40)
    frame = np.clip(speckle(SHAPE) + depth, 0, 255)
    assert (frame[250:] == 0).mean() > 0.9  # there is something to mistake for a surround
    sector = find_sector([frame], data_range=255)
    assert sector.mask_yx.all()


@pytest.mark.parametrize("shape", [(1, 1), (15, 17), (1, 500), (200, 20)])
def test_tiny_frames_are_sector_as_a_whole(shape):
    sector = find_sector([speckle(shape)], data_range=255)
    assert sector.mask_yx.shape == shape
    assert sector.mask_yx.all()
    assert "too small" in sector.reason


def test_frames_without_any_signal_are_sector_as_a_whole():
    assert find_sector([np.zeros(SHAPE)], data_range=255).reason == ("Whole frame: nothing but the surround was found.")
    specks = np.zeros(SHAPE)
    specks[50:250:40, 50:350:40] = 3
    assert find_sector([specks], data_range=255).mask_yx.all()


def test_a_cine_has_one_sector_for_the_union_of_its_frames():
    tissue, lit = fan(), np.indices(SHAPE)[1] < 200
    tissue_pixels = np.maximum(speckle(SHAPE), 1)
    left, right = np.where(tissue & lit, tissue_pixels, 0), np.where(tissue & ~lit, tissue_pixels, 0)
    sector = find_sector(np.stack([left, right]), data_range=255)
    assert sector.mask_yx[tissue].all()


def test_a_still_phantom_with_one_moving_part_is_kept_whole(a_screen):
    frame, tissue, letters = a_screen
    cine = np.repeat(frame[np.newaxis], 4, axis=0)
    for step in range(4):
        cine[step, 120 + 5 * step : 150 + 5 * step, 150:250] = 255 - frame[120:150, 150:250]
    sector = find_sector(cine, data_range=255)
    assert sector.mask_yx[tissue].all()
    assert not sector.mask_yx[letters].any()


def test_still_letters_on_moving_noise_free_frames_stay_outside(a_screen):
    frame, tissue, letters = a_screen
    beside, letters_beside = write(frame, ["Depth 45 mm", "Focus 20 mm", "Dynamic range"], (50, 120))
    cine = np.stack([np.where(tissue, np.maximum(speckle(SHAPE, seed), 1), beside) for seed in range(3)])
    sector = find_sector(cine, data_range=255)
    assert sector.mask_yx[tissue].all()
    assert sector.mask_yx[(letters | letters_beside) & ~tissue].mean() < 0.05


def test_a_real_clip_gives_the_fan_and_leaves_the_interface_out(a_cardiac_clip):
    sector = find_sector((luminance(frame) for frame in a_cardiac_clip), data_range=255)
    assert sector.share == pytest.approx(0.39, abs=0.04)
    assert sector.mask_yx[35:200, 165:185].all()  # the axis of the fan
    assert sector.mask_yx[155:160, 48:280].all()  # its widest rows
    assert sector.mask_yx[np.ptp(a_cardiac_clip[..., 1].astype(int), axis=0) > 40].all()
    assert not sector.mask_yx[:16].any()
    assert not sector.mask_yx[:80, :80].any()
    assert not sector.mask_yx[:100, 275:].any()
    assert not sector.mask_yx[212:].any()
    assert sector.reason == "Moving tissue inside a surround of value 0.886."


def test_a_real_screen_gives_the_tissue_and_leaves_the_text_out(a_power_doppler_screen):
    sector = find_sector([luminance(a_power_doppler_screen)], data_range=255)
    assert sector.mask_yx[54:169, 8:309].all()
    assert not sector.mask_yx[:50].any()
    assert not sector.mask_yx[174:].any()


def test_frames_are_read_once_and_not_kept():
    shape, count = (256, 256), 300
    tissue = fan(shape, centre_x=128, half_angle_deg=25, reach_px=250)
    base = np.where(tissue, np.maximum(speckle(shape), 1), 0).astype(np.float32)
    tracemalloc.start()
    sector = find_sector((base * np.float32(1 + 0.001 * i) for i in range(count)), data_range=400)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sector.mask_yx[tissue].all()
    assert peak_bytes < 30 * base.nbytes  # all frames would be 300


def test_the_mask_cannot_be_changed_by_accident(a_screen):
    sector = find_sector([a_screen[0]], data_range=255)
    with pytest.raises(ValueError, match="read-only"):
        sector.mask_yx[0, 0] = True


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "There is no frame"),
        ([np.zeros((40, 40)), np.zeros((40, 41))], r"\(40, 41\) was met where \(40, 40\) was expected"),
        (np.zeros((40, 40)), r"need one shape \(Y, X\)"),
        ([np.full((40, 40), np.nan)], "not finite"),
        ([np.zeros((40, 40)), np.full((40, 40), -np.inf)], "not finite"),
    ],
)
def test_impossible_frames_are_refused_in_one_sentence(frames, message):
    with pytest.raises(UnsupportedImageError, match=message):
        find_sector(frames, data_range=255)


@pytest.mark.parametrize("data_range", [0.0, -1.0, np.nan, np.inf])
def test_a_sector_needs_a_data_range(data_range):
    with pytest.raises(SettingsError, match="positive number"):
        find_sector([np.zeros((40, 40))], data_range=data_range)


def test_finding_sector_and_overlay_costs_less_than_one_median_filter():
    shape = (512, 512)
    tissue = fan(shape, centre_x=256, half_angle_deg=35, reach_px=500)
    frame = np.where(tissue, np.maximum(speckle(shape), 1), 0).astype(np.float32)
    doppler = colour(frame)
    doppler[200:260, 200:300] = (200, 40, 0)
    median_s = best_time(lambda: ndimage.median_filter(frame, size=5), 3)
    assert best_time(lambda: find_sector([frame], data_range=255), 5) < 0.9 * median_s
    assert best_time(lambda: find_overlay(doppler, data_range=255), 5) < 0.25 * median_s
