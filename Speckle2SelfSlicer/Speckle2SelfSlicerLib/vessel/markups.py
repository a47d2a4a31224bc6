"""Locked lines and curves in the plane of a frame: single nodes, or sequences that follow a cine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import vtk

from Speckle2SelfSlicerLib.derived import CONTENT_ATTRIBUTE, remove_displayed
from Speckle2SelfSlicerLib.sequences import index_like, update_proxies
from Speckle2SelfSlicerLib.vessel.frames import Places, VesselFrames
from Speckle2SelfSlicerLib.vessel.own_nodes import claim
from Speckle2SelfSlicerLib.vessel.shapes import Shape, Style
from Speckle2SelfSlicerLib.volumes import place_beside

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsNode, vtkMRMLNode, vtkMRMLSequenceNode

CLASSES = {
    "line": "vtkMRMLMarkupsLineNode",
    "curve": "vtkMRMLMarkupsCurveNode",
    "closed curve": "vtkMRMLMarkupsClosedCurveNode",
}
DRAWN = "drawn: "
LINE_THICKNESS = 0.3
GLYPH_SCALE = 1.0


def new_markup(style: Style, frames: VesselFrames, name: str, measured: vtkMRMLNode) -> vtkMRMLMarkupsNode:
    """Add an empty node beside the volume of some frames; it notes down what was measured."""
    node = frames.volume.GetScene().AddNewNodeByClass(CLASSES[style.kind], name)
    node.SetLocked(True)
    claim(node, measured, DRAWN + style.content)
    _dress(node, style, frames)
    return node


def markup_sequence(
    style: Style, frames: VesselFrames, shapes: Sequence[Shape | None], name: str
) -> Generator[None, None, vtkMRMLSequenceNode]:
    """Return a sequence, in no scene yet, with a node for each frame of the cine.

    Parameters
    ----------
    style
        What it is.
    frames
        Some or all frames of a cine.
    shapes
        One for each of them, None for nothing; other frames of the cine have nothing either.
    name
        Of sequence and nodes.
    """
    import slicer

    sequence = slicer.vtkMRMLSequenceNode()
    sequence.SetName(name)
    index_like(frames.cine.sequence, sequence)
    positions = {number: position for position, number in enumerate(frames.numbers)}
    for number, value in enumerate(frames.cine.index_values):
        node = getattr(slicer, CLASSES[style.kind])()
        node.SetName(name)
        node.SetLocked(True)
        node.SetAttribute(CONTENT_ATTRIBUTE, DRAWN + style.content)
        position = positions.get(number)
        shape = None if position is None else shapes[position]
        if shape is not None:
            _set_places(node, frames.ras_of(position, shape.points_yx_px), shape.label)
        sequence.SetDataNodeAtValue(node, value)
        yield None
    return sequence


def add_markup_sequences(
    sequences: Sequence[tuple[Style, vtkMRMLSequenceNode]], frames: VesselFrames, measured: vtkMRMLNode
) -> dict[str, vtkMRMLMarkupsNode]:
    """Put finished sequences into the scene and the browser of the cine, and return their proxies by content."""
    browser, scene = frames.cine.browser, frames.cine.sequence.GetScene()
    for style, sequence in sequences:
        scene.AddNode(sequence)
        claim(sequence, measured, DRAWN + style.content)
        browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    update_proxies(browser)  # once for all: it looks at every sequence of the browser
    nodes = {}
    for style, sequence in sequences:
        browser.SetOverwriteProxyName(sequence, False)
        browser.SetSaveChanges(sequence, False)
        nodes[style.content] = browser.GetProxyNode(sequence)
        nodes[style.content].SetName(sequence.GetName())
        _dress(nodes[style.content], style, frames)
    return nodes


def move_markup(node: vtkMRMLMarkupsNode, frames: VesselFrames, position: int, shape: Shape | None) -> None:
    """Give a node in the scene the shape of a frame of the volume, or nothing."""
    places_ras = np.zeros((0, 3)) if shape is None else frames.ras_of(position, shape.points_yx_px)
    world = np.empty_like(places_ras)
    there = [0.0, 0.0, 0.0]
    for number, place in enumerate(places_ras.tolist()):
        frames.volume.TransformPointToWorld(place, there)
        world[number] = there
    _set_places(node, world, "" if shape is None else shape.label)


def remove_markups(node: vtkMRMLNode) -> None:
    """Take a markups node of this module, or a sequence of them with its proxy, out of the scene."""
    scene = node.GetScene()
    if not node.IsA("vtkMRMLSequenceNode"):
        remove_displayed(node)
        return
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        proxy = browser.GetProxyNode(node)
        if proxy is not None:
            browser.RemoveSynchronizedSequenceNode(node.GetID())
            if proxy.GetScene() is scene:
                remove_displayed(proxy)
    scene.RemoveNode(node)


def _dress(node: vtkMRMLMarkupsNode, style: Style, frames: VesselFrames) -> None:
    """Give a node place and colour. Lengths are written as labels of points: markups know no pixels as a unit."""
    node.SetAndObserveTransformNodeID(frames.volume.GetTransformNodeID())
    place_beside(node, frames.volume)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*style.colour)
    display.SetSelectedColor(*style.colour)  # what markups are drawn in unless they are deselected
    display.SetPointLabelsVisibility(style.kind == "line")
    display.SetPropertiesLabelVisibility(False)
    display.SetGlyphScale(GLYPH_SCALE)
    display.SetLineThickness(LINE_THICKNESS)


def _set_places(node: vtkMRMLMarkupsNode, world_ras: Places, label: str) -> None:
    points = vtk.vtkPoints()
    for place in world_ras.tolist():
        points.InsertNextPoint(place)
    was_modifying = node.StartModify()
    node.SetControlPointPositionsWorld(points)
    for number in range(len(world_ras)):
        node.SetNthControlPointLabel(number, "" if number else label)
    node.EndModify(was_modifying)
