import sys
from dataclasses import replace

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets import acoustic_plan
from Training.datasets.__main__ import main
from Training.datasets.acoustic import (
    AcousticScanner,
    beamformed,
    compounded_frame,
    mean_power,
    pymust_module,
    scattered_power,
)
from Training.datasets.acoustic_plan import AcousticPlan, simulate_acoustic
from Training.datasets.catalogue import SETS
from Training.datasets.manifest import problems_of, read_manifest
from Training.datasets.reading import simulated_items
from Training.datasets.scene_files import SceneTask
from Training.datasets.writing import write_folder

SMALL = AcousticScanner(
    frequency_mhz=3.0, angles_deg=(0.0,), elements=16, side_mm=4.8, size_px=64, record_margin_mm=4.0, f_number=1.0
)


@pytest.fixture
def pymust():
    return pytest.importorskip("pymust", reason="PyMUST is an optional extra")


@pytest.fixture
def a_small_array(monkeypatch, pymust):  # noqa: ARG001
    monkeypatch.setattr(acoustic_plan, "AcousticScanner", lambda **drawn: replace(SMALL, **drawn))
    monkeypatch.setattr(acoustic_plan, "FREQUENCIES_MHZ", (3.0,))


def test_without_the_simulator_one_sentence_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "pymust", None)
    with pytest.raises(SettingsError, match="pip install"):
        pymust_module()
    with pytest.raises(SystemExit) as stop:
        main(["acoustic", str(tmp_path / "acoustic"), "--scenes", "1", "--size", "64"])
    assert stop.value.code == 2
    assert "needs PyMUST" in capsys.readouterr().err
    assert not (tmp_path / "acoustic").exists()


def test_scenes_are_spread_over_the_sets_in_turn():
    tasks = AcousticPlan(scenes=5).tasks()
    assert [(task.set_name, task.number) for task in tasks] == [
        ("acoustic-shapes", 0),
        ("acoustic-shapes", 1),
        ("acoustic-cysts", 0),
        ("acoustic-cysts", 1),
        ("acoustic-carotid", 0),
    ]
    with pytest.raises(SettingsError, match="1 scene or more"):
        AcousticPlan(scenes=0)


def test_a_point_is_seen_where_it_is(pymust):  # noqa: ARG001
    rows, columns = np.array([40.5 + SMALL.margin_px]), np.array([20.5 + SMALL.margin_px])
    frame = np.abs(beamformed(rows, columns, np.ones(1), SMALL))
    brightest = np.unravel_index(frame.argmax(), frame.shape)
    np.testing.assert_allclose(brightest, (40, 20), atol=3)  # the pulse peaks a little below its start


def test_the_modelled_mean_power_is_that_of_many_draws(pymust):  # noqa: ARG001
    scene = SETS["cysts"].scene((64, 64), np.random.default_rng(0))
    scene.echogenicity_db[20:40, 20:44] = 0.0
    power = scattered_power(scene, SMALL)
    drawn = np.mean([np.abs(compounded_frame(power, SMALL, np.random.default_rng(s))) ** 2 for s in range(24)], 0)
    ratio = drawn / mean_power(power, SMALL)
    assert ratio.mean() == pytest.approx(1, abs=0.08)
    assert ratio[22:38, 22:42].mean() == pytest.approx(1, abs=0.15)


def test_the_folder_reads_like_the_simulated_sets(a_small_array, tmp_path):  # noqa: ARG001
    write_folder(tmp_path / "acoustic", AcousticPlan(scenes=1, size_px=64))
    assert list(problems_of(tmp_path / "acoustic")) == []
    (item,) = simulated_items(tmp_path / "acoustic", None, "test")
    assert item["set"] == "acoustic-shapes"
    assert read_manifest(tmp_path / "acoustic")["simulator"].startswith("PyMUST")


def test_acoustic_speckle_is_fully_developed_and_its_draws_independent(a_small_array):  # noqa: ARG001
    _, compression, frames = simulate_acoustic(SceneTask("acoustic-cysts", "test", 0, 0, 64), realisations=8)
    residuals = np.stack([(frame - frames.truth).ravel() for frame in frames.speckled])
    between = np.corrcoef(residuals)[np.triu_indices(8, 1)]
    assert abs(between.mean()) < 0.08  # about sixty resolution cells: single pairs scatter by 0.13
    # Standard deviation of log-compressed fully developed speckle: 5.57 dB.
    assert residuals.std() == pytest.approx(5.57 / compression.dynamic_range_db, rel=0.15)
    assert abs(residuals.mean()) < 0.015
