"""Segment and measure: "Compare segmentations"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.panel.segment_choice import SegmentChoice
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.comparing import CompareRequest, CompareResult
from Speckle2SelfSlicerLib.vessel.masks import why_no_segments
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel
    from Speckle2SelfSlicerLib.panel.vessel_section import VesselSection


class AgreementPart:
    """The second segmentation, and the button that compares the lumen of the first one with it."""

    def __init__(self, panel: Panel, section: VesselSection) -> None:
        self._panel, self._section = panel, section
        ui = panel.ui
        self._segment = SegmentChoice(
            ui.otherSegmentLabel, ui.otherSegmentComboBox, self._on_segment, likely=("lumen", "blood")
        )
        ui.agreementButton.connect("clicked(bool)", lambda _checked=False: self.compare())

    def refresh(self) -> None:
        """Allow what there are two segmentations for."""
        parameters, button = self._panel.parameters, self._panel.ui.agreementButton
        self._segment.show(parameters.otherSegmentation, parameters.otherSegment)
        obstacle = self._obstacle()
        button.enabled = not obstacle and not self._section.is_busy
        button.toolTip = obstacle or _(
            "Dice, 95 % Hausdorff distance and area difference of the lumen and this segment, frame by frame."
        )

    def compare(self) -> None:
        """Compare the two segments."""
        if self._obstacle():
            self._panel.refresh()
            return
        self._section.start(lambda: self._panel.engine.compare_segments(self._request()), self._show)

    def _request(self) -> CompareRequest:
        parameters = self._panel.parameters
        return CompareRequest(
            self._panel.volume,
            parameters.vesselSegmentation,
            parameters.lumenSegment,
            parameters.otherSegmentation,
            parameters.otherSegment,
            parameters.vesselAllFrames,
            self._panel.request().axis,
            self._section.shown,
        )

    def _obstacle(self) -> str:
        parameters = self._panel.parameters
        if parameters.otherSegmentation is None:
            return _("Choose a second segmentation to compare with.")
        return (
            why_unsupported(self._panel.volume)
            or why_no_segments(parameters.vesselSegmentation)
            or why_no_segments(parameters.otherSegmentation)
        )

    def _show(self, result: CompareResult) -> str:
        self._section.keep(result.table)
        return result.sentence

    def _on_segment(self, segment_id: str) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.otherSegment = segment_id
