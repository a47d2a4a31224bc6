"""A curtain between two volumes: on one side of a line the original is seen, on the other the despeckled volume.

Slice views have no such mode, so a hidden volume is put together from both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.derived import CONTENT_ATTRIBUTE, image_like, remove_displayed, show_pixels
from Speckle2SelfSlicerLib.pair import NodeLink, VolumePair, check_same_voxels
from Speckle2SelfSlicerLib.planes import AXES
from Speckle2SelfSlicerLib.volumes import output_class, show_alike, voxels_of

if TYPE_CHECKING:
    from slicer import vtkMRMLVolumeNode


class Swipe:
    """A hidden volume "<original> (Speckle2Self swipe)" whose first columns are the original's, the others despeckled.

    Parameters
    ----------
    pair
        The two volumes.
    axis
        The volume axis, one of `planes.AXES`, along which columns are counted: the one that runs across the screen.
    is_mirrored
        Whether that axis runs from the right to the left of the screen. The original is on the left in any case.
    fraction
        Position of the line, 0 (left edge, all despeckled) to 1 (right edge, all original).
    """

    def __init__(self, pair: VolumePair, axis: str, is_mirrored: bool = False, fraction: float = 0.5) -> None:
        self._pair = pair
        self._array_axis = len(AXES) - 1 - AXES.index(axis)
        self._is_mirrored = is_mirrored
        self._fraction = fraction
        self._line = 0
        self._volume = NodeLink(_hidden_volume(pair.original))
        self.refresh()

    @property
    def volume(self) -> vtkMRMLVolumeNode | None:
        """The volume to show, None if it has left the scene."""
        return self._volume.node

    def move_to(self, fraction: float) -> None:
        """Move the line, 0 to 1 from the left edge. Only the columns that change sides are copied."""
        self._fraction = fraction
        volume = self.volume
        if volume is None or not self._pair.is_complete:
            return
        line = round(fraction * self._column_count(volume))
        if line != self._line:
            self._copy(min(line, self._line), max(line, self._line), from_original=line > self._line)
            self._line = line
            show_pixels(volume, volume.GetImageData())

    def refresh(self) -> None:
        """Copy both volumes anew, for example because a sequence shows another frame.

        Raises
        ------
        SettingsError
            If the two volumes differ in size or type by now.
        """
        volume = self.volume
        if volume is None or not self._pair.is_complete:
            return
        original = self._pair.original
        check_same_voxels(original, self._pair.despeckled)
        source = original.GetImageData()
        image_data = image_like(original, volume, source.GetScalarType(), source.GetNumberOfScalarComponents())
        volume.SetAndObserveImageData(image_data)
        self._line = round(self._fraction * self._column_count(volume))
        self._copy(0, self._line, from_original=True)
        self._copy(self._line, self._column_count(volume), from_original=False)
        volume.CopyOrientation(original)
        volume.SetAndObserveTransformNodeID(original.GetTransformNodeID())
        show_pixels(volume, image_data)

    def remove(self) -> None:
        """Take the hidden volume out of the scene."""
        if self.volume is not None:
            remove_displayed(self.volume)

    def _column_count(self, volume: vtkMRMLVolumeNode) -> int:
        return int(voxels_of(volume.GetImageData()).shape[self._array_axis])

    def _copy(self, first: int, end: int, *, from_original: bool) -> None:
        """Copy screen columns `first` up to `end`, counted from the left."""
        source = self._pair.original if from_original else self._pair.despeckled
        mixed = voxels_of(self.volume.GetImageData())
        count = mixed.shape[self._array_axis]
        columns = slice(count - end, count - first) if self._is_mirrored else slice(first, end)
        part = (*(slice(None),) * self._array_axis, columns)
        mixed[part] = voxels_of(source.GetImageData())[part]


def _hidden_volume(original: vtkMRMLVolumeNode) -> vtkMRMLVolumeNode:
    """Add a volume that no selector lists and no scene file holds, shown as the original is."""
    scene = original.GetScene()
    volume = scene.CreateNodeByClass(output_class(original))
    volume.UnRegister(None)  # the scene owns it from here on
    volume.SetName(scene.GenerateUniqueName(f"{original.GetName()} (Speckle2Self swipe)"))
    volume.SetAttribute(CONTENT_ATTRIBUTE, "swipe")
    volume.SetHideFromEditors(True)
    volume.SetSaveWithScene(False)
    scene.AddNode(volume)
    show_alike(original, volume)
    volume.GetDisplayNode().SetSaveWithScene(False)
    return volume
