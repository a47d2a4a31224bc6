"""Which nodes of a scene hold the figures and drawings of a segmentation, also after the scene was saved and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.derived import CONTENT_ATTRIBUTE

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

MEASURED_ROLE = "speckle2selfMeasured"


def claim(node: vtkMRMLNode, measured: vtkMRMLNode, content: str) -> None:
    """Note down what a node holds, and of which segmentation."""
    node.SetAttribute(CONTENT_ATTRIBUTE, content)
    node.SetNodeReferenceID(MEASURED_ROLE, measured.GetID())


def own_node(measured: vtkMRMLNode, kind: str, content: str) -> vtkMRMLNode | None:
    """Return the node of a class that holds some content of a segmentation, or None."""
    scene = measured.GetScene()
    for number in range(scene.GetNumberOfNodesByClass(kind)):
        node = scene.GetNthNodeByClass(number, kind)
        if node.GetAttribute(CONTENT_ATTRIBUTE) == content and node.GetNodeReference(MEASURED_ROLE) is measured:
            return node
    return None


def own_nodes(measured: vtkMRMLNode, prefix: str) -> list[vtkMRMLNode]:
    """Return the nodes whose content of a segmentation starts with some words."""
    nodes = measured.GetScene().GetNodes()
    every = (nodes.GetItemAsObject(number) for number in range(nodes.GetNumberOfItems()))
    return [
        node
        for node in every
        if (node.GetAttribute(CONTENT_ATTRIBUTE) or "").startswith(prefix)
        and node.GetNodeReference(MEASURED_ROLE) is measured
    ]
