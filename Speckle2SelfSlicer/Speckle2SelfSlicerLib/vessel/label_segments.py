"""Labels of lumen and wall as a new segmentation on the grid of a volume, or as a sequence of segmentations."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfSlicerLib.sequences import index_like, update_proxies
from Speckle2SelfSlicerLib.vessel.frames import VesselFrames
from Speckle2SelfSlicerLib.volumes import changed_meanwhile, ijk_to_ras_of, place_beside, why_unsupported

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode, vtkMRMLVolumeNode

Labels = npt.NDArray[np.uint8]

SEGMENTS = {1: "Lumen", 2: "Wall"}
"""Names, which are the identifiers as well, of the segments of each label."""
COLOURS = {1: (0.85, 0.15, 0.15), 2: (0.95, 0.8, 0.3)}
TERMINOLOGY = (
    "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^51114001^Artery~^^~"
    "Anatomic codes - DICOM master list~SCT^69105007^Carotid Artery~^^"
)
"""Both segments are parts of the artery; the names tell them apart (CID 7166 and CID 1002 of DICOM PS3.16)."""


def add_segmentation(
    labels_zyx: Labels, volume: vtkMRMLVolumeNode, name: str, attributes: Mapping[str, str]
) -> vtkMRMLSegmentationNode:
    """Add a segmentation beside a volume, under its transform, with its geometry.

    Raises
    ------
    UnsupportedImageError
        If the volume has another size by now than the labels.
    """
    scene = volume.GetScene()
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    try:
        _fill(segmentation, labels_zyx, volume, attributes)
    except UnsupportedImageError:
        scene.RemoveNode(segmentation)
        raise
    _show_beside(segmentation, volume)
    return segmentation


def add_segmentation_sequence(
    labels_tzyx: Labels, frames: VesselFrames, name: str, attributes: Mapping[str, str]
) -> Generator[None, None, vtkMRMLSegmentationNode]:
    """Add a sequence of segmentations to the browser of a cine, in steps; the last one alone touches the scene.

    Frames have the geometry of the cine's frames and their index values. What is drawn on the proxy, which is
    returned, is kept in the frame.
    """
    import slicer

    cine = frames.cine
    sequence = slicer.vtkMRMLSequenceNode()
    index_like(cine.sequence, sequence)
    index_values = cine.index_values
    for number, value in enumerate(index_values):
        if index_values != cine.index_values or len(labels_tzyx) != len(index_values):
            raise UnsupportedImageError(changed_meanwhile(cine.sequence))
        segmentation = slicer.vtkMRMLSegmentationNode()
        _fill(segmentation, labels_tzyx[number], cine.frame(number), attributes)
        sequence.SetDataNodeAtValue(segmentation, value)
        yield None
    scene = cine.sequence.GetScene()
    sequence.SetName(scene.GenerateUniqueName(name))
    for key, value in attributes.items():
        sequence.SetAttribute(key, value)
    scene.AddNode(sequence)
    place_beside(sequence, cine.sequence)
    cine.browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    cine.browser.SetSaveChanges(sequence, True)  # corrections stay in their frame
    update_proxies(cine.browser)
    proxy = cine.browser.GetProxyNode(sequence)
    cine.browser.SetOverwriteProxyName(sequence, False)
    proxy.SetName(sequence.GetName())
    _show_beside(proxy, cine.proxy)
    return proxy


def _fill(
    segmentation: vtkMRMLSegmentationNode,
    labels_zyx: Labels,
    volume: vtkMRMLVolumeNode,
    attributes: Mapping[str, str],
) -> None:
    """Give a segmentation, which may lie in no scene, the segments and the geometry of a volume."""
    import slicer

    if why_unsupported(volume) or volume.GetImageData().GetDimensions()[::-1] != labels_zyx.shape:
        raise UnsupportedImageError(changed_meanwhile(volume))
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(volume.GetImageData().GetExtent())
    labelmap.SetImageToWorldMatrix(ijk_to_ras_of(volume))
    labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(labelmap.GetPointData().GetScalars())[:] = labels_zyx.ravel()
    converter, segments = slicer.vtkSegmentationConverter, segmentation.GetSegmentation()
    binary = converter.GetBinaryLabelmapRepresentationName()
    segments.SetSourceRepresentationName(binary)
    for label, name in SEGMENTS.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(*COLOURS[label])
        segment.SetLabelValue(label)
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), TERMINOLOGY)
        segment.AddRepresentation(binary, labelmap)  # both segments share one labelmap
        segments.AddSegment(segment, name)
    geometry = converter.SerializeImageGeometry(labelmap)
    segments.SetConversionParameter(converter.GetReferenceImageGeometryParameterName(), geometry)
    for key, value in attributes.items():
        segmentation.SetAttribute(key, value)


def _show_beside(segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLVolumeNode) -> None:
    segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    if segmentation.GetDisplayNode() is None:
        segmentation.CreateDefaultDisplayNodes()
    place_beside(segmentation, volume)
