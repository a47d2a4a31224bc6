from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from Speckle2SelfLogic.simulation import ImagingSettings, form_frame
from Training.detail.controls import GaussianControl
from Training.detail.frames import DetailFrame
from Training.detail.insertion import STRUCTURES, InsertionCheck, kept_contrast, with_structures
from Training.detail.places import Place, quiet_places
from Training.detail.structures import Inserted, Structure, Template, insert, psf_sigma_px

RNG_SEED = 5


@dataclass(frozen=True)
class Median:
    """Replaces a frame by its median, so that nothing of it is left."""

    name: str = "median"
    title: str = "median"
    citation: str = ""

    def despeckle(self, frames_nyx):
        return np.broadcast_to(np.median(frames_nyx, axis=(1, 2), keepdims=True), frames_nyx.shape).copy()


@pytest.fixture
def a_speckled_frame():
    shape = (192, 192)
    nothing = np.full(shape, -80, np.float32)
    settings = ImagingSettings(lateral_growth=0.0, noise_db=-40.0)
    frame = form_frame(np.full(shape, -15, np.float32), nothing, settings, np.random.default_rng(RNG_SEED))
    return DetailFrame.of("speckle", (0.6 * frame.speckled_yx).astype(np.float32), 0.15)


def flat_frame(grey=0.3, size=96):
    return np.full((size, size), grey, np.float32)


def put(structure, grey=0.3, sigma=(0.8, 1.6), mm_per_px=0.1):
    place = Place(48, 48)
    return insert(flat_frame(grey), structure, [place], mm_per_px, sigma, np.random.default_rng(0))


def test_the_input_itself_keeps_exactly_everything(a_speckled_frame):
    kept = with_structures(a_speckled_frame, STRUCTURES, 1).kept(GaussianControl(0))
    assert len(kept) == len(STRUCTURES)
    for shares in kept.values():
        np.testing.assert_allclose(shares, 1, atol=1e-6)


def test_a_method_that_leaves_nothing_keeps_nothing(a_speckled_frame):
    kept = with_structures(a_speckled_frame, STRUCTURES[:9], 1).kept(Median())
    for shares in kept.values():
        np.testing.assert_allclose(shares, 0, atol=0.01)


def test_the_figures_hold_a_median_between_the_quartiles_of_every_required_size(a_speckled_frame):
    check = InsertionCheck((with_structures(a_speckled_frame, STRUCTURES, 1),))
    figures = check.figures(GaussianControl(2))
    assert list(figures) != []
    assert {row.key for row in check.rows} == set(figures)
    for name in ("spot 0.5 mm", "cyst 1 mm", "layer 0.4 mm"):
        quartiles = [figures[f"kept: {name}, {which} quartile"] for which in ("lower", "upper")]
        assert 0 < quartiles[0] <= figures[f"kept: {name}"] <= quartiles[1] < 1


def test_larger_structures_are_kept_better_by_a_blur_and_a_stronger_blur_keeps_less(a_speckled_frame):
    variants = with_structures(a_speckled_frame, STRUCTURES[:9], 1)
    two, five = ({s.name: np.median(v) for s, v in variants.kept(GaussianControl(px)).items()} for px in (2, 5))
    assert two["cyst 0.7 mm"] < two["cyst 1 mm"] < two["cyst 1.5 mm"]
    assert two["layer 0.25 mm"] < two["layer 0.4 mm"] < two["layer 0.6 mm"]
    assert all(five[name] < two[name] for name in ("spot 0.5 mm", "cyst 1 mm", "layer 0.4 mm"))


def test_a_blur_keeps_its_analytic_share_of_a_gaussian_spot():
    spot_sigma, blur_sigma, size = np.array([2.0, 3.0]), 2.5, 81
    offsets = np.arange(size) - size // 2
    profile = [np.exp(-0.5 * (offsets / s) ** 2) for s in spot_sigma]
    spot = 0.2 * np.outer(*profile)
    window = (slice(0, size), slice(0, size))
    template = Template(window, spot / spot.sum(), 0.2)
    without = np.full((size, size), 0.3)
    blurred = ndimage.gaussian_filter(spot, blur_sigma, truncate=6)
    kept = kept_contrast(without, Inserted(without + spot, (template,)), without, without + blurred)
    expected = np.prod(np.sqrt(2 * spot_sigma**2 / (2 * spot_sigma**2 + blur_sigma**2)))
    assert kept == [pytest.approx(expected, rel=0.01)]


