"""Train without a device, try the result on it, fit it to a few of its frames, and measure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
from Training.evidence.figures import Meter
from Training.evidence.measuring import Measuring
from Training.evidence.methods import MethodEntry
from Training.evidence.plan import DataSet, Plan
from Training.evidence.rows import read_rows, rows_path, write_whole
from Training.evidence.studies_section import CURVES, mean_figures
from Training.own_request import REQUEST, Request
from Training.own_training import train_own
from Training.studies.plans import DevicePlan, FineTuning, RunPlan, ShiftMethod
from Training.studies.running import Places, Tell, file_name, starts_of, trained, with_epochs
from Training.studies.shifts import Shift, copied, recipe_sets, shift_of

RUNS, MEASURED = "curves.json", "measured"


def run_devices(
    plan: DevicePlan, places: Places, tell: Tell, *, only: Sequence[str] = (), epochs: int | None = None
) -> Path:
    """Run the device shifts of a plan and write ``curves.json`` for the evidence, anew after each device.

    Parameters
    ----------
    only
        Devices; none: all of the plan. The others keep the curves that they have.
    epochs
        Of the trainings, instead of the plan's.

    Raises
    ------
    SettingsError
        If a device is not in the plan or has no frames, a start is missing, or a run has other settings.
    CancelledError
        If it was stopped; the same call goes on.
    """
    if unknown := [device for device in only if device not in plan.devices]:
        message = f"The plan has no device '{unknown[0]}'; it has {', '.join(plan.devices)}."
        raise SettingsError(message)
    if places.real is None:
        message = "A device shift needs a folder of real frames: give it as --data."
        raise SettingsError(message)
    devices = [device for device in plan.devices if device in only or not only]
    shifts = [shift_of(places.real, each, plan.frames, plan.most_test_frames, plan.sets) for each in devices]
    starts = {run.name: with_epochs(run, epochs) for run in plan.starts}
    for name in (name for method in plan.methods for name in starts_of(method.training)):
        if name not in starts:
            message = f"The plan starts from '{name}', which is none of its starts ({', '.join(starts) or 'none'})."
            raise SettingsError(message)
    models = {name: trained(run, places.out / file_name(name), places, tell) for name, run in starts.items()}
    for shift in shifts:
        if shift.said:
            tell(shift.said)
        entries = [entry for method in plan.methods for entry in _runs(method, shift, places, tell, models, epochs)]
        _measure(shift, [method for _, _, method in entries], places, tell)
        runs = [_curve(shift, recipe, count, method.name, places) for recipe, count, method in entries]
        _write(plan, shift, runs, places, epochs)
    return places.out / RUNS


def _runs(
    method: ShiftMethod, shift: Shift, places: Places, tell: Tell, models: dict[str, Path], epochs: int | None
) -> Iterator[tuple[str, int, MethodEntry]]:
    """Train without the device, then on a few frames of it; name of the method, number of frames, what to measure."""
    assert places.real is not None  # noqa: S101 - checked by the caller
    recipe = method.training.name
    folder = places.out / file_name(shift.device)
    training = without_device(with_epochs(method.training, epochs), shift, places.real)
    card = trained(training, folder / file_name(recipe), places, tell, models)
    yield recipe, 0, MethodEntry(f"{recipe}, zero-shot", "model", str(card))
    for count in shift.counts:
        tuned = _fine_tuned(method.finetuning, card, shift, count, folder, places, tell)
        yield recipe, count, MethodEntry(f"{recipe}, {count} frames", "model", str(tuned))


def without_device(run: RunPlan, shift: Shift, folder: Path) -> RunPlan:
    """Return a training that draws its real frames from the training subjects of the other devices."""
    settings = {**run.settings, "real_sets": recipe_sets(shift.split.train, folder)}
    return RunPlan(f"{run.name} without {shift.device}", run.configs, settings, needs_data=True)


def _fine_tuned(
    tuning: FineTuning, card: Path, shift: Shift, count: int, folder: Path, places: Places, tell: Tell
) -> Path:
    """Fit a model to a few frames as a user does, and return the card of the result."""
    name = f"{card.stem}-{count}"
    run = folder / name
    result = run / f"{name}.json"
    frames = folder / f"frames-{count}"
    settings = tuple(copy.deepcopy(dict(tuning.settings)).items())
    request = Request(
        frames, run, name, str(card), tuning.method, tuning.steps, threads=places.threads, settings=settings
    )
    if result.is_file():
        _check_same(request)
        return result
    tell(f"{name}: {tuning.steps} steps on {count} frames of {shift.device}")
    copied(shift.split.few(count), frames)
    train_own(request, tell)
    return result


def _check_same(request: Request) -> None:
    earlier = json.loads((request.run / REQUEST).read_text(encoding="utf-8"))
    if differing := [key for key, value in request.fixed().items() if earlier.get(key) != value]:
        message = f"'{request.run}' holds a fine-tuning with another {differing[0]}; choose another --out or remove it."
        raise SettingsError(message)


def _measure(shift: Shift, methods: list[MethodEntry], places: Places, tell: Tell) -> None:
    assert places.real is not None  # noqa: S101 - checked by the caller
    files = tuple(frame.path.relative_to(places.real).as_posix() for frame in shift.test)
    data = DataSet(shift.device, "real", places.real, files=files)
    plan = Plan(Path("devices.yaml"), (data,), tuple(methods), timed=0)
    Measuring(plan, places.out / MEASURED, Meter(), tell).run()


def _curve(shift: Shift, recipe: str, count: int, method: str, places: Places) -> dict[str, Any]:
    measured = read_rows(rows_path(places.out / MEASURED, shift.device, method))
    rows = measured.rows if measured else ()
    found = mean_figures(rows)
    return {
        "device": shift.device,
        "recipe": recipe,
        "frames": count,
        "n": len(rows),
        "figures": {figure: found[figure] for figure in CURVES if figure in found},
    }


def _write(plan: DevicePlan, shift: Shift, runs: list[dict[str, Any]], places: Places, epochs: int | None) -> None:
    path = places.out / RUNS
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    by_device = {device: [run for run in earlier.get("runs", ()) if run["device"] == device] for device in plan.devices}
    said = {**earlier.get("said", {}), shift.device: shift.said}
    by_device[shift.device] = runs
    more = "" if epochs is None else f" --epochs {epochs}"
    content = {
        "command": f"python -m Training.studies devices --dataset_dir SIMULATED --data REAL --out RUNS{more}",
        "note": " ".join(sentence for sentence in (plan.note, *said.values()) if sentence),
        "said": said,
        "runs": [run for device in plan.devices for run in by_device[device]],
    }
    write_whole(path, json.dumps(content, indent=1) + "\n")
