"""The shipped segmenter, loaded once for each device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.methods import loading_torch
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from Speckle2SelfLogic.segmenter import VesselSegmenter


class SegmenterStore:
    """Loads the segmenter; it stays in memory for the next image."""

    def __init__(self) -> None:
        self._loaded: dict[str, VesselSegmenter] = {}

    def load(self, device: str) -> VesselSegmenter:
        """Return the segmenter on a device: ``"auto"``, ``"cuda"`` or ``"cpu"``.

        Raises
        ------
        SettingsError
            If the device or PyTorch is missing.
        WeightsError
            If the weights are damaged.
        """
        if device not in self._loaded:
            with loading_torch(_("A first contour"), _("or draw the contour yourself")):
                from Speckle2SelfLogic.segmenter import VesselSegmenter

                self._loaded[device] = VesselSegmenter.load(device=device)
        return self._loaded[device]
