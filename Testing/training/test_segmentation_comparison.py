"""Two-step trainings on fabricated frames, from a plan to a report."""

import csv
import json
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage
from typer.testing import CliRunner

from Speckle2SelfLogic.cli import _add_commands, app
from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Testing.training.segmentation_data import set_plan, small_plan, write_set
from Training.bundle import open_workflow, run_workflow
from Training.checkpoints import latest_checkpoint, steps_done
from Training.segmentation.cells import OWN, SWAPPED, UNSEEN, Cell
from Training.segmentation.compare import compare
from Training.segmentation.pictures import picture_items, write_items
from Training.segmentation.plan import MethodPlan, read_plan
from Training.segmentation.prepared import Preparer, label_picture
from Training.segmentation.running import Comparison
from Training.segmentation.scores import label_scores

PLAN = {
    "side_px": 32,
    "steps": 2,
    "batch": 2,
    "folds": 2,
    "few_shot": [2, "all"],
    "methods": ["original", "median"],
    "data": [
        {"name": "discs", "images": "set/images", "masks": "set/masks", "subject": r"(P\d+)_", "labels": {"lumen": 1}},
        {
            "name": "others", "images": "more/images", "masks": "more/masks", "subject": "unknown", "unseen": True,
            "labels": {"lumen": 9}, "spacing_mm": [0.1, 0.1],
        },
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def a_plan_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    write_set(folder / "set")
    write_set(folder / "more", subjects=1, each=1, value=9)
    frame = folder / "more" / "images" / "P0_0.png"
    frame.rename(frame.with_name("x.png"))
    (folder / "more" / "masks" / "P0_0.png").rename(folder / "more" / "masks" / "x.png")
    _brighten(folder / "more" / "images" / "x.png")
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    return folder / "plan.yaml"


def _brighten(path):
    from PIL import Image

    pixels = np.asarray(Image.open(path))
    Image.fromarray(np.minimum(pixels, 240) + 5).save(path)


@pytest.fixture(scope="module")
def a_comparison(a_plan_file):
    out = a_plan_file.parent / "out"
    return compare(a_plan_file, out), out


def rows_of(out):
    with (out / "segmentation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_network_is_tested_on_its_own_on_other_and_on_unseen_images(a_comparison):
    _, out = a_comparison
    found = {(row["test"], row["images"], row["training_images"], row["data"]) for row in rows_of(out)}
    expected = {(OWN, method, size, "discs") for method in ("original", "median") for size in ("2", "all")}
    expected |= {(SWAPPED, "median", size, "discs") for size in ("2", "all")}
    expected |= {(UNSEEN, method, "all", "others") for method in ("original", "median")}
    assert found == expected


def test_every_subject_has_a_line_and_distances_have_their_unit(a_comparison):
    rows = rows_of(a_comparison[1])
    own = [row for row in rows if (row["test"], row["images"], row["training_images"]) == (OWN, "median", "all")]
    assert sorted(row["subject"] for row in own) == [f"discs/P{person}" for person in range(4)]
    assert {row["frames"] for row in own} == {"2"}
    assert {row["unit"] for row in rows if row["data"] == "discs"} == {"px"}
    assert {row["unit"] for row in rows if row["data"] == "others"} == {"mm"}


def test_the_report_says_how_many_subjects_and_that_they_are_too_few(a_comparison):
    found, out = a_comparison
    page = (out / "report.html").read_text()
    assert "n = 4 subjects" in page
    assert "no difference can be told from chance" in page
    assert "Research use only" in page
    assert "http" not in page.replace("http-equiv", "")
    assert any("n = 4 subjects" in sentence for sentence in found.sentences)
    assert page.count("data:image/png;base64,") == 2  # every subject's line, and scores by training size


def test_a_finished_comparison_trains_nothing_again(a_comparison, a_plan_file, monkeypatch):
    monkeypatch.setattr(Comparison, "_train", lambda *_: pytest.fail("trained again"))
    assert compare(a_plan_file, a_comparison[1]).sentences == a_comparison[0].sentences


def test_a_cell_that_was_cut_off_is_made_again_to_the_same_scores(a_comparison, a_plan_file):
    out = a_comparison[1]
    comparison = Comparison(read_plan(a_plan_file), out)
    path = Cell("discs", "original", 0, 0).path(out)
    before = json.loads(path.read_text())["rows"]
    path.write_text(path.read_text()[:100])
    assert len(comparison.stored()) == len(comparison.cells) - 1
    comparison.run()
    assert json.loads(path.read_text())["rows"] == before


def test_another_budget_makes_cells_anew(a_comparison, a_plan_file):
    changed = a_plan_file.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump({**PLAN, "steps": 3}))
    assert Comparison(read_plan(changed), a_comparison[1]).stored() == []


def test_a_changed_mask_makes_cells_anew(tmp_path):
    plan = small_plan(set_plan(write_set(tmp_path / "set")))
    before = Comparison(plan, tmp_path / "out")._fingerprint(Cell("discs", "original", 0, 0))
    write_set(tmp_path / "set", value=1, each=1)
    (tmp_path / "set" / "masks" / "P0_0.png").write_bytes((tmp_path / "set" / "masks" / "P1_0.png").read_bytes())
    assert Comparison(plan, tmp_path / "out")._fingerprint(Cell("discs", "original", 0, 0)) != before


def test_the_same_pictures_under_another_method_give_the_same_network(tmp_path):
    """Seeds, initial weights, order of pictures and augmentation depend on nothing but the fold."""
    methods = (MethodPlan("original"), MethodPlan("again", "median"), MethodPlan("median", "median"))
    plan = small_plan(set_plan(write_set(tmp_path / "set", each=1)), methods=methods)
    scored = Comparison(plan, tmp_path / "out").run()
    by_method = {each.cell.method: each.rows for each in scored if each.cell.fold == 0}
    figures = {name: [row.figures for row in rows if row.test == OWN] for name, rows in by_method.items()}
    assert figures["again"] == figures["median"]
    assert figures["original"] != figures["median"]


def test_a_stopped_run_keeps_what_is_finished_and_goes_on(tmp_path):
    comparison = Comparison(small_plan(set_plan(write_set(tmp_path / "set", each=1))), tmp_path / "out")
    seen = []
    with pytest.raises(CancelledError, match="the same command goes on"):
        comparison.run(lambda *told: seen.append(told), lambda: len(comparison.stored()) == 2)
    assert len(comparison.stored()) == 2
    assert len(comparison.run()) == len(comparison.cells) == 4


def test_ctrl_c_ends_a_network_after_its_step_and_the_run_goes_on_from_there(tmp_path):
    plan = small_plan(set_plan(write_set(tmp_path / "set", each=1)), steps=40_000)
    comparison = Comparison(plan, tmp_path / "out")

    def interrupt_when_training():
        while not list((tmp_path / "out").glob("runs/*/run.json")):
            time.sleep(0.02)
        time.sleep(0.3)
        signal.raise_signal(signal.SIGTERM)

    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    thread = threading.Thread(target=interrupt_when_training)
    thread.start()
    try:
        with pytest.raises((CancelledError, KeyboardInterrupt)) as stopped:
            comparison.run()
    finally:
        thread.join()
        signal.signal(signal.SIGTERM, earlier)
    assert comparison.stored() == []
    if stopped.type is CancelledError:
        checkpoints = next((tmp_path / "out" / "runs").glob("*/checkpoints"))
        assert steps_done(latest_checkpoint(checkpoints)) > 0


def test_a_network_that_was_stopped_comes_to_the_same_weights(tmp_path):
    comparison = Comparison(small_plan(set_plan(write_set(tmp_path / "set", each=1))), tmp_path)
    items = [
        {
            "image": str(comparison.preparers["original"].picture(frame)),
            "label": str(label_picture(frame, 32, tmp_path)),
        }
        for frame in comparison.frames["discs"]
    ]
    write_items(tmp_path / "pictures.json", {"train": items})

    def weights(run, epochs):
        workflow = open_workflow(
            ["segment"], pictures=str(tmp_path / "pictures.json"), output_dir=str(tmp_path / run), epochs=epochs,
            epoch_length=2, steps=4, batch=2, is_quiet=True, device="$torch.device('cpu')",
        )  # fmt: skip
        run_workflow(workflow)
        return workflow.parser.get_parsed_content("average").ema_model.state_dict()

    whole = weights("whole", 2)
    weights("parts", 1)
    parts = weights("parts", 2)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_despeckled_images_are_kept_by_content_and_method(tmp_path):
    comparison = Comparison(small_plan(set_plan(write_set(tmp_path / "set"))), tmp_path / "out")
    frame, other = comparison.frames["discs"][:2]
    median, original = (comparison.preparers[name] for name in ("median", "original"))
    path = median.picture(frame)
    stamp = path.stat().st_mtime_ns
    again = Preparer(MethodPlan("median", "median"), 32, tmp_path / "out" / "cache")
    assert again.picture(frame) == path
    assert path.stat().st_mtime_ns == stamp
    assert len({path, original.picture(frame), median.picture(other)}) == 3
    larger = Preparer(MethodPlan("median", "median"), 64, tmp_path / "out" / "cache")
    assert larger.picture(frame) != path


def test_a_method_is_the_same_in_another_process(tmp_path):
    """Else a run that goes on would make everything anew."""
    plan = MethodPlan("nlm", "nlm")
    here = Preparer(plan, 32, tmp_path).checksum()
    script = (
        "from pathlib import Path; from Training.segmentation.prepared import Preparer; "
        "from Training.segmentation.plan import MethodPlan; plan = MethodPlan('nlm', 'nlm'); "
        "print(Preparer(plan, 32, Path()).checksum())"
    )
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == here
    assert "search_radius_px" in here


def test_few_images_are_the_beginning_of_all(tmp_path):
    plan = small_plan(set_plan(write_set(tmp_path / "set")), few_shot=(1, 3))
    comparison = Comparison(plan, tmp_path / "out")
    few, more, everything = (comparison.training_items(Cell("discs", "median", 1, count)) for count in (1, 3, 0))
    assert few == more[:1]
    assert more == everything[:3]
    assert len(everything) == 4


def test_the_command_prints_what_was_found(a_comparison, a_plan_file):
    _add_commands()
    ran = CliRunner().invoke(app, ["segment-compare", str(a_plan_file), "--out", str(a_comparison[1]), "--report-only"])
    assert ran.exit_code == 0, ran.output
    assert "n = 4 subjects" in ran.output


def test_the_page_for_the_documents_has_table_figures_and_command(a_comparison, a_plan_file, tmp_path):
    compare(a_plan_file, a_comparison[1], report_only=True, docs=tmp_path)
    page = (tmp_path / "segmentation.md").read_text()
    assert "speckle2self segment-compare" in page
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert pictures
    assert all((tmp_path / name).is_file() for name in pictures)
    assert (tmp_path / "segmentation.csv").read_text() == (a_comparison[1] / "segmentation.csv").read_text()


def test_the_workflow_of_the_bundle_does_the_same(a_comparison, a_plan_file):
    out = a_comparison[1]
    (out / "report.html").unlink()
    run_workflow(open_workflow(["segment_compare"], plan=str(a_plan_file), output_dir=str(out)))
    assert (out / "report.html").is_file()


def test_a_training_meets_what_monai_asks_of_a_bundle(a_plan_file, tmp_path):
    comparison = Comparison(read_plan(a_plan_file), tmp_path)
    preparer, frames = comparison.preparers["original"], comparison.frames["discs"][:2]
    items = [{"image": str(preparer.picture(frame)), "label": str(preparer.picture(frame))} for frame in frames]
    write_items(tmp_path / "pictures.json", {"train": items, "validate": items})
    workflow = open_workflow(["segment"], pictures=str(tmp_path / "pictures.json"), output_dir=str(tmp_path / "run"))
    assert workflow.check_properties() == []


def test_a_list_of_pictures_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "x.json").write_text('{"train": [{"image": 3}]}')
    with pytest.raises(SettingsError, match="no list of prepared pictures"):
        picture_items(tmp_path / "x.json", "train")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stepps": 3}, "unknown stepps"),
        ({"methods": ["median"]}, "first is 'original'"),
        ({"methods": ["original", "original"]}, "used twice"),
        ({"folds": 1}, "2 folds or more"),
        ({"few_shot": ["many"]}, "few_shot must be numbers"),
        ({"data": ["nowhere"]}, "no known data set 'nowhere'"),
        ({"data": []}, "list that is not empty"),
        ({"data": [{"name": "a", "subject": "P", "labels": {"lumen": 1}}]}, "needs a group in parentheses"),
        ({"data": [{"name": "a", "subject": "(", "labels": {"lumen": 1}}]}, "no regular expression"),
        ({"data": [{"name": "a", "subject": "file", "labels": {}}]}, "needs 'labels'"),
        ({"data": [{"name": "a", "subject": "file", "labels": {"x": 1}, "layout": "heap"}]}, "layout of 'a'"),
        ({"data": [{"subject": "file", "labels": {"x": 1}}]}, "not complete"),
    ],
)
def test_a_plan_that_is_wrong_is_one_sentence(change, said, tmp_path):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({**PLAN, **change}))
    with pytest.raises(SettingsError, match=said):
        read_plan(tmp_path / "plan.yaml")


