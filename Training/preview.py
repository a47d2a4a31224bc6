"""A picture of what the network does by now: ``preview.png`` in the run folder, written anew at each validation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ignite.engine import Engine, Events
from PIL import Image, ImageDraw
from torch import Tensor, nn

from Speckle2SelfLogic.runtime import to_array

Float32 = npt.NDArray[np.float32]
PREVIEW = "preview.png"
_GAP_PX = 6
_CAPTION_PX = 16


class WritePreview:
    """Collect frames while a validation runs and write them beside the network's answers, one frame a row.

    Parameters
    ----------
    folder
        The run folder.
    network
        The averaged network.
    most_frames
        Rows of the picture. A real frame of a batch is shown rather than a simulated one.
    """

    def __init__(self, folder: str | Path, network: nn.Module, most_frames: int = 4) -> None:
        self.path, self.network, self.most_frames = Path(folder) / PREVIEW, network, most_frames
        self._rows: list[list[Float32]] = []

    def attach(self, engine: Engine) -> None:
        """Look at the batches of an evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _clear(self) -> None:
        self._rows = []

    def _collect(self, engine: Engine) -> None:
        if len(self._rows) < self.most_frames:
            self._rows.append(preview_row(self.network, engine.state.output["image"]))

    def _write(self) -> None:
        if not self._rows:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent) as scratch:
            draft = Path(scratch) / self.path.name
            preview_picture(self._rows).save(draft)
            draft.replace(self.path)


@torch.no_grad()
def preview_row(network: nn.Module, batch: Mapping[str, Any]) -> list[Float32]:
    """Return the first frame of a batch, the network's answer, and the truth if there is one: (Y, X), grey 0..1."""
    shown: Tensor = batch["real" if "real" in batch else "speckled"][:1]
    frames = [shown, network(shown).float()]
    if "real" not in batch and "truth" in batch:
        frames.append(batch["truth"][:1])
    return [to_array(frame[0, 0].float().clamp(0, 1)) for frame in frames]


def preview_picture(rows: list[list[Float32]]) -> Image.Image:
    """Put rows of frames under captions."""
    captions = ("input", "output", "truth")[: max(map(len, rows))]
    column_px = max(frame.shape[1] for row in rows for frame in row) + _GAP_PX
    heights = [max(frame.shape[0] for frame in row) + _GAP_PX for row in rows]
    picture = Image.new("L", (column_px * len(captions), _CAPTION_PX + sum(heights)), 255)
    draw = ImageDraw.Draw(picture)
    for column, caption in enumerate(captions):
        draw.text((column * column_px + 2, 2), caption, fill=0)
    top = _CAPTION_PX
    for row, height in zip(rows, heights, strict=True):
        for column, frame in enumerate(row):
            picture.paste(Image.fromarray(np.uint8(frame * 255 + 0.5)), (column * column_px, top))
        top += height
    return picture
