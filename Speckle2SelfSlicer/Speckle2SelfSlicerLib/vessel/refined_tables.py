"""Widths of a refined line over a cine, as a table and as a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.charts import COLOURS, ChartTexts, Curve, show_curves
from Speckle2SelfSlicerLib.tables import FRAME_COLUMN, NOTES_ATTRIBUTE, Column, fill_table, table_for
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.measure_tables import TIME_COLUMN, with_unit
from Speckle2SelfSlicerLib.vessel.own_nodes import claim, own_node

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsNode, vtkMRMLPlotChartNode, vtkMRMLTableNode

    from Speckle2SelfSlicerLib.vessel.refining import RefineResult

CHART = "refined width"


def widths_table(result: RefineResult, line: vtkMRMLMarkupsNode, title: str) -> vtkMRMLTableNode:
    """Write the width in each frame into a new table."""
    frames, widths = result.frames, [each.width for each in result.calipers]
    unit = widths[0].unit
    columns = [Column(FRAME_COLUMN, list(frames.shown_numbers))]
    if frames.times_s is not None:
        columns.append(Column(TIME_COLUMN, list(frames.times_s)))
    columns += [
        Column(with_unit(title, unit), [each.value for each in widths], unit),
        Column(with_unit(f"{title} \u00b1", unit), [each.uncertainty for each in widths], unit),
        Column("Agreement of profiles", [each.quality for each in result.calipers]),
        Column("Notes", [each.reason for each in widths]),
    ]
    table = table_for(line, f"{line.GetName()} (Speckle2Self widths)", None)
    claim(table, line, "refined widths")
    table.SetAttribute(NOTES_ATTRIBUTE, _("Research use only. \u00b1 is one standard uncertainty."))
    fill_table(table, columns)
    return table


def width_plot(
    result: RefineResult, table: vtkMRMLTableNode, line: vtkMRMLMarkupsNode, title: str
) -> vtkMRMLPlotChartNode:
    """Show the width over frames or time."""
    column = with_unit(title, result.calipers[0].width.unit)
    x_column = FRAME_COLUMN if result.frames.times_s is None else TIME_COLUMN
    texts = ChartTexts(_("{title}, research use only").format(title=title), x_column, column)
    curves = [Curve(column, f"{line.GetName()}: {column}", COLOURS[0])]
    chart = show_curves(table, x_column, curves, f"{line.GetName()} (Speckle2Self)", texts)
    claim(chart, line, CHART)
    return chart


def chart_of(line: vtkMRMLMarkupsNode) -> vtkMRMLPlotChartNode | None:
    """Return the plot of a refined line."""
    return own_node(line, "vtkMRMLPlotChartNode", CHART)
