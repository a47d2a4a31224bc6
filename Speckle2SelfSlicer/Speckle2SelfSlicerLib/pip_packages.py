"""Packages of PyPI beside those that Slicer has, of which none is changed."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def requirements_of(extra: str, project_file: Path) -> list[Requirement]:
    """Return what an extra of a ``pyproject.toml`` requires on this computer, extras that it takes in resolved.

    Parameters
    ----------
    extra
        Name of the extra.
    project_file
        The file.

    Raises
    ------
    ImportError, OSError, KeyError, ValueError
        If Python is too old to read TOML, the file cannot be read, or something in it is missing or wrong.
    """
    import tomllib
    from packaging.requirements import Requirement

    project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
    extras, waiting, found = project["optional-dependencies"], [extra], []
    for name in waiting:  # which grows
        for text in extras[name]:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            requirement.marker = None
            if _plain(requirement.name) == _plain(project["name"]):
                waiting += sorted(requirement.extras - set(waiting))
            else:
                found.append(requirement)
    return found


def unmet(requirements: Sequence[Requirement]) -> list[Requirement]:
    """Return those of some requirements that are not installed, or in a version out of their range."""
    installed = installed_versions()

    def is_met(requirement: Requirement) -> bool:
        version = installed.get(_plain(requirement.name))
        return version is not None and requirement.specifier.contains(version, prereleases=True)

    return [each for each in requirements if not is_met(each)]


def installed_versions() -> dict[str, str]:
    """Return the version of every installed package by its normalised name; the first on the path counts."""
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if name and version:  # an interrupted installation leaves records without them
            versions.setdefault(_plain(name), version)
    return versions


def install_beside(requirements: Sequence[str]) -> None:
    """Install packages with Slicer's pip, which may change no other package that is installed: NumPy, PyTorch, any.

    Only wheels are taken, since Slicer has no compiler. Must be called on the main thread; blocks until it is done.
    What is not loaded yet can be imported right away.

    Parameters
    ----------
    requirements
        Names with or without a range of versions.

    Raises
    ------
    Exception
        Whatever pip, or the network, ends with.
    """
    from slicer.util import pip_install

    asked_for = {_plain(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]) for requirement in requirements}
    ours = {"speckle2self"}  # comes with the extension or lies in a source tree: pip has no part in it
    with tempfile.TemporaryDirectory(prefix="speckle2self-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("\n".join(_constraints(without=asked_for | ours)) + "\n", encoding="utf-8")
        pip_install(["--only-binary=:all:", "--constraint", str(path), *requirements])
    importlib.invalidate_caches()


def loaded(requirements: Sequence[Requirement]) -> list[str]:
    """Return the names of those packages that are imported, so that a new version of them would need a restart."""
    imported = {name.split(".")[0] for name in sys.modules}
    owners = importlib.metadata.packages_distributions()
    busy = {_plain(owner) for module, names in owners.items() if module in imported for owner in names if owner}
    return [each.name for each in requirements if _plain(each.name) in busy]


def _constraints(without: Collection[str]) -> list[str]:
    from packaging.version import InvalidVersion, Version

    lines = []
    for name, version in sorted(installed_versions().items()):
        try:
            Version(version)
        except InvalidVersion:  # which pip would refuse to read
            continue
        if name not in without:
            lines.append(f"{name}=={version}")
    return lines


def _plain(name: str) -> str:
    """Return a name of a package as PyPI compares them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
