"""Model cards: what a model is, what it was made from, what it is for, and how to know its file.

A card is a JSON file ``<name>.json`` beside the weights that it names. Schema ``speckle2self-model-card/1``, every
field required but ``domain``, no others allowed:

=====================  ======================================================================================
``schema``             the string above
``name``               lower-case letters, digits, ``-`` and ``_``; also the name of the JSON file
``title``              one line for lists
``network``            ``"despeckler"``, ``"reference"`` or ``"segmenter"``
``network_settings``   keyword arguments of the network's class: numbers from 0 to 1024, or lists of them
``file``               name of the weights beside the card: a plain state dict written by ``torch.save``
``sha256``, ``bytes``  checksum (64 hexadecimal digits) and size of that file
``version``            version of the weights
``licence``            licence of the weights
``training_data``      list of objects with ``name``, ``licence`` and ``attribution``
``recipe``             object: how the weights were made (command, configuration, seed, steps, duration)
``metrics``            object: measured quality, name to number or to an object of such
``intended_use``       what the model is for
``domain``             what it takes: ``"bmode"`` (log-compressed grey, also if left out) or ``"envelope"`` (linear)
``known_failures``     list of sentences
``citation``           what to cite
=====================  ======================================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.checkpoint import LARGEST_FILE_BYTES, NETWORKS
from Speckle2SelfLogic.errors import WeightsError

SCHEMA = "speckle2self-model-card/1"
LARGEST_SETTING = 1024
"""Largest number in ``network_settings``: a card must not be able to ask for a network without end."""
DOMAINS = ("bmode", "envelope")
DEFAULT_DOMAIN = DOMAINS[0]
DEEPEST_NESTING = 16
"""Objects and lists inside one another: without a limit, reading or writing a card could run out of stack."""
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class TrainingData:
    """One source of training images."""

    name: str
    licence: str
    attribution: str


@dataclass(frozen=True)
class ModelCard:
    """One model. The fields are those of the schema in this module, and the folder where the card was found."""

    name: str
    title: str
    network: str
    network_settings: Mapping[str, Any]
    file: str
    sha256: str
    bytes: int
    version: str
    licence: str
    training_data: tuple[TrainingData, ...]
    recipe: Mapping[str, Any]
    metrics: Mapping[str, Any]
    intended_use: str
    known_failures: tuple[str, ...]
    citation: str
    folder: Path
    """Where card and weights lie; not part of the JSON."""
    domain: str = DEFAULT_DOMAIN
    """What the model takes: B-mode grey or a linear envelope."""

    @property
    def path(self) -> Path:
        """The file of weights."""
        return self.folder / self.file

    def to_json(self) -> str:
        """Return the card as JSON text that `read_card` accepts."""
        content = {"schema": SCHEMA, **asdict(self)}
        del content["folder"]
        if self.domain == DEFAULT_DOMAIN:
            del content["domain"]
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_card(path: Path) -> ModelCard:
    """Read a card and check every field.

    Raises
    ------
    WeightsError
        If the file cannot be read, or a field is missing, unknown or not as the schema says; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        message = f"Model card '{path}' cannot be read: {error.strerror or error}."
        raise WeightsError(message) from error
    except (ValueError, RecursionError) as error:
        message = f"Model card '{path}' is not valid JSON in UTF-8: {error}."
        raise WeightsError(message) from error
    card = parse_card(content, path.parent, f"Model card '{path}'")
    if card.name != path.stem:
        message = f"Model card '{path}' is of model '{card.name}'; its file must be called '{card.name}.json'."
        raise WeightsError(message)
    return card


def parse_card(content: object, folder: Path, subject: str) -> ModelCard:
    """Make a card of what its JSON text holds.

    Parameters
    ----------
    content
        The decoded JSON.
    folder
        Folder of the card.
    subject
        How error messages start, for example ``"Model card 'x.json'"``.

    Raises
    ------
    WeightsError
        If a field is missing, unknown or not as the schema says.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        message = f"{subject} does not have the schema '{SCHEMA}' that this version of the package reads."
        raise WeightsError(message)
    content = {"domain": DEFAULT_DOMAIN, **content}
    if _is_nested_deeper(content, DEEPEST_NESTING):
        message = f"{subject} has more than {DEEPEST_NESTING} objects and lists inside one another."
        raise WeightsError(message)
    given, expected = set(content) - {"schema"}, set(_RULES)
    if given != expected:
        problem = f"lacks {sorted(expected - given)}" if expected - given else f"has unknown {sorted(given - expected)}"
        message = f"{subject} {problem}."
        raise WeightsError(message)
    for field, (is_right, rule) in _RULES.items():
        if not is_right(content[field]):
            message = f"{subject} has {field} = {_shortened(content[field])}, but it must be {rule}."
            raise WeightsError(message)
    fields = {field: content[field] for field in _RULES}
    fields["training_data"] = tuple(TrainingData(**source) for source in content["training_data"])
    fields["known_failures"] = tuple(content["known_failures"])
    return ModelCard(**fields, folder=folder)


def _is_nested_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_nested_deeper(part, levels - 1) for part in parts)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."


def _refuse_constant(constant: str) -> object:
    message = f"{constant} is not a number"
    raise ValueError(message)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_setting(value: object) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return all(isinstance(number, (int, float)) and 0 <= number <= LARGEST_SETTING for number in numbers)


def _is_measurement(value: object) -> bool:
    return all(map(_is_measurement, value.values())) if isinstance(value, dict) else isinstance(value, (int, float))


def _is_training_source(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"name", "licence", "attribution"}
        and all(map(_is_text, value.values()))
    )


def _matches(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_list_of(is_right: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def _is_object_of(is_right: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(map(is_right, value.values()))


def _is_file_size(value: object) -> bool:
    return isinstance(value, int) and 0 < value <= LARGEST_FILE_BYTES


_TEXT = (_is_text, "a text that is not empty")
_RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "name": (_matches(NAME_PATTERN.pattern), "up to 64 lower-case letters, digits, '-' and '_'"),
    "title": _TEXT,
    "network": (lambda value: value in NETWORKS, f"one of {', '.join(NETWORKS)}"),
    "network_settings": (_is_object_of(_is_setting), f"an object of numbers 0 to {LARGEST_SETTING}, or lists of them"),
    "file": (_matches(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"), "the name of a file beside the card, without folders"),
    "sha256": (_matches(r"[0-9a-f]{64}"), "64 lower-case hexadecimal digits"),
    "bytes": (_is_file_size, f"a whole number from 1 to {LARGEST_FILE_BYTES}"),
    "version": _TEXT,
    "licence": _TEXT,
    "training_data": (_is_list_of(_is_training_source), "a list of objects with name, licence and attribution"),
    "recipe": (lambda value: isinstance(value, dict), "an object"),
    "metrics": (_is_object_of(_is_measurement), "an object of numbers, or objects of numbers"),
    "intended_use": _TEXT,
    "domain": (lambda value: value in DOMAINS, f"one of {', '.join(DOMAINS)}"),
    "known_failures": (_is_list_of(_is_text), "a list of sentences"),
    "citation": _TEXT,
}
