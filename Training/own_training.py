"""Train or fine-tune on a user's own folder: which configurations are stacked, and what comes out of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Speckle2SelfLogic.model_card import ModelCard
from Speckle2SelfLogic.weights import load_network
from Training.bundle import check_installed, open_workflow, plain_errors, run_workflow
from Training.own_request import OUR_METHOD, Request, check, claim, release

HELD_OUT_PAIRS = 16
Tell = Callable[[str], None]


def train_own(request: Request, tell: Tell) -> ModelCard:
    """Train as asked, or go on with a run that was stopped, and write the model into the run folder.

    Raises
    ------
    SettingsError
        If a setting cannot be, or the run folder belongs to another request.
    ImageFileError
        If there is no image to learn from, the run folder cannot be written to, or the model is there already.
    WeightsError
        If the model to start from cannot be loaded.
    CancelledError
        If the run was stopped by Ctrl+C or SIGTERM; the text says how to go on.
    """
    check_installed()
    check(request)
    claim(request)
    try:
        workflow = open_workflow(_configs(request), **_settings(request))
        with plain_errors():
            own, resume = (workflow.parser.get_parsed_content(key) for key in ("own", "resume"))
    except BaseException:
        release(request)
        raise
    tell(f"{len(own.training)} frames of {own.files} files to learn from; {own.held_out_note}.")
    for sentence in own.skipped:
        tell(f"Left out: {sentence}")
    if resume:
        tell(f"Going on from {Path(resume).name}.")
    run_workflow(workflow)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    if trainer.should_terminate == "skip_completed":
        message = (
            f"Stopped after step {trainer.state.iteration} of {request.epochs * request.epoch_length}; "
            f"the same command goes on from there. Everything so far is in '{request.run}'."
        )
        raise CancelledError(message)
    card = _export(request, own.files)
    if request.start is not None and card.recipe.get("steps_done") == 0:
        tell(f"No step made the held-out frames better than '{request.start}' does: the new model is a copy of it.")
    return card


def _configs(request: Request) -> list[str]:
    overlay = "own_frames" if request.method == OUR_METHOD else "own_frames_alone"
    configs = ["train", f"methods/{request.method}", overlay]
    return configs if request.start is None else [*configs, "finetune"]


def _settings(request: Request) -> dict[str, Any]:
    from Speckle2SelfLogic.runtime import choose_device

    settings: dict[str, Any] = {
        "data": str(request.data),
        "output_dir": str(request.run),
        "method_name": request.name,
        "epochs": request.epochs,
        "epoch_length": request.epoch_length,
        "val_interval": request.val_interval,
        "seed": request.seed,
        "threads": request.threads,
        "device": f"$torch.device({str(choose_device(request.device))!r})",
        "warmup_steps": max(1, min(200, request.steps // 10)),
    }
    if request.start is not None:
        _check_fits(request.start, request.method)
        settings["initial_weights"] = request.start
    return settings | dict(request.settings)


def _check_fits(start: str, method: str) -> None:
    card = load_network(start)[1]
    if card.network != ("reference" if method == "published" else "despeckler"):
        suited = "published" if card.network == "reference" else OUR_METHOD
        message = f"The model '{start}' cannot be trained on by the method '{method}'; choose --method {suited}."
        raise SettingsError(message)


def _export(request: Request, files: int) -> ModelCard:
    from Training.export import export_run

    start = None if request.start is None else load_network(request.start)[1]
    earlier = [] if start is None else [asdict(source) for source in start.training_data]
    source = {
        "name": f"{files} files of the folder '{request.data.resolve().name}'",
        "licence": "not stated",
        "attribution": "not stated",
    }
    title = f"Fine-tuned from {start.name}" if start else f"Trained by {request.method}"
    details = {
        "title": f"{title} on {request.data.resolve().name}",
        "training_data": [*earlier, source],
        "intended_use": "Research use only, not for diagnosis. Frames like those that it was trained on.",
    }
    if start is not None:
        details |= {"citation": start.citation, "known_failures": list(start.known_failures)}
    return export_run(request.run, request.name, request.run, details=details, best=True, pairs=HELD_OUT_PAIRS)
