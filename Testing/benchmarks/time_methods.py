"""Time methods on one frame, as ratios to non-local means in the same run.

    python Testing/benchmarks/time_methods.py [--size 512] [--repeats 5] [--threads 1] [METHOD ...]

Times are medians of whole calls with the image already in memory (no reading or writing); the methods take turns, so
that a machine whose speed drifts is fair to all. ``published`` is the published network with random weights.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.networks.reference import ReferenceNetwork
from Speckle2SelfLogic.runtime import FrameDespeckler, NetworkDespeckler
from Speckle2SelfLogic.simulation import simulate
from Speckle2SelfLogic.weights import DEFAULT_MODEL


def method(name: str, threads: int) -> FrameDespeckler:
    """Load a method; ``published`` needs no weights."""
    if name == "published":
        return NetworkDespeckler(ReferenceNetwork().eval(), name, "published network", "", torch.device("cpu"))
    return load_method(name, "cpu", threads=threads)


def main() -> None:
    """Print a table of times and ratios."""
    parser = argparse.ArgumentParser(description="Time methods on one frame.")
    parser.add_argument("methods", nargs="*", default=[DEFAULT_MODEL, "published", "nlm", "srad", "obnlm", "median"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    frame = simulate(size_yx=(arguments.size, arguments.size)).speckled
    names = list(dict.fromkeys([*arguments.methods, "nlm"]))
    denoisers = {
        name: Denoiser(method(name, arguments.threads), DenoiseSettings(keep_outside_sector=False)) for name in names
    }
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(arguments.repeats + 1):
        for name, denoiser in denoisers.items():
            started = time.perf_counter()
            denoiser.run(frame)
            if repeat:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    table = Table("method", "ms per frame", "ratio to nlm")
    for name in names:
        ratio = np.median(np.divide(seconds[name], seconds["nlm"]))
        table.add_row(name, f"{1000 * np.median(seconds[name]):.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
