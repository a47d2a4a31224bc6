"""Agreement of two segmentations of one image, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.geometry.agreement import MaskAgreement, mask_agreement
from Speckle2SelfSlicerLib.tables import FRAME_COLUMN, NOTES_ATTRIBUTE, Column, fill_table, table_for
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.frames import VesselFrames, vessel_frames
from Speckle2SelfSlicerLib.vessel.job import Job, JobControl, Steps
from Speckle2SelfSlicerLib.vessel.masks import FrameSegments, frame_segments, read_masks
from Speckle2SelfSlicerLib.vessel.own_nodes import claim

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from slicer import vtkMRMLSegmentationNode, vtkMRMLTableNode, vtkMRMLVolumeNode


@dataclass(frozen=True)
class CompareRequest:
    """Which two segments to compare, on the grid of which image."""

    volume: vtkMRMLVolumeNode
    """The original (or the proxy of its cine)."""
    first: vtkMRMLSegmentationNode
    first_id: str
    second: vtkMRMLSegmentationNode
    second_id: str
    all_frames: bool = True
    slice_axis: str = "auto"
    shown: int = 0
    """The slice in view, for volumes."""


@dataclass(frozen=True)
class CompareResult:
    """Agreement in each frame, in numbers and in a new table."""

    request: CompareRequest
    frames: VesselFrames
    agreements: tuple[MaskAgreement, ...]
    table: vtkMRMLTableNode

    @property
    def sentence(self) -> str:
        """The means over the frames in which one of the two segments is."""
        seen = [each for each in self.agreements if each.dice is not None]
        if not seen:
            return _("Neither of the two segments reaches these frames.")
        unit = seen[0].unit
        values = {
            "dice": _mean(seen, lambda each: each.dice),
            "hd95": _mean(seen, lambda each: each.hd95),
            "area": _mean(seen, lambda each: each.area_difference),
            "percent": _mean(seen, lambda each: each.relative_area_difference),
        }
        text = _(
            "Mean over {count} frames: Dice {dice}, HD95 {hd95} {unit}, area of '{second}' less that of '{first}' "
            "{area} {unit}2 ({percent} %)."
        )
        names = {"first": self.request.first.GetName(), "second": self.request.second.GetName()}
        return text.format(count=len(seen), unit=unit, **values, **names)


def compare_segments(request: CompareRequest, thread: ThreadPoolExecutor) -> Job[CompareResult]:
    """Return a job that compares two segments and adds a table.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If it cannot be done; nothing has been started then.
    """
    if request.first is request.second and request.first_id == request.second_id:
        message = _("A segment cannot be compared with itself; choose another segmentation, or another segment of it.")
        raise SettingsError(message)
    frames = vessel_frames(
        request.volume, all_frames=request.all_frames, slice_axis=request.slice_axis, shown=request.shown
    )
    first, frames = frame_segments(request.first, [request.first_id], frames)
    second, frames = frame_segments(request.second, [request.second_id], frames)
    control = JobControl(thread)
    watched = (*frames.watched(), *first.watched(), *second.watched())
    return Job(_steps(request, frames, (first, second), control), control, watched)


def _steps(
    request: CompareRequest, frames: VesselFrames, segments: tuple[FrameSegments, ...], control: JobControl
) -> Steps[CompareResult]:
    agreements, spacing_mm = [], frames.spacing_mm
    for masks in zip(*(read_masks(frames, each) for each in segments), strict=True):
        control.progress(len(agreements), len(frames))
        pair = (each for one_segment in masks for each in one_segment)
        agreements.append((yield from control.compute(mask_agreement, *pair, spacing_mm=spacing_mm)))
    control.progress(len(agreements), len(frames))
    return CompareResult(request, frames, tuple(agreements), _table(request, frames, agreements))


def _table(request: CompareRequest, frames: VesselFrames, agreements: list[MaskAgreement]) -> vtkMRMLTableNode:
    unit = agreements[0].unit
    first, second = (
        f"{node.GetName()}: {node.GetSegmentation().GetSegment(segment_id).GetName()}"
        for node, segment_id in ((request.first, request.first_id), (request.second, request.second_id))
    )
    columns = (
        Column(FRAME_COLUMN, list(frames.shown_numbers)),
        Column("Dice", [each.dice for each in agreements]),
        Column(f"HD95 ({unit})", [each.hd95 for each in agreements], unit),
        Column(f"Mean distance ({unit})", [each.mean_distance for each in agreements], unit),
        Column(f"First area ({unit}2)", [each.first_area for each in agreements], f"{unit}2"),
        Column(f"Second area ({unit}2)", [each.second_area for each in agreements], f"{unit}2"),
        Column(f"Area difference ({unit}2)", [each.area_difference for each in agreements], f"{unit}2"),
        Column("Area difference (%)", [each.relative_area_difference for each in agreements], "%"),
    )
    name = f"{request.first.GetName()} - {request.second.GetName()} (Speckle2Self agreement)"
    table = table_for(request.volume, name, None)
    claim(table, request.first, "agreement")
    what = _("First is '{first}', second is '{second}'. Research use only.").format(first=first, second=second)
    table.SetAttribute(NOTES_ATTRIBUTE, what)
    fill_table(table, columns)
    return table


def _mean(agreements: list[MaskAgreement], figure: Callable[[MaskAgreement], float | None]) -> str:
    values = [value for value in map(figure, agreements) if value is not None]
    return f"{np.mean(values):.3g}" if values else _("none")
