"""Sampling, seeds, clipping, stopping, checkpoints, history and preview, each by itself."""

import os
import signal

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events, State
from monai.transforms import Randomizable
from PIL import Image
from torch import nn

from Speckle2SelfLogic.errors import SettingsError
from Training.checkpoints import epochs_done, keep_newest, latest_checkpoint, steps_done
from Training.handlers import ClipGradients, SeedEachBatch, StopOnSignal
from Training.preview import WritePreview, preview_picture
from Training.progress import RecordHistory, ShowProgress, read_history
from Training.records import described, plain, read_record, write_record
from Training.sampling import DrawWithReplacement
from Training.tracking import flat
from Training.validation import ObjectiveOf, OnSpeckled


class Dice(Randomizable):
    """A random transform."""

    def throw(self):
        return int(self.R.randint(1_000_000))


def draws(**options):
    return DrawWithReplacement(50, 12, **{"batch": 2, "seed": 3, **options})


def test_replicas_draw_together_what_one_process_draws():
    whole = np.array(list(draws(batch=4)))
    halves = [np.array(list(draws(replicas=2, rank=rank))) for rank in (0, 1)]
    np.testing.assert_array_equal(whole.reshape(3, 2, 2)[:, 0].ravel(), halves[0])
    np.testing.assert_array_equal(whole.reshape(3, 2, 2)[:, 1].ravel(), halves[1])
    assert len(draws(replicas=2)) == 6


def test_draws_depend_on_seed_and_epoch_and_can_be_entered_at_a_batch():
    first, again, later = draws(), draws(), draws()
    later.batches_done = 2
    assert list(first) == list(again)
    assert list(later) == list(first)[4:]
    again.epoch = 1
    assert list(again) != list(first)


def test_what_is_random_in_a_step_is_the_same_when_a_run_goes_on():
    dice, sampler = Dice(), draws()
    seeder, thrown = SeedEachBatch(7, sampler, dice), {}

    def step(engine, _batch):
        thrown.setdefault(engine.state.iteration, []).append((dice.throw(), float(torch.rand(()))))

    for first in (0, 4):
        engine = Engine(step)
        seeder.attach(engine)
        engine.load_state_dict({"iteration": first, "max_epochs": 2, "epoch_length": 3})
        engine.run(range(3))
    assert thrown[5] == [thrown[5][0]] * 2
    assert thrown[1] != thrown[2]
    assert (sampler.epoch, sampler.batches_done) == (2, 1)


