"""Train the carotid segmenter, choose from which score it is trusted, measure it, and make a model of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.errors import CancelledError
from Speckle2SelfLogic.model_card import ModelCard
from Speckle2SelfLogic.segmenter import VesselSegmenter
from Speckle2SelfLogic.weights import DEFAULT_SEGMENTER, add_model, builtin_models_folder
from Training.bundle import CONFIGS, open_workflow, run_workflow
from Training.datasets.splits import split_frames
from Training.export import set_aside, weights_of_run
from Training.records import read_record
from Training.segmentation.segmenter_pictures import REAL_SET, prepare_pictures
from Training.segmentation.segmenter_quality import (
    Judged,
    harmed,
    judge,
    lowest_trusted,
    measured,
    real_examples,
    simulated_examples,
)

Tell = Callable[[str], None]
_CALIBRATION_SEED, _TEST_SEED = 2_000_000, 3_000_000
SIMULATED_EXAMPLES = 40


def train_segmenter(data: Path, out: Path, *, device: str = "cpu", tell: Tell = lambda _: None) -> None:
    """Train in the run folder ``out``, or go on there.

    Raises
    ------
    CancelledError
        If it was stopped before the end; the same call goes on.
    """
    pictures = prepare_pictures(data, out, tell=tell)
    workflow = open_workflow(
        ["segment", "segmenter"], pictures=str(pictures), output_dir=str(out), device=f"$torch.device('{device}')"
    )
    run_workflow(workflow)
    state = workflow.parser.get_parsed_content("train#trainer").state
    if state.epoch < state.max_epochs:
        message = "Training was stopped; the same command goes on from here."
        raise CancelledError(message)


def export_segmenter(
    run: Path, data: Path, folder: Path | None = None, name: str = DEFAULT_SEGMENTER, tell: Tell = lambda _: None
) -> ModelCard:
    """Calibrate and measure the weights of a run, and write model and card into a folder, in place of an older version.

    The score from which contours are trusted is chosen on the subjects of the validation split, on simulated frames and
    on spoiled versions of both; the figures of the card come from the subjects of the test split and other simulated
    frames.
    """
    folder = folder or builtin_models_folder() / "segmenters"
    folder.mkdir(parents=True, exist_ok=True)
    state, steps = weights_of_run(run)
    details: dict[str, Any] = yaml.safe_load((CONFIGS / "segmenter_card.yaml").read_text(encoding="utf-8"))
    record = read_record(run)
    details |= {
        "version": __version__,
        "recipe": {
            "command": "python -m Training.segmentation segmenter --data FOLDER --out RUN",
            "settings": record.get("settings", {}),
            "steps_done": steps,
            "versions": record.get("versions", {}),
            "split": {
                part: sorted({frame.subject for frame in frames})
                for part, frames in split_frames(data, REAL_SET).items()
            },
        },
    }
    with tempfile.TemporaryDirectory(dir=folder) as scratch, set_aside(folder, name, Path(scratch)):
        weights = Path(scratch) / f"{name}-new.pt"
        torch.save({key: value.half().contiguous() for key, value in state.items()}, weights)
        tell("choosing the score from which contours are trusted")
        draft = _draft(weights, "draft", 0.0, Path(scratch))
        trusted_from = round(lowest_trusted(_judged(draft, data, "validation", _CALIBRATION_SEED)), 3)
        tell(f"trusted from {trusted_from}; measuring")
        draft = _draft(weights, "draft-trusted", trusted_from, Path(scratch))
        figures = measured(_judged(draft, data, "test", _TEST_SEED))
        details |= {"network_settings": {"trusted_from": trusted_from}, "metrics": figures}
        return add_model(weights, name, details, folder)


def _draft(weights: Path, name: str, trusted_from: float, folder: Path) -> VesselSegmenter:
    card = add_model(weights, name, {"network_settings": {"trusted_from": trusted_from}}, folder)
    return VesselSegmenter.load(card.path.with_suffix(".json"), "cpu")


def _judged(segmenter: VesselSegmenter, data: Path, split: str, seed: int) -> list[Judged]:
    whole = [
        *real_examples(split_frames(data, REAL_SET)[split]),
        *simulated_examples(SIMULATED_EXAMPLES, seed),
    ]
    return [judge(segmenter, example) for example in (*whole, *harmed(whole, seed))]
