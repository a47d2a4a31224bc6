"""What MONAI's own commands say of the bundle."""

import json
import logging
import re
import warnings
from hashlib import sha256

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.weights import DEFAULT_MODEL, builtin_models_folder, find_model, load_network
from Testing.training.tiny import write_frames, write_items
from Training import bundle
from Training.bundle import CONFIGS, ROOT, open_workflow, run_workflow

META = str(CONFIGS / "metadata.json")


SCHEMA = ROOT / "docs" / "metadata_schema.json"


def verify(path):
    """With the schema that lies there already, so that nothing is fetched."""
    verify_metadata(
        str(path), filepath=str(SCHEMA), hash_val=sha256(SCHEMA.read_bytes()).hexdigest(), hash_type="sha256"
    )


def test_the_metadata_say_what_a_bundle_has_to_say():
    verify(META)


def test_metadata_without_a_required_field_are_refused(tmp_path):
    content = json.loads((CONFIGS / "metadata.json").read_text())
    del content["intended_use"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="intended_use"):
        verify(tmp_path / "metadata.json")


def test_version_and_changelog_agree():
    content = json.loads((CONFIGS / "metadata.json").read_text())
    assert content["version"] in content["changelog"]


def test_evaluation_metrics_are_those_of_the_card_of_the_default_model():
    content = json.loads((CONFIGS / "metadata.json").read_text())
    measured = find_model(DEFAULT_MODEL).metrics["simulated_held_out"]
    assert content["eval_metrics"] == {f"simulated_held_out_{name}": measured[name] for name in ("psnr_db", "ssim")}


def test_the_network_takes_and_gives_what_the_metadata_say():
    config = str(CONFIGS / "inference.yaml")
    verify_net_in_out("network_def", meta_file=META, config_file=config, device="cpu", any=33)


def test_the_default_weights_are_exported_as_a_program_that_answers_alike(tmp_path):
    weights = builtin_models_folder() / f"{DEFAULT_MODEL}.pt"
    target = tmp_path / "model.ts"
    with warnings.catch_warnings():
        # PyTorch deprecates TorchScript, which this command is about, and tracing tells of shapes that it fixes.
        warnings.simplefilter("ignore")
        ckpt_export(
            "network_def",
            filepath=str(target),
            ckpt_file=str(weights),
            meta_file=META,
            config_file=str(CONFIGS / "inference.yaml"),
            use_trace=True,
            input_shape=[1, 1, 64, 64],
        )
        program = torch.jit.load(str(target))
    frames = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(program(frames), load_network(DEFAULT_MODEL)[0](frames), atol=1e-5, rtol=1e-4)


def test_inference_writes_one_picture_for_each_frame(tmp_path):
    frames = write_frames(tmp_path / "frames", 2)
    workflow = open_workflow(["inference"], "inference", dataset_dir=str(frames), output_dir=str(tmp_path / "clean"))
    run_workflow(workflow)
    for number in (0, 1):
        before, after = (np.asarray(Image.open(tmp_path / folder / f"{number}.png")) for folder in ("frames", "clean"))
        assert after.shape == before.shape
        assert np.abs(np.diff(after.astype(float))).mean() < np.abs(np.diff(before.astype(float))).mean()


def test_evaluation_writes_figures_of_each_frame(tmp_path):
    items = write_items(tmp_path / "simulated", 2)
    workflow = open_workflow(
        ["evaluate"], "inference", **{"dataset#data": items, "output_dir": str(tmp_path / "figures")}
    )
    run_workflow(workflow)
    table = (tmp_path / "figures" / "psnr_db_raw.csv").read_text()
    assert "0_speckled" in table
    assert {path.name for path in (tmp_path / "figures").glob("*_summary.csv")} == {
        "psnr_db_summary.csv", "ssim_summary.csv",
    }  # fmt: skip


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(SettingsError, match="has no image files"):
        run_workflow(open_workflow(["inference"], "inference", dataset_dir=str(tmp_path)))


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_configuration_is_yaml_without_repeated_keys_or_paths_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    assert not re.search(r"/(home|work|tmp|root|Users)/", text)
    top = [line.split(":")[0] for line in text.splitlines() if re.match(r"[\w+'\"]", line)]
    assert len(top) == len(set(top))


def test_the_logging_of_the_bundle_is_taken_by_monai_without_running_code():
    from monai.bundle.workflows import _reject_executable_logging_config

    assert "sys.stderr" in _reject_executable_logging_config(str(CONFIGS / "logging.conf"))


def test_a_missing_extra_is_one_sentence_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(bundle.util, "find_spec", lambda name: None if name == "monai" else object())
    with pytest.raises(SettingsError, match=r'^Training needs monai.*: pip install "speckle2self\[train\]"\.$'):
        bundle.check_installed()


def test_monai_is_quiet_but_for_errors():
    bundle.quiet_loggers()
    assert logging.getLogger("monai.bundle.workflows").level == logging.ERROR
