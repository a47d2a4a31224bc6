"""What a scene remembers of the panel: typed parameters that are bound to the widgets of the panel by name."""

# Annotations are not strings here: Slicer reads them when the class is made.

import enum
from pathlib import Path
from typing import Annotated, Union

from slicer import (
    vtkMRMLMarkupsCurveNode,
    vtkMRMLMarkupsLineNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLStreamingVolumeNode,
    vtkMRMLVectorVolumeNode,
)
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from Speckle2SelfLogic.weights import DEFAULT_MODEL
from Speckle2SelfSlicerLib.texts import tr as _

InputVolume = Union[vtkMRMLScalarVolumeNode, vtkMRMLVectorVolumeNode, vtkMRMLStreamingVolumeNode, None]
OutputVolume = Union[vtkMRMLScalarVolumeNode, vtkMRMLVectorVolumeNode, None]
Region = Union[vtkMRMLSegmentationNode, vtkMRMLMarkupsROINode, None]
ProfileLine = Union[vtkMRMLMarkupsLineNode, vtkMRMLMarkupsCurveNode, None]


class Device(enum.Enum):
    """Where networks run. Scenes hold the names, so that they must stay."""

    AUTOMATIC = "auto"
    CUDA = "cuda"
    CPU = "cpu"

    def label(self) -> str:
        """Text in the panel."""
        return {"auto": _("Automatic"), "cuda": _("CUDA (NVIDIA graphics card)"), "cpu": _("CPU")}[self.value]


class Domain(enum.Enum):
    """What the values of the input are. Scenes hold the names, so that they must stay."""

    BMODE = "bmode"
    ENVELOPE = "envelope"
    LOG_ENVELOPE = "log-envelope"

    def label(self) -> str:
        """Text in the panel."""
        texts = {
            "bmode": _("B-mode"),
            "envelope": _("Linear envelope"),
            "log-envelope": _("Log envelope (real numbers: dB)"),
        }
        return texts[self.value]


class SliceAxis(enum.Enum):
    """Along which axis slices lie behind each other. Scenes hold the names, so that they must stay."""

    AUTOMATIC = "auto"
    K = "z"
    J = "y"
    I = "x"  # noqa: E741 - the axis is called so

    def label(self) -> str:
        """Text in the panel."""
        return {"auto": _("Automatic"), "z": _("K (as stored)"), "y": "J", "x": "I"}[self.value]


class VesselImage(enum.Enum):
    """Which image first contours and the caliper look at. Scenes hold the names, so that they must stay."""

    DESPECKLED = "despeckled"
    ORIGINAL = "original"

    def label(self) -> str:
        """Text in the panel."""
        return {"despeckled": _("Despeckled"), "original": _("Original")}[self.value]


class VesselView(enum.Enum):
    """How the vessel lies in the image. Scenes hold the names, so that they must stay."""

    TRANSVERSE = "transverse"
    LONGITUDINAL = "longitudinal"

    def label(self) -> str:
        """Text in the panel."""
        texts = {"transverse": _("Transverse (round lumen)"), "longitudinal": _("Longitudinal (along the vessel)")}
        return texts[self.value]


class DistalEnd(enum.Enum):
    """Towards which side of the image the head is. Scenes hold the names, so that they must stay."""

    LEFT = "left"
    RIGHT = "right"

    def label(self) -> str:
        """Text in the panel."""
        return {"left": _("Left"), "right": _("Right")}[self.value]


class NormalSlices(enum.Enum):
    """Which cross-sections of a stack show the normal distal vessel. Scenes hold the names, so that they must stay."""

    NOT_NAMED = ""
    FIRST = "first"
    LAST = "last"

    def label(self) -> str:
        """Text in the panel."""
        return {"": _("Not named"), "first": _("First fifth"), "last": _("Last fifth")}[self.value]


class CaliperKind(enum.Enum):
    """Between what a line is refined. Scenes hold the names, so that they must stay."""

    LUMEN = "lumen"
    IMT = "imt"

    def label(self) -> str:
        """Text in the panel."""
        return {"lumen": _("Lumen diameter"), "imt": _("Intima-media thickness")}[self.value]


@parameterNodeWrapper
class Speckle2SelfParameters:
    """The parameters.

    inputVolume - the ultrasound volume, or the proxy of a sequence
    domain, dynamicRange - what the values are, and the range in dB over which envelopes are compressed
    wholeSequence - whether all frames of the sequence are despeckled
    outputVolume - the volume to fill; none: a new one
    method - name of a model or filter, or "file"
    modelFile - file of weights, for the method "file"
    strength - 0 keeps the input, 1 is the full answer
    device - where networks run
    sliceAxis - along which axis slices lie behind each other
    keepOverlays - whether coloured overlays keep their pixels
    region, segment - where the volume may change; none: everywhere
    fraction - fade and swipe position of the comparison
    qualityRegion, qualitySegment - what the quality figures are about; none: the frame
    tissueRegion, tissueSegment - homogeneous tissue to contrast it with; none: no contrast figures
    profileLine - line across a wall
    vesselImage - what first contours and the caliper look at
    vesselAllFrames - whether all frames or slices are segmented, measured and compared, or the one in view
    vesselSegmentation, lumenSegment, wallSegment - what is measured; the wall may be "(none)"
    vesselView, distalEnd - how the vessel lies in the image, and on which side the head is
    normalSlices - which end of a stack of cross-sections area stenosis is compared with
    caliperLine, caliperKind - line to refine, and between what
    otherSegmentation, otherSegment - what the lumen is compared with
    """

    inputVolume: InputVolume
    domain: Domain = Domain.BMODE
    dynamicRange: Annotated[float, WithinRange(10, 200)] = 60.0
    wholeSequence: bool = True
    outputVolume: OutputVolume
    method: str = DEFAULT_MODEL
    modelFile: Path
    strength: Annotated[float, WithinRange(0, 1)] = 1.0
    device: Device = Device.AUTOMATIC
    sliceAxis: SliceAxis = SliceAxis.AUTOMATIC
    keepOverlays: bool = True
    region: Region
    segment: str
    fraction: Annotated[float, WithinRange(0, 1)] = 0.5
    qualityRegion: Region
    qualitySegment: str
    tissueRegion: Region
    tissueSegment: str
    profileLine: ProfileLine
    vesselImage: VesselImage = VesselImage.DESPECKLED
    vesselAllFrames: bool = True
    vesselSegmentation: vtkMRMLSegmentationNode
    lumenSegment: str
    wallSegment: str
    vesselView: VesselView = VesselView.TRANSVERSE
    distalEnd: DistalEnd = DistalEnd.LEFT
    normalSlices: NormalSlices = NormalSlices.NOT_NAMED
    caliperLine: vtkMRMLMarkupsLineNode
    caliperKind: CaliperKind = CaliperKind.LUMEN
    otherSegmentation: vtkMRMLSegmentationNode
    otherSegment: str
