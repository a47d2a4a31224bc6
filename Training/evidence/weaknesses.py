"""What ours is worse at: every set and figure where another method has the better mean, and frames that show it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from Training.evidence.figures import INFOS
from Training.evidence.sheets import busiest_window, picture_sheet
from Training.evidence.statistics import paired_test, summary
from Training.evidence.stored import Evidence, slug
from Training.evidence.tables import NOT_RANKED, markdown, spelled

JUDGED = (
    "psnr_after_scale_db",
    "ssim_after_scale",
    "lpips_after_scale",
    "homogeneity",
    "gcnr",
    "edge_rise_px",
    "flat_snr",
    "gcnr_below",
    "gcnr_muscle",
    "snr_below",
    "snr_muscle",
    "far_wall_px",
    "truth_brightness_bias",
    "local_brightness_bias",
    "black_share",
    "static_change_ratio",
)
VISIBLE = JUDGED[: JUDGED.index("truth_brightness_bias")]
"""Figures whose losses can be seen in a picture."""
SHOWN = 4


@dataclass(frozen=True)
class Weakness:
    """One figure on one set where a rival is better."""

    data: str
    figure: str
    ours: float
    rival: str
    theirs: float
    p: float
    count: int
    worst_item: str
    """Frame with the largest loss against that rival."""
    loss_in_spreads: float
    """Mean loss over the standard deviation of the rival's figure over images, to order losses of different figures."""


def weaknesses(evidence: Evidence) -> list[Weakness]:
    """Return all of them, in the order of sets and figures. Published outputs count as rivals, the input does not."""
    found = []
    for data in [*evidence.sets("simulated"), *evidence.sets("published"), *evidence.sets("real")]:
        for figure in JUDGED:
            if figure == "local_brightness_bias" and data["kind"] == "simulated":
                continue  # the truth itself differs from the speckled frame there; it has a figure of its own
            weakness = _weakness(evidence, data["name"], figure)
            if weakness is not None:
                found.append(weakness)
    return found


def _weakness(evidence: Evidence, data: str, figure: str) -> Weakness | None:
    methods = [m for m in evidence.methods(data) if m.method not in NOT_RANKED]
    own = next((m.values(figure) for m in methods if m.method == evidence.ours), {})
    sign = 1 if INFOS[figure].better == "higher" else -1
    worst: tuple[float, str, dict[str, float]] | None = None
    for method in methods:
        theirs = method.values(figure)
        test = paired_test(theirs, own)
        if method.method == evidence.ours or test is None:
            continue
        loss = sign * test.mean_difference
        if (
            loss > 0
            and spelled(figure, test.mean_difference) != spelled(figure, 0.0)
            and (not worst or loss > worst[0])
        ):
            worst = (loss, method.method, theirs)
    if worst is None:
        return None
    loss, rival, theirs = worst
    shared = sorted(own.keys() & theirs.keys())
    test = paired_test(own, theirs)
    mine, other = summary([own[i] for i in shared]), summary([theirs[i] for i in shared])
    assert test is not None and mine is not None and other is not None  # noqa: S101, PT018 - shared is not empty
    item = max(shared, key=lambda i: sign * (theirs[i] - own[i]))
    spread = max(other.spread, 1e-6)
    return Weakness(data, figure, mine.mean, rival, other.mean, test.p, test.count, item, loss / spread)


def weaknesses_section(evidence: Evidence, figures: Path, outside: Path) -> str:
    """Return the section with one table, and sheets of the frames with the largest losses in different sets.

    Sheets of an earlier section, which may have shown other losses, are removed.
    """
    for earlier in (*figures.glob("worse-*.png"), *outside.glob("worse-*.png")):
        earlier.unlink()
    found = weaknesses(evidence)
    heading = f"## 5. What {evidence.ours} is worse at\n"
    if not any(m.method == evidence.ours for m in evidence.measured):
        return f"{heading}\nNot measured yet.\n"
    if not found:
        return f"{heading}\nOn every set and figure of the tables above it has the best mean.\n"
    rows = [
        [
            w.data,
            INFOS[w.figure].title,
            spelled(w.figure, w.ours),
            w.rival,
            spelled(w.figure, w.theirs),
            f"{w.p:.2g}",
            str(w.count),
        ]
        for w in found
    ]
    text = (
        f"{heading}\n{evidence.command}\nEvery set and figure where another method has the better mean, with the best "
        "such method. Means over the images that both have; p of Wilcoxon's signed-rank test, not corrected. A method "
        "that changes little is best at brightness and black pixels for that alone.\n\n"
        + markdown(["Set", "Figure", evidence.ours, "Better", "its mean", "p", "n"], rows)
    )
    restricted = {data["name"] for data in evidence.plan["data"] if data["kind"] == "published"}
    restricted |= {data["name"] for data in evidence.sets("real") if not data.get("source")}
    shown = [
        *_to_show([w for w in found if w.data not in restricted]),
        *_to_show([w for w in found if w.data in restricted]),
    ]
    for weakness in shown:
        panels = evidence.panels(weakness.data, weakness.worst_item, [evidence.ours, weakness.rival])
        if len(panels) < 3:
            continue
        name = f"worse-{slug(weakness.data)}-{weakness.figure}.png"
        title = f"{weakness.data}, {weakness.worst_item}: largest loss of {INFOS[weakness.figure].title}"
        is_restricted = weakness.data in restricted
        picture_sheet(
            panels, (outside if is_restricted else figures) / name, window=busiest_window(panels[1][1]), title=title
        )
        if not is_restricted:
            text += f"\n![{title}](figures/{name})\n{_source(evidence, weakness.data)}"
    return text


def _source(evidence: Evidence, data: str) -> str:
    source = next((d.get("source") for d in evidence.sets("real") if d["name"] == data), "")
    return f"\nFrame: {source}.\n" if source else ""


def _to_show(found: list[Weakness]) -> list[Weakness]:
    """Return the largest losses, one for each set."""
    largest: dict[str, Weakness] = {}
    for weakness in sorted((w for w in found if w.figure in VISIBLE), key=lambda w: w.loss_in_spreads, reverse=True):
        largest.setdefault(weakness.data, weakness)
    return list(largest.values())[:SHOWN]
