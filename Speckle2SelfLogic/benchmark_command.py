"""`speckle2self benchmark`: speed on this computer, as ratios to the published network and to filters."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def benchmark(
    size: Annotated[int, typer.Option(help="Rows and columns of a frame.")] = 512,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: one for each physical core.")] = 0,
    rounds: Annotated[int, typer.Option(help="Times that everything is timed, in turns.")] = 7,
    model: Annotated[str, typer.Option("--model", "-m", help="Our model to time.")] = "speckle2self-fast",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
) -> None:
    """Time the default network beside the published one, OpenCV's non-local means and SRAD, in one process."""
    from rich.console import Console

    from Speckle2SelfLogic.benchmark import Settings, run_benchmark

    console = Console(stderr=True)
    with console.status("Timing") as status:
        result = run_benchmark(Settings(size, threads, rounds, model), lambda text: status.update(f"Timing: {text}"))
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    _show(result)


def _show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "ms per frame", "ms alone", "times longer than default", "GFLOP", "GFLOP/s")
    names = {"default": "model_seconds", "reduced": "model_seconds", "reference": "model_seconds"}
    for name in ("default", "reduced", "reference", "opencv_nlm", "srad"):
        if (row := result[name]) is None:
            continue
        ratio = result["ratios"].get(f"{name}_to_default", {}).get("median", "")
        label = f"{name} ({row['runtime']}, {row['precision']})" if "runtime" in row else name
        seconds = row[names.get(name, "seconds")]
        alone = f"{1e3 * row['alone_seconds']:.1f}" if "alone_seconds" in row else ""
        cost = (str(row.get("gflop", "")), str(row.get("gflop_per_second", "")))
        table.add_row(label, f"{1e3 * seconds:.1f}", alone, str(ratio), *cost)
    console = Console(width=120)
    console.print(table)
    machine, whole = result["machine"], result["end_to_end"]
    console.print(
        f"{result['size']} x {result['size']}, {result['threads']} threads, {machine['processor']}, load "
        f"{machine['load_average']}; matrix product {machine['matrix_product_gflop_per_second']} GFLOP/s.\n"
        f"From file to file a cine takes {100 * whole['overhead']:.0f} % more than the model alone.\n"
        f"By processor time: {_in_words(result['ratios_of_processor_time'])}.",
        highlight=False,
    )


def _in_words(ratios: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {ratio['median']:g}" for name, ratio in ratios.items())
