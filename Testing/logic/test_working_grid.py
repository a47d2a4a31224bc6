import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Speckle2SelfLogic.errors import GeometryError
from Speckle2SelfLogic.working_grid import fit_grid, window_of

SIDES = st.integers(33, 90)


@settings(max_examples=25, deadline=None)
@given(SIDES, SIDES, st.floats(0.5, 2.0))
def test_a_disc_comes_back_where_it_was(height, width, ratio):
    y, x = np.mgrid[:height, :width]
    disc = np.hypot((y - 0.45 * height) * ratio, x - 0.55 * width) < 0.2 * min(height * ratio, width)
    grid = fit_grid((height, width), 96, (ratio, 1.0))
    planes = np.stack([~disc, disc]).astype(np.float32)
    back = grid.to_frame(grid.from_frames(planes)).argmax(0) == 1
    for mask in (disc, back):
        assert mask.any()
    centre_before, centre_after = (np.argwhere(mask).mean(0) for mask in (disc, back))
    np.testing.assert_allclose(centre_after, centre_before, atol=0.25)
    assert back.sum() == pytest.approx(disc.sum(), rel=0.15)


def test_pixels_of_the_grid_are_square():
    grid = fit_grid((100, 50), 64, spacing_yx=(0.05, 0.2))
    pixel_y, pixel_x = grid.pixel_of_frame_yx
    assert pixel_y * 0.05 == pytest.approx(pixel_x * 0.2)
    assert max(grid.filled_yx) == 64


def test_what_lies_outside_the_window_is_background():
    grid = fit_grid((20, 30), 32, window=(5, 15, 10, 20))
    frame = grid.to_frame(np.stack([np.zeros((32, 32)), np.ones((32, 32))]).astype(np.float32))
    assert frame.argmax(0).sum() == 100
    assert (frame.argmax(0)[5:15, 10:20] == 1).all()


def test_a_pixel_of_the_grid_gets_the_label_that_covers_most_of_it():
    labels = np.zeros((4, 4), np.uint8)
    labels[:2, :2] = 2
    labels[2:, 2:3] = 1
    np.testing.assert_array_equal(fit_grid((4, 4), 2).labels_from_frame(labels, 3)[0], [2, 0])


def test_a_window_beyond_the_frame_is_refused():
    with pytest.raises(GeometryError, match="window"):
        fit_grid((10, 10), 8, window=(0, 11, 0, 5))


def test_the_window_of_a_mask_holds_it_exactly():
    mask = np.zeros((6, 7), bool)
    mask[2, 3] = mask[4, 1] = True
    assert window_of(mask) == (2, 5, 1, 4)
    assert window_of(np.zeros((3, 3), bool)) is None
