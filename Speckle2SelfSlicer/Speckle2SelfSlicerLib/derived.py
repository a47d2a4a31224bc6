"""Volumes that are made from other volumes only to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vtk

if TYPE_CHECKING:
    from slicer import vtkMRMLDisplayableNode, vtkMRMLVolumeNode

CONTENT_ATTRIBUTE = "Speckle2Self.Content"
"""Node attribute that says what such a volume, or a table of figures, holds."""


def image_like(
    source: vtkMRMLVolumeNode, volume: vtkMRMLVolumeNode, scalar_type: int, components: int
) -> vtk.vtkImageData:
    """Return an image of the source's extent to fill: the volume's own if it fits, else a new one."""
    extent, own = source.GetImageData().GetExtent(), volume.GetImageData()
    if (
        own is not None
        and own.GetExtent() == extent
        and own.GetScalarType() == scalar_type
        and own.GetNumberOfScalarComponents() == components
    ):
        return own
    image_data = vtk.vtkImageData()
    image_data.SetExtent(extent)
    image_data.AllocateScalars(scalar_type, components)
    return image_data


def show_pixels(volume: vtkMRMLVolumeNode, image_data: vtk.vtkImageData) -> None:
    """Make a volume show pixels that were written into its image or into a new one."""
    image_data.GetPointData().GetScalars().Modified()
    image_data.Modified()
    volume.SetAndObserveImageData(image_data)
    volume.Modified()


def remove_displayed(shown: vtkMRMLDisplayableNode) -> None:
    """Take a node out of its scene with its display nodes and its subject hierarchy item, which may else stay."""
    scene = shown.GetScene()
    displays = [shown.GetNthDisplayNode(number) for number in range(shown.GetNumberOfDisplayNodes())]
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(shown) if hierarchy is not None else 0
    if item:
        hierarchy.RemoveItem(item, False, False)  # the item alone
    for node in (shown, *displays):
        if node is not None and node.GetScene() is scene:
            scene.RemoveNode(node)
