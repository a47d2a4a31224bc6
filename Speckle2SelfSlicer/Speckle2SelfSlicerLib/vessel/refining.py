"""A line that a person placed, moved onto the walls of a vessel: as a new line, the old one stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.geometry import DiameterCurve, Line, Measure, Scale, diameter_curve
from Speckle2SelfLogic.overlay import luminance
from Speckle2SelfSlicerLib.pair import VolumePair
from Speckle2SelfSlicerLib.planes import AXES
from Speckle2SelfSlicerLib.profile import why_no_profile
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.frames import VesselFrames, source_cine, vessel_frames
from Speckle2SelfSlicerLib.vessel.job import Job, JobControl, Steps
from Speckle2SelfSlicerLib.vessel.markups import add_markup_sequences, markup_sequence, move_markup, new_markup
from Speckle2SelfSlicerLib.vessel.refined_tables import width_plot, widths_table
from Speckle2SelfSlicerLib.vessel.shapes import Shape, Style
from Speckle2SelfSlicerLib.volumes import voxels_of

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from slicer import vtkMRMLMarkupsLineNode, vtkMRMLMarkupsNode, vtkMRMLTableNode, vtkMRMLVolumeNode

STYLE = Style("refined line", "line", (0.9, 0.62, 0.0))
BESIDE_SLICES = 0.51
"""How far the ends of a line may lie beside the middle of a slice, in slices."""
TITLES = {"lumen": "Lumen diameter", "imt": "IMT"}


class Caliper(Protocol):
    """What is found near a line in one frame: `Speckle2SelfLogic.geometry.caliper.Caliper`."""

    width: Measure
    line_yx_px: Line | None
    quality: float


@dataclass(frozen=True)
class RefineRequest:
    """Which line to refine, and in which image."""

    volume: vtkMRMLVolumeNode
    """The original, whose frames count."""
    looked_at: vtkMRMLVolumeNode
    """The volume in which walls are looked for: the despeckled one, or the original itself."""
    line: vtkMRMLMarkupsLineNode
    structure: str = "lumen"
    """``"lumen"`` or ``"imt"``."""
    all_frames: bool = True
    """For a cine: in every frame, and not only in the one in view."""
    slice_axis: str = "auto"
    refine: Callable[..., Caliper] | None = None
    """Left out: the core's caliper."""


@dataclass(frozen=True)
class RefineResult:
    """What was found near a line."""

    request: RefineRequest
    frames: VesselFrames
    calipers: tuple[Caliper, ...]
    """One for each frame."""
    curve: DiameterCurve
    line: vtkMRMLMarkupsNode | None = None
    """The new line; None if none was found in any frame."""
    table: vtkMRMLTableNode | None = None
    """Of a cine."""

    @property
    def sentence(self) -> str:
        """Width and quality, or why there are none."""
        found = [each for each in self.calipers if each.width.value is not None]
        name, title = self.request.line.GetName(), TITLES[self.request.structure]
        if not found:
            reason = self.calipers[0].width.reason
            return _("'{name}' was not refined: {reason}.").format(name=name, reason=reason)
        agreeing = 100 * min(each.quality for each in found)
        if len(self.calipers) == 1:
            text = _("{title} at '{name}': {width}; {quality:.0f} % of the profiles beside it show the same walls.")
            return text.format(title=title, name=name, width=found[0].width, quality=agreeing)
        text = _(
            "{title} at '{name}' was found in {count} of {total} frames; the least agreement of profiles is "
            "{quality:.0f} %."
        )
        sentence = text.format(title=title, name=name, count=len(found), total=len(self.calipers), quality=agreeing)
        if self.curve.distension.value is None:
            return sentence
        return f"{sentence} " + _("Greatest {greatest}, least {least}, change {change}.").format(
            greatest=self.curve.systolic, least=self.curve.diastolic, change=self.curve.distension
        )


def why_no_caliper(line: vtkMRMLMarkupsLineNode | None) -> str:
    """Return one sentence that says why a line cannot be refined, or nothing if it can."""
    return why_no_profile(line)


