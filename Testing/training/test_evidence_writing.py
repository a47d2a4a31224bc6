import json

import numpy as np
import pytest
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Testing.training.evidence_folders import store
from Training.evidence.sheets import busiest_window, picture_sheet
from Training.evidence.stored import read_evidence
from Training.evidence.studies_section import curves_section
from Training.evidence.tables import figure_table, test_table
from Training.evidence.weaknesses import weaknesses
from Training.evidence.writing import detail_section, write_results

test_table.__test__ = False

SSIM = {
    "Input": {"ssim_after_scale": [0.3, 0.4, 0.5], "homogeneity": [0.2, 0.2, 0.2]},
    "Truth": {"ssim_after_scale": [1.0, 1.0, 1.0], "homogeneity": [0.9, 0.9, 0.9]},
    "ours": {"ssim_after_scale": [0.81, 0.82, 0.86], "homogeneity": [0.61, 0.62, 0.66]},
    "SRAD": {"ssim_after_scale": [0.7, 0.72, 0.71], "homogeneity": [0.7, 0.69, 0.71]},
}


@pytest.fixture
def a_folder(tmp_path):
    return store(tmp_path / "out", {"S-I": SSIM})


@pytest.fixture(scope="module")
def some_docs(tmp_path_factory):
    """Results of the folder above, written once."""
    folder = tmp_path_factory.mktemp("evidence")
    return write_results(store(folder / "out", {"S-I": SSIM}), folder / "docs").parent


def test_results_hold_the_numbers_of_the_rows(some_docs):
    text = (some_docs / "results.md").read_text()
    assert "| ours | 3 | **0.830 ± 0.026** |" in text
    assert "| SRAD | 3 | 0.710 ± 0.010 |" in text
    assert "+0.120 (p .250, n 3)" in text  # ours minus SRAD; three differences of one sign have p 2 / 2^3
    assert "python -m Training.evidence measure plan.yaml --out FOLDER" in text
    assert "software 1" in text


def test_every_picture_that_the_results_name_is_there(some_docs):
    text = (some_docs / "results.md").read_text()
    named = [part.split(")")[0] for part in text.split("](figures/")[1:]]
    assert {"ssim.png", "s-i-1.png"} <= set(named)
    for name in named:
        path = some_docs / "figures" / name
        assert path.stat().st_size < 400_000
        Image.open(path).verify()


def test_writing_the_same_rows_again_gives_the_same_files(some_docs, a_folder, tmp_path):
    """And nothing of an earlier writing stays that the results no longer show."""
    stale = tmp_path / "docs" / "figures" / "worse-s-i-bias.png"
    stale.parent.mkdir(parents=True)
    stale.touch()
    again = write_results(a_folder, tmp_path / "docs").parent
    for path in (path for path in some_docs.rglob("*") if path.is_file()):
        assert (again / path.relative_to(some_docs)).read_bytes() == path.read_bytes(), path.name
    assert not stale.exists()


def test_the_best_mean_is_bold_and_input_and_truth_are_not_ranked(a_folder):
    table = figure_table(read_evidence(a_folder).methods("S-I"), ["homogeneity"])
    assert "**0.700 ± 0.010**" in table
    assert table.count("**") == 2


def test_time_is_given_as_a_multiple_of_the_yardstick(a_folder):
    assert "2.0×" in figure_table(read_evidence(a_folder).methods("S-I"), ["homogeneity", "time"])


def test_holm_is_applied_over_the_rivals_of_a_column(tmp_path):
    values = {
        name: {"homogeneity": [0.1 * n + shift for n in range(6)]}
        for name, shift in (("ours", 0.3), ("a", 0.1), ("b", 0.2))
    }
    evidence = read_evidence(store(tmp_path, {"S-I": values}))
    text = test_table("ours", {"S-I": evidence.methods("S-I")}, "homogeneity")
    assert text.count("(p .062, n 6)") == 2  # 2 / 2^6 = .03125, times two rivals


def test_where_a_rival_is_better_it_is_listed_with_the_worst_frame(some_docs, a_folder):
    (found,) = weaknesses(read_evidence(a_folder))
    assert (found.data, found.figure, found.rival, found.worst_item) == ("S-I", "homogeneity", "SRAD", "0000")
    text = (some_docs / "results.md").read_text()
    assert "| S-I | GLCM homogeneity | 0.630 | SRAD | 0.700 |" in text
    assert (some_docs / "figures" / "worse-s-i-homogeneity.png").is_file()


def test_pictures_of_frames_without_a_source_stay_out_of_the_documents(tmp_path):
    values = {name: {"homogeneity": figures["homogeneity"]} for name, figures in SSIM.items() if name != "Truth"}
    folder = store(tmp_path / "out", {"Secret": values}, kind="real")
    text = write_results(folder, tmp_path / "docs").read_text()
    assert "](figures/" not in text
    assert not list((tmp_path / "docs").glob("figures/*secret*"))
    folder = store(tmp_path / "open", {"Open": values}, kind="real", source="CC0, somebody")
    text = write_results(folder, tmp_path / "docs2").read_text()
    assert "](figures/open-1.png)\n\nFrame: CC0, somebody." in text


def test_published_frames_give_medians_and_targets_but_no_picture(tmp_path):
    figures = ("homogeneity", "gcnr_muscle", "snr_below", "snr_muscle", "far_wall_px", "local_brightness_bias")
    ours = {name: [0.5, 0.7, 9.0] for name in figures} | {"black_share": [0.0, 0.0, 0.1]}
    folder = store(tmp_path / "out", {"Published": {"Input": ours, "ours": ours}}, kind="published")
    text = write_results(folder, tmp_path / "docs").read_text()
    assert "| GLCM homogeneity ↑ | ≥ 0.68 | 0.700 | yes |" in text
    assert "| SNR muscle ↑ | ≥ 4.5 | 0.700 | no |" in text
    assert "Targets for ours: 3 of 7 reached." in text  # homogeneity, far wall, black
    assert not (tmp_path / "docs" / "figures").exists()
    assert len(list((folder / "not-for-publication").glob("*.png"))) == 3


