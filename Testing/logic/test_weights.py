"""Models by name and by path: cards, checksums, adding, and files that are not what they seem."""

import dataclasses
import json
import warnings
from pathlib import Path

import pytest
import torch

from Speckle2SelfLogic import weights
from Speckle2SelfLogic.errors import SettingsError, WeightsError
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.networks.reference import ReferenceNetwork
from Speckle2SelfLogic.weights import add_model, find_model, list_models, load_network, verify_model

SMALL = {"channels": [4, 8], "blocks": 1, "middle_blocks": 1}


@pytest.fixture(autouse=True)
def an_empty_models_folder(tmp_path, monkeypatch):
    """Neither the user's own models nor, unless a test asks for them, the built-in ones."""
    folder, builtin = tmp_path / "user-models", tmp_path / "builtin-models"
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(folder))
    monkeypatch.setattr(weights, "builtin_models_folder", lambda: builtin)
    return folder


@pytest.fixture
def a_network():
    torch.manual_seed(11)
    return Despeckler(channels=(4, 8), blocks=1, middle_blocks=1)


@pytest.fixture
def a_file(tmp_path, a_network):
    return saved(a_network.state_dict(), tmp_path / "Trained Net.pt")


@pytest.fixture
def a_model(a_file):
    return add_model(a_file, "small", {"network_settings": SMALL})


@pytest.fixture
def an_authors_checkpoint(tmp_path):
    """All 96 tensors, each one value repeated, so that the file stays small."""
    shapes = {name: values.shape for name, values in ReferenceNetwork().state_dict().items()}
    state = {name: torch.full((1,), 0.01 * i).expand(shape) for i, (name, shape) in enumerate(shapes.items())}
    return saved(state, tmp_path / "model_2833.pth")


def saved(content, path):
    torch.save(content, path)
    return path


