import csv
import shutil

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from Speckle2SelfLogic.errors import ImageFileError, SettingsError
from Speckle2SelfLogic.filters import FILTERS
from Testing.training.evidence_folders import write_real, write_simulated
from Training.evidence import evaluate as module
from Training.evidence.evaluate import evaluate, evaluate_folder


@pytest.fixture(autouse=True)
def _without_lpips(monkeypatch):
    monkeypatch.setattr(module, "_perceptual", lambda: None)


@pytest.fixture
def a_console():
    return Console(record=True, width=120)


def test_frames_with_truths_beside_them_are_compared_to_those(tmp_path, a_console):
    folder = write_simulated(tmp_path / "sim") / "S-I" / "test"
    results = evaluate("median", folder, console=a_console)
    assert [result.name for result in results] == ["0000", "0001"]
    assert all(result.after["ssim"] > result.before["ssim"] for result in results)
    text = a_console.export_text()
    assert "SSIM, brightness fitted" in text
    assert f"{np.mean([result.after['ssim'] for result in results]):.3f} ±" in text
    assert "LPIPS" not in text


def test_truths_may_lie_in_a_folder_of_their_own(tmp_path):
    folder = write_simulated(tmp_path / "sim") / "S-I" / "test"
    beside = evaluate_folder(FILTERS["median"], folder)
    apart, truths = tmp_path / "frames", tmp_path / "truths"
    apart.mkdir(), truths.mkdir()
    for number in range(2):
        shutil.copy(folder / f"{number:04d}_speckled.png", apart / f"{number:04d}.png")
        shutil.copy(folder / f"{number:04d}_truth.png", truths / f"{number:04d}.png")
    results = evaluate_folder(FILTERS["median"], apart, truth=truths)
    assert [result.after["ssim"] for result in results] == [result.after["ssim"] for result in beside]


def test_frames_without_truth_get_figures_that_need_none(tmp_path, a_console):
    results = evaluate("median", write_real(tmp_path / "real"), console=a_console)
    assert "ssim" not in results[0].after
    assert "Speckle SNR" in a_console.export_text()


def test_a_cine_gets_its_flicker(tmp_path):
    frames = np.random.default_rng(0).rayleigh(60, (4, 48, 48)).clip(0, 255).astype(np.uint8)
    (tmp_path / "cines").mkdir()
    np.save(tmp_path / "cines" / "cine.npy", frames)
    (result,) = evaluate_folder(FILTERS["median"], tmp_path / "cines")
    assert 0 < result.after["static_change_ratio"] < 1
    assert result.before["static_change_ratio"] == pytest.approx(1)


def test_the_csv_holds_a_line_for_each_image(tmp_path, a_console):
    target = tmp_path / "table.csv"
    results = evaluate("median", write_real(tmp_path / "real"), csv_file=target, console=a_console)
    with target.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["file"] for line in lines] == ["frame0", "frame1"]
    assert float(lines[0]["output_homogeneity"]) == results[0].after["homogeneity"]


def test_what_cannot_be_evaluated_is_said_in_one_sentence(tmp_path, a_console):
    with pytest.raises(SettingsError, match="There is no folder"):
        evaluate("median", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="has no image"):
        evaluate("median", tmp_path / "empty")
    folder = write_real(tmp_path / "real")
    with pytest.raises(SettingsError, match=r"has no 'frame0_truth' and no 'frame0' for 'frame0\.png'"):
        evaluate("median", folder, truth=tmp_path / "empty")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / "frame0_truth.png")
    with pytest.raises(SettingsError, match=r"has \(20, 20\) pixels"):
        evaluate("median", folder)
    with pytest.raises(ImageFileError, match="cannot be written"):
        evaluate("median", write_real(tmp_path / "other"), csv_file=tmp_path / "no" / "t.csv", console=a_console)
    with pytest.raises(SettingsError, match="no method, model or weight file 'nothing'"):
        evaluate("nothing", folder)
