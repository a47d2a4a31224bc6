"""Segments as masks of frames, from one segmentation or from a sequence of segmentations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfSlicerLib.pair import ijk_to_ras
from Speckle2SelfSlicerLib.planes import AXES
from Speckle2SelfSlicerLib.regions import Mask, Matrix, is_empty, region_from_volume, segment_mask
from Speckle2SelfSlicerLib.sequences import Cine, cine_of
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.frames import VesselFrames

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLSegmentationNode


@dataclass(frozen=True)
class FrameSegments:
    """Segments that belong to frames. Make them with `frame_segments`."""

    segmentation: vtkMRMLSegmentationNode
    """As the user chose it."""
    names: tuple[tuple[str, str], ...]
    """Identifier and name of each segment."""
    cine: Cine | None
    """The sequence of segmentations behind it, if there is one and frames of a cine are looked at."""
    from_volume: Matrix
    """From the own RAS of the frames to that of the segmentations."""

    def at(self, frames: VesselFrames, position: int) -> vtkMRMLSegmentationNode | None:
        """Return the segmentation of a frame: what is in view as it is, which may have been edited just now."""
        if self.cine is None or frames.index_values[position] == frames.cine.index_value:
            return self.segmentation
        return self.cine.sequence.GetDataNodeAtValue(frames.index_values[position], True)

    def watched(self) -> tuple[vtkMRMLNode, ...]:
        """Return the nodes that must stay in the scene."""
        return (self.segmentation,) if self.cine is None else (self.segmentation, self.cine.sequence)


def why_no_segments(segmentation: vtkMRMLSegmentationNode | None) -> str:
    """Return one sentence that says why a segmentation cannot be measured, or nothing if it can."""
    if segmentation is None:
        return _("Choose a segmentation first, or make a first contour.")
    if segmentation.GetScene() is None:
        return _("'{name}' is no longer in the scene; choose another segmentation.").format(name=segmentation.GetName())
    if segmentation.GetSegmentation() is None or segmentation.GetSegmentation().GetNumberOfSegments() == 0:
        return _("'{name}' has no segments; add one and draw it first.").format(name=segmentation.GetName())
    return ""


def frame_segments(
    segmentation: vtkMRMLSegmentationNode | None, segment_ids: Sequence[str], frames: VesselFrames
) -> tuple[FrameSegments, VesselFrames]:
    """Return segments, and those of the frames that they are about.

    A segmentation that is not the proxy of a sequence was drawn on the frame of a cine that is in view: only that one
    is left of several frames.

    Parameters
    ----------
    segmentation
        A segmentation, or the proxy of a sequence of segmentations with the index values of the cine.
    segment_ids
        Of the segments. In other frames a segment of the same identifier or else the same name counts.
    frames
        Where they are to be looked at.

    Raises
    ------
    SettingsError
        If there is no such segment, or a transform that is not linear lies between the two.
    """
    if obstacle := why_no_segments(segmentation):
        raise SettingsError(obstacle)
    segments = segmentation.GetSegmentation()
    for segment_id in segment_ids:
        if segments.GetSegment(segment_id) is None:
            message = _("'{name}' has no segment with the ID '{wanted}'; choose another segment.")
            raise SettingsError(message.format(name=segmentation.GetName(), wanted=segment_id))
    from_volume = region_from_volume(frames.volume, segmentation)
    if from_volume is None:
        message = _(
            "'{name}' and '{volume}' are parted by a transform that is not linear; "
            "put both under the same transform, or harden it."
        )
        raise SettingsError(message.format(name=segmentation.GetName(), volume=frames.volume.GetName()))
    cine = None if frames.cine is None else cine_of(segmentation)
    if frames.cine is not None and cine is None and len(frames) > 1:
        frames = replace(frames, numbers=(frames.cine.frame_number,))
    names = tuple((segment_id, segments.GetSegment(segment_id).GetName()) for segment_id in segment_ids)
    return FrameSegments(segmentation, names, cine, from_volume), frames


def read_masks(frames: VesselFrames, segments: FrameSegments) -> Iterator[tuple[Mask, ...]]:
    """Yield the masks (Y, X) of all segments in each frame; a segment that is not there has no pixel.

    Neither the scene nor the segmentation is changed.
    """
    if frames.cine is None:
        volumes = tuple(_stack(frames, segments, 0, which) for which in range(len(segments.names)))
        yield from (tuple(volume[number] for volume in volumes) for number in frames.numbers)
        return
    for position in range(len(frames)):
        yield tuple(_stack(frames, segments, position, which)[0] for which in range(len(segments.names)))


def _stack(frames: VesselFrames, segments: FrameSegments, position: int, which: int) -> Mask:
    """Return a segment in all slices (N, Y, X) of the volume of a frame."""
    volume, segmentation = frames.volume_at(position), segments.at(frames, position)
    shape = volume.GetImageData().GetDimensions()[::-1]
    along = 2 - AXES.index(frames.axis)
    segment_id = None if segmentation is None else _found(segmentation, *segments.names[which])
    if segment_id is None or is_empty(segmentation.GetSegmentation(), segment_id):
        return np.moveaxis(np.zeros(shape, bool), along, 0)
    region_from_ijk = segments.from_volume @ ijk_to_ras(volume)
    mask = segment_mask(segmentation, segment_id, region_from_ijk, volume.GetImageData().GetExtent())
    return np.moveaxis(mask, along, 0)


def _found(segmentation: vtkMRMLSegmentationNode, segment_id: str, name: str) -> str | None:
    segments = segmentation.GetSegmentation()
    if segments.GetSegment(segment_id) is not None:
        return segment_id
    return segments.GetSegmentIdBySegmentName(name) or None
