"""Evaluate one model on a folder of frames: against truths where there are any, otherwise without a reference."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from Speckle2SelfLogic.errors import ImageFileError, SettingsError
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.evidence.figures import INFOS, Figures, Meter
from Training.evidence.frames import image_files, items_of
from Training.evidence.measuring import through_denoiser
from Training.evidence.perceptual import load_perceptual, perceptual_distance, weights_path
from Training.evidence.statistics import summary
from Training.evidence.tables import DASH, spelled

Progress = Callable[[int, int], None]
"""Called with the number of finished files and their total."""


@dataclass(frozen=True)
class FrameFigures:
    """One file: figures of its input and of the output."""

    name: str
    before: Figures
    after: Figures
    seconds_per_frame: float


def evaluate_folder(
    method: FrameDespeckler,
    folder: Path,
    *,
    truth: Path | None = None,
    most_frames: int = 10,
    progress: Progress = lambda _done, _total: None,
) -> list[FrameFigures]:
    """Despeckle every image of a folder and measure input and output.

    Parameters
    ----------
    folder
        Images of any format of the core. ``NAME_truth`` beside ``NAME`` or ``NAME_speckled`` is its speckle-free truth.
    truth
        Folder that holds a truth for every image, under the same name or with ``_truth``.
    most_frames
        Frames that are taken from the middle of a cine or volume.

    Raises
    ------
    SettingsError
        If the folder holds no image, or a truth is missing or has another size.
    ImageFileError, UnsupportedImageError
        If a file cannot be read or despeckled.
    """
    for each in filter(None, (folder, truth)):
        if not each.is_dir():
            message = f"There is no folder '{each}'."
            raise SettingsError(message)
    meter = Meter(_perceptual())
    paths = image_files(folder)
    results = []
    for number, item in enumerate(items_of(paths, truth, most_frames)):
        output, seconds = through_denoiser(method, item)
        before, after = (meter.figures(item, frames) for frames in (item.frames_nyx, output))
        results.append(FrameFigures(item.name, before, after, seconds))
        progress(number + 1, len(paths))
    return results


def evaluate(
    model: str,
    folder: Path,
    *,
    truth: Path | None = None,
    csv_file: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> list[FrameFigures]:
    """Load a model, evaluate it on a folder, print a table and, if asked, write a CSV file: `speckle2self evaluate`.

    Raises
    ------
    SettingsError, WeightsError, ImageFileError, UnsupportedImageError
        As `load_method` and `evaluate_folder`; ImageFileError also if the CSV file cannot be written.
    """
    results = evaluate_folder(load_method(model, device), folder, truth=truth)
    (console or Console()).print(figures_table(results, model))
    if csv_file is not None:
        write_csv(results, csv_file)
    return results


def figures_table(results: list[FrameFigures], model: str) -> Table:
    """Return figures of input and output, mean and standard deviation over files."""
    table = Table("figure", "input", model, "better", title=f"{len(results)} images")
    for name, info in INFOS.items():
        columns = [[f[name] for f in side if f.get(name) is not None] for side in _sides(results)]
        if not columns[1]:
            continue
        cells = []
        for values in columns:
            found = summary([float(value) for value in values if value is not None])
            cells.append(DASH if found is None else f"{spelled(name, found.mean)} ± {spelled(name, found.spread)}")
        table.add_row(f"{info.title}{f' ({info.unit})' if info.unit else ''}", *cells, info.better)
    seconds = np.mean([result.seconds_per_frame for result in results])
    table.add_row("Time per frame (ms)", "", f"{1000 * seconds:.0f}", "lower")
    return table


def _sides(results: list[FrameFigures]) -> tuple[list[Figures], list[Figures]]:
    return [result.before for result in results], [result.after for result in results]


def write_csv(results: list[FrameFigures], path: Path) -> None:
    """Write one line for each file: figures of the input and of the output.

    Raises
    ------
    ImageFileError
        If the file cannot be written.
    """
    names = [name for name in INFOS if any(result.after.get(name) is not None for result in results)]
    header = ["file", *(f"{side}_{name}" for name in names for side in ("input", "output")), "seconds_per_frame"]
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for result in results:
                figures = [side.get(name) for name in names for side in (result.before, result.after)]
                writer.writerow([result.name, *("" if f is None else f for f in figures), result.seconds_per_frame])
    except OSError as error:
        message = f"The table '{path}' cannot be written: {error.strerror or error}."
        raise ImageFileError(message) from error


def _perceptual() -> Callable[..., float] | None:
    """LPIPS where its package is installed; an evaluation does without it where it is not."""
    if weights_path() is None:
        return None
    metric = load_perceptual()
    return lambda reference, estimate: perceptual_distance(metric, reference, estimate)
