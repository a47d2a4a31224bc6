"""The part of the results on real frames, where there is no truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from Training.evidence.methods import INPUT
from Training.evidence.sheets import busiest_window, picture_sheet
from Training.evidence.stored import Evidence, slug
from Training.evidence.tables import TIME, definitions, figure_table, markdown, spelled, test_table, title_of

NO_REFERENCE = (
    "homogeneity",
    "flat_snr",
    "local_brightness_bias",
    "black_share",
    "residual_structure",
    "brightness_flicker",
    "static_change_ratio",
    TIME,
)
PUBLISHED = (
    "homogeneity",
    "gcnr_below",
    "gcnr_muscle",
    "snr_below",
    "snr_muscle",
    "far_wall_px",
    "local_brightness_bias",
    "residual_structure",
    "black_share",
)
TARGETS: Mapping[str, tuple[str, float]] = {
    "homogeneity": (">=", 0.68),
    "gcnr_muscle": (">=", 0.75),
    "snr_below": (">=", 7.6),
    "snr_muscle": (">=", 4.5),
    "far_wall_px": ("<=", 3.7),
    "local_brightness_bias": ("<=", 0.02),
    "black_share": ("<=", 0.0),
}
"""What the default weights have to reach on the published frames, all at once."""


def real_section(evidence: Evidence, figures: Path, outside: Path) -> str:
    """Return the section; pictures of frames that must not be passed on go into ``outside`` instead of ``figures``."""
    parts = ["## 2. Real frames\n", evidence.command]
    for data in evidence.sets("published"):
        parts += _published(evidence, data["name"], outside)
    real = evidence.sets("real")
    if real:
        parts.append(
            "Every frame is despeckled as `speckle2self denoise` does it (8 bit, outside the sector unchanged). "
            "There is no truth: smoother is not better by itself, so read each figure beside the others and the "
            "pictures.\n\n" + definitions([name for name in NO_REFERENCE if name != TIME])
        )
    for data in real:
        parts += [f"### {data['name']}\n", f"{data['description']}\n" if data.get("description") else ""]
        parts.append(figure_table(evidence.methods(data["name"]), NO_REFERENCE))
        parts += _pictures(evidence, data, figures)
    if real:
        by_set = {data["name"]: evidence.methods(data["name"]) for data in real}
        parts.append("### Paired tests on real frames\n\nAs above. Frames of one subject are not independent.\n")
        parts += [test_table(evidence.ours, by_set, figure) for figure in ("homogeneity", "flat_snr")]
    return "\n".join(parts) if len(parts) > 2 else ""


def _published(evidence: Evidence, data: str, outside: Path) -> list[str]:
    methods = evidence.methods(data)
    medians = {
        m.method: {f: float(np.median(list(v.values()))) if (v := m.values(f)) else None for f in PUBLISHED}
        for m in methods
    }
    rows = [[name, *(spelled(figure, values[figure]) for figure in PUBLISHED)] for name, values in medians.items()]
    parts = [
        f"### {data}\n",
        "Six in-vivo carotid frames from the project page of Li, Navab and Jiang (2025), beside the outputs shown "
        "there (*their output*). Medians over the frames; every output has the mean of its input. The pictures are "
        "their authors' property and not shown here. None of the methods run here was trained on them.\n\n"
        + definitions([name for name in PUBLISHED if name.startswith(("gcnr_", "snr_", "far"))]),
        markdown(["Method", *map(title_of, PUBLISHED)], rows),
    ]
    if evidence.ours in medians:
        parts.append(_targets(medians[evidence.ours], evidence.ours))
    for row in methods[0].rows:
        panels = evidence.panels(data, row.item)
        picture_sheet(
            panels, outside / f"{slug(data)}-{row.item}.png", window=busiest_window(panels[0][1]), title=row.item
        )
    return parts


def _targets(own: Mapping[str, float | None], name: str) -> str:
    rows = []
    for figure, (sign, limit) in TARGETS.items():
        value = own[figure]
        # Rounded as it is shown, so that the verdict never contradicts the number beside it.
        shown = None if value is None else round(value, 2 if figure == "far_wall_px" else 3)
        reached = shown is not None and (shown >= limit if sign == ">=" else shown <= limit)
        rows.append(
            [
                title_of(figure),
                f"{sign.replace('>=', '≥').replace('<=', '≤')} {limit:g}",
                spelled(figure, value),
                "yes" if reached else "no",
            ]
        )
    count = sum(row[-1] == "yes" for row in rows)
    return f"Targets for {name}: {count} of {len(rows)} reached.\n\n" + markdown(
        ["Figure", "Target", name, "Reached"], rows
    )


def _pictures(evidence: Evidence, data: Mapping[str, object], figures: Path) -> list[str]:
    name, source = str(data["name"]), str(data.get("source") or "")
    if not source:
        return []
    inputs = evidence.of(name, INPUT)
    parts = []
    for number, row in enumerate(inputs.rows[: int(str(data.get("pictures", 1)))] if inputs else ()):
        panels = evidence.panels(name, row.item)
        target = f"{slug(name)}-{number + 1}.png"
        picture_sheet(panels, figures / target, window=busiest_window(panels[0][1]), title=f"{name}, {row.item}")
        parts.append(f"![{name}: input and methods, with an enlarged detail](figures/{target})\n\nFrame: {source}.\n")
    return parts
