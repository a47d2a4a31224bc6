"""The input: what was chosen, whether it is a cine, and whether its millimetres can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.describe import describe_input
from Speckle2SelfSlicerLib.panel.labels import set_text
from Speckle2SelfSlicerLib.sequences import cine_of
from Speckle2SelfSlicerLib.volumes import why_unsupported

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel


class InputSection:
    """The section "Input"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def refresh(self) -> None:
        """Describe the input."""
        ui, volume = self._panel.ui, self._panel.volume
        is_envelope = self._panel.parameters is not None and self._panel.parameters.domain.value != "bmode"
        ui.dynamicRangeLabel.visible = ui.dynamicRangeSlider.visible = is_envelope
        cine = cine_of(volume)
        ui.wholeSequenceCheckBox.visible = cine is not None and cine.frame_count > 1
        if why_unsupported(volume):
            set_text(ui.inputInfoLabel, "")
            return
        set_text(ui.inputInfoLabel, describe_input(volume, self._panel.request().axis, cine))

    def tick(self) -> bool:
        """Nothing runs here."""
        return False

    def stop(self) -> None:
        """Nothing runs here."""
