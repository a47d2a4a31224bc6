"""Run every method of a plan on every frame of its data sets and store the figures. What is there already is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from Speckle2SelfLogic.comparison import software_line
from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.filters import classical_filter
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.runtime import Float32, FrameDespeckler
from Training.evidence.figures import VERSION, Meter
from Training.evidence.frames import EvidenceItem
from Training.evidence.methods import INPUT, TRUTH, MethodEntry
from Training.evidence.perceptual import perceptual_name
from Training.evidence.plan import DataSet, Plan
from Training.evidence.published_frames import (
    published_figures,
    published_items,
    published_names,
    published_title,
)
from Training.evidence.rows import (
    PLAN,
    Measured,
    Row,
    output_path,
    read_rows,
    rows_path,
    write_output,
    write_rows,
    write_whole,
)

Tell = Callable[[str], None]
Answer = tuple[Float32, float]
"""Output frames (N, Y, X), grey 0..1, and seconds per frame."""


@dataclass(frozen=True)
class Measuring:
    """One run over a plan.

    Parameters
    ----------
    out
        Folder of stored rows and outputs.
    tell
        Called with a line for each method and data set that had anything to measure.
    keeps_plan
        Leave the plan that the folder has: its methods stay in the tables of the results, and those measured now are
        for tables of their own, such as those of ablations.
    """

    plan: Plan
    out: Path
    meter: Meter
    tell: Tell = lambda _: None
    loaded: dict[str, FrameDespeckler] = field(default_factory=dict)
    keeps_plan: bool = False

    def run(self) -> int:
        """Measure what is missing; return the number of rows that were made. Raises what loading a method raises."""
        for entry in self.plan.methods:  # all of them before the first frame: a typing error must not cost a night
            self.loaded[entry.name] = entry.load()
        if not (self.keeps_plan and (self.out / PLAN).is_file()):
            write_whole(self.out / PLAN, json.dumps(self._described(), indent=1) + "\n")
        return sum(self._data_set(data) for data in self.plan.data)

    def _described(self) -> dict[str, Any]:
        """Return what the tables have to say about the plan; folders are named, not spelt out."""
        plan = self.plan.path.name if self.plan.path.is_absolute() else self.plan.path.as_posix()
        folders = " ".join(f"--folder {name}={name.upper()}" for name in self.plan.folder_names)
        return {
            "command": " ".join(f"python -m Training.evidence measure {plan} {folders} --out FOLDER".split()),
            "software": software_line(),
            "perceptual": None if self.meter.perceptual is None else perceptual_name(),
            "yardstick": self.plan.yardstick,
            "data": [{k: v for k, v in asdict(data).items() if k != "folder"} for data in self.plan.data],
            "methods": [
                {k: v for k, v in asdict(m).items() if k in ("name", "kind", "learned_from", "is_ours", "in_pictures")}
                | {"parameters": dict(m.parameters)}
                for m in self.plan.methods
            ],
        }

    def _data_set(self, data: DataSet) -> int:
        items = list(data.items())
        made = self._rows(data, INPUT, {"kind": "input"}, items, lambda item: (item.frames_nyx, 0.0))
        if items[0].truth_yx is not None:
            made += self._rows(data, TRUTH, {"kind": "truth"}, items, _truth)
        if data.kind == "published":
            for name in published_names(data.folder):
                outputs = {item.name: item.frames_nyx for item in published_items(data.folder, name)}
                made += self._rows(
                    data, published_title(name), {"kind": "published"}, items, lambda i, o=outputs: (o[i.name], 0.0)
                )
        for entry in self.plan.methods:
            if entry.sets and data.name not in entry.sets:
                continue
            chosen = items[: entry.frames]
            made += self._rows(data, entry.name, entry.fingerprint(), chosen, self._answering(data, entry), timed=True)
        return made

    def _rows(
        self,
        data: DataSet,
        method: str,
        fingerprint: dict[str, Any],
        items: list[EvidenceItem],
        answer: Callable[[EvidenceItem], Answer],
        *,
        timed: bool = False,
    ) -> int:
        identity = json.loads(
            json.dumps({**fingerprint, "figures": VERSION, "lpips": self.meter.perceptual is not None})
        )
        path = rows_path(self.out, data.name, method)
        stored = read_rows(path)
        kept = {row.item: row for row in stored.rows} if stored and stored.fingerprint == identity else {}
        measured, made = Measured(data.name, method, identity), 0
        for number, item in enumerate(items):
            row = kept.get(item.name)
            if row is None or row.checksum != item.checksum:
                row, made = self._row(data, method, item, answer, timed=timed and number < self.plan.timed), made + 1
                measured = replace(measured, rows=(*measured.rows, row))
                write_rows(path, replace(measured, rows=(*measured.rows, *_rest(kept, measured))))
            else:
                measured = replace(measured, rows=(*measured.rows, row))
        if made:
            self.tell(f"{data.name}: {method}, {made} of {len(items)} measured")
        return made

    def _row(
        self, data: DataSet, method: str, item: EvidenceItem, answer: Callable[[EvidenceItem], Answer], *, timed: bool
    ) -> Row:
        output, seconds = answer(item)
        beside = despeckled(self._yardstick(), item, data)[1] if timed else None
        write_output(output_path(self.out, data.name, method, item.name), output[len(output) // 2])
        if data.kind == "published":
            figures = published_figures(item.name, item.frames_nyx[0], output[0])
        else:
            figures = self.meter.figures(item, output)
        return Row(item.name, item.checksum, figures, len(output), seconds or None, beside)

    def _answering(self, data: DataSet, entry: MethodEntry) -> Callable[[EvidenceItem], Answer]:
        is_warm = entry.kind == "per_image"  # nothing to load, and a fit for nothing would take long

        def answer(item: EvidenceItem) -> Answer:
            nonlocal is_warm
            if not is_warm:
                _warm_up(self.loaded[entry.name])
                is_warm = True
            return despeckled(self.loaded[entry.name], item, data)

        return answer

    def _yardstick(self) -> FrameDespeckler:
        key = f"yardstick {self.plan.yardstick}"
        if key not in self.loaded:
            self.loaded[key] = classical_filter(self.plan.yardstick)
            _warm_up(self.loaded[key])
        return self.loaded[key]


def despeckled(method: FrameDespeckler, item: EvidenceItem, data: DataSet) -> Answer:
    """Run a method on an item: the bare method, clipped to 0..1, or as a user's 8-bit frame through the denoiser."""
    if not data.goes_through_denoiser:
        started = time.perf_counter()
        output = np.clip(method.despeckle(item.frames_nyx), 0, 1).astype(np.float32)
        return output, (time.perf_counter() - started) / len(output)
    return through_denoiser(method, item)


def through_denoiser(method: FrameDespeckler, item: EvidenceItem) -> Answer:
    """Run a method on an item as `speckle2self denoise` does: sector, 8 bit; seconds are those of the method alone."""
    pixels = np.uint8(np.clip(item.frames_nyx, 0, 1) * 255 + 0.5)
    image = UltrasoundImage(pixels, "TYX") if len(pixels) > 1 else UltrasoundImage(pixels[0])
    result, report = Denoiser(method).run(image)
    output = np.asarray(result.pixels, np.float32).reshape(pixels.shape) / 255
    return output, report.method_seconds / len(output)


def _truth(item: EvidenceItem) -> Answer:
    assert item.truth_yx is not None  # noqa: S101 - sets either have truths or have none
    return item.truth_yx[None], 0.0


def _rest(kept: dict[str, Row], measured: Measured) -> Iterator[Row]:
    """Rows of frames that are not looked at yet; a run that is stopped must not lose them."""
    done = {row.item for row in measured.rows}
    return (row for name, row in kept.items() if name not in done)


def _warm_up(method: FrameDespeckler) -> None:
    method.despeckle(np.random.default_rng(0).random((1, 64, 64)).astype(np.float32))  # what a first call loads
