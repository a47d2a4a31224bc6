"""`speckle2self batch`: a whole archive on several processes or machines."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic import input_options as inputs
from Speckle2SelfLogic.errors import CancelledError, SettingsError

if TYPE_CHECKING:
    from Speckle2SelfLogic.archive.manifest import Row
    from Speckle2SelfLogic.archive.run import Archive, Plan
    from Speckle2SelfLogic.archive.workers import Workers


def batch(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Folder, file, quoted pattern, or URL of one.")],
    destination: Annotated[str, typer.Argument(metavar="DEST", help="Folder or URL; made if needed.")],
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Processes of this computer, or Ray.")] = "local",
    workers: Annotated[int, typer.Option(help="Processes or actors; 0: one for each processor.")] = 0,
    address: Annotated[str | None, typer.Option(help="Ray: an existing cluster; left out: start one here.")] = None,
    gpus_per_worker: Annotated[float, typer.Option(help="Ray with --device cuda: GPUs that each actor takes.")] = 1.0,
    retries: Annotated[int, typer.Option(help="Further attempts if a worker or a network is lost.")] = 2,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model, weight file, or classical filter such as nlm.")
    ] = "speckle2self-fast",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "cpu",
    runtime: Annotated[Literal["torch", "onnx", "openvino"], typer.Option(help="What runs a network.")] = "torch",
    slice_axis: Annotated[str, typer.Option(help="Volumes: slices along auto, z, y or x.")] = "auto",
    strength: Annotated[float, typer.Option(help="0 (input unchanged) to 1.")] = 1.0,
    domain: inputs.Domain = "bmode",
    dynamic_range_db: inputs.DynamicRange = None,
    sampling_mhz: inputs.SamplingMhz = None,
    geometry: inputs.Geometry = "",
    gain_db: inputs.Gain = 0.0,
    tgc: inputs.TimeGain = "",
    write: inputs.Write = "bmode",
    manifest: Annotated[
        Path | None, typer.Option(help="SQLite file that remembers what is done; default: in DEST.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that the manifest does not know.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for every file.")] = False,
) -> None:
    """Despeckle an archive. Given again, the same command does only what is missing or changed."""
    from Speckle2SelfLogic.archive.job import Method
    from Speckle2SelfLogic.archive.run import Archive, run_archive
    from Speckle2SelfLogic.batch import raw_left_out
    from Speckle2SelfLogic.denoiser import DenoiseSettings

    if workers < 0 or retries < 0 or gpus_per_worker < 0:
        message = f"Workers, retries and GPUs must be 0 or more, but are {workers}, {retries} and {gpus_per_worker}."
        raise SettingsError(message)
    method = Method(model, device, runtime, DenoiseSettings(strength=strength, slice_axis=slice_axis))
    raw = inputs.raw_options(
        source,
        domain=domain,
        dynamic_range_db=dynamic_range_db,
        sampling_mhz=sampling_mhz,
        geometry=geometry,
        gain_db=gain_db,
        tgc=tgc,
        write=write,
    )
    archive = Archive(source, destination, method, manifest, retries, overwrite, raw)
    if raw is None and Path(source).is_dir() and (left_out := raw_left_out(Path(source), Path(destination))):
        _say(left_out, "[yellow]note:[/yellow] ")
    gpus = gpus_per_worker if device.startswith(("cuda", "auto")) else 0.0
    start = _starter(archive, workers or _processors(), engine, address, gpus)
    counts: Counter[str] = Counter()
    with _progress(counts) as (begin, advance), closing(run_archive(archive, start, begin)) as rows:
        for row in rows:
            advance(row)
            if as_json:
                typer.echo(json.dumps({**asdict(row), "use": RESEARCH_USE}))
            if row.status == "failed":
                _say(
                    row.reason if f"'{row.name}'" in row.reason else f"'{row.name}': {row.reason}", "[red]Error:[/red] "
                )
    summary = f"{counts['done']} done, {counts['before']} done before, {counts['failed']} failed"
    _say(f"{summary}; manifest: {archive.manifest_path}")
    _say(RESEARCH_USE)
    if counts["failed"]:
        raise typer.Exit(1)


def _starter(archive: Archive, count: int, engine: str, address: str | None, gpus: float) -> Callable[[int], Workers]:
    from Speckle2SelfLogic.archive.store import Store

    is_inline = Store.at(archive.source).is_in_this_process or Store.at(archive.destination).is_in_this_process

    def start(items: int) -> Workers:
        if engine == "ray":
            from Speckle2SelfLogic.archive.ray_workers import Cluster, RayWorkers

            return RayWorkers(archive.method, min(count, items), Cluster(address, gpus))
        if is_inline:
            from Speckle2SelfLogic.archive.inline_worker import InlineWorker

            return InlineWorker(archive.method)
        from Speckle2SelfLogic.archive.local_workers import LocalWorkers

        return LocalWorkers(archive.method, min(count, items))

    if engine == "ray" and is_inline:
        message = "Stores in memory:// are of this process only; use the engine local, or another store."
        raise SettingsError(message)
    if address is not None and engine != "ray":
        message = f"The address '{address}' is for the engine ray; add --engine ray or leave it out."
        raise SettingsError(message)
    return start


def _say(text: str, label: str = "") -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True).print(label + escape(" ".join(text.split())), soft_wrap=True, highlight=False)


def _processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _progress(counts: Counter[str]) -> Iterator[tuple[Callable[[Plan], None], Callable[[Row], None]]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    before: set[str] = set()
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("looking", total=None)

            def begin(plan: Plan) -> None:
                before.update(row.name for row in plan.settled)
                bar.update(task, total=plan.count, description="despeckling")

            def advance(row: Row) -> None:
                is_before = row.name in before and row.status == "done"
                counts["before" if is_before else row.status] += 1
                bar.update(task, advance=1, description=f"despeckling ({counts['failed']} failed)")

            yield begin, advance
    except KeyboardInterrupt as error:
        message = f"Cancelled after {counts['done']} files; the same command goes on from there."
        raise CancelledError(message) from error
