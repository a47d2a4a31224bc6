"""Where the core lies: beside the module when installed, one folder higher in the source tree."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def make_core_importable() -> None:
    """Add the root of the source tree to the path, last, unless `Speckle2SelfLogic` can be imported already.

    Slicer adds only the folder of a module's file to the path. An installed core is found there.
    """
    if importlib.util.find_spec("Speckle2SelfLogic") is None:
        sys.path.append(str(Path(__file__).resolve().parents[2]))
