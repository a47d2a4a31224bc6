"""Segment and measure: "Refine line"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.panel.charts_in_layout import show_chart
from Speckle2SelfSlicerLib.panel.contour_part import images, why_no_image
from Speckle2SelfSlicerLib.panel.placing import place_points
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.refined_tables import chart_of
from Speckle2SelfSlicerLib.vessel.refining import RefineRequest, RefineResult, why_no_caliper

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel
    from Speckle2SelfSlicerLib.panel.vessel_section import VesselSection


class RefinePart:
    """The line that was placed by hand, and the button that refines it."""

    def __init__(self, panel: Panel, section: VesselSection) -> None:
        self._panel, self._section = panel, section
        panel.ui.refineButton.connect("clicked(bool)", lambda _checked=False: self.refine())
        panel.ui.caliperLineSelector.connect("nodeAddedByUser(vtkMRMLNode*)", place_points)

    def refresh(self) -> None:
        """Allow what there is a line and an image for."""
        button, obstacle = self._panel.ui.refineButton, self._obstacle()
        button.enabled = not obstacle and not self._section.is_busy
        button.toolTip = obstacle or _(
            "Look for the two walls near the ends of the line, and add a new line between them. Your line stays."
        )

    def refine(self) -> None:
        """Refine the line."""
        if self._obstacle():
            self._panel.refresh()
            return
        self._section.start(lambda: self._panel.engine.refine_line(self._request()), self._show)

    def _request(self) -> RefineRequest:
        parameters = self._panel.parameters
        original, looked_at = images(self._panel)
        return RefineRequest(
            original,
            looked_at,
            parameters.caliperLine,
            parameters.caliperKind.value,
            parameters.vesselAllFrames,
            self._panel.request().axis,
        )

    def _obstacle(self) -> str:
        return why_no_image(self._panel) or why_no_caliper(self._panel.parameters.caliperLine)

    def _show(self, result: RefineResult) -> str:
        if result.table is not None:
            self._section.keep(result.table)
            show_chart(chart_of(result.line))
        return result.sentence
