"""Runs as a whole: the same weights however often they are stopped, early stops, best weights, mixed precision."""

import os
import signal

import numpy as np
import pytest
import torch
from ignite.engine import Events
from torch import nn

from Speckle2SelfLogic.errors import SettingsError, WeightsError
from Testing.training.tiny import NETWORK, average_of, tiny_settings, trained, write_frames, write_items
from Training.bundle import config_path
from Training.checkpoints import latest_checkpoint, read_checkpoint, steps_done
from Training.engine import TrainingStep, prepare_batch
from Training.progress import read_history


@pytest.fixture
def items(tmp_path):
    return write_items(tmp_path / "simulated")


def stopped_at(step):
    """Press Ctrl+C during a step."""

    def before(trainer):
        trainer.add_event_handler(Events.ITERATION_STARTED(once=step), lambda: os.kill(os.getpid(), signal.SIGINT))

    return before


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("step", [3, 4], ids=["in the middle of an epoch", "at the end of an epoch"])
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not_stopped(items, tmp_path, step):
    whole = average_of(trained(["train"], tiny_settings(items, tmp_path / "whole")))
    settings = tiny_settings(items, tmp_path / "parts")
    trained(["train"], settings, stopped_at(step))
    assert steps_done(latest_checkpoint(tmp_path / "parts" / "checkpoints")) == step
    assert_equal(average_of(trained(["train"], settings)), whole)
    assert [row["epoch"] for row in read_history(tmp_path / "parts")] == [1, 2, 3]


def test_a_run_that_was_killed_while_it_wrote_goes_on_from_the_checkpoint_before(items, tmp_path):
    settings = tiny_settings(items, tmp_path / "run")
    whole = average_of(trained(["train"], settings))
    newest = tmp_path / "run" / "checkpoints" / "checkpoint_epoch=3.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    assert_equal(average_of(trained(["train"], settings)), whole)


def test_scenes_made_while_training_are_those_of_a_run_that_was_not_stopped(tmp_path):
    frames = write_frames(tmp_path / "frames", 2, (64, 72))
    settings = {
        "data": str(frames), "epochs": 3, "epoch_length": 2, "batch": 2, "val_interval": 3, "scenes_kept": 3,
        "new_scenes": 0.4, "wanted_crop_px": 32, "anatomy_share": 0.0, "precision": "float32", "own#most_per_file": 1,
    }  # fmt: skip
    settings |= {"network_def": NETWORK, "teacher": NETWORK}
    configs = ["train", "methods/despeckler", "own_frames"]
    whole = average_of(trained(configs, settings | {"output_dir": str(tmp_path / "whole")}))
    trained(configs, settings | {"output_dir": str(tmp_path / "parts")}, stopped_at(3))
    assert_equal(average_of(trained(configs, settings | {"output_dir": str(tmp_path / "parts")})), whole)


def test_an_objective_that_counts_its_steps_goes_on_counting(items, tmp_path):
    objective = {"_target_": "Training.objectives.neighbor2neighbor.Neighbor2Neighbor", "ramp_steps": 10}
    for epochs in (1, 2):
        trained(["train"], tiny_settings(items, tmp_path / "run", epochs=epochs, epoch_length=2, objective=objective))
    state = read_checkpoint(latest_checkpoint(tmp_path / "run" / "checkpoints"))
    assert state["objective"]["steps_done"] == 4


def test_a_finished_run_is_not_changed_by_the_same_command(items, tmp_path):
    settings = tiny_settings(items, tmp_path / "run", epochs=1)
    assert_equal(average_of(trained(["train"], settings)), average_of(trained(["train"], settings)))


def test_training_learns(items, tmp_path):
    trained(
        ["train"], tiny_settings(items, tmp_path / "run", epochs=8, epoch_length=8, warmup_steps=1, learning_rate=0.01)
    )
    history = read_history(tmp_path / "run")
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]
    assert history[-1]["psnr_db"] > history[0]["psnr_db"]
    assert history[-1]["learning_rate"] < 0.01 * max(row["learning_rate"] for row in history)


def test_a_run_without_progress_ends_early_and_keeps_its_best_weights(items, tmp_path):
    settings = tiny_settings(items, tmp_path / "run", epochs=9, learning_rate=0.0, weight_decay=0.0, patience=2)
    workflow = trained(["train"], settings)
    assert len(read_history(tmp_path / "run")) == 3
    best = torch.load(tmp_path / "run" / "best.pt", weights_only=True)["average"]
    assert_equal(best, average_of(workflow))


def test_half_the_bits_give_nearly_the_same_loss():
    torch.manual_seed(0)
    network, batch = nn.Conv2d(1, 1, 3, padding=1), {"speckled": torch.rand(2, 1, 16, 16)}
    losses = [
        TrainingStep(network, lambda net, frames: net(frames["speckled"]).square().mean(), precision)(batch)
        for precision in ("float32", "bfloat16")
    ]
    assert losses[1].dtype == torch.float32
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.02)
    assert losses[1].item() != losses[0].item()


def test_only_frames_reach_the_objective():
    frames, _ = prepare_batch({"speckled": torch.ones(1), "number": torch.ones(1), "path": ["x"]}, "cpu")
    assert list(frames) == ["speckled"]


def test_frames_reach_the_objective_as_plain_tensors():
    from monai.data import MetaTensor

    frames, _ = prepare_batch({"speckled": MetaTensor(torch.rand(2, 1, 4, 4))}, "cpu")
    assert type(frames["speckled"]) is torch.Tensor


def test_what_a_part_refuses_is_one_sentence_without_the_wrapping_of_monai(items, tmp_path):
    with pytest.raises(WeightsError, match="No model is named 'no-such-model'"):
        trained(["train"], tiny_settings(items, tmp_path / "run", initial_weights="no-such-model"))


def test_only_configurations_of_the_bundle_are_run(tmp_path):
    (tmp_path / "mine.yaml").write_text("x: 1")
    for name in ("../pyproject", str(tmp_path / "mine"), "no-such"):
        with pytest.raises(SettingsError, match="has no configuration"):
            config_path(name)


def test_validation_figures_agree_with_another_library(items, tmp_path):
    from PIL import Image
    from skimage.metrics import peak_signal_noise_ratio

    workflow = trained(["train"], tiny_settings(items, tmp_path / "run", epochs=1))
    network = workflow.parser.get_parsed_content("average").ema_model
    values = []
    for item in items[:2]:
        speckled = np.asarray(Image.open(item["speckled"]), np.float32) / 255
        truth = np.asarray(Image.open(item["truth"]), np.float32) / 65535
        with torch.inference_mode():
            output = network(torch.tensor(speckled.tolist())[None, None])[0, 0]
        values.append(peak_signal_noise_ratio(truth, np.array(output.tolist(), np.float32), data_range=1.0))
    assert read_history(tmp_path / "run")[-1]["psnr_db"] == pytest.approx(np.mean(values), abs=1e-3)


def test_a_training_that_only_spoils_a_model_keeps_the_one_that_it_began_with(items, tmp_path, capsys):
    spoiling = {"learning_rate": 1.0, "warmup_steps": 1, "gradient_clip": 1e6, "epochs": 2, "validate_first": True}
    start = {}

    def remember(trainer):
        start.update({name: values.clone() for name, values in trainer.network.network.state_dict().items()})

    trained(["train"], tiny_settings(items, tmp_path / "run", **spoiling), remember)
    best = read_checkpoint(tmp_path / "run" / "best.pt")
    assert best["trainer"]["iteration"] == 0
    assert_equal(dict(best["average"]), start)
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == [1, 2]
    assert "before  PSNR" in capsys.readouterr().err
