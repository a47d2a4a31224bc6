"""Train what each choice is compared with, and say how the runs are measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from Speckle2SelfLogic.errors import SettingsError
from Training.evidence.rows import write_whole
from Training.studies.plans import AblationPlan, RunPlan
from Training.studies.running import Places, Tell, file_name, model_of, starts_of, trained, with_epochs

RUNS, MEASURED = "ablations.json", "plan.yaml"


def run_ablations(
    plan: AblationPlan, places: Places, tell: Tell, *, only: Sequence[str] = (), epochs: int | None = None
) -> Path:
    """Train the runs of a plan one after the other and write ``ablations.json`` and ``plan.yaml`` for the evidence.

    Parameters
    ----------
    only
        Names of runs; none: all. The files list every run of the plan that is finished.
    epochs
        Instead of the plan's.

    Raises
    ------
    SettingsError
        If a name is unknown, or a run needs real frames and there is no folder of them; or as `trained`.
    CancelledError
        If it was stopped; the same call goes on.
    """
    runs = {run.name: with_epochs(run, epochs) for run in plan.runs}
    for name in only:
        if name not in runs:
            message = f"The plan has no run '{name}'; it has {', '.join(runs)}."
            raise SettingsError(message)
        if runs[name].needs_data and places.real is None:
            message = f"The run '{name}' learns from real frames: give a folder of them as --data."
            raise SettingsError(message)
    chosen = [run for name, run in runs.items() if name in only or not only]
    if places.real is None and (left_out := [run.name for run in chosen if run.needs_data]):
        tell(f"Left out without --data, since they learn from real frames: {', '.join(left_out)}.")
        chosen = [run for run in chosen if not run.needs_data]
    for run in chosen:
        _with_starts(run, runs, places, tell)
        write_files(plan, places, epochs)
    return places.out / RUNS


def _with_starts(run: RunPlan, runs: dict[str, RunPlan], places: Places, tell: Tell) -> Path:
    models = {}
    for name in starts_of(run):
        if name not in runs or name == run.name:
            message = f"The run '{run.name}' starts from '{name}', which is no other run of the plan."
            raise SettingsError(message)
        models[name] = _with_starts(runs[name], runs, places, tell)
    return trained(run, places.out / file_name(run.name), places, tell, models)


def write_files(plan: AblationPlan, places: Places, epochs: int | None = None) -> None:
    """Write which runs are finished, for `Training.evidence write`, and how to measure them, for ``measure``."""
    finished = [run for run in plan.runs if model_of(places.out / file_name(run.name)).is_file()]
    real = "" if places.real is None else " --data REAL"
    more = "" if epochs is None else f" --epochs {epochs}"
    content: dict[str, Any] = {
        "command": f"python -m Training.studies ablations --dataset_dir SIMULATED{real} --out RUNS{more}",
        "note": plan.note,
        "baseline": method_name(plan.baseline),
        "sets": list(plan.sets),
        "runs": [
            {"question": run.question, "method": method_name(run.name)}
            | ({"overlay": run.overlay} if run.overlay else {})
            for run in finished
        ],
        "conclusions": list(plan.conclusions),
    }
    write_whole(places.out / RUNS, json.dumps(content, indent=1) + "\n")
    measured = {
        "timed": 0,
        "data": [{"name": name, "kind": "simulated"} for name in plan.sets],
        "methods": [
            {
                "name": method_name(run.name),
                "run": f"{{runs}}/{file_name(run.name)}",
                "learned_from": run.learned_from,
                "in_pictures": False,
            }
            for run in finished
        ],
    }
    write_whole(places.out / MEASURED, yaml.safe_dump(measured, sort_keys=False))


def method_name(run: str) -> str:
    """Return the name that the measurements of a run go by."""
    return f"Ablation {run}"
