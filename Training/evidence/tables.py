"""Markdown tables of stored rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from Training.evidence.figures import INFOS
from Training.evidence.methods import INPUT, TRUTH
from Training.evidence.rows import Measured
from Training.evidence.statistics import holm, paired_test, summary

DASH = "\N{EN DASH}"
NOT_RANKED = (INPUT, TRUTH)
TIME = "time"
"""Column of the time as a multiple of the yardstick's."""


def spelled(figure: str, value: float | None, *, signed: bool = False) -> str:
    """Spell a value: decibels with two decimals, everything else with three."""
    if value is None:
        return DASH
    decimals = 2 if INFOS.get(figure) is not None and INFOS[figure].unit in ("dB", "px") else 3
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text.lstrip("-+")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: the first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def title_of(figure: str) -> str:
    """Return the head of a column: name, unit, and an arrow toward better values."""
    if figure == TIME:
        return "Time ↓"
    info = INFOS[figure]
    arrow = {"higher": " ↑", "lower": " ↓", "neither": ""}[info.better]
    return f"{info.title}{f' ({info.unit})' if info.unit else ''}{arrow}"


def figure_table(methods: Sequence[Measured], figures: Sequence[str], *, with_spread: bool = True) -> str:
    """Return methods by figures, each ``mean ± standard deviation`` over images; the best mean of a column is bold."""
    present = [figure for figure in figures if any(_means(method, figure) for method in methods)]
    best = {figure: best_of(methods, figure) for figure in present}
    rows = []
    for method in methods:
        count = len(method.rows)
        cells = []
        for figure in present:
            found = _means(method, figure)
            text = DASH if found is None else _time(found.mean) if figure == TIME else spelled(figure, found.mean)
            if found is not None and with_spread and figure != TIME and found.count > 1:
                text += f" ± {spelled(figure, found.spread)}"
            cells.append(f"**{text}**" if method.method in best[figure] else text)
        rows.append([method.method, str(count), *cells])
    return markdown(["Method", "n", *map(title_of, present)], rows)


def best_of(methods: Sequence[Measured], figure: str) -> set[str]:
    """Return the methods with the best mean as it is spelled; none where a figure has no better direction."""
    better = "lower" if figure == TIME else INFOS[figure].better
    means = {m.method: found.mean for m in methods if m.method not in NOT_RANKED and (found := _means(m, figure))}
    if better == "neither" or len(means) < 2:
        return set()
    target = (max if better == "higher" else min)(means.values())
    return {name for name, mean in means.items() if spelled(figure, mean) == spelled(figure, target)}


def _means(method: Measured, figure: str):  # noqa: ANN202 - Summary or None
    values = method.time_ratios() if figure == TIME else list(method.values(figure).values())
    return summary(values)


def _time(ratio: float) -> str:
    return f"{ratio:.{0 if ratio >= 10 else 1 if ratio >= 1 else 2}f}×"


def test_table(ours: str, by_set: Mapping[str, Sequence[Measured]], figure: str) -> str:
    """Return rivals by sets: mean of ours minus the rival's, with p of the paired test after Holm's correction.

    The family of a correction is one figure on one set, over all rivals. ``*`` marks p below .05.
    """
    rivals = list(
        dict.fromkeys(m.method for methods in by_set.values() for m in methods if m.method not in (*NOT_RANKED, ours))
    )
    cells: dict[str, dict[str, str]] = {rival: {} for rival in rivals}
    for data, methods in by_set.items():
        own = next((m for m in methods if m.method == ours), None)
        tests = {m.method: paired_test(own.values(figure), m.values(figure)) for m in methods if own is not None}
        known = {name: test for name, test in tests.items() if test is not None and name in cells}
        for (name, test), p in zip(known.items(), holm([test.p for test in known.values()]), strict=True):
            mark = "*" if p < 0.05 else ""
            cells[name][data] = f"{spelled(figure, test.mean_difference, signed=True)}{mark} ({_p(p)}, n {test.count})"
    rows = [[rival, *(cells[rival].get(data, DASH) for data in by_set)] for rival in rivals if cells[rival]]
    if not rows:
        return ""
    return markdown([f"Ours minus, {title_of(figure)}", *by_set], rows)


def _p(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p {p:.3f}".replace("0.", ".", 1)


def definitions(figures: Sequence[str]) -> str:
    """Return one line for each figure: what it is."""
    return "".join(f"- **{INFOS[figure].title}**: {INFOS[figure].definition}\n" for figure in figures)
