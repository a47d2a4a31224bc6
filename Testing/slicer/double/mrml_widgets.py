"""Doubles of the qMRML widgets on a real MRML scene."""
# ruff: noqa: N801, N802, N815 - the names are those of Slicer and Qt

from __future__ import annotations

from collections.abc import Iterable

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal

from Testing.slicer.double.ctk_widgets import ACROSS
from Testing.slicer.double.properties import checked_property, forwarded, stored


class SceneWidget(QtWidgets.QWidget):
    """What widgets with a scene have in common."""

    mrmlSceneChanged = Signal(object)
    _object_signals = ("mrmlSceneChanged(vtkMRMLScene*)",)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qMRMLWidget(SceneWidget):
    """A widget with a scene."""

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """The nodes of a scene that have one of some types, one of them chosen."""

    currentNodeChanged = Signal((object,), (bool,))
    currentNodeIDChanged = Signal(str)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    _object_signals = (
        "currentNodeChanged(vtkMRMLNode*)",
        "nodeAdded(vtkMRMLNode*)",
        "nodeAddedByUser(vtkMRMLNode*)",
    )

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._current, self._wanted = "", ""
        self._tags: list[int] = []
        self._attributes: dict[tuple[str, str], str | None] = {}
        self._list = QtWidgets.QComboBox(self)
        self._list.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._list)
        self.setSizePolicy(*ACROSS)
        self._list.activated.connect(lambda index: self._choose(self._list.itemData(index)))
        self._refresh()

    baseName, selectNodeUponCreation = stored(str, "baseName", ""), stored(bool, "selectNodeUponCreation", True)
    addEnabled, removeEnabled = stored(bool, "addEnabled", True), stored(bool, "removeEnabled", True)
    editEnabled, renameEnabled = stored(bool, "editEnabled", False), stored(bool, "renameEnabled", False)

    def _filtering(kind: type, name: str, default: object) -> QtCore.Property:  # noqa: N805 - makes properties
        def write(self: qMRMLNodeComboBox, value: object) -> None:
            self.__dict__[f"_{name}"] = value
            self._refresh()

        return checked_property(kind, name, lambda self: self.__dict__.get(f"_{name}", default), write)

    nodeTypes, hideChildNodeTypes = _filtering(tuple, "nodeTypes", ()), _filtering(tuple, "hideChildNodeTypes", ())
    showChildNodeTypes, showHidden = _filtering(bool, "showChildNodeTypes", True), _filtering(bool, "showHidden", False)
    noneEnabled, noneDisplay = _filtering(bool, "noneEnabled", False), _filtering(str, "noneDisplay", "None")
    del _filtering
    currentNodeID = checked_property(
        str, "currentNodeID", lambda self: self._current, lambda self, node_id: self.setCurrentNodeID(node_id)
    )

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is self._scene:
            return
        _stop_observing(self._scene, self._tags)
        self._scene = scene
        if scene is not None:

            @vtk.calldata_type(vtk.VTK_OBJECT)
            def on_added(_scene: object, _event: str, node: slicer.vtkMRMLNode) -> None:
                self._refresh()
                if self._lists(node):
                    self.nodeAdded.emit(node)

            @vtk.calldata_type(vtk.VTK_OBJECT)
            def on_goes(_scene: object, _event: str, node: slicer.vtkMRMLNode) -> None:
                self._go_to_neighbour_of(node)

            events = (scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndBatchProcessEvent)
            self._tags = [scene.AddObserver(event, lambda *_ignored: self._refresh()) for event in events]
            self._tags.append(scene.AddObserver(scene.NodeAddedEvent, on_added))
            self._tags.append(scene.AddObserver(scene.EndImportEvent, lambda *_ignored: self._start_again()))
            self._tags.append(scene.AddObserver(scene.NodeAboutToBeRemovedEvent, on_goes, -10.0))
            self.destroyed.connect(lambda _widget=None, tags=self._tags: _stop_observing(scene, tags))
        self._refresh()

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | str | None) -> None:
        self.setCurrentNodeID(node.GetID() if isinstance(node, vtk.vtkObject) else node)

    def setCurrentNodeID(self, node_id: str | None) -> None:
        listed = [node.GetID() for node in self._nodes()]
        self._wanted = node_id if node_id and node_id not in listed else ""  # chosen as soon as it is in the scene
        self._choose(node_id if node_id in listed else "")

    def setCurrentNodeIndex(self, index: int) -> None:
        self._choose(self._nodes()[index].GetID() if index >= 0 else "")

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode:
        return self._nodes()[index]

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """List only nodes that have an attribute, or a value of it."""
        self._attributes[node_type, name] = value
        self._refresh()

    def removeAttribute(self, node_type: str, name: str) -> None:
        del self._attributes[node_type, name]
        self._refresh()

    def addNode(self, node_type: str = "") -> slicer.vtkMRMLNode:
        node_type = node_type or self.nodeTypes[0]
        base = self.baseName or node_type.removeprefix("vtkMRML").removesuffix("Node")
        node = self._scene.AddNewNodeByClass(node_type, self._scene.GenerateUniqueName(base))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    def _lists(self, node: slicer.vtkMRMLNode) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        is_kind = node.IsA if self.showChildNodeTypes else node.GetClassName().__eq__
        if not any(map(is_kind, self.nodeTypes)) or any(map(node.IsA, self.hideChildNodeTypes)):
            return False
        wanted = {name: value for (kind, name), value in self._attributes.items() if node.IsA(kind)}
        found = {name: node.GetAttribute(name) for name in wanted}
        return all(found[name] is not None and value in (None, found[name]) for name, value in wanted.items())

    def _nodes(self) -> list[slicer.vtkMRMLNode]:
        nodes = [] if self._scene is None else _items(self._scene.GetNodes())
        return [node for node in nodes if self._lists(node)]

    def _start_again(self) -> None:
        """At the end of an import the real list is emptied and filled anew, and forgets what was chosen."""
        self._choose("")
        self._refresh()

    def _go_to_neighbour_of(self, node: slicer.vtkMRMLNode) -> None:
        """When the chosen node goes, the real list stands at the row before it, or else at the row after it."""
        listed = [each.GetID() for each in self._nodes()]
        if node.GetID() == self._current and node.GetID() in listed:
            at = listed.index(node.GetID())
            others = [*listed[:at], *listed[at + 1 :]]
            self._choose(others[max(at - 1, 0)] if others else "")

    def _refresh(self) -> None:
        """Follow the scene: keep the chosen node; else the wanted one; else none if that may be; else the first."""
        nodes = self._nodes()
        listed = [node.GetID() for node in nodes]
        entries = [(self.noneDisplay, "")] if self.noneEnabled else []
        entries += [(node.GetName(), node.GetID()) for node in nodes]
        self._list.clear()
        for text, node_id in entries:
            self._list.addItem(text, node_id)
        if self._wanted in listed:
            self.setCurrentNodeID(self._wanted)
        elif self._current in listed:
            self._show_current()
        else:
            self._choose("" if self.noneEnabled or not listed else listed[0])

    def _choose(self, node_id: str) -> None:
        if node_id != self._current:
            self._current = node_id
            self._show_current()
            node = self.currentNode()
            self.currentNodeChanged[object].emit(node)
            self.currentNodeChanged[bool].emit(node is not None)
            self.currentNodeIDChanged.emit(node_id)
        else:
            self._show_current()

    def _show_current(self) -> None:
        self._list.setCurrentIndex(self._list.findData(self._current))

    def paintEvent(self, _event: object) -> None:
        """Show new names of nodes."""
        for index in range(self._list.count):
            node = self._scene.GetNodeByID(self._list.itemData(index)) if self._list.itemData(index) else None
            if node is not None and self._list.itemText(index) != node.GetName():
                self._list.setItemText(index, node.GetName())


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A segmentation and one of its segments."""

    currentNodeChanged = Signal((object,), (bool,))
    currentSegmentChanged = Signal(str)
    _object_signals = (*qMRMLWidget._object_signals, "currentNodeChanged(vtkMRMLNode*)")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodes, self._segments = qMRMLNodeComboBox(self), QtWidgets.QComboBox(self)
        self._nodes.nodeTypes = ["vtkMRMLSegmentationNode"]
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._nodes)
        column.addWidget(self._segments)
        self.setSizePolicy(*ACROSS)
        self._observed: slicer.vtkMRMLSegmentationNode | None = None
        self._tags: list[int] = []
        self._nodes.currentNodeChanged[object].connect(self._on_node)
        self._segments.currentIndexChanged.connect(self._on_segment)

    noneEnabled = forwarded(bool, "noneEnabled", "_nodes")
    editEnabled, multiSelection = stored(bool, "editEnabled", False), stored(bool, "multiSelection", False)
    segmentationNodeSelectorVisible = checked_property(
        bool,
        "segmentationNodeSelectorVisible",
        lambda self: not self._nodes.isHidden(),
        lambda self, on: self._nodes.setVisible(on),
    )

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        super().setMRMLScene(scene)
        self._nodes.setMRMLScene(scene)

    def currentNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._nodes.currentNode()

    def currentNodeID(self) -> str:
        return self._nodes.currentNodeID

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        self._nodes.setCurrentNode(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self._nodes.setCurrentNodeID(node_id)

    def currentSegmentID(self) -> str:
        return self._segments.currentData or ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._segments.setCurrentIndex(self._segments.findData(segment_id))

    def segmentIDs(self) -> tuple[str, ...]:
        return tuple(self._segments.itemData(index) for index in range(self._segments.count))

    def _on_segment(self, _index: int) -> None:
        self.currentSegmentChanged.emit(self.currentSegmentID())

    def _on_node(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        _stop_observing(self._observed, self._tags)
        self._observed = node
        if node is not None:
            events = (slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentRemoved)
            self._tags = [node.AddObserver(event, lambda *_ignored: self._list_segments()) for event in events]
            self.destroyed.connect(lambda _widget=None, tags=self._tags: _stop_observing(node, tags))
        self._list_segments()
        self.currentNodeChanged[object].emit(node)
        self.currentNodeChanged[bool].emit(node is not None)

    def _list_segments(self) -> None:
        chosen = self.currentSegmentID()
        self._segments.clear()
        segments = None if self._observed is None else self._observed.GetSegmentation()
        for number in range(0 if segments is None else segments.GetNumberOfSegments()):
            segment_id = segments.GetNthSegmentID(number)
            self._segments.addItem(segments.GetSegment(segment_id).GetName(), segment_id)
        if chosen in self.segmentIDs():
            self.setCurrentSegmentID(chosen)


def _items(collection: vtk.vtkCollection) -> Iterable[slicer.vtkMRMLNode]:
    return [collection.GetItemAsObject(number) for number in range(collection.GetNumberOfItems())]


def _stop_observing(observed: vtk.vtkObject | None, tags: list[int]) -> None:
    if observed is not None:
        for tag in tags:
            observed.RemoveObserver(tag)
    tags.clear()


WIDGETS = (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentSelectorWidget)
