"""The command ``speckle2self segment``. Only light imports here: the help must stay quick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.errors import CancelledError

if TYPE_CHECKING:
    from Speckle2SelfLogic.segment_batch import SegmentedFile

_NAMED_FRAMES = 5


def segment(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image file, or a folder of them.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Label image to write, or a folder.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Segmenter, or its weight file.")] = "carotid-segmenter",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    slice_axis: Annotated[str, typer.Option(help="Volumes: slices along auto, z, y or x.")] = "auto",
    suffix: Annotated[str, typer.Option(help="For a folder: ending of the outputs.")] = ".seg.nrrd",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves the choice to torch.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print quality of each frame as JSON lines.")] = False,
) -> None:
    """Draw a first contour of a carotid artery, 1 lumen and 2 wall, and say in which frames not to trust it."""
    from Speckle2SelfLogic.segment_batch import plan_labels, segment_all
    from Speckle2SelfLogic.segmenter import VesselSegmenter

    if threads:
        import torch

        torch.set_num_threads(threads)
    files = plan_labels(source, target, suffix=suffix, overwrite=overwrite)
    segmenter = VesselSegmenter.load(model, device)
    failed = 0
    with _progress() as advance:
        for file in segment_all(files, segmenter, slice_axis, advance):
            failed += bool(file.error)
            if as_json:
                typer.echo(file.as_json())
            if not as_json or file.error:
                _show(file)
    if failed < len(files) and not as_json:
        _tell(f"Correct every contour before it is used. {RESEARCH_USE}", "dim")
    if failed:
        raise typer.Exit(1)


def _show(file: SegmentedFile) -> None:
    if file.report is None:
        _tell(f"Error: {file.error}", "red")
        return
    frames, trusted = len(file.report.quality), len(file.report.trusted)
    _tell(f"{file.target}: {trusted} of {frames} frames with a contour to be trusted, in {file.report.seconds:.1f} s")
    doubtful = [(number, quality) for number, quality in file.report.quality.items() if not quality.is_trusted]
    for number, quality in doubtful[:_NAMED_FRAMES]:
        _tell(f"  do not trust frame {number}: {'; '.join(quality.reasons)} (score {quality.score:.2f})", "yellow")
    if len(doubtful) > _NAMED_FRAMES:
        _tell(f"  and {len(doubtful) - _NAMED_FRAMES} more; --json names all", "yellow")
    for note in file.notes:
        _tell(f"  note: {note}", "yellow")


def _tell(text: str, style: str = "") -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True).print(escape(text), style=style or None, soft_wrap=True, highlight=False)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("segmenting", total=None)
        try:
            yield lambda done, total: bar.update(task, completed=done, total=total)
        except KeyboardInterrupt as error:
            message = "Cancelled; the file in progress was not written."
            raise CancelledError(message) from error
