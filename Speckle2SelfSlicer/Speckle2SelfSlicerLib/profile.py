"""Grey values along a line or curve, of several volumes in one plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import vtk
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.metrics import edge_rise_width_px
from Speckle2SelfLogic.overlay import luminance
from Speckle2SelfSlicerLib.charts import COLOURS, ChartTexts, Curve, show_curves
from Speckle2SelfSlicerLib.derived import CONTENT_ATTRIBUTE
from Speckle2SelfSlicerLib.planes import AXES, choose_axis
from Speckle2SelfSlicerLib.tables import Column, fill_table, table_for
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import UNCALIBRATED_SPACING_MM, ijk_to_ras_of, voxels_of, why_unsupported

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsNode, vtkMRMLPlotChartNode, vtkMRMLTableNode, vtkMRMLVolumeNode

Values = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]

LINE_CLASSES = ("vtkMRMLMarkupsLineNode", "vtkMRMLMarkupsCurveNode", "vtkMRMLMarkupsClosedCurveNode")
MOST_SAMPLES = 100_000
ROUNDING = 1e-6
"""Voxels by which a place may miss the edge of a volume through rounding."""


@dataclass(frozen=True, eq=False)
class Profile:
    """Grey values along a line, of one or more volumes."""

    line_name: str
    volume_names: tuple[str, ...]
    distances_mm: Values
    """Distances from the start of the line (N,), evenly apart; pixels if the spacing is not calibrated."""
    values: tuple[Values, ...]
    """Grey values (N,) of each volume as they are stored, luminance of colour; NaN outside of the volume."""
    edge_rise_mm: tuple[float | None, ...]
    """10-90 % rise of each profile by the core, None where it does not rise; in the unit of the distances."""
    is_calibrated: bool

    @property
    def step_mm(self) -> float:
        """Distance between neighbouring samples."""
        return float(self.distances_mm[1] - self.distances_mm[0])

    @property
    def unit(self) -> str:
        """Unit of the distances: ``"mm"`` or ``"px"``."""
        return "mm" if self.is_calibrated else "px"


def why_no_profile(line: vtkMRMLMarkupsNode | None) -> str:
    """Return one sentence that says why there is no profile along a line or curve, or nothing if there is."""
    if line is None:
        return _("Choose a line or curve across the wall first.")
    if line.GetClassName() not in LINE_CLASSES:
        return _("'{line}' is a {kind}; choose a line or a curve.").format(
            line=line.GetName(), kind=line.GetClassName()
        )
    if line.GetScene() is None:
        return _("The line '{line}' is no longer in the scene; choose another one.").format(line=line.GetName())
    if line.GetNumberOfDefinedControlPoints() < 2 or _lengths_mm(_path_ras(line))[-1] == 0:
        return _("The line '{line}' has no length; place two points first.").format(line=line.GetName())
    return ""


def profile_along(
    line: vtkMRMLMarkupsNode, volumes: Sequence[vtkMRMLVolumeNode], step_mm: float | None = None
) -> Profile:
    """Sample volumes along a line or curve by linear interpolation, at the same places in the world.

    Parent transforms of the line and of each volume are respected, also those that are not linear. A voxel reaches
    half a spacing from its centre: between the outermost centres and there, the outermost value holds, so that a frame
    of one slice can be sampled by a line that is not exactly in its plane. Beyond, values are NaN.

    Parameters
    ----------
    line
        Line, curve or closed curve.
    volumes
        Scalar or RGB volumes, the original first.
    step_mm
        Largest distance between samples; left out: half the smallest in-plane spacing of all volumes.

    Raises
    ------
    SettingsError
        If the line is missing or has no length, or the step is not positive or too small.
    UnsupportedImageError
        If a volume has no grey values.
    """
    if obstacle := why_no_profile(line):
        raise SettingsError(obstacle)
    for volume in volumes or [None]:
        if obstacle := why_unsupported(volume):
            raise UnsupportedImageError(obstacle)
    path_ras = _path_ras(line)
    lengths_mm = _lengths_mm(path_ras)
    spacings_mm = [_world_spacing_mm(volume) for volume in volumes]
    step = _default_step_mm(volumes, spacings_mm) if step_mm is None else step_mm
    distances_mm = np.linspace(0, lengths_mm[-1], _sample_count(lengths_mm[-1], step))
    places_ras = np.stack([np.interp(distances_mm, lengths_mm, path_ras[:, axis]) for axis in range(3)], axis=1)
    values = tuple(_sampled(volume, places_ras) for volume in volumes)
    return Profile(
        line.GetName(),
        _unique([volume.GetName() for volume in volumes]),
        distances_mm,
        values,
        tuple(_edge_rise_mm(each, distances_mm[1]) for each in values),
        is_calibrated=not any(np.allclose(each[:2], UNCALIBRATED_SPACING_MM, rtol=ROUNDING) for each in spacings_mm),
    )


def profile_table(
    profile: Profile, original: vtkMRMLVolumeNode, table: vtkMRMLTableNode | None = None
) -> vtkMRMLTableNode:
    """Write a profile into a table: distance, and a column for each volume.

    Parameters
    ----------
    profile
        What was sampled.
    original
        The volume beside which a new table is placed.
    table
        The table to fill anew; left out, or no longer in the scene: a new one.
    """
    table = table_for(original, f"{profile.line_name}: profile values", table)
    columns = [Column(_distance_column(profile), list(profile.distances_mm), profile.unit, title="Distance")]
    columns += [Column(name, list(each)) for name, each in zip(profile.volume_names, profile.values, strict=True)]
    table.SetAttribute(CONTENT_ATTRIBUTE, f"profile along '{profile.line_name}'")
    fill_table(table, columns)
    return table


def profile_plot(
    profile: Profile, table: vtkMRMLTableNode, chart: vtkMRMLPlotChartNode | None = None
) -> vtkMRMLPlotChartNode:
    """Show a profile as a chart with a curve for each volume.

    Parameters
    ----------
    profile
        What was sampled.
    table
        Its table.
    chart
        The chart to change; left out, or no longer in the scene: a new one beside the table.
    """
    curves = [
        Curve(name, f"{profile.line_name}: {name}", COLOURS[number % len(COLOURS)])
        for number, name in enumerate(profile.volume_names)
    ]
    distance = _distance_column(profile)
    along = distance if profile.is_calibrated else _("{distance}, spacing not calibrated").format(distance=distance)
    title = _("{line}: profile").format(line=profile.line_name)
    return show_curves(table, distance, curves, title, ChartTexts(title, along, _("Grey value")), chart)


def _distance_column(profile: Profile) -> str:
    return f"Distance ({profile.unit})"


def _path_ras(line: vtkMRMLMarkupsNode) -> Points:
    """Return the corners (N, 3) of a line or curve in the world."""
    if line.GetClassName() == "vtkMRMLMarkupsLineNode":
        place = [0.0, 0.0, 0.0]
        corners = []
        for number in range(line.GetNumberOfDefinedControlPoints()):
            line.GetNthControlPointPositionWorld(number, place)
            corners.append(tuple(place))
        return np.array(corners)
    points = line.GetCurvePointsWorld()
    return np.array([points.GetPoint(number) for number in range(points.GetNumberOfPoints())])


def _lengths_mm(path_ras: Points) -> Values:
    """Return the distance (N,) of each corner from the start, along the path."""
    return np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(path_ras, axis=0), axis=1))))


def _sample_count(length_mm: float, step_mm: float) -> int:
    if not (math.isfinite(step_mm) and step_mm > 0):
        message = _("The step must be above zero, but is {step}.").format(step=step_mm)
        raise SettingsError(message)
    count = max(2, math.ceil(length_mm / step_mm - ROUNDING) + 1)
    if count > MOST_SAMPLES:
        message = _("A line of {length:g} mm in steps of {step:g} mm has too many samples; use larger steps.").format(
            length=length_mm, step=step_mm
        )
        raise SettingsError(message)
    return count


def _world_spacing_mm(volume: vtkMRMLVolumeNode) -> tuple[float, ...]:
    """Return the spacing along I, J, K in the world: a linear parent transform may hold the scale of a live image."""
    matrix, to_world = ijk_to_ras_of(volume), vtk.vtkMatrix4x4()
    parent = volume.GetParentTransformNode()
    if parent is not None and parent.GetMatrixTransformToWorld(to_world):
        vtk.vtkMatrix4x4.Multiply4x4(to_world, matrix, matrix)
    return tuple(math.hypot(*(matrix.GetElement(row, column) for row in range(3))) for column in range(3))


def _default_step_mm(volumes: Sequence[vtkMRMLVolumeNode], spacings_mm: Sequence[tuple[float, ...]]) -> float:
    in_plane_mm = [
        step
        for volume, spacing_mm in zip(volumes, spacings_mm, strict=True)
        for axis, step in zip(AXES, spacing_mm, strict=True)
        if axis != choose_axis(volume).axis
    ]
    return min(in_plane_mm) / 2


def _sampled(volume: vtkMRMLVolumeNode, places_ras: Points) -> Values:
    """Return grey values (N,) at places (N, 3) in the world."""
    kji = _voxel_places(volume, places_ras)
    voxels = voxels_of(volume.GetImageData())
    last = np.array(voxels.shape[:3]) - 1
    is_inside = ((kji >= -0.5 - ROUNDING) & (kji <= last + 0.5 + ROUNDING)).all(axis=1)
    channels = [voxels] if voxels.ndim == 3 else [voxels[..., channel] for channel in range(3)]
    sampled = [ndimage.map_coordinates(each, kji.T, np.float64, order=1, mode="nearest") for each in channels]
    grey = sampled[0] if len(sampled) == 1 else luminance(np.stack(sampled, axis=-1))
    return np.where(is_inside, grey, np.nan)


def _voxel_places(volume: vtkMRMLVolumeNode, places_ras: Points) -> Points:
    """Return places in the world as places (N, 3) in the array of voxels, slice first."""
    ras_to_ijk = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(ras_to_ijk)
    extent = volume.GetImageData().GetExtent()
    ijk = np.empty_like(places_ras)
    local = [0.0, 0.0, 0.0]
    for number, place in enumerate(places_ras):
        volume.TransformPointFromWorld(place, local)
        ijk[number] = ras_to_ijk.MultiplyPoint((*local, 1.0))[:3]
    return (ijk - extent[::2])[:, ::-1]


def _edge_rise_mm(values: Values, step_mm: float) -> float | None:
    """Return the 10-90 % rise of the part of a profile that is inside the volume."""
    inside = np.flatnonzero(np.isfinite(values))
    if inside.size < 2 or inside[-1] - inside[0] + 1 != inside.size:
        return None
    width_px = edge_rise_width_px(values[inside])
    return None if width_px is None else float(width_px * step_mm)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of which none is used twice."""
    unique: list[str] = []
    for name in (name or _("unnamed") for name in names):
        count = 2
        candidate = name
        while candidate in unique:
            candidate, count = f"{name} ({count})", count + 1
        unique.append(candidate)
    return tuple(unique)