def test_a_plan_that_is_no_yaml_is_one_sentence(tmp_path):
    (tmp_path / "plan.yaml").write_text("a: [")
    with pytest.raises(SettingsError, match="is no YAML"):
        read_plan(tmp_path / "plan.yaml")


def discs(first=((20, 20), 8), second=((23, 21), 9), shape=(48, 44)):
    y, x = np.indices(shape)
    return [(np.hypot(y - cy, x - cx) < radius).astype(np.uint8) for (cy, cx), radius in (first, second)]


def surface(mask):
    return mask.astype(bool) & ~ndimage.binary_erosion(mask.astype(bool))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.1, 0.35)])
def test_scores_agree_with_scipy(spacing):
    first, second = discs()
    scores = label_scores(first, second, 1, spacing)
    both, either = (first & second).sum(), (first | second).sum()
    assert scores["dice"] == pytest.approx(2 * both / (first.sum() + second.sum()))
    assert scores["iou"] == pytest.approx(both / either)
    to_first, to_second = (ndimage.distance_transform_edt(~surface(mask), sampling=spacing) for mask in (first, second))
    there, back = to_second[surface(first)], to_first[surface(second)]
    assert scores["assd"] == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)
    assert scores["hd95"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)


def test_masks_at_the_border_are_scored_as_in_the_middle():
    border, middle = (label_scores(*discs(*pair), 1) for pair in (
        (((0, 0), 8), ((0, 2), 9)), (((0, 0), 8), ((0, 2), 9))
    ))  # fmt: skip
    assert border == middle
    assert border["hd95"] is not None


def test_what_was_not_found_has_no_distance_and_what_is_not_there_has_no_score():
    disc, nothing = discs()[0], np.zeros((48, 44), np.uint8)
    assert label_scores(nothing, disc, 1) == {"dice": 0.0, "iou": 0.0, "hd95": None, "assd": None}
    assert set(label_scores(disc, nothing, 1).values()) == {None}