def test_gradients_longer_than_the_limit_get_its_length():
    weights = nn.Linear(2, 1, bias=False)
    weights.weight.grad = torch.tensor([[3.0, 4.0]])
    engine = type("Trainer", (), {"amp": False, "scaler": None})()
    ClipGradients(weights, 1.0)(engine)
    torch.testing.assert_close(weights.weight.grad, torch.tensor([[0.6, 0.8]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_and_is_given_back(number):
    before, done, completed = signal.getsignal(number), [], []
    engine = Engine(lambda engine, _batch: done.append(engine.state.iteration))
    engine.state = State(device=torch.device("cpu"))
    StopOnSignal().attach(engine)
    engine.add_event_handler(Events.ITERATION_STARTED(once=2), lambda: os.kill(os.getpid(), number))
    engine.add_event_handler(Events.COMPLETED, lambda: completed.append(True))
    engine.run(range(5), max_epochs=1)
    assert done == [1, 2]
    assert completed == []
    assert signal.getsignal(number) is before


def test_signals_are_given_back_when_a_step_fails():
    before = signal.getsignal(signal.SIGINT)

    def fail(_engine, _batch):
        message = "no"
        raise ValueError(message)

    engine = Engine(fail)
    engine.logger.disabled = True
    StopOnSignal().attach(engine)
    with pytest.raises(ValueError, match="no"):
        engine.run(range(1))
    assert signal.getsignal(signal.SIGINT) is before


def checkpoint(path, iteration, age_s=0):
    torch.save({"average": {}, "trainer": {"iteration": iteration, "epoch_length": 4}}, path)
    os.utime(path, (1e9 - age_s, 1e9 - age_s))
    return path


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    whole = checkpoint(tmp_path / "checkpoint_epoch=1.pt", 4, age_s=9)
    half = tmp_path / "checkpoint_epoch=2.pt"
    half.write_bytes(whole.read_bytes()[:-40])
    assert latest_checkpoint(tmp_path) == str(whole)
    assert latest_checkpoint(tmp_path / "nowhere") == ""


def test_a_checkpoint_tells_steps_and_whole_epochs(tmp_path):
    path = checkpoint(tmp_path / "a.pt", 11)
    assert (steps_done(path), epochs_done(path)) == (11, 2)
    assert (steps_done(""), epochs_done("")) == (0, 0)


@pytest.mark.parametrize("content", [b"", b"PK junk", None])
def test_what_is_no_checkpoint_is_one_sentence(tmp_path, content):
    path = tmp_path / "x.pt"
    if content is None:
        torch.save({"weights": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="not a checkpoint of a training"):
        steps_done(path)


def test_the_newest_checkpoints_are_kept(tmp_path):
    paths = [checkpoint(tmp_path / f"{age}.pt", 1, age_s=age) for age in range(4)]
    keep_newest(tmp_path, 2)
    assert [path.exists() for path in paths] == [True, True, False, False]


def an_engine_that_trains(losses):
    """A trainer of one step an epoch, with the mean loss among its metrics."""
    engine = Engine(lambda engine, _batch: {"loss": torch.tensor(losses[engine.state.epoch - 1])})
    engine.optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)

    @engine.on(Events.ITERATION_COMPLETED)
    def mean(engine):
        engine.state.metrics["loss"] = float(engine.state.output["loss"])

    return engine


def test_each_epoch_is_a_line_and_repeated_epochs_replace_theirs(tmp_path):
    validator = Engine(lambda _engine, _batch: None)
    validator.state = State(epoch=2, metrics={"psnr_db": 30.0})
    for losses in ([0.5, 0.25], [0.5, 0.125]):
        engine = an_engine_that_trains(losses)
        RecordHistory(tmp_path, validator).attach(engine)
        engine.run(range(1), max_epochs=2)
    rows = read_history(tmp_path)
    assert [row["loss"] for row in rows] == [0.5, 0.125]
    assert [row.get("psnr_db") for row in rows] == [None, 30.0]
    assert rows[0]["learning_rate"] == 0.5
    assert read_history(tmp_path / "nowhere") == []


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_tells_loss_and_figures_of_each_epoch(is_terminal):
    from rich.console import Console

    console = Console(force_terminal=is_terminal, width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    validator = Engine(lambda _engine, _batch: None)
    validator.state = State(epoch=1, metrics={"psnr_db": 30.0, "ssim": 0.9})
    engine = an_engine_that_trains([0.5])
    ShowProgress(validator, console).attach(engine)
    engine.run(range(1), max_epochs=1)
    console.file.close()
    assert "epoch 1/1  loss 0.5000  PSNR 30.00 dB  SSIM 0.900" in console.export_text()


def test_a_preview_shows_input_output_and_truth_side_by_side(tmp_path):
    validator = Engine(lambda _engine, batch: {"image": batch})
    WritePreview(tmp_path, nn.Identity(), most_frames=2).attach(validator)
    batch = {"speckled": torch.full((1, 1, 10, 20), 0.5), "truth": torch.ones(1, 1, 10, 20)}
    validator.run([batch] * 3)
    picture = np.asarray(Image.open(tmp_path / "preview.png"))
    assert picture.shape == (16 + 2 * 16, 3 * 26)
    assert (picture[20, 5], picture[20, 31], picture[20, 57]) == (128, 128, 255)
    assert list(tmp_path.iterdir()) == [tmp_path / "preview.png"]


def test_a_real_frame_is_shown_rather_than_a_simulated_one(tmp_path):
    picture = preview_picture([[np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)]])
    assert picture.size == (20, 26)
    validator = Engine(lambda _engine, batch: {"image": batch})
    WritePreview(tmp_path, nn.Identity()).attach(validator)
    validator.run(
        [{"speckled": torch.zeros(1, 1, 8, 8), "real": torch.ones(1, 1, 8, 8), "truth": torch.ones(1, 1, 8, 8)}]
    )
    with Image.open(tmp_path / "preview.png") as shown:
        assert shown.size == (2 * 14, 16 + 14)


def test_the_objective_of_a_validation_draws_the_same_each_time_and_leaves_the_seed_alone():
    class Noisy(nn.Module):
        def forward(self, network, batch):
            return network(batch["speckled"]).mean() + torch.rand(())

    value = ObjectiveOf(nn.Identity(), Noisy(), seed=1)
    output = {"image": {"speckled": torch.zeros(1, 1, 4, 4)}}
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert value(output) == value(output)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert OnSpeckled(nn.Identity())(output["image"]).shape == (1, 1, 4, 4)


def test_a_record_says_how_a_run_was_made(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/x/bin/speckle2self", "finetune", "frames"])
    write_record(tmp_path / "run", {"rate": 0.5, "where": tmp_path, "objective": described(draws())})
    record = read_record(tmp_path / "run")
    assert record["command"] == "speckle2self finetune frames"
    assert record["settings"]["objective"] == {
        "class": "DrawWithReplacement", "population": 50, "count": 12, "batch": 2, "seed": 3, "replicas": 1, "rank": 0,
        "epoch": 0, "batches_done": 0,
    }  # fmt: skip
    assert read_record(tmp_path) == {}


def test_settings_become_one_level_for_trackers():
    assert flat({"a": 1, "b": {"c": (2, None)}}) == {"a": 1, "b.c": [2, None]}
    assert plain({"d": torch.device("cpu")}) == {"d": "cpu"}
