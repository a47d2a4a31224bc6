"""PyTorch in Slicer: whether it is there and whole, and its installation or repair by the extension "PyTorch"."""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
import logging
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import CancelledError, Speckle2SelfError
from Speckle2SelfSlicerLib.pip_packages import install_beside
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from PyTorchUtils import PyTorchUtilsLogic

ESSENTIAL_FILES = ("__init__.py", "version.py", "_C.*")
"""Files of the folder `torch` without which it cannot be imported, as patterns."""
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")


class InstallationError(Speckle2SelfError):
    """PyTorch, or the extension that installs it, is missing or damaged."""


class TorchState(enum.Enum):
    """What Python finds of PyTorch."""

    READY = "ready"
    MISSING = "missing"
    BROKEN = "broken"


def torch_state() -> TorchState:
    """Return in what state PyTorch is, without importing it (which takes seconds), from what lies on the disk.

    Broken means that an installation was interrupted: the folder lacks essential files, which Python takes for an
    empty package, or pip has no record of it, or only that record is left.
    """
    if sys.modules.get("torch") is not None:
        return _state_of_loaded(sys.modules["torch"])
    spec, is_recorded = importlib.util.find_spec("torch"), _is_recorded()
    if spec is None:
        return TorchState.BROKEN if is_recorded else TorchState.MISSING
    is_whole = spec.origin is not None and all(
        any(Path(spec.origin).parent.glob(pattern)) for pattern in ESSENTIAL_FILES
    )
    return TorchState.READY if is_whole and is_recorded else TorchState.BROKEN


def has_pytorch_extension() -> bool:
    """Whether Slicer's extension "PyTorch" is installed and loaded."""
    return "PyTorchUtils" in sys.modules or importlib.util.find_spec("PyTorchUtils") is not None


