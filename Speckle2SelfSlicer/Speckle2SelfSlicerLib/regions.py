"""Segments and ROIs as masks on the grid of a volume, wherever both lie."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfSlicerLib.pair import ijk_to_ras
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLMarkupsROINode,
        vtkMRMLNode,
        vtkMRMLSegmentationNode,
        vtkMRMLVolumeNode,
        vtkOrientedImageData,
        vtkSegmentation,
    )

Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]

REGION_CLASSES = ("vtkMRMLSegmentationNode", "vtkMRMLMarkupsROINode")
ON_THE_FACE_MM = 1e-6
"""A voxel centre this close to a face of an ROI is inside."""


def why_unusable(region: vtkMRMLNode | None, segment_id: str, volume: vtkMRMLVolumeNode | None) -> str:
    """Return one sentence that says why a region cannot be used on a volume, or nothing if it can.

    Quick: whether the region reaches the volume is only known to `region_mask`.

    Parameters
    ----------
    region
        Segmentation or ROI.
    segment_id
        Which segment; empty: the only one.
    volume
        Where the region is to be used.
    """
    if obstacle := why_unsupported(volume):
        return obstacle
    if region is None:
        return _("Choose a segmentation or an ROI first.")
    if region.GetClassName() not in REGION_CLASSES:
        return _("'{region}' is a {kind}; choose a segmentation or an ROI.").format(
            region=region.GetName(), kind=region.GetClassName()
        )
    if region.GetScene() is None:
        return _("The region '{region}' is no longer in the scene; choose another one.").format(region=region.GetName())
    obstacle = _why_no_segment(region, segment_id) if region.IsA("vtkMRMLSegmentationNode") else _why_no_box(region)
    if not obstacle and region_from_volume(volume, region) is None:
        obstacle = _(
            "'{region}' and '{volume}' are parted by a transform that is not linear; "
            "put both under the same transform, or harden it."
        ).format(region=region.GetName(), volume=volume.GetName())
    return obstacle


def region_mask(region: vtkMRMLNode | None, volume: vtkMRMLVolumeNode | None, segment_id: str = "") -> Mask:
    """Return which voxels of a volume lie in a segment or an ROI, parent transforms of both considered.

    Neither the scene nor the region is changed. A segment that is no labelmap at its source is converted on the
    volume's grid. In an ROI are the voxels whose centres lie in the box (outside of it, if it is inside out).

    Parameters
    ----------
    region
        Segmentation or ROI.
    volume
        Grid of the mask.
    segment_id
        Which segment; empty: the only one.

    Returns
    -------
    numpy.ndarray
        Booleans (Z, Y, X), at least one of them true.

    Raises
    ------
    SettingsError
        For what `why_unusable` names, and if no voxel lies in the region.
    """
    if obstacle := why_unusable(region, segment_id, volume):
        raise SettingsError(obstacle)
    region_from_ijk = region_from_volume(volume, region) @ ijk_to_ras(volume)
    extent = volume.GetImageData().GetExtent()
    if region.IsA("vtkMRMLSegmentationNode"):
        mask = segment_mask(region, segment_id or region.GetSegmentation().GetNthSegmentID(0), region_from_ijk, extent)
    else:
        mask = _box_mask(region, region_from_ijk, extent)
    if not mask.any():
        message = _("{region} touches no voxel of '{volume}'; draw or move it, or choose another one.").format(
            region=_description(region, segment_id), volume=volume.GetName()
        )
        raise SettingsError(message)
    return mask


def _description(region: vtkMRMLNode, segment_id: str) -> str:
    if not region.IsA("vtkMRMLSegmentationNode"):
        return _("The ROI '{region}'").format(region=region.GetName())
    segments = region.GetSegmentation()
    segment = segments.GetSegment(segment_id or segments.GetNthSegmentID(0))
    return _("The segment '{segment}' of '{region}'").format(segment=segment.GetName(), region=region.GetName())


def _why_no_segment(segmentation: vtkMRMLSegmentationNode, segment_id: str) -> str:
    segments = segmentation.GetSegmentation()
    ids = [segments.GetNthSegmentID(number) for number in range(segments.GetNumberOfSegments())]
    names = ", ".join(f"'{segments.GetSegment(each).GetName()}'" for each in ids)
    place = {"region": segmentation.GetName(), "segments": names, "wanted": segment_id}
    if not ids:
        return _("'{region}' has no segments; add one and draw it first.").format(**place)
    if segment_id and segment_id not in ids:
        return _("'{region}' has no segment with the ID '{wanted}'; choose one of {segments}.").format(**place)
    if not segment_id and len(ids) > 1:
        return _("'{region}' has several segments; choose one of {segments}.").format(**place)
    if is_empty(segments, segment_id or ids[0]):
        return _("{segment} is empty; draw it first.").format(segment=_description(segmentation, segment_id))
    return ""


def is_empty(segments: vtkSegmentation, segment_id: str) -> bool:
    """Whether nothing was drawn yet, as far as one can tell without looking at voxels."""
    shape = segments.GetSegment(segment_id).GetRepresentation(segments.GetSourceRepresentationName())
    if shape is None:
        return True
    return shape.IsEmpty() if hasattr(shape, "IsEmpty") else shape.GetNumberOfPoints() == 0


def _why_no_box(roi: vtkMRMLMarkupsROINode) -> str:
    if min(roi.GetSize()) > 0:
        return ""
    return _("The ROI '{region}' has no volume; draw it first.").format(region=roi.GetName())


def region_from_volume(volume: vtkMRMLVolumeNode, region: vtkMRMLNode) -> Matrix | None:
    """Return the matrix from a volume's own RAS to a region's own RAS, None if there is none."""
    from slicer import vtkMRMLTransformNode

    matrix = vtk.vtkMatrix4x4()
    is_linear = vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        volume.GetParentTransformNode(), region.GetParentTransformNode(), matrix
    )
    return _matrix(matrix) if is_linear else None


def segment_mask(
    segmentation: vtkMRMLSegmentationNode, segment_id: str, region_from_ijk: Matrix, extent: tuple[int, ...]
) -> Mask:
    """Return which voxels (Z, Y, X) of a grid lie in a segment; see `region_mask`.

    Parameters
    ----------
    segmentation
        It may lie outside of the user's scene, as the frames of a sequence do.
    segment_id
        Of a segment that is not empty.
    region_from_ijk
        Matrix (4, 4) from the grid's voxel indices to the segmentation's own RAS.
    extent
        First and last voxel index along I, J and K.
    """
    from slicer import vtkOrientedImageData, vtkSegmentation, vtkSegmentationConverter

    grid = vtkOrientedImageData()
    grid.SetImageToWorldMatrix(_vtk_matrix(region_from_ijk))
    grid.SetExtent(extent)
    labelmap = vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    if segmentation.GetSegmentation().GetSourceRepresentationName() != labelmap:
        segmentation = _converted(segmentation, segment_id, grid)
    on_grid = vtkOrientedImageData()
    ids, labels = vtk.vtkStringArray(), vtk.vtkIntArray()
    ids.InsertNextValue(segment_id)
    labels.InsertNextValue(1)
    is_done = segmentation.GenerateMergedLabelmapForAllSegments(
        on_grid, vtkSegmentation.EXTENT_REFERENCE_GEOMETRY, grid, ids, labels
    )
    if not is_done or on_grid.GetPointData().GetScalars() is None:
        message = _("{segment} cannot be brought onto the volume's grid; export it as a labelmap to see why.").format(
            segment=_description(segmentation, segment_id)
        )
        raise SettingsError(message)
    return vtk_to_numpy(on_grid.GetPointData().GetScalars()).reshape(on_grid.GetDimensions()[::-1]) > 0


def _converted(
    segmentation: vtkMRMLSegmentationNode, segment_id: str, grid: vtkOrientedImageData
) -> vtkMRMLSegmentationNode:
    """Return a segmentation outside of any scene that holds one segment as a labelmap on a grid."""
    from slicer import vtkMRMLSegmentationNode, vtkSegmentation, vtkSegmentationConverter

    original, copy = segmentation.GetSegmentation(), vtkSegmentation()
    copy.SetSourceRepresentationName(original.GetSourceRepresentationName())
    copy.CopySegmentFromSegmentation(original, segment_id)
    copy.SetConversionParameter(
        vtkSegmentationConverter.GetReferenceImageGeometryParameterName(),
        vtkSegmentationConverter.SerializeImageGeometry(grid),
    )
    if not copy.CreateRepresentation(vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), True):
        message = _("{segment} cannot be converted to a labelmap; create that representation first.").format(
            segment=_description(segmentation, segment_id)
        )
        raise SettingsError(message)
    holder = vtkMRMLSegmentationNode()
    holder.SetName(segmentation.GetName())
    holder.SetAndObserveSegmentation(copy)
    return holder


def _box_mask(roi: vtkMRMLMarkupsROINode, region_from_ijk: Matrix, extent: tuple[int, ...]) -> Mask:
    box_from_ijk = np.linalg.inv(_matrix(roi.GetObjectToNodeMatrix())) @ region_from_ijk
    firsts, lasts = np.array(extent[::2]), np.array(extent[1::2])
    inside = np.zeros((lasts - firsts + 1)[::-1], bool)
    lowest, highest = _reach_ijk(box_from_ijk, roi.GetSize())
    starts, stops = np.maximum(lowest, firsts), np.minimum(highest, lasts) + 1
    if (starts < stops).all():
        i, j, k = (np.arange(start, stop) for start, stop in zip(starts, stops, strict=True))
        part = np.ones((k.size, j.size, i.size), bool)
        for row, size_mm in zip(box_from_ijk[:3], roi.GetSize(), strict=True):
            in_plane = row[0] * i + row[1] * j[:, None] + row[3]
            for number in range(k.size):  # slice by slice, since coordinates take eight times the memory of voxels
                part[number] &= np.abs(in_plane + row[2] * k[number]) <= size_mm / 2 + ON_THE_FACE_MM
        place = tuple(slice(start, stop) for start, stop in zip(starts - firsts, stops - firsts, strict=True))
        inside[place[::-1]] = part
    return ~inside if roi.GetInsideOut() else inside


def _reach_ijk(box_from_ijk: Matrix, size_mm: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest voxel indices (I, J, K) that a box may hold."""
    half_mm = np.array(size_mm) / 2 + ON_THE_FACE_MM
    corners = np.array([[*(half_mm * signs), 1] for signs in itertools.product((-1, 1), repeat=3)])
    corners_ijk = (np.linalg.inv(box_from_ijk) @ corners.T)[:3]
    return np.floor(corners_ijk.min(axis=1)).astype(int), np.ceil(corners_ijk.max(axis=1)).astype(int)


def _matrix(matrix: vtk.vtkMatrix4x4) -> Matrix:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _vtk_matrix(matrix: Matrix) -> vtk.vtkMatrix4x4:
    copy = vtk.vtkMatrix4x4()
    copy.DeepCopy(matrix.ravel())
    return copy
