"""Frames as pictures: the stated window, the stated residual limit, contact sheets."""

import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from Speckle2SelfLogic.errors import ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.pictures import residual_png_bytes, save_side_by_side, to_png_bytes


def grey_levels(png: bytes) -> list[list[int]]:
    return np.asarray(Image.open(io.BytesIO(png))).tolist()


def test_a_grey_picture_maps_its_window_from_black_to_white_and_cuts_what_is_outside():
    frame_yx = np.array([[-300, -200, -100], [0, 200, 900]], dtype=np.int16)
    assert grey_levels(to_png_bytes(frame_yx, lowest=-200, highest=200)) == [[0, 0, 64], [128, 255, 255]]


def test_an_8_bit_frame_in_its_full_window_is_stored_exactly():
    frame_yx = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert grey_levels(to_png_bytes(frame_yx, lowest=0, highest=255)) == frame_yx.tolist()


def test_a_residual_is_near_white_at_zero_red_where_darkened_and_blue_where_brightened():
    png = residual_png_bytes(np.array([[-9.0, -4.0, -2.0, 0.0, 2.0, 4.0, 9.0]]), limit=4.0)
    colours = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)[0]
    red_minus_blue = colours[:, 0] - colours[:, 2]
    assert colours[3].tolist() == [242, 242, 240]
    assert (red_minus_blue[:3] < -40).all()
    assert (red_minus_blue[4:] > 40).all()
    assert colours[0].tolist() == colours[1].tolist()
    assert colours[5].tolist() == colours[6].tolist()


@pytest.mark.parametrize(
    "frame_yx", [np.zeros((2, 2, 3)), np.zeros((0, 4)), np.array([[0.0, math.nan]]), np.zeros((2, 2), complex)]
)
def test_a_frame_that_is_no_finite_grey_frame_is_refused(frame_yx):
    with pytest.raises(UnsupportedImageError):
        to_png_bytes(frame_yx, lowest=0, highest=1)
    with pytest.raises(UnsupportedImageError):
        residual_png_bytes(frame_yx, limit=1)


@pytest.mark.parametrize(("lowest", "highest"), [(1, 1), (2, 1), (0, math.inf), (math.nan, 1)])
def test_an_empty_grey_window_is_refused(lowest, highest):
    with pytest.raises(SettingsError, match="grey window"):
        to_png_bytes(np.zeros((2, 2)), lowest=lowest, highest=highest)


@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan])
def test_a_residual_limit_that_is_not_positive_is_refused(limit):
    with pytest.raises(SettingsError, match="limit"):
        residual_png_bytes(np.zeros((2, 2)), limit=limit)


def test_a_contact_sheet_holds_its_panels_in_reading_order(tmp_path):
    frames = [np.full((4, 8), grey) for grey in (50, 100, 150)]
    save_side_by_side(frames, ["a", "b", "c"], tmp_path / "s.png", lowest=0, highest=255, columns=2, panel_width_px=64)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    greys = [np.argwhere((sheet == grey).all(axis=-1)) for grey in (50, 100, 150)]
    first, second, third = (positions[0].tolist() for positions in greys)
    assert [len(positions) for positions in greys] == [64 * 32] * 3
    assert first[0] == second[0] < third[0]
    assert first[1] == third[1] < second[1]


def test_a_contact_sheet_shows_physical_proportions(tmp_path):
    options = {"lowest": 0, "highest": 1, "panel_width_px": 64, "spacing_mm_yx": (0.2, 0.1)}
    save_side_by_side([np.ones((4, 8))], ["one"], tmp_path / "s.png", **options)
    sheet = np.asarray(Image.open(tmp_path / "s.png").convert("L"))
    white = np.argwhere(sheet[:80] == 255)
    assert (np.ptp(white, axis=0) + 1).tolist() == [64, 64]


def test_a_contact_sheet_makes_room_for_captions_and_its_footer(tmp_path):
    frames, options = [np.zeros((4, 8))], {"lowest": 0, "highest": 1, "panel_width_px": 160}
    save_side_by_side(frames, ["Median"], tmp_path / "short.png", **options)
    save_side_by_side(frames, ["Médian 5 × 5 µm ≠ " * 6], tmp_path / "long.png", **options)
    save_side_by_side(frames, ["Median"], tmp_path / "bare.png", footer="", **options)
    short, long, bare = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("short", "long", "bare"))
    assert long.shape[0] > short.shape[0] + 60
    assert short[-40:].max() > bare[-20:].max()


@pytest.mark.parametrize(
    ("frames", "titles", "options"),
    [
        ([], [], {}),
        ([np.zeros((2, 2))], [], {}),
        ([np.zeros((2, 2))], ["a"], {"columns": 0}),
        ([np.zeros((2, 2))], ["a"], {"panel_width_px": 8}),
    ],
)
def test_a_contact_sheet_without_panels_titles_or_room_is_refused(tmp_path, frames, titles, options):
    with pytest.raises(SettingsError, match="contact sheet"):
        save_side_by_side(frames, titles, tmp_path / "s.png", lowest=0, highest=1, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["missing/sheet.png", "folder", "file/sheet.png"])
def test_a_place_that_cannot_be_written_is_named_and_left_as_it_was(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageFileError, match=re.escape(place)):
        save_side_by_side([np.ones((4, 8))], ["a"], tmp_path / place, lowest=0, highest=1)
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["file", "folder"]
