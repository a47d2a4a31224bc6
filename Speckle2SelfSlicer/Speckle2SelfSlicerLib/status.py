"""What happened, in words: a short log, and one clear sentence for every failure."""

from __future__ import annotations

import logging
import time
from collections import deque

from Speckle2SelfLogic.errors import Speckle2SelfError
from Speckle2SelfSlicerLib.texts import tr as _

MOST_LINES = 200


class StatusLog:
    """The latest lines of what happened, each with its time."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MOST_LINES)

    def add(self, sentence: str) -> None:
        """Add a line."""
        self._lines.append(f"{time.strftime('%H:%M:%S')}  {sentence}")

    @property
    def text(self) -> str:
        """All lines, the oldest first."""
        return "\n".join(self._lines)


def explain(error: BaseException) -> str:
    """Return one sentence about a failure that says what to do; what is not known goes into Python's log as well."""
    if isinstance(error, Speckle2SelfError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return _("There is not enough memory: crop the volume, close other programs, or choose the CPU as device.")
    logging.error("Speckle2Self: unexpected error", exc_info=error)
    first_line = str(error).strip().splitlines()[:1] or [""]
    return _("Unexpected error, please report it: {kind}: {text} (details are in the application's log).").format(
        kind=type(error).__name__, text=first_line[0]
    )
