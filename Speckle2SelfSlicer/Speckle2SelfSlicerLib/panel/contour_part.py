"""Segment and measure: "First contour"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from Speckle2SelfSlicerLib.parameters import Domain, VesselImage
from Speckle2SelfSlicerLib.request import MethodRequest
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.first_contour import ContourRequest, ContourResult
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel
    from Speckle2SelfSlicerLib.panel.vessel_section import VesselSection


class ContourPart:
    """The button that makes a first contour."""

    def __init__(self, panel: Panel, section: VesselSection) -> None:
        self._panel, self._section = panel, section
        panel.ui.contourButton.connect("clicked(bool)", lambda _checked=False: self.make())

    def refresh(self) -> None:
        """Allow what there is an image for."""
        button, obstacle = self._panel.ui.contourButton, why_no_image(self._panel)
        button.enabled = not obstacle and not self._section.is_busy
        button.toolTip = obstacle or _(
            "Let the network find lumen and wall, into a new segmentation with the geometry of the original, to be "
            "corrected in Segment Editor."
        )

    def make(self) -> None:
        """Make a first contour."""
        panel = self._panel
        if why_no_image(panel):
            panel.refresh()
            return
        try:
            if not panel.prepare(MethodRequest(device=panel.method.how().device)):
                return
        except Exception as error:
            panel.fail(error)
            return
        self._section.start(lambda: panel.engine.first_contour(self._request()), self._show)

    def _request(self) -> ContourRequest:
        panel = self._panel
        original, looked_at = images(panel)
        device = panel.method.how().device
        return ContourRequest(
            original,
            looked_at,
            lambda: panel.engine.segmenter(device),
            panel.parameters.vesselAllFrames,
            panel.request().axis,
            self._section.shown,
        )

    def _show(self, result: ContourResult) -> str:
        parameters = self._panel.parameters
        parameters.vesselSegmentation = result.segmentation
        parameters.lumenSegment, parameters.wallSegment = "Lumen", "Wall"
        return result.sentence


def images(panel: Panel) -> tuple[slicer.vtkMRMLVolumeNode, slicer.vtkMRMLVolumeNode]:
    """Return the original, and the image in which contours and walls are looked for."""
    pair = panel.compare.pair()
    if pair is None:
        return panel.volume, panel.volume
    original, despeckled = pair
    return original, despeckled if panel.parameters.vesselImage is VesselImage.DESPECKLED else original


def why_no_image(panel: Panel) -> str:
    """Return one sentence that says why the chosen image is not there, or nothing if it is."""
    if obstacle := why_unsupported(panel.volume):
        return obstacle
    if panel.parameters.domain is Domain.ENVELOPE:
        return _("Walls are looked for in B-mode images; convert the linear envelope to B-mode first.")
    if panel.parameters.vesselImage is VesselImage.DESPECKLED and panel.compare.pair() is None:
        return _("Press Apply first: there is no despeckled image yet. Or choose the original as image.")
    return ""
