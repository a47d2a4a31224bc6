"""New lines and curves that the user clicks into the views."""

from __future__ import annotations

import slicer


def place_points(line: slicer.vtkMRMLMarkupsNode) -> None:
    """Let the user click the points of a new line or curve."""
    logic = slicer.app.applicationLogic()
    selection, interaction = logic.GetSelectionNode(), logic.GetInteractionNode()
    if selection is None or interaction is None:
        return
    line.CreateDefaultDisplayNodes()
    selection.SetReferenceActivePlaceNodeClassName(line.GetClassName())
    selection.SetActivePlaceNodeID(line.GetID())
    interaction.SetPlaceModePersistence(0 if line.IsA("vtkMRMLMarkupsLineNode") else 1)  # curves take many points
    interaction.SetCurrentInteractionMode(interaction.Place)
