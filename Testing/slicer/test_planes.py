"""Slice axes, and which slice a view shows, on real MRML."""

import numpy as np
import pytest

from Testing.slicer.cines import speckle


@pytest.fixture
def add_volume(the_module):
    import slicer

    def add_volume(shape_zyx, spacing_mm, name="Scan", matrix=None):
        matrix = np.diag((*spacing_mm, 1.0)) if matrix is None else matrix
        return slicer.util.addVolumeFromArray(speckle(shape_zyx), matrix, name)

    return add_volume


@pytest.mark.parametrize(
    ("shape_zyx", "spacing_mm", "axis", "reason"),
    [
        ((1, 9, 9), (0.1, 0.1, 1), "z", "The volume is a single frame."),
        ((9, 9, 1), (0.1, 0.1, 0.3), "x", "The volume is a single frame."),
        ((5, 9, 9), (0.1, 0.1, 0.8), "z", "Pixels are square across K only."),
        ((5, 9, 9), (0.8, 0.1, 0.1), "x", "Pixels are square across I only."),
        ((5, 9, 9), (0.1, 0.8, 0.1), "y", "Pixels are square across J only."),
        ((5, 9, 9), (0.2, 0.2, 0.2), "z", "Spacing does not tell; frames are taken as they are stored."),
        ((5, 9, 9), (0.2, 0.3, 0.5), "z", "Spacing does not tell; frames are taken as they are stored."),
    ],
)
def test_the_slice_axis_is_guessed_with_a_reason(add_volume, shape_zyx, spacing_mm, axis, reason):
    from Speckle2SelfSlicerLib.planes import choose_axis

    assert choose_axis(add_volume(shape_zyx, spacing_mm)) == (axis, reason)


@pytest.mark.parametrize(("axis", "expected"), [("z", 3), ("y", 5), ("x", 6)])
def test_the_slice_at_the_centre_of_a_view_is_found_under_a_parent_transform(add_volume, a_scene, axis, expected):
    import slicer

    from Speckle2SelfSlicerLib.planes import slice_shown

    matrix = np.array([[0, -0.3, 0, 5], [-0.2, 0, 0, 7], [0, 0, 1.5, -9], [0, 0, 0, 1]])
    volume = add_volume((6, 9, 10), None, matrix=matrix)
    moved = np.eye(4)
    moved[:3, 3] = 10, 20, 30
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(moved))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    view = slicer.vtkMRMLSliceNode()
    place = (moved @ matrix @ (6.2, 4.9, 3.1, 1))[:3]
    for row in range(3):
        view.GetSliceToRAS().SetElement(row, 3, place[row])
    assert slice_shown(volume, axis, view) == expected


def test_a_view_beside_the_volume_gives_the_nearest_slice_and_no_view_the_middle(add_volume):
    import slicer

    from Speckle2SelfSlicerLib.planes import slice_shown

    volume = add_volume((6, 9, 10), (1, 1, 2))
    view = slicer.vtkMRMLSliceNode()
    view.GetSliceToRAS().SetElement(2, 3, 500)
    assert slice_shown(volume, "z", view) == 5
    assert slice_shown(volume, "z", None) == 3
