"""Which runtime is the fastest here: measured once for each machine, versions, threads and model, then remembered."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from Speckle2SelfLogic.model_card import ModelCard
from Speckle2SelfLogic.runtimes.cache import cache_folder, keep_entry, read_record
from Speckle2SelfLogic.runtimes.engines import (
    OFFERED,
    PRECISIONS,
    RUNTIMES,
    Engine,
    is_installed,
    one_at_a_time,
    runtime_version,
)
from Speckle2SelfLogic.runtimes.gate import ParityError
from Speckle2SelfLogic.runtimes.graph import FORM
from Speckle2SelfLogic.runtimes.preparation import Prepared, prepare
from Speckle2SelfLogic.runtimes.processor import physical_cores, processor_name

SIDE_PX = 256
ROUNDS = 7
WAY = "2"
"""Changes whenever `measure` changes what it finds, so that it measures again."""
Candidate = tuple[str, str]
"""Runtime and precision."""
REFERENCE: Candidate = ("torch", "single")


def candidates(runtime: str, precision: str) -> tuple[Candidate, ...]:
    """Return the runtimes and precisions that a request allows and that are installed, the usually fastest first.

    ``"auto"`` allows every runtime, ``"reduced"`` every precision; single precision is always among the last.
    """
    precisions = tuple(reversed(PRECISIONS)) if precision == "reduced" else (precision,)
    runtimes = [name for name in reversed(RUNTIMES) if runtime in ("auto", name) and is_installed(name)]
    return tuple((name, kind) for kind in precisions for name in runtimes if kind in OFFERED[name])


def choose(card: ModelCard, runtime: str, precision: str, threads: int) -> tuple[Prepared, list[str]]:
    """Return the fastest engine that a request allows, and what was refused on the way, one sentence each.

    If the measurement cannot be remembered, the first that can be used is taken instead of the fastest: what a machine
    computes must not change from run to run.

    Raises
    ------
    ParityError
        If none of them can be used.
    """
    allowed = candidates(runtime, precision)
    if len(allowed) > 1:
        path, key = cache_folder() / "choices.json", _key(card, allowed, threads)
        remembered = _remembered(read_record(path).get(key), allowed)
        if remembered is None and keep_entry(path, "checked", "can be written"):
            ready, refused = _ready(card, allowed, threads)
            engines = {candidate: prepared.engine for candidate, prepared in ready.items()}
            seconds = measure(engines, frames=2 * (threads or physical_cores()))
            remembered = min(seconds, key=lambda candidate: seconds[candidate])
            named = {f"{name} {kind}": round(value, 5) for (name, kind), value in seconds.items()}
            keep_entry(path, key, {"fastest": list(remembered), "seconds": named})
            return ready[remembered], refused
        if remembered is not None:
            allowed = (remembered, *(other for other in allowed if other != remembered))
    refusals: list[str] = []
    for candidate in allowed:
        try:
            return prepare(card, *candidate, threads), refusals
        except ParityError as error:
            refusals.append(str(error))
    raise ParityError(refusals[-1] if refusals else f"No runtime here offers {precision} precision.")


def measure(engines: Mapping[Candidate, Engine], rounds: int = ROUNDS, frames: int = 1) -> dict[Candidate, float]:
    """Return the shortest time of each engine for a frame, in seconds; they take turns, so that load hits all alike.

    So many frames are given at once, as those of a cine are. Each turn starts with a run that does not count: threads
    of the engine before (those of PyTorch for milliseconds) go on looking for work, and keep a processor busy.
    """
    batch = np.random.default_rng(0).random((frames, SIDE_PX, SIDE_PX), np.float32)
    seconds = dict.fromkeys(engines, float("inf"))
    for turn in range(rounds + 1):
        for candidate, engine in engines.items():
            with one_at_a_time:
                engine.run(batch)
                started = time.perf_counter()
                engine.run(batch)
                taken = (time.perf_counter() - started) / frames
            if turn:  # the first prepares
                seconds[candidate] = min(seconds[candidate], taken)
    return seconds


def _ready(
    card: ModelCard, allowed: tuple[Candidate, ...], threads: int
) -> tuple[dict[Candidate, Prepared], list[str]]:
    ready: dict[Candidate, Prepared] = {}
    refused: list[str] = []
    for candidate in allowed:
        try:
            ready[candidate] = prepare(card, *candidate, threads)
        except ParityError as error:
            refused.append(str(error))
    if not ready:
        raise ParityError(refused[-1])
    return ready, refused


def _key(card: ModelCard, allowed: tuple[Candidate, ...], threads: int) -> str:
    versions = {name: runtime_version(name) for name, _ in allowed}
    return " | ".join(
        (
            processor_name(),
            f"{threads or physical_cores()} threads",
            ", ".join(f"{name} {kind} {versions[name]}" for name, kind in allowed),
            card.sha256,
            FORM,
            WAY,
        )
    )


def _remembered(entry: object, allowed: tuple[Candidate, ...]) -> Candidate | None:
    fastest = entry.get("fastest") if isinstance(entry, dict) else None
    return next((candidate for candidate in allowed if list(candidate) == fastest), None)