def the_error(function, *arguments, **options):
    """The sentence with which a call fails; no warning may come with it."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(WeightsError) as caught:
            function(*arguments, **options)
    assert seen == []
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# Names and cards


def test_without_models_the_list_is_empty_and_a_name_is_unknown():
    assert list_models() == ()
    assert "No model is named 'speckle2self-fast': none is installed" in the_error(find_model, weights.DEFAULT_MODEL)


@pytest.mark.usefixtures("a_model")
def test_an_unknown_name_is_answered_with_the_known_ones():
    assert "known are small" in the_error(load_network, "smal")


def test_an_added_model_loads_with_the_same_weights_ready_for_inference(a_model, a_network):
    network, card = load_network("small")

    assert card == a_model == find_model("small") == list_models()[0]
    assert (card.network, card.network_settings) == ("despeckler", SMALL)
    assert not network.training
    for name, values in a_network.state_dict().items():
        assert torch.equal(network.state_dict()[name], values)


def test_a_card_travels_through_json_unchanged(a_file):
    card = add_model(
        a_file,
        details={
            "title": "A small one",
            "network_settings": SMALL,
            "version": "2.1",
            "licence": "CC-BY-4.0",
            "training_data": [{"name": "Phantom", "licence": "CC0", "attribution": "Ångström, 2020"}],
            "recipe": {"command": "train", "seed": 7},
            "metrics": {"hom": 0.7, "snr": {"muscle": 3.1}},
            "intended_use": "Tests.",
            "known_failures": ["Everything."],
            "citation": "None",
        },
    )

    assert card.name == "trained-net"
    assert weights.read_card(card.folder / "trained-net.json") == card
    assert card.training_data[0].attribution == "Ångström, 2020"


def test_a_model_with_a_builtin_name_does_not_hide_the_builtin_one(a_model, a_file):
    builtin = add_model(a_file, "other", {"network_settings": SMALL}, folder=weights.builtin_models_folder())
    for folder, name in ((builtin.folder, "small"), (a_model.folder, "other")):
        card = dataclasses.replace(builtin, name=name, folder=folder, title=f"{name} in {folder.name}")
        (folder / f"{name}.json").write_text(card.to_json(), encoding="utf-8")

    assert [card.title for card in list_models()] == ["Weights from Trained Net.pt", "small in builtin-models"]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("schema", "speckle2self-model-card/2", "schema"),
        ("network", "unet", "one of despeckler, reference"),
        ("network", ["despeckler"], "one of despeckler, reference"),
        ("file", "../elsewhere.pt", "without folders"),
        ("sha256", "ABC", "64 lower-case hexadecimal"),
        ("bytes", 2**60, "whole number from 1"),
        ("bytes", "12", "whole number from 1"),
        ("network_settings", {"channels": [10**9]}, "0 to 1024"),
        ("network_settings", {"channels": "many"}, "0 to 1024"),
        ("training_data", [{"name": "x", "licence": "y"}], "attribution"),
        ("metrics", {"hom": "good"}, "numbers"),
        ("known_failures", "none", "list of sentences"),
        ("title", " ", "not empty"),
        ("name", "Small", "lower-case"),
        ("name", "tiny", "must be called 'tiny.json'"),
        ("citation", None, "not empty"),
    ],
)
def test_a_wrong_field_of_a_card_is_named_with_its_rule(a_model, field, value, rule):
    path = a_model.folder / "small.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), field: value}), encoding="utf-8")

    for read in (lambda: find_model("small"), lambda: load_network("small"), list_models):
        assert rule in the_error(read)


def test_a_missing_or_unknown_field_of_a_card_is_named(a_model):
    path = a_model.folder / "small.json"
    content = json.loads(path.read_text("utf-8"))

    path.write_text(json.dumps({**content, "colour": "red"}), encoding="utf-8")
    assert "has unknown ['colour']" in the_error(find_model, "small")
    del content["licence"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert "lacks ['licence']" in the_error(find_model, "small")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"bytes": NaN}', b"[" * 200_000])
def test_a_card_that_is_no_card_is_one_sentence(a_model, content):
    (a_model.folder / "small.json").write_bytes(content)

    assert "Model card" in the_error(find_model, "small")


def test_settings_that_the_network_does_not_take_are_refused(a_model):
    path = a_model.folder / "small.json"
    card = dataclasses.replace(a_model, network_settings={"depth": 4})
    path.write_text(card.to_json(), encoding="utf-8")

    assert "despeckler network cannot be built with the settings {'depth': 4}" in the_error(load_network, "small")


# Checksums


def test_a_changed_file_is_refused_with_what_differs(a_model):
    verify_model(a_model)
    content = a_model.path.read_bytes()

    a_model.path.write_bytes(content[:-1])
    assert f"{len(content) - 1} bytes instead of {len(content)}" in the_error(verify_model, a_model)
    a_model.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert f"instead of {a_model.sha256}" in the_error(load_network, "small")
    a_model.path.unlink()
    assert "cannot be read" in the_error(load_network, "small")


def test_every_shipped_model_verifies_loads_and_is_under_10_megabytes(monkeypatch):
    monkeypatch.undo()  # the built-in folder itself
    monkeypatch.setenv("SPECKLE2SELF_MODELS", "/nowhere")

    cards = list_models()

    assert weights.DEFAULT_MODEL in [card.name for card in cards]
    for card in cards:
        assert card.bytes < 10_000_000
        assert "not stated" not in (card.licence, card.intended_use, card.citation)
        assert load_network(card.name)[1] == card


# Adding


def test_adding_never_overwrites(a_model, a_file):
    before = {path.name: path.read_bytes() for path in a_model.folder.iterdir()}

    assert "already" in the_error(add_model, a_file, "small", {"network_settings": SMALL})
    (a_model.folder / "small.json").unlink()
    assert "exists already and is not overwritten" in the_error(add_model, a_file, "small", {"network_settings": SMALL})
    assert (a_model.folder / "small.pt").read_bytes() == before["small.pt"]
    assert set(before) == {"small.json", "small.pt"}


def test_a_builtin_name_cannot_be_added(a_file):
    add_model(a_file, "shipped", {"network_settings": SMALL}, folder=weights.builtin_models_folder())

    assert "There is a model named 'shipped' already" in the_error(
        add_model, a_file, "shipped", {"network_settings": SMALL}
    )


@pytest.mark.parametrize(
    ("name", "details", "rule"),
    [
        ("../escape", {}, "lower-case letters"),
        ("small", {"colour": "red"}, "unknown ['colour']"),
        ("small", {"sha256": "0"}, "sha256 cannot be chosen"),
        ("small", {"metrics": {"hom": float("nan")}}, "cannot be written as JSON"),
        ("small", {"recipe": {"path": Path("x")}}, "cannot be written as JSON"),
    ],
)
def test_a_wrong_detail_leaves_nothing_behind(an_empty_models_folder, a_file, name, details, rule):
    assert rule in the_error(add_model, a_file, name, {"network_settings": SMALL, **details})
    assert not an_empty_models_folder.exists()


def test_weights_that_do_not_load_are_not_added(an_empty_models_folder, a_file, a_network):
    saved({**a_network.state_dict(), "more": torch.zeros(1)}, a_file)

    assert "1 tensors are not of this network (more)" in the_error(
        add_model, a_file, "small", {"network_settings": SMALL}
    )
    assert not an_empty_models_folder.exists()


def test_an_interrupted_addition_leaves_nothing_behind(an_empty_models_folder, a_file, monkeypatch):
    def interrupt(_card):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "verify_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add_model(a_file, "small", {"network_settings": SMALL})

    assert list(an_empty_models_folder.iterdir()) == []


def test_a_models_folder_that_cannot_be_made_is_one_sentence(a_file, monkeypatch):
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(a_file / "models"))

    assert "cannot be written" in the_error(add_model, a_file, "small", {"network_settings": SMALL})


# Loading by path


def test_an_authors_checkpoint_loads_by_path(an_authors_checkpoint):
    network, card = load_network(an_authors_checkpoint)

    assert isinstance(network, ReferenceNetwork)
    assert card.network == "reference"
    assert card.path == an_authors_checkpoint
    assert "Speckle2Self" in card.citation
    expected = torch.load(an_authors_checkpoint, weights_only=True)
    assert all(torch.equal(values, expected[name]) for name, values in network.state_dict().items())


def test_an_authors_checkpoint_can_be_added_and_loaded_by_name(an_authors_checkpoint):
    assert add_model(an_authors_checkpoint).name == "model_2833"
    assert isinstance(load_network("model_2833")[0], ReferenceNetwork)


def test_our_weights_with_default_settings_load_by_path(tmp_path):
    path = saved(Despeckler().state_dict(), tmp_path / "mine.pt")

    network, card = load_network(str(path))

    assert isinstance(network, Despeckler)
    assert (card.network, card.licence) == ("despeckler", "not stated")


def test_a_card_can_be_given_by_path(a_model):
    assert load_network(a_model.folder / "small.json")[1] == a_model


@pytest.mark.usefixtures("a_model")
def test_loading_leaves_the_random_seed_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)

    load_network("small")

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.usefixtures("a_model")
def test_a_device_that_does_not_exist_is_a_setting_error():
    with pytest.raises(SettingsError, match="Device 'abacus' cannot be used"):
        load_network("small", device="abacus")


def test_a_model_that_lies_beside_its_card_is_added_with_what_the_card_says(a_model, tmp_path):
    given = tmp_path / "elsewhere"
    given.mkdir()
    for path in (a_model.path, a_model.path.with_suffix(".json")):
        path.rename(given / path.name)
    for source, name in ((given / a_model.file, "one"), (given / f"{a_model.name}.json", "two")):
        card = add_model(source, name)
        assert (card.title, card.licence, card.sha256) == (a_model.title, a_model.licence, a_model.sha256)
        assert card.network_settings == a_model.network_settings
    assert load_network(given / a_model.file)[1].title == a_model.title


def test_a_json_file_beside_weights_that_is_no_card_is_ignored(tmp_path):
    torch.save(Despeckler().state_dict(), tmp_path / "net.pt")
    (tmp_path / "net.json").write_text("{}")
    assert load_network(tmp_path / "net.pt")[1].licence == "not stated"
