"""Two segmentations compared on real MRML."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Testing.slicer.segments import add_segmentation
from Testing.slicer.tubes import column_of
from Testing.slicer.vessels import STEP_MM, UPRIGHT, add_stack, add_vessel_cine, ring


@pytest.fixture
def compare(a_logic):
    from Speckle2SelfSlicerLib.vessel.comparing import CompareRequest

    def compare(volume, first, second, first_id="Lumen", second_id="Lumen", **settings):
        request = CompareRequest(volume, first, first_id, second, second_id, **settings)
        return a_logic.engine.compare_segments(request).finish()

    return compare


def test_dice_distance_and_area_difference_of_every_slice_are_in_a_table(compare, a_scene):
    volume, first = add_stack(np.stack([ring(12.0), ring(12.0)]))
    shifted = np.stack([ring(12.0), np.roll(ring(12.0), 4, axis=1)]) == 1
    second = add_segmentation(a_scene, {"Lumen": shifted}, UPRIGHT, "Second reader")
    result = compare(volume, first, second)
    dice = column_of(result.table, "Dice")
    overlap = (shifted[1] & (ring(12.0) == 1)).sum()
    assert dice == pytest.approx([1.0, overlap / shifted[1].sum()])
    assert column_of(result.table, "HD95 (mm)") == pytest.approx([0.0, 4 * STEP_MM], abs=0.1)
    assert column_of(result.table, "Area difference (mm2)") == pytest.approx([0.0, 0.0])
    assert "Mean over 2 frames: Dice" in result.sentence
    assert "second is 'Second reader: Lumen'" in result.table.GetAttribute("Speckle2Self.Notes")


def test_segments_of_one_segmentation_can_be_compared_but_not_one_with_itself(compare, a_scene):
    volume, segmentation = add_stack(ring(12.0)[None])
    result = compare(volume, segmentation, segmentation, second_id="Wall")
    assert column_of(result.table, "Dice") == [0.0]
    with pytest.raises(SettingsError, match="cannot be compared with itself"):
        compare(volume, segmentation, segmentation)


def test_a_frame_without_either_segment_has_no_figures(compare, a_scene):
    volume, first = add_stack(np.stack([ring(12.0), np.zeros_like(ring(1.0))]))
    second = add_segmentation(a_scene, {"Lumen": np.stack([ring(13.0), np.zeros_like(ring(1.0))]) == 1}, UPRIGHT, "B")
    result = compare(volume, first, second)
    assert np.isnan(column_of(result.table, "Dice")[1])
    assert "Mean over 1 frames" in result.sentence


def test_of_a_cine_the_frame_in_view_is_compared_if_one_side_is_no_sequence(compare, a_scene):
    _sequence, _browser, proxy, labels = add_vessel_cine(a_scene)
    sides = [add_segmentation(a_scene, {"Lumen": labels[0][None] == 1}, UPRIGHT, name) for name in "AB"]
    result = compare(proxy, *sides)
    assert column_of(result.table, "Frame") == [0]
    assert column_of(result.table, "Dice") == [1.0]
