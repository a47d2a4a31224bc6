"""OpenVINO and ONNX Runtime, which run networks faster: whether they are there, and their installation on request.

What they need is what the extras of ``pyproject.toml`` say, which a package of this extension holds as well.
"""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import Speckle2SelfLogic
from Speckle2SelfLogic.errors import CancelledError
from Speckle2SelfLogic.runtimes.engines import import_runtime
from Speckle2SelfSlicerLib.installation import InstallationError, has_nvidia_card, reason_of
from Speckle2SelfSlicerLib.pip_packages import install_beside, loaded, requirements_of, unmet
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from packaging.requirements import Requirement

TITLES = {"openvino": "OpenVINO", "onnx": "ONNX Runtime"}
"""Runtimes by their name in the core, which is also that of their extra."""


def project_file() -> Path:
    """Return the project's ``pyproject.toml``: in the installed core, or at the root of the source tree."""
    installed = Path(Speckle2SelfLogic.__file__).resolve().parent / "pyproject.toml"
    return installed if installed.is_file() else Path(__file__).resolve().parents[2] / "pyproject.toml"


def runtimes_here() -> tuple[str, ...]:
    """Return the runtimes for this computer, first the one whose extra brings the others along.

    The last OpenVINO for Intel Macs (2025.4), as which Slicer runs on every Mac, needs an older NumPy than Slicer's.
    """
    return ("onnx",) if (sys.platform, platform.machine()) == ("darwin", "x86_64") else ("openvino", "onnx")


def helps_on(device: str) -> bool:
    """Whether networks run on the processor with a device, ``"auto"``, ``"cuda"`` or ``"cpu"``; only there it helps."""
    return device == "cpu" or (device == "auto" and not has_nvidia_card())


class FasterRuntimes:
    """What is missing of the faster runtimes; looked up once, and again after an installation."""

    def __init__(self) -> None:
        self._missing: tuple[Requirement, ...] | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages with their ranges of versions; nothing if all are there, or nobody can say what they are."""
        return tuple(map(str, self._requirements()))

    def install(self, ask: Callable[[str], bool], tell: Callable[[str], None] = logging.info) -> None:
        """Install what is missing, after asking. Must be called on the main thread.

        No other package is changed, and networks that are loaded next take the new runtimes without a restart.

        Parameters
        ----------
        ask
            Shows a question and returns whether the user agrees.
        tell
            Takes a sentence about what is going on.

        Raises
        ------
        InstallationError
            If they cannot be installed, or not be used before a restart.
        CancelledError
            If the user declines.
        """
        wanted = self._requirements()
        if not wanted:
            return
        names = ", ".join(each.name for each in wanted)
        if not ask(_question(wanted)):
            message = _("{names} was not installed, because you declined: networks go on with PyTorch.")
            raise CancelledError(message.format(names=names))
        tell(_("Installing {names}. This takes minutes, in which Slicer may not answer...").format(names=names))
        was_loaded = loaded(wanted)
        try:
            install_beside(self.missing)
        except Exception as error:  # of pip, of the network, or because it would have changed another package
            message = _(
                "{names} could not be installed ({reason}): check the internet connection and the free disk space and "
                "try again, or leave it; networks go on with PyTorch, and the Python console has the details."
            ).format(names=names, reason=reason_of(error))
            raise InstallationError(message) from error
        finally:
            self._missing = None
        self._check(was_loaded)
        tell(
            _(
                "{names} is installed: the next Apply finds out which runtime is the fastest here, which takes some "
                "seconds once."
            ).format(names=names)
        )

    def _check(self, was_loaded: list[str]) -> None:
        if still := self.missing:
            message = _(
                "{names} is still missing although pip reported no error: look at the Python console; networks go on "
                "with PyTorch."
            ).format(names=", ".join(still))
            raise InstallationError(message)
        if was_loaded:
            raise _unusable(", ".join(was_loaded), _("an older version is in use"))
        for runtime in runtimes_here():
            try:
                import_runtime(runtime)
            except Exception as error:  # damaged or clashing libraries raise nearly anything
                raise _unusable(TITLES[runtime], reason_of(error)) from error

    def _requirements(self) -> tuple[Requirement, ...]:
        if self._missing is None:
            try:
                self._missing = tuple(unmet(requirements_of(runtimes_here()[0], project_file())))
            except (ImportError, OSError, KeyError, ValueError) as error:
                logging.warning("Speckle2Self: nobody can say what faster runtimes need (%s).", reason_of(error))
                self._missing = ()
        return self._missing


def _question(wanted: tuple[Requirement, ...]) -> str:
    packages = "\n".join(f"- {each}" for each in wanted)
    what = _(
        "The same networks can run faster on the processor than with PyTorch: with {runtimes}, of which the fastest is "
        "found out once. Install what is missing now?"
    ).format(runtimes=", ".join(TITLES[each] for each in runtimes_here()))
    cost = _(
        "Slicer downloads about 0.1 GB from the Python Package Index (0.3 GB on the disk) and may not answer for some "
        "minutes. Of the packages that are there already, only those in this list can change. Results stay the same "
        "within rounding."
    )
    return f"{what}\n\n{packages}\n\n{cost}"


def _unusable(name: str, reason: str) -> InstallationError:
    message = _(
        "{name} is installed but cannot be used yet ({reason}): restart Slicer; until then networks go on with PyTorch."
    ).format(name=name, reason=reason)
    return InstallationError(message)
