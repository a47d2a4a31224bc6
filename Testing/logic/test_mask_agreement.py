"""Two masks compared; MONAI is the oracle."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.geometry.agreement import mask_agreement


def disc(radius, centre=(20.0, 22.0), shape=(40, 48)):
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) < radius


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's own call of its own function
@pytest.mark.parametrize("spacing_mm", [None, (0.2, 0.2), (0.15, 0.3)])
def test_dice_and_distances_are_those_of_monai(spacing_mm):
    metrics = pytest.importorskip("monai.metrics")
    import torch

    first, second = disc(9.0), disc(11.0, (22.0, 20.5))
    pair = [torch.as_tensor(mask[None, None].astype(np.float32)) for mask in (second, first)]
    step_yx = (1.0, 1.0) if spacing_mm is None else spacing_mm[::-1]
    agreement = mask_agreement(first, second, spacing_mm=spacing_mm)
    hd95 = metrics.compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=step_yx)
    mean = metrics.compute_average_surface_distance(*pair, include_background=True, symmetric=True, spacing=step_yx)
    assert agreement.dice == pytest.approx(float(metrics.compute_dice(*pair, include_background=True)))
    assert agreement.hd95 == pytest.approx(float(hd95), rel=1e-6)
    assert agreement.mean_distance == pytest.approx(float(mean), rel=1e-6)


def test_a_shifted_mask_has_the_shift_as_distance_and_no_area_difference():
    square = np.zeros((30, 30), bool)
    square[8:18, 8:18] = True
    agreement = mask_agreement(square, np.roll(square, 3, axis=1), spacing_mm=(0.5, 0.25))
    assert agreement.dice == pytest.approx(0.7)
    assert agreement.hd95 == pytest.approx(1.5)
    assert agreement.area_difference == 0
    assert agreement.unit == "mm"


def test_areas_and_their_difference_are_in_square_units_and_percent_of_the_mean():
    first, second = np.zeros((2, 12, 12), bool)
    first[2:6, 2:6] = second[2:10, 2:6] = True
    agreement = mask_agreement(first, second, spacing_mm=(0.5, 0.5))
    assert (agreement.first_area, agreement.second_area) == (4.0, 8.0)
    assert agreement.area_difference == 4.0
    assert agreement.relative_area_difference == pytest.approx(100 * 4 / 6)


def test_empty_masks_have_no_distance_and_two_of_them_no_dice():
    nothing = np.zeros((40, 48), bool)
    one = mask_agreement(disc(9.0), nothing)
    assert (one.dice, one.hd95, one.mean_distance, one.unit) == (0.0, None, None, "px")
    both = mask_agreement(nothing, nothing)
    assert (both.dice, both.relative_area_difference) == (None, None)


def test_masks_of_different_shape_are_refused():
    with pytest.raises(UnsupportedImageError, match="second mask has shape"):
        mask_agreement(disc(9.0), disc(9.0)[:-1])
