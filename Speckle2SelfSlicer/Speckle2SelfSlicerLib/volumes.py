"""MRML volume nodes as `UltrasoundImage`, and results as volume nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import Calibration, Pixels, Provenance, UltrasoundImage
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLVolumeDisplayNode, vtkMRMLVolumeNode

SUPPORTED_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode", "vtkMRMLStreamingVolumeNode")
LPS_FROM_RAS = np.diag((-1.0, -1.0, 1.0))
UNCALIBRATED_SPACING_MM = (1.0, 1.0)
METHOD_ATTRIBUTE = "Speckle2Self.Method"
BYTES_PER_STEP = 16 * 2**20
"""Bytes that are copied at once on the main thread."""


def why_unsupported(volume: vtkMRMLVolumeNode | None) -> str:
    """Return one sentence that says why a volume cannot be despeckled, or nothing if it can."""
    if volume is None:
        return _("Choose an ultrasound volume first.")
    if volume.GetClassName() not in SUPPORTED_CLASSES:
        return _("'{name}' is a {kind}; choose a scalar or RGB volume.").format(
            name=volume.GetName(), kind=volume.GetClassName()
        )
    image_data = volume.GetImageData()
    if image_data is None or image_data.GetPointData().GetScalars() is None:
        return _("'{name}' has no pixels yet; load or fill it first.").format(name=volume.GetName())
    components = image_data.GetNumberOfScalarComponents()
    if components not in (1, 3, 4):
        return _("'{name}' has {components} components; choose a grey, RGB or RGBA volume.").format(
            name=volume.GetName(), components=components
        )
    return ""


def image_from_volume(volume: vtkMRMLVolumeNode, window_zyx: tuple[slice, ...] = ()) -> UltrasoundImage:
    """Copy a volume, or a part of its pixels, into an image of axes ``"ZYX"`` or ``"ZYXC"``.

    Spacing, origin and direction are those of the whole volume, in LPS (ITK's convention, row-major), without its
    parent transform. An in-plane spacing of exactly 1 mm counts as uncalibrated, since Slicer gives it to uncalibrated
    images.

    Raises
    ------
    UnsupportedImageError
        For what `why_unsupported` names.
    """
    if obstacle := why_unsupported(volume):
        raise UnsupportedImageError(obstacle)
    return _image_of(volume, voxels_of(volume.GetImageData())[window_zyx].copy())


def image_view_of(volume: vtkMRMLVolumeNode) -> UltrasoundImage:
    """Return a volume as an image that shares its pixels: for a look on the main thread. See `image_from_volume`."""
    if obstacle := why_unsupported(volume):
        raise UnsupportedImageError(obstacle)
    return _image_of(volume, voxels_of(volume.GetImageData()))


def read_volume(volume: vtkMRMLVolumeNode) -> Iterator[UltrasoundImage | None]:
    """Copy a volume in steps that take milliseconds each; the last step gives the image. See `image_from_volume`.

    Raises
    ------
    UnsupportedImageError
        For what `why_unsupported` names, and if the volume gets other pixels meanwhile.
    """
    if obstacle := why_unsupported(volume):
        raise UnsupportedImageError(obstacle)
    image_data = volume.GetImageData()
    changed_at = image_data.GetMTime()
    pixels = np.empty_like(voxels_of(image_data))
    for slab in _slabs(pixels):
        if volume.GetImageData() is not image_data or image_data.GetMTime() != changed_at:
            message = _("'{name}' got other pixels while it was read; stop what changes it and try again.").format(
                name=volume.GetName()
            )
            raise UnsupportedImageError(message)
        pixels[slab] = voxels_of(image_data)[slab]
        yield None
    yield _image_of(volume, pixels)


def filled_image(pixels: Pixels, like: vtk.vtkImageData) -> Iterator[vtk.vtkImageData | None]:
    """Make a VTK image of the extent and scalar type of another one, in steps that take milliseconds each.

    Parameters
    ----------
    pixels
        Array (Z, Y, X[, C]) of that image's shape.
    like
        The other image.
    """
    image_data = vtk.vtkImageData()
    image_data.SetExtent(like.GetExtent())
    image_data.AllocateScalars(like.GetScalarType(), like.GetNumberOfScalarComponents())
    for slab in _slabs(pixels):
        voxels_of(image_data)[slab] = pixels[slab]
        yield None
    yield image_data


def _slabs(pixels: Pixels) -> Iterator[slice]:
    """Return slices along the first axis that together are the array, each of `BYTES_PER_STEP` at most if possible."""
    step = max(1, BYTES_PER_STEP * len(pixels) // max(pixels.nbytes, 1))
    return (slice(start, start + step) for start in range(0, len(pixels), step))


def _image_of(volume: vtkMRMLVolumeNode, pixels: Pixels) -> UltrasoundImage:
    ijk_to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(ijk_to_ras)
    direction_ras = [[ijk_to_ras.GetElement(row, column) for column in range(3)] for row in range(3)]
    return UltrasoundImage(
        pixels,
        "ZYX" if pixels.ndim == 3 else "ZYXC",
        spacing_mm=volume.GetSpacing(),
        origin_mm=tuple(LPS_FROM_RAS @ volume.GetOrigin()),
        direction=tuple((LPS_FROM_RAS @ direction_ras).ravel()),
        calibration=_calibration(volume.GetSpacing()),
        provenance=Provenance(f"MRML volume '{volume.GetName()}'", volume.GetClassName()),
    )


def output_class(source: vtkMRMLVolumeNode) -> str:
    """Return the class of volume that takes a result: grey stays grey, colour stays colour, a stream becomes still."""
    components = source.GetImageData().GetNumberOfScalarComponents()
    return "vtkMRMLScalarVolumeNode" if components == 1 else "vtkMRMLVectorVolumeNode"


def is_result(volume: vtkMRMLVolumeNode) -> bool:
    """Whether a volume was made by this module, so that it may be replaced."""
    return volume.GetAttribute(METHOD_ATTRIBUTE) is not None


def check_output(source: vtkMRMLVolumeNode, output: vtkMRMLVolumeNode | None) -> None:
    """Check that a result may be written into a volume: an empty one, or an earlier result.

    Raises
    ------
    SettingsError
        If it is the source itself, another kind of volume, or holds pixels that this module did not make.
    """
    if output is None:
        return
    name = output.GetName()
    if output is source:
        message = would_overwrite(source)
        raise SettingsError(message)
    if output.GetClassName() != output_class(source):
        message = _(
            "'{name}' is a {kind} and cannot take the result of a {source_kind}; choose a volume of that kind, or none."
        ).format(name=name, kind=output.GetClassName(), source_kind=source.GetClassName())
        raise SettingsError(message)
    if output.GetImageData() is not None and output.GetImageData().GetNumberOfPoints() and not is_result(output):
        message = _(
            "'{name}' holds pixels that this module did not make; choose a new volume or an earlier result."
        ).format(name=name)
        raise SettingsError(message)


@dataclass(frozen=True)
class SourceState:
    """What a result takes over from its source, as it was when the pixels were read."""

    image_data: vtk.vtkImageData
    ijk_to_ras: vtk.vtkMatrix4x4
    output_class: str
    name: str

    @classmethod
    def of(cls, source: vtkMRMLVolumeNode, name: str | None = None) -> SourceState:
        """Take down the state of a volume; the name is that of a new result."""
        image_data = vtk.vtkImageData()
        image_data.ShallowCopy(source.GetImageData())  # extent and type; voxels are shared
        return cls(image_data, ijk_to_ras_of(source), output_class(source), name or result_name(source))


def changed_meanwhile(node: vtkMRMLNode) -> str:
    """Return what to say if an input was changed by somebody else during a run."""
    return _("'{name}' changed while it was despeckled; stop what changes it and try again.").format(
        name=node.GetName()
    )


def would_overwrite(source: vtkMRMLNode) -> str:
    """Return what to say if an input is chosen as output."""
    return _("The result would overwrite its source '{name}'; choose another volume, or none.").format(
        name=source.GetName()
    )


def write_volume(
    image_data: vtk.vtkImageData,
    source: vtkMRMLVolumeNode,
    output: vtkMRMLVolumeNode | None = None,
    attributes: Mapping[str, str] | None = None,
    state: SourceState | None = None,
) -> vtkMRMLVolumeNode:
    """Put pixels that were made from a source volume into a volume with all of the source's geometry.

    IJKToRAS, parent transform, window/level and colour table are the source's. The source's attributes are not copied:
    the result must not pass for the DICOM instances that the source was read from.

    Parameters
    ----------
    image_data
        Pixels of the source's extent and type (see `filled_image`).
    source
        The volume that they were made from.
    output
        The volume to fill; left out: a new one in the scene of the source, beside it in the subject hierarchy.
    attributes
        Node attributes to set on the output.
    state
        Geometry and name of the source when its pixels were read; left out: as they are now.

    Raises
    ------
    SettingsError
        If `check_output` objects.
    UnsupportedImageError
        If the source has become another kind of volume since its state was taken down.
    """
    state = state or SourceState.of(source)
    if why_unsupported(source) or output_class(source) != state.output_class:
        raise UnsupportedImageError(changed_meanwhile(source))
    check_output(source, output)
    scene = source.GetScene()
    if output is None:
        output = scene.CreateNodeByClass(output_class(source))
        output.UnRegister(None)  # the scene owns it from here on
        output.SetName(scene.GenerateUniqueName(state.name))
        scene.AddNode(output)
        place_beside(output, source)
    output.SetIJKToRASMatrix(state.ijk_to_ras)
    output.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    for attribute, value in (attributes or {}).items():
        output.SetAttribute(attribute, value)
    show_alike(source, output)
    output.SetAndObserveImageData(image_data)
    return output


def fill_volume(
    output: vtkMRMLVolumeNode,
    pixels: Pixels,
    like: vtk.vtkImageData,
    ijk_to_ras: vtk.vtkMatrix4x4,
    extent: tuple[int, ...] | None = None,
) -> None:
    """Give a volume new pixels and geometry; pixels that it shares with other nodes are left alone.

    Parameters
    ----------
    output
        The volume.
    pixels
        Array (Z, Y, X[, C]).
    like
        The image whose VTK scalar type the pixels get.
    ijk_to_ras
        Geometry.
    extent
        First and last index along I, J and K; left out: from 0.
    """
    depth, height, width = pixels.shape[:3]
    components = pixels.shape[3] if pixels.ndim == 4 else 1
    image_data = vtk.vtkImageData()
    image_data.SetExtent(*(extent or (0, width - 1, 0, height - 1, 0, depth - 1)))
    image_data.AllocateScalars(like.GetScalarType(), components)
    voxels_of(image_data)[...] = pixels
    output.SetIJKToRASMatrix(ijk_to_ras)
    output.SetAndObserveImageData(image_data)


def fill_like(output: vtkMRMLVolumeNode, pixels: Pixels, source: vtkMRMLVolumeNode) -> None:
    """Give a volume pixels, and the extent, scalar type and IJKToRAS of a source of the same shape."""
    image_data = source.GetImageData()
    fill_volume(output, pixels, image_data, ijk_to_ras_of(source), image_data.GetExtent())


def ijk_to_ras_of(volume: vtkMRMLVolumeNode) -> vtk.vtkMatrix4x4:
    """Return a copy of the IJKToRAS matrix of a volume."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def result_name(source: vtkMRMLNode) -> str:
    """Return the name of a result."""
    return f"{source.GetName()} (Speckle2Self)"


def place_beside(node: vtkMRMLNode, original: vtkMRMLNode) -> None:
    """Put a node into the folder (or study) of another one in the subject hierarchy."""
    from slicer import vtkMRMLSubjectHierarchyNode

    hierarchy = vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(original.GetScene())
    if hierarchy is None:
        return
    beside = hierarchy.GetItemByDataNode(original)
    if not beside:
        return  # as for sequences, which the hierarchy does not show
    parent = hierarchy.GetItemParent(beside)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)


