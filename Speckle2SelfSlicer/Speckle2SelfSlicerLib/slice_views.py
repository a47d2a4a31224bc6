"""The module's own slice views: their layouts, and how a volume is laid into one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
import vtk

from Speckle2SelfSlicerLib.pair import ijk_to_ras
from Speckle2SelfSlicerLib.planes import AXES
from Speckle2SelfSlicerLib.texts import tr as _

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLApplicationLogic,
        vtkMRMLLayoutNode,
        vtkMRMLScene,
        vtkMRMLSliceCompositeNode,
        vtkMRMLSliceLogic,
        vtkMRMLSliceNode,
        vtkMRMLVolumeNode,
    )

ORIGINAL_VIEW, DESPECKLED_VIEW, SINGLE_VIEW = "Speckle2SelfOriginal", "Speckle2SelfDespeckled", "Speckle2SelfCompare"
OWN_VIEWS = (ORIGINAL_VIEW, DESPECKLED_VIEW, SINGLE_VIEW)
VIEW_COLOURS = {ORIGINAL_VIEW: "#4C8BC0", DESPECKLED_VIEW: "#E0A030", SINGLE_VIEW: "#8C8C8C"}
SIDE_BY_SIDE_LAYOUT, SINGLE_LAYOUT = 530201, 530202
"""Numbers of the layouts, far from those of Slicer and low enough for an int."""
LAYOUT_VIEWS = {SIDE_BY_SIDE_LAYOUT: (ORIGINAL_VIEW, DESPECKLED_VIEW), SINGLE_LAYOUT: (SINGLE_VIEW,)}
VIEW_GROUP = 5302
"""Links reach views of the same group only: a link between ours must not move Red, Yellow and Green, nor they ours."""
PRESETS = ("Axial", "Coronal", "Sagittal")


@dataclass(frozen=True)
class SliceView:
    """A slice view: its plane, its layers, and the logic that knows its size (None where no application made one)."""

    node: vtkMRMLSliceNode
    layers: vtkMRMLSliceCompositeNode
    logic: vtkMRMLSliceLogic | None = None

    def show_layers(
        self, background: vtkMRMLVolumeNode, foreground: vtkMRMLVolumeNode | None = None, opacity: float = 0.0
    ) -> None:
        """Show one volume, or a second one above it with an opacity from 0 to 1."""
        was_modifying = self.layers.StartModify()
        # New volumes chosen elsewhere must not replace these, nor must a volume chosen in one of two linked views.
        self.layers.SetDoPropagateVolumeSelection(False)
        self.layers.SetInteractionFlagsModifier(0xFFFFFFFF & ~self.layers.BackgroundVolumeFlag)
        self.layers.SetBackgroundVolumeID(background.GetID())
        self.layers.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        self.layers.SetLabelVolumeID(None)
        self.layers.SetCompositing(self.layers.Alpha)
        self.layers.SetForegroundOpacity(opacity)
        self.layers.EndModify(was_modifying)

    def link(self, is_linked: bool) -> None:
        """Make zoom, pan and slice move in all linked views of the group at once, or not."""
        self.layers.SetLinkedControl(is_linked)
        self.layers.SetHotLinkedControl(is_linked)

    def clear(self) -> None:
        """Show nothing."""
        self.link(False)
        self.layers.ResetInteractionFlagsModifier()
        for set_volume_id in (
            self.layers.SetBackgroundVolumeID,
            self.layers.SetForegroundVolumeID,
            self.layers.SetLabelVolumeID,
        ):
            set_volume_id(None)

    def turn_to(self, volume: vtkMRMLVolumeNode, axis: str) -> None:
        """Turn the view to the slices along a volume axis, as near as can be to an anatomical view."""
        to_world = ijk_to_world(volume)
        normal = to_world[:3, AXES.index(axis)]
        presets = [_preset(self.node, name) for name in PRESETS]
        nearest = max(presets, key=lambda preset: abs(preset[:, 2] @ normal))
        _set_rotation(self.node, nearest)
        self.node.RotateToAxes(_vtk_matrix(to_world), AXES.index(axis))

    def fit(self, volume: vtkMRMLVolumeNode) -> None:
        """Fill the view with a volume, at the slice that is shown now."""
        if self.logic is None:
            return
        centre_ras = self.centre_ras
        width, height = self.node.GetDimensions()[:2]
        self.logic.FitSliceToVolume(volume, width, height)
        self.node.JumpSliceByOffsetting(*centre_ras)

    def go_to_middle(self, volume: vtkMRMLVolumeNode) -> None:
        """Show the middle slice of a volume."""
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        self.node.JumpSliceByOffsetting(*(np.add(bounds[::2], bounds[1::2]) / 2))
        if self.logic is not None:
            self.logic.SnapSliceOffsetToIJK()

    def look_like(self, other: SliceView) -> None:
        """Take over place and zoom of another view. The height of the picture in mm stays, the width follows."""
        width, height = self.node.GetDimensions()[:2]
        field_of_view_mm = other.node.GetFieldOfView()
        self.node.GetSliceToRAS().DeepCopy(other.node.GetSliceToRAS())
        self.node.SetXYZOrigin(*other.node.GetXYZOrigin())
        self.node.SetFieldOfView(field_of_view_mm[1] * width / max(height, 1), field_of_view_mm[1], field_of_view_mm[2])
        self.node.UpdateMatrices()

    @property
    def is_up_to_date(self) -> bool:
        """Whether the view's matrices follow from its field of view. While a slice node updates them, it refuses to."""
        height_mm = self.node.GetXYToSlice().GetElement(1, 1) * self.node.GetDimensions()[1]
        return math.isclose(height_mm, self.node.GetFieldOfView()[1], rel_tol=1e-9)

    @property
    def centre_ras(self) -> tuple[float, float, float]:
        """The point of the slice that stays put under rotation, in mm."""
        matrix = self.node.GetSliceToRAS()
        return tuple(matrix.GetElement(row, 3) for row in range(3))

    @property
    def rotation(self) -> np.ndarray:
        """Directions (RAS) of the screen's right, up and normal as the columns of a matrix (3, 3)."""
        matrix = self.node.GetSliceToRAS()
        return np.array([[matrix.GetElement(row, column) for column in range(3)] for row in range(3)])

    def across(self, volume: vtkMRMLVolumeNode, slice_axis: str) -> tuple[str, bool]:
        """Return which volume axis runs across the screen, and whether it runs from right to left."""
        right = self.rotation[:, 0]
        lengths = {
            axis: direction @ right / np.linalg.norm(direction)
            for axis, direction in zip(AXES, ijk_to_world(volume)[:3, :3].T, strict=True)
            if axis != slice_axis
        }
        axis = max(lengths, key=lambda name: abs(lengths[name]))
        return axis, bool(lengths[axis] < 0)


