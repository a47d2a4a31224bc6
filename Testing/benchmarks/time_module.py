"""Time of frames inside the Slicer module against the core's own, and how long its event loop stands still.

`python -m Testing.benchmarks.time_module` on real MRML (slicer-core), in one process: rounds of the core alone and of
the module in turn, so that a busy machine slows both. The event loop of Slicer, which does not let go of Python between
two ticks of the panel, is played by a call that keeps Python's lock for a millisecond.
"""

import argparse
import ctypes
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "Speckle2SelfSlicer"))
PAUSE_US = 1000


def main():
    parser = argparse.ArgumentParser(prog="python -m Testing.benchmarks.time_module", description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--method", help="left out: the default network")
    arguments = parser.parse_args()
    import slicer

    from Testing.slicer.cines import add_cine, speckle

    frames = speckle((arguments.frames, arguments.side, arguments.side))
    scene = slicer.vtkMRMLScene()
    _, _, proxy = add_cine(scene, frames)
    core_s, module_s, gap_s, first_gap_s = rounds(proxy, frames, arguments.rounds, arguments.method)
    ratios = [module / core for core, module in zip(core_s, module_s, strict=True)]
    per_frame_ms = 1e3 / arguments.frames
    print(f"{arguments.frames} frames of {arguments.side} x {arguments.side}, {arguments.rounds} rounds")
    print(f"core alone          {statistics.median(core_s) * per_frame_ms:7.2f} ms per frame (median)")
    print(f"in the module       {statistics.median(module_s) * per_frame_ms:7.2f} ms per frame (median)")
    print(f"module / core       {statistics.median(ratios):7.3f} (median), {min(module_s) / min(core_s):.3f} (minima)")
    print(f"longest standstill  {gap_s * 1e3:7.0f} ms, {first_gap_s * 1e3:.0f} ms while the method is loaded")


def rounds(proxy, frames, count, method):
    """Return seconds of the core and of the module for each round, and the longest standstills."""
    from Speckle2SelfLogic.denoiser import Denoiser
    from Speckle2SelfLogic.image import UltrasoundImage
    from Speckle2SelfSlicerLib.engine import Engine
    from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest

    engine = Engine()
    how = MethodRequest(method or MethodRequest.method)
    first_gap_s = in_an_event_loop(engine.start(DespeckleRequest(proxy, how)))
    denoiser = Denoiser(engine._methods.load(how), how.settings("auto"))
    core_s, module_s, gap_s = [], [], 0.0
    for _ in range(count):
        started = time.perf_counter()
        expected = denoiser.run(UltrasoundImage(frames, "TYX")).image.pixels
        core_s.append(time.perf_counter() - started)
        run = engine.start(DespeckleRequest(proxy, how, whole_sequence=True))
        started = time.perf_counter()
        gap_s = max(gap_s, in_an_event_loop(run))
        module_s.append(time.perf_counter() - started)
        check(run, expected)
    engine.close()
    return core_s, module_s, gap_s, first_gap_s


def in_an_event_loop(run):
    """Carry a run on as the panel does; return the longest time in seconds between two turns of the event loop."""
    keep_the_lock = ctypes.PyDLL(None).usleep
    longest_s, before = 0.0, time.perf_counter()
    finished = False
    while not finished:
        finished = run.advance()
        keep_the_lock(PAUSE_US)
        now = time.perf_counter()
        longest_s, before = max(longest_s, now - before), now
    if run.error is not None:
        raise run.error
    return longest_s


def check(run, expected):
    from Speckle2SelfSlicerLib.sequences import cine_of
    from Testing.slicer.pairs import pixels_of

    cine = cine_of(run.output)
    for number in (0, len(expected) - 1):
        np.testing.assert_array_equal(pixels_of(cine.frame(number))[0], expected[number])


if __name__ == "__main__":
    main()
