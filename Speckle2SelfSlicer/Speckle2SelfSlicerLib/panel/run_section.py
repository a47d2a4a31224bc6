"""Apply and Cancel in one button, with progress, time left, and one sentence at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from Speckle2SelfSlicerLib.layers import show_in_all_views, shown_volume
from Speckle2SelfSlicerLib.methods import SUMMARY_ATTRIBUTE
from Speckle2SelfSlicerLib.run import DespeckleRun, RunState
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel


class RunSection:
    """The button, the bar and the message below it."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._run: DespeckleRun | None = None
        self._is_cancelling = False
        panel.ui.applyButton.connect("clicked(bool)", self.on_clicked)

    @property
    def is_busy(self) -> bool:
        """Whether a run is on its way."""
        return self._run is not None

    def on_clicked(self, _checked: bool = False) -> None:
        """Start, or cancel what was started."""
        if self._run is not None:
            self.cancel()
            return
        panel = self._panel
        panel.preview.stop()
        try:
            request = panel.request()
            if not panel.prepare(request.how):
                return
            self._run = panel.engine.start(request)
        except Exception as error:
            panel.fail(error)
            return
        self._is_cancelling = False
        panel.say(_("Reading '{name}'...").format(name=request.volume.GetName()))
        panel.refresh()
        panel.wake()

    def cancel(self) -> None:
        """Ask the run to stop."""
        self._run.cancel()
        self._is_cancelling = True
        self._panel.say(_("Cancelling..."))
        self.refresh()

    def stop(self) -> None:
        """Cancel a run without waiting for it: the scene or the panel is about to go."""
        if self._run is None:
            return
        self._run.cancel()
        self._run = None
        self._panel.say(_("Stopped, because the scene or the module was closed; nothing was written."))
        self.refresh()

    def refresh(self) -> None:
        """Show whether one can apply or cancel, and why not."""
        button = self._panel.ui.applyButton
        self._panel.ui.progressBar.visible = self.is_busy
        if self.is_busy:
            button.text, button.enabled = _("Cancel"), not self._is_cancelling
            button.toolTip = _("Stop after the frames that are being worked on. Nothing is changed.")
            return
        obstacle = self._obstacle()
        button.text, button.enabled = _("Apply"), not obstacle
        button.toolTip = obstacle or self._purpose()

    def tick(self) -> bool:
        """Carry the run on for some milliseconds; return whether it is still busy."""
        if self._run is None:
            return False
        if self._run.advance():
            run, self._run = self._run, None
            self._end(run)
            return False
        self._show_progress()
        return True

    def _purpose(self) -> str:
        if self._panel.parameters.outputVolume is None:
            return _("Despeckle the input into a new volume or sequence.")
        return _("Despeckle the input and replace the chosen output.")

    def _obstacle(self) -> str:
        if self._panel.parameters is None:
            return _("The scene is being closed.")
        return why_unsupported(self._panel.volume) or self._panel.method.why_not()

    def _show_progress(self) -> None:
        run, bar = self._run, self._panel.ui.progressBar
        bar.maximum, bar.value = run.frames_total, run.frames_done  # 0 of 0 shows that something is going on
        if run.state is not RunState.DESPECKLING or self._is_cancelling:
            return
        if not run.frames_done:
            self._panel.show(_("Loading the method..."))
            return
        left = _("Frame {done} of {total}, about {seconds} s left.").format(
            done=run.frames_done, total=run.frames_total, seconds=max(1, round(run.seconds_left or 0))
        )
        self._panel.show(left)

    def _end(self, run: DespeckleRun) -> None:
        panel = self._panel
        if run.state is RunState.DONE:
            was_shown = shown_volume(slicer.mrmlScene) is not None
            show_in_all_views(run.output)
            if not was_shown and slicer.app.layoutManager() is not None:
                slicer.util.resetSliceViews()
            panel.remember(run.output)
            panel.compare.renew()
            panel.say(f"{run.output.GetName()}: {run.output.GetAttribute(SUMMARY_ATTRIBUTE)}")
            panel.continuation.follow()
            panel.continuation.tick()
        else:
            panel.fail(run.error)
        panel.refresh()
