import json

import numpy as np
import pytest
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.filters import FILTERS
from Testing.training.evidence_folders import write_plan, write_real, write_simulated
from Training.evidence import measuring
from Training.evidence.figures import Meter
from Training.evidence.frames import items_of, read_grey
from Training.evidence.measuring import Measuring
from Training.evidence.plan import read_plan
from Training.evidence.rows import output_path, read_output, read_rows, rows_path

DATA = [{"name": "S-I", "kind": "simulated", "folder": "sim"}]
METHODS = [{"name": "Median", "filter": "median"}, {"name": "Lee", "filter": "lee", "is_ours": True}]


@pytest.fixture
def a_simulated_folder(tmp_path):
    return write_simulated(tmp_path / "sim")


@pytest.fixture
def calls(monkeypatch):
    """Names of methods in the order in which they are run on frames."""
    made, run = [], measuring.despeckled

    def counted(method, item, data):
        made.append(f"{method.name} {item.name}")
        return run(method, item, data)

    monkeypatch.setattr(measuring, "despeckled", counted)
    return made


def measured(tmp_path, data=DATA, methods=METHODS, folders=("sim",), **rest):
    plan = write_plan(tmp_path / "plan.yaml", data, methods, yardstick="median", timed=0, **rest)
    chosen = read_plan(plan, {name: tmp_path / name for name in folders})
    return Measuring(chosen, tmp_path / "out", Meter()).run()


@pytest.mark.usefixtures("a_simulated_folder")
def test_nothing_is_measured_twice(tmp_path, calls):
    assert measured(tmp_path) == 8  # input, truth and two methods on two frames
    assert sorted(calls) == ["lee 0000", "lee 0001", "median 0000", "median 0001"]
    calls.clear()
    assert measured(tmp_path) == 0
    assert calls == []


@pytest.mark.usefixtures("a_simulated_folder")
def test_a_new_method_is_measured_and_the_others_are_kept(tmp_path, calls):
    measured(tmp_path)
    calls.clear()
    assert measured(tmp_path, methods=[*METHODS, {"name": "TV", "filter": "tv"}]) == 2
    assert calls == ["tv 0000", "tv 0001"]


def test_a_changed_frame_is_measured_again_by_every_method(a_simulated_folder, tmp_path, calls):
    measured(tmp_path)
    calls.clear()
    path = a_simulated_folder / "S-I" / "test" / "0001_speckled.png"
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert measured(tmp_path) == 4
    assert calls == ["median 0001", "lee 0001"]


