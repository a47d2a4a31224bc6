"""Charts where the user sees them."""

from __future__ import annotations

import slicer


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart in a layout that has a plot view, if there are views at all."""
    if slicer.app.layoutManager() is not None:
        slicer.modules.plots.logic().ShowChartInLayout(chart)
