"""Live despeckling on real MRML: the latest frame wins, image and pose travel together, it stops cleanly."""

import time

import numpy as np
import pytest

from Speckle2SelfLogic.errors import UnsupportedImageError
from Testing.slicer.cines import Inverse, Patient, add_cine, show, speckle
from Testing.slicer.pairs import pixels_of


def until(condition, live):
    deadline = time.perf_counter() + 10
    while not condition():
        live.advance()
        assert time.perf_counter() < deadline
        time.sleep(0.002)


def shows(live, expected):
    return live.output is not None and np.array_equal(pixels_of(live.output), expected)


@pytest.fixture
def a_stream(a_logic, a_scene):
    import slicer

    return slicer.util.addVolumeFromArray(speckle((1, 40, 50), 0), np.diag((-0.2, -0.3, 1, 1)), "Probe image")


def start(a_logic, volume, method):
    from Speckle2SelfSlicerLib.request import MethodRequest

    return a_logic.engine.live(volume, MethodRequest(method))


def test_every_change_of_the_input_reaches_the_output(a_logic, a_stream):
    import slicer

    live = start(a_logic, a_stream, Inverse())
    for number in range(1, 4):
        slicer.util.updateVolumeFromArray(a_stream, speckle((1, 40, 50), number))
        until(lambda number=number: shows(live, 255 - speckle((1, 40, 50), number)), live)
    assert live.output.GetName() == "Probe image (Speckle2Self live)"
    assert live.output.GetSpacing() == a_stream.GetSpacing()
    assert live.frames_per_second > 0
    np.testing.assert_array_equal(pixels_of(a_stream), speckle((1, 40, 50), 3))


def test_pixels_that_are_changed_in_place_are_seen_too(a_logic, a_stream):
    import slicer

    live = start(a_logic, a_stream, Inverse())
    until(lambda: live.frames_shown, live)
    pixels_of(a_stream)[:] = speckle((1, 40, 50), 7)
    slicer.util.arrayFromVolumeModified(a_stream)
    until(lambda: shows(live, 255 - speckle((1, 40, 50), 7)), live)


def test_the_latest_frame_wins_and_the_others_are_counted(a_logic, a_stream):
    import slicer

    method = Patient()
    live = start(a_logic, a_stream, method)
    live.advance()  # frame 0 is being worked on
    for number in range(1, 6):
        slicer.util.updateVolumeFromArray(a_stream, speckle((1, 40, 50), number))
        live.advance()
    method.go_on.release(2)
    until(lambda: live.frames_shown == 2, live)
    np.testing.assert_array_equal(pixels_of(live.output), 255 - speckle((1, 40, 50), 5))
    assert (method.frames, live.frames_dropped) == (2, 4)
    live.advance()
    assert method.frames == 2  # nothing new, nothing done


def test_the_pose_is_that_of_the_frame_and_not_of_the_probe_by_now(a_logic, a_scene, a_stream):
    import slicer
    import vtk

    def moved(x_mm):
        matrix = np.eye(4)
        matrix[0, 3] = x_mm
        return slicer.util.vtkMatrixFromArray(matrix)

    probe = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Probe")
    probe.SetMatrixTransformToParent(moved(10))
    a_stream.SetAndObserveTransformNodeID(probe.GetID())
    method = Patient()
    live = start(a_logic, a_stream, method)
    live.advance()
    probe.SetMatrixTransformToParent(moved(99))  # the probe moves on while the frame is being worked on
    method.go_on.release()
    until(lambda: live.frames_shown == 1, live)
    pose = vtk.vtkMatrix4x4()
    live.output.GetParentTransformNode().GetMatrixTransformToWorld(pose)
    assert pose.GetElement(0, 3) == 10
    assert live.output.GetParentTransformNode() is not probe


def test_a_sequence_that_is_played_is_followed(a_logic, a_scene):
    _, browser, proxy = add_cine(a_scene, speckle((4, 40, 50)))
    live = start(a_logic, proxy, Inverse())
    for number in (0, 2, 1, 3):
        show(browser, number)
        until(
            lambda number=number: (
                live.output is not None and (pixels_of(live.output)[0] == 255 - speckle((4, 40, 50))[number]).all()
            ),
            live,
        )


def test_the_frame_size_may_change(a_logic, a_stream):
    import slicer

    live = start(a_logic, a_stream, Inverse())
    until(lambda: live.frames_shown, live)
    slicer.util.updateVolumeFromArray(a_stream, speckle((1, 33, 64)))
    until(lambda: pixels_of(live.output).shape == (1, 33, 64), live)


def test_a_streaming_volume_gives_a_still_rgb_volume_and_one_without_frame_is_refused(a_logic, a_scene):
    import slicer
    import vtk

    stream = a_scene.AddNewNodeByClass("vtkMRMLStreamingVolumeNode", "Stream")
    with pytest.raises(UnsupportedImageError, match="'Stream' has no pixels yet"):
        start(a_logic, stream, Inverse())
    image_data = vtk.vtkImageData()
    image_data.SetDimensions(50, 40, 1)
    image_data.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    grey = vtk.util.numpy_support.vtk_to_numpy(image_data.GetPointData().GetScalars())
    grey[:] = speckle((40, 50)).reshape(-1, 1)
    stream.SetAndObserveImageData(image_data)
    live = start(a_logic, stream, Inverse())
    until(lambda: live.frames_shown, live)
    assert live.output.GetClassName() == "vtkMRMLVectorVolumeNode"
    np.testing.assert_allclose(
        pixels_of(live.output)[0, ..., 0].astype(int), 255 - speckle((40, 50)).astype(int), atol=1
    )
    assert slicer is not None


def test_it_stops_with_the_scene_and_leaves_the_observers_of_others_alone(a_logic, a_scene, a_stream):
    seen = []
    a_stream.AddObserver(a_stream.ImageDataModifiedEvent, lambda _caller, _event: seen.append(1))
    live = start(a_logic, a_stream, Inverse())
    until(lambda: live.frames_shown, live)
    live.stop()
    a_stream.InvokeEvent(a_stream.ImageDataModifiedEvent)
    assert seen == [1]
    assert not live.advance()
    again = start(a_logic, a_stream, Inverse())
    until(lambda: again.frames_shown, again)
    a_scene.Clear(0)
    again.advance()
    assert not again.is_running


def test_a_failing_method_stops_it_with_the_reason(a_logic, a_stream):
    live = start(a_logic, a_stream, "no such method")
    until(lambda: not live.is_running, live)
    assert "no method, model or weight file 'no such method'" in str(live.error)
