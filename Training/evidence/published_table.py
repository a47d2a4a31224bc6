"""The published carotid frames on the screen: medians of each published and each given method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.weights import DEFAULT_MODEL
from Training.evidence.figures import INFOS
from Training.evidence.measuring import through_denoiser
from Training.evidence.published_frames import INPUT, published_figures, published_items, published_names


def published_medians(folder: Path, methods: list[str]) -> dict[str, dict[str, float]]:
    """Return medians over the six frames, by method and figure.

    Raises
    ------
    SettingsError, WeightsError
        If a frame or a method is missing.
    """
    inputs = list(published_items(folder))
    outputs = {name: [item.frames_nyx[0] for item in published_items(folder, name)] for name in published_names(folder)}
    outputs = {INPUT: [item.frames_nyx[0] for item in inputs], **outputs}
    for name in methods:
        method = load_method(name)
        outputs[f"{name}, run here"] = [through_denoiser(method, item)[0][0] for item in inputs]
    medians = {}
    for name, frames in outputs.items():
        rows = [
            published_figures(item.name, item.frames_nyx[0], frame) for item, frame in zip(inputs, frames, strict=True)
        ]
        medians[name] = {key: float(np.median([v for row in rows if (v := row[key]) is not None])) for key in rows[0]}
    return medians


def published_table(folder: Path, methods: list[str]) -> Table:
    """Return a table for the screen; without methods that of the default model."""
    medians = published_medians(folder, methods or [DEFAULT_MODEL])
    table = Table("method", *(INFOS[key].title for key in next(iter(medians.values()))))
    for name, row in medians.items():
        table.add_row(name, *(f"{value:.3f}" for value in row.values()))
    return table
