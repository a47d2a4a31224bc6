from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Training.datasets import published_frames
from Training.datasets.published_frames import difference_hash, distance_to_published, refuse_test_frames
from Training.datasets.reading import real_items
from Training.datasets.real import REAL_SETS, list_frames
from Training.datasets.splits import leave_out_device, split_frames, split_subjects

SHARED = Path(__file__).parents[3] / "shared"
needs_real_frames = pytest.mark.skipif(
    not (SHARED / "data").is_dir(), reason="no folder of real frames beside the project"
)
needs_published = pytest.mark.skipif(
    not (SHARED / "reference_outputs").is_dir(), reason="no published frames beside the project"
)

NAMES = {
    "cca_transverse_mindray/images": [f"subj{s}_acq0{k}_slice{n}.png" for s in "ABCD" for k in "12" for n in "12"],
    "muscle_ge_logiq_e9": [f"S{s}_{side}20_step_{n}.png" for s in (1, 2, 3, 4, 5, 8) for side in "LR" for n in "123"],
    "fetal_head_hc18/images": [*(f"{n:03d}_HC.png" for n in range(12)), "003_2HC.png", "007_3HC.png"],
    "hip_infant_spj": ["standard_0.png", "standard_10.png"],
    "vessel_nerve_mindray_te7/images": ["0040.png", "0041.png"],
    "carotid_clarius_raw": ["carotid_env_isotropic_0.1mm.png", "carotid_env_prescan.png"],
}


@pytest.fixture
def a_data_folder(tmp_path):
    rng = np.random.default_rng(0)
    for folder, names in NAMES.items():
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            Image.fromarray(rng.integers(0, 256, (24, 24), np.uint8)).save(tmp_path / folder / name)
    return tmp_path


def subjects(frames):
    return {frame.subject for frame in frames}


def assert_no_leak(folder):
    split = split_frames(folder)
    assert sum(map(len, split.values())) == len(list_frames(folder))
    assert all(split.values())
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not subjects(split[one]) & subjects(split[other])
    for device in {frame.device for frame in list_frames(folder)}:
        shift = leave_out_device(folder, device)
        assert all(frame.device != device for frame in (*shift.train, *shift.validation))
        assert all(frame.device == device for frame in (*shift.test, *shift.tuning))
        assert not subjects(shift.tuning) & subjects(shift.test)
        assert not subjects(shift.train) & subjects(shift.validation)


def test_no_subject_is_on_both_sides_of_a_split(a_data_folder):
    assert_no_leak(a_data_folder)


@needs_real_frames
def test_no_subject_of_the_real_listing_is_on_both_sides():
    assert_no_leak(SHARED / "data")
    shift = leave_out_device(SHARED / "data", "GE Logiq E9")
    assert len(shift.few(16)) == 16


def test_further_frames_of_one_pregnancy_are_one_subject(a_data_folder):
    found = {frame.path.name: frame.subject for frame in list_frames(a_data_folder, "fetal_head_hc18")}
    assert found["003_HC.png"] == found["003_2HC.png"] == "fetal_head_hc18/003"


def test_a_set_without_subjects_in_its_names_stays_on_one_side(a_data_folder):
    split = split_frames(a_data_folder, ["vessel_nerve_mindray_te7", "hip_infant_spj", "carotid_clarius_raw"])
    assert [len(split[name]) for name in ("train", "validation", "test")] == [2, 0, 3]


def test_another_set_or_another_frame_moves_nobody(a_data_folder):
    def sides():
        return {frame.subject: name for name, frames in split_frames(a_data_folder).items() for frame in frames}

    before = sides()
    (a_data_folder / "phantom_devices").mkdir()
    for name in ("phantom_devices/interson-1.png", "muscle_ge_logiq_e9/S4_R20_step_900.png"):
        Image.new("L", (8, 8)).save(a_data_folder / name)
    assert {subject: side for subject, side in sides().items() if subject in before} == before


@given(st.sets(st.text(min_size=1, max_size=4), min_size=3, max_size=30))
def test_every_split_has_a_subject_and_most_are_for_training(names):
    sides = list(split_subjects(names).values())
    assert set(sides) == {"train", "validation", "test"}
    assert sides.count("train") >= 0.5 * len(sides) or len(sides) == 3


