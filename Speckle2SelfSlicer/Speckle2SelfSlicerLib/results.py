"""Which result belongs to which input, also after a scene was saved and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfSlicerLib.sequences import cine_of
from Speckle2SelfSlicerLib.volumes import SUPPORTED_CLASSES, is_result, why_unsupported

if TYPE_CHECKING:
    from slicer import vtkMRMLScene, vtkMRMLVolumeNode

INPUT_ROLE = "speckle2selfInput"
FRAME_ATTRIBUTE = "Speckle2Self.Frame"
"""Index value of the frame that a result was made from, if it was one of a sequence."""


def link_result(output: vtkMRMLVolumeNode, original: vtkMRMLVolumeNode) -> None:
    """Let a result refer to its input."""
    output.SetNodeReferenceID(INPUT_ROLE, original.GetID())


def input_of(result: vtkMRMLVolumeNode | None) -> vtkMRMLVolumeNode | None:
    """Return the input of a result that is still in the scene."""
    return None if result is None or not is_result(result) else result.GetNodeReference(INPUT_ROLE)


def results_of(original: vtkMRMLVolumeNode | None) -> list[vtkMRMLVolumeNode]:
    """Return the results of an input, the oldest first."""
    if original is None or original.GetScene() is None:
        return []
    return [volume for volume in volumes_in(original.GetScene()) if input_of(volume) is original]


def is_of_frame_shown(result: vtkMRMLVolumeNode, original: vtkMRMLVolumeNode) -> bool:
    """Whether the result of a single frame is of the frame that its sequence shows now; true for all other results."""
    value, cine = result.GetAttribute(FRAME_ATTRIBUTE), cine_of(original)
    return value is None or cine is None or cine.index_value == value


def volumes_in(scene: vtkMRMLScene) -> list[vtkMRMLVolumeNode]:
    """Return the volumes of a scene that a person sees in lists and that can be despeckled by their class."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    volumes = (scene.GetNthNodeByClass(number, "vtkMRMLVolumeNode") for number in range(count))
    return [node for node in volumes if node.GetClassName() in SUPPORTED_CLASSES and not node.GetHideFromEditors()]


def suggested_input(scene: vtkMRMLScene, shown: vtkMRMLVolumeNode | None) -> vtkMRMLVolumeNode | None:
    """Return the volume that a person most likely means: the one in view, or the first that is no result."""
    if shown is not None and input_of(shown) is not None:
        return input_of(shown)
    candidates = [shown, *volumes_in(scene)]
    return next((node for node in candidates if not why_unsupported(node) and not is_result(node)), None)
