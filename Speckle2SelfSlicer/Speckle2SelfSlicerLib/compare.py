"""Original and despeckled seen together: side by side, faded, flipped, subtracted, or on two sides of a line."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfSlicerLib.derived import remove_displayed
from Speckle2SelfSlicerLib.pair import NodeLink, VolumePair
from Speckle2SelfSlicerLib.placement import Placement
from Speckle2SelfSlicerLib.planes import AXES
from Speckle2SelfSlicerLib.residual import residual_of
from Speckle2SelfSlicerLib.slice_views import (
    DESPECKLED_VIEW,
    LAYOUT_VIEWS,
    ORIGINAL_VIEW,
    OWN_VIEWS,
    SIDE_BY_SIDE_LAYOUT,
    SINGLE_LAYOUT,
    SINGLE_VIEW,
    SliceView,
    find_view,
    register_layouts,
)
from Speckle2SelfSlicerLib.swipe import Swipe
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.view_state import SavedLayout, ViewState, switch_layout

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLApplicationLogic,
        vtkMRMLLayoutNode,
        vtkMRMLScalarVolumeNode,
        vtkMRMLVolumeNode,
    )


class CompareMode(Enum):
    """How the two volumes are seen together."""

    SIDE_BY_SIDE = "side by side"
    FADE = "fade"
    FLIP = "flip"
    RESIDUAL = "residual"
    SWIPE = "swipe"


class Comparison:
    """Shows original and despeckled in slice views of their own; `restore` brings everything back.

    The views are in a group of their own: links between them leave the user's views alone. Display settings of the two
    volumes are not touched. One comparison at a time: a second one takes over the views.

    Parameters
    ----------
    original, despeckled
        Input volume and result. They are not kept alive, and may leave the scene at any time.
    application_logic
        The application's; its slice logics lay volumes into views.
    layout_node
        The application's layout node; left out: the scene's.
    slice_axis
        Volume axis across the slices to show: ``"z"`` for the planes that frames are stored in, or ``"y"``, ``"x"``.

    Raises
    ------
    SettingsError
        If a volume is missing or empty, the two do not lie on one grid, or the axis is none of the three.
    """

    def __init__(
        self,
        original: vtkMRMLVolumeNode | None,
        despeckled: vtkMRMLVolumeNode | None,
        application_logic: vtkMRMLApplicationLogic | None,
        layout_node: vtkMRMLLayoutNode | None = None,
        slice_axis: str = "z",
    ) -> None:
        if slice_axis not in AXES:
            message = _("The slice axis is '{axis}', but must be one of {axes}.")
            raise SettingsError(message.format(axis=slice_axis, axes=", ".join(AXES)))
        self._pair = VolumePair(original, despeckled)
        self._application_logic = application_logic
        self._layout_node = NodeLink(layout_node)
        self._slice_axis = slice_axis
        self._mode: CompareMode | None = None
        self._before: ViewState | None = None
        self._placement = Placement(slice_axis)
        self._fractions = {CompareMode.FADE: 0.5, CompareMode.FLIP: 1.0, CompareMode.SWIPE: 0.5}
        self._swipe: Swipe | None = None
        self._residual = NodeLink(None)
        self._residual_name = ""
        self._is_residual_kept = False

    @property
    def mode(self) -> CompareMode | None:
        """How the volumes are compared now, None if they are not."""
        return self._mode

    @property
    def fraction(self) -> float:
        """Share of the despeckled volume when fading or flipping, position from the left when swiping; else 1."""
        return self._fractions.get(self._mode, 1.0)

    @property
    def residual(self) -> vtkMRMLScalarVolumeNode | None:
        """The residual volume, if there is one."""
        return self._residual.node

    def show(self, mode: CompareMode) -> None:
        """Compare in a mode. What `restore` goes back to is the state before the first call.

        The comparison starts at the slice that the user looked at; another mode goes on with the same place and zoom.

        Raises
        ------
        SettingsError
            If a volume has left the scene, the two do not fit any more, or there are no slice views. Nothing has
            changed then.
        """
        self._pair.check()
        views = self._switch_layout(mode)
        self._mode = mode
        self._show_layers(views)
        self._placement.lay_into(views, self._pair.volumes, self._before.planes)
        self._show_swipe(views)
        self._show_label()

    def set_fraction(self, fraction: float) -> None:
        """Set how far to fade (0 original, 1 despeckled) or where the line is when swiping (0 left, 1 right edge).

        In the other modes this has no effect.

        Raises
        ------
        SettingsError
            If the fraction is not between 0 and 1.
        """
        if not (math.isfinite(fraction) and 0 <= fraction <= 1):
            message = _("The fraction is {fraction}, but must be between 0 and 1.").format(fraction=fraction)
            raise SettingsError(message)
        if self._mode in (CompareMode.FADE, CompareMode.SWIPE):
            self._apply_fraction(float(fraction))

    def flip(self) -> bool:
        """Change between all original and all despeckled, and return whether despeckled is shown now.

        Works when fading, flipping and swiping, where `fraction` follows. Side by side both stay visible, and a
        residual shows neither.
        """
        if self._mode not in self._fractions:
            return self._mode is CompareMode.SIDE_BY_SIDE
        show_despeckled = not self._is_despeckled_shown
        is_swiping = self._mode is CompareMode.SWIPE
        self._apply_fraction(float(show_despeckled != is_swiping))
        return show_despeckled

    def refresh(self) -> None:
        """Bring residual and swipe up to the volumes' current pixels, for example after a sequence moved on.

        Raises
        ------
        SettingsError
            If the two volumes differ in size or type by now.
        """
        if not self._pair.is_complete:
            return
        if self.residual is not None:
            residual_of(self._pair.original, self._pair.despeckled, self.residual)
        if self._swipe is not None:
            self._swipe.refresh()

    def keep_residual(self) -> vtkMRMLScalarVolumeNode | None:
        """Leave the residual volume in the scene when `restore` is called, and return it."""
        self._is_residual_kept = self.residual is not None
        return self.residual

    def restore(self) -> None:
        """Bring back layout, volumes, opacities, links and places of all views as they were before the first `show`.

        The swipe volume is removed, and so is the residual, unless the user has shown an interest in it: called
        `keep_residual` or renamed it. If both volumes have left the scene, as when it was closed, the views now belong
        to other work and only the layout is brought back. Calling it again does nothing.
        """
        if self._before is None:
            return
        self._placement.stop()
        self._mode = None
        for view in self._own_views().values():
            view.clear()
        self._before.restore_layout()
        if self._pair.volumes:
            self._before.restore_views()
        self._before = None
        self._remove_swipe()
        residual = self.residual
        if residual is not None and not self._is_residual_kept and residual.GetName() == self._residual_name:
            remove_displayed(residual)
        self._residual, self._is_residual_kept = NodeLink(None), False

    def _switch_layout(self, mode: CompareMode) -> dict[str, SliceView]:
        """Show the mode's layout and return its views; without views, go back and say so."""
        layout_node = self._layout_node.node or self._pair.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout_node is None:
            raise SettingsError(_no_views())
        self._layout_node = NodeLink(layout_node)
        before = self._before or ViewState.of(self._pair.scene, layout_node)
        shown = SavedLayout.of(layout_node)
        layout = SIDE_BY_SIDE_LAYOUT if mode is CompareMode.SIDE_BY_SIDE else SINGLE_LAYOUT
        register_layouts(layout_node)
        switch_layout(layout_node, layout)
        views = self._own_views()
        if any(name not in views for name in LAYOUT_VIEWS[layout]):
            shown.restore()
            raise SettingsError(_no_views())
        before.mark_layout()
        self._before = before
        return {name: views[name] for name in LAYOUT_VIEWS[layout]}

    def _own_views(self) -> dict[str, SliceView]:
        """Return those of the module's views that exist."""
        node = self._layout_node.node or self._pair.original
        if node is None:
            return {}
        views = {name: find_view(name, node.GetScene(), self._application_logic) for name in OWN_VIEWS}
        return {name: view for name, view in views.items() if view is not None}

    def _show_layers(self, views: dict[str, SliceView]) -> None:
        original, despeckled = self._pair.original, self._pair.despeckled
        if self._mode is CompareMode.SIDE_BY_SIDE:
            for name, volume in ((ORIGINAL_VIEW, original), (DESPECKLED_VIEW, despeckled)):
                views[name].show_layers(volume)
                views[name].link(True)
        elif self._mode is CompareMode.RESIDUAL:
            views[SINGLE_VIEW].show_layers(self._updated_residual())
        else:
            views[SINGLE_VIEW].show_layers(original, despeckled, self.fraction)

    def _updated_residual(self) -> vtkMRMLScalarVolumeNode:
        residual = residual_of(self._pair.original, self._pair.despeckled, self.residual)
        if residual is not self.residual:
            self._residual, self._residual_name = NodeLink(residual), residual.GetName()
        return residual

    def _show_swipe(self, views: dict[str, SliceView]) -> None:
        """Make and show the swipe volume, after the slice was laid into the view: before, left is not known."""
        self._remove_swipe()
        if self._mode is CompareMode.SWIPE:
            axis, is_mirrored = views[SINGLE_VIEW].across(self._pair.original, self._slice_axis)
            self._swipe = Swipe(self._pair, axis, is_mirrored, self.fraction)
            views[SINGLE_VIEW].show_layers(self._swipe.volume)

    def _remove_swipe(self) -> None:
        if self._swipe is not None:
            self._swipe.remove()
            self._swipe = None

    def _apply_fraction(self, fraction: float) -> None:
        self._fractions[self._mode] = fraction
        if self._swipe is not None:
            self._swipe.move_to(fraction)
        elif SINGLE_VIEW in (views := self._own_views()):
            views[SINGLE_VIEW].layers.SetForegroundOpacity(fraction)
        self._show_label()

    @property
    def _is_despeckled_shown(self) -> bool:
        return self.fraction <= 0.5 if self._mode is CompareMode.SWIPE else self.fraction >= 0.5

    def _show_label(self) -> None:
        """Say in the corner of the single view what it shows."""
        labels = {
            CompareMode.FADE: _("Original to despeckled"),
            CompareMode.FLIP: _("Despeckled") if self._is_despeckled_shown else _("Original"),
            CompareMode.RESIDUAL: _("Residual"),
            CompareMode.SWIPE: _("Original | despeckled"),
        }
        views = self._own_views()
        if self._mode in labels and SINGLE_VIEW in views:
            views[SINGLE_VIEW].node.SetLayoutLabel(labels[self._mode])


def _no_views() -> str:
    return _("There are no slice views to compare in; run this in Slicer's main window.")
