"""The table of figures: numbers written alike along a row, and the best of each row marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

DASH = "\N{EN DASH}"
"""Stands for a value that was not measured."""


class FigureDescription(Protocol):
    """What the page says about one metric; `better` decides whether a best value is marked."""

    @property
    def title(self) -> str:
        """Name as shown."""

    @property
    def unit(self) -> str:
        """Unit, or an empty text."""

    @property
    def better(self) -> Literal["higher", "lower", "neither"]:
        """Direction of a better value."""

    @property
    def definition(self) -> str:
        """What is measured and how, with the source."""


@dataclass(frozen=True)
class Cell:
    """One number as text; `multiple` says how many times the fastest a time is."""

    text: str
    is_best: bool = False
    multiple: str = ""


@dataclass(frozen=True)
class Row:
    """One figure of every column; `info` is None where nobody described the figure."""

    name: str
    info: FigureDescription | None
    cells: tuple[Cell, ...]


def time_cells(seconds: Sequence[float]) -> tuple[Cell, ...]:
    """Spell times in ms and as multiples of the shortest; one that is not positive and finite becomes a dash."""
    valid = [s for s in seconds if math.isfinite(s) and s > 0]
    shortest = min(valid, default=None)
    cells = []
    for s in seconds:
        if shortest is None or s not in valid:
            cells.append(Cell(DASH))
            continue
        ratio = s / shortest
        text = f"{_spelled(1000 * s, _three_digits(1000 * s))} ms"
        cells.append(
            Cell(text, s == shortest and len(valid) > 1, f"{_spelled(ratio, '.1f' if ratio < 10 else '.0f')}×")
        )
    return tuple(cells)


def figure_rows(
    columns: Sequence[Mapping[str, float | None]], infos: Mapping[str, FigureDescription]
) -> tuple[Row, ...]:
    """Arrange figures as rows in the order of ``infos``, then those without a description.

    A figure that nobody could measure gets no row (see `unmeasured`).

    Parameters
    ----------
    columns
        Metric name to value: first the input, which is never the best, then each method.
    infos
        Metric name to description. A metric that no column names is left out.
    """
    measured = [name for name in _names(columns, infos) if not _is_unknown(name, columns)]
    rows = []
    for name in measured:
        info = infos.get(name)
        values = [figures.get(name) for figures in columns]
        rows.append(Row(name, info, _cells(values, info.better if info else "neither")))
    return tuple(rows)


def unmeasured(
    columns: Sequence[Mapping[str, float | None]], infos: Mapping[str, FigureDescription]
) -> tuple[str, ...]:
    """Name the figures that have no value in any column, by title and unit."""
    names = [name for name in _names(columns, infos) if _is_unknown(name, columns)]
    known = [(name, infos.get(name)) for name in names]
    return tuple(name if info is None else " in ".join(filter(None, (info.title, info.unit))) for name, info in known)


def _names(columns: Sequence[Mapping[str, float | None]], infos: Mapping[str, FigureDescription]) -> list[str]:
    given = dict.fromkeys(name for figures in columns for name in figures)
    return [*(name for name in infos if name in given), *(name for name in given if name not in infos)]


def _is_unknown(name: str, columns: Sequence[Mapping[str, float | None]]) -> bool:
    values = [figures.get(name) for figures in columns]
    return all(value is None or math.isnan(value) for value in values)


def _cells(values: Sequence[float | None], better: str) -> tuple[Cell, ...]:
    """Spell one row alike; best are the values that read like the best one, if that is at most half of them."""
    known = [None if value is None or math.isnan(value) else float(value) for value in values]
    largest = max((abs(value) for value in known if value is not None and math.isfinite(value)), default=0.0)
    style = _row_style(largest)
    texts = [DASH if value is None else _spelled(value, style) for value in known]
    rivals = [value for value in known[1:] if value is not None]
    best = None
    if better != "neither" and rivals:
        best = _spelled(max(rivals) if better == "higher" else min(rivals), style)
        if 2 * sum(_spelled(value, style) == best for value in rivals) > len(rivals):
            best = None
    return tuple(Cell(text, column > 0 and text == best) for column, text in enumerate(texts))


def _row_style(largest: float) -> str:
    """Format with three significant digits of a largest value below 1, four from there on, at most 4 decimals."""
    if largest == 0:
        return ".2f"
    if not 1e-4 <= largest < 1e7:
        return ".2e"
    power = math.floor(math.log10(largest))
    return f".{min(4, max(0, (3 if power >= 0 else 2) - power))}f"


def _three_digits(value: float) -> str:
    return f".{max(0, 2 - math.floor(math.log10(value)))}f"


def _spelled(value: float, style: str) -> str:
    if math.isinf(value):
        text = "∞" if value > 0 else "-∞"
    else:
        text = f"{value:{style}}"
        if float(text) == 0:
            text = text.removeprefix("-")
    return text.replace("-", "\N{MINUS SIGN}")
