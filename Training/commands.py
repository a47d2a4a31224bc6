"""The commands that training adds to ``speckle2self``. Only light imports here: the help must stay quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from Training.segmentation import commands as segmentation

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Your images, any format, with cines; or one file.")]
Name = Annotated[str | None, typer.Option(help="Name of the new model; default: made from the folder's name.")]
Out = Annotated[Path | None, typer.Option(help="Run folder with checkpoints and the model; default: runs/NAME.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int, typer.Option(help="CPU threads.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Method = Annotated[
    str, typer.Option(help="despeckler, or noise2void, noise2self, neighbor2neighbor, published on frames alone.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line of the core."""
    for command in (train, finetune, evaluate):
        app.command()(command)
    segmentation.register(app)


def train(
    folder: Folder,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 20000,
    method: Method = "despeckler",
    name: Name = None,
    out: Out = None,
    device: Device = "auto",
    threads: Threads = 1,
    seed: Seed = 20261,
) -> None:
    """Train a new network on your own frames; clean images are not needed. The same command goes on if stopped."""
    from Training.bundle import check_installed

    check_installed()
    from Training.own_request import training
    from Training.own_training import train_own

    chosen = {"steps": steps, "method": method, "name": name, "run": out}
    _finish(train_own(training(folder, device=device, threads=threads, seed=seed, **chosen), _tell))


def finetune(
    folder: Folder,
    model: Annotated[str, typer.Option("--model", "-m", help="Model or weight file to start from.")] = (
        "speckle2self-fast"
    ),
    steps: Annotated[int, typer.Option(help="Optimiser steps; 300 take minutes on a CPU.")] = 300,
    method: Method = "despeckler",
    name: Name = None,
    out: Out = None,
    device: Device = "auto",
    threads: Threads = 1,
    seed: Seed = 20261,
) -> None:
    """Fit a model to your own frames; one is enough. The same command goes on if stopped."""
    from Training.bundle import check_installed

    check_installed()
    from Training.own_request import finetuning
    from Training.own_training import train_own

    chosen = {"steps": steps, "method": method, "name": name, "run": out}
    request = finetuning(folder, model=model, device=device, threads=threads, seed=seed, **chosen)
    _finish(train_own(request, _tell))


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model, weight file, or classical filter such as nlm.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Images to measure on.")],
    truth: Annotated[Path | None, typer.Option(help="Folder of speckle-free images of the same names.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Table to write, one line for each image.")] = None,
    device: Device = "auto",
) -> None:
    """Measure a model on a folder of images: against truths where there are any, without reference elsewhere."""
    from Training.bundle import check_installed

    check_installed()
    from Training.evidence.evaluate import evaluate as measure

    measure(model, folder, truth=truth, csv_file=csv, device=device)


def _tell(sentence: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True).print(escape(sentence), highlight=False, soft_wrap=True)


def _finish(card: object) -> None:
    from Speckle2SelfLogic import RESEARCH_USE
    from Speckle2SelfLogic.model_card import ModelCard

    if isinstance(card, ModelCard):
        typer.echo(card.path)
        preview = card.folder / "preview.png"
        _tell(f"Model: {card.path} (use it with: speckle2self denoise IN OUT --model {card.path})")
        _tell(f"Preview: {preview}\n{RESEARCH_USE}")
