"""Continue: hand over to Segment Editor, and the profile of a line across a wall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
import vtk

from Speckle2SelfSlicerLib.panel.charts_in_layout import show_chart
from Speckle2SelfSlicerLib.panel.labels import set_text
from Speckle2SelfSlicerLib.panel.placing import place_points
from Speckle2SelfSlicerLib.profile import Profile, profile_along, profile_plot, profile_table, why_no_profile
from Speckle2SelfSlicerLib.segmenting import prepare_segmentation, segment_editor_setup
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel


class ContinueSection:
    """The section "Continue"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._segmentation: slicer.vtkMRMLSegmentationNode | None = None
        self._table: slicer.vtkMRMLTableNode | None = None
        self._chart: slicer.vtkMRMLPlotChartNode | None = None
        self._line: slicer.vtkMRMLMarkupsNode | None = None
        self._is_stale = False
        ui = panel.ui
        ui.segmentButton.connect("clicked(bool)", lambda _checked=False: self.segment())
        ui.profileButton.connect("clicked(bool)", lambda _checked=False: self.plot_profile())
        ui.profileLineSelector.connect("nodeAddedByUser(vtkMRMLNode*)", place_points)

    def refresh(self) -> None:
        """Allow what there is a result for."""
        ui, parameters = self._panel.ui, self._panel.parameters
        if parameters is None:
            return
        no_result = "" if self._panel.compare.pair() is not None else _("Press Apply first: there is no result yet.")
        ui.segmentButton.enabled = not no_result
        ui.segmentButton.toolTip = no_result or _(
            "Open Segment Editor with the despeckled image as source and the geometry of the original: masks fit both."
        )
        self._watch(parameters.profileLine)
        obstacle = no_result or why_no_profile(parameters.profileLine)
        ui.profileButton.enabled = not obstacle
        ui.profileButton.toolTip = obstacle or _("Grey values along the line in original and despeckled image.")

    def segment(self) -> None:
        """Open Segment Editor: draw on the despeckled image, on the grid of the original."""
        pair = self._panel.compare.pair()
        if pair is None:
            self._panel.refresh()
            return
        original, result = pair
        self._panel.compare.restore()
        try:
            self._segmentation = prepare_segmentation(original, result, self._segmentation)
            segment_editor_setup(slicer.mrmlScene, self._segmentation, result)
            slicer.util.selectModule("SegmentEditor")
            segment_editor_setup(slicer.mrmlScene, self._segmentation, result)  # the editor may have chosen by itself
        except Exception as error:
            self._panel.fail(error)
            return
        self._panel.log.add(_("Segmenting '{name}' on the despeckled image.").format(name=original.GetName()))

    def plot_profile(self) -> None:
        """Plot the profile of the line in both images; from then on it follows the line and the frame."""
        if self._update_profile():
            show_chart(self._chart)

    def follow(self) -> None:
        """Take up that the input shows another frame."""
        self._mark_stale()

    def tick(self) -> bool:
        """Bring a profile up to date that is shown already."""
        if self._is_stale:
            self._is_stale = False
            self._update_profile()
        return False

    def stop(self) -> None:
        """Let go of nodes that are about to go."""
        self._watch(None)
        self._segmentation = self._table = self._chart = None
        self._is_stale = False

    def _update_profile(self) -> bool:
        pair, line = self._panel.compare.pair(), self._panel.parameters.profileLine
        if pair is None or why_no_profile(line):
            return False
        try:
            profile = profile_along(line, pair)
            self._table = profile_table(profile, pair[0], self._table)
            self._chart = profile_plot(profile, self._table, self._chart)
        except Exception as error:
            self._panel.fail(error)
            return False
        set_text(self._panel.ui.profileInfoLabel, _rise(profile))
        return True

    def _watch(self, line: slicer.vtkMRMLMarkupsNode | None) -> None:
        if line is self._line:
            return
        if self._line is not None:
            self._panel.removeObserver(self._line, vtk.vtkCommand.ModifiedEvent, self._on_line)
            self._panel.removeObserver(self._line, self._line.PointModifiedEvent, self._on_line)
        self._line = line
        if line is not None:
            self._panel.addObserver(line, vtk.vtkCommand.ModifiedEvent, self._on_line)
            self._panel.addObserver(line, line.PointModifiedEvent, self._on_line)

    def _on_line(self, _caller: vtk.vtkObject, _event: str) -> None:
        self.refresh()
        self._mark_stale()

    def _mark_stale(self) -> None:
        if self._chart is not None and self._chart.GetScene() is not None:
            self._is_stale = True
            self._panel.wake()


def _rise(profile: Profile) -> str:
    """Return the steepness of both profiles in one sentence."""
    rises = [_("none") if rise is None else f"{rise:.3g} {profile.unit}" for rise in profile.edge_rise_mm]
    return _("10-90 % rise: {original} in the original, {despeckled} despeckled.").format(
        original=rises[0], despeckled=rises[1]
    )
