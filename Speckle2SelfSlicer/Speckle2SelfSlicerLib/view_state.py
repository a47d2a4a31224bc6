"""What the slice views showed at one moment, to be brought back later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from Speckle2SelfSlicerLib.pair import NodeLink
from Speckle2SelfSlicerLib.slice_views import LAYOUT_VIEWS, OWN_VIEWS, nodes_of

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLLayoutNode,
        vtkMRMLScene,
        vtkMRMLSliceCompositeNode,
        vtkMRMLSliceNode,
        vtkMRMLVolumeNode,
    )

LAYERS = ("Background", "Foreground", "Label")
FIRST_LAYOUT_ATTRIBUTE = "Speckle2Self.LayoutBefore"
"""Attribute of the layout node while a layout of ours is shown: the layout to go back to."""


@dataclass(frozen=True)
class SavedLayers:
    """The volumes of one view, their opacities and links."""

    composite: NodeLink
    volumes: tuple[NodeLink | None, ...]
    opacities: tuple[float, float]
    links: tuple[int, int]

    @classmethod
    def of(cls, composite: vtkMRMLSliceCompositeNode) -> SavedLayers:
        """Read a view's layers."""
        ids = [getattr(composite, f"Get{layer}VolumeID")() for layer in LAYERS]
        nodes = [composite.GetScene().GetNodeByID(node_id) if node_id else None for node_id in ids]
        return cls(
            NodeLink(composite),
            tuple(None if node is None else NodeLink(node) for node in nodes),
            (composite.GetForegroundOpacity(), composite.GetLabelOpacity()),
            (composite.GetLinkedControl(), composite.GetHotLinkedControl()),
        )

    def restore(self) -> None:
        """Bring the layers back; a layer whose volume is gone stays as it is."""
        composite = self.composite.node
        if composite is None:
            return
        was_modifying = composite.StartModify()
        for layer, link in zip(LAYERS, self.volumes, strict=True):
            volume = None if link is None else link.node
            if link is None or volume is not None:
                getattr(composite, f"Set{layer}VolumeID")(None if volume is None else volume.GetID())
        composite.SetForegroundOpacity(self.opacities[0])
        composite.SetLabelOpacity(self.opacities[1])
        composite.SetLinkedControl(self.links[0])
        composite.SetHotLinkedControl(self.links[1])
        composite.EndModify(was_modifying)


