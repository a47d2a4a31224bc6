"""Who is who: the rule from file name to person, folds by person, and the check that nobody is on both sides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.splits import in_fixed_order
from Training.segmentation.plan import FILE, UNKNOWN


class HasSubject(Protocol):
    """Anything that shows one person."""

    @property
    def subject(self) -> str:
        """The person."""


Item = TypeVar("Item", bound=HasSubject)


@dataclass(frozen=True)
class Fold:
    """One division of a data set: persons to test on, all others to train on."""

    number: int
    train: tuple[str, ...]
    test: tuple[str, ...]


def subject_of(path: Path, rule: str, set_name: str) -> str:
    """Return the person that a file shows, by the rule of its set (see `Training.segmentation.plan.DataPlan`).

    Raises
    ------
    SettingsError
        If the file name does not follow the rule.
    """
    if rule == UNKNOWN:
        return "unknown"
    if rule == FILE:
        return path.name
    match = re.search(rule, path.name)
    if match is None:
        message = f"'{path.name}' of '{set_name}' does not tell its subject by the rule '{rule}'; mend rule or name."
        raise SettingsError(message)
    return match[1]


def folds_of(subjects: set[str], count: int) -> tuple[Fold, ...]:
    """Divide persons into ``count`` folds (or as many as there are persons), in an order that only names decide.

    Raises
    ------
    SettingsError
        If there are fewer than two.
    """
    order = in_fixed_order(subjects)
    if len(order) < 2:
        message = f"Folds by subject need 2 subjects or more, but the data show {', '.join(order) or 'none'}."
        raise SettingsError(message)
    parts = [tuple(sorted(order[start :: min(count, len(order))])) for start in range(min(count, len(order)))]
    return tuple(Fold(n, tuple(sorted(subjects - set(test))), test) for n, test in enumerate(parts))


def check_no_leak(train: Sequence[HasSubject], test: Sequence[HasSubject]) -> None:
    """Check that nobody is on both sides.

    Raises
    ------
    SettingsError
        If somebody is; nothing must be trained then.
    """
    both = sorted({item.subject for item in train} & {item.subject for item in test})
    if both:
        message = f"Subject '{both[0]}' is in training and test at once ({len(both)} in all), so nothing was trained."
        raise SettingsError(message)


def in_turn(items: Sequence[Item]) -> list[Item]:
    """Order items so that the first ones show as many persons as possible, and are spread over each person's items.

    A smaller number of items is always the beginning of a larger one.
    """
    queues = [spread([item for item in items if item.subject == name]) for name in in_fixed_order(_subjects(items))]
    longest = max(map(len, queues), default=0)
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]


def at_most(items: Sequence[Item], per_subject: int | None) -> list[Item]:
    """Keep at most so many items of each person, evenly spread over what there is; the order stays."""
    if per_subject is None:
        return list(items)
    kept = []
    for name in sorted(_subjects(items)):
        own = [item for item in items if item.subject == name]
        count = min(per_subject, len(own))
        kept += [own[(2 * place + 1) * len(own) // (2 * count)] for place in range(count)]
    return [item for item in items if any(item is each for each in kept)]


def spread(items: Sequence[Item]) -> list[Item]:
    """Order items so that every beginning is spread over them: first, middle, quarters, ... (van der Corput 1935)."""
    bits = max(1, (len(items) - 1).bit_length())
    places = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [items[place] for place in places if place < len(items)]


def _subjects(items: Sequence[HasSubject]) -> set[str]:
    return {item.subject for item in items}
