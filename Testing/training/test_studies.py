"""Studies: what each choice is worth and what happens on an unseen device, with tiny networks on fabricated frames."""

import json
from collections import defaultdict

import numpy as np
import pytest
import yaml
from ignite.engine import Events
from PIL import Image
from typer.testing import CliRunner

from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Speckle2SelfLogic.weights import load_network
from Testing.training.tiny import NETWORK, speckled_frame, true_frame
from Training import own_frames, own_training, real_frames
from Training.checkpoints import latest_checkpoint, steps_done
from Training.datasets.manifest import MANIFEST, SCHEMA
from Training.datasets.real import list_frames
from Training.datasets.splits import leave_out_device
from Training.evidence import measuring
from Training.evidence.plan import read_plan
from Training.evidence.studies_section import CURVES, read_runs
from Training.studies import running, shifts
from Training.studies.__main__ import HERE, app
from Training.studies.plans import read_ablations, read_devices
from Training.studies.running import Places

QUICK = {"epochs": 1, "epoch_length": 2, "val_interval": 1, "batch": 2, "crop_px": 32, "precision": "float32"}
SIMULATED = {**QUICK, "sets": ["S-I"], "network_def": NETWORK}
SMALL_SCENES = {"scene_px": 48, "scenes_kept": 2, "new_scenes": 0.5, "anatomy_share": 0.0, "lowest_gain": 1.0}
NAMES = {
    "muscle_ge_logiq_e9": [f"S{s}_L20_step_{n}.png" for s in (1, 2, 3, 4) for n in (1, 2)],
    "vessel_nerve_mindray_te7/images": ["0040.png", "0041.png"],
    "cca_transverse_mindray/images": [f"subj{s}_acq01_slice{n}.png" for s in "ABCD" for n in (1, 2)],
}


def write_simulated(folder):
    """A finished folder of simulated sets with one scene for each split."""
    scenes = []
    for number, split in enumerate(("train", "validation", "test")):
        place = folder / "S-I" / split
        place.mkdir(parents=True)
        files = {}
        for kind, frame in (("speckled", speckled_frame(number)), ("truth", true_frame(number))):
            path = place / f"{number:04d}_{kind}.png"
            Image.fromarray(frame).save(path)
            files[kind] = {"path": path.relative_to(folder).as_posix(), "sha256": "0"}
        scenes.append({"set": "S-I", "split": split, "number": number, "seed": 0, "scanner": {}, "files": files})
    (folder / MANIFEST).write_text(json.dumps({"schema": SCHEMA, "scenes": scenes}))
    return folder