def test_curves_over_frames_of_a_new_device_are_drawn_from_the_rows(tmp_path):
    values = {name: {"homogeneity": [level, level]} for name, level in (("ours", 0.8), ("zero", 0.5), ("four", 0.6))}
    folder = store(tmp_path / "out", {"Muscle": values}, kind="real")
    runs = [
        {"device": "GE", "set": "Muscle", "frames": 0, "method": "zero"},
        {"device": "GE", "set": "Muscle", "frames": 4, "method": "four"},
        {"device": "Clarius", "frames": 0, "figures": {"homogeneity": 0.3}},
    ]
    (folder / "curves.json").write_text(json.dumps({"command": "make curves", "runs": runs}))
    text = write_results(folder, tmp_path / "docs").read_text()
    assert "Trained by `make curves`." in text
    assert "| GE | 4 | 0.600 |" in text
    assert "| Clarius | 0 | 0.300 |" in text
    assert (tmp_path / "docs" / "figures" / "devices.png").is_file()
    assert "| zero | 2 |" not in text  # these methods are in no other table


def test_a_device_may_have_a_curve_for_each_recipe_with_the_number_of_its_frames(tmp_path):
    folder = store(tmp_path / "out", {"Muscle": {"ours": {"homogeneity": [0.8]}}}, kind="real")
    runs = [
        {"device": "GE", "recipe": recipe, "frames": count, "n": 12, "figures": {"homogeneity": value}}
        for recipe, count, value in (("Ours", 0, 0.5), ("Ours", 4, 0.6), ("Published", 0, 0.4))
    ]
    section = curves_section(read_evidence(folder), {"runs": runs}, tmp_path)
    assert "| Device left out | Method | n | Frames | GLCM homogeneity ↑ |" in section
    assert "| GE | Ours | 12 | 4 | 0.600 |" in section
    assert "| GE | Published | 12 | 0 | 0.400 |" in section


def test_ablations_are_set_against_their_baseline(tmp_path):
    values = {
        "ours": {"ssim_after_scale": [0.80, 0.90]},
        "L2": {"ssim_after_scale": [0.79, 0.88]},
    }
    folder = store(tmp_path / "out", {"S-I": values})
    runs = [{"question": "L1 or L2", "overlay": "l2.yaml", "method": "L2"}, {"question": "L1 or L2", "method": "ours"}]
    path = tmp_path / "ablations.json"
    path.write_text(json.dumps({"baseline": "ours", "runs": runs, "conclusions": ["L1 it is."]}))
    text = write_results(folder, tmp_path / "docs", ablations=path).read_text()
    assert "| L1 or L2 | `l2.yaml` | L2 | 0.835 |" in text
    assert "\N{MINUS SIGN}0.015 (p 0.5, n 2)" in text
    assert "- L1 it is." in text


def test_detail_checks_are_shown_with_their_bounds(tmp_path, monkeypatch):
    from Training.detail import checks
    from Training.detail.figures import DetailFigure

    monkeypatch.setattr(checks, "detail_rows", lambda: (DetailFigure("spot kept", 0.8),))
    (tmp_path / "detail.json").write_text(json.dumps({"input": {"spot kept": 1.0}, "ours": {"spot kept": 0.7}}))
    text = detail_section(tmp_path / "detail.json")
    assert "| spot kept | ≥ 0.8 | 1.000 | 0.700 ✗ |" in text
    assert "python -m Training.detail ours --data" in text


def test_a_file_of_runs_that_is_none_is_named(a_folder, tmp_path):
    (a_folder / "curves.json").write_text("[]")
    with pytest.raises(SettingsError, match="must hold an object with a list 'runs'"):
        write_results(a_folder, tmp_path / "docs")


def test_a_folder_without_measurements_is_named(tmp_path):
    with pytest.raises(SettingsError, match="holds no measurements"):
        write_results(tmp_path, tmp_path / "docs")


def test_a_plan_without_a_method_of_ours_is_named(tmp_path):
    with pytest.raises(SettingsError, match="marks no method as ours"):
        write_results(store(tmp_path / "out", {"S-I": SSIM}, ours="nobody"), tmp_path / "docs")


def test_the_detail_of_a_sheet_is_where_the_edges_are():
    frame = np.zeros((100, 120))
    frame[60:70, 80:90] = 1
    top, left, side = busiest_window(frame)
    assert side == 30
    assert top < 60 < 70 < top + side
    assert left < 80 < 90 < left + side


def test_a_sheet_is_a_small_picture_with_the_detail_marked(tmp_path):
    frame = np.random.default_rng(0).random((64, 96))
    picture_sheet([("a", frame)] * 6, tmp_path / "sheet.png", window=(5, 6, 20), title="word " * 80)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (230, 159, 0) in {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20)}


def test_nothing_is_claimed_of_ours_before_it_was_measured(tmp_path):
    folder = store(tmp_path / "out", {"S-I": SSIM})
    (folder / "rows" / "S-I" / "ours.json").unlink()
    text = write_results(folder, tmp_path / "docs").read_text()
    assert text.rstrip().endswith("## 5. What ours is worse at\n\nNot measured yet.")
    assert "Ours minus" not in text
