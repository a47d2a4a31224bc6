"""Run a comparison: prepare images, train and test one network after the other, go on where an earlier run stopped."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Speckle2SelfLogic.runtime import to_array, to_tensor
from Speckle2SelfLogic.working_grid import WorkingGrid
from Training.bundle import config_path, open_workflow, run_workflow
from Training.evidence.rows import file_name
from Training.segmentation.cells import UNSEEN, Cell, Row, Scored, cells_of, read_scored, tests_of, write_scored
from Training.segmentation.frames import MaskedFrame, check_sizes, list_frames
from Training.segmentation.pictures import write_items
from Training.segmentation.plan import DataPlan, Plan
from Training.segmentation.prepared import (
    Preparer,
    data_checksum,
    grey_on_grid,
    grid_for,
    label_picture,
    prepare_all,
)
from Training.segmentation.scores import label_scores
from Training.segmentation.subjects import Fold, check_no_leak, folds_of, in_turn

STEPS_PER_EPOCH = 40
STOPPED = "Stopped; the same command goes on from here."


class Watcher(Protocol):
    """Is told how far a comparison is."""

    def __call__(self, stage: str, done: int, total: int, what: str) -> None:
        """Show that ``done`` of ``total`` are finished in a stage, and what was last."""


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """A frame as it is tested: its labels at full size, where it lies on the grid, and its pictures by method."""

    frame: MaskedFrame
    labels_yx: npt.NDArray[np.uint8]
    grid: WorkingGrid
    spacing_mm_yx: tuple[float, float] | None


class Comparison:
    """Everything that the cells of a plan share. Making one checks the plan against the data; nothing is trained yet.

    Raises
    ------
    SettingsError
        If data are missing or do not fit together, or a person would be in training and test at once.
    """

    def __init__(self, plan: Plan, out: Path, device: str = "cpu", threads: int = 1) -> None:
        self.plan, self.out, self.device, self.threads = plan, out, device, threads
        self.frames = {data.name: list_frames(data, out) for data in plan.data}
        for data in plan.data:
            check_sizes(self.frames[data.name])
        self.folds = {data.name: self._folds(data) for data in plan.trained_on}
        self.preparers = {m.name: Preparer(m, plan.side_px, out / "cache", device) for m in plan.methods}
        self._checksums = {name: data_checksum(frames) for name, frames in self.frames.items()}
        self._methods = {name: preparer.checksum() for name, preparer in self.preparers.items()}
        self._shown: dict[str, ShownFrame] = {}
        self._labels: dict[str, Path] = {}
        images = {
            (name, fold.number): len(self._of(name, fold.train)) for name, folds in self.folds.items() for fold in folds
        }
        self.cells = list(cells_of(plan, self.folds, images))
        self._check_leaks()

    def run(self, watch: Watcher = lambda *_: None, is_cancelled: Callable[[], bool] = lambda: False) -> list[Scored]:
        """Return the scores of all cells; those that are there already are read, not made again.

        Raises
        ------
        CancelledError
            If it was asked to stop; finished cells are kept, and one in training goes on from its last step.
        """
        finished = {cell: scored for cell in self.cells if (scored := self._stored(cell)) is not None}
        prepared: set[str] = set()
        for cell in self.cells:
            if is_cancelled():
                raise CancelledError(STOPPED)
            if cell not in finished:
                if cell.data not in prepared:
                    self._prepare(cell.data, watch)
                    prepared.add(cell.data)
                finished[cell] = self._train_and_test(cell)
                write_scored(finished[cell], self.out)
            what = f"{cell.data}, fold {cell.fold}, {cell.size} images, {cell.method}"
            watch("networks", len(finished), len(self.cells), what)
        return [finished[cell] for cell in self.cells]

    def stored(self) -> list[Scored]:
        """Return the scores of the cells that are finished already."""
        return [scored for cell in self.cells if (scored := self._stored(cell)) is not None]

    def training_items(self, cell: Cell) -> list[MaskedFrame]:
        """Return the frames that a cell is trained on; a smaller number is the beginning of a larger one."""
        fold = self.folds[cell.data][cell.fold]
        ordered = in_turn(self._of(cell.data, fold.train))
        return ordered[: cell.count or len(ordered)]

    def _prepare(self, name: str, watch: Watcher) -> None:
        """Prepare one data set by every method: what is there is not made again."""

        def tell(done: int, total: int, method: str) -> None:
            watch("images", done, total, f"{name}, {method}")

        prepare_all(list(self.preparers.values()), self.frames[name], tell)

    def _stored(self, cell: Cell) -> Scored | None:
        return read_scored(cell, self.out, self._fingerprint(cell))

    def _folds(self, data: DataPlan) -> tuple[Fold, ...]:
        return folds_of({frame.subject for frame in self.frames[data.name]}, self.plan.folds)

    def _of(self, name: str, subjects: Sequence[str]) -> list[MaskedFrame]:
        return [frame for frame in self.frames[name] if frame.subject in subjects]

    def _check_leaks(self) -> None:
        """Check persons in every fold, and that no file with the same pixels is in training and test."""
        unseen = [frame for data in self.plan.unseen for frame in self.frames[data.name]]
        digests = {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in {frame.image for frames in self.frames.values() for frame in frames}
        }
        for name, folds in self.folds.items():
            for fold in folds:
                train, test = self._of(name, fold.train), self._of(name, fold.test)
                check_no_leak(train, test)
                seen = {digests[frame.image] for frame in train}
                for frame in (*test, *unseen):
                    if digests[frame.image] in seen:
                        message = f"'{frame.image.name}' is in training and test at once under two names; remove one."
                        raise SettingsError(message)

    def _fingerprint(self, cell: Cell) -> dict[str, Any]:
        """Return what the scores of a cell depend on."""
        tested = [method for _, method in tests_of(cell, self.plan)]
        unseen = [] if cell.count else [data.name for data in self.plan.unseen]
        return {
            "package": __version__,
            "network": hashlib.sha256(Path(config_path("segment")).read_bytes()).hexdigest(),
            "budget": [self.plan.side_px, self.plan.steps, self.plan.batch, self.plan.seed],
            "fold": [list(self.folds[cell.data][cell.fold].test), self.plan.folds],
            "methods": {name: self._methods[name] for name in sorted({cell.method, *tested})},
            "data": {name: self._checksums[name] for name in sorted({cell.data, *unseen})},
        }

    def _train_and_test(self, cell: Cell) -> Scored:
        started, run = time.monotonic(), self.out / "runs" / "-".join(map(file_name, (cell.data, cell.method)))
        run = run.with_name(f"{run.name}-{cell.fold}-{cell.size}")
        network = self._train(cell, run)
        rows = tuple(self._tested(cell, network))
        shutil.rmtree(run)
        packages = ("torch", "monai", "numpy")
        versions = {"speckle2self": __version__} | {name: metadata.version(name) for name in packages}
        return Scored(cell, self._fingerprint(cell), rows, round(time.monotonic() - started, 1), versions)

    def _train(self, cell: Cell, run: Path) -> nn.Module:
        preparer, plan = self.preparers[cell.method], self.plan
        items = [
            {
                "image": str(preparer.picture(frame)),
                "label": str(self._label_picture(frame)),
            }
            for frame in self.training_items(cell)
        ]
        write_items(run / "pictures.json", {"train": items, "validate": []})
        workflow = open_workflow(
            ["segment"],
            pictures=str(run / "pictures.json"),
            output_dir=str(run),
            classes=len(self._plan_of(cell.data).labels) + 1,
            batch=plan.batch,
            epochs=-(-plan.steps // STEPS_PER_EPOCH),
            epoch_length=min(plan.steps, STEPS_PER_EPOCH),
            seed=plan.seed + cell.fold,
            threads=self.threads,
            is_quiet=True,
            device=f"$torch.device('{self.device}')",
        )
        run_workflow(workflow)
        state = workflow.parser.get_parsed_content("train#trainer").state
        if state.iteration < state.max_epochs * state.epoch_length:
            raise CancelledError(STOPPED)
        network: nn.Module = workflow.parser.get_parsed_content("average").ema_model
        return network.eval()

    def _label_picture(self, frame: MaskedFrame) -> Path:
        if frame.key not in self._labels:
            self._labels[frame.key] = label_picture(frame, self.plan.side_px, self.out / "cache")
        return self._labels[frame.key]

    def _tested(self, cell: Cell, network: nn.Module) -> Iterator[Row]:
        fold, labels = self.folds[cell.data][cell.fold], self._plan_of(cell.data).labels
        for test, method in tests_of(cell, self.plan):
            for frame in self._of(cell.data, fold.test):
                yield from self._rows(test, method, frame, network, labels)
        for data in self.plan.unseen if cell.count == 0 else ():
            if set(data.labels) & set(labels):
                for frame in self.frames[data.name]:
                    yield from self._rows(UNSEEN, cell.method, frame, network, labels)

    def _rows(
        self, test: str, method: str, frame: MaskedFrame, network: nn.Module, labels: Mapping[str, object]
    ) -> Iterator[Row]:
        """Segment one frame and compare at its full size; the network numbers labels in the order of ``labels``."""
        shown = self._shown_frame(frame)
        grey = grey_on_grid(self.preparers[method].picture(frame))
        with torch.inference_mode():
            answer = to_array(network(to_tensor(grey[None, None]).to(self.device)).float().softmax(1))[0]
        predicted = shown.grid.to_frame(answer).argmax(0).astype(np.uint8)
        spacing = shown.spacing_mm_yx
        for number, label in enumerate(labels, 1):
            if label in frame.plan.labels:
                own = list(frame.plan.labels).index(label) + 1
                truth = np.where(shown.labels_yx == own, number, 0).astype(np.uint8)
                figures = label_scores(predicted, truth, number, spacing or (1.0, 1.0))
                where = (test, frame.plan.name, method, frame.name, frame.subject, label)
                yield Row(*where, "mm" if spacing else "px", figures)

    def _shown_frame(self, frame: MaskedFrame) -> ShownFrame:
        if frame.key not in self._shown:
            grid = grid_for(frame, self.plan.side_px)
            self._shown[frame.key] = ShownFrame(frame, frame.labels(), grid, frame.spacing_mm_yx())
        return self._shown[frame.key]

    def _plan_of(self, name: str) -> DataPlan:
        return next(data for data in self.plan.data if data.name == name)