def write_real(folder):
    """Real frames of three devices, each frame another picture."""
    number = 100
    for place, names in NAMES.items():
        (folder / place).mkdir(parents=True)
        for name in names:
            Image.fromarray(speckled_frame(number, (64, 72))).save(folder / place / name)
            number += 1
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return write_simulated(tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return write_real(tmp_path_factory.mktemp("real"))


def write_ablations(path, **changes):
    truth = {"objective": {"_target_": "Training.objectives.supervised.Noise2True"}}
    published = {"objective": {"_target_": "Training.objectives.published.Speckle2Self"}}
    ours = {**SIMULATED, **SMALL_SCENES, "teacher_weights": "{truth}", "real_sets": [{"pattern": "*/S1*.png"}]}
    content = {
        "bases": {
            "published": {"settings": SIMULATED | published, "learned_from": "speckled simulation"},
            "truth": {"settings": SIMULATED | truth},
            "ours": {"configs": ["train", "methods/despeckler"], "settings": ours, "needs_data": True},
        },
        "sets": ["S-I"],
        "runs": [
            {"name": "l1", "base": "published", "question": "As published"},
            {"name": "l2", "base": "published", "question": "Squared", "settings": {"objective#consistency": "l2"}},
            {"name": "l1-again", "base": "published"},
            {"name": "real-50", "base": "ours", "settings": {"objective#real_share": 0.5}},
            {"name": "truth", "base": "truth"},
        ],
        "conclusions": ["L1 it is."],
    }
    path.write_text(yaml.safe_dump(content | changes))
    return path


def write_devices(path, **changes):
    truth = {"objective": {"_target_": "Training.objectives.supervised.Noise2True"}}
    shared = {**QUICK, **SMALL_SCENES, "sets": ["S-I"]}
    tuning = {"wanted_crop_px": 32, "batch": 2}
    content = {
        "devices": ["GE Logiq E9", "Mindray TE7"],
        "frames": [1, 16],
        "most_test_frames": 2,
        "bases": {
            "simulation": {"settings": SIMULATED | truth},
            "ours": {
                "configs": ["train", "methods/despeckler"],
                "settings": {**shared, "network_def": NETWORK, "initial_weights": "{simulation}"},
            },
            "published": {
                "configs": ["train", "methods/despeckler", "methods/published_shipped"],
                "settings": {**shared, "initial_weights": None},
            },
        },
        "starts": [{"name": "simulation", "base": "simulation"}],
        "methods": [
            {
                "name": "Ours",
                "base": "ours",
                "finetuning": {
                    "method": "despeckler",
                    "steps": 2,
                    "settings": {**tuning, "scenes_kept": 2, "new_scenes": 0.5, "anatomy_share": 0.0},
                },
            },
            {
                "name": "Published objective",
                "base": "published",
                "finetuning": {"method": "published", "steps": 2, "settings": tuning},
            },
        ],
    }
    path.write_text(yaml.safe_dump(content | changes))
    return path


def call(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def test_ablations_are_trained_once_and_listed_for_the_evidence(simulated, real, tmp_path):
    out, plan = tmp_path / "runs", write_ablations(tmp_path / "plan.yaml")
    command = ("ablations", "--dataset_dir", simulated, "--data", real, "--out", out, "--plan", plan)
    assert call(*command).exit_code == 0
    runs = read_runs(out / "ablations.json")
    names = ("l1", "l2", "l1-again", "real-50", "truth")
    assert [run["method"] for run in runs["runs"]] == [f"Ablation {n}" for n in names]
    assert runs["runs"][1]["overlay"] == "objective#consistency: l2"
    assert (runs["baseline"], runs["sets"], runs["conclusions"]) == ("Ablation l1", ["S-I"], ["L1 it is."])
    first, squared, again = (
        load_network(out / name / f"study-{name}.json")[0].state_dict() for name in ("l1", "l2", "l1-again")
    )
    assert any((first[key] != squared[key]).any() for key in first)  # the same seed and steps, another loss
    for key, value in first.items():  # what l2 changed of their common base stays with l2
        np.testing.assert_array_equal(again[key], value)
    measured = read_plan(out / "plan.yaml", {"simulated": simulated, "runs": out})
    for method in measured.methods:
        assert method.load().despeckle(np.full((1, 48, 48), 0.5, np.float32)).shape == (1, 48, 48)
    before = (out / "l1" / "study-l1.pt").stat().st_mtime_ns
    repeated = call(*command)
    assert repeated.stderr.count("finished already") == 6  # one of them is the start of another
    assert (out / "l1" / "study-l1.pt").stat().st_mtime_ns == before


def test_only_named_runs_are_trained_and_those_for_real_frames_ask_for_them(simulated, tmp_path):
    plan, out = write_ablations(tmp_path / "plan.yaml"), tmp_path / "runs"
    command = ("ablations", "--dataset_dir", simulated, "--out", out, "--plan", plan, "--only")
    assert call(*command, "l2", "--epochs", 2).exit_code == 0
    assert [run["method"] for run in read_runs(out / "ablations.json")["runs"]] == ["Ablation l2"]
    assert steps_done(latest_checkpoint(out / "l2" / "checkpoints")) == 4
    with pytest.raises(SettingsError, match="holds a run with another epochs"):
        call(*command, "l2")
    with pytest.raises(SettingsError, match="'real-50' learns from real frames"):
        call(*command, "real-50")
    with pytest.raises(SettingsError, match="no run 'l3'"):
        call(*command, "l3")


def test_a_stopped_run_goes_on_and_comes_to_the_weights_of_one_that_was_not(simulated, tmp_path, monkeypatch):
    (run,) = (run for run in read_ablations(write_ablations(tmp_path / "plan.yaml")).runs if run.name == "l1")
    places, told = Places(simulated, tmp_path), []
    whole = running.trained(run, tmp_path / "whole", places, told.append)
    run_workflow = running.run_workflow

    def stopped(workflow):
        trainer = workflow.parser.get_parsed_content("train#trainer")
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda e: e.terminate(skip_completed=True))
        run_workflow(workflow)

    monkeypatch.setattr(running, "run_workflow", stopped)
    with pytest.raises(CancelledError, match="stopped after step 1 of 2"):
        running.trained(run, tmp_path / "cut", places, told.append)
    monkeypatch.setattr(running, "run_workflow", run_workflow)
    cut = running.trained(run, tmp_path / "cut", places, told.append)
    assert told[-1] == "l1: going on from step 1 of 2 steps"
    states = [load_network(card)[0].state_dict() for card in (whole, cut)]
    for name, value in states[0].items():
        np.testing.assert_allclose(states[1][name], value, atol=1e-6)


def test_a_device_is_left_out_tried_and_fitted_to_and_nobody_of_the_test_is_learnt_from(
    simulated, real, tmp_path, monkeypatch
):
    seen = defaultdict(list)

    def spied(module, name, frames_of):
        original = getattr(module, name)

        def spy(*arguments, **named):
            result = original(*arguments, **named)
            seen[name].extend(frames_of(result, arguments))
            return result

        monkeypatch.setattr(module, name, spy)

    spied(real_frames, "load_frames", lambda result, _: result.frames)
    spied(own_frames, "read_folder", lambda result, _: (*result.training, *result.held_out))
    spied(measuring, "through_denoiser", lambda _, given: np.uint8(given[1].frames_nyx * 255 + 0.5))
    monkeypatch.setattr(own_training, "HELD_OUT_PAIRS", 0)
    out, plan = tmp_path / "runs", write_devices(tmp_path / "plan.yaml")
    command = ("devices", "--dataset_dir", simulated, "--data", real, "--out", out, "--plan", plan)
    done = call(*command)
    assert done.exit_code == 0, done.stderr
    runs = read_runs(out / "curves.json")
    assert [(run["device"], run["recipe"], run["frames"]) for run in runs["runs"]] == [
        *(("GE Logiq E9", recipe, count) for recipe in ("Ours", "Published objective") for count in (0, 1, 4)),
        ("Mindray TE7", "Ours", 0),
        ("Mindray TE7", "Published objective", 0),
    ]
    assert "GE Logiq E9 has 4 frames to fine-tune on" in runs["note"]
    assert "Mindray TE7 has frames of one subject only" in runs["note"]
    for run in runs["runs"]:
        assert run["n"] == 2
        assert {"homogeneity", "local_brightness_bias", "residual_structure"} <= run["figures"].keys() <= set(CURVES)

    frames = {np.asarray(Image.open(frame.path)).tobytes(): frame for frame in list_frames(real)}
    learnt, tuned, tested = (
        {frames[array.tobytes()] for array in seen[name]} for name in ("load_frames", "read_folder", "through_denoiser")
    )
    assert {frame.device for frame in tested} == {"GE Logiq E9", "Mindray TE7"}
    assert {frame.device for frame in tuned} == {"GE Logiq E9"}
    assert not {frame.subject for frame in tested} & {frame.subject for frame in tuned}
    trained_on = set()
    for device, folder in (("GE Logiq E9", "ge-logiq-e9"), ("Mindray TE7", "mindray-te7")):
        for method in ("ours", "published-objective"):
            asked = json.loads((out / folder / method / "study.json").read_text())["settings"]["real_sets"]
            files = {real / name for entry in asked for name in entry["files"]}
            assert files == {frame.path for frame in leave_out_device(real, device).train}
            assert device not in {frame.device for frame in list_frames(real) if frame.path in files}
            trained_on |= files
    assert {frame.path for frame in learnt} == trained_on

    seen.clear()
    assert call(*command).exit_code == 0
    assert not seen  # neither trained nor measured again
    assert read_runs(out / "curves.json") == runs


def test_a_shift_with_a_subject_on_both_sides_is_refused(real, monkeypatch):
    whole = leave_out_device(real, "GE Logiq E9")
    leaking = shifts.DeviceShift(whole.device, whole.train, whole.validation, whole.test, whole.test[:1])
    monkeypatch.setattr(shifts, "leave_out_device", lambda *_: leaking)
    with pytest.raises(SettingsError, match="would be learnt from and tested on when GE Logiq E9 is left out"):
        shifts.shift_of(real, "GE Logiq E9", [1], 24)
    same_device = shifts.DeviceShift(whole.device, whole.tuning, [], whole.test, [])
    monkeypatch.setattr(shifts, "leave_out_device", lambda *_: same_device)
    with pytest.raises(SettingsError, match="would be trained on while it is left out"):
        shifts.shift_of(real, "GE Logiq E9", [1], 24)


def test_a_device_without_frames_is_named_before_anything_is_trained(simulated, real, tmp_path):
    plan = write_devices(tmp_path / "plan.yaml", devices=["Sonoscape"])
    with pytest.raises(SettingsError, match="Leaving out 'Sonoscape' leaves nothing"):
        call("devices", "--dataset_dir", simulated, "--data", real, "--out", tmp_path / "runs", "--plan", plan)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": "$__import__('os').getpid()"},
        {"objective": {"_target_": "os.getpid"}},
        {"objective#_target_": "os.getpid"},
        {"sets": ["%other.yaml::x"]},
        {"bundle_root": "elsewhere"},
    ],
)
def test_a_plan_holds_nothing_that_runs_as_code(tmp_path, settings):
    runs = [{"name": "l1", "base": "published", "settings": settings}]
    with pytest.raises(SettingsError, match=r"run as code|for the command to do"):
        read_ablations(write_ablations(tmp_path / "plan.yaml", runs=runs))


def test_the_plans_of_the_project_can_be_read():
    ablations, devices = read_ablations(HERE / "ablations.yaml"), read_devices(HERE / "devices.yaml")
    assert {run.steps for run in ablations.runs} == {500}
    assert devices.frames == (1, 4, 16)
    assert {"l1", "l2", "scales-4", "fitted", "real-0", "truth-wide"} <= {run.name for run in ablations.runs}
