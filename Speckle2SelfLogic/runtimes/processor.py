"""The processor that this process runs on: its name, and how many threads make it fast without fighting over cores."""

from __future__ import annotations

import functools
import os
import platform
import sys
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@functools.cache
def processor_name() -> str:
    """Return the processor as its maker calls it, or what the system knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    model = facts.get("model name") or platform.processor() or platform.machine()
    place = "/".join(facts[key] for key in ("cpu family", "model", "stepping") if key in facts)
    return f"{model} ({place})" if place else model


def physical_cores() -> int:
    """Return the number of cores that this process may use, each counted once, however many threads it offers.

    Linux: the cores among the processors that the process is bound to, and no more than the quota of its control group.
    Elsewhere as psutil counts, and without it every logical processor.
    """
    logical = _allowed()
    cores = {_siblings(number) for number in logical} if sys.platform == "linux" else set(range(_counted()))
    return max(1, min(len(cores), _quota()))


def _allowed() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _siblings(number: int) -> str:
    """Return what all threads of one core share, or the number itself if the system does not say."""
    try:
        return (_TOPOLOGY / f"cpu{number}" / "topology" / "thread_siblings_list").read_text(encoding="ascii")
    except OSError:
        return str(number)


def _quota() -> int:
    """Return the whole processors that a control group of Linux grants (``max`` or ``quota period``)."""
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return os.cpu_count() or 1


def _counted() -> int:
    try:
        import psutil
    except ImportError:
        return os.cpu_count() or 1
    return int(psutil.cpu_count(logical=False) or os.cpu_count() or 1)
