"""What the operating system or the memory refuses, said about a file in one sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError, UnsupportedImageError


@contextmanager
def one_sentence(path: str | os.PathLike[str], failure: str, byte_count: int | None = None) -> Iterator[None]:
    r"""Turn any failure of the operating system or of memory into one printable sentence about a file.

    Parameters
    ----------
    path
        The file.
    failure
        What did not work out, for example ``"could not be written"``.
    byte_count
        Bytes that memory is needed for, if they are known.

    Raises
    ------
    ImageFileError
        For every `OSError`, for example a name that is too long or a folder that may not be entered.
    UnsupportedImageError
        If memory runs out.
    Speckle2SelfError
        As it was raised, with bytes of a file name that are no text shown as ``\udcff``.
    """
    try:
        yield
    except Speckle2SelfError as error:
        sentence = printable(str(error))
        if sentence == str(error):
            raise
        raise type(error)(sentence) from error
    except MemoryError as error:
        needed = byte_count or _bytes_asked_for(error)
        purpose = f"{needed} bytes" if needed else f"its pixels (a file of {Path(path).stat().st_size} bytes)"
        message = f"'{path}' {failure}: not enough memory for {purpose}; crop the image or close other programs."
        raise UnsupportedImageError(printable(message)) from error
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "\0" not in os.fspath(path):  # not about the name
            raise
        message = f"'{path}' {failure}: {integrity.reason(error)}."
        raise ImageFileError(printable(message)) from error


def is_text(name: str | os.PathLike[str]) -> bool:
    """Whether a file name can be written in UTF-8; on Linux a name may hold bytes that are no text."""
    try:
        os.fspath(name).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_file(name: str | os.PathLike[str]) -> bool:
    """Whether there is a file of that name; false for names that no file can have, and for folders out of reach."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _bytes_asked_for(error: MemoryError) -> int:
    """Return the size of the array that NumPy had no memory for; 0 if another library asked."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    return 0 if shape is None or dtype is None else math.prod(np.atleast_1d(shape).tolist()) * int(dtype.itemsize)


def printable(text: str) -> str:
    r"""Return text that can be printed and stored.

    Bytes of a file name that are no text become ``\udcff``, control characters ``\x1b``: a name from outside must not
    command the terminal.
    """
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
