"""Segment and measure: one job at a time, what it says, and the table of the frame in view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk

from Speckle2SelfSlicerLib.layers import first_view
from Speckle2SelfSlicerLib.pair import NodeLink
from Speckle2SelfSlicerLib.panel.agreement_part import AgreementPart
from Speckle2SelfSlicerLib.panel.contour_part import ContourPart
from Speckle2SelfSlicerLib.panel.labels import set_text
from Speckle2SelfSlicerLib.panel.measure_part import MeasurePart
from Speckle2SelfSlicerLib.panel.refine_part import RefinePart
from Speckle2SelfSlicerLib.planes import slice_shown
from Speckle2SelfSlicerLib.tables import write_csv
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.job import Job

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel


class VesselSection:
    """The section "Segment and measure"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._job: Job[Any] | None = None
        self._on_done: Callable[[Any], str] | None = None
        self._latest = NodeLink(None)
        self._view: vtk.vtkObject | None = None
        self._is_stale = False
        self.measuring = MeasurePart(panel, self)
        self._parts = (
            ContourPart(panel, self),
            self.measuring,
            RefinePart(panel, self),
            AgreementPart(panel, self),
        )
        panel.ui.vesselExportButton.connect("clicked(bool)", lambda _checked=False: self.export())
        panel.ui.vesselCancelButton.connect("clicked(bool)", lambda _checked=False: self.cancel())

    @property
    def is_busy(self) -> bool:
        """Whether a job is on its way."""
        return self._job is not None

    @property
    def shown(self) -> int:
        """The slice of the input that is in view."""
        volume = self._panel.volume
        return slice_shown(volume, self._panel.request().axis, first_view(slicer.mrmlScene))

    def start(self, make: Callable[[], Job[Any]], on_done: Callable[[Any], str]) -> None:
        """Start a job, if none is on its way.

        Parameters
        ----------
        make
            Makes the job; what it raises is shown.
        on_done
            Takes the result and returns a sentence about it.
        """
        if self.is_busy:
            return
        try:
            self._job = make()
        except Exception as error:
            self._panel.fail(error)
            self.refresh()
            return
        self._on_done = on_done
        set_text(self._panel.ui.vesselInfoLabel, _("Working..."))
        self.refresh()
        self._panel.wake()

    def cancel(self) -> None:
        """Ask the job to stop."""
        if self._job is not None:
            self._job.cancel()
            set_text(self._panel.ui.vesselInfoLabel, _("Cancelling..."))

    def keep(self, table: slicer.vtkMRMLTableNode) -> None:
        """Remember the table that was filled last, for the button "Export CSV"."""
        self._latest = NodeLink(table)

    def export(self) -> None:
        """Save the table that was filled last."""
        table = self._latest.node
        if table is None:
            self.refresh()
            return
        name = f"{table.GetName()}.csv"
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save figures"), name, _("Comma-separated values (*.csv)")
        )
        if not path:
            return
        try:
            write_csv(table, path, overwrite=True)  # the dialog has asked
        except Exception as error:
            self._panel.fail(error)
            return
        self._panel.say(_("Figures were written to '{path}'.").format(path=path))

    def refresh(self) -> None:
        """Show what can be done, and why not."""
        ui = self._panel.ui
        ui.vesselCancelButton.enabled = self.is_busy
        ui.vesselExportButton.enabled = self._latest.node is not None
        if self._panel.parameters is None:
            return
        self._watch_view()
        for part in self._parts:
            part.refresh()

    def follow(self) -> None:
        """Take up soon that another frame or slice is in view."""
        if self.measuring.has_figures:
            self._is_stale = True
            self._panel.wake()

    def tick(self) -> bool:
        """Carry the job on for some milliseconds; return whether there is more to do."""
        if self._is_stale:
            self._is_stale = False
            self.measuring.show_frame_in_view()
        if self._job is None:
            return False
        if not self._job.advance():
            done, total = self._job.progress
            if total:
                text = _("Frame {done} of {total}.").format(done=done, total=total)
                set_text(self._panel.ui.vesselInfoLabel, text)
            return True
        job, self._job = self._job, None
        self._end(job)
        return False

    def stop(self) -> None:
        """Let go of the job and of nodes that are about to go."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._latest = NodeLink(None)
        self.measuring.forget()
        self._observe(None)
        set_text(self._panel.ui.vesselInfoLabel, "")
        self.refresh()

    def _end(self, job: Job[Any]) -> None:
        if job.error is not None:
            set_text(self._panel.ui.vesselInfoLabel, "")
            self._panel.fail(job.error)
        else:
            try:
                sentence = self._on_done(job.result)
            except Exception as error:
                self._panel.fail(error)
            else:
                set_text(self._panel.ui.vesselInfoLabel, sentence)
                self._panel.log.add(sentence)
        self._panel.refresh()

    def _watch_view(self) -> None:
        """Follow the slices that a view is moved to, as long as there are figures of them."""
        self._observe(first_view(slicer.mrmlScene) if self.measuring.has_figures else None)

    def _observe(self, view: vtk.vtkObject | None) -> None:
        if view is self._view:
            return
        if self._view is not None:
            self._panel.removeObserver(self._view, vtk.vtkCommand.ModifiedEvent, self._on_view)
        self._view = view
        if view is not None:
            self._panel.addObserver(view, vtk.vtkCommand.ModifiedEvent, self._on_view)

    def _on_view(self, _caller: vtk.vtkObject, _event: str) -> None:
        self.follow()
