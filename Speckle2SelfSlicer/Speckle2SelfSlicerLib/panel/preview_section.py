"""The preview: the slice in view despeckled over the original, while settings change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from Speckle2SelfSlicerLib.installation import TorchState, missing_packages, torch_state
from Speckle2SelfSlicerLib.layers import ForegroundOverlay, first_view
from Speckle2SelfSlicerLib.methods import needs_torch, packages_for
from Speckle2SelfSlicerLib.planes import slice_shown
from Speckle2SelfSlicerLib.status import explain
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel

WAIT_S = 0.02
"""Seconds that a tick waits for the thread, which needs Python meanwhile: an idle event loop does not let go of it."""


class PreviewSection:
    """The check box "Preview"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._preview = panel.engine.preview()
        self._overlay = ForegroundOverlay()
        self._asked: tuple[object, ...] | None = None
        self._why_not = ""
        panel.ui.previewCheckBox.connect("toggled(bool)", self._on_toggled)

    @property
    def is_on(self) -> bool:
        """Whether the box is checked."""
        return self._panel.ui.previewCheckBox.checked

    def refresh(self) -> None:
        """Allow a preview where there is an input and no run, and ask for it when a setting changed."""
        box = self._panel.ui.previewCheckBox
        if self.is_on and self._panel.volume is None:
            self.stop()  # the input is gone
        self._why_not = self._obstacle()
        box.enabled = self.is_on or not self._why_not
        box.toolTip = self._why_not or _("Show the slice in view despeckled while you change settings.")
        if self.is_on:
            self.ask()

    def ask(self) -> None:
        """Ask for the slice in view, if it or a setting is new."""
        if not self.is_on:
            return
        obstacle = self._why_not or why_unsupported(self._panel.volume)  # it may have lost its pixels just now
        if obstacle:
            self._panel.show(obstacle)
            return
        request = self._panel.request()
        number = slice_shown(request.volume, request.axis, first_view(slicer.mrmlScene))
        question = (request, number, request.volume.GetImageData().GetMTime())
        if question != self._asked:
            self._asked = question
            self._preview.ask(request, number)
            self._panel.wake()

    def tick(self) -> bool:
        """Show an answer; the clock goes on as long as the box is checked, since slices can be scrolled."""
        if not self.is_on:
            return False
        self.ask()
        if self._preview.advance(WAIT_S):
            self._overlay.show(self._preview.node)
            self._panel.show(self._preview.note)
        if self._preview.error is not None:
            self._panel.show(explain(self._preview.error))
            self._preview.error = None
        return True

    def stop(self) -> None:
        """Uncheck the box, which takes the preview away."""
        self._panel.ui.previewCheckBox.checked = False

    def _on_toggled(self, checked: bool) -> None:
        if checked:
            self._panel.compare.restore()
            self.ask()
            self._panel.wake()
            return
        self._overlay.remove()
        self._preview.remove()
        self._asked = None
        self._panel.show("")

    def _obstacle(self) -> str:
        panel = self._panel
        if panel.parameters is None:
            return _("The scene is being closed.")
        if panel.run.is_busy:
            return _("No preview while a run is going on.")
        obstacle = why_unsupported(panel.volume) or panel.method.why_not()
        if obstacle:
            return obstacle
        method = panel.method.how().method
        if needs_torch(method) and torch_state() is not TorchState.READY:
            return _("The preview of this method needs PyTorch: press Apply once to install it.")
        if missing := missing_packages(packages_for(method)):
            return _("The preview of this method needs {names}: press Apply once to install it.").format(
                names=", ".join(missing)
            )
        return ""