def voxels_of(image_data: vtk.vtkImageData) -> Pixels:
    """Return a view of the pixels: (Z, Y, X), or (Z, Y, X, C) for several components."""
    columns, rows, slices = image_data.GetDimensions()
    components = image_data.GetNumberOfScalarComponents()
    shape = (slices, rows, columns) if components == 1 else (slices, rows, columns, components)
    return vtk_to_numpy(image_data.GetPointData().GetScalars()).reshape(shape)


def show_alike(source: vtkMRMLVolumeNode, output: vtkMRMLVolumeNode) -> None:
    """Give the output the window/level and colours of the source, fixed, so that both can be compared.

    Done before the output gets its pixels, so that no automatic level is computed for them, which takes seconds for
    large volumes.
    """
    shown = source.GetDisplayNode()
    if shown is None or not shown.IsA("vtkMRMLScalarVolumeDisplayNode"):
        output.CreateDefaultDisplayNodes()
        return
    display = output.GetDisplayNode()
    if display is None:
        display = output.GetScene().CreateNodeByClass(_display_class(output))
        display.UnRegister(None)
        _copy_levels(shown, display)
        output.GetScene().AddNode(display)
        output.SetAndObserveDisplayNodeID(display.GetID())
    else:
        _copy_levels(shown, display)
    if shown.GetColorNodeID():  # RGB volumes have none
        display.SetAndObserveColorNodeID(shown.GetColorNodeID())


