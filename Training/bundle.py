"""Run the bundle from Python: its own configurations, stacked, with settings on top.

A configuration of MONAI is code: it names what to import and call. So only files of ``Training/configs`` are run here,
never one from a user's folder.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import SettingsError, Speckle2SelfError

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

ROOT = Path(__file__).parent
CONFIGS = ROOT / "configs"
NEEDED = ("monai", "ignite", "yaml")


def check_installed() -> None:
    """Check that the packages for training are there.

    Raises
    ------
    SettingsError
        If one is missing.
    """
    if missing := [name for name in NEEDED if util.find_spec(name) is None]:
        message = f'Training needs {", ".join(missing)}, not installed yet: pip install "speckle2self[train]".'
        raise SettingsError(message)


def method_names() -> tuple[str, ...]:
    """Return the names of the overlays in ``configs/methods``."""
    return tuple(sorted(path.stem for path in (CONFIGS / "methods").glob("*.yaml")))


def config_path(name: str) -> str:
    """Return the path of one of the bundle's own configurations, such as ``"train"`` or ``"methods/noise2void"``.

    Raises
    ------
    SettingsError
        If the bundle has no such configuration.
    """
    known = {path.relative_to(CONFIGS).with_suffix("").as_posix(): path for path in CONFIGS.rglob("*.yaml")}
    if name not in known:
        message = f"The bundle has no configuration '{name}'; it has {', '.join(sorted(known))}."
        raise SettingsError(message)
    return str(known[name])


def open_workflow(configs: Sequence[str], workflow_type: str = "train", **settings: object) -> ConfigWorkflow:
    """Stack configurations of the bundle and settings, and initialise the workflow.

    Parameters
    ----------
    configs
        Names as `config_path` takes them; later ones override earlier ones.
    workflow_type
        ``"train"`` or ``"inference"``.
    settings
        Values by their key in the configuration.

    Raises
    ------
    Speckle2SelfError
        If something in the configuration refuses its settings; MONAI's own wrapping is taken off.
    """
    check_installed()
    quiet_loggers()
    from monai.bundle import ConfigWorkflow

    with plain_errors():
        workflow = ConfigWorkflow(
            config_file=[config_path(name) for name in configs],
            meta_file=str(CONFIGS / "metadata.json"),
            logging_file=False,
            workflow_type=workflow_type,
            **{"bundle_root": str(ROOT), **settings},
        )
        workflow.initialize()
    return workflow


def run_workflow(workflow: ConfigWorkflow) -> None:
    """Run a workflow to its end or until it is stopped. Raises what its parts raise."""
    before = list(sys.path)
    try:
        with plain_errors():
            workflow.run()
            workflow.finalize()
    finally:
        sys.path[:] = before  # MONAI puts the bundle's folder there


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise the error that a part of the configuration raised, without what MONAI wrapped around it."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, (Speckle2SelfError, OSError, MemoryError)):
                raise cause from error
            cause = cause.__cause__ or cause.__context__
        raise


def quiet_loggers() -> None:
    """Let MONAI and ignite speak of errors only: progress is shown by `Training.progress`."""
    import ignite.engine  # noqa: F401 - makes its loggers
    import monai.bundle  # noqa: F401

    for name in ("monai", "ignite", *logging.root.manager.loggerDict):
        if name.split(".")[0] in {"monai", "ignite"}:
            logging.getLogger(name).setLevel(logging.ERROR)
