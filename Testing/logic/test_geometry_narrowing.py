"""Tubes of known areas, cut across: area stenosis against what follows from their radii."""

import math

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.geometry import Scale, area_stenosis, measure_transverse
from Speckle2SelfLogic.geometry.narrowing import NOT_NAMED, parse_reference

STEP_MM = 0.1


def a_disc(radius_px, centre_yx=(24.3, 25.6)):
    y, x = np.mgrid[:48, :52]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) < radius_px


def a_tube(radii_px):
    """Measured cross-sections of a tube with a radius for each frame."""
    return [measure_transverse(a_disc(radius), spacing_mm=(STEP_MM, STEP_MM)) for radius in radii_px]


TAPER = np.linspace(18.0, 8.0, 11)
"""Radii of a tube that tapers towards its end, in pixels."""


def test_a_tapered_tube_is_narrowed_as_its_areas_say():
    found = area_stenosis(a_tube(TAPER), "first")
    assert found.minimum_frame == 10
    assert found.reference_frames == (0, 1, 2)
    least, normal = np.pi * (STEP_MM * 8) ** 2, np.pi * (STEP_MM * 17) ** 2
    tenth_px = 0.1 * STEP_MM * 2 * np.pi * STEP_MM  # area by which a tenth of a pixel changes a radius of one pixel
    assert found.minimum_area.value == pytest.approx(least, abs=8 * tenth_px)
    assert found.reference_area.value == pytest.approx(normal, abs=17 * tenth_px)
    assert found.percent.value == pytest.approx(100 * (1 - (8 / 17) ** 2), abs=0.5)
    assert (found.percent.unit, found.minimum_area.unit) == ("%", "mm2")


def test_the_reference_may_be_named_by_its_frames():
    found = area_stenosis(a_tube(TAPER), (4, 4))
    assert found.reference_frames == (4,)
    assert found.percent.value == pytest.approx(100 * (1 - (8 / 14) ** 2), abs=0.5)


def test_a_narrow_place_within_a_normal_vessel_counts_against_either_end():
    radii = [14, 14, 13, 10, 7, 10, 13, 15, 15]
    assert area_stenosis(a_tube(radii), "first").percent.value == pytest.approx(75, abs=0.8)
    assert area_stenosis(a_tube(radii), "last").percent.value == pytest.approx(100 * (1 - (7 / 15) ** 2), abs=0.8)


def test_an_ellipse_counts_by_its_area_and_not_by_a_diameter():
    y, x = np.mgrid[:48, :52]
    flat = np.hypot((y - 24.3) / 6, (x - 25.6) / 18) < 1
    frames = [measure_transverse(each) for each in (a_disc(18), a_disc(18), flat, a_disc(18))]
    found = area_stenosis(frames, (0, 1))
    assert found.percent.value == pytest.approx(100 * (1 - 6 / 18), abs=0.6)
    assert found.minimum_area.unit == "px2"


def test_frames_without_a_whole_lumen_are_left_out_and_counted():
    frames = a_tube([18, 17, 12, 8])
    frames[1:1] = [measure_transverse(np.zeros((48, 52)), spacing_mm=(STEP_MM, STEP_MM))]
    frames.append(measure_transverse(a_disc(9, (2, 25)), spacing_mm=(STEP_MM, STEP_MM)))  # half of it is not seen
    found = area_stenosis(frames, (0, 2))
    assert (found.without_lumen, found.cut_off) == ((1,), (5,))
    assert (found.minimum_frame, found.reference_frames) == (4, (0, 2))
    assert "1 frames without lumen" in found.notes[0]
    assert "touches the border" in found.notes[1]


def test_the_uncertainty_of_round_sections_is_that_of_their_diameters():
    found = area_stenosis(a_tube([18, 18, 9, 18]), (0, 0))
    u_border, ratio = Scale.of((STEP_MM, STEP_MM)).border(), 0.5
    u_ratio = 2 * u_border / (36 * STEP_MM) * math.hypot(1, ratio)  # as for diameters
    assert found.percent.uncertainty == pytest.approx(200 * ratio * u_ratio, rel=0.03)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_least_border_that_is_shifted_by_its_uncertainty_stays_within_that_of_the_stenosis(shift):
    found = area_stenosis(a_tube([18, 18, 9, 18]), (0, 0))
    moved = area_stenosis(a_tube([18, 18, 9 + shift * Scale.of(None).border(), 18]), (0, 0))
    assert abs(moved.percent.value - found.percent.value) < 1.1 * found.percent.uncertainty


@pytest.mark.parametrize(
    ("radii", "reference", "reason"),
    [
        ([18, 12, 8], None, NOT_NAMED),
        ([8, 12, 18], "first", "the narrowest cross-section (frame 0) is one of the reference frames; name others"),
        ([18, 0, 0, 12, 8], (1, 2), "none of the reference frames 1 to 2 shows a whole lumen; name others"),
        ([18, 0], "first", "1 of 2 frames show a whole lumen, 2 are needed"),
    ],
)
def test_without_a_usable_reference_there_is_one_sentence_and_no_figure(radii, reference, reason):
    measures = area_stenosis(a_tube(radii), reference).measures()
    assert {(each.value, each.reason) for each in measures.values()} == {(None, reason)}


@pytest.mark.parametrize("reference", [(3, 2), (0, 11), (-1, 2)])
def test_reference_frames_that_do_not_exist_are_refused(reference):
    with pytest.raises(SettingsError, match="do not exist; name frames in 0 to 10"):
        area_stenosis(a_tube(TAPER), reference)


def test_a_reference_that_is_no_end_and_no_frames_is_refused():
    with pytest.raises(SettingsError, match="'first', 'last' or two frames, but is 'left'"):
        area_stenosis(a_tube([18, 8]), "left")


def test_references_are_read_from_the_command_line():
    assert [parse_reference(text) for text in ("first", "last", "7", "20-24")] == ["first", "last", (7, 7), (20, 24)]
    for text in ("", "left", "-3", "2-", "2..4", "1" * 10):
        with pytest.raises(SettingsError, match=r"first, last, or frames such as 7 or 20-24"):
            parse_reference(text)
