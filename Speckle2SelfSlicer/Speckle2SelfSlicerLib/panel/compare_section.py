"""Compare: the buttons, the slider and the key that show original and despeckled image together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer

from Speckle2SelfSlicerLib.compare import CompareMode, Comparison
from Speckle2SelfSlicerLib.results import input_of, is_of_frame_shown
from Speckle2SelfSlicerLib.slice_views import register_layouts
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from Speckle2SelfSlicerLib.panel.panel import Panel

FLIP_KEY = "D"


class CompareSection:
    """The section "Compare"."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._comparison: Comparison | None = None
        self._pair: tuple[slicer.vtkMRMLVolumeNode, slicer.vtkMRMLVolumeNode] | None = None
        self._is_stale = False
        if slicer.app.layoutManager() is not None:  # a scene that was saved while comparing finds its layout
            register_layouts(_layout_node())
        ui = panel.ui
        self._buttons = {
            CompareMode.SIDE_BY_SIDE: ui.sideBySideButton,
            CompareMode.FADE: ui.fadeButton,
            CompareMode.FLIP: ui.flipButton,
            CompareMode.RESIDUAL: ui.residualButton,
            CompareMode.SWIPE: ui.swipeButton,
        }
        for mode, button in self._buttons.items():
            button.connect("clicked(bool)", lambda _checked=False, mode=mode: self.show(mode))
        ui.restoreButton.connect("clicked(bool)", lambda _checked=False: self.restore())
        ui.fractionSlider.connect("valueChanged(double)", self._on_fraction)
        self._key: qt.QShortcut | None = None
        if slicer.util.mainWindow() is not None:
            self._key = qt.QShortcut(slicer.util.mainWindow())
            self._key.setKey(qt.QKeySequence(FLIP_KEY))
            self._key.connect("activated()", self.flip)
            self._key.enabled = False

    def show(self, mode: CompareMode) -> None:
        """Show the pair in a mode; flip, if it is shown flipped already."""
        is_shown = self._comparison is not None and self._pair == self.pair() and self._comparison.mode is mode
        if mode is CompareMode.FLIP and is_shown:
            self.flip()
            self.refresh()
            return
        self._show(mode)

    def _show(self, mode: CompareMode) -> None:
        if self.pair() is None:
            self._panel.refresh()
            return
        self._panel.preview.stop()
        try:
            self._matching_comparison().show(mode)
            self._comparison.set_fraction(self._panel.parameters.fraction)
        except Exception as error:
            self._panel.fail(error)
        self.refresh()

    def pair(self) -> tuple[slicer.vtkMRMLVolumeNode, slicer.vtkMRMLVolumeNode] | None:
        """Return original and result: of the input, or of the input that was despeckled if a result is chosen."""
        volume, result = self._panel.volume, self._panel.result
        if result is not None:
            return volume, result
        original = input_of(volume)
        return None if original is None or not is_of_frame_shown(volume, original) else (original, volume)

    def flip(self) -> None:
        """Show the other one of original and despeckled."""
        if self._comparison is None or self._comparison.mode is None:
            if self.pair() is not None:
                self.show(CompareMode.FLIP)
            return
        shows_despeckled = self._comparison.flip()
        if self._comparison.mode in (CompareMode.FADE, CompareMode.SWIPE):
            self._panel.ui.fractionSlider.value = self._comparison.fraction
        self._panel.show(_("Despeckled") if shows_despeckled else _("Original"))

    def follow(self) -> None:
        """Take up soon that the input shows another frame: the proxies of a browser change one after the other."""
        if self._comparison is not None and self._comparison.mode is not None:
            self._is_stale = True
            self._panel.wake()

    def restore(self) -> None:
        """Bring back the layout and volumes from before."""
        if self._comparison is not None:
            self._comparison.restore()
        self._comparison = self._pair = None
        self.refresh()

    def renew(self) -> None:
        """Go on comparing in the same mode, with the newest result."""
        mode = None if self._comparison is None else self._comparison.mode
        if mode is not None:
            self._show(mode)

    def release_key(self) -> None:
        """Give the key back to the main window: it would stay there when the panel is made anew."""
        if self._key is not None:
            self._key.enabled = False
            self._key.deleteLater()
            self._key = None

    def stop(self) -> None:
        """Bring back the views before the scene goes."""
        self.restore()

    def tick(self) -> bool:
        """Bring residual and swipe up to the frame in view."""
        if self._is_stale and self._comparison is not None:
            self._is_stale = False
            try:
                self._comparison.refresh()
            except Exception as error:
                self._panel.fail(error)
        return False

    def refresh(self) -> None:
        """Allow what there is a result for."""
        if self._pair is not None and (
            any(node.GetScene() is None for node in self._pair) or not is_of_frame_shown(self._pair[1], self._pair[0])
        ):
            self.restore()
            return
        obstacle = self._obstacle()
        mode = None if self._comparison is None else self._comparison.mode
        for each, button in self._buttons.items():
            button.enabled = not obstacle
            button.checked = each is mode
        self._panel.ui.compareCollapsibleButton.toolTip = obstacle
        self._panel.ui.restoreButton.enabled = mode is not None
        self._panel.ui.fractionSlider.enabled = mode in (CompareMode.FADE, CompareMode.SWIPE)

    def enable_key(self, enabled: bool) -> None:
        """Let the key work while the module is shown, so that other modules can have it."""
        if self._key is not None:
            self._key.enabled = enabled

    def _obstacle(self) -> str:
        if slicer.app.layoutManager() is None:
            return _("There are no views to compare in.")
        return "" if self.pair() is not None else _("Press Apply first: there is no result of this input yet.")

    def _matching_comparison(self) -> Comparison:
        pair = self.pair()
        if self._comparison is not None and pair == self._pair:
            return self._comparison
        self.restore()
        axis = self._panel.request().axis
        self._comparison = Comparison(*pair, slicer.app.applicationLogic(), _layout_node(), axis)
        self._pair = pair
        return self._comparison

    def _on_fraction(self, fraction: float) -> None:
        if self._comparison is not None and self._comparison.mode is not None:
            self._comparison.set_fraction(fraction)


def _layout_node() -> slicer.vtkMRMLLayoutNode | None:
    manager = slicer.app.layoutManager()
    return None if manager is None else manager.layoutLogic().GetLayoutNode()
