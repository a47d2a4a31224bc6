"""Every despeckling method by name: networks (named models, weight files) and classical filters."""

from __future__ import annotations

from pathlib import Path

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.filters import FILTERS
from Speckle2SelfLogic.model_card import ModelCard, read_card
from Speckle2SelfLogic.plain_errors import is_file
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.weights import (
    DEFAULT_MODEL,
    add_model,
    card_beside,
    file_checksum,
    find_model,
    model_names,
    verify_model,
)


def load_method(
    name_or_path: str = DEFAULT_MODEL,
    device: str = "auto",
    *,
    runtime: str = "auto",
    precision: str = "single",
    threads: int = 0,
) -> FrameDespeckler:
    """Return a method: a classical filter by name, a model by name, or a network from a weight file.

    Parameters
    ----------
    name_or_path
        Filter, model or file.
    device, runtime, precision, threads
        Where and how a network runs, see `runtimes.despeckler.load_model`. Filters have no use for them.

    Raises
    ------
    SettingsError
        If nothing has that name and there is no such file, or device, runtime or precision cannot be had.
    WeightsError
        If weights are damaged, unsafe, or belong to another network.
    """
    if name_or_path in FILTERS:
        return FILTERS[name_or_path]
    if name_or_path not in model_names() and not is_file(name_or_path):
        raise _unknown(name_or_path)
    from Speckle2SelfLogic.runtimes.despeckler import load_model

    return load_model(name_or_path, device, runtime, precision, threads)


def identify_method(name_or_path: str) -> tuple[str, str]:
    """Return name and checksum (SHA-256) of what `load_method` would load, without loading it.

    The checksum is that of the file of weights; it is empty for a classical filter.

    Raises
    ------
    SettingsError
        If nothing has that name and there is no such file.
    WeightsError
        If a file is not the one that its card describes, or cannot be read.
    """
    if name_or_path in FILTERS:
        return name_or_path, ""
    if name_or_path in model_names():
        card = find_model(name_or_path)
    elif is_file(name_or_path):
        path = Path(name_or_path)
        found = read_card(path) if path.suffix == ".json" else card_beside(path)
        if found is None:
            return path.stem, file_checksum(path)
        card = found
    else:
        raise _unknown(name_or_path)
    verify_model(card)
    return card.name, card.sha256


def add_method(path: Path, name: str | None = None) -> ModelCard:
    """Keep a copy of a weight file as a model that `load_method` finds by name. Raises what `add_model` raises.

    Raises
    ------
    SettingsError
        If the name is that of a classical filter.
    """
    if (name or path.stem.lower()) in FILTERS:
        message = f"'{name or path.stem}' is the name of a filter; choose another name for the model."
        raise SettingsError(message)
    return add_model(path, name)


def _unknown(name_or_path: str) -> SettingsError:
    return SettingsError(
        f"There is no method, model or weight file '{name_or_path}'; models are {', '.join(model_names()) or 'none'}, "
        f"filters are {', '.join(FILTERS)}."
    )
