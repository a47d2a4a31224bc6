"""A list of the segments of a segmentation, hidden for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import qt
    import slicer


NO_SEGMENT = "(none)"
"""Stands for a segment that was left out on purpose; an empty text means that nothing was chosen yet."""


class SegmentChoice:
    """Keeps a combo box in step with a segmentation.

    Parameters
    ----------
    label, combo
        The widgets.
    on_chosen
        Called with the identifier of the segment that the user chose.
    likely
        Words in the name of the segment that is proposed; left out: the first one is.
    none_text
        What the list shows for no segment, whose identifier is `NO_SEGMENT`; left out: a segment has to be chosen.
    """

    def __init__(
        self,
        label: qt.QLabel,
        combo: qt.QComboBox,
        on_chosen: Callable[[str], None],
        likely: tuple[str, ...] = (),
        none_text: str = "",
    ) -> None:
        self._label, self._combo, self._on_chosen = label, combo, on_chosen
        self._likely, self._none_text = likely, none_text
        self._filling = False
        self._region: slicer.vtkMRMLNode | None = None
        self._shown: tuple[dict[str, str], str] | None = None
        combo.connect("currentIndexChanged(int)", self._on_index)

    def show(self, region: slicer.vtkMRMLNode | None, chosen: str) -> None:
        """List the segments of a region and show the chosen one, or the first."""
        is_segmentation = region is not None and region.IsA("vtkMRMLSegmentationNode")
        self._label.visible = self._combo.visible = is_segmentation
        none = {NO_SEGMENT: self._none_text} if self._none_text else {}
        names = none | _segment_names(region) if is_segmentation else {}
        if (names, chosen) == self._shown:
            return  # a list that is open stays open
        self._shown = (names, chosen)
        self._filling = True
        try:
            self._combo.clear()
            for segment_id, name in names.items():
                self._combo.addItem(name, segment_id)
            is_new = region is not self._region or not chosen
            self._region = region
            if names and chosen not in names and is_new:
                chosen = self._proposed(names)
                self._on_chosen(chosen)
            # a chosen segment that was removed leaves the list empty: another one must not take its place unseen
            self._combo.currentIndex = list(names).index(chosen) if chosen in names else -1
        finally:
            self._filling = False

    def _proposed(self, names: dict[str, str]) -> str:
        fitting = (each for each, name in names.items() if any(word in name.lower() for word in self._likely))
        return next(fitting, next(iter(names)))

    def _on_index(self, index: int) -> None:
        if not self._filling and index >= 0:
            self._on_chosen(self._combo.itemData(index))


def _segment_names(segmentation: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
    segments = segmentation.GetSegmentation()
    identifiers = [segments.GetNthSegmentID(number) for number in range(segments.GetNumberOfSegments())]
    return {segment_id: segments.GetSegment(segment_id).GetName() for segment_id in identifiers}