def test_fewer_frames_to_fine_tune_on_are_among_more_and_show_many_subjects(a_data_folder):
    shift = leave_out_device(a_data_folder, "GE Logiq E9")
    one, four, sixteen = (shift.few(count) for count in (1, 4, 16))
    assert (sixteen[:4], four[:1]) == (four, one)
    assert len(subjects(four)) == 3
    assert len(subjects(shift.test)) == 3
    with pytest.raises(SettingsError, match="1 to 18 frames"):
        shift.few(19)


def test_unknown_sets_devices_names_and_empty_folders_are_named(a_data_folder, tmp_path):
    with pytest.raises(SettingsError, match="no real set 'liver'"):
        real_items(a_data_folder, "train", sets="liver")
    with pytest.raises(SettingsError, match="'Sonoscape' leaves nothing"):
        leave_out_device(a_data_folder, "Sonoscape")
    with pytest.raises(SettingsError, match="no frames of any known set"):
        list_frames(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="no file 'phantom_devices"):
        list_frames(a_data_folder, ["phantom_interson"])
    Image.new("L", (8, 8)).save(a_data_folder / "muscle_ge_logiq_e9" / "copy.png")
    with pytest.raises(SettingsError, match="does not tell its subject"):
        list_frames(a_data_folder)


def test_items_hold_path_set_subject_and_device(a_data_folder):
    (item,) = real_items(str(a_data_folder), "test", "carotid_clarius_raw")
    assert item == {
        "speckled": str(a_data_folder / "carotid_clarius_raw" / "carotid_env_isotropic_0.1mm.png"),
        "set": "carotid_clarius_raw",
        "subject": "carotid_clarius_raw/all",
        "device": "Clarius",
    }


def test_every_set_states_its_licence_and_whom_to_name():
    assert len({real.name for real in REAL_SETS}) == len(REAL_SETS)
    assert all(real.licence and real.attribution and real.device for real in REAL_SETS)


@pytest.fixture
def a_published_frame(monkeypatch):
    y, x = np.mgrid[:64, :64]
    frame = 90 + 60 * np.sin(x / 7 + y / 11) + 40 * np.cos(x / 3 - y / 5)
    monkeypatch.setattr(published_frames, "PUBLISHED", (difference_hash(frame),))
    return frame


@pytest.mark.parametrize("change", ["none", "scaled", "brighter", "mirrored", "jpeg"])
def test_a_published_frame_among_the_training_frames_is_refused(a_data_folder, a_published_frame, change):
    frame = np.clip(a_published_frame * (1.3 if change == "brighter" else 1), 0, 255).astype(np.uint8)
    image = Image.fromarray(frame[:, ::-1] if change == "mirrored" else frame)
    image = image.resize((200, 160)) if change == "scaled" else image
    path = a_data_folder / ("disguised.jpg" if change == "jpeg" else "disguised.png")
    image.save(path)
    with pytest.raises(SettingsError, match=r"disguised.* published test frame"):
        refuse_test_frames([path])
    # It cannot come in under the name of a known set either.
    image.save(a_data_folder / "vessel_nerve_mindray_te7/images/0042.png")
    with pytest.raises(SettingsError, match=r"0042\.png"):
        real_items(a_data_folder, "train")


def test_other_frames_are_not_refused(a_data_folder):
    paths = [frame.path for frame in list_frames(a_data_folder)]
    refuse_test_frames(paths)
    assert min(distance_to_published(np.asarray(Image.open(path), float)) for path in paths) > 60


@needs_published
def test_the_published_inputs_themselves_are_refused():
    for name in ("Input_01.gif", "Input_06.gif"):
        with pytest.raises(SettingsError, match="published test frame"):
            refuse_test_frames([SHARED / "reference_outputs" / name])


@needs_real_frames
def test_no_real_frame_to_learn_from_is_taken_for_a_published_one():
    frames = list_frames(SHARED / "data")[::12]
    assert min(distance_to_published(np.asarray(Image.open(frame.path).convert("F"))) for frame in frames) > 70
