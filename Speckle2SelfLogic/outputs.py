"""Rules for every output: nothing that exists is lost by accident, and trouble with files is one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from Speckle2SelfLogic.errors import ImageFileError, UnsupportedImageError


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file, and a lack of memory, into one sentence.

    Raises
    ------
    ImageFileError, UnsupportedImageError
        In place of `OSError` and `MemoryError`.
    """
    try:
        yield
    except OSError as error:
        message = f"'{_shown(path)}' cannot be used: {error.strerror or error}."
        raise ImageFileError(message) from error
    except MemoryError as error:
        message = f"There is not enough memory for '{_shown(path)}'; crop the image or close other programs."
        raise UnsupportedImageError(message) from error


def check_free(target: Path, sources: Sequence[Path], *, overwrite: bool) -> None:
    """Check that a file may be written: it is new, or may be replaced and is neither an input nor a special file.

    Raises
    ------
    ImageFileError
        If it may not.
    """
    with file_errors(target):
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"The folder '{_shown(folder)}' cannot be made: {error.strerror or error}."
        raise ImageFileError(message) from error


def _shown(path: Path) -> str:
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 120 else f"{text[:60]}...{text[-50:]}"
