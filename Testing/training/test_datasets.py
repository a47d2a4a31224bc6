import json

import numpy as np
import pytest
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets.__main__ import main
from Training.datasets.catalogue import SETS
from Training.datasets.manifest import MANIFEST, problems_of, read_manifest
from Training.datasets.plan import FolderPlan
from Training.datasets.reading import simulated_items
from Training.datasets.scene_files import SceneTask, grey_8bit, grey_16bit, simulate_scene
from Training.datasets.writing import unfinished_folder, write_folder

PLAN = FolderPlan(("S-II", "cysts"), train=2, validation=1, test=1, size_px=32, seed=5)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def a_finished_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "sim"
    write_folder(folder, PLAN)
    return folder


@pytest.fixture
def a_folder(tmp_path):
    folder = tmp_path / "sim"
    write_folder(folder, PLAN)
    return folder


def test_every_file_is_as_the_manifest_says(a_finished_folder):
    assert list(problems_of(a_finished_folder)) == []
    manifest = read_manifest(a_finished_folder)
    assert manifest["plan"] == {**PLAN.as_json()}
    assert len(manifest["scenes"]) == 8
    assert manifest["scenes"][0]["scanner"]["axial_psf_px"] >= 0.8
    assert sorted(contents(a_finished_folder)) == sorted(
        [MANIFEST, *(file["path"] for scene in manifest["scenes"] for file in scene["files"].values())]
    )


def test_files_hold_the_scene_that_their_seed_makes(a_finished_folder):
    made = simulate_scene(SceneTask("cysts", "test", 0, PLAN.seed, PLAN.size_px)).frames
    (item,) = simulated_items(a_finished_folder, "cysts", "test")
    speckled, truth = (np.asarray(Image.open(item[kind])) for kind in ("speckled", "truth"))
    np.testing.assert_array_equal(speckled, grey_8bit(made.speckled[0]))
    np.testing.assert_array_equal(truth, grey_16bit(made.truth))
    assert (speckled.dtype, truth.dtype) == (np.uint8, np.uint16)


def test_two_processes_write_the_same_bytes_as_one(a_finished_folder, tmp_path):
    write_folder(tmp_path / "again", PLAN, workers=2)
    assert contents(tmp_path / "again") == contents(a_finished_folder)


def test_a_set_does_not_depend_on_the_sets_and_counts_beside_it(a_finished_folder, tmp_path):
    write_folder(tmp_path / "alone", FolderPlan(("cysts",), train=1, validation=0, test=0, size_px=32, seed=5))
    for name, content in contents(tmp_path / "alone").items():
        assert name == MANIFEST or content == contents(a_finished_folder)[name]


def test_scenes_of_different_splits_sets_numbers_and_seeds_differ():
    tasks = [
        SceneTask("S-II", "train", 0, 0, 32),
        SceneTask("S-II", "test", 0, 0, 32),
        SceneTask("S-II", "train", 1, 0, 32),
    ]
    tasks += [SceneTask("S-II", "train", 0, 1, 32), SceneTask("S-III", "train", 0, 0, 32)]
    frames = [simulate_scene(task).frames.clean for task in tasks]
    assert all((frames[i] != frames[j]).any() for i in range(5) for j in range(i))


def test_a_changed_a_missing_and_a_foreign_file_are_found(a_folder, capsys):
    (a_folder / "S-II/train/0000_truth.png").write_bytes(b"other")
    (a_folder / "S-II/train/0001_second.png").unlink()
    (a_folder / "notes.txt").write_text("mine")
    assert list(problems_of(a_folder)) == [
        "S-II/train/0000_truth.png is not the file that was made: its checksum differs.",
        "S-II/train/0001_second.png is missing.",
        "notes.txt is not in the manifest.",
    ]
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(a_folder)])
    assert stop.value.code == 1
    assert "0000_truth.png" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 1, "scenes": [{}]}', '{"schema": 1}'])
def test_a_damaged_manifest_is_named(a_folder, content):
    (a_folder / MANIFEST).write_text(content)
    with pytest.raises(SettingsError, match="damaged"):
        read_manifest(a_folder)


def test_a_manifest_of_another_schema_and_a_folder_without_one_are_refused(a_folder, tmp_path):
    (a_folder / MANIFEST).write_text(json.dumps({"schema": 99, "scenes": []}))
    with pytest.raises(SettingsError, match="schema 99"):
        read_manifest(a_folder)
    with pytest.raises(SettingsError, match="not a finished folder"):
        simulated_items(tmp_path, None, "train")


class StoppedError(Exception):
    pass


