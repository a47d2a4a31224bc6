"""What was taken away: original minus despeckled as a volume of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk

from Speckle2SelfLogic.image import Pixels
from Speckle2SelfLogic.overlay import luminance
from Speckle2SelfSlicerLib.derived import CONTENT_ATTRIBUTE, image_like, show_pixels
from Speckle2SelfSlicerLib.pair import check_same_voxels
from Speckle2SelfSlicerLib.volumes import place_beside, voxels_of

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLVolumeNode

EMPTY_ATTRIBUTE = "Speckle2Self.ResidualWasZero"
GREY = "vtkMRMLColorTableNodeGrey"
SHOWN_QUANTILE = 0.995
SAMPLED_VOXELS = 1_000_000
"""The quantile is taken over about this many voxels, so that a large volume does not wait for a sort."""


def residual_of(
    original: vtkMRMLVolumeNode,
    despeckled: vtkMRMLVolumeNode,
    residual: vtkMRMLScalarVolumeNode | None = None,
) -> vtkMRMLScalarVolumeNode:
    """Write original minus despeckled into a scalar volume of the same geometry.

    Values are signed: 16 bit integers for 8 bit input, 32 bit floats for other types. Of colour volumes it is the
    difference of luminances. A new residual is shown in grey values that are symmetric about 0 and reach to the
    quantile `SHOWN_QUANTILE` of its absolute value: unchanged voxels are middle grey. That range then stays, so that
    frames of a cine can be compared, unless all was 0 so far.

    Parameters
    ----------
    original, despeckled
        Volumes of the same size and type.
    residual
        An earlier residual to update; left out: a new volume "<original> (Speckle2Self residual)".

    Raises
    ------
    SettingsError
        If the two volumes differ in size or type.
    """
    check_same_voxels(original, despeckled)
    is_new = residual is None
    if residual is None:
        residual = _new_residual(original, despeckled)
    scalar_type = vtk.VTK_SHORT if original.GetImageData().GetScalarSize() == 1 else vtk.VTK_FLOAT
    image_data = image_like(original, residual, scalar_type, components=1)
    _subtract(voxels_of(original.GetImageData()), voxels_of(despeckled.GetImageData()), voxels_of(image_data))
    residual.CopyOrientation(original)
    residual.SetAndObserveTransformNodeID(original.GetTransformNodeID())
    show_pixels(residual, image_data)
    if is_new or residual.GetAttribute(EMPTY_ATTRIBUTE):
        _show_symmetric(residual)
    return residual


def _new_residual(original: vtkMRMLVolumeNode, despeckled: vtkMRMLVolumeNode) -> vtkMRMLScalarVolumeNode:
    scene = original.GetScene()
    residual = scene.AddNewNodeByClass(
        "vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(f"{original.GetName()} (Speckle2Self residual)")
    )
    residual.SetAttribute(CONTENT_ATTRIBUTE, f"residual: '{original.GetName()}' minus '{despeckled.GetName()}'")
    residual.CreateDefaultDisplayNodes()
    display, shown = residual.GetDisplayNode(), original.GetDisplayNode()
    display.SetAutoWindowLevel(False)  # before there are pixels, which would all be looked at for it
    if scene.GetNodeByID(GREY):
        display.SetAndObserveColorNodeID(GREY)
    if shown is not None:
        display.SetInterpolate(shown.GetInterpolate())
    place_beside(residual, original)
    return residual


def _subtract(original: Pixels, despeckled: Pixels, residual: Pixels) -> None:
    """Write the difference slice by slice, so that a large volume needs no second copy of itself."""
    is_integer = np.issubdtype(residual.dtype, np.integer)
    for before, after, difference in zip(original, despeckled, residual, strict=True):
        if before.ndim == 3:
            colour_difference = luminance(before) - luminance(after)
            difference[...] = np.rint(colour_difference) if is_integer else colour_difference
        else:
            wide = residual.dtype if is_integer else np.float64
            np.subtract(before, after, out=difference, dtype=wide, casting="unsafe")


def _show_symmetric(residual: vtkMRMLScalarVolumeNode) -> None:
    values = voxels_of(residual.GetImageData()).ravel()
    sample = np.abs(values[:: max(1, values.size // SAMPLED_VOXELS) | 1])  # an odd step does not follow image columns
    sample = sample[np.isfinite(sample)]
    reach = (float(np.quantile(sample, SHOWN_QUANTILE)) or float(sample.max())) if sample.size else 0.0
    residual.SetAttribute(EMPTY_ATTRIBUTE, None if reach else "1")
    if residual.GetDisplayNode() is None:
        residual.CreateDefaultDisplayNodes()
    display = residual.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(2 * (reach or 1.0), 0.0)
