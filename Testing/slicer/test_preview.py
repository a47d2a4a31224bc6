"""The preview on real MRML: what it shows is what Apply gives, within a time budget, and it leaves nothing behind."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.image import UltrasoundImage
from Testing.slicer.cines import OBLIQUE, Inverse, speckle
from Testing.slicer.pairs import pixels_of


@dataclass
class Slow(Inverse):
    """A method with a pace of its own."""

    seconds_per_pixel: float = 1e-5

    def despeckle(self, frames_nyx):
        time.sleep(frames_nyx.size * self.seconds_per_pixel)
        return 1 - frames_nyx


def answered(preview):
    """Let a preview answer everything it was asked; return the longest time that one step took."""
    deadline, longest_s = time.perf_counter() + 10, 0.0
    while preview.is_busy:
        started = time.perf_counter()
        preview.advance()
        longest_s = max(longest_s, time.perf_counter() - started)
        assert time.perf_counter() < deadline
        time.sleep(0.002)
    return longest_s


@pytest.fixture
def ask(a_logic, a_scene):
    from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest

    def ask(preview, volume, slice_number, method, axis="z", **how):
        preview.ask(DespeckleRequest(volume, MethodRequest(method, **how), slice_axis=axis), slice_number)
        longest_s = answered(preview)
        assert preview.error is None, preview.error
        return longest_s

    return ask


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_the_preview_is_the_slice_that_apply_would_give_at_its_place(a_logic, ask, axis):
    import slicer

    values = speckle((5, 60, 70), dtype=np.float32) * 3  # a range that comes from the whole volume
    volume = slicer.util.addVolumeFromArray(values, OBLIQUE, "Scan")
    preview = a_logic.engine.preview()
    number = {"z": 3, "y": 40, "x": 12}[axis]
    ask(preview, volume, number, "median", axis, strength=0.8)
    settings = DenoiseSettings(strength=0.8, slice_axis=axis)
    whole = Denoiser(a_logic.engine._methods.load(_how("median")), settings).run(UltrasoundImage(values, "ZYX"))
    array_axis = "zyx".index(axis)
    expected = np.take(whole.image.pixels, [number], array_axis)
    np.testing.assert_array_equal(pixels_of(preview.node), expected)
    origin = preview.node.GetOrigin()
    first = np.zeros(4)
    first[2 - array_axis], first[3] = number, 1
    np.testing.assert_allclose(origin, (OBLIQUE @ first)[:3])
    assert preview.node.GetSpacing() == volume.GetSpacing()
    assert "for this slice" in preview.note


def _how(method):
    from Speckle2SelfSlicerLib.request import MethodRequest

    return MethodRequest(method)


def test_the_hidden_volume_is_never_saved_and_goes_when_the_preview_ends(a_logic, ask, a_scene):
    import slicer

    volume = slicer.util.addVolumeFromArray(speckle((1, 60, 70)), OBLIQUE, "Scan")
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    before = a_scene.GetNumberOfNodes()
    preview = a_logic.engine.preview()
    ask(preview, volume, 0, Inverse())
    assert preview.node.GetHideFromEditors()
    assert not preview.node.GetSaveWithScene()
    assert preview.node.GetTransformNodeID() == transform.GetID()
    np.testing.assert_array_equal(pixels_of(volume), speckle((1, 60, 70)))
    preview.remove()
    assert preview.node is None
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1
    assert a_scene.GetNumberOfNodes() == before


def test_a_slow_method_gets_the_centre_that_fits_into_the_budget(a_logic, ask):
    import slicer

    from Speckle2SelfSlicerLib.preview import Preview

    volume = slicer.util.addVolumeFromArray(speckle((1, 300, 400)), np.diag((1.0, 1, 1, 1)), "Large")
    preview = Preview(a_logic.engine._methods, a_logic.engine._thread, budget_s=0.2)
    method = Slow(seconds_per_pixel=1e-5)  # 1.2 s for the frame
    ask(preview, volume, 0, method)  # measures the pace on a first part
    ask(preview, volume, 0, method)
    height, width = pixels_of(preview.node).shape[1:]
    assert 0.7 * 20000 < height * width <= 1.05 * 20000
    assert width / height == pytest.approx(400 / 300, rel=0.05)
    assert preview.note.startswith(f"Preview of the centre, {width} x {height} pixels: this method takes 1.")
    first_i, first_j = (round(value) for value in preview.node.GetOrigin()[:2])
    np.testing.assert_array_equal(
        pixels_of(preview.node)[0],
        255 - speckle((1, 300, 400))[0, first_j : first_j + height, first_i : first_i + width],
    )


def test_a_fast_method_gets_the_whole_slice_at_once_after_its_pace_is_known(a_logic, ask):
    import slicer

    volume = slicer.util.addVolumeFromArray(speckle((1, 300, 400)), name="Large")
    preview = a_logic.engine.preview()
    ask(preview, volume, 0, Inverse())
    assert pixels_of(preview.node).shape == (1, 300, 400)


def test_the_latest_question_wins_and_asking_never_waits(a_logic, ask):
    import slicer

    volume = slicer.util.addVolumeFromArray(speckle((9, 50, 50)), name="Scan")
    preview = a_logic.engine.preview()
    from Speckle2SelfSlicerLib.request import DespeckleRequest

    method = Slow(seconds_per_pixel=4e-5)  # 0.1 s each
    for number in range(9):
        preview.ask(DespeckleRequest(volume, _how(method), slice_axis="z"), number)
        preview.advance()
    longest_s = answered(preview)
    np.testing.assert_array_equal(pixels_of(preview.node)[0], 255 - speckle((9, 50, 50))[8])
    assert longest_s < 0.09


def test_problems_are_told_and_do_not_stop_the_next_preview(a_logic, ask, a_scene):
    import slicer

    from Speckle2SelfSlicerLib.request import DespeckleRequest

    volume = slicer.util.addVolumeFromArray(speckle((1, 50, 50)), name="Scan")
    preview = a_logic.engine.preview()
    preview.ask(DespeckleRequest(volume, _how("no such method")), 0)
    answered(preview)
    assert "no method, model or weight file 'no such method'" in str(preview.error)
    ask(preview, volume, 0, Inverse())
    assert pixels_of(preview.node).shape == (1, 50, 50)
    preview.ask(DespeckleRequest(volume, _how(Inverse())), 0)
    preview.advance()
    a_scene.Clear(0)
    answered(preview)
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0


def test_the_preview_changes_only_what_apply_would_change(a_logic, a_scene):
    import slicer

    from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest

    volume = slicer.util.addVolumeFromArray(speckle((4, 60, 70)), np.diag((1.0, 1, 1, 1)), "Scan")
    box = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    box.SetCenter(30, 20, 2)
    box.SetSize(10, 8, 0.5)
    preview = a_logic.engine.preview()
    applied = pixels_of(a_logic.process(volume, method=Inverse(), region=box))
    for number in (2, 2, 0):  # the second time the volume is known and only its slice is copied
        preview.ask(DespeckleRequest(volume, MethodRequest(Inverse()), region=box), number)
        answered(preview)
        assert preview.error is None
        np.testing.assert_array_equal(pixels_of(preview.node)[0], applied[number])
    assert "outside the region" in preview.note