def stop_after(count):
    def progress(done, _):
        if done == count:
            raise StoppedError

    return progress


def test_a_stopped_run_leaves_no_folder_and_goes_on_where_it_was(a_finished_folder, tmp_path):
    folder = tmp_path / "sim"
    with pytest.raises(StoppedError):
        write_folder(folder, PLAN, progress=stop_after(3))
    assert not folder.exists()
    journal = unfinished_folder(folder) / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"set": "S-II", "spl')  # killed in the middle of a line
    (unfinished_folder(folder) / "S-II/train/0001_truth.png").write_bytes(b"half")
    seen = []
    write_folder(folder, PLAN, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(3, 9)]  # two whole scenes were kept
    assert contents(folder) == contents(a_finished_folder)
    assert not unfinished_folder(folder).exists()


def test_an_unfinished_folder_of_another_plan_is_refused(tmp_path):
    with pytest.raises(StoppedError):
        write_folder(tmp_path / "sim", PLAN, progress=stop_after(1))
    with pytest.raises(SettingsError, match="begun with other options"):
        write_folder(tmp_path / "sim", FolderPlan(("S-II",), size_px=32))


def test_a_finished_folder_is_left_as_it_is_and_one_with_other_content_refused(a_finished_folder, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in a_finished_folder.rglob("*")}
    write_folder(a_finished_folder, PLAN)
    assert {path: path.stat().st_mtime_ns for path in a_finished_folder.rglob("*")} == before
    with pytest.raises(SettingsError, match="made with other options"):
        write_folder(a_finished_folder, FolderPlan(("S-II",), size_px=32))
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(SettingsError, match="holds something else"):
        write_folder(tmp_path, PLAN)
    with pytest.raises(SettingsError, match="workers"):
        write_folder(tmp_path / "sim", PLAN, workers=0)


def test_a_folder_that_only_lacked_its_name_is_finished(a_folder):
    content = contents(a_folder)
    a_folder.rename(unfinished_folder(a_folder))
    (unfinished_folder(a_folder) / "plan.json").write_text("left")
    write_folder(a_folder, PLAN)
    assert contents(a_folder) == content


def test_a_foreign_folder_with_the_name_of_an_unfinished_one_is_kept(tmp_path):
    foreign = unfinished_folder(tmp_path / "sim") / "thesis.tex"
    foreign.parent.mkdir()
    foreign.write_text("mine")
    with pytest.raises(SettingsError, match="begun with other options"):
        write_folder(tmp_path / "sim", PLAN)
    assert foreign.read_text() == "mine"


def test_an_empty_folder_may_be_given(tmp_path):
    (tmp_path / "sim").mkdir()
    write_folder(tmp_path / "sim", FolderPlan(("S-II",), train=0, validation=0, test=1, size_px=32))
    assert list(problems_of(tmp_path / "sim")) == []


def test_the_command_writes_and_its_own_check_passes(tmp_path, capsys):
    folder = tmp_path / "sim"
    options = ["--sets", "S-II, muscle", "--train", "1", "--validation", "0", "--test", "0", "--size", "32"]
    for arguments in ([str(folder), *options], ["verify", str(folder)]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
    assert "All files of 2 scenes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--sets", "S-IV"], "no set 'S-IV'"),
        (["--sets", "S-I,S-I"], "each set once"),
        (["--size", "8"], "32 to 2048"),
        (["--seed=-1"], "0 or more"),
        (["--workers", "0"], "1 or more"),
    ],
)
def test_impossible_options_are_named_in_one_sentence(tmp_path, capsys, arguments, part):
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "sim"), *arguments])
    assert stop.value.code == 2
    assert part in capsys.readouterr().err
    assert not (tmp_path / "sim").exists()


def test_items_come_in_the_order_of_the_sets_asked_for(a_finished_folder):
    items = simulated_items(str(a_finished_folder), ["cysts", "S-II"], "train")
    assert [(item["set"], item["number"]) for item in items] == [("cysts", 0), ("cysts", 1), ("S-II", 0), ("S-II", 1)]
    assert simulated_items(a_finished_folder, None, "train")[0]["set"] == "S-II"
    assert items[0]["second"].endswith("0000_second.png")
    with pytest.raises(SettingsError, match="no train scenes of set 'carotid'"):
        simulated_items(a_finished_folder, ["carotid"], "train")
    with pytest.raises(SettingsError, match="no split 'training'"):
        simulated_items(a_finished_folder, None, "training")


def test_the_sets_are_those_that_the_training_asks_for():
    assert set(SETS) == {"S-I", "S-II", "S-III", "carotid", "carotid-longitudinal", "muscle", "thyroid", "cysts"}