def _display_class(volume: vtkMRMLVolumeNode) -> str:
    kind = "Vector" if volume.IsA("vtkMRMLVectorVolumeNode") else "Scalar"
    return f"vtkMRML{kind}VolumeDisplayNode"


def _copy_levels(shown: vtkMRMLVolumeDisplayNode, display: vtkMRMLVolumeDisplayNode) -> None:
    """Copy how grey is shown. `CopyContent` would do so too, but first looks through all pixels of the source."""
    display.SetAutoWindowLevel(False)
    display.SetAutoThreshold(False)
    display.SetInterpolate(shown.GetInterpolate())
    display.SetThreshold(shown.GetLowerThreshold(), shown.GetUpperThreshold())
    display.SetApplyThreshold(shown.GetApplyThreshold())
    if hasattr(shown, "GetInvertDisplayScalarRange"):
        display.SetInvertDisplayScalarRange(shown.GetInvertDisplayScalarRange())
    display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())


def is_calibrated(volume: vtkMRMLVolumeNode) -> bool:
    """Whether the spacing of a volume is physical, as far as one can tell: not the 1 mm of uncalibrated images."""
    return _calibration(volume.GetSpacing()).is_calibrated


def _calibration(spacing_mm: tuple[float, float, float]) -> Calibration:
    if spacing_mm[:2] == UNCALIBRATED_SPACING_MM:
        return Calibration(is_calibrated=False, reason="the volume's in-plane spacing is 1 mm, as without calibration")
    return Calibration(is_calibrated=True, reason="spacing of the volume node")
