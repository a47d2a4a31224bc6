"""Figures as table nodes, and table nodes as CSV files."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import vtk

from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.metrics import FIGURES, QualityFigures
from Speckle2SelfLogic.outputs import check_free
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfSlicerLib.derived import CONTENT_ATTRIBUTE
from Speckle2SelfSlicerLib.quality import FiguresOverFrames, FlickerFigures, FrameFigures
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import place_beside

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLTableNode, vtkMRMLVolumeNode

NOTES_ATTRIBUTE = "Speckle2Self.Notes"
NEEDS_TRUTH = ("psnr_db", "psnr_after_scale_db", "ssim", "ssim_after_scale")
"""Figures that are never there: a volume has no speckle-free truth."""
FRAME_FIGURES = tuple(name for name in QualityFigures.__dataclass_fields__ if name not in NEEDS_TRUTH)
"""Names of the figures of a frame, in the order of a table."""
FRAME_COLUMN = "Frame"


@dataclass(frozen=True)
class Column:
    """A column of texts or of numbers; None and values that are not finite become empty cells or NaN."""

    name: str
    values: Sequence[str] | Sequence[int] | Sequence[float | None]
    unit: str = ""
    description: str = ""
    title: str = ""
    """What a table view shows, with the unit behind it; left out: the name."""


def quality_table(
    original: vtkMRMLVolumeNode,
    figures: FrameFigures,
    *,
    flicker: FlickerFigures | None = None,
    table: vtkMRMLTableNode | None = None,
) -> vtkMRMLTableNode:
    """Write the figures of one frame into a table, one row for each.

    Parameters
    ----------
    original
        The input volume; a new table is named after it and placed beside it.
    figures
        What was measured.
    flicker
        Restlessness over the whole cine, as three more rows.
    table
        The table to fill anew; left out, or no longer in the scene: a new one.
    """
    before, after = figures.input.as_dict(), figures.output.as_dict()
    names = list(FRAME_FIGURES)
    if flicker is not None:
        names += list(vars(flicker.input))
        before, after = before | vars(flicker.input), after | vars(flicker.output)
    infos = [FIGURES[name] for name in names]
    columns = (
        Column("Figure", [info.title for info in infos]),
        Column("Unit", [info.unit for info in infos]),
        Column("Input", [_text(before[name]) for name in names]),
        Column("Output", [_text(after[name]) for name in names]),
        Column("Better", [info.better for info in infos]),
        Column("Meaning", [info.definition for info in infos]),
    )
    what = f"quality of frame {figures.number} of '{original.GetName()}'"
    return _filled(original, f"{original.GetName()} (Speckle2Self quality)", columns, what, figures.notes, table)


def frames_table(
    original: vtkMRMLVolumeNode, figures: FiguresOverFrames, table: vtkMRMLTableNode | None = None
) -> vtkMRMLTableNode:
    """Write the figures of all frames into a table: a row for each frame, two columns for each figure that is there.

    Parameters
    ----------
    original
        The input volume; a new table is named after it and placed beside it.
    figures
        What was measured.
    table
        The table to fill anew; left out, or no longer in the scene: a new one.
    """
    columns = [Column(FRAME_COLUMN, [frame.number for frame in figures.frames])]
    for name in FRAME_FIGURES:
        sides = [[getattr(each, name) for each in side] for side in _sides(figures)]
        if any(value is not None for side in sides for value in side):
            columns += [
                Column(
                    column_name(name, which),
                    side,
                    FIGURES[name].unit,
                    FIGURES[name].definition,
                    f"{FIGURES[name].title} {which}",
                )
                for which, side in zip(("input", "output"), sides, strict=True)
            ]
    what = f"quality of the frames of '{original.GetName()}'"
    name = f"{original.GetName()} (Speckle2Self quality over frames)"
    return _filled(original, name, columns, what, figures.notes, table)


def column_name(figure: str, which: str) -> str:
    """Return the name of a figure's column in `frames_table`; ``which`` is ``"input"`` or ``"output"``."""
    return f"{figure_title(figure)} {which}"


