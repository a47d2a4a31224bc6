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
    """Return size, kind, spacing, and whether millimetres can be trusted."""
    in_plane = [number for number in range(3) if AXES[number] != axis]
    sizes, spacing_mm = volume.GetImageData().GetDimensions(), volume.GetSpacing()
    frames, unit = (slice_count(volume, axis), _("slices")) if cine is None else (cine.frame_count, _("frames"))
    kind = _("grey") if volume.GetImageData().GetNumberOfScalarComponents() == 1 else _("colour")
    size = " x ".join(str(sizes[number]) for number in in_plane)
    text = _("{frames} {unit} of {size} pixels, {kind}.").format(frames=frames, unit=unit, size=size, kind=kind)
    if not is_calibrated(volume):
        return f"{text} " + _("Uncalibrated: 1 mm per pixel is a placeholder, lengths are in pixels.")
    spacing = " x ".join(f"{spacing_mm[number]:.4g}" for number in in_plane)
    return f"{text} " + _("{spacing} mm per pixel.").format(spacing=spacing)
