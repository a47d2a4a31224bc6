"""Lines and curves in the frame's plane: one set for each frame of a cine, or one that follows the slice in view."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import vtk

from Speckle2SelfSlicerLib.derived import CONTENT_ATTRIBUTE, remove_displayed
from Speckle2SelfSlicerLib.pair import NodeLink
from Speckle2SelfSlicerLib.sequences import index_like, update_proxies
from Speckle2SelfSlicerLib.vessel.frames import Places, VesselFrames
from Speckle2SelfSlicerLib.vessel.own_nodes import claim, own_nodes
from Speckle2SelfSlicerLib.vessel.shapes import STYLES, Points, Style, contents_of, shapes_of
from Speckle2SelfSlicerLib.volumes import place_beside

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsNode, vtkMRMLNode, vtkMRMLSequenceNode

    from Speckle2SelfSlicerLib.vessel.measuring import VesselFigures

CLASSES = {
    "line": "vtkMRMLMarkupsLineNode",
    "curve": "vtkMRMLMarkupsCurveNode",
    "closed curve": "vtkMRMLMarkupsClosedCurveNode",
}
DRAWN = "drawn: "
LINE_THICKNESS = 0.3
GLYPH_SCALE = 1.0

FrameShapes = dict[str, Points]


class Drawing:
    """The lines and curves of a measurement.

    Parameters
    ----------
    frames
        The frames that were measured.
    shapes
        What to draw in each of them.
    nodes
        By content: the markups nodes that are in view.
    """

    def __init__(
        self, frames: VesselFrames, shapes: Sequence[FrameShapes], nodes: dict[str, vtkMRMLMarkupsNode]
    ) -> None:
        self._frames, self._shapes = frames, shapes
        self._links = {content: NodeLink(node) for content, node in nodes.items()}
        self._shown: int | None = None

    @property
    def nodes(self) -> dict[str, vtkMRMLMarkupsNode]:
        """The markups nodes that are still in the scene, by content."""
        return {content: link.node for content, link in self._links.items() if link.node is not None}

    @property
    def follows_slices(self) -> bool:
        """Whether `show` has to be called when another slice is in view; a cine's browser does it by itself."""
        return self._frames.cine is None

    def show(self, number: int) -> None:
        """Draw what was measured in a slice of the volume; nothing if it was not measured."""
        if not self.follows_slices or number == self._shown or self._frames.volume.GetScene() is None:
            return
        self._shown = number
        numbers = self._frames.numbers
        shapes = self._shapes[numbers.index(number)] if number in numbers else {}
        for content, node in self.nodes.items():
            position = numbers.index(number) if content in shapes else 0
            points = shapes.get(content, np.zeros((0, 2)))
            _set_points(node, _in_world(self._frames, self._frames.ras_of(position, points)))


def draw_figures(figures: VesselFigures) -> Generator[None, None, Drawing]:
    """Draw what was measured, in steps; the scene is touched in the last one alone.

    Drawings of an earlier measurement of the same segmentation are taken away.
    """
    frames = figures.frames
    shapes = [shapes_of(each) for each in figures.measured]
    drawn = {content for each in shapes for content in each}
    styles = [STYLES[content] for content in contents_of(figures.measured[0]) if content in drawn]
    if frames.cine is None:
        _remove_earlier(figures)
        drawing = Drawing(frames, shapes, {style.content: _new_node(style, figures) for style in styles})
        drawing.show(figures.request.shown if figures.request.shown in frames.numbers else frames.numbers[0])
        return drawing
    sequences = []
    for style in styles:
        sequences.append((style, (yield from _sequence(style, frames, shapes, _name(style, figures)))))
    _remove_earlier(figures)
    nodes = {style.content: _add_sequence(sequence, style, figures) for style, sequence in sequences}
    return Drawing(frames, shapes, nodes)


def _sequence(
    style: Style, frames: VesselFrames, shapes: Sequence[FrameShapes], name: str
) -> Generator[None, None, vtkMRMLSequenceNode]:
    """Return a sequence, in no scene yet, with a node for every frame of the cine, empty without shape."""
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
        if position is not None and style.content in shapes[position]:
            _set_points(node, frames.ras_of(position, shapes[position][style.content]))
        sequence.SetDataNodeAtValue(node, value)
        yield None
    return sequence


def _add_sequence(sequence: vtkMRMLSequenceNode, style: Style, figures: VesselFigures) -> vtkMRMLMarkupsNode:
    """Put a finished sequence into the scene and the browser of the cine, and return its proxy."""
    cine = figures.frames.cine
    scene = cine.sequence.GetScene()
    scene.AddNode(sequence)
    claim(sequence, figures.request.segmentation, DRAWN + style.content)
    cine.browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    update_proxies(cine.browser)
    node = cine.browser.GetProxyNode(sequence)
    cine.browser.SetOverwriteProxyName(sequence, False)
    cine.browser.SetSaveChanges(sequence, False)
    node.SetName(sequence.GetName())
    _dress(node, style, figures)
    return node


def _new_node(style: Style, figures: VesselFigures) -> vtkMRMLMarkupsNode:
    scene = figures.frames.volume.GetScene()
    node = scene.AddNewNodeByClass(CLASSES[style.kind], _name(style, figures))
    node.SetLocked(True)
    claim(node, figures.request.segmentation, DRAWN + style.content)
    _dress(node, style, figures)
    return node


def _name(style: Style, figures: VesselFigures) -> str:
    return f"{figures.request.segmentation.GetName()}: {style.content}"


def _dress(node: vtkMRMLMarkupsNode, style: Style, figures: VesselFigures) -> None:
    """Give a node place, colour and label: a length in mm is written beside lines only if the image is calibrated."""
    volume = figures.frames.volume
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    place_beside(node, volume)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*style.colour)
    display.SetSelectedColor(*style.colour)  # what markups are drawn in unless they are deselected
    display.SetPointLabelsVisibility(False)
    is_length = style.kind == "line" and figures.frames.spacing_mm is not None
    display.SetPropertiesLabelVisibility(is_length)
    display.SetGlyphScale(GLYPH_SCALE)
    display.SetLineThickness(LINE_THICKNESS)


def _remove_earlier(figures: VesselFigures) -> None:
    for node in own_nodes(figures.request.segmentation, DRAWN):
        remove_drawing(node)


def remove_drawing(node: vtkMRMLNode) -> None:
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


def _set_points(node: vtkMRMLMarkupsNode, world_ras: Places) -> None:
    points = vtk.vtkPoints()
    for place in world_ras.tolist():
        points.InsertNextPoint(place)
    was_modifying = node.StartModify()
    node.SetControlPointPositionsWorld(points)
    node.EndModify(was_modifying)


def _in_world(frames: VesselFrames, places_ras: Places) -> Places:
    world = np.empty_like(places_ras)
    there = [0.0, 0.0, 0.0]
    for number, place in enumerate(places_ras.tolist()):
        frames.volume.TransformPointToWorld(place, there)
        world[number] = there
    return world
