"""A user's folder: what is read of it, what is left out and why, and what is held out."""

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from Speckle2SelfLogic.errors import ImageFileError
from Testing.training.tiny import speckled_frame, write_frames
from Training.own_frames import read_folder
from Training.transforms import CutToMultipled, FrameOfNumberd


def write_cine(path, frames, shape_yx=(48, 40)):
    pixels = np.stack([speckled_frame(seed, shape_yx) for seed in range(frames)])
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), path)
    return pixels


def test_pictures_and_cines_of_any_depth_are_read_and_a_file_alone_too(tmp_path):
    write_frames(tmp_path / "a" / "b", 2)
    write_cine(tmp_path / "cine.nrrd", 3)
    own = read_folder(tmp_path)
    assert own.files == 3
    assert len(own.training) + len(own.held_out) == 5
    alone = read_folder(tmp_path / "cine.nrrd")
    assert alone.files == 1
    np.testing.assert_array_equal(alone.training[0], speckled_frame(0, (48, 40)))


def test_a_cine_gives_frames_spread_over_its_length(tmp_path):
    pixels = write_cine(tmp_path / "cine.nrrd", 9)
    own = read_folder(tmp_path, most_per_file=3)
    for frame, number in zip(own.training, (0, 4, 8), strict=True):
        np.testing.assert_array_equal(frame, pixels[number])


def test_every_fifth_file_is_held_out_with_all_its_frames(tmp_path):
    write_frames(tmp_path, 4)
    pixels = write_cine(tmp_path / "9.nrrd", 2)
    own = read_folder(tmp_path)
    assert len(own.training) == 4
    np.testing.assert_array_equal(own.held_out, pixels)
    assert "every 5th file" in own.held_out_note


def test_of_one_cine_every_fifth_frame_is_held_out(tmp_path):
    pixels = write_cine(tmp_path / "cine.nrrd", 6)
    own = read_folder(tmp_path)
    np.testing.assert_array_equal(own.held_out, pixels[[2]])
    np.testing.assert_array_equal(own.training, pixels[[0, 1, 3, 4, 5]])


def test_one_frame_is_enough(tmp_path):
    own = read_folder(write_frames(tmp_path, 1))
    assert len(own.training) == len(own.held_out) == 1
    assert "too few" in own.held_out_note


def test_every_file_is_drawn_as_often_as_every_other(tmp_path):
    write_frames(tmp_path, 2)
    write_cine(tmp_path / "cine.nrrd", 2)
    assert read_folder(tmp_path).real_frames().chances == pytest.approx([1 / 3, 1 / 3, 1 / 6, 1 / 6])


def test_colour_becomes_grey_and_the_surround_is_cut_off(tmp_path):
    frame = np.zeros((200, 240, 3), np.uint8)
    frame[40:160, 60:180] = speckled_frame(3, (120, 120))[..., None]
    Image.fromarray(frame).save(tmp_path / "screen.png")
    (cut,) = read_folder(tmp_path).training
    assert cut.ndim == 2
    assert all(110 <= side <= 130 for side in cut.shape)


def test_files_that_cannot_be_used_are_named_and_the_others_are_used(tmp_path):
    write_frames(tmp_path, 1)
    (tmp_path / "bad.png").write_bytes(b"junk")
    write_frames(tmp_path, 1, (20, 60), first=7)
    Image.fromarray(np.full((64, 64), 3, np.uint8)).save(tmp_path / "dark.png")
    np.save(tmp_path / "nan.npy", np.full((64, 64), np.nan))
    own = read_folder(tmp_path)
    assert own.files == 1
    sentences = " ".join(own.skipped)
    for part in ("bad.png", "7.png' is too small to learn from: 20 x 60", "dark.png' is too dark", "not finite"):
        assert part in sentences
    assert len(own.skipped) == 4


@pytest.mark.parametrize(
    ("content", "part"),
    [({}, "has no image files"), ({"notes.txt": b"x"}, "has no image files"), ({"x.png": b"x"}, "None of the 1 image")],
)
def test_a_folder_with_nothing_to_learn_from_is_one_sentence(tmp_path, content, part):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageFileError, match=part):
        read_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ImageFileError, match="There is no file or folder"):
        read_folder(tmp_path / "nowhere")


def test_hidden_files_and_the_run_folder_are_passed_over(tmp_path):
    write_frames(tmp_path, 2)
    write_frames(tmp_path / "run", 1)
    write_frames(tmp_path / ".cache", 1)
    assert read_folder(tmp_path, leave_out=tmp_path / "run").files == 2


def test_crops_shrink_with_small_frames(tmp_path):
    own = read_folder(write_frames(tmp_path, 3, (70, 90)))
    assert own.crop_px(160) == 64
    assert own.crop_px(48) == 48


def test_validation_sees_the_centre_of_held_out_frames_and_fixed_simulated_pairs(tmp_path):
    own = read_folder(write_frames(tmp_path, 1, (70, 90)))
    items = own.validation_items(5, side_px=64)
    assert items[0]["real"].shape == (1, 64, 64)
    np.testing.assert_allclose(items[0]["real"][0].tolist(), own.held_out[0][3:67, 13:77] / 255, atol=1e-6)
    assert len(items) == 4
    assert len({item["seed"] for item in items}) == 4
    assert items[0]["seed"] == own.validation_items(5)[0]["seed"] != own.validation_items(6)[0]["seed"]


def test_a_frame_smaller_than_a_crop_is_extended_and_one_for_validation_cut():
    frame = speckled_frame(0, (33, 50))
    item = FrameOfNumberd([frame], 48)({"number": 0})
    assert item["speckled"].shape == (1, 48, 50)
    np.testing.assert_allclose(item["speckled"][0, 33].tolist(), frame[32] / 255, atol=1e-6)
    assert CutToMultipled(["speckled"], 16, 32)(item)["speckled"].shape == (1, 32, 32)
