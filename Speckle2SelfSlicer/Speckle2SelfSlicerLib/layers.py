"""A volume shown over what the slice views show, and taken away again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.slice_views import OWN_VIEWS

if TYPE_CHECKING:
    from slicer import vtkMRMLScene, vtkMRMLSliceCompositeNode, vtkMRMLSliceNode, vtkMRMLVolumeNode


class ForegroundOverlay:
    """Shows a volume as opaque foreground of every slice view, and remembers what was there."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[str | None, float]] = {}
        self._scene: vtkMRMLScene | None = None

    def show(self, volume: vtkMRMLVolumeNode) -> None:
        """Show a volume; showing another one later keeps what `remove` goes back to."""
        self._scene = volume.GetScene()
        for layers in slice_layers(self._scene):
            if layers.GetID() not in self._before:
                self._before[layers.GetID()] = (layers.GetForegroundVolumeID(), layers.GetForegroundOpacity())
            layers.SetForegroundVolumeID(volume.GetID())
            layers.SetForegroundOpacity(1.0)

    def remove(self) -> None:
        """Bring back the foreground of every view that still exists."""
        for layers_id, (volume_id, opacity) in self._before.items():
            layers = self._scene.GetNodeByID(layers_id)
            if layers is not None:
                layers.SetForegroundVolumeID(volume_id)
                layers.SetForegroundOpacity(opacity)
        self._before = {}


def slice_layers(scene: vtkMRMLScene) -> Iterator[vtkMRMLSliceCompositeNode]:
    """Yield the nodes that hold what the user's slice views show, without the views of a comparison."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        layers = scene.GetNthNodeByClass(number, "vtkMRMLSliceCompositeNode")
        if layers.GetLayoutName() not in OWN_VIEWS:
            yield layers


def shown_volume(scene: vtkMRMLScene) -> vtkMRMLVolumeNode | None:
    """Return the background volume of the first slice view that has one."""
    for layers in slice_layers(scene):
        volume = scene.GetNodeByID(layers.GetBackgroundVolumeID() or "")
        if volume is not None:
            return volume
    return None


def first_view(scene: vtkMRMLScene) -> vtkMRMLSliceNode | None:
    """Return the slice node of the red view, or of any other."""
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    return red if red is not None else scene.GetFirstNodeByClass("vtkMRMLSliceNode")


def show_in_all_views(volume: vtkMRMLVolumeNode) -> None:
    """Make a volume the background of every slice view, without changing what part of space they show."""
    for layers in slice_layers(volume.GetScene()):
        layers.SetBackgroundVolumeID(volume.GetID())
