"""The command ``speckle2self segment-compare``. Only light imports here: the help must stay quick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.errors import CancelledError

if TYPE_CHECKING:
    from Training.segmentation.running import Watcher


def register(app: typer.Typer) -> None:
    """Add the command to the command line of the core."""
    app.command("segment-compare")(segment_compare)


def segment_compare(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file: data sets, methods, folds, budget.")],
    out: Annotated[Path, typer.Option(help="Folder for images, scores and report.")] = Path("runs/segment-compare"),
    data: Annotated[Path | None, typer.Option(help="Folder that paths in CONFIG start from; default: its own.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    report_only: Annotated[bool, typer.Option("--report-only", help="Report what is finished; train nothing.")] = False,
    docs: Annotated[
        Path | None, typer.Option(help="Folder to write segmentation.md with table and figures to.")
    ] = None,
) -> None:
    """Train one segmentation network for each despeckling method and compare. The same command goes on if stopped."""
    from Training.bundle import check_installed

    check_installed()
    from Training.segmentation.compare import compare

    with _watching() as watch:
        settings = {"data": data, "device": device, "threads": threads, "report_only": report_only, "docs": docs}
        found = compare(config, out, watch=watch, **settings)
    for sentence in found.sentences:
        typer.echo(sentence)
    typer.echo(f"Report: {found.report}\n{RESEARCH_USE}", err=True)


@contextmanager
def _watching() -> Iterator[Watcher]:
    """Show bars on a terminal, elsewhere one line for each network."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {stage: bar.add_task(stage, total=None) for stage in ("images", "networks")}

        def watch(stage: str, done: int, total: int, what: str) -> None:
            bar.update(tasks[stage], completed=done, total=total, description=f"{stage}: {what}")
            if not console.is_terminal and (stage == "networks" or done == total):
                console.print(f"{stage} {done}/{total}: {what}", markup=False, highlight=False, soft_wrap=True)

        try:
            yield watch
        except KeyboardInterrupt as error:
            message = "Stopped; the same command goes on from here."
            raise CancelledError(message) from error
