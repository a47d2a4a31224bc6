"""Hand-over to the Segment Editor: draw on the despeckled volume, keep the mask on the original's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfSlicerLib.pair import VolumePair
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import place_beside

if TYPE_CHECKING:
    from slicer import vtkMRMLScene, vtkMRMLSegmentationNode, vtkMRMLSegmentEditorNode, vtkMRMLVolumeNode

EDITOR_CLASS = "vtkMRMLSegmentEditorNode"
EDITOR_TAG = "SegmentEditor"
"""Singleton tag of the settings that the application's Segment Editor works with."""


def prepare_segmentation(
    original: vtkMRMLVolumeNode,
    despeckled: vtkMRMLVolumeNode,
    segmentation: vtkMRMLSegmentationNode | None = None,
) -> vtkMRMLSegmentationNode:
    """Return a segmentation that is drawn on the grid of the original, whichever of the two volumes is looked at.

    Parameters
    ----------
    original, despeckled
        Input and result.
    segmentation
        The segmentation to go on with; segments that it has are kept. Left out, or no longer in the scene: a new one
        "<original> segmentation" with one empty segment, beside the original.

    Raises
    ------
    SettingsError
        If the two volumes do not fit, or a segmentation with segments lies under another transform than the original.
    """
    VolumePair(original, despeckled)  # refuses what does not fit
    if segmentation is None or segmentation.GetScene() is None:
        segmentation = _new_segmentation(original)
    elif segmentation.GetTransformNodeID() != original.GetTransformNodeID():
        _check_may_move(segmentation, original)
    if segmentation.GetDisplayNode() is None:
        segmentation.CreateDefaultDisplayNodes()
    segmentation.SetAndObserveTransformNodeID(original.GetTransformNodeID())
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(original)
    if segmentation.GetSegmentation().GetNumberOfSegments() == 0:
        segmentation.GetSegmentation().AddEmptySegment()
    return segmentation


def segment_editor_setup(
    scene: vtkMRMLScene, segmentation: vtkMRMLSegmentationNode, source_volume: vtkMRMLVolumeNode
) -> vtkMRMLSegmentEditorNode:
    """Let the Segment Editor open with a segmentation and the volume to look at while drawing.

    Call it before the module is shown, and once more after: the editor may then have chosen a volume by itself.
    """
    editor = scene.GetSingletonNode(EDITOR_TAG, EDITOR_CLASS)
    if editor is None:
        editor = scene.CreateNodeByClass(EDITOR_CLASS)
        editor.UnRegister(None)  # the scene owns it from here on
        editor.SetSingletonTag(EDITOR_TAG)
        editor = scene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(segmentation)
    if hasattr(editor, "SetAndObserveSourceVolumeNode"):
        editor.SetAndObserveSourceVolumeNode(source_volume)
    else:
        editor.SetAndObserveMasterVolumeNode(source_volume)
    segments = segmentation.GetSegmentation()
    if segments.GetSegment(editor.GetSelectedSegmentID() or "") is None and segments.GetNumberOfSegments():
        editor.SetSelectedSegmentID(segments.GetNthSegmentID(0))
    return editor


def _new_segmentation(original: vtkMRMLVolumeNode) -> vtkMRMLSegmentationNode:
    scene = original.GetScene()
    name = scene.GenerateUniqueName(f"{original.GetName()} segmentation")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    place_beside(segmentation, original)
    return segmentation


def _check_may_move(segmentation: vtkMRMLSegmentationNode, original: vtkMRMLVolumeNode) -> None:
    if segmentation.GetSegmentation().GetNumberOfSegments():
        message = _(
            "'{segmentation}' lies under another transform than '{volume}', and its segments would move; "
            "choose another segmentation, or none."
        ).format(segmentation=segmentation.GetName(), volume=original.GetName())
        raise SettingsError(message)