@dataclass(frozen=True)
class SavedPlane:
    """Where one view lies and what it takes in."""

    slice_node: NodeLink
    slice_to_ras: tuple[float, ...]
    field_of_view_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    background: NodeLink

    @classmethod
    def of(cls, slice_node: vtkMRMLSliceNode, background: vtkMRMLVolumeNode | None) -> SavedPlane:
        """Read a view's place."""
        matrix = slice_node.GetSliceToRAS()
        return cls(
            NodeLink(slice_node),
            tuple(matrix.GetElement(row, column) for row in range(4) for column in range(4)),
            tuple(slice_node.GetFieldOfView()),
            tuple(slice_node.GetXYZOrigin()),
            NodeLink(background),
        )

    @property
    def place(self) -> tuple[float, ...]:
        """All numbers that say where the view lies."""
        return (*self.slice_to_ras, *self.field_of_view_mm, *self.origin_mm)

    @property
    def centre_ras(self) -> tuple[float, float, float]:
        """A point of the slice, in mm."""
        return self.slice_to_ras[3], self.slice_to_ras[7], self.slice_to_ras[11]

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (RAS) across the slice."""
        return np.array(self.slice_to_ras[2::4][:3])

    def restore(self) -> None:
        """Bring the place back, at the size that the view has by now: the picture keeps its height in mm."""
        node = self.slice_node.node
        if node is None or self.place == SavedPlane.of(node, None).place:
            return
        was_modifying = node.StartModify()
        node.GetSliceToRAS().DeepCopy(self.slice_to_ras)
        width, height = node.GetDimensions()[:2]
        _, height_mm, thickness_mm = self.field_of_view_mm
        node.SetFieldOfView(height_mm * width / height if height else height_mm, height_mm, thickness_mm)
        node.SetXYZOrigin(*self.origin_mm)
        node.UpdateMatrices()
        node.EndModify(was_modifying)


@dataclass(frozen=True)
class SavedLayout:
    """A layout, and the views of it that are maximized."""

    layout_node: NodeLink
    layout: int
    maximized: tuple[NodeLink, ...]

    @classmethod
    def of(cls, layout_node: vtkMRMLLayoutNode) -> SavedLayout:
        """Read the layout that is shown."""
        count = layout_node.GetNumberOfMaximizedViewNodes() if _can_maximize(layout_node) else 0
        nodes = [layout_node.GetMaximizedViewNode(number) for number in range(count)]
        return cls(NodeLink(layout_node), layout_node.GetViewArrangement(), tuple(NodeLink(node) for node in nodes))

    def restore(self) -> None:
        """Show the layout again."""
        node = self.layout_node.node
        if node is None:
            return
        switch_layout(node, self.layout)
        for view in self.maximized:
            if view.node is not None:
                node.AddMaximizedViewNode(view.node)


@dataclass(frozen=True)
class ViewState:
    """Layout, layers and places of all slice views but the module's own."""

    layout: SavedLayout
    layers: tuple[SavedLayers, ...]
    planes: tuple[SavedPlane, ...]

    @classmethod
    def of(cls, scene: vtkMRMLScene, layout_node: vtkMRMLLayoutNode) -> ViewState:
        """Read the state of a scene.

        If a layout of the module is shown, because a comparison was given up without going back, its own layout
        before is taken.
        """
        composites = {
            node.GetLayoutName(): node
            for node in nodes_of(scene, "vtkMRMLSliceCompositeNode")
            if node.GetLayoutName() not in OWN_VIEWS
        }
        backgrounds = {name: scene.GetNodeByID(node.GetBackgroundVolumeID() or "") for name, node in composites.items()}
        return cls(
            _layout_before(layout_node),
            tuple(SavedLayers.of(node) for node in composites.values()),
            tuple(
                SavedPlane.of(node, backgrounds.get(node.GetLayoutName()))
                for node in nodes_of(scene, "vtkMRMLSliceNode")
                if node.GetLayoutName() not in OWN_VIEWS
            ),
        )

    def mark_layout(self) -> None:
        """Write down at the layout node where to go back to, for a comparison that is never restored."""
        node = self.layout.layout_node.node
        if node is not None:
            node.SetAttribute(FIRST_LAYOUT_ATTRIBUTE, str(self.layout.layout))

    def restore_layout(self) -> None:
        """Bring the layout back."""
        node = self.layout.layout_node.node
        if node is not None:
            node.SetAttribute(FIRST_LAYOUT_ATTRIBUTE, None)
        self.layout.restore()

    def restore_views(self) -> None:
        """Bring layers and places back in the views that are still there."""
        for saved in (*self.layers, *self.planes):
            saved.restore()


def switch_layout(layout_node: vtkMRMLLayoutNode, layout: int) -> None:
    """Show a layout. A maximized view would go on to fill the window in any layout."""
    if _can_maximize(layout_node):
        layout_node.RemoveAllMaximizedViewNodes()
    layout_node.SetViewArrangement(layout)


def _layout_before(layout_node: vtkMRMLLayoutNode) -> SavedLayout:
    """Return the layout that is shown, or was shown before one of ours."""
    shown = SavedLayout.of(layout_node)
    if shown.layout not in LAYOUT_VIEWS:
        return shown
    before = int(layout_node.GetAttribute(FIRST_LAYOUT_ATTRIBUTE) or layout_node.SlicerLayoutFourUpView)
    return SavedLayout(shown.layout_node, before, ())


def _can_maximize(layout_node: vtkMRMLLayoutNode) -> bool:
    return hasattr(layout_node, "GetNumberOfMaximizedViewNodes")  # not before Slicer 5.8
