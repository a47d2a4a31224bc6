"""Picture sheets of what the figures measure, since a number alone can be right for a wrong reason.

Columns are the input and each method's answer, rows are frames (the far wall: one below the other). The sheets of
insertions show one place of each frame, enlarged: without the structure, with it, and the change that it makes
(mid-grey is none, twice the contrast), for the input and for each method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.detail.checks import prepared_checks
from Training.detail.controls import CONTROLS
from Training.detail.far_wall import SEARCH_PX, FarWallCheck
from Training.detail.fibres import FibreCheck
from Training.detail.frames import DetailFrame, Grey
from Training.detail.glints import GlintCheck
from Training.detail.insertion import REQUIRED, InsertionCheck
from Training.detail.structures import Inserted

Methods = Mapping[str, FrameDespeckler]
TITLE_PX = 14
FAR_WALL_ROWS = slice(SEARCH_PX[0] - 12, SEARCH_PX[1])
DIFFERENCE_GAIN = 2.0
VIEW_PX = 96
"""Side of the part of a frame around one inserted structure."""


def write_sheets(methods: Methods, data: Path | None, published: Path | None, folder: Path) -> list[Path]:
    """Write one PNG for each group of checks that has data; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    methods = {name: method for name, method in methods.items() if method != CONTROLS[0]}
    sheets: dict[str, Image.Image] = {}
    for check in prepared_checks(data, published):
        if isinstance(check, InsertionCheck):
            sheets.update(_insertions(check, methods))
        elif isinstance(check, FibreCheck) and check.frames:
            sheets["muscle"] = _answers([each.frame for each in check.frames], methods, lambda image: image)
        elif isinstance(check, FarWallCheck) and check.frame is not None:
            sheets["far_wall"] = _answers(
                [check.frame], methods, lambda image: _enlarged(image[FAR_WALL_ROWS], 3), stacked=True
            )
        elif isinstance(check, GlintCheck) and check.frames:
            sheets["glints"] = _glints(check, methods)
    paths = []
    for name, sheet in sheets.items():
        paths.append(folder / f"{name}.png")
        sheet.save(paths[-1])
    return paths


def _answers(
    frames: list[DetailFrame], methods: Methods, view: Callable[[Grey], Grey], stacked: bool = False
) -> Image.Image:
    rows = []
    for frame in frames:
        answers = {name: frame.answers(method, frame.grey_yx[None])[0] for name, method in methods.items()}
        rows.append({"input": view(frame.grey_yx)} | {name: view(image) for name, image in answers.items()})
    if stacked:
        rows = [{name: image} for row in rows for name, image in row.items()]
    return _sheet(rows)


def _glints(check: GlintCheck, methods: Methods) -> Image.Image:
    rows = []
    for each in check.frames[::3]:
        half = each.frame.grey_yx.shape[0] // 2
        marked = each.authors_yx.copy()
        for y, x in each.places:
            marked[max(y - 1, 0) : y + 2, [max(x - 5, 0), min(x + 5, marked.shape[1] - 1)]] = 1
        row = {"input": each.frame.grey_yx, "glints of the authors": marked}
        row |= {name: each.frame.answers(method, each.frame.grey_yx[None])[0] for name, method in methods.items()}
        rows.append({name: _enlarged(image[half:], 2) for name, image in row.items()})
    return _sheet(rows, gain=1.5)


def _insertions(check: InsertionCheck, methods: Methods) -> dict[str, Image.Image]:
    sheets = {}
    for required in REQUIRED:
        columns = {
            each.frame.name: _one_place(each.frame, variant, methods)
            for each in check.frames
            for structure, variant in each.variants.items()
            if structure.name == required
        }
        if columns:
            lines = next(iter(columns.values()))
            rows = [{f"{name}: {line}": views[line] for name, views in columns.items()} for line in lines]
            sheets["inserted_" + required.replace(" ", "_")] = _sheet(rows)
    return sheets


def _one_place(frame: DetailFrame, variant: Inserted, methods: Methods) -> dict[str, Grey]:
    """Return views of the first place: input without, with and difference, then with and difference of each method."""
    half, box = VIEW_PX // 2, []
    for part, length in zip(variant.templates[0].window, frame.grey_yx.shape, strict=True):
        middle = min(max((part.start + part.stop) // 2, half), length - half)
        box.append(slice(middle - half, middle + half))
    pair = np.stack([frame.grey_yx, variant.grey_yx])
    answers = {"input": pair} | {name: frame.answers(method, pair) for name, method in methods.items()}
    views = {"without": _enlarged(frame.grey_yx[tuple(box)], 2)}
    for name, (without, with_it) in answers.items():
        views[name] = _enlarged(with_it[tuple(box)], 2)
        views[f"{name}, change"] = 0.5 + DIFFERENCE_GAIN * _enlarged((with_it - without)[tuple(box)], 2)
    return views


def _enlarged(image_yx: Grey, factor: int) -> Grey:
    return np.asarray(np.kron(image_yx, np.ones((factor, factor), np.float32)))


def _sheet(rows: list[dict[str, Grey]], gain: float = 1.0) -> Image.Image:
    """Put rows of named images on one picture, names above each."""
    width = max(image.shape[1] for row in rows for image in row.values()) + 4
    heights = [max(image.shape[0] for image in row.values()) + TITLE_PX + 2 for row in rows]
    sheet = Image.new("L", (width * len(rows[0]), sum(heights)))
    draw, top = ImageDraw.Draw(sheet), 0
    for row, height in zip(rows, heights, strict=True):
        for column, (name, image) in enumerate(row.items()):
            draw.text((column * width + 2, top + 1), name, fill=255)
            grey = np.uint8(np.clip(image * gain, 0, 1) * 255)
            sheet.paste(Image.fromarray(grey), (column * width, top + TITLE_PX))
        top += height
    return sheet
