"""Named models: find, verify, add and load them.

A model is two files in one folder: a card ``<name>.json`` (schema: see `Speckle2SelfLogic.model_card`) and the weights
that it names, a plain state dict (reading: see `Speckle2SelfLogic.checkpoint`). Built-in models lie in
``Speckle2SelfLogic/models``, the user's own in the folder that `user_models_folder` returns; models that segment lie in
a folder ``segmenters`` below these, so that nobody is offered them for despeckling.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from Speckle2SelfLogic.checkpoint import SEGMENTATION_NETWORKS, network_from_file
from Speckle2SelfLogic.errors import SettingsError, WeightsError
from Speckle2SelfLogic.model_card import NAME_PATTERN, SCHEMA, ModelCard, parse_card, read_card

if TYPE_CHECKING:
    import torch

DEFAULT_MODEL = "speckle2self-fast"
DEFAULT_SEGMENTER = "carotid-segmenter"
MODELS_VARIABLE = "SPECKLE2SELF_MODELS"

Purpose = Literal["despeckling", "segmentation"]
_SUBFOLDERS: Mapping[Purpose, str] = {"despeckling": "", "segmentation": "segmenters"}

_UNKNOWN_DETAILS: Mapping[str, Any] = {
    "network_settings": {},
    "version": "1",
    "licence": "not stated",
    "training_data": [],
    "recipe": {},
    "metrics": {},
    "intended_use": "not stated",
    "known_failures": [],
}
_CITATIONS: Mapping[str, str] = {
    "despeckler": "not stated",
    "segmenter": "not stated",
    "reference": "X. Li, N. Navab, Z. Jiang: Speckle2Self: Self-Supervised Ultrasound Speckle Reduction Without Clean "
    "Data. Medical Image Analysis, 2025, 103755. arXiv:2507.06828",
}


def builtin_models_folder() -> Path:
    """Return the folder of the models that come with the package."""
    return Path(__file__).parent / "models"


def user_models_folder() -> Path:
    r"""Return the folder of the user's models, which need not exist yet.

    ``SPECKLE2SELF_MODELS`` if it is set; otherwise ``%LOCALAPPDATA%\Speckle2Self\models`` on Windows,
    ``~/Library/Application Support/Speckle2Self/models`` on macOS, and ``$XDG_DATA_HOME/speckle2self/models``
    (``~/.local/share/speckle2self/models`` without that variable) elsewhere.
    """
    if chosen := os.environ.get(MODELS_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Speckle2Self" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Speckle2Self" / "models"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "speckle2self" / "models"


def card_beside(weights: Path) -> ModelCard | None:
    """Return the card that lies beside a file of weights and names it, as training writes the two; None without one."""
    path = weights.with_suffix(".json")
    try:
        card = read_card(path) if path.is_file() else None
    except WeightsError:  # some other JSON file
        return None
    return card if card is not None and card.file == weights.name else None


def model_names(purpose: Purpose | None = "despeckling") -> tuple[str, ...]:
    """Return the names of models for one purpose (None: all), without reading cards: a damaged one stops nothing."""
    return tuple(_card_paths(purpose))


def list_models(purpose: Purpose | None = "despeckling") -> tuple[ModelCard, ...]:
    """Return the cards of all models for one purpose (None: all): the built-in ones by name, then the user's by name.

    A user's model with the name of a built-in one is left out, because that name always means the built-in model.

    Raises
    ------
    WeightsError
        If a card is damaged; the message names it.
    """
    return tuple(read_card(path) for path in _card_paths(purpose).values())


def find_model(name: str) -> ModelCard:
    """Return the card of one model.

    Raises
    ------
    WeightsError
        If there is no model of that name, or its card is damaged.
    """
    paths = _card_paths()
    if name not in paths:
        known = f"known are {', '.join(paths)}" if paths else "none is installed"
        message = f"No model is named '{name}': {known}. For a file of weights give its path with folder or ending."
        raise WeightsError(message)
    return read_card(paths[name])


def verify_model(card: ModelCard) -> None:
    """Compare size and SHA-256 checksum of a model's file with its card.

    Raises
    ------
    WeightsError
        If the file is missing or unreadable, or differs from its card; the message says what was found.
    """
    size_bytes, sha256 = _fingerprint(card.path)
    if size_bytes != card.bytes:
        found = f"{size_bytes} bytes instead of {card.bytes}"
    elif sha256 != card.sha256:
        found = f"SHA-256 {sha256} instead of {card.sha256}"
    else:
        return
    message = f"'{card.path}' is not the file that the card of model '{card.name}' describes: it has {found}."
    raise WeightsError(message)


def load_network(name_or_path: str | Path, device: str = "cpu") -> tuple[torch.nn.Module, ModelCard]:
    """Load a network with its weights, ready for inference.

    Parameters
    ----------
    name_or_path
        Name of a model, or path of a card (``.json``), of weights with their card beside them, of weights of our
        network with its default settings, or of a checkpoint of the authors of Speckle2Self. Text that could be a name
        (lower case, no dot, no slash) is taken as one; put ``./`` before a path that looks like this.
    device
        PyTorch device, for example ``"cpu"`` or ``"cuda:0"``.

    Returns
    -------
    tuple of torch.nn.Module and ModelCard
        The network (evaluation mode, float32), and its card. With a card, size and checksum of the weights were
        verified first; for bare weights the card holds the little that is known of them.

    Raises
    ------
    WeightsError
        If the model is unknown, or its file is damaged, unsafe, or does not fit the network in every tensor.
    SettingsError
        If the device cannot be used.
    """
    card = _card_at(name_or_path)
    if card is None:
        network, card = _bare(Path(name_or_path))
        return _moved(network, device), card
    verify_model(card)
    network, _ = network_from_file(card.path, card.network, card.network_settings)
    return _moved(network, device), card


def card_of(name_or_path: str | Path) -> ModelCard:
    """Return the card that `load_network` would return; only bare weights are loaded for it. Raises what that does."""
    return _card_at(name_or_path) or _bare(Path(name_or_path))[1]


def add_model(
    source: str | Path,
    name: str | None = None,
    details: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> ModelCard:
    """Copy a file of weights into a folder of models and write its card. Nothing that exists is overwritten.

    The model appears complete or not at all, because the card is put in place last.

    Parameters
    ----------
    source
        File of weights of one of the two networks: ours, or a checkpoint of the authors of Speckle2Self. Or a card, or
        weights with a card beside them: its fields become those of the new card.
    name
        Name of the model. Left out: made from the name of the file.
    details
        Fields of the card: ``title``, ``network_settings``, ``version``, ``licence``, ``training_data``, ``recipe``,
        ``metrics``, ``intended_use``, ``known_failures``, ``citation``. What is left out is "not stated" or empty.
    folder
        Folder of models. Left out: `user_models_folder`, or the folder for segmenters below it.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    WeightsError
        If the weights are damaged, unsafe or of another network, a field is not as the schema says, the name is taken,
        or the files cannot be written.
    """
    source = Path(source)
    given = read_card(source) if source.suffix == ".json" else card_beside(source)
    if given is not None and details is None:
        verify_model(given)
        source, details = given.path, _details_of(given)
    name, details = name or _name_from(source), dict(details or {})
    if name in _card_paths():
        message = f"There is a model named '{name}' already; choose another name."
        raise WeightsError(message)
    _, kind = network_from_file(source, settings=details.get("network_settings"))
    purpose: Purpose = "segmentation" if kind in SEGMENTATION_NETWORKS else "despeckling"
    folder = folder or user_models_folder() / _SUBFOLDERS[purpose]
    if (folder / f"{name}.json").exists():
        message = f"There is a model named '{name}' already; choose another name."
        raise WeightsError(message)
    card = parse_card(_described(source, name, kind, details), folder, f"The card of new model '{name}'")
    _put_in_place(source, card)
    return card


def _card_at(name_or_path: str | Path) -> ModelCard | None:
    """Return the card that a name or path leads to; None for bare weights."""
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and NAME_PATTERN.fullmatch(name_or_path):
        return find_model(name_or_path)
    return read_card(path) if path.suffix == ".json" else card_beside(path)


def _bare(path: Path) -> tuple[torch.nn.Module, ModelCard]:
    """Load weights that have no card, and say what is known of them."""
    network, kind = network_from_file(path)
    content = _described(path, _name_from(path), kind, {})
    return network, replace(parse_card(content, path.parent, f"'{path}'"), file=path.name)


def _card_paths(purpose: Purpose | None = None) -> dict[str, Path]:
    """Cards by model name, in the order of `list_models`."""
    paths: dict[str, Path] = {}
    for subfolder in _SUBFOLDERS.values() if purpose is None else (_SUBFOLDERS[purpose],):
        for folder in (builtin_models_folder(), user_models_folder()):
            for path in sorted((folder / subfolder).glob("*.json")):
                paths.setdefault(path.stem, path)
    return paths


def _name_from(path: Path) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:64] or "unnamed"


def _details_of(card: ModelCard) -> dict[str, Any]:
    """Fields of a card that say more than looking at the weights does."""
    content = json.loads(card.to_json())
    return {field: content[field] for field in (*_UNKNOWN_DETAILS, "title", "citation")}


def _described(source: Path, name: str, network: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """Content of a card for a file of weights, as it would be decoded from JSON."""
    size_bytes, sha256 = _fingerprint(source)
    known = {"schema": SCHEMA, "name": name, "network": network, "file": f"{name}.pt", "sha256": sha256}
    if clash := sorted(details.keys() & {*known, "bytes"}):
        message = f"The card's {', '.join(clash)} cannot be chosen: found by looking at the weights."
        raise WeightsError(message)
    unless_given = {**_UNKNOWN_DETAILS, "title": f"Weights from {source.name}", "citation": _CITATIONS[network]}
    content = {**unless_given, **details, **known, "bytes": size_bytes}
    try:
        return dict(json.loads(json.dumps(content, allow_nan=False)))
    except (TypeError, ValueError) as error:
        message = f"The details of model '{name}' cannot be written as JSON: {error}."
        raise WeightsError(message) from error


def _put_in_place(source: Path, card: ModelCard) -> None:
    """Copy the weights, then let the finished card appear. The file of weights also keeps others from the name."""
    unfinished, card_path = card.folder / f".{card.name}.json.partial", card.folder / f"{card.name}.json"
    try:
        card.folder.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as given, card.path.open("xb") as copy:
            try:
                shutil.copyfileobj(given, copy)
                copy.flush()
                verify_model(card)
                unfinished.write_text(card.to_json(), encoding="utf-8")
                unfinished.replace(card_path)
            except BaseException:
                copy.close()
                card.path.unlink()
                unfinished.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        message = f"'{card.path}' exists already and is not overwritten; choose another name or remove it."
        raise WeightsError(message) from error
    except OSError as error:
        message = f"Model '{card.name}' cannot be written to '{card.folder}': {error.strerror or error}."
        raise WeightsError(message) from error


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file of weights. Raises `WeightsError` if it cannot be read."""
    return _fingerprint(path)[1]


def _fingerprint(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file."""
    checksum, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                checksum.update(block)
                size_bytes += len(block)
    except OSError as error:
        message = f"Weights '{path}' cannot be read: {error.strerror or error}."
        raise WeightsError(message) from error
    return size_bytes, checksum.hexdigest()


def _moved(network: torch.nn.Module, device: str) -> torch.nn.Module:
    import torch

    try:
        return network.to(device)
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        message = f"Device '{device}' cannot be used ({str(error).splitlines()[0]}); choose 'cpu'."
        raise SettingsError(message) from error
