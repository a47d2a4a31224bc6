"""The Qt half of the module: what the widgets of the panel do."""

from Speckle2SelfSlicerLib.panel.panel import Panel

__all__ = ["Panel"]
