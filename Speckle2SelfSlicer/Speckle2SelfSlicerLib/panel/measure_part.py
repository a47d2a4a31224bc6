"""Segment and measure: the choice of segments, "Measure", and the figures of the frame in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt

from Speckle2SelfLogic.geometry import FrameMeasurement
from Speckle2SelfSlicerLib.panel.charts_in_layout import show_chart
from Speckle2SelfSlicerLib.panel.segment_choice import NO_SEGMENT, SegmentChoice
from Speckle2SelfSlicerLib.parameters import VesselView
from Speckle2SelfSlicerLib.sequences import cine_of
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.masks import why_no_segments
from Speckle2SelfSlicerLib.vessel.measure_tables import title_of
from Speckle2SelfSlicerLib.vessel.measuring import MeasureRequest, MeasureResult
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel
    from Speckle2SelfSlicerLib.panel.vessel_section import VesselSection


class MeasurePart:
    """What is measured, and what came out."""

    def __init__(self, panel: Panel, section: VesselSection) -> None:
        self._panel, self._section = panel, section
        self._result: MeasureResult | None = None
        ui = panel.ui
        self._lumen = SegmentChoice(
            ui.lumenSegmentLabel, ui.lumenSegmentComboBox, self._on_lumen, likely=("lumen", "blood")
        )
        self._wall = SegmentChoice(
            ui.wallSegmentLabel,
            ui.wallSegmentComboBox,
            self._on_wall,
            likely=("wall", "intima", "media"),
            none_text=_("None"),
        )
        ui.vesselMeasureButton.connect("clicked(bool)", lambda _checked=False: self.measure())

    @property
    def has_figures(self) -> bool:
        """Whether there are figures that follow the frame in view."""
        return self._result is not None

    def refresh(self) -> None:
        """Allow what there is a segmentation for."""
        ui, parameters = self._panel.ui, self._panel.parameters
        self._lumen.show(parameters.vesselSegmentation, parameters.lumenSegment)
        self._wall.show(parameters.vesselSegmentation, parameters.wallSegment)
        ui.distalEndLabel.visible = ui.distalEndComboBox.visible = parameters.vesselView is VesselView.LONGITUDINAL
        is_stack = parameters.vesselView is VesselView.TRANSVERSE and parameters.vesselAllFrames
        ui.normalSlicesLabel.visible = ui.normalSlicesComboBox.visible = is_stack
        obstacle = self._obstacle()
        ui.vesselMeasureButton.enabled = not obstacle and not self._section.is_busy
        ui.vesselMeasureButton.toolTip = obstacle or _(
            "Measure the lumen, and the wall if there is one, into a table and a plot, and draw what was measured."
        )
        if self._result is not None and self._result.figures.request.volume is not self._panel.volume:
            self.forget()

    def measure(self) -> None:
        """Measure the chosen segments."""
        panel, parameters = self._panel, self._panel.parameters
        if self._obstacle():
            panel.refresh()
            return
        self._section.start(lambda: panel.engine.measure_vessel(self._request()), self._show)
        parameters.vesselSegmentation.CreateDefaultDisplayNodes()

    def show_frame_in_view(self) -> None:
        """Fill the table of the panel with the figures of the frame in view, and draw what follows slices."""
        if self._result is None or self._panel.volume is None or why_unsupported(self._panel.volume):
            return
        frames, cine = self._result.figures.frames, cine_of(self._panel.volume)
        number = self._section.shown if frames.cine is None else cine.frame_number if cine is not None else -1
        self._result.drawing.show(number)
        is_measured = number in frames.numbers
        self._fill(self._result.figures.measured[frames.numbers.index(number)] if is_measured else None)

    def forget(self) -> None:
        """Let go of figures; their nodes stay in the scene."""
        self._result = None
        self._panel.ui.vesselTable.visible = False

    def _request(self) -> MeasureRequest:
        parameters = self._panel.parameters
        return MeasureRequest(
            self._panel.volume,
            parameters.vesselSegmentation,
            parameters.lumenSegment,
            "" if parameters.wallSegment == NO_SEGMENT else parameters.wallSegment,
            parameters.vesselView.value,
            parameters.vesselAllFrames,
            self._panel.request().axis,
            self._section.shown,
            parameters.distalEnd.value,
            parameters.normalSlices.value or None,
        )

    def _obstacle(self) -> str:
        parameters = self._panel.parameters
        if obstacle := why_unsupported(self._panel.volume) or why_no_segments(parameters.vesselSegmentation):
            return obstacle
        if parameters.lumenSegment == parameters.wallSegment:
            return _("Choose two different segments for lumen and wall, or no wall.")
        return "" if parameters.lumenSegment else _("Choose the segment of the lumen first.")

    def _show(self, result: MeasureResult) -> str:
        self._result = result
        self._section.keep(result.table)
        if result.chart is not None:
            show_chart(result.chart)
        self.show_frame_in_view()
        return describe(result)

    def _fill(self, measured: FrameMeasurement | None) -> None:
        """Show the figures that there are, and why the others are absent as tool tips."""
        view = self._panel.ui.vesselTable
        rows = [] if measured is None else list(measured.measures().items())
        view.setRowCount(len(rows))
        view.setColumnCount(2)
        view.setHorizontalHeaderLabels([_("Figure"), _("Value")])
        view.verticalHeader().setVisible(False)
        for number, (name, measure) in enumerate(rows):
            texts = title_of(name), _("not measured") if measure.value is None else str(measure)
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(measure.reason or _("Value \u00b1 standard uncertainty."))
                view.setItem(number, column, item)
        view.resizeColumnsToContents()
        view.visible = True

    def _on_lumen(self, segment_id: str) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.lumenSegment = segment_id

    def _on_wall(self, segment_id: str) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.wallSegment = segment_id


def describe(result: MeasureResult) -> str:
    """Return in a few sentences what was measured, what is missing, and what not to trust."""
    figures = result.figures
    found = [each for each in figures.measured if each.diameter.value is not None]
    text = _("{count} of {total} frames of '{name}' were measured; figures are in the table '{table}'.")
    sentences = [
        text.format(
            count=len(found),
            total=len(figures.measured),
            name=figures.request.segmentation.GetName(),
            table=result.table.GetName(),
        ),
        result.note,
    ]
    if result.summary is not None:
        sentences += [
            f"{title_of(name)}: {measure}."
            for name, measure in figures.curve.measures().items()
            if measure.value is not None
        ]
    if figures.stenosis is not None:
        sentences += [f"{title_of('area_stenosis')}: {figures.stenosis.percent}."]
        sentences += [f"{note}." for note in figures.stenosis.notes]
    if figures.frames.spacing_mm is None:
        sentences.append(_("Not calibrated: lengths are in pixels."))
    if doubtful := sum(bool(remark) for remark in figures.remarks):
        sentences.append(_("DO NOT TRUST the first contour in {count} frames.").format(count=doubtful))
    if notes := list(dict.fromkeys(note for each in figures.measured for note in each.notes)):
        sentences.append("; ".join(notes[:3]) + ".")
    return " ".join(sentence for sentence in sentences if sentence)
