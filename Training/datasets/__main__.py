"""``python -m Training.datasets FOLDER`` makes the simulated sets; ``verify FOLDER`` checks them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from Speckle2SelfLogic.errors import Speckle2SelfError
from Training.datasets.acoustic_plan import AcousticPlan
from Training.datasets.catalogue import SETS
from Training.datasets.manifest import problems_of, read_manifest
from Training.datasets.plan import FolderPlan
from Training.datasets.writing import Plan, write_folder

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
_SHOWN_PROBLEMS = 10


@app.command()
def write(
    folder: Annotated[Path, typer.Argument(help="New or empty folder, or one to go on with.")],
    sets: Annotated[str, typer.Option(help=f"Names separated by commas: {', '.join(SETS)}.")] = ",".join(SETS),
    train: Annotated[int, typer.Option(help="Scenes of each set to train with.")] = 240,
    validation: Annotated[int, typer.Option(help="Scenes of each set to validate with.")] = 12,
    test: Annotated[int, typer.Option(help="Scenes of each set to test with.")] = 24,
    size: Annotated[int, typer.Option(help="Rows and columns in pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
) -> None:
    """Make simulated sets: two speckle realisations and the truth of every scene, and a manifest."""
    names = tuple(name.strip() for name in sets.split(",") if name.strip())
    plan = FolderPlan(names, train, validation, test, size, seed)
    _write(folder, plan, workers)


@app.command()
def acoustic(
    folder: Annotated[Path, typer.Argument(help="New or empty folder, or one to go on with.")],
    scenes: Annotated[int, typer.Option(help="Disc scenes, cysts and carotids in turn.")] = 12,
    size: Annotated[int, typer.Option(help="Rows and columns in pixels, 19.2 mm.")] = 256,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
) -> None:
    """Make a test set with an acoustic simulator that is not ours (needs PyMUST); about 25 s of one core per scene."""
    _write(folder, AcousticPlan(scenes, seed, size), workers)


@app.command()
def verify(folder: Annotated[Path, typer.Argument(help="A folder made by this command.")]) -> None:
    """Compare every file with the checksum in the manifest."""
    problems = list(problems_of(folder))
    for problem in problems[:_SHOWN_PROBLEMS]:
        typer.echo(problem)
    if len(problems) > _SHOWN_PROBLEMS:
        typer.echo(f"... and {len(problems) - _SHOWN_PROBLEMS} more.")
    if problems:
        raise typer.Exit(1)
    typer.echo(f"All files of {len(read_manifest(folder)['scenes'])} scenes are as they were made.")


def _write(folder: Path, plan: Plan, workers: int) -> None:
    with Progress(*Progress.get_default_columns()[:-1], TimeRemainingColumn(), transient=True) as bar:
        shown = bar.add_task("Scenes", total=None)
        write_folder(folder, plan, workers, lambda done, total: bar.update(shown, completed=done, total=total))
    Console(soft_wrap=True).print(f"{len(plan.tasks())} scenes in {folder}", highlight=False)


def main(arguments: list[str]) -> None:
    """Run and leave with an exit code; a first argument that names no command is the folder to write."""
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    if arguments and arguments[0] not in commands and arguments[0] != "--help":
        arguments = ["write", *arguments]
    try:
        app(arguments, prog_name="python -m Training.datasets")
    except Speckle2SelfError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
