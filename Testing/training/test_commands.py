"""The command line of training on a user's own folder, from the frames to a despeckled image."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from ignite.engine import Events
from PIL import Image

from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.weights import load_network, read_card
from Testing.training.tiny import NETWORK, write_frames
from Training import own_training
from Training.own_request import Request, default_name
from Training.progress import read_history

QUICK = {"scenes_kept": 2, "new_scenes": 0.5, "wanted_crop_px": 32, "batch": 2, "anatomy_share": 0.0}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in this process with settings that make it quick; returns status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(tmp_path / "user-models"))
    settings = own_training._settings
    monkeypatch.setattr(own_training, "_settings", lambda request: {**settings(request), **QUICK})
    monkeypatch.setattr(own_training, "HELD_OUT_PAIRS", 1)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["speckle2self", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def some_frames(tmp_path):
    return write_frames(tmp_path / "My Frames", 3, (64, 72))


def test_a_model_is_fitted_to_a_folder_and_despeckles_with_it(run, some_frames, tmp_path):
    (some_frames / "damaged.png").write_bytes(b"junk")
    # A configuration of MONAI is code. One that lies in the folder must be left alone.
    harmful = {"initialize": ["$__import__('pathlib').Path('harmed').touch()"], "run": ["$1"]}
    (some_frames / "configs").mkdir()
    for name in ("train.yaml", "configs/train.json", "configs/metadata.json", "configs/logging.conf"):
        (some_frames / name).write_text(json.dumps(harmful))
    status, output, errors = run("finetune", some_frames, "--steps", 2)
    assert status == 0, errors
    folder = tmp_path / "runs" / "my-frames-finetuned"
    assert output.strip() == os.path.join("runs", "my-frames-finetuned", "my-frames-finetuned.pt")  # noqa: PTH118
    assert "Left out" in errors
    assert "damaged.png" in errors
    assert "epoch 1/1" in errors
    assert not (tmp_path / "harmed").exists()
    assert (folder / "preview.png").stat().st_size > 0
    card = read_card(folder / "my-frames-finetuned.json")
    assert card.training_data[-1].name == "3 files of the folder 'My Frames'"
    assert len(card.training_data) > 1  # those of the model that it started from
    assert card.metrics["last_validation"]["objective"] > 0
    frame = some_frames / "0.png"
    status, _, errors = run("denoise", frame, "clean.png", "--model", output.strip())
    assert status == 0, errors
    before, after = (np.asarray(Image.open(path), float) for path in (frame, "clean.png"))
    assert np.abs(np.diff(after)).mean() < np.abs(np.diff(before)).mean()
    assert run("models", "add", folder / "my-frames-finetuned.json", "--name", "mine")[0] == 0
    assert load_network("mine")[1].title == card.title
    status, _, errors = run("finetune", some_frames, "--steps", 2)
    assert status == 1
    assert "exists already" in errors


def test_it_is_said_aloud_that_no_step_was_better_than_the_start(run, some_frames, monkeypatch, tmp_path):
    monkeypatch.setitem(QUICK, "learning_rate", 0.0)
    status, _, errors = run("finetune", some_frames, "--steps", 2)
    assert status == 0, errors
    card = read_card(tmp_path / "runs" / "my-frames-finetuned" / "my-frames-finetuned.json")
    assert card.recipe["steps_done"] == 0
    assert "the new model is a copy of it" in " ".join(errors.split())


def test_a_stopped_command_says_how_to_go_on_and_goes_on(run, some_frames, monkeypatch, tmp_path):
    run_workflow = own_training.run_workflow

    def stopped(workflow):
        trainer = workflow.parser.get_parsed_content("train#trainer")
        trainer.add_event_handler(Events.ITERATION_STARTED(once=2), lambda: os.kill(os.getpid(), signal.SIGINT))
        run_workflow(workflow)

    monkeypatch.setattr(own_training, "run_workflow", stopped)
    command = ("finetune", some_frames, "--steps", 3, "--name", "mine", "--out", tmp_path / "out")
    status, _, errors = run(*command)
    assert status == 130
    assert "Stopped after step 2 of 3; the same command goes on" in " ".join(errors.split())
    monkeypatch.setattr(own_training, "run_workflow", run_workflow)
    status, _, errors = run(*command[:3], 4, *command[4:])
    assert status == 1
    assert "steps 3 instead of 4" in " ".join(errors.split())
    status, _, errors = run(*command)
    assert status == 0, errors
    assert "Going on" in errors
    # The best validation may be the one before the first step, so the card may say 0 steps; the run went on to the end.
    assert read_card(tmp_path / "out" / "mine.json").recipe["steps_done"] in (0, 3)
    assert [row["step"] for row in read_history(tmp_path / "out")] == [3]


@pytest.mark.parametrize("method", ["despeckler", "noise2void"])
def test_a_network_is_trained_from_the_beginning(run, some_frames, monkeypatch, method):
    monkeypatch.setitem(QUICK, "network_def", NETWORK)
    status, output, errors = run("train", some_frames, "--steps", 2, "--method", method, "--name", "new")
    assert status == 0, errors
    network, card = load_network(output.strip())
    assert card.network_settings["channels"] == [4, 4, 8]
    assert sum(values.numel() for values in network.parameters()) < 20_000


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nowhere",), "There is no file or folder"),
        (("empty",), "has no image files"),
        (("FRAMES", "--steps", 0), "at least 1, but is 0"),
        (("FRAMES", "--threads", 0), "threads must be at least 1"),
        (("FRAMES", "--seed", -1), "seed must be 0 or more"),
        (("FRAMES", "--method", "noise2true"), "can be learnt from by"),
        (("FRAMES", "--method", "published"), "cannot be trained on by"),
        (("FRAMES", "--name", "No Name"), "A model's name has"),
        (("FRAMES", "--name", "speckle2self-small"), "There is a model named"),
        (("FRAMES", "--model", "no-such"), "No model is named"),
        (("FRAMES", "--device", "abacus"), "abacus"),
        (("FRAMES", "--out", "full"), "not an empty folder"),
        (("FRAMES", "--out", "full/file"), "not an empty folder"),
        (("FRAMES", "--out", "full/file/x"), "full"),
    ],
)
def test_bad_input_is_one_sentence_and_status_one(run, some_frames, tmp_path, arguments, part):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    status, output, errors = run("finetune", *(some_frames if each == "FRAMES" else each for each in arguments))
    assert status == 1
    assert output == ""
    assert part in " ".join(errors.split())
    assert "Traceback" not in errors
    assert errors.strip().startswith("Error:")
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_protected_run_folder_is_one_sentence(run, some_frames, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("The administrator may write anywhere.")
    (tmp_path / "locked").mkdir(mode=0o500)
    status, _, errors = run("finetune", some_frames, "--out", tmp_path / "locked" / "run")
    assert status == 1
    assert "cannot be made" in errors


def test_a_model_is_measured_on_a_folder(run, some_frames, tmp_path):
    status, output, errors = run("evaluate", "median", some_frames, "--csv", tmp_path / "figures.csv")
    assert status == 0, errors
    assert "3 images" in output
    assert len((tmp_path / "figures.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("steps", "epochs", "length", "interval"), [(1, 1, 1, 1), (25, 1, 25, 1), (300, 12, 25, 2), (20000, 200, 100, 5)]
)
def test_steps_become_whole_epochs_with_a_validation_after_the_last(tmp_path, steps, epochs, length, interval):
    request = Request(tmp_path, tmp_path, "x", None, "despeckler", steps)
    assert (request.epochs, request.epoch_length, request.val_interval) == (epochs, length, interval)


def test_a_name_is_made_from_the_folder(tmp_path):
    assert default_name(tmp_path / "Müller's Scans (2)", "finetuned") == "m-ller-s-scans-2-finetuned"


def test_the_help_does_not_load_what_training_needs():
    code = (
        "import sys; from Speckle2SelfLogic.cli import app, _add_commands; _add_commands();"
        "names = {command.callback.__name__ for command in app.registered_commands};"
        "assert {'train', 'finetune', 'evaluate'} <= names, names;"
        "assert not {'torch', 'monai', 'ignite', 'numpy', 'yaml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
