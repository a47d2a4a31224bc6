"""What `speckle2self benchmark` reports is what was measured."""

import json
import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from Speckle2SelfLogic import benchmark
from Speckle2SelfLogic.benchmark import Settings, ratios, time_in_turns
from Speckle2SelfLogic.cli import app
from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.networks.reference import ReferenceNetwork


def test_the_command_prints_seconds_and_ratios_as_json(monkeypatch):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    monkeypatch.setattr(benchmark, "CINE_FRAMES", 3)
    ran = CliRunner().invoke(app, ["benchmark", "--size", "64", "--threads", "1", "--rounds", "2", "--json"])
    assert ran.exit_code == 0, ran.output
    result = json.loads(ran.stdout)
    assert (result["size"], result["threads"]) == (64, 1)
    assert result["default"]["gflop"] == pytest.approx(1.71 / 64, rel=0.02)
    assert result["reference"]["gflop"] == pytest.approx(69 / 64, rel=0.03)
    shortest = result["reference"]["model_seconds"] / result["default"]["model_seconds"]
    assert result["ratios"]["reference_to_default"]["of_shortest"] == pytest.approx(shortest, rel=0.01)
    assert result["ratios"]["reference_to_default_alone"]["median"] > 1
    assert result["default"]["alone_seconds"] > 0
    assert result["ratios_of_processor_time"]["reference_to_default"]["median"] > 1
    assert result["opencv_nlm"]["seconds"] > 0
    assert result["end_to_end"]["seconds"] > 0
    assert result["machine"]["matrix_product_gflop_per_second"] > 1


def test_contenders_take_turns_and_the_first_round_does_not_count():
    calls = []
    timing = time_in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert {name: len(each) for name, each in timing.clock.items()} == {"a": 2, "b": 2}


def test_a_batch_counts_for_each_of_its_frames():
    timing = benchmark.Timing({"default": [8.0], "reference": [3.0]}, {"default": [4.0], "reference": [2.0]})
    each = timing.for_each_frame({"default": 4})
    assert (each.clock, each.processor) == (
        {"default": [2.0], "reference": [3.0]},
        {"default": [1.0], "reference": [2.0]},
    )


def test_waiting_counts_by_the_clock_and_not_by_the_processor():
    contenders = {"default": lambda: time.sleep(0.004), "reference": lambda: time.sleep(0.06)}
    timing = time_in_turns(contenders, 3)
    assert ratios(timing.clock)["reference_to_default"]["of_shortest"] > 3
    assert min(timing.processor["reference"]) < 0.03


def test_ratios_are_medians_of_paired_rounds():
    made = ratios({"default": [1.0, 2.0, 4.0], "reference": [10.0, 20.0, 20.0]})["reference_to_default"]
    assert made == {"median": 10.0, "smallest": 5.0, "largest": 10.0, "of_shortest": 10.0}


def test_the_published_network_is_run_as_published_with_all_branches():
    torch.manual_seed(0)
    network, frames = ReferenceNetwork(all_scales=True).eval(), torch.rand(1, 1, 48, 64)
    used = []
    for name in ("encoder_highRes", "encoder_midRes", "encoder_lowRes"):
        getattr(network, name).register_forward_hook(lambda *_, name=name: used.append(name))
    with torch.inference_mode():
        published = benchmark.published_inference(network, frames)
        assert sorted(used) == ["encoder_highRes", "encoder_lowRes", "encoder_midRes"]
        torch.testing.assert_close(published, network(frames))


@pytest.mark.parametrize("settings", [{"size": 8}, {"rounds": 0}, {"threads": -1}])
def test_senseless_settings_are_refused(settings):
    with pytest.raises(SettingsError, match="A benchmark needs"):
        Settings(**settings)


def test_the_frame_that_is_timed_is_grey_between_black_and_white():
    frame = benchmark._frame(64)
    assert frame.shape == (1, 64, 64)
    assert frame.min() >= 0
    assert frame.max() <= 1
    assert np.ptp(frame) > 0.2