def figure_title(figure: str) -> str:
    """Return the title of a figure with its unit, which tells all figures apart."""
    info = FIGURES[figure]
    return f"{info.title} ({info.unit})" if info.unit else info.title


def figures_in(table: vtkMRMLTableNode) -> list[str]:
    """Return the names of the figures that a table of `frames_table` has."""
    return [name for name in FRAME_FIGURES if table.GetColumnIndex(column_name(name, "output")) >= 0]


def fill_table(table: vtkMRMLTableNode, columns: Sequence[Column]) -> None:
    """Replace all columns of a table in one step."""
    content = vtk.vtkTable()
    for column in columns:
        content.AddColumn(_vtk_array(column))
    was_modifying = table.StartModify()
    table.RemoveAllColumns()  # forgets units and descriptions too
    table.SetAndObserveTable(content)
    for column in columns:
        table.SetColumnType(column.name, content.GetColumnByName(column.name).GetDataType())
        table.SetColumnUnitLabel(column.name, column.unit)
        table.SetColumnDescription(column.name, column.description)
        table.SetColumnTitle(column.name, column.title)
    table.SetUseColumnTitleAsColumnHeader(True)
    table.EndModify(was_modifying)


def table_for(original: vtkMRMLNode, name: str, table: vtkMRMLTableNode | None) -> vtkMRMLTableNode:
    """Return a table that is still in a scene, or a new one beside a node."""
    if table is not None and table.GetScene() is not None:
        return table
    scene = original.GetScene()
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    table.SetDescription(_("For research use, not for diagnosis."))
    place_beside(table, original)
    return table


def write_csv(table: vtkMRMLTableNode, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a table as comma-separated values (RFC 4180, UTF-8), column names first; absent values are empty.

    Parameters
    ----------
    table
        Any table of texts and numbers.
    path
        The file.
    overwrite
        Whether a file of that name may be replaced.

    Raises
    ------
    ImageFileError
        If the file exists already, or cannot be written. What was there before is kept then.
    """
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.unfinished")
    with one_sentence(target, _("could not be written")):
        if not overwrite and target.exists():
            message = _("'{path}' exists already; choose another name, or allow to replace it.").format(path=target)
            raise ImageFileError(message)
        check_free(target, [], overwrite=True)
        try:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(_rows(table.GetTable()))
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    return target


def _filled(
    original: vtkMRMLVolumeNode,
    name: str,
    columns: Sequence[Column],
    what: str,
    notes: Sequence[str],
    table: vtkMRMLTableNode | None,
) -> vtkMRMLTableNode:
    table = table_for(original, name, table)
    table.SetAttribute(CONTENT_ATTRIBUTE, what)
    table.SetAttribute(NOTES_ATTRIBUTE, " ".join(notes) or None)
    fill_table(table, columns)
    return table


def _rows(content: vtk.vtkTable) -> Iterator[list[str]]:
    columns = [content.GetColumn(number) for number in range(content.GetNumberOfColumns())]
    yield [column.GetName() for column in columns]
    for row in range(content.GetNumberOfRows()):
        yield [_cell(column.GetValue(row)) for column in columns]


def _sides(figures: FiguresOverFrames) -> tuple[list[QualityFigures], list[QualityFigures]]:
    return [frame.input for frame in figures.frames], [frame.output for frame in figures.frames]


def _vtk_array(column: Column) -> vtk.vtkAbstractArray:
    if all(isinstance(value, str) for value in column.values):
        array, values = vtk.vtkStringArray(), column.values
    elif all(isinstance(value, int) for value in column.values):
        array, values = vtk.vtkIntArray(), column.values
    else:
        array, values = vtk.vtkDoubleArray(), [_finite(value) for value in column.values]
    array.SetName(column.name)
    for value in values:
        array.InsertNextValue(value)
    return array


def _finite(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else float(value)


def _text(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return str(value)
