"""What was made or measured once and is kept for the next time: graphs, checked runtimes, the fastest runtime.

Everything here can be lost at any time and is made again. A cache that is damaged counts as empty, one that cannot be
written is done without.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

CACHE_VARIABLE = "SPECKLE2SELF_CACHE"
_LARGEST_BYTES = 1 << 28


def cache_folder() -> Path:
    r"""Return the folder of the cache, which need not exist yet.

    ``SPECKLE2SELF_CACHE`` if it is set; otherwise ``%LOCALAPPDATA%\Speckle2Self\cache`` on Windows,
    ``~/Library/Caches/Speckle2Self`` on macOS, and ``$XDG_CACHE_HOME/speckle2self`` (``~/.cache/speckle2self``)
    elsewhere.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Speckle2Self" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "Speckle2Self"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speckle2self"


def read_bytes(path: Path) -> bytes:
    """Return what a file of the cache holds; nothing if it cannot be read or is larger than anything kept here."""
    try:
        return path.read_bytes() if path.stat().st_size <= _LARGEST_BYTES else b""
    except OSError:
        return b""


def read_record(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one if the file is missing or damaged."""
    try:
        content = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def keep(path: Path, content: bytes) -> bool:
    """Write a file that appears whole or not at all; return whether that was possible."""
    draft: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".partial", delete=False) as file:
            draft = Path(file.name)
            file.write(content)
        draft.replace(path)
    except OSError:
        if draft is not None:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        return False
    return True


def keep_entry(path: Path, key: str, value: object) -> bool:
    """Add or replace one entry of a JSON file; what another process adds in the same moment may be lost."""
    content = {**read_record(path), key: value}
    return keep(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
