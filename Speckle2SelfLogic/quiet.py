"""Libraries that print on their own, kept quiet while they read or write a file."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

_STANDARD_ERROR = 2
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Send what is written to file descriptor 2 to the null device, and give the descriptor back afterwards.

    MetaIO, nifti_clib, OpenJPEG and libjpeg report there what their callers learn from an error or check themselves.
    A closed descriptor is lent too, so that no file that is opened meanwhile takes its number and their text.

    The descriptor belongs to the whole process: text that another thread writes to it meanwhile is lost, and a second
    thread that comes here waits for the first. Keep the block to the library's call.

    Raises
    ------
    OSError
        If no file descriptor is free.
    """
    with _ONE_AT_A_TIME:
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):  # a closed stream has nothing to say
                sys.stderr.flush()
        with contextlib.ExitStack() as undo:
            saved = _copy_of_standard_error()
            if saved is None:
                undo.callback(_close_if_open, _STANDARD_ERROR)
            else:
                undo.callback(os.close, saved)
                undo.callback(os.dup2, saved, _STANDARD_ERROR)
            null_device = os.open(os.devnull, os.O_WRONLY)
            if null_device != _STANDARD_ERROR:
                undo.callback(os.close, null_device)
                os.dup2(null_device, _STANDARD_ERROR)
            yield


@contextlib.contextmanager
def quiet_dicom() -> Iterator[None]:
    """Keep what pydicom and highdicom remark on elements out of warnings and logs: it quotes names too."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _copy_of_standard_error() -> int | None:
    """Return a new descriptor of the same file; None if standard error is closed."""
    try:
        return os.dup(_STANDARD_ERROR)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise


def _close_if_open(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)
