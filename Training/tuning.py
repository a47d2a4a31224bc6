"""Settings of the classical filters that suit simulated frames best: ``python -m Training.tuning FOLDER --json FILE``.

A search over a small grid for each filter, on validation scenes, by the mean of the structural similarity after one
fitted scale (`ssim_after_scale`): the figure of our tables that forgives overall brightness. The defaults of a filter
are always among the candidates, so that tuned is never worse on these scenes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from Speckle2SelfLogic.errors import SettingsError, Speckle2SelfError
from Speckle2SelfLogic.filters import FILTERS, classical_filter
from Speckle2SelfLogic.image_metrics import ssim_after_scale
from Speckle2SelfLogic.runtime import Float32, FrameDespeckler
from Training.datasets.reading import simulated_items
from Training.per_image import PER_IMAGE_METHODS, per_image_method
from Training.transforms import read_grey_frame

Grid = Mapping[str, Sequence[Any]]
Settings = dict[str, Any]

GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        "median": {"window_px": (3, 5, 7, 9, 11, 13, 15, 17, 21)},
        "lee": {"window_px": (5, 7, 9, 11, 13, 17, 21, 25), "noise_variation": (None, 0.2, 0.3, 0.4, 0.5, 0.7)},
        "kuan": {"window_px": (5, 7, 9, 11, 13, 17, 21, 25), "noise_variation": (None, 0.2, 0.3, 0.4, 0.5, 0.7)},
        "frost": {"window_px": (7, 9, 13, 17, 21), "damping": (0.25, 0.5, 1.0, 2.0, 4.0)},
        "srad": {
            "iterations": (20, 40, 80),
            "time_step": (1.0,),
            "decay": (0.03, 0.06, 0.12),
        },
        "nlm": {
            "patch_px": (7, 11, 15, 19, 23, 27),
            "search_radius_px": (13,),
            "smoothing": (None, 0.07, 0.085, 0.1, 0.12),
        },
        "obnlm": {
            "block_radius_px": (2, 3, 4),
            "search_radius_px": (8, 12),
            "smoothing": (None, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
        },
        "wavelet": {"levels": (3, 4, 5), "noise_std": (None, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4), "shifts": (8, 16)},
        "tv": {"weight": (None, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)},
        "bm3d": {"strength": (4.0, 6.0, 8.0, 11.0, 16.0)},
    }
)
"""Candidates of each filter; None has the filter measure the value in the frame."""


@dataclass(frozen=True)
class TuningFrame:
    """A simulated frame and its truth, (Y, X), grey 0..1."""

    set_name: str
    speckled_yx: Float32
    truth_yx: Float32


class Tuned(NamedTuple):
    """The best settings of a filter, and their mean figure beside that of its defaults."""

    settings: Settings
    ssim_after_scale: float
    ssim_of_defaults: float
    candidates: int


def filter_named(name: str, settings: Mapping[str, Any]) -> FrameDespeckler:
    """Return a classical filter of the core or BM3D.

    Raises
    ------
    SettingsError
        If there is no such filter or setting.
    """
    made: FrameDespeckler = (
        classical_filter(name, **settings) if name in FILTERS else per_image_method(name, **settings)
    )
    return made


def candidates(grid: Grid) -> Iterator[Settings]:
    """Return the defaults (no settings), then every combination of the grid."""
    yield {}
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def mean_figure(method: FrameDespeckler, frames: Sequence[TuningFrame]) -> float:
    """Return the mean SSIM after one fitted scale for each frame."""
    figures = []
    for frame in frames:
        output_yx = np.clip(method.despeckle(frame.speckled_yx[None])[0], 0, 1)
        figures.append(ssim_after_scale(frame.truth_yx, output_yx, data_range=1.0))
    return float(np.mean(figures))


def tune(name: str, grid: Grid, frames: Sequence[TuningFrame]) -> Tuned:
    """Try all candidates of one filter on all frames. Of equal ones the first wins, so that defaults are kept.

    Raises
    ------
    SettingsError
        If the grid has a setting that the filter does not have.
    """
    tried = [(settings, mean_figure(filter_named(name, settings), frames)) for settings in candidates(grid)]
    best, figure = max(tried, key=lambda entry: entry[1])
    return Tuned(best, figure, tried[0][1], len(tried))


def validation_frames(folder: Path, frames_per_set: int, sets: Sequence[str] | None = None) -> list[TuningFrame]:
    """Read the first validation scenes of each simulated set.

    Raises
    ------
    SettingsError
        If the folder is not finished, or has no such set.
    """
    frames: list[TuningFrame] = []
    for item in simulated_items(folder, sets, "validation"):
        if sum(frame.set_name == item["set"] for frame in frames) < frames_per_set:
            speckled, truth = (read_grey_frame(item[key]) for key in ("speckled", "truth"))
            frames.append(TuningFrame(item["set"], speckled, truth))
    return frames


def tune_all(names: Iterable[str], frames: Sequence[TuningFrame], slow_frames: Sequence[TuningFrame]) -> Settings:
    """Tune several filters; those of `PER_IMAGE_METHODS` (BM3D) on fewer frames, since they are slow.

    Returns
    -------
    dict
        Settings by filter, and under ``measured`` what was found with them and on how many frames.
    """
    found: Settings = {}
    measured: Settings = {}
    for name in names:
        used = slow_frames if name in PER_IMAGE_METHODS else frames
        tuned = tune(name, GRIDS[name], used)
        found[name] = tuned.settings
        measured[name] = {
            "ssim_after_scale": round(tuned.ssim_after_scale, 4),
            "ssim_of_defaults": round(tuned.ssim_of_defaults, 4),
            "candidates": tuned.candidates,
            "frames": len(used),
        }
        typer.echo(f"{name}: {tuned.ssim_of_defaults:.4f} -> {tuned.ssim_after_scale:.4f} with {tuned.settings}")
    return found | {"measured": measured}


app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Folder that `python -m Training.datasets` made.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the settings are written.")],
    filters: Annotated[str, typer.Option(help="Names separated by commas.")] = ",".join(GRIDS),
    frames_per_set: Annotated[int, typer.Option(min=1, help="Validation scenes of each set.")] = 2,
    slow_frames_per_set: Annotated[int, typer.Option(min=1, help="The same for BM3D.")] = 1,
) -> None:
    """Find settings of classical filters. Filters that are not named keep what the file says about them."""
    names = [name.strip() for name in filters.split(",")]
    unknown = sorted(set(names) - set(GRIDS))
    if unknown:
        message = f"There are no settings to try for '{unknown[0]}'; choose among {', '.join(GRIDS)}."
        raise SettingsError(message)
    frames = validation_frames(folder, max(frames_per_set, slow_frames_per_set))
    found = tune_all(names, _first(frames, frames_per_set), _first(frames, slow_frames_per_set))
    before = json.loads(json_file.read_text(encoding="utf-8")) if json_file.exists() else {}
    measured = before.pop("measured", {}) | found.pop("measured")
    text = json.dumps(before | found | {"measured": measured}, indent=2)
    json_file.write_text(text + "\n", encoding="utf-8")


def _first(frames: Sequence[TuningFrame], count: int) -> list[TuningFrame]:
    numbers = [sum(other.set_name == frame.set_name for other in frames[:n]) for n, frame in enumerate(frames)]
    return [frame for frame, number in zip(frames, numbers, strict=True) if number < count]


if __name__ == "__main__":
    try:
        app(prog_name="python -m Training.tuning")
    except Speckle2SelfError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
