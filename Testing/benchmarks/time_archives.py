"""How a run over an archive grows with its files and its workers, as a table in Markdown.

    python Testing/benchmarks/time_archives.py [--cines 10 100 1000] [--workers 1 2] [--model median] [--engine local]

Every archive holds cines of 8 frames of 64 x 64 pixels (NRRD). Times are of whole runs without the start of the workers
(which loads the model once, and is a column of its own), from looking for files to the last output in place: reading,
checksums, despeckling, writing, and the manifest with its commits to disk. Throughput is also given as a ratio to that
of the first number of workers. The last column is the processor time of the one process that gives out the work: its
inverse bounds what any number of workers can reach. ``--folder`` chooses the disk; the default is the folder for
temporary files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from Speckle2SelfLogic.archive.job import Method
from Speckle2SelfLogic.archive.local_workers import LocalWorkers
from Speckle2SelfLogic.archive.run import Archive, run_archive
from Speckle2SelfLogic.archive.workers import Workers
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import write_image

FRAMES, SIDE = 8, 64


def an_archive(folder: Path, cines: int) -> None:
    """Write small cines of speckle into a folder, a hundred in each folder below it."""
    random = np.random.default_rng(0)
    for number in range(cines):
        place = folder / f"study{number // 100:03d}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.rayleigh(60, (FRAMES, SIDE, SIDE)).clip(0, 255).astype(np.uint8)
        write_image(UltrasoundImage(pixels, "TYX"), place / f"cine{number:04d}.nrrd")


def timed(source: Path, destination: Path, method: Method, count: int, engine: str) -> tuple[float, float, float]:
    """Run an archive; returns the seconds of the start of the workers, of the rest, and of this process's CPU."""
    seconds_to_start = 0.0

    def start(items: int) -> Workers:
        nonlocal seconds_to_start
        started = time.perf_counter()
        workers: Workers
        if engine == "ray":
            from Speckle2SelfLogic.archive.ray_workers import Cluster, RayWorkers

            workers = RayWorkers(method, min(count, items), Cluster())
        else:
            workers = LocalWorkers(method, min(count, items))
        seconds_to_start = time.perf_counter() - started
        return workers

    started, processor_started = time.perf_counter(), time.process_time()
    rows = list(run_archive(Archive(str(source), str(destination), method), start))
    total, processor = time.perf_counter() - started, time.process_time() - processor_started
    failed = [row for row in rows if row.status != "done"]
    if failed:
        message = f"{len(failed)} cines failed, the first with: {failed[0].reason}"
        raise RuntimeError(message)
    return seconds_to_start, total - seconds_to_start, processor


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How a run over an archive grows.")
    parser.add_argument("--cines", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", default="median")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {arguments.model}, {arguments.engine}")
    console.print(
        "| cines | workers | start, s | run, s | cines a second | throughput to the first | ms of the giver a cine |"
    )
    console.print("|---|---|---|---|---|---|---|")
    for cines in arguments.cines:
        folder = Path(tempfile.mkdtemp(prefix="speckle2self-archives-", dir=arguments.folder))
        try:
            an_archive(folder / "in", cines)
            first = 0.0
            for count in arguments.workers:
                begin, run, own = timed(
                    folder / "in", folder / f"out{count}", Method(arguments.model), count, arguments.engine
                )
                first = first or run
                row = (
                    cines,
                    count,
                    f"{begin:.1f}",
                    f"{run:.1f}",
                    f"{cines / run:.1f}",
                    f"{first / run:.2f}",
                    f"{1000 * own / cines:.1f}",
                )
                console.print(f"| {' | '.join(map(str, row))} |")
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
