"""PyTorch, imported in a thread so that the window stays alive.

`import torch` maps libraries of hundreds of megabytes while Python's global lock is held, which stops every other
thread: the window stood still for 0.2 to 0.6 s. Calls into C release that lock, and a library that is mapped already
is imported at once. Windows needs none of this, since torch itself loads its libraries there by calls into C. The many
new objects set off garbage collections of 0.1 s each, which hold the lock as well; they are put off until afterwards.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIBRARIES = ("c10", "torch_cpu", "c10_cuda", "torch_cuda", "torch", "torch_python")


@contextmanager
def torch_without_stalls() -> Iterator[None]:
    """Map the libraries of torch, and put off garbage collection, for whatever imports torch inside."""
    _map_libraries()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # both together make the new objects old ones, which costs nothing: looking through them
            gc.unfreeze()  # as young ones, right now, would take as long as all that was put off
            gc.enable()


def _map_libraries() -> None:
    """Map the libraries of an installed torch. Whatever does not work is left to `import torch`, which reports it."""
    if "torch" in sys.modules or os.name != "posix":
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    suffix = "dylib" if sys.platform == "darwin" else "so"
    load = ctypes.CDLL(None).dlopen
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for name in LIBRARIES:
        library = Path(spec.origin).parent / "lib" / f"lib{name}.{suffix}"
        if library.is_file():
            load(os.fsencode(library), os.RTLD_NOW)
