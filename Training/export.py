"""Make a model of a run: a plain file of weights, and a card with recipe, training data and what was measured.

    python -m Training.export RUN --name NAME [--card FILE.yaml] [--half] [--blend SHARE] [--without BLOCK]

RUN is the ``output_dir`` of a training, finished or still going on. `Training/configs/despeckler_card.yaml` is an
example of a file with the fields of a card that nobody can measure: title, licence, training data, intended use, known
failures.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.metrics import fitted_scale, psnr_db, ssim
from Speckle2SelfLogic.model_card import ModelCard
from Speckle2SelfLogic.runtime import to_array, to_tensor
from Speckle2SelfLogic.weights import add_model, builtin_models_folder, load_network
from Training.checkpoints import latest_checkpoint, read_checkpoint
from Training.pairs import random_pair
from Training.progress import read_history
from Training.records import read_record

HELD_OUT_PAIRS = 64
HELD_OUT_SEED = 2**62
DEFAULT_FOLD, DEFAULT_ENDS_PX = 2, 3
SOURCES = Path(__file__).parent / "configs" / "sources.yaml"
THINNED = ("encoder.0", "middle", "decoder.0")
TRAINING_ONLY = ("encoder_lowRes.", "encoder_midRes.")


def export_run(
    run: str | Path,
    name: str,
    folder: str | Path,
    *,
    details: Mapping[str, Any] | None = None,
    best: bool = False,
    half: bool = False,
    all_scales: bool = False,
    pairs: int = HELD_OUT_PAIRS,
    blend: float = 1.0,
    without: str = "",
) -> ModelCard:
    """Write ``NAME.pt`` and ``NAME.json`` into a folder, in place of an older version there.

    Parameters
    ----------
    run
        Folder of a training.
    details
        Fields of the card: see `Speckle2SelfLogic.weights.add_model`; and ``recipe_note``.
    best
        Take the averaged weights of the best validation instead of the last ones.
    half
        Store half precision, which is half the size; networks always run in single precision.
    all_scales
        Of the published network keep the encoders that only training uses.
    pairs
        Held-out simulated pairs to measure on.
    blend
        Share of the way from the model that the run started from to its own weights. Between the two lie weights that
        keep more of what the start did well (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
    without
        A residual block of our network to leave out, such as ``decoder.0.1``, for a smaller network to go on from.

    Raises
    ------
    SettingsError
        If the run has no checkpoint yet, is to be blended and did not start from a model, or has no such block.
    WeightsError
        If the name is taken by another model, or something cannot be written.
    """
    run, folder = Path(run), Path(folder)
    state, steps = weights_of_run(run, best=best)
    kept = {key: value for key, value in state.items() if all_scales or not key.startswith(TRAINING_ONLY)}
    record, details = read_record(run), dict(details or {})
    start = record.get("settings", {}).get("initial_weights")
    if blend != 1:
        kept = blended(kept, start, blend)
    if without:
        kept = without_block(kept, without)
    recipe = {
        "command": record.get("command", "not recorded"),
        "settings": record.get("settings", {}),
        "steps_done": steps,
        "versions": record.get("versions", {}),
    }
    if blend != 1:
        recipe["blend"] = {"share_of_this_run": blend, "start": start, "sha256_of_start": load_network(start)[1].sha256}
    if without:
        recipe["left_out"] = without
    if note := details.pop("recipe_note", None):
        recipe["note"] = note
    settings = network_settings(kept)
    details = {"title": name, "version": __version__, "network_settings": settings} | details
    details["recipe"] = recipe | dict(details.get("recipe", {}))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, set_aside(folder, name, Path(scratch)):
        weights = Path(scratch) / f"{name}-new.pt"
        stored = {key: (value.half() if half else value.float()).contiguous() for key, value in kept.items()}
        torch.save(stored, weights)
        draft = add_model(weights, "draft", {"network_settings": settings}, Path(scratch))
        network, is_of_run = load_network(draft.path.with_suffix(".json"))[0], blend == 1 and not without
        details["metrics"] = measured(network, run if is_of_run else None, pairs) | dict(details.get("metrics", {}))
        return add_model(weights, name, details, folder)


def blended(state: Mapping[str, Tensor], start: str | None, share: float) -> dict[str, Tensor]:
    """Return weights that lie ``share`` of the way from a model to ``state``.

    Raises
    ------
    SettingsError
        If there is no model to start from, or it has other tensors.
    """
    earlier = load_network(start)[0].state_dict() if start else {}
    if {name: value.shape for name, value in earlier.items()} != {name: value.shape for name, value in state.items()}:
        message = f"The run started from '{start}', whose weights cannot be blended with its own; leave out --blend."
        raise SettingsError(message)
    return {name: torch.lerp(earlier[name].float(), value.float(), share) for name, value in state.items()}


def without_block(state: Mapping[str, Tensor], block: str) -> dict[str, Tensor]:
    """Return weights without one residual block, such as ``decoder.0.1``; the blocks behind it move up by one.

    The stages between the finest and the coarsest have one number of blocks in common, so that none is left out there.

    Raises
    ------
    SettingsError
        If there is no such block, or it is the only one of its stage.
    """
    stage, _, number = block.rpartition(".")
    count = _blocks(state, stage)
    if stage not in THINNED or not number.isdecimal() or int(number) >= count or count < 2:
        message = (
            f"The network has no block '{block}' that could be left out; one of {', '.join(THINNED)} can be, where "
            f"there are several ('{stage}' has {count})."
        )
        raise SettingsError(message)
    found = {}
    for name, value in state.items():
        if (place := re.match(rf"{re.escape(stage)}\.(\d+)\.", name)) is None:
            found[name] = value
        elif (here := int(place[1])) != int(number):
            found[f"{stage}.{here - (here > int(number))}.{name[place.end() :]}"] = value
    return found


def weights_of_run(run: Path, *, best: bool = False) -> tuple[dict[str, Tensor], int]:
    """Return the averaged weights of a run and the steps it had made: the last ones, or those of the best validation.

    Raises
    ------
    SettingsError
        If the run has no checkpoint.
    """
    newest = latest_checkpoint(run / "checkpoints")
    if not newest:
        message = f"'{run}' holds no checkpoint of a training yet."
        raise SettingsError(message)
    content = read_checkpoint(run / "best.pt" if best and (run / "best.pt").is_file() else newest)
    return dict(content["average"]), int(content["trainer"]["iteration"])


def network_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the settings of our network that its tensors tell; nothing for the published network or the defaults."""
    if "head.weight" not in state:
        return {}
    widths = [int(state["head.weight"].shape[0])]
    while (key := f"down.{len(widths) - 1}.weight") in state:
        widths.append(int(state[key].shape[0]))
    finest = [_blocks(state, "encoder.0"), _blocks(state, "decoder.0")]
    blocks = _blocks(state, "encoder.1") if len(widths) > 2 else finest[0]
    found: dict[str, Any] = {"channels": widths, "blocks": blocks, "middle_blocks": _blocks(state, "middle")}
    if (fold := math.isqrt(state["head.weight"].shape[1])) != DEFAULT_FOLD:
        found["fold"] = fold
    if finest != [blocks, blocks]:
        found["finest_blocks"] = finest
    if (ends_px := int(state["head.weight"].shape[-1])) != DEFAULT_ENDS_PX:
        found["ends_px"] = ends_px
    grouped = [name for name, kernel in state.items() if name.endswith(".second.weight") and kernel.shape[-1] == 1]
    if grouped:
        found["group_channels"] = int(state[grouped[0].replace(".second.", ".first.")].shape[1])
    return {} if found == {"channels": [16, 32, 64, 128], "blocks": 1, "middle_blocks": 2} else found


def _blocks(state: Mapping[str, Tensor], stage: str) -> int:
    return sum(re.fullmatch(rf"{re.escape(stage)}\.\d+\.first\.weight", name) is not None for name in state)


def card_details(path: Path) -> dict[str, Any]:
    """Return the fields of a card from a file, with the training data that it names by key (`SOURCES`) written out.

    Raises
    ------
    SettingsError
        If it names data that are not listed.
    """
    details: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    known = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))
    named = details.get("training_data") or []
    if unknown := [source for source in named if isinstance(source, str) and source not in known]:
        message = f"'{path}' names the data '{unknown[0]}'; '{SOURCES}' lists {', '.join(known)}."
        raise SettingsError(message)
    details["training_data"] = [known[source] if isinstance(source, str) else source for source in named]
    return details


