"""One training of a study: through the bundle, going on where it was stopped, with a model at the end."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Speckle2SelfLogic.outputs import make_folder
from Training.bundle import open_workflow, run_workflow
from Training.checkpoints import latest_checkpoint, steps_done
from Training.studies.plans import RunPlan

Tell = Callable[[str], None]
NOTE = "study.json"
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Places:
    """Where a study reads and writes, and what else may differ from machine to machine."""

    simulated: Path
    """Folder that ``python -m Training.datasets`` wrote."""
    out: Path
    """Folder of all runs."""
    real: Path | None = None
    """Folder of real frames."""
    threads: int = 1

    def settings(self) -> dict[str, Any]:
        """Return these as keys of the configuration."""
        real = {} if self.real is None else {"data": str(self.real)}
        return {"dataset_dir": str(self.simulated), "threads": self.threads} | real


def file_name(name: str) -> str:
    """Spell a name as part of a path and of a model's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "run"


def model_of(folder: Path) -> Path:
    """Return where the card of a finished run lies."""
    return folder / f"study-{file_name(folder.name)}.json"


def with_epochs(run: RunPlan, epochs: int | None) -> RunPlan:
    """Return a run with another number of epochs, with a validation after the last."""
    if epochs is None:
        return run
    if epochs < 1:
        message = f"The number of epochs must be 1 or more, but is {epochs}."
        raise SettingsError(message)
    return replace(run, settings={**run.settings, "epochs": epochs, "val_interval": epochs})


def starts_of(run: RunPlan) -> tuple[str, ...]:
    """Return the names of the runs whose models the settings of a run name, as ``{name}``."""
    texts = (value for value in run.settings.values() if isinstance(value, str))
    return tuple(name for text in texts for name in _PLACEHOLDER.findall(text))


def trained(run: RunPlan, folder: Path, places: Places, tell: Tell, models: Mapping[str, Path] | None = None) -> Path:
    """Train a run in its folder and make a model of it; what is done already is not done again.

    Parameters
    ----------
    models
        Cards of the runs that `starts_of` names.

    Returns
    -------
    Path
        The card of the model.

    Raises
    ------
    SettingsError
        If the folder holds something else, or a run of that name with other settings; or as the configuration refuses.
    CancelledError
        If it was stopped by Ctrl+C or SIGTERM; the same call goes on.
    """
    _claim(run, folder)
    card = model_of(folder)
    if card.is_file():
        tell(f"{run.name}: finished already, {run.steps} steps")
        return card
    checkpoint = latest_checkpoint(folder / "checkpoints")
    done = steps_done(checkpoint)
    if done < run.steps:
        tell(f"{run.name}: {f'going on from step {done} of' if done else 'training'} {run.steps} steps")
        _train(run, folder, places, dict(models or {}))
    from Training.export import export_run

    return export_run(folder, card.stem, folder, all_scales=True, pairs=0).path.with_suffix(".json")


def _train(run: RunPlan, folder: Path, places: Places, models: dict[str, Path]) -> None:
    # Copies: MONAI puts one setting into another in place, and runs of a plan share those of their base.
    settings = {key: _filled(value, models) for key, value in copy.deepcopy(dict(run.settings)).items()}
    own = {**places.settings(), "output_dir": str(folder), "method_name": run.name}
    workflow = open_workflow(run.configs, **{**own, **settings})
    run_workflow(workflow)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    if trainer.state.iteration < run.steps:
        message = (
            f"'{run.name}' was stopped after step {trainer.state.iteration} of {run.steps}; the same command goes on "
            "from there."
        )
        raise CancelledError(message)


def _filled(value: Any, models: Mapping[str, Path]) -> Any:  # noqa: ANN401 - any value of a configuration
    return _PLACEHOLDER.sub(lambda found: str(models[found[1]]), value) if isinstance(value, str) else value


def _claim(run: RunPlan, folder: Path) -> None:
    """Note whose the folder is, or check that it is this run's."""
    asked = json.loads(json.dumps({"configs": run.configs, "settings": run.settings}))
    note = folder / NOTE
    if note.is_file():
        try:
            earlier = json.loads(note.read_text(encoding="utf-8"))
        except ValueError:
            earlier = {}
        if earlier != asked:
            key = next((k for k in asked["settings"] if _of(earlier, k) != asked["settings"][k]), "configuration")
            message = (
                f"'{folder}' holds a run with another {key} than '{run.name}' has now; choose another --out or remove "
                "that folder."
            )
            raise SettingsError(message)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"'{folder}' is not empty and holds no run of a study; choose another --out."
        raise SettingsError(message)
    make_folder(folder)
    note.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")


def _of(earlier: Mapping[str, Any], key: str) -> object:
    return dict(earlier.get("settings", {})).get(key)
