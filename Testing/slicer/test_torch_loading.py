"""PyTorch is imported in a thread without holding up the main thread, and garbage collection comes back."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
sys.path[:0] = sys.argv[1:3]
from Speckle2SelfSlicerLib.torch_loading import torch_without_stalls
def is_mapped():
    with open("/proc/self/maps") as maps:
        return any("libtorch_cpu" in line for line in maps)
print(is_mapped(), end=" ")
with torch_without_stalls():
    print(is_mapped(), "torch" in sys.modules, end=" ")
    import torch
print(torch.ones(2).sum().item())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps of Linux")
def test_the_libraries_are_mapped_before_the_import_and_torch_works_afterwards():
    command = [sys.executable, "-c", SCRIPT, str(ROOT / "Speckle2SelfSlicer"), str(ROOT)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", "True", "False", "2.0"]


@pytest.mark.usefixtures("the_module")
@pytest.mark.parametrize("was_on", [True, False])
def test_garbage_collection_is_put_off_and_comes_back_as_it_was(was_on):
    from Speckle2SelfSlicerLib.torch_loading import torch_without_stalls

    def fail_inside():
        with torch_without_stalls():
            assert not gc.isenabled()
            raise ImportError

    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ImportError):
            fail_inside()
        assert gc.isenabled() is was_on
    finally:
        gc.enable()
