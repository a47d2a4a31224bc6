"""Figures of a vessel in every frame, from segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.geometry import (
    AreaStenosis,
    DiameterCurve,
    FrameMeasurement,
    Reference,
    Scale,
    TransverseMeasurement,
    View,
    area_stenosis,
    diameter_curve,
    measure_frame,
)
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.drawing import Drawing, draw_figures
from Speckle2SelfSlicerLib.vessel.first_contour import contour_remarks
from Speckle2SelfSlicerLib.vessel.frames import VesselFrames, vessel_frames
from Speckle2SelfSlicerLib.vessel.job import Job, JobControl, Steps
from Speckle2SelfSlicerLib.vessel.masks import FrameSegments, frame_segments, read_masks
from Speckle2SelfSlicerLib.vessel.measure_tables import diameter_plot, figures_table, summary_table

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from slicer import vtkMRMLPlotChartNode, vtkMRMLSegmentationNode, vtkMRMLTableNode, vtkMRMLVolumeNode


@dataclass(frozen=True)
class MeasureRequest:
    """What to measure, and in which image."""

    volume: vtkMRMLVolumeNode
    """The original (or the proxy of its cine), whose frames and pixel size count."""
    segmentation: vtkMRMLSegmentationNode
    lumen_id: str
    wall_id: str = ""
    """Identifier of the segment of the wall; empty: there is none."""
    view: View = "transverse"
    all_frames: bool = True
    slice_axis: str = "auto"
    shown: int = 0
    """The slice in view, for volumes."""
    distal_end: str = "left"
    """Longitudinal views: the side of the image towards the head."""
    reference: Reference | None = None
    """Transverse views, frames along the vessel: which of them show the normal distal vessel; see `area_stenosis`."""


@dataclass(frozen=True)
class VesselFigures:
    """What was measured."""

    request: MeasureRequest
    frames: VesselFrames
    measured: tuple[FrameMeasurement, ...]
    """One for each frame."""
    curve: DiameterCurve
    remarks: tuple[str, ...]
    """For each frame why a first contour there should not be trusted, or nothing."""
    stenosis: AreaStenosis | None = None
    """Narrowing over cross-sections, if their reference was named."""


@dataclass(frozen=True)
class MeasureResult:
    """Figures, and the nodes that show them."""

    figures: VesselFigures
    table: vtkMRMLTableNode
    summary: vtkMRMLTableNode | None
    chart: vtkMRMLPlotChartNode | None
    drawing: Drawing
    note: str
    """Why fewer frames were measured than were asked for, or nothing."""


def measure_vessel(request: MeasureRequest, thread: ThreadPoolExecutor) -> Job[MeasureResult]:
    """Return a job that measures segments, and writes tables, a plot, lines and curves.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If it cannot be done; nothing has been started then.
    """
    wanted = vessel_frames(
        request.volume, all_frames=request.all_frames, slice_axis=request.slice_axis, shown=request.shown
    )
    if not request.lumen_id:
        message = _("Choose the segment of the lumen first.")
        raise SettingsError(message)
    ids = [request.lumen_id, *([request.wall_id] if request.wall_id else [])]
    segments, frames = frame_segments(request.segmentation, ids, wanted)
    note = ""
    if len(frames) < len(wanted):
        note = _("Only the frame in view was measured: '{name}' is one segmentation, not a sequence of them.").format(
            name=request.segmentation.GetName()
        )
    control = JobControl(thread)
    return Job(_steps(request, frames, segments, note, control), control, (*frames.watched(), *segments.watched()))


def _steps(
    request: MeasureRequest, frames: VesselFrames, segments: FrameSegments, note: str, control: JobControl
) -> Steps[MeasureResult]:
    spacing_mm, measured = frames.spacing_mm, []
    for masks in read_masks(frames, segments):
        control.progress(len(measured), len(frames))
        figures = yield from control.compute(
            measure_frame,
            *masks,
            view=request.view,
            spacing_mm=spacing_mm,
            distal_end=request.distal_end,
        )
        measured.append(figures)
    control.progress(len(measured), len(frames))
    times_s = frames.times_s
    curve = yield from control.compute(
        diameter_curve, [each.diameter for each in measured], Scale.of(spacing_mm), times_s
    )
    remarks = contour_remarks(request.segmentation, frames)
    narrowing = _stenosis(measured, request)
    figures = VesselFigures(request, frames, tuple(measured), curve, remarks, narrowing)
    drawing = yield from draw_figures(figures)
    table = figures_table(figures)
    has_summary = (frames.cine is not None and len(frames) > 1) or narrowing is not None
    summary = summary_table(figures) if has_summary else None
    chart = diameter_plot(figures, table) if len(frames) > 1 else None
    return MeasureResult(figures, table, summary, chart, drawing, note)


def _stenosis(measured: list[FrameMeasurement], request: MeasureRequest) -> AreaStenosis | None:
    across = [each for each in measured if isinstance(each, TransverseMeasurement)]
    if request.reference is None or not request.all_frames or not across:
        return None
    return area_stenosis(across, request.reference)
