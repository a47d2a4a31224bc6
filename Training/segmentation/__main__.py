"""``python -m Training.segmentation segmenter --data FOLDER --out RUN``: train and ship the carotid segmenter."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from Speckle2SelfLogic.errors import Speckle2SelfError

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The carotid segmenter that ships.")


@app.callback()
def _commands() -> None:
    """Keep the name of the command, which typer drops where there is only one."""


@app.command()
def segmenter(
    data: Annotated[Path, typer.Option(help="Folder that holds cca_transverse_mindray.")],
    out: Annotated[Path, typer.Option(help="Run folder; a run that was stopped goes on.")],
    folder: Annotated[Path | None, typer.Option(help="Folder of models to write to; default: the built-in.")] = None,
    train: Annotated[bool, typer.Option(help="Train before the export; else only export what is there.")] = True,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train the carotid segmenter, choose from which score it is trusted, and write model and card."""
    from Training.segmentation.segmenter_training import export_segmenter, train_segmenter

    if train:
        train_segmenter(data, out, device=device, tell=_tell)
    card = export_segmenter(out, data, folder, tell=_tell)
    typer.echo(card.to_json())


def _tell(sentence: str) -> None:
    typer.echo(sentence, err=True)


def main() -> None:
    """Run; an expected failure is one sentence and exit status 1."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        app(prog_name="python -m Training.segmentation")
    except Speckle2SelfError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
