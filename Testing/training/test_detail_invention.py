import numpy as np
import pytest

from Training.detail.controls import GaussianControl
from Training.detail.invention import InventionCheck, drawn_over_percent, flat_area, line_contrast


def a_line(contrast, sigma_px=2.0, side_px=64):
    y = np.arange(side_px)[:, None] - side_px / 2
    return np.broadcast_to(0.3 + contrast * np.exp(-0.5 * (y / sigma_px) ** 2), (side_px, side_px)).astype(np.float32)


def test_the_contrast_of_a_line_is_read_off_its_middle():
    assert line_contrast(a_line(0.2))[32, 20:44] == pytest.approx(0.2, abs=0.01)


def test_a_round_spot_is_no_line():
    y, x = np.mgrid[:64, :64] - 32
    spot = np.exp(-0.5 * (y**2 + x**2) / 4).astype(np.float32)
    assert line_contrast(spot)[32, 32] == 0


def test_a_drawn_line_is_counted_and_the_truth_itself_is_not():
    truth = np.full((1, 64, 64), 0.3, np.float32)
    assert drawn_over_percent(truth, truth) == 0
    assert drawn_over_percent(a_line(0.03)[None], truth) == pytest.approx(100 * 3 / 32, abs=0.1)
    assert drawn_over_percent(a_line(0.01)[None], truth) == 0  # fainter than 6 grey levels


def test_an_edge_of_the_truth_and_what_lies_near_it_is_not_flat():
    truth = np.zeros((64, 64), np.float32)
    truth[:, 32:] = 0.5
    flat = flat_area(truth)
    assert not flat[20:44, 28:36].any()
    assert flat[20:44, 18:22].all()


def test_speckle_counts_as_drawn_and_a_wide_blur_of_it_does_not():
    check = InventionCheck.prepare(None, None)
    untouched, blurred = (check.figures(GaussianControl(sigma)) for sigma in (0, 8))
    fine = check.rows[0].key
    assert untouched[fine] > 50
    assert blurred[fine] < 0.2
