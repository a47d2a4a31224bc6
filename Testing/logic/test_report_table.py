"""The table of figures: numbers that compare at a glance, the best marked, what is missing named."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Speckle2SelfLogic.report_table import Cell, figure_rows, time_cells, unmeasured

DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class AFigure:
    title: str
    unit: str
    better: str
    definition: str


SNR = AFigure("Tissue SNR", "", "higher", "Mean by standard deviation.")
RISE = AFigure("Edge rise", "px", "lower", "Width of an edge.")
MEAN = AFigure("Mean grey", "", "neither", "Mean of the frame.")
FIGURES = {"snr": SNR, "rise": RISE, "mean grey": MEAN}


def texts(cells: Sequence[Cell]) -> list[str]:
    return [("*" if cell.is_best else "") + cell.text for cell in cells]


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (SNR, ["9.000", "1.000", "*3.000", "2.000"]),
        (RISE, ["9.000", "*1.000", "3.000", "2.000"]),
        (MEAN, ["9.000", "1.000", "3.000", "2.000"]),
    ],
)
def test_the_best_method_is_marked_in_the_direction_of_the_figure_and_never_the_input(info, expected):
    columns = [{"x": 9.0}, {"x": 1.0}, {"x": 3.0}, {"x": 2.0}]
    assert texts(figure_rows(columns, {"x": info})[0].cells) == expected


def test_an_input_that_reads_like_the_best_method_is_not_marked():
    columns = [{"x": 3.0}, {"x": 1.0}, {"x": 3.0}]
    assert texts(figure_rows(columns, {"x": SNR})[0].cells) == ["3.000", "1.000", "*3.000"]


def test_values_that_read_alike_share_the_mark():
    columns = [{}, {"x": 0.81234}, {"x": 0.81239}, {"x": 0.7}, {"x": 0.6}]
    assert texts(figure_rows(columns, {"x": SNR})[0].cells) == [DASH, "*0.812", "*0.812", "0.700", "0.600"]


@pytest.mark.parametrize("values", [[4.0], [4.0, 4.0], [4.0, None], [4.0, math.nan], [4.0, 4.0, 3.0]])
def test_nothing_is_marked_where_most_values_are_the_best(values):
    columns = [{}, *({"x": value} for value in values)]
    assert not any(cell.is_best for cell in figure_rows(columns, {"x": SNR})[0].cells)


def test_numbers_of_a_row_have_the_same_decimals_and_a_true_minus():
    columns = [{"x": -0.04}, {"x": 28.3456}, {"x": math.inf}, {"x": None}, {"x": -0.0001}]
    assert texts(figure_rows(columns, {"x": MEAN})[0].cells) == [
        "\N{MINUS SIGN}0.04",
        "28.35",
        "∞",
        DASH,
        "0.00",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12346"), (7.0, "7.000"), (0.0005, "0.0005"), (0.00004, "4.00e\N{MINUS SIGN}05")]
)
def test_a_number_keeps_the_digits_that_matter(value, text):
    assert texts(figure_rows([{}, {"x": value}], {})[0].cells)[1] == text


def test_rows_follow_the_descriptions_and_unknown_figures_come_last():
    columns = [{}, {"new": 1.0, "rise": 2.0, "snr": 3.0}]
    assert [(row.name, row.info) for row in figure_rows(columns, FIGURES)] == [
        ("snr", SNR),
        ("rise", RISE),
        ("new", None),
    ]


def test_a_figure_that_nobody_could_measure_has_no_row_but_is_named():
    columns = [{"rise": None}, {"rise": math.nan, "new": None, "snr": 1.0}]
    assert [row.name for row in figure_rows(columns, FIGURES)] == ["snr"]
    assert unmeasured(columns, FIGURES) == ("Edge rise in px", "new")


@given(st.lists(st.floats(0.001, 1e6), min_size=2, max_size=6))
def test_a_marked_value_is_never_worse_than_an_unmarked_one(values):
    cells = figure_rows([{}, *({"x": value} for value in values)], {"x": SNR})[0].cells[1:]
    marked = [value for value, cell in zip(values, cells, strict=True) if cell.is_best]
    others = [value for value, cell in zip(values, cells, strict=True) if not cell.is_best]
    assert min(marked, default=math.inf) >= max(others, default=-math.inf) or not marked


def test_times_are_in_milliseconds_and_multiples_of_the_fastest():
    cells = time_cells([0.004, 0.0101, 1.2, math.nan, 0.0])
    assert texts(cells) == ["*4.00 ms", "10.1 ms", "1200 ms", DASH, DASH]
    assert [cell.multiple for cell in cells] == ["1.0×", "2.5×", "300×", "", ""]


def test_a_single_method_is_not_called_the_fastest():
    assert not any(cell.is_best for cell in time_cells([0.5, math.nan]))
