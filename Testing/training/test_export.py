"""Models of runs: files and cards."""

import json
from dataclasses import asdict

import pytest
import torch

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.networks.reference import ReferenceNetwork
from Speckle2SelfLogic.weights import card_of, load_network, verify_model
from Training.export import SOURCES, card_details, export_run, network_settings, without_block

CONFIGS = SOURCES.parent


@pytest.fixture
def a_run(tmp_path):
    torch.manual_seed(2)
    return write_run(tmp_path / "run", Despeckler(channels=(4, 8), blocks=2, middle_blocks=3))


def write_run(folder, network, best=None):
    (folder / "checkpoints").mkdir(parents=True)
    trainer = {"iteration": 7, "epoch_length": 7}
    torch.save({"average": network.state_dict(), "trainer": trainer}, folder / "checkpoints" / "checkpoint_epoch=1.pt")
    if best is not None:
        torch.save({"average": best.state_dict(), "trainer": {"iteration": 5}}, folder / "best.pt")
    return folder


def frames():
    return torch.rand(1, 1, 33, 47, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"channels": [4, 8, 4], "blocks": 3, "middle_blocks": 1},
        {"channels": [6, 4], "middle_blocks": 0},
        {"channels": [8, 4, 4], "fold": 4},
        {"channels": [8, 4, 4], "fold": 4, "group_channels": 4, "finest_blocks": [0, 3], "ends_px": 1},
        {"channels": [8, 4], "group_channels": 2, "finest_blocks": [2, 1]},
    ],
)
def test_settings_of_a_network_are_read_off_its_tensors(settings):
    state = Despeckler(**settings).state_dict()
    again = Despeckler(**network_settings(state))
    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }
    assert (network_settings(state) == {}) == (settings == {})


def test_a_run_becomes_a_model_that_loads_strictly_and_a_new_version_takes_its_place(a_run, tmp_path):
    folder = tmp_path / "models"
    for pairs in (0, 2):
        card = export_run(a_run, "tiny", folder, details={"title": "Tiny", "recipe_note": "A note."}, pairs=pairs)
    verify_model(card)
    assert card.metrics["simulated_held_out"]["pairs"] == 2
    assert (card.title, card.recipe["steps_done"], card.recipe["note"]) == ("Tiny", 7, "A note.")
    network, read = load_network(str(folder / "tiny.json"))
    assert read.sha256 == card.sha256
    state = torch.load(a_run / "checkpoints" / "checkpoint_epoch=1.pt", weights_only=True)["average"]
    for name, values in network.state_dict().items():
        torch.testing.assert_close(values, state[name], rtol=0, atol=0)
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.json", "tiny.pt"]


def test_half_precision_halves_the_file_and_hardly_changes_the_answer(a_run, tmp_path):
    whole, half = (export_run(a_run, name, tmp_path, half=name == "half", pairs=0) for name in ("whole", "half"))
    assert half.bytes < 0.75 * whole.bytes
    with torch.inference_mode():
        answers = [load_network(card.path)[0](frames()) for card in (whole, half)]
    torch.testing.assert_close(answers[1], answers[0], rtol=0.01, atol=0.01)
    assert answers[1].dtype == torch.float32


def test_the_published_network_is_stored_without_what_only_training_uses(tmp_path):
    run = write_run(tmp_path / "run", ReferenceNetwork())
    card = export_run(run, "paper", tmp_path / "models", half=True, pairs=0)
    assert card.network == "reference"
    assert card.bytes < 10e6
    assert load_network(card.path)[0](frames()).shape == frames().shape
    assert export_run(run, "whole", tmp_path / "models", all_scales=True, half=True, pairs=0).bytes > 15e6


def test_the_best_weights_are_taken_if_asked(tmp_path):
    last, best = Despeckler(channels=(4, 8)), Despeckler(channels=(4, 8))
    run = write_run(tmp_path / "run", last, best)
    card = export_run(run, "best", tmp_path, best=True, pairs=0)
    torch.testing.assert_close(load_network(card.path)[0].head.weight, best.head.weight)
    assert card.recipe["steps_done"] == 5


def test_an_older_version_stays_when_the_new_one_fails(a_run, tmp_path):
    card = export_run(a_run, "tiny", tmp_path, pairs=0)
    with pytest.raises(Exception, match="licence"):
        export_run(a_run, "tiny", tmp_path, details={"licence": 5}, pairs=0)
    verify_model(card)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(SettingsError, match="holds no checkpoint"):
        export_run(tmp_path, "x", tmp_path)


def test_weights_may_lie_between_the_start_and_the_end_of_a_run(tmp_path):
    start, end = Despeckler(), Despeckler()
    model = export_run(write_run(tmp_path / "first", start), "start", tmp_path, pairs=0)
    run = write_run(tmp_path / "run", end)
    with pytest.raises(SettingsError, match="cannot be blended"):
        export_run(run, "between", tmp_path, pairs=0, blend=0.75)
    record = {"settings": {"initial_weights": str(tmp_path / "start.json")}}
    (run / "run.json").write_text(json.dumps(record))
    card = export_run(run, "between", tmp_path, pairs=0, blend=0.75)
    between = load_network(tmp_path / "between.json")[0].state_dict()
    name = "head.weight"
    torch.testing.assert_close(between[name], 0.25 * start.state_dict()[name] + 0.75 * end.state_dict()[name])
    assert card.recipe["blend"]["sha256_of_start"] == model.sha256


def test_a_block_that_does_nothing_can_be_left_out_and_the_others_stay(tmp_path):
    network = Despeckler(channels=(4, 8), finest_blocks=(1, 3))
    for number in (0, 2):  # a new block is the identity until its second convolution learns
        torch.nn.init.normal_(network.decoder[0][number].second.weight, std=0.1)
    run = write_run(tmp_path / "run", network)
    card = export_run(run, "two", tmp_path, pairs=0, without="decoder.0.1")
    assert (card.network_settings["finest_blocks"], card.recipe["left_out"]) == ([1, 2], "decoder.0.1")
    with torch.inference_mode():
        torch.testing.assert_close(load_network(card.path)[0](frames()), network(frames()), rtol=0, atol=0)


@pytest.mark.parametrize(
    "block", ["decoder.0.2", "encoder.0.0", "decoder.1.0", "tail", "decoder.0", "decoder.0.-1", ""]
)
def test_a_block_that_cannot_be_left_out_is_named(block):
    state = Despeckler(channels=(4, 8, 8), blocks=2, finest_blocks=(1, 2)).state_dict()
    with pytest.raises(SettingsError, match=f"no block '{block}'"):
        without_block(state, block)


@pytest.mark.parametrize(
    ("model", "file"),
    [("speckle2self-small", "despeckler"), ("speckle2self-fast", "fast"), ("published", "published")],
)
def test_the_models_that_ship_name_the_data_that_their_card_files_name(model, file):
    details = card_details(CONFIGS / f"{file}_card.yaml")
    assert [asdict(source) for source in card_of(model).training_data] == details["training_data"]


def test_data_that_nobody_listed_are_refused(tmp_path):
    card = tmp_path / "card.yaml"
    card.write_text("training_data: [simulated, secret]\n")
    with pytest.raises(SettingsError, match="names the data 'secret'"):
        card_details(card)