@pytest.mark.usefixtures("calls")
def test_a_changed_truth_is_measured_again(a_simulated_folder, tmp_path):
    measured(tmp_path)
    path = a_simulated_folder / "S-I" / "test" / "0000_truth.png"
    Image.fromarray(np.uint16(np.asarray(Image.open(path)) // 2)).save(path)
    assert measured(tmp_path) == 4


@pytest.mark.usefixtures("a_simulated_folder")
def test_changed_settings_are_measured_again(tmp_path, calls):
    measured(tmp_path)
    calls.clear()
    changed = [{**METHODS[0], "parameters": {"window_px": 7}}, METHODS[1]]
    assert "window_px" in FILTERS["median"].parameters
    assert measured(tmp_path, methods=changed) == 2
    assert calls == ["median 0000", "median 0001"]


def test_changed_weights_are_measured_again(tmp_path):
    weights = tmp_path / "net.pt"
    entries = []
    for content in (b"first", b"second"):
        weights.write_bytes(content)
        plan = write_plan(tmp_path / "plan.yaml", DATA, [{"name": "net", "model": str(weights)}])
        entries.append(read_plan(plan, {"sim": tmp_path}).methods[0].fingerprint())
    assert entries[0] != entries[1]


@pytest.mark.usefixtures("a_simulated_folder")
def test_a_run_that_was_stopped_goes_on_where_it_stopped(tmp_path, monkeypatch):
    despeckled, done = measuring.despeckled, []

    def stopping(method, item, data):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(f"{method.name} {item.name}")
        return despeckled(method, item, data)

    monkeypatch.setattr(measuring, "despeckled", stopping)
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path)
    monkeypatch.setattr(
        measuring, "despeckled", lambda m, i, d: done.append(f"{m.name} {i.name}") or despeckled(m, i, d)
    )
    assert measured(tmp_path) == 1
    assert done == ["median 0000", "median 0001", "lee 0000", "lee 0001"]


def test_rows_hold_what_the_method_answered(a_simulated_folder, tmp_path):
    measured(tmp_path)
    rows = read_rows(rows_path(tmp_path / "out", "S-I", "Median"))
    item = next(items_of([a_simulated_folder / "S-I" / "test" / "0000_speckled.png"]))
    output = np.clip(FILTERS["median"].despeckle(item.frames_nyx), 0, 1)
    assert rows.rows[0].figures == pytest.approx(Meter().figures(item, output), nan_ok=True)
    assert rows.rows[0].seconds_per_frame > 0
    stored = read_output(output_path(tmp_path / "out", "S-I", "Median", "0000"))
    np.testing.assert_allclose(stored, output[0], atol=0.5 / 255 + 1e-6)


@pytest.mark.usefixtures("a_simulated_folder")
def test_slow_methods_are_measured_on_fewer_frames(tmp_path, calls):
    measured(tmp_path, methods=[{**METHODS[0], "frames": 1}, METHODS[1]])
    assert sorted(calls) == ["lee 0000", "lee 0001", "median 0000"]


def test_the_yardstick_runs_beside_each_method_on_the_same_frames(a_simulated_folder, tmp_path):
    plan = write_plan(tmp_path / "plan.yaml", DATA, METHODS, yardstick="lee", timed=1)
    Measuring(read_plan(plan, {"sim": a_simulated_folder}), tmp_path / "out", Meter()).run()
    rows = read_rows(rows_path(tmp_path / "out", "S-I", "Median"))
    assert [row.yardstick_seconds_per_frame is not None for row in rows.rows] == [True, False]
    assert len(rows.time_ratios()) == 1


def test_real_frames_keep_what_lies_outside_the_sector(tmp_path):
    folder = write_real(tmp_path / "real")
    frame = np.asarray(Image.open(folder / "frame0.png")).copy()
    frame[:, :12] = 0
    Image.fromarray(frame).save(folder / "frame0.png")
    data = [{"name": "Real", "kind": "real", "folder": "real", "pattern": "*.png"}]
    measured(tmp_path, data, METHODS, ("real",))
    stored = read_output(output_path(tmp_path / "out", "Real", "Median", "frame0"))
    assert (stored[:, :10] == 0).all()
    figures = read_rows(rows_path(tmp_path / "out", "Real", "Median")).rows[0].figures
    assert "ssim" not in figures
    assert figures["homogeneity"] > 0


@pytest.mark.usefixtures("a_simulated_folder")
def test_the_plan_as_it_is_stored_names_no_folder_of_this_machine(tmp_path):
    measured(tmp_path)
    text = (tmp_path / "out" / "plan.json").read_text()
    assert str(tmp_path) not in text
    assert "--folder sim=SIM" in json.loads(text)["command"]


@pytest.mark.usefixtures("a_simulated_folder")
def test_runs_of_a_study_are_measured_beside_the_plan_that_the_folder_has(tmp_path):
    measured(tmp_path, methods=METHODS[:1])
    plan = (tmp_path / "out" / "plan.json").read_text()
    chosen = read_plan(write_plan(tmp_path / "study.yaml", DATA, METHODS[1:], timed=0), {"sim": tmp_path / "sim"})
    assert Measuring(chosen, tmp_path / "out", Meter(), keeps_plan=True).run() == 2
    assert (tmp_path / "out" / "plan.json").read_text() == plan


def test_listed_files_are_measured_and_no_others(tmp_path):
    write_real(tmp_path / "real", 3)
    data = [{"name": "listed", "kind": "real", "files": ["frame2.png"]}]
    assert measured(tmp_path, data, METHODS[:1], ("real",)) == 2  # input and method
    assert [row.item for row in read_rows(rows_path(tmp_path / "out", "listed", "Input")).rows] == ["frame2"]


def test_a_16_bit_truth_stands_for_its_whole_range(a_simulated_folder):
    truth = read_grey(a_simulated_folder / "S-I" / "test" / "0000_truth.png")
    assert np.unique(truth) == pytest.approx([0.25, 0.6], abs=1e-4)


def test_a_cine_gives_its_middle_frames(tmp_path):
    np.save(tmp_path / "cine.npy", np.arange(7, dtype=np.uint8)[:, None, None] * np.ones((7, 16, 16), np.uint8) * 10)
    item = next(items_of([tmp_path / "cine.npy"], most_frames=3))
    assert len(np.unique(item.frames_nyx.mean((1, 2)))) == 3
    assert item.frames_nyx.shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("data", "methods", "sentence"),
    [
        (DATA, [], "no method"),
        ([], METHODS, "no data set"),
        (DATA, [*METHODS, METHODS[0]], "two methods named 'Median'"),
        ([{**DATA[0], "kind": "synthetic"}], METHODS, "must be of the kind simulated, real, published"),
        ([{**DATA[0], "spilt": "test"}], METHODS, "unknown key 'spilt'"),
        ([{**DATA[0], "folder": "elsewhere"}], METHODS, "give it as --folder elsewhere=PATH"),
        (DATA, [{"name": "Median", "filter": "median", "strength": 1}], "unknown key 'strength'"),
        (DATA, [{"name": "Median", "filter": "median", "tuned": "no.json"}], "tuned settings .* cannot be read"),
        (DATA, [{"name": "Median"}], "needs a name and one of filter, model, run, per_image"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_in_one_sentence(data, methods, sentence, tmp_path):
    with pytest.raises(SettingsError, match=sentence):
        read_plan(write_plan(tmp_path / "plan.yaml", data, methods), {"sim": tmp_path})


@pytest.mark.usefixtures("a_simulated_folder")
def test_a_misspelt_setting_is_found_before_the_first_frame(tmp_path, calls):
    with pytest.raises(SettingsError, match="no parameter 'windo'"):
        measured(tmp_path, methods=[METHODS[0], {"name": "Lee", "filter": "lee", "parameters": {"windo": 3}}])
    assert calls == []


def test_tuned_settings_come_from_their_file_and_are_left_out_where_it_has_none(tmp_path):
    (tmp_path / "tuned.json").write_text(json.dumps({"median": {"window_px": 7}}))
    methods = [
        {"name": f"{name} (tuned)", "filter": name, "tuned": str(tmp_path / "tuned.json")} for name in ("median", "lee")
    ]
    plan = read_plan(write_plan(tmp_path / "plan.yaml", DATA, methods), {"sim": tmp_path})
    assert [(m.name, dict(m.parameters)) for m in plan.methods] == [("median (tuned)", {"window_px": 7})]


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "sim" / "S-I" / "test").mkdir(parents=True)
    with pytest.raises(SettingsError, match="has no image that matches"):
        measured(tmp_path)


def test_of_a_known_real_set_only_the_subjects_of_the_test_are_taken(tmp_path):
    from Training.datasets.splits import split_frames

    folder = tmp_path / "real" / "muscle_ge_logiq_e9"
    folder.mkdir(parents=True)
    for subject in range(1, 5):
        Image.fromarray(np.full((40, 40), 90, np.uint8)).save(folder / f"S{subject}_L20_step_025.png")
    data = [{"name": "Muscle", "kind": "real", "folder": "real", "real_set": "muscle_ge_logiq_e9"}]
    plan = read_plan(write_plan(tmp_path / "plan.yaml", data, METHODS), {"real": tmp_path / "real"})
    expected = [frame.path.stem for frame in split_frames(tmp_path / "real")["test"]]
    assert 0 < len(expected) < 4
    assert [item.name for item in plan.data[0].items()] == expected
    assert "CC0" in plan.data[0].source


def test_frames_of_several_folders_keep_apart_in_one_set(tmp_path):
    for name in ("a-one", "a-two"):
        write_simulated(tmp_path / "sim", name)
    data = [{**DATA[0], "name": "pooled", "pattern": "a-*/test/*_speckled.png"}]
    plan = read_plan(write_plan(tmp_path / "plan.yaml", data, METHODS), {"sim": tmp_path / "sim"})
    items = list(plan.data[0].items())
    assert [item.name for item in items] == ["a-one 0000", "a-one 0001", "a-two 0000", "a-two 0001"]
    assert all(item.truth_yx is not None for item in items)
