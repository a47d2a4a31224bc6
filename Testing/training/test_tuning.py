import json

import numpy as np
import pytest
from typer.testing import CliRunner

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.filters import FILTERS
from Training import tuning
from Training.per_image import PER_IMAGE_METHODS
from Training.tuning import GRIDS, TuningFrame, app, candidates, filter_named, tune


@pytest.fixture
def some_frames():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.float32([0.3, 0.7]), 24)[None].repeat(32, 0)
    speckled = (np.clip(truth + rng.normal(0, 0.15, truth.shape), 0, 1).astype(np.float32) for _ in range(4))
    return [TuningFrame(name, frame, truth) for name, frame in zip("aabb", speckled, strict=True)]


def test_the_best_candidate_is_found_and_compared_with_the_defaults(some_frames):
    tuned = tune("median", {"window_px": (1, 13)}, some_frames)  # the default is 7
    assert tuned.settings == {"window_px": 13}
    assert tuned.ssim_after_scale > tuned.ssim_of_defaults
    assert tuned.candidates == 3


def test_defaults_are_kept_when_nothing_is_better(some_frames):
    assert tune("median", {"window_px": (1,)}, some_frames).settings == {}


def test_a_grid_gives_every_combination_after_the_defaults():
    assert list(candidates({"a": (1, 2), "b": (3,)})) == [{}, {"a": 1, "b": 3}, {"a": 2, "b": 3}]


@pytest.mark.parametrize("name", GRIDS)
def test_every_candidate_can_be_made(name):
    assert all(filter_named(name, settings).name == name for settings in candidates(GRIDS[name]))


def test_the_filters_of_the_paper_are_tuned():
    assert {"srad", "nlm", "bm3d", "obnlm"} < set(GRIDS) < {*FILTERS, "bm3d"}
    assert "bm3d" in PER_IMAGE_METHODS


def test_the_file_keeps_what_is_known_of_other_filters(some_frames, monkeypatch, tmp_path):
    monkeypatch.setattr(tuning, "validation_frames", lambda *_: some_frames)
    path = tmp_path / "classical.json"
    path.write_text(json.dumps({"nlm": {"patch_px": 9}, "median": {}, "measured": {"nlm": {"frames": 9}}}))
    result = CliRunner().invoke(app, ["anywhere", "--json", str(path), "--filters", "median", "--frames-per-set", "1"])
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())
    assert found["nlm"] == {"patch_px": 9}
    assert found["median"]["window_px"] > 7
    assert found["measured"]["nlm"] == {"frames": 9}
    assert found["measured"]["median"]["frames"] == 2  # one of each set


def test_a_filter_without_a_grid_is_named(tmp_path):
    result = CliRunner().invoke(app, ["anywhere", "--json", str(tmp_path / "x.json"), "--filters", "bilateral"])
    assert isinstance(result.exception, SettingsError)
    assert "'bilateral'" in str(result.exception)
