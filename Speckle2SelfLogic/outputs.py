"""Rules for every output: nothing that exists is lost by accident."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.plain_errors import one_sentence


def check_free(target: Path, sources: Sequence[Path], *, overwrite: bool) -> None:
    """Check that a file may be written: it is new, or may be replaced and is neither an input nor a special file.

    Raises
    ------
    ImageFileError
        If it may not.
    """
    with one_sentence(target, "cannot be written"):
        if not target.exists():
            return
        for source in sources:
            if source.exists() and target.samefile(source):
                message = f"Input and output are the same file '{source}'; choose another output."
                raise ImageFileError(message)
        if not target.is_file():
            message = f"The output '{target}' is not a regular file and cannot be replaced; choose another name."
            raise ImageFileError(message)
    if not overwrite:
        message = f"The output '{target}' exists already; choose another name or allow overwriting with --overwrite."
        raise ImageFileError(message)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they do not exist.

    Raises
    ------
    ImageFileError
        If it cannot be made.
    """
    with one_sentence(folder, "cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
