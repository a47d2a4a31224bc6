"""Write `results.md` and its figures from stored measurements alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
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
    """Return the checks of small structures that `Training.detail` wrote, as they are; nothing if there are none.

    Raises
    ------
    SettingsError
        If the file is no JSON object.
    """
    if not path.is_file():
        return ""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"'{path}' is no JSON file: {error}."
        raise SettingsError(message) from error
    command = (
        content.pop("command", "python -m Training.detail FOLDER --json FILE") if isinstance(content, dict) else ""
    )
    return f"## 6. Detail\n\nMeasured by `{command}`.\n\n{_rendered(content, 3)}"


def _rendered(content: object, level: int) -> str:
    """Spell JSON as Markdown: lists of objects and objects of numbers become tables, others get headings."""
    if isinstance(content, list) and content and all(isinstance(entry, dict) for entry in content):
        return _object_table(content)
    if isinstance(content, dict):
        plain = {key: value for key, value in content.items() if not isinstance(value, dict | list)}
        text = _object_table([plain]) if plain else ""
        nested = {key: value for key, value in content.items() if key not in plain}
        if nested and all(isinstance(value, dict) and _is_flat(value) for value in nested.values()):
            return f"{text}\n{_object_table([{'': key, **value} for key, value in nested.items()])}"
        for key, value in nested.items():
            text += f"\n{'#' * min(level, 6)} {key}\n\n{_rendered(value, level + 1)}"
        return text
    return f"{_cell(content)}\n"


def _is_flat(entry: Mapping[str, object]) -> bool:
    return not any(isinstance(value, dict | list) for value in entry.values())


def _object_table(entries: Sequence[Mapping[str, object]]) -> str:
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    return markdown([str(key) for key in keys], [[_cell(entry.get(key)) for key in keys] for entry in entries])


def _cell(value: object) -> str:
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(each)}" for key, each in value.items())
    return str(value).replace("|", "/")
