"""Simulated vessels whose walls are known to a fraction of a pixel, and the tables made from measuring them."""

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest

from Training.geometry_accuracy import __main__ as command
from Training.geometry_accuracy.masks import measure_masks
from Training.geometry_accuracy.measuring import ORIGINAL, SPECKLE_FREE, AccuracyRow, measure_vessel
from Training.geometry_accuracy.tables import Agreement, markdown, wall_shifts
from Training.geometry_accuracy.vessels import crossing, known_vessel


class Shifted:
    """A "method" that moves the image down by whole pixels, to be found out."""

    name = title = citation = "shifted"

    def __init__(self, rows):
        self.rows = rows

    def despeckle(self, frames_nyx):
        return np.roll(frames_nyx, self.rows, axis=1)


@pytest.mark.parametrize("view", ["transverse", "longitudinal"])
def test_the_known_wall_is_the_one_that_the_scene_was_drawn_with(view):
    vessel = known_vessel(view, 4)
    y, x = np.mgrid[: vessel.lumen_yx.shape[0], : vessel.lumen_yx.shape[1]]
    outside = vessel.outside(y, x)
    assert (vessel.lumen_yx != (outside < 0)).sum() <= 3  # single precision in the scene
    assert (vessel.wall_yx != ((outside >= 0) & (outside < vessel.wall_thickness_px))).sum() <= 6
    for line in vessel.lines:
        assert vessel.outside(*np.array(line.true[1])) == pytest.approx(
            0 if line.structure == "lumen" else vessel.wall_thickness_px, abs=1e-3
        )
        assert math.dist(line.rough[0], line.true[0]) < 5


def test_the_place_where_a_ray_passes_a_surface_is_found():
    def outside(y, x):
        return np.hypot(y - 10, x - 20) - 7.25

    assert crossing(outside, (10.0, 20.0), (0.6, 0.8), 0.0, 50.0) == pytest.approx((10 + 4.35, 20 + 5.8))


@pytest.mark.parametrize("view", ["transverse", "longitudinal"])
def test_masks_of_a_known_vessel_are_measured_within_a_fifth_of_a_pixel(view):
    rows = measure_masks(known_vessel(view, 4))
    assert {row.figure for row in rows} >= {"transverse": {"equivalent_diameter"}, "longitudinal": {"mean_diameter"}}[
        view
    ]
    for row in rows:
        tolerance = 0.75 if row.figure in ("minimum_diameter", "maximum_diameter") else 0.2
        assert row.measured_px == pytest.approx(row.geometry_px, abs=tolerance)


def test_a_method_that_moves_walls_is_found_out_and_moves_them_as_far_as_it_does():
    vessel = known_vessel("longitudinal", 4)
    rows = [row for row in measure_vessel(vessel, {"shifted": Shifted(1)}) if row.structure == "lumen"]
    by_image = {image: [row for row in rows if row.image == image] for image in (ORIGINAL, "shifted", SPECKLE_FREE)}
    for before, after in zip(by_image[ORIGINAL], by_image["shifted"], strict=True):
        assert after.first_shift_px - before.first_shift_px == pytest.approx(-1, abs=0.15)  # down, into the lumen
        assert after.last_shift_px - before.last_shift_px == pytest.approx(1, abs=0.15)
    assert all(row.first_shift_px == row.last_shift_px == 0 for row in by_image[SPECKLE_FREE])


def a_row(image, shift, vessel=0):
    return AccuracyRow(
        "transverse", vessel, "fine", 30.0, 0, "lumen", image, 60.0, 58.0, 58.0 + 2 * shift, shift, shift, 0.4, 1.0, ""
    )


def test_bias_and_limits_of_agreement_are_those_of_bland_and_altman():
    agreement = Agreement.of([1.0, 2.0, 3.0])
    assert (agreement.count, agreement.bias, agreement.sd) == (3, 2.0, 1.0)
    assert agreement.limits == pytest.approx((0.04, 3.96))
    assert Agreement.of([1.0]) is None


@pytest.mark.parametrize(("shift", "verdict"), [(0.05, "px, below 0.1 px"), (-0.3, "px, NOT below 0.1 px")])
def test_the_report_says_whether_walls_stay_where_they_are(shift, verdict):
    rows = [a_row("net", shift + 0.001 * vessel, vessel) for vessel in range(3)]
    assert wall_shifts(rows, "net")[0] == [shift, shift]
    text = markdown(rows, [], "a command", "figure.png")
    assert verdict in text
    assert "a command" in text


def test_the_command_writes_tables_a_figure_and_a_part_for_the_documents(tmp_path, capsys):
    docs = tmp_path / "docs"
    (docs / "figures").mkdir(parents=True)
    (docs / "geometry.md").write_text(f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n", encoding="utf-8")
    command.main([str(tmp_path / "out"), "--vessels", "2", "--model", "median", "--docs", str(docs)])
    assert "median" in capsys.readouterr().out
    page = (docs / "geometry.md").read_text(encoding="utf-8")
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert "figures/geometry_accuracy.png" in page
    assert (docs / "figures" / "geometry_accuracy.png").stat().st_size > 10_000
    rows = list(csv.DictReader((tmp_path / "out" / "accuracy.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 4 * 6 * 3
    assert (tmp_path / "out" / "masks.csv").stat().st_size > 100


@pytest.mark.parametrize("arguments", [["x", "--vessels", "1"], ["x", "--model", "no-such-model"]])
def test_what_cannot_be_measured_is_said(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "error:" in capsys.readouterr().err


PAGE = Path(command.__file__).parent.parent / "docs" / "geometry.md"


@pytest.mark.parametrize("snippet", re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
def test_python_in_the_document_measures_something(snippet, capsys):
    exec(compile(snippet, PAGE.name, "exec"), {})  # noqa: S102
    printed = capsys.readouterr().out
    assert printed.count("±") >= 4
    assert "not measured" not in printed.splitlines()[0]
