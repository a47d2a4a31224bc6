"""What was measured, drawn: lines and curves for each frame of a cine, or one set that follows the slice in view."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.pair import NodeLink
from Speckle2SelfSlicerLib.vessel.frames import VesselFrames
from Speckle2SelfSlicerLib.vessel.markups import (
    DRAWN,
    add_markup_sequences,
    markup_sequence,
    move_markup,
    new_markup,
    remove_markups,
)
from Speckle2SelfSlicerLib.vessel.own_nodes import own_nodes
from Speckle2SelfSlicerLib.vessel.shapes import STYLES, Shape, contents_of, shapes_of

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsNode

    from Speckle2SelfSlicerLib.vessel.measuring import VesselFigures

FrameShapes = dict[str, Shape]


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

    def show(self, number: int) -> None:
        """Draw what was measured in a slice of a volume; nothing if it was not measured. Cines follow their browser."""
        frames, numbers = self._frames, self._frames.numbers
        if frames.cine is not None or number == self._shown or frames.volume.GetScene() is None:
            return
        self._shown = number
        position = numbers.index(number) if number in numbers else 0
        shapes = self._shapes[position] if number in numbers else {}
        for content, node in self.nodes.items():
            move_markup(node, frames, position, shapes.get(content))


def draw_figures(figures: VesselFigures) -> Generator[None, None, Drawing]:
    """Draw what was measured, in steps; the scene is touched in the last one alone.

    Drawings of an earlier measurement of the same segmentation are taken away.
    """
    frames, segmentation = figures.frames, figures.request.segmentation
    shapes = [shapes_of(each) for each in figures.measured]
    drawn = {content for each in shapes for content in each}
    styles = [STYLES[content] for content in contents_of(figures.measured[0]) if content in drawn]
    names = {style.content: f"{segmentation.GetName()}: {style.content}" for style in styles}
    sequences = []
    if frames.cine is not None:
        for style in styles:
            of_frames = [each.get(style.content) for each in shapes]
            sequence = yield from markup_sequence(style, frames, of_frames, names[style.content])
            sequences.append((style, sequence))
    for node in own_nodes(segmentation, DRAWN):
        remove_markups(node)
    if frames.cine is not None:
        return Drawing(frames, shapes, add_markup_sequences(sequences, frames, segmentation))
    nodes = {style.content: new_markup(style, frames, names[style.content], segmentation) for style in styles}
    drawing = Drawing(frames, shapes, nodes)
    drawing.show(figures.request.shown if figures.request.shown in frames.numbers else frames.numbers[0])
    return drawing