def refine_line(request: RefineRequest, thread: ThreadPoolExecutor) -> Job[RefineResult]:
    """Return a job that looks for walls near a line and adds a new line; for a cine one for each frame, and a table.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If it cannot be done; nothing has been started then.
    """
    if obstacle := why_no_caliper(request.line):
        raise SettingsError(obstacle)
    if request.looked_at is not request.volume:
        VolumePair(request.volume, request.looked_at)  # refuses what does not fit
    whole = vessel_frames(request.volume, all_frames=True, slice_axis=request.slice_axis)
    ends = [whole.place_of(_end(request.line, number)) for number in range(2)]
    number = _slice_of(request, whole, ends)
    frames = whole
    if whole.cine is None or not request.all_frames:
        frames = vessel_frames(request.volume, all_frames=False, slice_axis=request.slice_axis, shown=number)
    source_cine(request.looked_at, frames)  # refuses a result of a single frame
    drawn: Line = (ends[0][1:], ends[1][1:])
    control = JobControl(thread)
    watched = (*frames.watched(), request.looked_at, request.line)
    return Job(_steps(request, frames, drawn, control), control, watched)


def _steps(request: RefineRequest, frames: VesselFrames, drawn: Line, control: JobControl) -> Steps[RefineResult]:
    calipers, spacing_mm, index_values = [], frames.spacing_mm, frames.index_values
    for position in range(len(frames)):
        control.progress(position, len(frames))
        grey_yx = _grey(request.looked_at, frames, position)
        found = yield from control.compute(
            request.refine or _caliper, grey_yx, drawn, structure=request.structure, spacing_mm=spacing_mm
        )
        calipers.append(found)
    control.progress(len(frames), len(frames))
    curve = yield from control.compute(
        diameter_curve, [each.width for each in calipers], Scale.of(spacing_mm), frames.times_s
    )
    lines = [_shape(each) for each in calipers]
    result = RefineResult(request, frames, tuple(calipers), curve)
    if all(line is None for line in lines):
        return result
    name = frames.volume.GetScene().GenerateUniqueName(f"{request.line.GetName()} refined")
    if frames.cine is None:
        node = new_markup(STYLE, frames, name, request.line)
        move_markup(node, frames, 0, lines[0])
        return RefineResult(request, frames, tuple(calipers), curve, node)
    sequence = yield from markup_sequence(STYLE, frames, lines, name)
    if index_values != frames.index_values:
        message = _("The frames of '{name}' changed meanwhile; refine the line again.")
        raise SettingsError(message.format(name=frames.volume.GetName()))
    node = add_markup_sequences([(STYLE, sequence)], frames, request.line)[STYLE.content]
    if len(frames) == 1:
        return RefineResult(request, frames, tuple(calipers), curve, node)
    table = widths_table(result, node, TITLES[request.structure])
    width_plot(result, table, node, TITLES[request.structure])
    return RefineResult(request, frames, tuple(calipers), curve, node, table)


def _caliper(*arguments: object, **named: object) -> Caliper:
    from Speckle2SelfLogic.geometry.caliper import refine_line as found

    return found(*arguments, **named)


def _shape(caliper: Caliper) -> Shape | None:
    if caliper.line_yx_px is None:
        return None
    return Shape(np.array(caliper.line_yx_px), f"{caliper.width.value:.2f} {caliper.width.unit}")


def _end(line: vtkMRMLMarkupsLineNode, number: int) -> tuple[float, float, float]:
    place = [0.0, 0.0, 0.0]
    line.GetNthControlPointPositionWorld(number, place)
    return place[0], place[1], place[2]


def _slice_of(request: RefineRequest, frames: VesselFrames, ends: list[tuple[float, float, float]]) -> int:
    """Return the slice that a line lies in. Raises `SettingsError` if it is not in one slice of the image."""
    along = [end[0] for end in ends]
    number = round(sum(along) / 2)
    count = request.volume.GetImageData().GetDimensions()[AXES.index(frames.axis)]
    if not 0 <= number < count or any(abs(place - number) > BESIDE_SLICES for place in along):
        message = _("'{name}' does not lie in one slice of '{volume}'; draw it in a view that shows such a slice.")
        raise SettingsError(message.format(name=request.line.GetName(), volume=request.volume.GetName()))
    return number


def _grey(looked_at: vtkMRMLVolumeNode, frames: VesselFrames, position: int) -> np.ndarray:
    """Copy a frame (Y, X) as grey."""
    cine = source_cine(looked_at, frames)
    volume = looked_at if cine is None else cine.frame(frames.numbers[position])
    voxels = voxels_of(volume.GetImageData())
    frame = np.moveaxis(voxels, 2 - AXES.index(frames.axis), 0)[frames.slice_at(position)]
    return np.array(frame if frame.ndim == 2 else luminance(frame), np.float64)
