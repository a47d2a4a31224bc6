"""The command ``speckle2self measure``. Only light imports here: the help must stay quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from Speckle2SelfLogic import RESEARCH_USE

if TYPE_CHECKING:
    from Speckle2SelfLogic.geometry.files import MeasuredFile


def measure(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="Label image or stack of them, .seg.nrrd or DICOM SEG.")],
    wall: Annotated[
        Path | None, typer.Option(help="Mask of the wall; default: label 2, or the segment 'wall'.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Image of the mask, for calibration and frame times.")] = None,
    view: Annotated[str, typer.Option(help="transverse or longitudinal.")] = "transverse",
    lumen_segment: Annotated[str | None, typer.Option(help="Name or label of the lumen in MASK.")] = None,
    wall_segment: Annotated[str | None, typer.Option(help="Name or label of the wall.")] = None,
    segmentation_px: Annotated[float, typer.Option(help="How far the borders of the mask may be off, 1 sigma.")] = 0.5,
    distal_end: Annotated[str, typer.Option(help="Longitudinal: side towards the head, left or right.")] = "left",
    frame_interval_ms: Annotated[float | None, typer.Option(help="Time between frames.")] = None,
    reference_frames: Annotated[
        str | None,
        typer.Option(help="Stack of cross-sections: the normal distal vessel, first, last, or frames such as 20-24."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Table to write, one row for each frame.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table that exists.")] = False,
) -> None:
    """Measure a vessel from masks: diameters, area, wall, far-wall IMT, stenosis, distension, with uncertainty."""
    import json

    from Speckle2SelfLogic.geometry.files import MeasureRequest, as_dict, measure_file, write_csv
    from Speckle2SelfLogic.outputs import check_free

    if csv is not None:
        check_free(csv, [path for path in (mask, wall, image) if path is not None], overwrite=overwrite)
    request = MeasureRequest(
        mask,
        wall,
        image,
        view,  # type: ignore[arg-type]
        lumen_segment,
        wall_segment,
        segmentation_px,
        distal_end,  # type: ignore[arg-type]
        frame_interval_ms,
        reference_frames,
    )
    measured = measure_file(request)
    if csv is not None:
        write_csv(measured, csv)
    if as_json:
        typer.echo(json.dumps(as_dict(measured), allow_nan=False))
    else:
        _show(measured)


def _show(measured: MeasuredFile) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    frames, curve = measured.cine.frames, measured.cine.curve
    first = next((index for index, frame in enumerate(frames) if frame.diameter.value is not None), 0)
    table = Table("figure", "value" if len(frames) == 1 else f"frame {first} of {len(frames)}")
    figures = frames[first].measures()
    if len(frames) > 1:
        figures = {**figures, **curve.measures()}
    if measured.stenosis is not None:
        figures = {**figures, **measured.stenosis.measures()}
    for name, each in figures.items():
        table.add_row(name.replace("_", " "), escape(str(each)))
    Console().print(table)
    notes = [*measured.notes, *(f"frame {index}: {note}" for index, note in _notes(measured))]
    if curve.outliers:
        notes.append(f"frames {', '.join(map(str, curve.outliers))} stand out and count for no extreme")
    errors = Console(stderr=True)
    for note in notes:
        errors.print(f"  [yellow]note:[/yellow] {escape(note)}", soft_wrap=True, highlight=False)
    errors.print(f"[dim]{RESEARCH_USE}[/dim]")


def _notes(measured: MeasuredFile) -> list[tuple[int, str]]:
    """Return the notes about frames, each said for the first frame that it is about."""
    said: dict[str, int] = {}
    for index, frame in enumerate(measured.cine.frames):
        for note in frame.notes:
            said.setdefault(note, index)
    return [(index, note) for note, index in said.items()]
