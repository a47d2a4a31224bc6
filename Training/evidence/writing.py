"""Write `results.md` and its figures from stored measurements alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
from Training.detail.figures import DetailFigure
from Training.evidence.real_section import real_section
from Training.evidence.rows import write_whole
from Training.evidence.simulated_section import simulated_section
from Training.evidence.stored import read_evidence
from Training.evidence.studies_section import ablations_section, curves_section, methods_of, read_runs
from Training.evidence.tables import DASH, markdown
from Training.evidence.weaknesses import weaknesses_section

RESULTS, FIGURES, OUTSIDE = "results.md", "figures", "not-for-publication"


def write_results(
    folder: Path,
    docs: Path,
    *,
    curves: Path | None = None,
    ablations: Path | None = None,
    detail: Path | None = None,
) -> Path:
    """Write the results of a folder of measurements into a folder of documents.

    Files that are left out are looked for in the folder of measurements: ``curves.json``, ``ablations.json``,
    ``detail.json``. Pictures of frames that must not be passed on go into ``not-for-publication`` in that folder.

    Raises
    ------
    SettingsError
        If there are no measurements, or a file of runs cannot be read.
    """
    curve_runs, ablation_runs = _runs(folder, "curves.json", curves), _runs(folder, "ablations.json", ablations)
    evidence = read_evidence(folder, methods_of(curve_runs, ablation_runs))
    figures, outside = docs / FIGURES, folder / OUTSIDE
    sections = [
        "# Results\n\nWritten by `python -m Training.evidence write FOLDER --docs Training/docs` from the measurements "
        f"in FOLDER; nothing here is typed by hand. Measured with {evidence.plan['software']}.\n",
        simulated_section(evidence, figures),
        real_section(evidence, figures, outside),
        curves_section(evidence, curve_runs, figures),
        ablations_section(evidence, ablation_runs),
        weaknesses_section(evidence, figures, outside),
        detail_section(detail or folder / "detail.json"),
    ]
    path = docs / RESULTS
    write_whole(path, "\n".join(section.rstrip("\n") + "\n" for section in sections if section))
    return path


def _runs(folder: Path, name: str, given: Path | None) -> Mapping[str, Any] | None:
    path = given or folder / name
    return read_runs(path) if given or path.is_file() else None


def detail_section(path: Path) -> str:
    """Return the checks of small structures that `Training.detail` wrote; nothing if there are none.

    Raises
    ------
    SettingsError
        If the file is no JSON object of methods with their figures.
    """
    if not path.is_file():
        return ""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"'{path}' is no JSON file: {error}."
        raise SettingsError(message) from error
    if not isinstance(content, dict) or not all(isinstance(figures, dict) for figures in content.values()):
        message = f"'{path}' must hold methods with their figures, as 'python -m Training.detail --json' writes them."
        raise SettingsError(message)
    from Training.detail.checks import detail_rows
    from Training.detail.controls import CONTROLS

    known = {row.key: row for row in detail_rows()}
    rows = []
    for key in dict.fromkeys(key for figures in content.values() for key in figures):
        row = known.get(key)
        cells = [_detail_cell(figures.get(key), row) for figures in content.values()]
        rows.append([key, row.requirement.replace(">=", "≥").replace("<=", "≤") if row else "", *cells])
    methods = " ".join(name for name in content if name not in {control.name for control in CONTROLS})
    return (
        f"## 6. Detail and safety\n\nMeasured by `python -m Training.detail {methods} --data REAL --published "
        "PUBLISHED --json FILE`. What misses its bound is marked by ✗. The first columns are controls: the input "
        f"itself and two Gaussian blurs.\n\n{markdown(['Figure', 'Required', *content], rows)}"
    )


def _detail_cell(value: float | None, row: DetailFigure | None) -> str:
    if value is None:
        return DASH
    text = f"{value:.{row.decimals if row else 3}f}".replace("-", "\N{MINUS SIGN}")
    return f"{text} ✗" if row is not None and row.holds(value) is False else text
