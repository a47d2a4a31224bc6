"""The command line. It reads options, calls the package, and shows results; modules load only when they are used."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from Speckle2SelfLogic import RESEARCH_USE, __version__, dicom_commands
from Speckle2SelfLogic import input_options as inputs
from Speckle2SelfLogic.batch_command import batch
from Speckle2SelfLogic.benchmark_command import benchmark
from Speckle2SelfLogic.errors import CancelledError, SettingsError, Speckle2SelfError, WeightsError
from Speckle2SelfLogic.measure_command import measure
from Speckle2SelfLogic.segment_command import segment

if TYPE_CHECKING:
    from rich.console import Console

    from Speckle2SelfLogic.batch import FileResult

app = typer.Typer(
    help=f"Speckle reduction for ultrasound frames, cines and volumes. {RESEARCH_USE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models = typer.Typer(help="List, show, verify and add network weights.", no_args_is_help=True)
app.add_typer(models, name="models")
app.add_typer(dicom_commands.app, name="dicom")
app.command()(batch)
app.command()(benchmark)
app.command()(segment)
app.command()(measure)

COMMANDS_GROUP = "speckle2self.commands"

Model = Annotated[str, typer.Option("--model", "-m", help="Model, weight file, or classical filter such as nlm.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON lines on standard output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]


@app.command()
def denoise(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image file, or a folder of them.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Output file, or a folder.")],
    model: Model = "speckle2self-fast",
    device: Device = "auto",
    slice_axis: Annotated[str, typer.Option(help="Volumes: slices along auto, z, y or x.")] = "auto",
    strength: Annotated[float, typer.Option(help="0 (input unchanged) to 1.")] = 1.0,
    frames: Annotated[str, typer.Option(help="Only frames FIRST:END; others stay as they are.")] = ":",
    region: inputs.Region = "",
    domain: inputs.Domain = "bmode",
    dynamic_range_db: inputs.DynamicRange = None,
    sampling_mhz: inputs.SamplingMhz = None,
    geometry: inputs.Geometry = "",
    gain_db: inputs.Gain = 0.0,
    tgc: inputs.TimeGain = "",
    write: inputs.Write = "bmode",
    runtime: Annotated[str, typer.Option(help="auto (the fastest here), torch, onnx or openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="single, bf16, int8, or reduced: the fastest of these.")] = "single",
    threads: Annotated[int, typer.Option(help="CPU threads; 0: one for each physical core.")] = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Despeckle a file or every image in a folder. Geometry, size and pixel type stay as they are."""
    from Speckle2SelfLogic.batch import despeckle_all, plan, raw_left_out
    from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
    from Speckle2SelfLogic.methods import load_method

    despeckle = inputs.despeckle_function(
        source,
        region=region,
        domain=domain,
        dynamic_range_db=dynamic_range_db,
        sampling_mhz=sampling_mhz,
        geometry=geometry,
        gain_db=gain_db,
        tgc=tgc,
        write=write,
    )
    settings = DenoiseSettings(strength=strength, slice_axis=slice_axis, frames=_frame_range(frames))
    _check_threads(threads)
    method = load_method(model, device, runtime=runtime, precision=precision, threads=threads)
    denoiser = Denoiser(method, settings)
    is_raw = domain != "bmode"
    pairs = plan(source, target, overwrite=overwrite, is_raw=is_raw)
    if source.is_dir() and not is_raw:
        _show_notes([note for note in [raw_left_out(source, target)] if note])
    done, failed = 0, 0
    with _frame_progress(len(pairs)) as progress:
        for result in despeckle_all(pairs, denoiser, progress, despeckle=despeckle):
            done, failed = done + (not result.error), failed + bool(result.error)
            if as_json:
                typer.echo(result.as_json())
            if not as_json or result.error:
                _show_result(result)
    if done and not as_json:
        _stderr().print(f"[dim]{RESEARCH_USE}[/dim]")
    if failed:
        raise typer.Exit(1)


