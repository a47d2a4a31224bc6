"""How a training tells what it does: a bar or one line for each epoch, and a table of all epochs."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

HISTORY = "history.csv"
_COLUMNS = ("epoch", "step", "loss", "learning_rate", "psnr_db", "ssim", "objective", "dice", "seconds")


class ShowProgress:
    """A bar with the loss on a terminal, one line for each epoch elsewhere, both on standard error.

    Parameters
    ----------
    validator
        The evaluator whose latest figures are shown behind an epoch.
    """

    def __init__(self, validator: Engine, console: Console | None = None) -> None:
        self.validator, self.console = validator, console or Console(stderr=True)
        self._bar: Progress | None = None
        self._started = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Show every step and epoch of the engine."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._line)
        for event in (Events.TERMINATE, Events.COMPLETED):
            engine.add_event_handler(event, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._raise)

    def _start(self, engine: Engine) -> None:
        self._started = time.monotonic()
        if self._bar is None and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._bar.add_task(
                "training", total=int(engine.state.max_epochs or 1) * int(engine.state.epoch_length or 1)
            )
            self._bar.start()

    def _step(self, engine: Engine) -> None:
        if self._bar is not None:
            loss = float(engine.state.output["loss"].detach())
            self._bar.update(self._bar.task_ids[0], completed=engine.state.iteration, description=f"loss {loss:.4f}")

    def _line(self, engine: Engine) -> None:
        figures = figures_of(engine, self.validator)
        parts = [f"epoch {engine.state.epoch}/{engine.state.max_epochs}", f"loss {figures['loss']:.4f}"]
        parts += spelled(figures)
        parts.append(f"{time.monotonic() - self._started:.1f} s")
        self.console.print("  ".join(parts), highlight=False, soft_wrap=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _raise(self, error: BaseException) -> None:
        self._close()
        raise error


class RecordHistory:
    """Write what each epoch came to as one line of ``history.csv`` in the run folder.

    The loss is the mean over the epoch and, with several processes, over all of them. Lines of epochs that are run
    again, because an earlier process ended before its checkpoint, are replaced.
    """

    def __init__(self, folder: str | Path, validator: Engine) -> None:
        self.path, self.validator = Path(folder) / HISTORY, validator
        self._started = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Write at the end of each epoch, after the validation."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _start(self) -> None:
        self._started = time.monotonic()

    def _write(self, engine: Any) -> None:  # noqa: ANN401 - a MONAI trainer
        row = {
            "epoch": engine.state.epoch,
            "step": engine.state.iteration,
            "learning_rate": engine.optimizer.param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self._started, 2),
            **figures_of(engine, self.validator),
        }
        rows = [earlier for earlier in read_history(self.path.parent) if earlier["epoch"] < engine.state.epoch]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS, restval="")
            writer.writeheader()
            writer.writerows([*rows, row])


def validate_first(validator: Any, rank: int = 0, console: Console | None = None) -> None:  # noqa: ANN401 - an evaluator
    """Measure the network as it is before the first step, and say what came out."""
    validator.run(1)
    validator.state.epoch = 0
    if rank == 0:
        parts = ["before", *spelled(validator.state.metrics)]
        (console or Console(stderr=True)).print("  ".join(parts), highlight=False, soft_wrap=True)


def spelled(figures: Mapping[str, Any]) -> list[str]:
    """Return figures of a validation as they are shown."""
    formats = {"psnr_db": "PSNR {:.2f} dB", "ssim": "SSIM {:.3f}", "objective": "objective {:.4f}"}
    formats["dice"] = "Dice {:.3f}"
    return [text.format(figures[name]) for name, text in formats.items() if name in figures]


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """Return the epochs of a run, oldest first; figures that were not measured after an epoch are left out."""
    path = Path(folder) / HISTORY
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file)]


def figures_of(engine: Engine, validator: Engine) -> dict[str, float]:
    """Return the mean loss of the epoch, and the figures of a validation if there was one after it."""
    figures = {"loss": float(engine.state.metrics["loss"])}
    measured: Mapping[str, Any] = validator.state.metrics if validator.state.epoch == engine.state.epoch else {}
    return figures | {name: float(value) for name, value in measured.items()}
