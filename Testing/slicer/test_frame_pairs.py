"""Pairs of frames to measure, from volumes and cines on real MRML."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Testing.slicer.cines import Inverse, add_cine, show, speckle


@pytest.mark.parametrize(
    ("axis", "shape_yx", "spacing_mm"),
    [("z", (20, 24), (0.2, 0.3)), ("y", (5, 24), (0.2, 2)), ("x", (5, 20), (0.3, 2))],
)
def test_slices_along_every_axis_with_their_own_spacing(a_logic, axis, shape_yx, spacing_mm):
    import slicer

    from Speckle2SelfSlicerLib.frame_pairs import frame_pairs

    values = speckle((5, 20, 24), dtype=np.float32) * 4
    volume = slicer.util.addVolumeFromArray(values, np.diag((0.2, 0.3, 2.0, 1)), "Scan")
    pairs = frame_pairs(volume, a_logic.process(volume, method=Inverse()), slice_axis=axis)
    assert pairs.inputs[2].shape == shape_yx
    np.testing.assert_array_equal(pairs.inputs[2], np.take(values, 2, "zyx".index(axis)))
    assert pairs.spacing_mm == pytest.approx(spacing_mm)
    assert pairs.grey_range.highest == values.max()
    assert not pairs.is_cine


def test_a_region_is_cut_into_the_same_slices(a_logic, a_scene):
    import slicer

    from Speckle2SelfSlicerLib.frame_pairs import frame_pairs
    from Speckle2SelfSlicerLib.regions import region_mask

    volume = slicer.util.addVolumeFromArray(speckle((5, 20, 24)), np.diag((0.2, 0.3, 2.0, 1)), "Scan")
    box = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    box.SetCenter(0.2 * 10, 0.3 * 8, 2.0 * 3)
    box.SetSize(0.2 * 4, 0.3 * 4, 1)
    result = a_logic.process(volume, method=Inverse())
    for axis, number in (("z", 3), ("y", 8), ("x", 10)):
        pairs = frame_pairs(volume, result, slice_axis=axis, region=region_mask(box, volume))
        assert pairs.region.shape == (len(pairs), *pairs.inputs[0].shape)
        assert pairs.region[number].any()
        assert not pairs.region[0].any()


def test_a_cine_gives_all_frames_and_its_proxy_the_current_one(a_logic, a_scene):
    from Speckle2SelfSlicerLib.frame_pairs import are_cines, frame_pairs

    frames = speckle((4, 20, 24), dtype=np.uint16) * 7
    _, browser, proxy = add_cine(a_scene, frames)
    result = a_logic.process(proxy, method=Inverse(), wholeSequence=True)
    assert are_cines(proxy, result)
    pairs = frame_pairs(proxy, result, whole_sequence=True)
    assert (len(pairs), pairs.is_cine) == (4, True)
    np.testing.assert_array_equal(np.stack([pairs.inputs[number] for number in range(4)]), frames)
    assert pairs.grey_range.highest == frames.max()
    show(browser, 2)
    current = frame_pairs(proxy, result)
    assert current.numbers == (2,)
    np.testing.assert_array_equal(current.inputs[0], frames[2])
    assert current.grey_range == pairs.grey_range
    single = a_logic.process(proxy, method=Inverse())  # the current frame alone, a volume of its own
    assert not are_cines(proxy, single)
    with pytest.raises(SettingsError, match="are not both sequences"):
        frame_pairs(proxy, single, whole_sequence=True)


def test_volumes_of_different_size_or_type_do_not_fit(a_logic):
    import slicer

    from Speckle2SelfSlicerLib.frame_pairs import frame_pairs

    volume = slicer.util.addVolumeFromArray(speckle((1, 20, 24)), name="Scan")
    for other in (speckle((1, 20, 23)), speckle((1, 20, 24), dtype=np.int16)):
        with pytest.raises(SettingsError, match="compare a volume with its own result"):
            frame_pairs(volume, slicer.util.addVolumeFromArray(other, name="Other"))


def test_a_frame_of_another_size_is_named(a_logic, a_scene):
    import slicer

    from Speckle2SelfSlicerLib.frame_pairs import frame_pairs

    sequence, _, proxy = add_cine(a_scene, speckle((3, 20, 24)))
    result = a_logic.process(proxy, method=Inverse(), wholeSequence=True)
    odd = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(odd, speckle((1, 9, 9)))
    sequence.SetDataNodeAtValue(odd, sequence.GetNthIndexValue(1))
    pairs = frame_pairs(proxy, result, whole_sequence=True)
    with pytest.raises(UnsupportedImageError, match="Frame 1 of 'Cine' has another size"):
        pairs.at(1)
