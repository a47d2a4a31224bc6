"""Optional trackers of experiments: whether they are installed, and settings as they take them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import util
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
from Training.records import plain


def check_package(name: str) -> None:
    """Check that the package of a tracker is installed.

    Raises
    ------
    SettingsError
        If it is not.
    """
    if util.find_spec(name) is None:
        message = f"Recording with {name} needs the package '{name}', which is not installed: pip install {name}."
        raise SettingsError(message)


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings as one level, ``objective.class`` for a setting inside another."""
    found: dict[str, Any] = {}
    for name, value in plain(settings).items():
        found.update(flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value})
    return found
