"""Quality: figures of the slice in view or of all slices, in tables, a plot, and a file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import qt
import slicer

from Speckle2SelfSlicerLib.charts import plot_over_frames
from Speckle2SelfSlicerLib.frame_pairs import are_cines, frame_pairs
from Speckle2SelfSlicerLib.layers import first_view
from Speckle2SelfSlicerLib.panel.charts_in_layout import show_chart
from Speckle2SelfSlicerLib.panel.labels import set_text
from Speckle2SelfSlicerLib.panel.segment_choice import SegmentChoice
from Speckle2SelfSlicerLib.planes import slice_shown
from Speckle2SelfSlicerLib.quality import FiguresJob, FiguresOverFrames
from Speckle2SelfSlicerLib.regions import region_mask, why_unusable
from Speckle2SelfSlicerLib.sequences import cine_of
from Speckle2SelfSlicerLib.tables import figures_in, frames_table, quality_table, write_csv
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel

BUDGET_S = 0.02
PLOTTED = ("snr", "homogeneity")
"""What the plot over frames shows: the first of these that was measured."""


class QualitySection:
    """The section "Quality"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._job: FiguresJob | None = None
        self._is_over_frames = False
        self._original: slicer.vtkMRMLVolumeNode | None = None
        self._slice_table: slicer.vtkMRMLTableNode | None = None
        self._frames_table: slicer.vtkMRMLTableNode | None = None
        self._chart: slicer.vtkMRMLPlotChartNode | None = None
        self._latest: slicer.vtkMRMLTableNode | None = None
        ui = panel.ui
        self._segment = SegmentChoice(ui.qualitySegmentLabel, ui.qualitySegmentComboBox, self._on_segment)
        self._tissue = SegmentChoice(ui.tissueSegmentLabel, ui.tissueSegmentComboBox, self._on_tissue)
        ui.measureButton.connect("clicked(bool)", lambda _checked=False: self.measure_slice())
        ui.measureAllButton.connect("clicked(bool)", lambda _checked=False: self.measure_all())
        ui.exportButton.connect("clicked(bool)", lambda _checked=False: self.export())

    @property
    def is_busy(self) -> bool:
        """Whether figures are being taken."""
        return self._job is not None

    def refresh(self) -> None:
        """Allow what there is a result and a usable region for."""
        ui, parameters = self._panel.ui, self._panel.parameters
        if parameters is None:
            return
        self._segment.show(parameters.qualityRegion, parameters.qualitySegment)
        self._tissue.show(parameters.tissueRegion, parameters.tissueSegment)
        obstacle = self._obstacle()
        ui.measureButton.enabled = not obstacle and not self.is_busy
        ui.measureAllButton.enabled = self.is_busy or not obstacle
        ui.measureAllButton.text = _("Cancel") if self.is_busy else _("Measure all")
        ui.measureButton.toolTip = obstacle or _("Figures of the slice in view, input against output, in a table.")
        ui.measureAllButton.toolTip = obstacle or _("Figures of every slice or frame in a table, and a plot.")
        ui.exportButton.enabled = self._latest is not None and self._latest.GetScene() is not None

    def measure_slice(self) -> None:
        """Measure the slice in view."""
        self._start(over_frames=False)

    def measure_all(self) -> None:
        """Measure all slices or frames, or stop doing so."""
        if self.is_busy:
            self.stop()
            self._panel.say(_("Measuring was cancelled."))
            return
        self._start(over_frames=True)

    def export(self) -> None:
        """Save the table that was filled last."""
        name = f"{self._latest.GetName()}.csv"
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save figures"), name, _("Comma-separated values (*.csv)")
        )
        if not path:
            return
        try:
            write_csv(self._latest, path, overwrite=True)  # the dialog has asked
        except Exception as error:
            self._panel.fail(error)
            return
        self._panel.say(_("Figures were written to '{path}'.").format(path=path))

    def tick(self) -> bool:
        """Measure for some milliseconds; return whether there is more to do."""
        if self._job is None:
            return False
        deadline = time.perf_counter() + BUDGET_S
        try:
            while time.perf_counter() < deadline:
                done, total = next(self._job)
                set_text(
                    self._panel.ui.qualityInfoLabel, _("Measured {done} of {total}.").format(done=done, total=total)
                )
        except StopIteration:
            job, self._job = self._job, None
            self._end(job.result)
        except Exception as error:
            self._job = None
            self._panel.fail(error)
        if self._job is None:
            self.refresh()
        return self._job is not None

    def stop(self) -> None:
        """Let go of what is being measured."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
            set_text(self._panel.ui.qualityInfoLabel, "")
        self.refresh()

    def _obstacle(self) -> str:
        pair, parameters = self._panel.compare.pair(), self._panel.parameters
        if pair is None:
            return _("Press Apply first: there is no result of this input yet.")
        for region, segment_id in self._regions():
            if region is not None and (obstacle := why_unusable(region, segment_id, pair[0])):
                return obstacle
        if parameters.tissueRegion is not None and parameters.qualityRegion is None:
            return _("Choose a region, too, that the tissue is to be contrasted with.")
        return ""

    def _regions(self) -> tuple[tuple[slicer.vtkMRMLNode | None, str], ...]:
        """Return region and tissue, each with its segment."""
        parameters = self._panel.parameters
        chosen = (
            (parameters.qualityRegion, parameters.qualitySegment),
            (parameters.tissueRegion, parameters.tissueSegment),
        )
        return tuple(
            (region, segment_id if region is not None and region.IsA("vtkMRMLSegmentationNode") else "")
            for region, segment_id in chosen
        )

    def _start(self, *, over_frames: bool) -> None:
        panel, pair = self._panel, self._panel.compare.pair()
        if pair is None:  # another frame is shown since the button was allowed
            panel.refresh()
            return
        original, result = pair
        axis = panel.request().axis
        try:
            region, tissue = (
                None if node is None else region_mask(node, original, segment_id)
                for node, segment_id in self._regions()
            )
            whole = over_frames and are_cines(original, result)
            pairs = frame_pairs(original, result, slice_axis=axis, whole_sequence=whole, region=region, tissue=tissue)
            if not over_frames and len(pairs) > 1:
                pairs = pairs.only(slice_shown(original, axis, first_view(slicer.mrmlScene)))
            self._job = panel.engine.measure(pairs)
        except Exception as error:
            panel.fail(error)
            return
        self._original, self._is_over_frames = original, over_frames
        self.refresh()
        panel.wake()

    def _end(self, figures: FiguresOverFrames) -> None:
        if self._original.GetScene() is None:
            return
        if self._is_over_frames:
            self._latest = self._frames_table = frames_table(self._original, figures, self._frames_table)
            known = figures_in(self._frames_table)
            plotted = next((name for name in PLOTTED if name in known), known[0])
            self._chart = plot_over_frames(self._frames_table, [plotted], self._chart)
            show_chart(self._chart)
            sentence = _("Figures of {count} frames are in the table '{table}'.").format(
                count=len(figures.frames), table=self._frames_table.GetName()
            )
            if figures.flicker is not None:
                sentence += " " + _("Flicker of brightness: {value:.2g}.").format(
                    value=figures.flicker.output.brightness_flicker
                )
        else:
            self._latest = self._slice_table = quality_table(self._original, figures.frames[0], table=self._slice_table)
            self._fill_view(self._slice_table)
            what = (
                _("Figures of slice {number}.") if cine_of(self._original) is None else _("Figures of frame {number}.")
            )
            sentence = what.format(number=figures.frames[0].number)
        set_text(self._panel.ui.qualityInfoLabel, " ".join([sentence, *figures.notes]))
        self._panel.log.add(sentence)

    def _fill_view(self, table: slicer.vtkMRMLTableNode) -> None:
        """Show the figures that are there, with their meaning as tool tips."""
        view, content = self._panel.ui.qualityTable, table.GetTable()
        columns = [content.GetColumnByName(name) for name in ("Figure", "Unit", "Input", "Output", "Better", "Meaning")]
        rows = [[column.GetValue(row) for column in columns] for row in range(content.GetNumberOfRows())]
        rows = [row for row in rows if row[2] or row[3]]
        view.setRowCount(len(rows))
        view.setColumnCount(3)
        view.setHorizontalHeaderLabels([_("Figure"), _("Input"), _("Output")])
        view.verticalHeader().setVisible(False)
        for number, (figure, unit, before, after, better, meaning) in enumerate(rows):
            title = f"{figure} ({unit})" if unit else figure
            tip = f"{meaning} " + {"higher": _("Higher is better."), "lower": _("Lower is better.")}.get(better, "")
            for column, text in enumerate((title, _short(before), _short(after))):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(tip)
                view.setItem(number, column, item)
        view.resizeColumnsToContents()
        view.visible = True

    def _on_tissue(self, segment_id: str) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.tissueSegment = segment_id

    def _on_segment(self, segment_id: str) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.qualitySegment = segment_id


def _short(number: str) -> str:
    """Return a number of a table with three digits, and nothing for an absent one."""
    return f"{float(number):.3g}" if number else ""
