"""A whole comparison from a plan to a report, for the command line and for MONAI's bundle commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from Training.segmentation.plan import read_plan
from Training.segmentation.running import Comparison, Watcher
from Training.segmentation.writing import REPORT, write_findings, write_page


@dataclass(frozen=True)
class Compared:
    """Where the report is, and what it says."""

    report: Path
    sentences: tuple[str, ...]


def compare(
    config: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    threads: int = 1,
    report_only: bool = False,
    docs: str | Path | None = None,
    watch: Watcher = lambda *_: None,
) -> Compared:
    """Run what a plan asks for, or go on, and write ``report.html``, ``segmentation.csv`` and figures into ``out``.

    With ``docs`` the same goes as ``segmentation.md``, with CSV and figures, into a folder of documents.

    Raises
    ------
    SettingsError
        If plan or data are wrong, or a person would be in training and test; nothing is trained then.
    CancelledError
        If it was stopped; the same call goes on.
    """
    plan = read_plan(Path(config), None if data is None else Path(data))
    comparison = Comparison(plan, Path(out), device, threads)
    scored = comparison.stored() if report_only else comparison.run(watch)
    found = write_findings(comparison, scored)
    if docs is not None:
        write_page(comparison, found, Path(docs))
    return Compared(comparison.out / REPORT, found.sentences)
