"""Brightness, flicker, crops, clean images; the table and the command."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from Training.detail import DetailFigure, detail_figures, detail_rows, failed
from Training.detail.__main__ import main
from Training.detail.brightness import BrightnessCheck, added_holes, gain_deviation
from Training.detail.consistency import AWAY_PX, CROP_PX, ConsistencyCheck, crop_difference, smooth_image
from Training.detail.controls import GaussianControl
from Training.detail.flicker import FlickerCheck, sliding_flicker
from Training.detail.frames import DetailFrame, answer

SHARED = Path(__file__).parents[3] / "shared"


@dataclass(frozen=True)
class Method:
    """A function of frames (N, Y, X) as a method."""

    change: object
    name: str = field(default="method")
    title: str = "method"
    citation: str = ""

    def despeckle(self, frames_nyx):
        return np.asarray(self.change(frames_nyx), np.float32)


def darker_in_odd_columns(frames):
    return frames - 2 / 255 * (np.arange(frames.shape[2]) % 2)


@pytest.fixture
def a_frame():
    return np.random.default_rng(0).uniform(0.3, 0.7, (160, 200)).astype(np.float32)


def test_brightness_bias_and_gain_of_known_methods(a_frame):
    check = BrightnessCheck((DetailFrame.of("frame", a_frame, 0.1),))
    kept = check.figures(Method(lambda frames: frames))
    assert list(kept.values()) == [0, 0, 0, pytest.approx(0, abs=1e-6)]
    darker = check.figures(Method(lambda frames: 0.9 * frames))
    assert darker["brightness: bias, worst frame"] == pytest.approx(-np.log(0.9), abs=1e-5)
    assert darker["gain 0.8: deviation, worst frame"] == pytest.approx(0, abs=1e-6)
    squared = check.figures(Method(np.square))
    assert squared["gain 0.8: deviation, worst frame"] == pytest.approx(0.2, abs=1e-5)


def test_gain_has_no_figure_where_all_is_dark():
    assert gain_deviation(np.zeros((4, 4)), np.zeros((4, 4))) is None


def test_a_hole_counts_only_where_the_input_is_lit_all_around():
    frame = np.full((60, 60), 0.3, np.float32)
    frame[:, 40:] = 0
    lit = 60 * 38
    answered = frame.copy()
    answered[20:25, 10:14] = 0
    assert added_holes(frame, answered) == pytest.approx(20 / lit, rel=0.05)
    beside_the_edge = frame.copy()
    beside_the_edge[:, 38:40] = 0
    assert added_holes(frame, beside_the_edge) == 0
    assert added_holes(np.zeros((20, 20), np.float32), np.zeros((20, 20), np.float32)) is None


def test_an_answer_that_moves_with_the_frame_does_not_flicker(a_frame):
    assert sliding_flicker(GaussianControl(2), a_frame) == pytest.approx(0, abs=1e-3)


def test_a_grid_that_stays_in_place_flickers_under_a_moving_frame(a_frame):
    # Shifts by 1 and 3 px swap the columns, that by 2 px does not.
    assert sliding_flicker(Method(darker_in_odd_columns), a_frame) == pytest.approx(2 * 2 / 3, abs=0.01)


def test_a_cine_that_is_frozen_is_calm_and_the_input_is_as_calm_as_itself():
    check = FlickerCheck.prepare(None, None)
    key = "flicker over the input's: simulated"
    assert check.figures(Method(lambda frames: frames))[key] == pytest.approx(1)
    assert check.figures(Method(lambda frames: np.repeat(frames[:1], len(frames), 0)))[key] == pytest.approx(
        0, abs=1e-6
    )
    assert check.figures(GaussianControl(2))["flicker over the input's: bone"] is None


def test_a_crop_differs_by_what_the_method_takes_from_the_whole():
    whole = np.random.default_rng(1).uniform(0.2, 0.6, (CROP_PX + 60, CROP_PX + 60)).astype(np.float32)
    calm, mean = GaussianControl(2), Method(lambda frames: 0 * frames + frames.mean(axis=(1, 2), keepdims=True))
    assert crop_difference(calm, whole, answer(calm, whole), (53, 47)).max() < 0.01
    difference = crop_difference(mean, whole, answer(mean, whole), (53, 47))
    expected = 255 * abs(whole.mean() - whole[53 : 53 + CROP_PX, 47 : 47 + CROP_PX].mean())
    assert difference.shape == (CROP_PX - 2 * AWAY_PX,) * 2
    np.testing.assert_allclose(difference, expected, atol=0.01)


def test_a_grid_shows_in_a_crop_that_starts_between_its_lines_and_not_in_one_on_it():
    whole = np.full((CROP_PX + 60, CROP_PX + 60), 0.4, np.float32)
    whole[0, 0] = 0.9  # a flat frame would be left alone
    whole += np.linspace(0, 0.1, CROP_PX + 60, dtype=np.float32)
    grid = Method(darker_in_odd_columns)
    on_it, between = (crop_difference(grid, whole, answer(grid, whole), (0, left)).max() for left in (32, 33))
    assert on_it == pytest.approx(0, abs=1e-3)
    assert between == pytest.approx(2, abs=0.01)


def test_a_clean_image_is_changed_by_as_much_as_the_method_adds():
    check = ConsistencyCheck.prepare(None, None)
    brighter = check.figures(Method(lambda frames: frames + np.float32(3 / 255)))
    assert brighter["clean, synthetic: mean change"] == pytest.approx(3, abs=0.05)
    assert brighter["crop anywhere: mean difference"] is None
    assert smooth_image().min() > 0.05


def test_a_bound_holds_or_not_and_is_silent_without_a_value():
    at_least, below, shown = DetailFigure("a", 0.8), DetailFigure("b", 1.0, "below"), DetailFigure("c")
    assert at_least.holds(0.8) is True
    assert at_least.holds(0.79) is False
    assert below.holds(1.0) is False
    assert DetailFigure("d", 1.0, "at most").holds(1.0) is True
    assert at_least.holds(None) is None
    assert shown.holds(3) is None
    assert (at_least.requirement, below.requirement, shown.requirement) == (">= 0.8", "< 1", "")


def test_without_folders_the_command_says_no_data_and_writes_every_figure(tmp_path, capsys):
    main(["median", "--json", str(tmp_path / "detail.json"), "--figures", str(tmp_path / "sheets")])
    printed = capsys.readouterr().out
    assert "no data" in printed
    assert ">= 0.8" in printed
    figures = json.loads((tmp_path / "detail.json").read_text(encoding="utf-8"))
    assert list(figures) == ["input", "blur-2", "blur-5", "median"]
    assert list(figures["median"]) == [row.key for row in detail_rows()]
    assert figures["median"]["kept: spot 0.5 mm"] is None
    assert figures["input"]["clean, simulated: mean change"] == 0
    assert "clean, simulated: mean change" in failed(figures["blur-5"])
    assert not any("kept" in key for key in failed(figures["blur-5"]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["medain"], "There is no method, model or weight file 'medain'"),
        (["median", "--data", "gone"], "no folder 'gone'"),
    ],
)
def test_a_misspelt_method_or_folder_is_named_in_one_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert sentence in capsys.readouterr().err


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="needs ../shared/data and ../shared/reference_outputs")
def test_on_real_frames_the_input_passes_and_a_blur_fails_what_it_should():
    folders = SHARED / "data", SHARED / "reference_outputs"
    own, blurred = (detail_figures(GaussianControl(px), *folders) for px in (0, 5))
    assert all(value is not None for value in own.values())
    # It is no calmer than itself, and its speckle is lines where the scene is flat.
    assert all("flicker" in key or "invented" in key for key in failed(own))
    lost = set(failed(blurred))
    assert {"kept: spot 0.5 mm", "kept: cyst 1 mm", "kept: layer 0.4 mm"} < lost
    assert {"fibres: contrast kept", "far wall: two lines seen", "glints: share kept of the authors'"} < lost
