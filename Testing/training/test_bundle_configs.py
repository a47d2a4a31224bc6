"""Every configuration trains and resumes on fabricated frames; a new file is tested as soon as it is there."""

import numpy as np
import pytest
import yaml

from Testing.training.tiny import NETWORK, tiny_settings, trained, write_frames, write_items
from Training.bundle import CONFIGS, method_names, open_workflow
from Training.checkpoints import latest_checkpoint, steps_done
from Training.progress import read_history


def is_trained(name):
    """Methods that are fitted to each frame have no training."""
    return "despeckler" not in yaml.safe_load((CONFIGS / "methods" / f"{name}.yaml").read_text())


TRAINED = [name for name in method_names() if is_trained(name)]
ON_TOP_OF = {name: ["methods/despeckler"] for name in ("despeckler_lean", "published_shipped")}


@pytest.fixture
def items(tmp_path):
    return write_items(tmp_path / "simulated")


def settings_of(name, items, tmp_path):
    settings = tiny_settings(items, tmp_path / "run", epochs=1, epoch_length=1, val_interval=1)
    content = yaml.safe_load((CONFIGS / "methods" / f"{name}.yaml").read_text())
    if name == "despeckler" or name in ON_TOP_OF:
        frames = write_frames(tmp_path / "real", 2, (64, 72))
        settings |= {"data": str(frames), "real_sets": [{"pattern": "*.png"}], "scene_px": 48, "scenes_kept": 2}
        settings |= {"scenes": items[:3], "new_scenes": 0.5, "initial_weights": None, "teacher": NETWORK}
        del settings["train#dataset#data"]
    if "network_def" in content:
        del settings["network_def"]
    return settings


@pytest.mark.parametrize("name", TRAINED)
def test_a_method_trains_and_resumes(name, items, tmp_path):
    configs = ["train", *ON_TOP_OF.get(name, []), f"methods/{name}"]
    settings = settings_of(name, items, tmp_path)
    for epochs in (1, 2):
        workflow = trained(configs, settings | {"epochs": epochs})
        assert steps_done(latest_checkpoint(tmp_path / "run" / "checkpoints")) == epochs
    assert workflow.check_properties() == []  # what MONAI asks of a bundle that trains
    history = read_history(tmp_path / "run")
    assert [row["epoch"] for row in history] == [1, 2]
    assert np.isfinite([row["loss"] for row in history]).all()
    assert (tmp_path / "run" / "preview.png").stat().st_size > 0


@pytest.mark.parametrize("name", ["evaluate", "inference"])
def test_evaluation_and_inference_meet_what_monai_asks_of_a_bundle(name, items):
    assert open_workflow([name], "inference", **{"dataset#data": items}).check_properties() == []


@pytest.mark.parametrize("overlays", [["own_frames"], ["own_frames", "finetune"]])
def test_own_frames_train_and_resume(overlays, tmp_path):
    frames = write_frames(tmp_path / "frames", 6, (64, 72))
    settings = {
        "data": str(frames), "output_dir": str(tmp_path / "run"), "epoch_length": 1, "batch": 2, "val_interval": 1,
        "scenes_kept": 2, "new_scenes": 0.5, "wanted_crop_px": 32, "anatomy_share": 0.0,
    }  # fmt: skip
    if "finetune" not in overlays:
        settings["network_def"] = NETWORK
    for epochs in (1, 2):
        workflow = trained(["train", "methods/despeckler", *overlays], settings | {"epochs": epochs})
    assert workflow.check_properties() == []
    assert {"speckled", "truth", "real"} <= workflow.parser.get_parsed_content("validate#dataset")[0].keys()
    history = read_history(tmp_path / "run")
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(row["objective"] > 0 and row["psnr_db"] > 0 for row in history)


def test_curves_are_recorded_for_tensorboard(items, tmp_path):
    pytest.importorskip("tensorboard")
    trained(["train", "tensorboard"], tiny_settings(items, tmp_path / "run", epochs=1))
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_a_tracker_that_is_not_installed_is_one_sentence(items, tmp_path, monkeypatch):
    from Speckle2SelfLogic.errors import SettingsError
    from Training import tracking

    find_spec = tracking.util.find_spec
    monkeypatch.setattr(tracking.util, "find_spec", lambda name: None if name == "mlflow" else find_spec(name))
    with pytest.raises(SettingsError, match=r"^Recording with mlflow .* pip install mlflow\.$"):
        open_workflow(["train", "mlflow"], **tiny_settings(items, tmp_path / "run"))
