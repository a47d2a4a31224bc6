"""``python -m Training.evidence measure | write | published | evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from Speckle2SelfLogic.errors import SettingsError, Speckle2SelfError

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Measure methods and write the results.")


@app.command()
def measure(
    plan: Annotated[Path, typer.Argument(help="YAML file with data sets and methods.")],
    out: Annotated[Path, typer.Option(help="Folder of measurements; what is there already is kept.")],
    folder: Annotated[list[str] | None, typer.Option(help="NAME=PATH for each folder that the plan names.")] = None,
    lpips: Annotated[bool, typer.Option(help="Measure LPIPS, which needs stlpips-pytorch.")] = True,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    keep_plan: Annotated[bool, typer.Option(help="Leave the folder's own plan, for runs of Training.studies.")] = False,
) -> None:
    """Run every method of a plan on every frame and store the figures."""
    import torch

    from Training.evidence.figures import Meter
    from Training.evidence.measuring import Measuring
    from Training.evidence.perceptual import load_perceptual, perceptual_distance
    from Training.evidence.plan import read_plan

    torch.set_num_threads(threads)
    chosen = read_plan(plan, _folders(folder or []))
    metric = load_perceptual() if lpips else None
    meter = Meter(
        None if metric is None else lambda reference, estimate: perceptual_distance(metric, reference, estimate)
    )
    console = Console()
    tell = lambda line: console.print(line, highlight=False, soft_wrap=True)  # noqa: E731
    made = Measuring(chosen, out, meter, tell, keeps_plan=keep_plan).run()
    console.print(f"{made} frames measured, everything else was there.")


@app.command()
def write(
    folder: Annotated[Path, typer.Argument(help="Folder of measurements.")],
    docs: Annotated[Path, typer.Option(help="Where results.md and figures/ are written.")],
    curves: Annotated[
        Path | None, typer.Option(help="Runs with a device left out; default: curves.json there.")
    ] = None,
    ablations: Annotated[Path | None, typer.Option(help="Ablation runs; default: ablations.json there.")] = None,
    detail: Annotated[Path | None, typer.Option(help="Detail checks; default: detail.json there.")] = None,
) -> None:
    """Write results.md and its figures from stored figures alone."""
    from Training.evidence.writing import write_results

    typer.echo(write_results(folder, docs, curves=curves, ablations=ablations, detail=detail))


@app.command()
def published(
    folder: Annotated[Path, typer.Argument(help="Folder with Input_01.gif, Input_06.gif and outputs.")],
    methods: Annotated[list[str] | None, typer.Argument(help="Models, weight files or filters.")] = None,
) -> None:
    """Score methods on the published carotid frames beside the published outputs."""
    from Training.evidence.published_table import published_table

    Console(width=170).print(published_table(folder, methods or []))


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Model, card, weight file or filter.")],
    folder: Annotated[Path, typer.Argument(help="Images of any format of the core.")],
    truth: Annotated[Path | None, typer.Option(help="Folder of speckle-free truths with the same names.")] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Write a line for each image.")] = None,
) -> None:
    """Evaluate one model on a folder of frames."""
    from Training.evidence.evaluate import evaluate as run

    run(model, folder, truth=truth, csv_file=table)


def _folders(given: list[str]) -> dict[str, Path]:
    pairs = [text.partition("=") for text in given]
    for name, sign, path in pairs:
        if not (name and sign and Path(path).is_dir()):
            message = f"--folder must be NAME=PATH with a folder that exists, but is '{name}{sign}{path}'."
            raise SettingsError(message)
    return {name: Path(path) for name, _, path in pairs}


def main() -> None:
    """Run; an expected failure is one sentence and exit status 1."""
    try:
        app(prog_name="python -m Training.evidence")
    except Speckle2SelfError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
