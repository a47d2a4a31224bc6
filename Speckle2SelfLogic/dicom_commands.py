"""Commands around DICOM: what regions a screen has, masks as segmentations, measurements as reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="DICOM: regions of a screen, masks as segmentation objects, measurements as structured reports.",
    no_args_is_help=True,
)

Source = Annotated[Path, typer.Argument(metavar="SOURCE", help="DICOM image that it was made on.")]
Target = Annotated[Path, typer.Argument(metavar="OUT.dcm", help="File to write; it must not exist.")]
MadeBy = Annotated[list[str] | None, typer.Option("--model", "-m", help="Model that made it; repeat for more.")]


@app.command()
def regions(source: Annotated[Path, typer.Argument(metavar="FILE", help="DICOM image.")]) -> None:
    """List the ultrasound regions of a screen, to choose one with 'denoise --region'."""
    from Speckle2SelfLogic.dicom_regions import screen_regions
    from Speckle2SelfLogic.errors import UnsupportedImageError
    from Speckle2SelfLogic.integrity import check_file, is_dicom

    check_file(source)
    if not is_dicom(source):
        message = f"'{source}' is not a DICOM file, so it has no ultrasound regions."
        raise UnsupportedImageError(message)
    regions = screen_regions(source)
    for region in regions:
        typer.echo(region)
    if not regions:
        typer.echo("The file names no ultrasound regions.", err=True)


@app.command()
def seg(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="Mask or label image with the frames of the source.")],
    source: Source,
    target: Target,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of the segment of value 1, 2, ...; default: those of MASK, else lumen."),
    ] = None,
    model: MadeBy = None,
) -> None:
    """Write a mask as a DICOM segmentation object (SEG)."""
    from Speckle2SelfLogic.dicom_seg import labels_and_names, write_segmentation

    labels, names = labels_and_names(mask, name or [])
    write_segmentation(labels, source, target, names=names, models=_described(model))
    typer.echo(target)


@app.command()
def sr(
    measurements: Annotated[
        Path,
        typer.Argument(metavar="FILE.json", help="From 'measure --json', or a list of {name, value, unit, frame}."),
    ],
    source: Source,
    target: Target,
    model: MadeBy = None,
) -> None:
    """Write measurements as a DICOM structured report (TID 1500)."""
    from Speckle2SelfLogic.dicom_sr import read_measurements, write_report

    write_report(read_measurements(measurements), source, target, models=_described(model))
    typer.echo(target)


def _described(models: list[str] | None) -> tuple[str, ...]:
    from Speckle2SelfLogic.weights import find_model

    cards = map(find_model, models or ())
    return tuple(f"{card.name}, SHA-256 {card.sha256}" for card in cards)
