"""Train the despeckling network and put it into the package, in one resumable command.

    python -m Training.train_despeckler Training/configs/despeckler.yaml --run runs/small --data FOLDER --ship

Phase one learns from simulated pairs. For the last part of the steps self-supervised terms on real frames join, with
the network as simulation left it as a fixed teacher. One cosine schedule, no restarts. A run that was stopped goes on
from its last checkpoint when the same command is given again. Mixed precision: bfloat16 on CPU, float16 on CUDA.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.weights import builtin_models_folder
from Training.losses import real_frame_loss, supervised_loss
from Training.pairs import stream_pairs
from Training.real_frames import RealFrames, anatomy_maps, load_frames, random_real_batch
from Training.settings import TrainingSettings, load_settings
from Training.ship import ship_checkpoint

console = Console()


class PairBuffer:
    """The latest simulated pairs; every pair is seen several times, each time as another crop."""

    def __init__(self, stream: Iterator[tuple[np.ndarray, np.ndarray]], settings: TrainingSettings) -> None:
        self._stream, self._settings, self._written = stream, settings, 0
        side, count = settings.scene_px, settings.buffer_scenes
        self._speckled = np.zeros((count, side, side), np.uint8)
        self._truth = np.zeros((count, side, side), np.uint16)

    def refresh(self, count: int) -> None:
        """Take ``count`` new pairs from the stream in place of the oldest."""
        for _ in range(count):
            place = self._written % len(self._truth)
            self._speckled[place], self._truth[place] = next(self._stream)
            self._written += 1

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Random crops with a random gain below one: speckled and truth, (N, 1, crop, crop), grey 0..1."""
        settings = self._settings
        crop, free = settings.crop_px, settings.scene_px - settings.crop_px + 1
        speckled = np.empty((settings.batch, 1, crop, crop), np.float32)
        truth = np.empty_like(speckled)
        for k, place in enumerate(rng.integers(0, min(self._written, len(self._truth)), settings.batch)):
            y, x = rng.integers(0, free, 2)
            window = np.s_[place, y : y + crop, x : x + crop]
            gain = np.exp(rng.uniform(np.log(settings.gain_low), 0))
            # Half of the dimmed crops are rounded to 8 bit again, as a dim frame from a scanner would be.
            dim = self._speckled[window] * gain
            speckled[k, 0] = (np.round(dim) if rng.random() < 0.5 else dim) / 255
            truth[k, 0] = self._truth[window] * (gain / 65535)
        return torch.from_dlpack(speckled), torch.from_dlpack(truth)


class Run:
    """One training run: network, running average, optimiser, step; saved and restored as a whole."""

    def __init__(self, settings: TrainingSettings, folder: Path, device: torch.device) -> None:
        self.settings, self.folder, self.device = settings, folder, device
        torch.manual_seed(settings.seed)
        self.network = Despeckler(**settings.network).to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.teacher: Despeckler | None = None
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.scaler = torch.amp.GradScaler(enabled=device.type == "cuda")
        self.step = 0

    @property
    def checkpoint(self) -> Path:
        """File of the last saved state."""
        return self.folder / "checkpoint.pt"

    @property
    def is_adapting(self) -> bool:
        """Whether real-frame terms are part of the loss at this step."""
        real = self.settings.real
        return bool(real.sets) and self.step >= real.start * self.settings.steps

    def save(self) -> None:
        """Write the state; a reader sees the old file or the new one, never half of one."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        partial = self.checkpoint.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if state["teacher"] is not None:
            self.teacher = copy.deepcopy(self.average)
            self.teacher.load_state_dict(state["teacher"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])

    def learning_rate(self) -> float:
        """Warm-up, then one cosine down to a thousandth; scaled while real-frame terms take part."""
        settings = self.settings
        scale = settings.real.learning_rate_factor if self.is_adapting else 1.0
        warm = min(1.0, (self.step + 1) / settings.warmup_steps)
        return (
            scale * settings.learning_rate * warm * (0.5005 + 0.4995 * math.cos(math.pi * self.step / settings.steps))
        )

    def update(self, loss: Tensor) -> None:
        """Take one optimiser step and move the running average."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        keep = min(self.settings.average_decay, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(current, 1 - keep)


def train(settings: TrainingSettings, folder: Path, data: Path | None, device: torch.device) -> Run:
    """Run (or go on with) a training; returns it finished. Prints one line for every checkpoint."""
    torch.set_num_threads(settings.threads)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(settings, folder, device)
    run.restore()
    frames = load_frames(data, settings.real)
    maps = anatomy_maps(frames.frames) if settings.real.anatomy_share > 0 else ()
    first = int(run.step * settings.new_scenes_per_step)
    stream = stream_pairs(
        first,
        seed=settings.seed,
        size_px=settings.scene_px,
        workers=settings.workers,
        anatomy=maps,
        anatomy_share=settings.real.anatomy_share,
    )
    buffer = PairBuffer(stream, settings)
    buffer.refresh(min(settings.buffer_scenes, 16 * settings.batch))
    losses: list[float] = []
    started = time.monotonic()
    while run.step < settings.steps:
        due = int((run.step + 1) * settings.new_scenes_per_step) - int(run.step * settings.new_scenes_per_step)
        buffer.refresh(due)
        losses.append(_one_step(run, buffer, frames))
        if run.step % settings.checkpoint_every == 0 or run.step == settings.steps:
            run.save()
            console.print(
                f"step {run.step}/{settings.steps}  loss {np.mean(losses[-500:]):.5f}  "
                f"rate {run.learning_rate():.1e}  {time.monotonic() - started:.0f} s"
            )
    stream.close()
    return run


def _one_step(run: Run, buffer: PairBuffer, frames: RealFrames) -> float:
    settings, device = run.settings, run.device
    rng = np.random.default_rng((settings.seed, run.step))
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + run.step)
    speckled, truth = (t.to(device, memory_format=torch.channels_last) for t in buffer.batch(rng))
    precision = torch.float16 if device.type == "cuda" else torch.bfloat16
    with torch.autocast(device.type, precision):
        loss = supervised_loss(run.network(speckled).float(), truth, settings.gradient_weight, settings.loss_beta)
        if run.is_adapting:
            if run.teacher is None:
                run.teacher = copy.deepcopy(run.average)
            real = torch.from_dlpack(random_real_batch(rng, frames, max(1, settings.batch // 2), settings.crop_px))
            real = real.to(device, memory_format=torch.channels_last)
            loss = loss + real_frame_loss(run.network, run.teacher, real, settings.real, generator)
    run.update(loss)
    return float(loss.detach())


def main() -> None:
    """Read the command line, train, and ship if asked."""
    parser = argparse.ArgumentParser(description="Train the despeckling network.")
    parser.add_argument("settings", type=Path, help="recipe (YAML)")
    parser.add_argument("--run", type=Path, default=Path("runs/despeckler"), help="folder of checkpoints")
    parser.add_argument("--data", type=Path, help="folder of real frames that the recipe's patterns refer to")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--ship", action="store_true", help="put the finished network into the package, with its card")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    console.print(asdict(settings))
    run = train(settings, arguments.run, arguments.data, torch.device(arguments.device))
    if arguments.ship:
        card = ship_checkpoint(run.checkpoint, settings, arguments.settings, builtin_models_folder())
        console.print(f"shipped {card.path}")


if __name__ == "__main__":
    main()
