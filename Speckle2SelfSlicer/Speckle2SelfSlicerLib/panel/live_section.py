"""Live: a despeckled copy of an input that keeps changing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.layers import show_in_all_views
from Speckle2SelfSlicerLib.live import LiveDespeckler
from Speckle2SelfSlicerLib.panel.labels import set_text
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel

WAIT_S = 0.02
"""Seconds that a tick waits for the thread, which needs Python meanwhile: an idle event loop does not let go of it."""


class LiveSection:
    """The section "Live"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._live: LiveDespeckler | None = None
        panel.ui.liveButton.connect("toggled(bool)", self._on_toggled)

    def refresh(self) -> None:
        """Show whether live despeckling can be started or stopped, and take up changed settings."""
        button, panel = self._panel.ui.liveButton, self._panel
        running = self._live is not None
        obstacle = (
            "" if running or panel.parameters is None else why_unsupported(panel.volume) or panel.method.why_not()
        )
        button.enabled = panel.parameters is not None and not obstacle
        button.text = _("Stop live despeckling") if running else _("Start live despeckling")
        button.toolTip = obstacle or _(
            "Keep a despeckled copy of an input that changes: a stream, or a played sequence."
        )
        if running and panel.parameters is not None:
            self._live.how = panel.method.how()

    def tick(self) -> bool:
        """Show a finished frame; return whether live despeckling is on."""
        if self._live is None:
            return False
        live = self._live
        was_first = live.frames_shown == 0
        if live.advance(WAIT_S):
            if was_first:
                self._panel.compare.restore()
                show_in_all_views(live.output)
            pace = _("{fps:.1f} frames per second, {dropped} frames left out.").format(
                fps=live.frames_per_second, dropped=live.frames_dropped
            )
            set_text(self._panel.ui.liveInfoLabel, pace)
        if not live.is_running:
            self._panel.fail(live.error) if live.error is not None else self._panel.say(_("The live input is gone."))
            self.stop()
        return self._live is not None

    def stop(self) -> None:
        """Stop; the output keeps its last frame."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._panel.ui.liveButton.checked = False
        self.refresh()

    def _on_toggled(self, checked: bool) -> None:
        panel = self._panel
        if not checked:
            if self._live is not None:
                self.stop()
                panel.say(_("Live despeckling stopped."))
            return
        try:
            how = panel.method.how()
            if not panel.prepare(how):
                self.stop()
                return
            self._live = panel.engine.live(panel.volume, how)
        except Exception as error:
            panel.fail(error)
            self.stop()
            return
        panel.preview.stop()
        panel.say(_("Live despeckling of '{name}' started.").format(name=panel.volume.GetName()))
        panel.refresh()
        panel.wake()
