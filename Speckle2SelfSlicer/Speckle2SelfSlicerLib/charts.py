"""Columns of a table as curves of a plot chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfSlicerLib.tables import FRAME_COLUMN, column_name, figure_title, figures_in
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import place_beside

if TYPE_CHECKING:
    from slicer import vtkMRMLPlotChartNode, vtkMRMLPlotSeriesNode, vtkMRMLTableNode

Colour = tuple[float, float, float]

GREY: Colour = (0.5, 0.5, 0.5)
COLOURS: tuple[Colour, ...] = (
    (0.0, 0.45, 0.70),
    (0.84, 0.37, 0.0),
    (0.0, 0.62, 0.45),
    (0.8, 0.47, 0.65),
    (0.9, 0.62, 0.0),
    (0.34, 0.71, 0.91),
)
"""Colours that also the colour-blind can tell apart (Okabe and Ito 2008)."""
LINE_WIDTH = 2.0


@dataclass(frozen=True)
class Curve:
    """One curve of a chart: a column of the table, its name in the legend, and how it is drawn."""

    column: str
    name: str
    colour: Colour
    is_dashed: bool = False


@dataclass(frozen=True)
class ChartTexts:
    """What is written on a chart."""

    title: str
    x_axis: str
    y_axis: str


def plot_over_frames(
    table: vtkMRMLTableNode, figure_names: Sequence[str], chart: vtkMRMLPlotChartNode | None = None
) -> vtkMRMLPlotChartNode:
    """Show figures over frames: the input's dashed and grey, the output's solid and in colour.

    Parameters
    ----------
    table
        A table of `tables.frames_table`.
    figure_names
        Names of figures, of `tables.figures_in`.
    chart
        The chart to change; left out, or no longer in the scene: a new one beside the table.

    Raises
    ------
    SettingsError
        If the table does not have one of the figures, or none is named.
    """
    known = figures_in(table)
    missing = [name for name in figure_names if name not in known]
    if missing or not figure_names:
        message = _("The table '{table}' has no figure '{name}'; choose from {known}.").format(
            table=table.GetName(), name=missing[0] if missing else "", known=", ".join(known) or _("none")
        )
        raise SettingsError(message)
    curves = []
    for number, name in enumerate(figure_names):
        for which, colour in (("input", GREY), ("output", COLOURS[number % len(COLOURS)])):
            column = column_name(name, which)
            curves.append(Curve(column, column, colour, is_dashed=which == "input"))
    title = ", ".join(figure_title(name) for name in figure_names)
    return show_curves(
        table, FRAME_COLUMN, curves, table.GetName(), ChartTexts(table.GetName(), FRAME_COLUMN, title), chart
    )


def show_curves(
    table: vtkMRMLTableNode,
    x_column: str,
    curves: Sequence[Curve],
    name: str,
    texts: ChartTexts,
    chart: vtkMRMLPlotChartNode | None = None,
) -> vtkMRMLPlotChartNode:
    """Show columns of a table as curves of a chart, whose series nodes are used again.

    Parameters
    ----------
    table
        Where the numbers are.
    x_column
        Name of the column along the horizontal axis.
    curves
        What to draw.
    name
        Name of a new chart.
    texts
        What to write on it.
    chart
        The chart to change; left out, or no longer in the scene: a new one beside the table.
    """
    if chart is None or chart.GetScene() is None:
        scene = table.GetScene()
        chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", scene.GenerateUniqueName(name))
        place_beside(chart, table)
    was_modifying = chart.StartModify()
    series = _series_of(chart, len(curves), table)
    for node, curve in zip(series, curves, strict=True):
        _draw(node, table, x_column, curve)
    chart.RemoveAllPlotSeriesNodeIDs()
    for node in series:
        chart.AddAndObservePlotSeriesNodeID(node.GetID())
    chart.SetTitle(texts.title)
    chart.SetXAxisTitle(texts.x_axis)
    chart.SetYAxisTitle(texts.y_axis)
    chart.EndModify(was_modifying)
    return chart


def _series_of(chart: vtkMRMLPlotChartNode, count: int, table: vtkMRMLTableNode) -> list[vtkMRMLPlotSeriesNode]:
    """Return as many series nodes as are needed: those of the chart first; those beyond leave the scene."""
    scene = chart.GetScene()
    own = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    own = [node for node in own if node is not None]
    for surplus in own[count:]:
        scene.RemoveNode(surplus)
    while len(own) < count:
        node = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode")
        place_beside(node, table)
        own.append(node)
    return own[:count]


def _draw(series: vtkMRMLPlotSeriesNode, table: vtkMRMLTableNode, x_column: str, curve: Curve) -> None:
    was_modifying = series.StartModify()
    series.SetName(curve.name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName(x_column)
    series.SetYColumnName(curve.column)
    series.SetPlotType(series.PlotTypeScatter)
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetLineStyle(series.LineStyleDash if curve.is_dashed else series.LineStyleSolid)
    series.SetLineWidth(LINE_WIDTH)
    series.SetColor(*curve.colour)
    series.EndModify(was_modifying)
