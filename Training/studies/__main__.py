"""``python -m Training.studies ablations | devices``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from Speckle2SelfLogic.errors import CancelledError, Speckle2SelfError

HERE = Path(__file__).parent
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Trainings that answer a question.")

Simulated = Annotated[
    Path, typer.Option("--dataset_dir", help="Simulated sets, as python -m Training.datasets writes them.")
]
Out = Annotated[Path, typer.Option(help="Folder of the runs; what is finished there is not trained again.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of each training, instead of the plan's.")]
Threads = Annotated[int, typer.Option(help="CPU threads.")]


@app.command()
def ablations(
    dataset_dir: Simulated,
    out: Out,
    data: Annotated[Path | None, typer.Option(help="Real frames; without them some runs are left out.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a run; may be given several times.")] = None,
    epochs: Epochs = None,
    plan: Annotated[Path, typer.Option(help="What is trained.")] = HERE / "ablations.yaml",
    threads: Threads = 1,
) -> None:
    """Train one run for each choice, and write ablations.json and plan.yaml for Training.evidence."""
    from Training.studies.ablations import run_ablations
    from Training.studies.plans import read_ablations
    from Training.studies.running import Places

    places = Places(dataset_dir, out, data, threads)
    _run(lambda: run_ablations(read_ablations(plan), places, _tell, only=only or (), epochs=epochs))


@app.command()
def devices(
    dataset_dir: Simulated,
    data: Annotated[Path, typer.Option(help="Real frames, one folder for each set.")],
    out: Out,
    only: Annotated[list[str] | None, typer.Option(help="A device; may be given several times.")] = None,
    epochs: Epochs = None,
    plan: Annotated[Path, typer.Option(help="What is trained.")] = HERE / "devices.yaml",
    threads: Threads = 1,
) -> None:
    """Train without a device, test on it, fine-tune on a few of its frames, and write curves.json."""
    from Training.studies.devices import run_devices
    from Training.studies.plans import read_devices
    from Training.studies.running import Places

    places = Places(dataset_dir, out, data, threads)
    _run(lambda: run_devices(read_devices(plan), places, _tell, only=only or (), epochs=epochs))


def _run(study: Callable[[], Path]) -> None:
    try:
        typer.echo(study())
    except KeyboardInterrupt as error:  # while data are read or figures measured; a training ends on its own
        message = "Stopped; the same command goes on from there."
        raise CancelledError(message) from error


def _tell(sentence: str) -> None:
    typer.echo(sentence, err=True)


def main() -> None:
    """Run; an expected failure is one sentence and exit status 1."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        app(prog_name="python -m Training.studies")
    except Speckle2SelfError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