def test_a_reflector_stands_as_far_above_the_mean_grey_as_its_level_says():
    inserted = put(Structure("spot", 1.5, 18.0))
    # Powers add: 18 dB and 0 dB make 18.07 dB; with half interference between +1 and -1 of 2 x 7.94 x 0.5.
    low, high = (10 * np.log10(10**1.8 + 1 + sign * 10**0.9) / 60 for sign in (-1, 1))
    assert low - 0.01 <= float(inserted.grey_yx.max()) - 0.3 <= high + 0.01
    assert inserted.templates[0].expected > 0.15


def test_a_thick_layer_adds_its_decibels_to_grey_and_a_cyst_takes_them_away():
    layer = put(Structure("layer", 2.0, 6.0), sigma=(0.5, 0.5)).grey_yx
    assert layer[48, 48] - 0.3 == pytest.approx(6 / 60 * 0.3 / 0.32, abs=1e-3)
    cyst = put(Structure("cyst", 3.0, -12.0), sigma=(0.5, 0.5)).grey_yx
    assert cyst[48, 48] - 0.3 == pytest.approx(-12 / 60, abs=1e-3)


def test_speckle_is_kept_where_echogenicity_changes(a_speckled_frame):
    structure, place = Structure("cyst", 3.0, -6.0), Place(96, 96)
    frame = np.clip(a_speckled_frame.grey_yx + 0.3, 0, 1)
    inserted = insert(frame, structure, [place], 0.15, (0.5, 0.5), np.random.default_rng(0))
    inner = np.s_[93:100, 93:100]
    np.testing.assert_allclose(inserted.grey_yx[inner], frame[inner] - 0.1, atol=2e-3)


@pytest.mark.parametrize("kind", ["spot", "cyst", "layer", "pair"])
def test_nothing_changes_far_from_a_structure(kind):
    level = -30.0 if kind == "cyst" else 12.0
    inserted = put(Structure(kind, 0.8, level))
    far = np.ones((96, 96), bool)
    far[30:67, 10:87] = False
    np.testing.assert_array_equal(inserted.grey_yx[far], np.float32(0.3))
    assert inserted.templates[0].weights_yx.sum() == pytest.approx(0, abs=1e-9)


def test_two_lines_that_a_method_merges_have_no_contrast_left():
    inserted = put(Structure("pair", 1.2, 15.0), sigma=(0.6, 1.2))
    merged = ndimage.gaussian_filter(inserted.grey_yx, (8, 0))
    (kept,) = kept_contrast(flat_frame(), inserted, flat_frame(), merged)
    assert kept < 0.05


def test_a_place_where_the_scanner_shows_nothing_is_not_asked_for():
    frame, template = flat_frame(), Template((slice(0, 4), slice(0, 4)), np.full((4, 4), 1 / 16), 0.3)
    assert kept_contrast(frame, Inserted(frame + np.float32(0.01), (template,)), frame, frame) == []
    assert kept_contrast(frame, Inserted(frame + np.float32(0.05), (template,)), frame, frame) == []
    assert kept_contrast(frame, Inserted(frame + np.float32(0.1), (template,)), frame, frame) == [0]


def test_places_are_in_medium_tissue_apart_from_each_other_and_the_border():
    frame = np.full((120, 160), 0.02, np.float32)
    frame[:, 80:] = 0.3
    allowed = np.ones(frame.shape, bool)
    places = quiet_places(frame, allowed, np.random.default_rng(0), count=4, apart_px=20, margin_px=10)
    assert 2 <= len(places) <= 4
    assert all(place.x > 85 and 10 <= place.y < 110 and place.x < 150 for place in places)
    distances = [np.hypot(a.y - b.y, a.x - b.x) for a in places for b in places if a is not b]
    assert min(distances) >= 20
    assert quiet_places(frame * 0.1, allowed, np.random.default_rng(0), count=4, apart_px=20, margin_px=10) == []


@pytest.mark.parametrize(("axial", "lateral"), [(0.9, 1.6), (1.3, 2.4)])
def test_the_width_of_the_pulse_is_read_off_the_speckle(axial, lateral):
    shape = (256, 256)
    settings = ImagingSettings(axial_psf_px=axial, lateral_psf_px=lateral, lateral_growth=0.0, noise_db=-60)
    nothing = np.full(shape, -80, np.float32)
    frame = form_frame(np.zeros(shape, np.float32), nothing, settings, np.random.default_rng(1)).speckled_yx
    assert psf_sigma_px(frame) == pytest.approx((axial, lateral), rel=0.25)
