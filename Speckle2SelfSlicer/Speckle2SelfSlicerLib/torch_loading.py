"""PyTorch's libraries, loaded so that the window stays alive.

`import torch` maps libraries of hundreds of megabytes while Python's global lock is held, which stops every other
thread: the window stood still for 0.2 to 0.6 s. Calls into C release that lock, and a library that is mapped already
is imported at once. Windows needs none of this, since torch itself loads its libraries there by calls into C.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

LIBRARIES = ("c10", "torch_cpu", "c10_cuda", "torch_cuda", "torch", "torch_python")


def map_torch_libraries() -> None:
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