def ensure_torch(ask: Callable[[str], bool], tell: Callable[[str], None] = logging.info) -> None:
    """Install PyTorch if it is missing or broken, after asking. Must be called on the main thread.

    Only PyTorch is touched; what is left of a broken one is removed first. Nothing is asked or imported if it is ready.

    Parameters
    ----------
    ask
        Shows a question and returns whether the user agrees.
    tell
        Takes a sentence about what is going on.

    Raises
    ------
    InstallationError
        If the extension is missing, or PyTorch cannot be installed, removed or used.
    CancelledError
        If the user declines.
    """
    state = torch_state()
    if state is TorchState.READY:
        return
    logic = _extension_logic()
    if not ask(_question(state)):
        raise CancelledError(_declined())
    if state is TorchState.BROKEN:
        tell(_("Removing what is left of an interrupted installation of PyTorch..."))
        _remove_broken()
    tell(_("Installing PyTorch. This takes minutes, in which Slicer does not answer..."))
    _install(logic)
    tell(_("PyTorch is installed."))


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Return those of some packages of PyPI that are not installed."""
    missing = []
    for package in packages:
        try:
            importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    return missing


def ensure_packages(
    packages: Sequence[str], ask: Callable[[str], bool], tell: Callable[[str], None] = logging.info
) -> None:
    """Install small packages that a classical filter needs, after asking. Must be called on the main thread.

    Raises
    ------
    InstallationError
        If they cannot be installed.
    CancelledError
        If the user declines.
    """
    missing = missing_packages(packages)
    if not missing:
        return
    names = ", ".join(missing)
    if not ask(_("This filter needs the Python package {names} (about 20 MB). Install it now?").format(names=names)):
        message = _("{names} was not installed, because you declined: choose another method.").format(names=names)
        raise CancelledError(message)
    tell(_("Installing {names}...").format(names=names))
    try:
        install_beside(missing)
    except Exception as error:  # of pip or of the network
        message = _(
            "{names} could not be installed ({reason}): check the internet connection, or choose another method."
        ).format(names=names, reason=reason_of(error))
        raise InstallationError(message) from error
    importlib.invalidate_caches()


def check_torch() -> None:
    """Import PyTorch and let it work on nine pixels.

    Raises
    ------
    InstallationError
        If that does not work; what is to be done then is to restart Slicer.
    """
    try:
        import torch

        ones = torch.ones(1, 1, 3, 3)
        is_right = torch.nn.functional.conv2d(ones, ones).item() == 9
    except Exception as error:  # damaged or clashing libraries raise nearly anything
        raise unusable(reason_of(error)) from error
    if not is_right:
        raise unusable(_("a convolution came out wrong"))


def unusable(reason: str) -> InstallationError:
    """Return what to raise if PyTorch is installed but fails when it is used, for example when it is imported."""
    message = _(
        "PyTorch is installed but cannot be used yet ({reason}): restart Slicer and press Apply again; if that does "
        "not help, uninstall it in the module 'PyTorch Utils' and restart once more."
    ).format(reason=reason)
    return InstallationError(message)


def has_nvidia_card() -> bool:
    """Whether this computer seems to have an NVIDIA graphics card, found out without PyTorch."""
    return any(NVIDIA_GPUS.glob("*")) or shutil.which("nvidia-smi") is not None


def device_hint() -> str:
    """Return one sentence about what "automatic" will mean on this computer, found out without PyTorch."""
    if has_nvidia_card():
        return _("An NVIDIA graphics card was found: automatic takes it if PyTorch can.")
    return _("No NVIDIA graphics card was found: automatic means CPU.")


def _state_of_loaded(torch: ModuleType) -> TorchState:
    if getattr(torch.__spec__, "_initializing", False):  # another thread is importing it right now
        return TorchState.READY
    return TorchState.READY if hasattr(torch, "__version__") and hasattr(torch, "Tensor") else TorchState.BROKEN


def _is_recorded() -> bool:
    """Whether pip knows of a torch."""
    try:
        return bool(importlib.metadata.distribution("torch").read_text("METADATA"))
    except importlib.metadata.PackageNotFoundError:
        return False


def _extension_logic() -> PyTorchUtilsLogic:
    if not has_pytorch_extension():
        message = _(
            "This method needs PyTorch, which Slicer's extension 'PyTorch' installs: get that extension in the "
            "Extensions Manager and restart Slicer, or choose a classical filter such as 'median' (for computers "
            "without internet, see 'Without internet' in the documentation)."
        )
        raise InstallationError(message)
    try:
        from PyTorchUtils import PyTorchUtilsLogic

        return PyTorchUtilsLogic()
    except Exception as error:  # another project's module
        message = _(
            "The extension 'PyTorch' does not work ({reason}): update it in the Extensions Manager and restart Slicer, "
            "or choose a classical filter such as 'median'."
        ).format(reason=reason_of(error))
        raise InstallationError(message) from error


def _install(logic: PyTorchUtilsLogic) -> None:
    try:
        torch = logic.installTorch(askConfirmation=False)
    except Exception as error:  # of pip, of the network, or of a library that cannot be loaded
        importlib.invalidate_caches()
        if torch_state() is TorchState.READY:
            raise unusable(reason_of(error)) from error
        message = _(
            "PyTorch could not be installed ({reason}): check the internet connection and the free disk space, then "
            "press Apply again, or choose a classical filter such as 'median'; the Python console has the details."
        ).format(reason=reason_of(error))
        raise InstallationError(message) from error
    if torch is None:
        raise CancelledError(_declined())
    importlib.invalidate_caches()
    check_torch()


def _remove_broken() -> None:
    """Remove torch from Slicer's own packages, and nothing else."""
    if "torch._C" in sys.modules:
        message = _("PyTorch is damaged and in use: restart Slicer, then press Apply before you do anything else.")
        raise InstallationError(message)
    if _is_recorded():
        _uninstall_by_pip()
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        del sys.modules[name]
    for folder in _leftovers():
        _remove(folder)
    importlib.invalidate_caches()
    spec = importlib.util.find_spec("torch")
    if spec is not None:
        where = spec.origin or ", ".join(spec.submodule_search_locations or [])
        message = _(
            "PyTorch in '{folder}' is damaged and does not belong to Slicer: remove that folder, restart Slicer and "
            "press Apply again."
        ).format(folder=where)
        raise InstallationError(message)


def _uninstall_by_pip() -> None:
    try:
        from slicer.util import pip_uninstall

        pip_uninstall("torch")
    except Exception as error:  # a damaged record is no obstacle: the folders are removed below
        logging.info("Speckle2Self: pip could not uninstall torch (%s).", reason_of(error))


def _leftovers() -> Iterator[Path]:
    """Yield the folders of torch in the folders that Slicer's pip installs into."""
    for packages in sorted({Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}):
        for folder in [packages / "torch", *sorted(packages.glob("torch-*.dist-info"))]:
            if folder.is_dir() and not folder.is_symlink():
                yield folder


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        message = _(
            "The damaged PyTorch in '{folder}' cannot be removed ({reason}): close every other Slicer, remove that "
            "folder, restart Slicer and press Apply again."
        ).format(folder=folder, reason=reason_of(error))
        raise InstallationError(message) from error


def _question(state: TorchState) -> str:
    what = {
        TorchState.MISSING: _("The chosen method needs PyTorch, which is not installed yet. Install it now?"),
        TorchState.BROKEN: _("PyTorch is there only in part. Remove what is left of it and install it again?"),
    }[state]
    cost = _(
        "The extension 'PyTorch' downloads about 0.2 GB, or several GB with support of NVIDIA graphics cards, and "
        "Slicer does not answer meanwhile. Classical filters work without it."
    )
    return f"{what}\n\n{cost}"


def _declined() -> str:
    return _(
        "PyTorch was not installed, because you declined: choose a classical filter such as 'median', or press Apply "
        "again to be asked again."
    )


def reason_of(error: Exception) -> str:
    """Return the first line of an error, short, without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:160].rstrip(". ")