@app.command()
def compare(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image file.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.html", help="Report to write.")],
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Method to include; repeat for more. Default: all.")
    ] = None,
    device: Device = "auto",
    frame: Annotated[int | None, typer.Option(help="Frame of a cine or volume; default: the middle one.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Speckle-free image of the same size, if known.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare methods on one frame in a self-contained HTML page."""
    from Speckle2SelfLogic.comparison import compare_file

    with _spinner("Comparing") as tell:
        compare_file(
            source, target, methods=model, device=device, frame=frame, truth=truth, overwrite=overwrite, tell=tell
        )
    _stderr().print(f"Report: {_plain(str(target))}\n[dim]{RESEARCH_USE}[/dim]", soft_wrap=True)


@app.command()
def simulate(
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write into; it is made if needed.")],
    phantom: Annotated[str, typer.Option(help="carotid, carotid-longitudinal, muscle, cysts, shapes, ...")] = "carotid",
    size: Annotated[int, typer.Option(help="Rows and columns.")] = 512,
    frames: Annotated[int, typer.Option(help="More than one makes a cine.")] = 1,
    geometry: Annotated[str, typer.Option(help="linear or fan.")] = "linear",
    dynamic_range_db: Annotated[float, typer.Option("--dynamic-range", help="Log compression in dB.")] = 60.0,
    seed: Seed = 0,
    suffix: Annotated[str, typer.Option(help="File format: .nrrd, .mha, .nii.gz, .png, ...")] = ".nrrd",
    overwrite: Overwrite = False,
) -> None:
    """Simulate ultrasound with known truth: speckled, truth, lumen and wall images."""
    from Speckle2SelfLogic.batch import simulation_paths, write_simulation
    from Speckle2SelfLogic.simulation import simulate as run

    paths = simulation_paths(target, suffix, overwrite=overwrite)
    with _interruptible():
        made = run(
            phantom,
            size_yx=(size, size),
            frames=frames,
            seed=seed,
            geometry=geometry,  # type: ignore[arg-type]
            dynamic_range_db=dynamic_range_db,
        )
        notes = write_simulation(made, paths)
    _show_notes(notes)
    for path in paths.values():
        typer.echo(path)


@app.command()
def demo(
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write into.")] = Path("demo-output"),
    device: Device = "auto",
) -> None:
    """Despeckle a real ultrasound clip and a simulated carotid, and write a report to look at."""
    from Speckle2SelfLogic.demo import run_demo

    with _spinner("Demo") as tell:
        report = run_demo(target, device=device, tell=tell)
    _stderr().print(
        f"\nOpen [bold]{_plain(str(report))}[/bold] in a browser.\n[dim]{RESEARCH_USE}[/dim]", soft_wrap=True
    )


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that can be used by name."""
    import json

    from rich.table import Table

    from Speckle2SelfLogic.weights import DEFAULT_MODEL, find_model, model_names

    table = Table("name", "title", "network", "size", "licence")
    damaged = []
    for model in model_names(None):
        try:
            card = find_model(model)
        except WeightsError as error:
            damaged.append(str(error))
            continue
        if as_json:
            typer.echo(json.dumps(json.loads(card.to_json())))
        name = f"{card.name} (default)" if card.name == DEFAULT_MODEL else card.name
        cells = (name, card.title, card.network, f"{card.bytes / 1e6:.1f} MB", card.licence)
        table.add_row(*map(_plain, cells))
    if not as_json:
        _stdout().print(table)
    _show_notes(damaged)


@models.command()
def show(name: Annotated[str, typer.Argument(help="Model.")] = "speckle2self-fast") -> None:
    """Show a model card: training data, recipe, metrics, intended use, known failures."""
    from Speckle2SelfLogic.weights import find_model

    typer.echo(find_model(name).to_json())


@models.command()
def verify(name: Annotated[str | None, typer.Argument(help="Model; left out: all.")] = None) -> None:
    """Check files against the checksums in their cards."""
    from Speckle2SelfLogic.weights import find_model, verify_model
    from Speckle2SelfLogic.weights import list_models as cards

    for card in [find_model(name)] if name else cards(None):
        verify_model(card)
        typer.echo(f"{card.name}: the file matches its card")


@models.command()
def add(
    path: Annotated[Path, typer.Argument(help="Weight file (plain state dict, .pt or .pth).")],
    name: Annotated[str | None, typer.Option(help="Name to use it by; default: the file's name.")] = None,
) -> None:
    """Check a weight file and keep a copy of it under a name."""
    from Speckle2SelfLogic.methods import add_method

    card = add_method(path, name)
    typer.echo(f"Added model '{card.name}'.")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(f"speckle2self {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an expected failure is one sentence on standard error and exit status 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being ended cleans up like Ctrl+C
    try:
        _add_commands()
        app()
    except CancelledError as error:
        _fail(str(error), 130)
    except Speckle2SelfError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.", 1)
    except MemoryError:
        _fail("There is not enough memory for this image; crop it or close other programs.", 1)


@functools.cache
def _add_commands() -> None:
    """Let installed packages add commands, through entry points of the group `COMMANDS_GROUP`; training does so.

    An entry point names a function that takes the `typer.Typer` application. The core does not know what it finds.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=COMMANDS_GROUP):
        try:
            register = entry.load()
        except ImportError as error:
            _show_notes([f"the commands of '{entry.value}' are missing: {error}"])
            continue
        register(app)


def _fail(sentence: str, status: int) -> None:
    _stderr().print(f"[red]Error:[/red] {_plain(sentence)}", soft_wrap=True, highlight=False)
    sys.exit(status)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(" ".join(text.split()))


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _stdout() -> Console:
    from rich.console import Console

    return Console()


def _frame_range(text: str) -> tuple[int | None, int | None]:
    first, colon, end = text.partition(":")
    try:
        if not colon:
            return int(first), (int(first) + 1) or None
        return (int(first) if first else None), (int(end) if end else None)
    except ValueError as error:
        message = f"Frames must be given as FIRST:END, such as 10:20, but are '{text}'."
        raise SettingsError(message) from error


def _check_threads(threads: int) -> None:
    if threads < 0:
        message = f"The number of threads must be 0 or more, but is {threads}."
        raise SettingsError(message)


def _show_result(result: FileResult) -> None:
    console = _stderr()
    if result.error or result.report is None:
        console.print(f"[red]Error:[/red] {_plain(result.error)}", soft_wrap=True, highlight=False)
        return
    report = result.report
    console.print(
        f"{_plain(str(result.target))}: {report.processed} of {report.frames} frames in {report.seconds:.1f} s "
        f"by {report.method}, {report.clipped_low + report.clipped_high} values clipped",
        soft_wrap=True,
        highlight=False,
    )
    notes = [*result.notes, *report.messages]
    if report.skipped:
        first = report.skipped[0]
        notes.append(f"{len(report.skipped)} frames unchanged, the first is {first.frame}: {first.reason}")
    _show_notes(notes)


def _show_notes(notes: list[str]) -> None:
    for note in notes:
        _stderr().print(f"  [yellow]note:[/yellow] {_plain(note)}", soft_wrap=True, highlight=False)


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        message = "Cancelled; the file in progress was not written."
        raise CancelledError(message) from error


@contextmanager
def _frame_progress(files: int) -> Iterator[Callable[[FileResult], Callable[[int, int], None]]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = _stderr()
    with _interruptible(), Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        numbers = iter(range(1, files + 1))

        def start(result: FileResult) -> Callable[[int, int], None]:
            task = bar.add_task(f"{next(numbers)}/{files} {result.source.name}", total=None)

            def advance(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total, visible=done < total)

            return advance

        yield start


@contextmanager
def _spinner(title: str) -> Iterator[Callable[[str], None]]:
    console = _stderr()
    with _interruptible(), console.status(title) as status:

        def tell(text: str) -> None:
            status.update(f"{title}: {_plain(text)}")
            if not console.is_terminal:
                console.print(_plain(text), soft_wrap=True, highlight=False)

        yield tell
