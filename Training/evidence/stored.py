"""Everything that a folder of measurements holds, in the order of its plan."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError
from Training.evidence.methods import INPUT, TRUTH
from Training.evidence.rows import PLAN, Measured, all_rows, output_path, read_output


@dataclass(frozen=True)
class Evidence:
    """Stored rows and what the plan said about them."""

    folder: Path
    plan: Mapping[str, Any]
    measured: tuple[Measured, ...]
    apart: frozenset[str] = frozenset()
    """Methods of ablations and curves, which have tables of their own."""

    @property
    def command(self) -> str:
        """The command that measured, as a line of Markdown."""
        return f"Measured by `{self.plan['command']}`.\n"

    @property
    def ours(self) -> str:
        """Name of our method.

        Raises
        ------
        SettingsError
            If the plan marked none.
        """
        names = [method["name"] for method in self.plan["methods"] if method["is_ours"]]
        if not names:
            message = "The plan marks no method as ours; add 'is_ours: true' to one."
            raise SettingsError(message)
        return str(names[0])

    def sets(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the data sets of a kind that were measured."""
        names = {measured.data for measured in self.measured}
        return [data for data in self.plan["data"] if data["kind"] == kind and data["name"] in names]

    def methods(self, data: str) -> list[Measured]:
        """Return the rows of a data set by method: input, truth, published outputs, then as in the plan."""
        planned = [method["name"] for method in self.plan["methods"]]
        found = [m for m in self.measured if m.data == data and m.method not in self.apart]
        found = [m for m in found if m.method in (INPUT, TRUTH, *planned) or m.fingerprint.get("kind") == "published"]

        def place(m: Measured) -> tuple[int, int]:
            if m.method in (INPUT, TRUTH):
                return (0, (INPUT, TRUTH).index(m.method))
            return (2, planned.index(m.method)) if m.method in planned else (1, 0)

        return sorted(found, key=place)

    def of(self, data: str, method: str) -> Measured | None:
        """Return the rows of one method on one data set, also of a method that has a table of its own."""
        return next((m for m in self.measured if m.data == data and m.method == method), None)

    def picture(self, data: str, method: str, item: str) -> npt.NDArray[np.float64] | None:
        """Return a stored output, grey 0..1."""
        return read_output(output_path(self.folder, data, method, item))

    def panels(
        self, data: str, item: str, methods: Sequence[str] | None = None
    ) -> list[tuple[str, npt.NDArray[np.float64]]]:
        """Return captions and outputs of a frame: input, truth, methods (left out: those meant for pictures)."""
        hidden = {method["name"] for method in self.plan["methods"] if not method["in_pictures"]}
        names = methods or [m.method for m in self.methods(data) if m.method not in hidden]
        names = list(dict.fromkeys([INPUT, TRUTH, *names]))
        found = ((name, self.picture(data, name, item)) for name in names)
        return [(name, frame) for name, frame in found if frame is not None]


def read_evidence(folder: Path, apart: frozenset[str] = frozenset()) -> Evidence:
    """Read a folder of measurements.

    Raises
    ------
    SettingsError
        If it holds none.
    """
    measured = tuple(all_rows(folder))
    try:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"'{folder}' has no readable {PLAN}; run 'python -m Training.evidence measure' again."
        raise SettingsError(message) from error
    return Evidence(folder, plan, measured, apart)


def slug(name: str) -> str:
    """Spell a name as a part of the name of a picture."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