def register_layouts(layout_node: vtkMRMLLayoutNode) -> None:
    """Make the module's layouts known, so that a scene which was saved while comparing finds them."""
    for layout, names in LAYOUT_VIEWS.items():
        description = _layout_xml(names)
        if not layout_node.IsLayoutDescription(layout):
            layout_node.AddLayoutDescription(layout, description)
        elif layout_node.GetLayoutDescription(layout) != description:
            layout_node.SetLayoutDescription(layout, description)


def find_view(name: str, scene: vtkMRMLScene, application_logic: vtkMRMLApplicationLogic | None) -> SliceView | None:
    """Return a view by its layout name, or None if there is no such view."""
    logic = application_logic.GetSliceLogicByLayoutName(name) if application_logic is not None else None
    if logic is not None and logic.GetSliceNode() is not None and logic.GetSliceCompositeNode() is not None:
        return SliceView(logic.GetSliceNode(), logic.GetSliceCompositeNode(), logic)
    node, layers = (_find_node(scene, kind, name) for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"))
    return SliceView(node, layers) if node is not None and layers is not None else None


def ijk_to_world(volume: vtkMRMLVolumeNode) -> np.ndarray:
    """Return the matrix (4, 4) from voxels to the world, with the parent transform if that is linear."""
    matrix = ijk_to_ras(volume)
    transform = volume.GetParentTransformNode()
    if transform is None or not transform.IsTransformToWorldLinear():
        return matrix
    to_world = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(to_world)
    return np.array([[to_world.GetElement(row, column) for column in range(4)] for row in range(4)]) @ matrix


def nodes_of(scene: vtkMRMLScene, class_name: str) -> list:
    """Return the nodes of a class in a scene."""
    return [scene.GetNthNodeByClass(number, class_name) for number in range(scene.GetNumberOfNodesByClass(class_name))]


def _find_node(scene: vtkMRMLScene, class_name: str, layout_name: str):  # noqa: ANN202 - either class
    return next((node for node in nodes_of(scene, class_name) if node.GetLayoutName() == layout_name), None)


def _layout_xml(names: tuple[str, ...]) -> str:
    labels = {ORIGINAL_VIEW: _("Original"), DESPECKLED_VIEW: _("Despeckled"), SINGLE_VIEW: _("Compare")}
    items = [
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP}</property>'
        f'<property name="viewlabel" action="default">{escape(labels[name])}</property>'
        f'<property name="viewcolor" action="default">{VIEW_COLOURS[name]}</property>'
        "</view></item>"
        for name in names
    ]
    return f'<layout type="horizontal">{"".join(items)}</layout>'


def _preset(node: vtkMRMLSliceNode, name: str) -> np.ndarray:
    """Return an anatomical orientation (3, 3): the user's own, which may be neurological, or the usual one."""
    if node.HasSliceOrientationPreset(name):
        matrix = node.GetSliceOrientationPreset(name)
    else:
        matrix = vtk.vtkMatrix3x3()
        getattr(node, f"Get{name}SliceToRASMatrix")(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(3)] for row in range(3)])


def _set_rotation(node: vtkMRMLSliceNode, rotation: np.ndarray) -> None:
    matrix = node.GetSliceToRAS()
    for row, column in np.ndindex(3, 3):
        matrix.SetElement(row, column, float(rotation[row, column]))
    node.UpdateMatrices()


def _vtk_matrix(values: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(values.ravel().tolist())
    return matrix