def measured(network: nn.Module, run: Path | None, pairs: int) -> dict[str, Any]:
    """Return the figures of a card: on held-out simulated pairs, and of the last validation of the network's run."""
    found: dict[str, Any] = {"simulated_held_out": held_out_metrics(network, pairs)} if pairs else {}
    if run is None:
        return found
    validated = [row for row in read_history(run) if {"psnr_db", "ssim", "objective"} & row.keys()]
    if validated:
        found["last_validation"] = {
            key: value for key, value in validated[-1].items() if key in {"epoch", "psnr_db", "ssim", "objective"}
        }
    return found


def held_out_metrics(network: nn.Module, pairs: int = HELD_OUT_PAIRS, size_px: int = 256) -> dict[str, Any]:
    """Return mean quality on simulated pairs that training has not seen (their seeds are beyond those of training)."""
    rows = []
    for number in range(pairs):
        speckled, truth = random_pair(HELD_OUT_SEED + number, size_px)
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


@contextmanager
def set_aside(folder: Path, name: str, scratch: Path) -> Iterator[None]:
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
    """Make a model of a run."""
    parser = argparse.ArgumentParser(description="Make a model of a training.")
    parser.add_argument("run", type=Path, help="folder of the training (its output_dir)")
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--folder", type=Path, default=builtin_models_folder(), help="folder of models to write to")
    parser.add_argument("--card", type=Path, help="YAML file with fields of the card")
    parser.add_argument("--best", action="store_true", help="weights of the best validation, not the last ones")
    parser.add_argument("--half", action="store_true", help="half precision on disk")
    parser.add_argument("--all-scales", action="store_true", help="keep encoders that only training uses")
    parser.add_argument("--pairs", type=int, default=HELD_OUT_PAIRS, help="held-out simulated pairs to measure on")
    parser.add_argument("--blend", type=float, default=1.0, help="share of the way from the start of the run")
    parser.add_argument("--without", default="", help="a residual block to leave out, such as decoder.0.1")
    asked = parser.parse_args()
    details = card_details(asked.card) if asked.card else None
    card = export_run(
        asked.run,
        asked.name,
        asked.folder,
        details=details,
        best=asked.best,
        half=asked.half,
        all_scales=asked.all_scales,
        pairs=asked.pairs,
        blend=asked.blend,
        without=asked.without,
    )
    print(card.to_json())  # noqa: T201


if __name__ == "__main__":
    main()
