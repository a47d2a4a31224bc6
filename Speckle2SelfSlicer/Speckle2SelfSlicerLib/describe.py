"""Sentences about a volume for the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.planes import AXES, slice_count
from Speckle2SelfSlicerLib.sequences import Cine
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import is_calibrated

if TYPE_CHECKING:
    from slicer import vtkMRMLVolumeNode


def describe_input(volume: vtkMRMLVolumeNode, axis: str, cine: Cine | None) -> str:
    """Return number, size and kind of the frames, their spacing, and whether millimetres can be trusted."""
    in_plane = [number for number in range(3) if AXES[number] != axis]
    sizes, spacing_mm = volume.GetImageData().GetDimensions(), volume.GetSpacing()
    is_grey = volume.GetImageData().GetNumberOfScalarComponents() == 1
    count = slice_count(volume, axis) if cine is None else cine.frame_count
    size = " x ".join(str(sizes[number]) for number in in_plane)
    text = _what(count, cine is not None, is_grey).format(count=count, size=size)
    if not is_calibrated(volume):
        return f"{text} " + _("Uncalibrated: 1 mm per pixel is a placeholder, lengths are in pixels.")
    spacing = " x ".join(f"{spacing_mm[number]:.4g}" for number in in_plane)
    return f"{text} " + _("{spacing} mm per pixel.").format(spacing=spacing)


def _what(count: int, is_cine: bool, is_grey: bool) -> str:
    """Return a sentence to fill in, one for each case, since words take other forms in other languages."""
    if count == 1:
        return _("One frame of {size} pixels, grey.") if is_grey else _("One frame of {size} pixels, colour.")
    if is_cine:
        grey, colour = _("{count} frames of {size} pixels, grey."), _("{count} frames of {size} pixels, colour.")
    else:
        grey, colour = _("{count} slices of {size} pixels, grey."), _("{count} slices of {size} pixels, colour.")
    return grey if is_grey else colour
