"""Slices of a volume: along which axis, how many, which one a view shows, and where a part of one lies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import vtk

from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import ijk_to_ras_of

if TYPE_CHECKING:
    from slicer import vtkMRMLSliceNode, vtkMRMLVolumeNode

AXES = ("x", "y", "z")
"""Slice axes in the order of I, J and K: slices along ``"z"`` are the I-J planes, as a frame is stored."""
IJK = {"x": "I", "y": "J", "z": "K"}
SAME_SPACING = 0.01
"""Two spacings count as equal below this relative difference."""


class AxisChoice(NamedTuple):
    """A slice axis, and one sentence that says why."""

    axis: str
    reason: str


def choose_axis(volume: vtkMRMLVolumeNode) -> AxisChoice:
    """Guess along which axis the acquired frames lie behind each other.

    An axis of one slice wins. Otherwise it is the axis whose spacing differs from the other two, because pixels of a
    frame are mostly square; and K, the order in which frames are stored, where spacing does not tell.
    """
    sizes, spacing_mm = volume.GetImageData().GetDimensions(), volume.GetSpacing()
    single = [axis for axis, size in zip(AXES, sizes, strict=True) if size == 1]
    if single:
        axis = "z" if "z" in single else single[0]
        return AxisChoice(axis, _("The volume is a single frame."))
    for axis in ("z", "x", "y"):
        others = [spacing_mm[number] for number, name in enumerate(AXES) if name != axis]
        along = spacing_mm[AXES.index(axis)]
        if math.isclose(*others, rel_tol=SAME_SPACING) and not math.isclose(along, others[0], rel_tol=SAME_SPACING):
            return AxisChoice(axis, _("Pixels are square across {axis} only.").format(axis=IJK[axis]))
    return AxisChoice("z", _("Spacing does not tell; frames are taken as they are stored."))


def slice_count(volume: vtkMRMLVolumeNode, axis: str) -> int:
    """Return the number of slices along an axis."""
    return int(volume.GetImageData().GetDimensions()[AXES.index(axis)])


def slice_shown(volume: vtkMRMLVolumeNode, axis: str, view: vtkMRMLSliceNode | None) -> int:
    """Return the number of the slice at the centre of a view, or the nearest; without a view the middle one."""
    count = slice_count(volume, axis)
    if view is None or count == 1:
        return count // 2
    slice_to_ras = view.GetSliceToRAS()
    centre_ras = [slice_to_ras.GetElement(row, 3) for row in range(3)]
    local = [0.0, 0.0, 0.0]
    volume.TransformPointFromWorld(centre_ras, local)
    ras_to_ijk = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(ras_to_ijk)
    number = AXES.index(axis)
    place = ras_to_ijk.MultiplyPoint([*local, 1.0])[number] - volume.GetImageData().GetExtent()[2 * number]
    return min(max(round(place), 0), count - 1)


def ijk_to_ras_from(volume: vtkMRMLVolumeNode, first_ijk: tuple[int, int, int]) -> vtk.vtkMatrix4x4:
    """Return the IJKToRAS matrix of a part of a volume that starts at a voxel, counted from the volume's first."""
    matrix = ijk_to_ras_of(volume)
    starts = volume.GetImageData().GetExtent()[::2]
    origin = matrix.MultiplyPoint([*(float(a + b) for a, b in zip(first_ijk, starts, strict=True)), 1.0])
    for row in range(3):
        matrix.SetElement(row, 3, origin[row])
    return matrix
