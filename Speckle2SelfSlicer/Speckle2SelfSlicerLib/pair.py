"""Two volumes on one grid, original and despeckled, that may leave the scene at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import voxels_of, why_unsupported

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLScene, vtkMRMLVolumeNode

SAME_MM = 1e-3
"""Entries of two IJKToRAS matrices count as equal below this difference."""


class NodeLink:
    """A node of a scene that is not kept alive: None as soon as it has left the scene."""

    def __init__(self, node: vtkMRMLNode | None) -> None:
        self._reference = vtk.vtkWeakReference()
        self._reference.Set(node)

    @property
    def node(self) -> vtkMRMLNode | None:
        """The node, or None if it is in no scene any more."""
        node = self._reference.Get()
        return node if node is not None and node.GetScene() is not None else None


class VolumePair:
    """The input volume and its result.

    Raises
    ------
    SettingsError
        If one is missing, empty, or the two do not lie on one grid.
    """

    def __init__(self, original: vtkMRMLVolumeNode | None, despeckled: vtkMRMLVolumeNode | None) -> None:
        for volume in (original, despeckled):
            if obstacle := why_unsupported(volume):
                raise SettingsError(obstacle)
        if original is despeckled:
            message = _("'{name}' cannot be compared with itself; choose its result as the second volume.")
            raise SettingsError(message.format(name=original.GetName()))
        check_same_voxels(original, despeckled)
        if not np.allclose(ijk_to_ras(original), ijk_to_ras(despeckled), atol=SAME_MM):
            message = _("'{first}' and '{second}' lie at different places; compare a volume with its own result.")
            raise SettingsError(message.format(first=original.GetName(), second=despeckled.GetName()))
        self._original, self._despeckled = NodeLink(original), NodeLink(despeckled)

    @property
    def original(self) -> vtkMRMLVolumeNode | None:
        """The input volume, None if it has left the scene."""
        return self._original.node

    @property
    def despeckled(self) -> vtkMRMLVolumeNode | None:
        """The result, None if it has left the scene."""
        return self._despeckled.node

    def check(self) -> None:
        """Check that both are still there and fit.

        Raises
        ------
        SettingsError
            If one has left the scene, or they differ in size or type by now.
        """
        if not self.is_complete:
            message = _("The volumes cannot be compared: one of them is no longer in the scene; choose both again.")
            raise SettingsError(message)
        check_same_voxels(self.original, self.despeckled)

    @property
    def volumes(self) -> tuple[vtkMRMLVolumeNode, ...]:
        """Those of the two that are still in the scene."""
        return tuple(volume for volume in (self.original, self.despeckled) if volume is not None)

    @property
    def is_complete(self) -> bool:
        """Whether both are still in the scene."""
        return len(self.volumes) == 2

    @property
    def scene(self) -> vtkMRMLScene | None:
        """The scene of the two, None if both have left it."""
        return self.volumes[0].GetScene() if self.volumes else None


def check_same_voxels(original: vtkMRMLVolumeNode, despeckled: vtkMRMLVolumeNode) -> None:
    """Check that two volumes have the same number of voxels and components, of the same type.

    Raises
    ------
    SettingsError
        If not, or one has no voxels.
    """
    sizes = [_size(volume) for volume in (original, despeckled)]
    if sizes[0] != sizes[1]:
        message = _(
            "'{first}' has {size}, but '{second}' has {other_size}; compare a volume with its own result."
        ).format(first=original.GetName(), size=sizes[0], second=despeckled.GetName(), other_size=sizes[1])
        raise SettingsError(message)


def ijk_to_ras(volume: vtkMRMLVolumeNode) -> np.ndarray:
    """Return the IJKToRAS matrix (4, 4) of a volume, without its parent transform."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _size(volume: vtkMRMLVolumeNode) -> str:
    if why_unsupported(volume):
        return _("no pixels")
    voxels = voxels_of(volume.GetImageData())
    lengths = " x ".join(str(length) for length in voxels.shape[::-1])
    return _("{lengths} values of type {kind}").format(lengths=lengths, kind=voxels.dtype)
