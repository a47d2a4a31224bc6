"""Put a trained network into the package: a plain state dict, and a card with what was measured.

    python -m Training.ship Training/configs/despeckler.yaml --run runs/small

is what ``Training.train_despeckler ... --ship`` does at its end.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.metrics import fitted_scale, psnr_db, ssim
from Speckle2SelfLogic.model_card import ModelCard
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.runtime import to_array, to_tensor
from Speckle2SelfLogic.weights import add_model, builtin_models_folder
from Training.pairs import random_pair
from Training.settings import TrainingSettings, load_settings

HELD_OUT_PAIRS = 64
HELD_OUT_SEED = 2**62
CARD = Path(__file__).parent / "configs" / "despeckler_card.yaml"


def held_out_metrics(
    network: torch.nn.Module, settings: TrainingSettings, pairs: int = HELD_OUT_PAIRS
) -> dict[str, Any]:
    """Return mean quality on simulated pairs that training has not seen (random 64-bit seeds hardly ever clash)."""
    rows = []
    for number in range(pairs):
        speckled, truth = random_pair(HELD_OUT_SEED + number, settings.scene_px)
        x, y = speckled.astype(np.float32) / 255, truth.astype(np.float32) / 65535
        with torch.inference_mode():
            output = np.clip(to_array(network(to_tensor(x)[None, None]))[0, 0], 0, 1)
        rows.append(
            {
                "psnr_db_input": psnr_db(y, x, data_range=1.0),
                "psnr_db": psnr_db(y, output, data_range=1.0),
                "psnr_db_after_one_scale": psnr_db(y, output * fitted_scale(y, output), data_range=1.0),
                "ssim_input": ssim(y, x, data_range=1.0),
                "ssim": ssim(y, output, data_range=1.0),
                "mean_brightness_ratio": float(output.mean() / max(x.mean(), 1e-6)),
            }
        )
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]} | {"pairs": pairs}


def shipped_weights(state: Mapping[str, Any], adaptation: float) -> dict[str, torch.Tensor]:
    """Return the averaged weights of a checkpoint, moved along the line from the teacher (if there is one yet)."""
    average, teacher = state["average"], state["teacher"]
    if teacher is None:
        return dict(average)
    return {key: teacher[key] + adaptation * (average[key] - teacher[key]) for key in average}


def ship_checkpoint(checkpoint: Path, settings: TrainingSettings, recipe_file: Path, folder: Path) -> ModelCard:
    """Write weights and card of a run's averaged network into a folder of models, in place of an older version."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network = Despeckler(**settings.network)
    network.load_state_dict(shipped_weights(state, settings.real.adaptation))
    network.eval()
    card = yaml.safe_load(CARD.read_text(encoding="utf-8"))
    note = card.pop("recipe_note")
    details = card | {
        "version": __version__,
        "network_settings": settings.network,
        "recipe": {
            "command": f"python -m Training.train_despeckler {recipe_file.as_posix()} --data FOLDER --ship",
            "settings": yaml.safe_load(recipe_file.read_text(encoding="utf-8")),
            "steps_done": state["step"],
            "note": note,
        },
        "metrics": {"simulated_held_out": held_out_metrics(network, settings)},
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, _set_aside(folder, settings.name, Path(scratch)):
        weights = Path(scratch) / f"{settings.name}-new.pt"
        torch.save({key: value.contiguous() for key, value in network.state_dict().items()}, weights)
        return add_model(weights, settings.name, details, folder)


@contextmanager
def _set_aside(folder: Path, name: str, scratch: Path) -> Iterator[None]:
    """Keep the older version of a model until the new one is in place; put it back if that fails."""
    older = [path for path in (folder / f"{name}.json", folder / f"{name}.pt") if path.exists()]
    for path in older:
        shutil.move(path, scratch / path.name)
    try:
        yield
    except BaseException:
        for path in older:
            shutil.move(scratch / path.name, path)
        raise


def main() -> None:
    """Ship the last checkpoint of a run."""
    parser = argparse.ArgumentParser(description="Put trained weights into the package.")
    parser.add_argument("settings", type=Path, help="recipe (YAML)")
    parser.add_argument("--run", type=Path, default=Path("runs/despeckler"), help="folder of checkpoints")
    parser.add_argument("--folder", type=Path, default=builtin_models_folder(), help="folder of models to write to")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    card = ship_checkpoint(arguments.run / "checkpoint.pt", settings, arguments.settings, arguments.folder)
    print(card.to_json())  # noqa: T201


if __name__ == "__main__":
    main()
