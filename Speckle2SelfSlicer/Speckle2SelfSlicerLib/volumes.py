"""MRML volume nodes as `UltrasoundImage`, and results as volume nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import Calibration, Pixels, Provenance, UltrasoundImage

if TYPE_CHECKING:
    from slicer import vtkMRMLVolumeNode

SUPPORTED_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode")
LPS_FROM_RAS = np.diag((-1.0, -1.0, 1.0))
UNCALIBRATED_SPACING_MM = (1.0, 1.0)


def why_unsupported(volume: vtkMRMLVolumeNode | None) -> str:
    """Return one sentence that says why a volume cannot be despeckled, or nothing if it can."""
    if volume is None:
        return "Choose an ultrasound volume first."
    if volume.GetClassName() not in SUPPORTED_CLASSES:
        return f"'{volume.GetName()}' is a {volume.GetClassName()}; choose a scalar or RGB volume."
    image_data = volume.GetImageData()
    if image_data is None or image_data.GetPointData().GetScalars() is None:
        return f"'{volume.GetName()}' has no pixels yet; load or fill it first."
    components = image_data.GetNumberOfScalarComponents()
    if components not in (1, 3, 4):
        return f"'{volume.GetName()}' has {components} components; choose a grey, RGB or RGBA volume."
    return ""


def image_from_volume(volume: vtkMRMLVolumeNode) -> UltrasoundImage:
    """Copy a volume into an image of axes ``"ZYX"`` or ``"ZYXC"``.

    Spacing, origin and direction are the node's own in LPS (ITK's convention, row-major), without its parent
    transform. An in-plane spacing of exactly 1 mm counts as uncalibrated, since Slicer gives it to uncalibrated images.

    Raises
    ------
    UnsupportedImageError
        For what `why_unsupported` names.
    """
    if obstacle := why_unsupported(volume):
        raise UnsupportedImageError(obstacle)
    voxels = _voxels(volume.GetImageData())
    ijk_to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(ijk_to_ras)
    direction_ras = [[ijk_to_ras.GetElement(row, column) for column in range(3)] for row in range(3)]
    return UltrasoundImage(
        voxels.copy(),
        "ZYX" if voxels.ndim == 3 else "ZYXC",
        spacing_mm=volume.GetSpacing(),
        origin_mm=tuple(LPS_FROM_RAS @ volume.GetOrigin()),
        direction=tuple((LPS_FROM_RAS @ direction_ras).ravel()),
        calibration=_calibration(volume.GetSpacing()),
        provenance=Provenance(f"MRML volume '{volume.GetName()}'", volume.GetClassName()),
    )


def check_output(source: vtkMRMLVolumeNode, output: vtkMRMLVolumeNode | None) -> None:
    """Check that a result may be written into a volume.

    Raises
    ------
    SettingsError
        If it is the source itself or another kind of volume.
    """
    if output is None:
        return
    if output is source:
        message = f"The result would overwrite its source '{source.GetName()}'; choose another volume, or none."
        raise SettingsError(message)
    if output.GetClassName() != source.GetClassName():
        message = (
            f"'{output.GetName()}' is a {output.GetClassName()} and cannot take the result of a "
            f"{source.GetClassName()}; choose a volume of that kind, or none."
        )
        raise SettingsError(message)


def write_volume(
    image: UltrasoundImage,
    source: vtkMRMLVolumeNode,
    output: vtkMRMLVolumeNode | None = None,
    attributes: Mapping[str, str] | None = None,
) -> vtkMRMLVolumeNode:
    """Write the pixels of an image, made from a source volume, into a volume with all of the source's geometry.

    IJKToRAS, parent transform, data type, window/level and colour table are the source's. The source's attributes are
    not copied: the result must not pass for the DICOM instances that the source was read from.

    Parameters
    ----------
    image
        Pixels of the source's shape and type.
    source
        The volume that the image was made from.
    output
        The volume to fill; left out: a new one named "<source> (Speckle2Self)" in the scene of the source.
    attributes
        Node attributes to set on the output.

    Raises
    ------
    SettingsError
        If `check_output` objects.
    """
    check_output(source, output)
    image_data = vtk.vtkImageData()
    image_data.DeepCopy(source.GetImageData())  # the same extent and VTK scalar type
    _voxels(image_data)[...] = image.pixels
    if output is None:
        scene = source.GetScene()
        name = scene.GenerateUniqueName(f"{source.GetName()} (Speckle2Self)")
        output = scene.AddNewNodeByClass(source.GetClassName(), name)
    output.CopyOrientation(source)
    output.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    output.SetAndObserveImageData(image_data)
    for name, value in (attributes or {}).items():
        output.SetAttribute(name, value)
    _show_alike(source, output)
    return output


def _voxels(image_data: vtk.vtkImageData) -> Pixels:
    """Return a view of the pixels: (Z, Y, X), or (Z, Y, X, C) for several components."""
    columns, rows, slices = image_data.GetDimensions()
    components = image_data.GetNumberOfScalarComponents()
    shape = (slices, rows, columns) if components == 1 else (slices, rows, columns, components)
    return vtk_to_numpy(image_data.GetPointData().GetScalars()).reshape(shape)


def _calibration(spacing_mm: tuple[float, float, float]) -> Calibration:
    if spacing_mm[:2] == UNCALIBRATED_SPACING_MM:
        return Calibration(is_calibrated=False, reason="the volume's in-plane spacing is 1 mm, as without calibration")
    return Calibration(is_calibrated=True, reason="spacing of the volume node")


def _show_alike(source: vtkMRMLVolumeNode, output: vtkMRMLVolumeNode) -> None:
    """Give the output the window/level and colours of the source, fixed, so that both can be compared."""
    output.CreateDefaultDisplayNodes()
    shown, display = source.GetDisplayNode(), output.GetDisplayNode()
    if shown is None:
        return
    display.CopyContent(shown)
    if shown.GetColorNodeID():  # RGB volumes have none
        display.SetAndObserveColorNodeID(shown.GetColorNodeID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())
