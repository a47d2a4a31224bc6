"""The parts of the results that compare trainings of ours: frames of a new device, and what each choice is worth.

Both read a JSON file that says which method of the measurements belongs to which run:

    {"command": "...", "runs": [{"device": "GE Logiq E9", "set": "Muscle", "frames": 4, "method": "GE, 4 frames"}]}
    {"command": "...", "baseline": "ours", "runs": [{"question": "L1 or L2", "overlay": "l2.yaml", "method": "L2"}]}

A run may bring ``figures`` of its own instead of a method that was measured, with ``n``, the number of frames that they
are the mean of; and a device may have several curves, told apart by ``recipe``. `Training.studies` writes both files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Training.evidence.charts import curves_chart
from Training.evidence.rows import Row
from Training.evidence.statistics import paired_test
from Training.evidence.stored import Evidence
from Training.evidence.tables import DASH, markdown, spelled, title_of

CURVES = ("ssim_after_scale", "homogeneity", "flat_snr", "local_brightness_bias", "residual_structure")
ABLATIONS = ("ssim_after_scale", "psnr_after_scale_db", "lpips_after_scale", "homogeneity", "edge_rise_px")
OPTIONAL = {"recipe": "Method", "n": "n"}


def read_runs(path: Path) -> Mapping[str, Any]:
    """Read a file of runs.

    Raises
    ------
    SettingsError
        If it is no JSON object with a list ``runs``.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"The runs '{path}' cannot be read: {error}."
        raise SettingsError(message) from error
    if not isinstance(content, dict) or not isinstance(content.get("runs"), list):
        message = f"'{path}' must hold an object with a list 'runs'."
        raise SettingsError(message)
    return content


def methods_of(*runs: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the methods that have tables of their own; the baseline of an ablation stays in the others too."""
    return frozenset(
        str(run["method"])
        for content in runs
        if content
        for run in content["runs"]
        if "method" in run and run["method"] != content.get("baseline")
    )


def curves_section(evidence: Evidence, runs: Mapping[str, Any] | None, figures: Path) -> str:
    """Return the section on a device that was left out: zero-shot, then fine-tuned on a few of its frames."""
    heading = "## 3. A new device: zero-shot and fine-tuned\n"
    if not runs or not runs["runs"]:
        return f"{heading}\nNot measured yet.\n"
    curves: dict[str, dict[str, dict[int, list[float]]]] = {}
    rows = []
    optional = {key: title for key, title in OPTIONAL.items() if any(key in run for run in runs["runs"])}
    for run in runs["runs"]:
        values = _figures(evidence, run, [str(run.get("set", ""))])
        named = [str(run["device"]), *(str(run.get(key, DASH)) for key in optional), str(run["frames"])]
        rows.append([*named, *(spelled(f, values.get(f)) for f in CURVES)])
        curve = ", ".join(str(run[key]) for key in ("device", "recipe") if key in run)
        for figure in CURVES:
            if values.get(figure) is not None:
                of_device = curves.setdefault(figure, {}).setdefault(curve, {})
                of_device.setdefault(int(run["frames"]), []).append(float(values[figure]))  # type: ignore[arg-type]
    used = [n for n, figure in enumerate(CURVES) if figure in curves]
    first = 2 + len(optional)
    rows = [[*row[:first], *(row[first + n] for n in used)] for row in rows]
    text = f"{heading}\n{_command(runs)}{runs.get('note', '')}\n\n"
    text += markdown(["Device left out", *optional.values(), "Frames", *(title_of(CURVES[n]) for n in used)], rows)
    if curves:
        curves_chart({f: curves[f] for f in CURVES if f in curves}, figures / "devices.png")
        text += "\n![Figures over the number of frames of the left-out device](figures/devices.png)\n"
    return text


def ablations_section(evidence: Evidence, runs: Mapping[str, Any] | None) -> str:
    """Return the section on choices of the training: means over simulated sets, and the change from the baseline."""
    heading = "## 4. Ablations\n"
    if not runs or not runs["runs"]:
        return f"{heading}\nNot measured yet.\n"
    sets = [str(name) for name in runs.get("sets") or [data["name"] for data in evidence.sets("simulated")]]
    baseline = runs.get("baseline")
    text = f"{heading}\n{_command(runs)}{runs.get('note', '')}\n\nMeans over the images of {', '.join(sets)}."
    if baseline:
        text += (
            f" The change is that of the scale-fitted SSIM from *{baseline}* on the same images, with p of Wilcoxon's "
            "signed-rank test (not corrected)."
        )
    rows = []
    for run in runs["runs"]:
        values = _figures(evidence, run, sets)
        cells = [
            str(run["question"]),
            f"`{run['overlay']}`" if run.get("overlay") else DASH,
            str(run.get("method", DASH)),
        ]
        cells += [spelled(figure, values.get(figure)) for figure in ABLATIONS]
        rows.append([*cells, _change(evidence, run, baseline, sets)])
    table = markdown(["Question", "Overlay", "Run", *map(title_of, ABLATIONS), "Change of SSIM"], rows)
    return f"{text}\n\n{table}{_claims(runs)}"


def _claims(runs: Mapping[str, Any]) -> str:
    return "".join(f"\n- {claim}" for claim in runs.get("conclusions", [])) + "\n"


def _command(runs: Mapping[str, Any]) -> str:
    return f"Trained by `{runs['command']}`.\n" if runs.get("command") else ""


def _figures(evidence: Evidence, run: Mapping[str, Any], sets: list[str]) -> dict[str, float | None]:
    if "figures" in run:
        return dict(run["figures"])
    found = (evidence.of(data, str(run.get("method"))) for data in sets)
    return {**mean_figures(row for measured in found if measured for row in measured.rows)}


def mean_figures(rows: Iterable[Row]) -> dict[str, float]:
    """Return the mean of each figure over the rows that have it."""
    pooled: dict[str, list[float]] = {}
    for row in rows:
        for figure, value in row.figures.items():
            if value is not None:
                pooled.setdefault(figure, []).append(value)
    return {figure: float(np.mean(values)) for figure, values in pooled.items()}


def _change(evidence: Evidence, run: Mapping[str, Any], baseline: str | None, sets: list[str]) -> str:
    if not baseline or run.get("method") == baseline:
        return DASH
    values: list[dict[str, float]] = []
    for method in (str(run.get("method")), baseline):
        found = {data: evidence.of(data, method) for data in sets}
        values.append({f"{d}/{i}": v for d, m in found.items() if m for i, v in m.values("ssim_after_scale").items()})
    test = paired_test(*values)
    if test is None:
        return DASH
    return f"{spelled('ssim_after_scale', test.mean_difference, signed=True)} (p {test.p:.2g}, n {test.count})"
