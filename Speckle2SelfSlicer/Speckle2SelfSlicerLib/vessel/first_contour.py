"""A first contour of lumen and wall, for annotators to correct, and what is known of how good it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfSlicerLib.pair import VolumePair
from Speckle2SelfSlicerLib.sequences import Cine, read_cine
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.frames import VesselFrames, source_cine, vessel_frames
from Speckle2SelfSlicerLib.vessel.job import Job, JobControl, Steps
from Speckle2SelfSlicerLib.vessel.label_segments import add_segmentation, add_segmentation_sequence
from Speckle2SelfSlicerLib.volumes import image_from_volume, read_volume

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import ThreadPoolExecutor

    from slicer import vtkMRMLSegmentationNode, vtkMRMLVolumeNode

REMARKS_ATTRIBUTE = "Speckle2Self.FirstContour"
"""JSON of a segmentation: by frame why its first contour should not be trusted, or an empty text."""


class ContourQuality(Protocol):
    """What a segmenter says of one frame."""

    is_trusted: bool
    reasons: tuple[str, ...]


class Report(Protocol):
    """What a segmenter says of an image."""

    quality: dict[int, ContourQuality]
    """By the number of the frame or slice."""


class Segmented(Protocol):
    """Labels with the axes of the image (0 background, 1 lumen, 2 wall), and the report."""

    labels: UltrasoundImage
    report: Report


class Segmenter(Protocol):
    """What makes a first contour: `Speckle2SelfLogic.segmenter.VesselSegmenter`, or something of the user's own."""

    title: str

    def run(
        self,
        image: UltrasoundImage,
        progress: Callable[[int, int], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        *,
        frames: tuple[int | None, int | None] = (None, None),
        slice_axis: str = "auto",
    ) -> Segmented:
        """Label the pixels of some frames."""


@dataclass(frozen=True)
class ContourRequest:
    """Where a first contour is wanted."""

    volume: vtkMRMLVolumeNode
    """The original, whose geometry the segmentation gets."""
    looked_at: vtkMRMLVolumeNode
    """The volume whose pixels the segmenter sees: the original, or its despeckled version."""
    load: Callable[[], Segmenter]
    """Gives the segmenter; called in the thread."""
    all_frames: bool = True
    slice_axis: str = "auto"
    shown: int = 0
    """The slice in view, for volumes."""


@dataclass(frozen=True)
class ContourResult:
    """A new segmentation, and how far its frames can be trusted."""

    segmentation: vtkMRMLSegmentationNode
    """With the segments "Lumen" and "Wall"; the proxy of a sequence for a cine."""
    remarks: dict[int, str]
    """By the number of the frame as a person sees it: why not to trust it, or an empty text."""

    @property
    def sentence(self) -> str:
        """What a person should know about the contours."""
        doubtful = {number: remark for number, remark in self.remarks.items() if remark}
        if not doubtful:
            return _("First contours are in '{name}'. Check and correct them.").format(name=self.segmentation.GetName())
        reasons = "; ".join(dict.fromkeys(doubtful.values()))
        return _("DO NOT TRUST the contour in {count} of {total} frames ({numbers}) of '{name}': {reasons}.").format(
            count=len(doubtful),
            total=len(self.remarks),
            numbers=_listed(list(doubtful)),
            name=self.segmentation.GetName(),
            reasons=reasons,
        )


def first_contour(request: ContourRequest, thread: ThreadPoolExecutor) -> Job[ContourResult]:
    """Return a job that adds a new segmentation, beside the original and on its grid.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If it cannot be done; nothing has been started then.
    """
    frames = vessel_frames(
        request.volume, all_frames=request.all_frames, slice_axis=request.slice_axis, shown=request.shown
    )
    if request.looked_at is not request.volume:
        VolumePair(request.volume, request.looked_at)  # refuses what does not fit
    source = source_cine(request.looked_at, frames)
    control = JobControl(thread)
    watched = (*frames.watched(), request.looked_at)
    return Job(_steps(request, frames, source, control), control, watched)


def contour_remarks(segmentation: vtkMRMLSegmentationNode, frames: VesselFrames) -> tuple[str, ...]:
    """Return for each frame why a first contour there should not be trusted, or nothing; from the segmentation."""
    try:
        noted = json.loads(segmentation.GetAttribute(REMARKS_ATTRIBUTE) or "{}")
    except ValueError:
        noted = {}
    if not noted:
        return ("",) * len(frames)
    nowhere = _("none was made for this frame")
    return tuple(noted.get(key, nowhere) for key in _keys(frames))


def _steps(
    request: ContourRequest, frames: VesselFrames, source: Cine | None, control: JobControl
) -> Steps[ContourResult]:
    index_values, shown_numbers, keys = frames.index_values, frames.shown_numbers, _keys(frames)
    image = yield from _read(request, frames, source)
    numbers = frames.numbers if frames.cine is None or source is not None else (0,)
    segmenter = yield from control.compute(request.load)
    control.check()
    segmented = yield from control.compute(
        segmenter.run,
        image,
        control.progress,
        control.is_cancelled,
        frames=(numbers[0], numbers[-1] + 1),
        slice_axis=frames.axis,
    )
    qualities = [segmented.report.quality[number] for number in numbers]
    remarks = ["" if each.is_trusted else ", ".join(each.reasons) or _("low quality") for each in qualities]
    attributes = {
        REMARKS_ATTRIBUTE: json.dumps(dict(zip(keys, remarks, strict=True))),
        "Speckle2Self.MethodTitle": segmenter.title,
        "Speckle2Self.Input": request.looked_at.GetName(),
        "Speckle2Self.Notice": _("First contour, not corrected. Research use only, not for diagnosis."),
    }
    name = f"{request.looked_at.GetName()} first contour"  # says which image was looked at
    segmentation = yield from _written(segmented.labels, frames, index_values, name, attributes)
    return ContourResult(segmentation, dict(zip(shown_numbers, remarks, strict=True)))


def _read(request: ContourRequest, frames: VesselFrames, source: Cine | None) -> Generator[None, None, UltrasoundImage]:
    if source is None and frames.cine is not None:
        return image_from_volume(request.looked_at)
    steps = read_volume(request.looked_at) if source is None else read_cine(source)
    image = None
    while image is None:
        yield None
        image = next(steps)
    return image


def _written(
    labels: UltrasoundImage,
    frames: VesselFrames,
    index_values: tuple[str, ...],
    name: str,
    attributes: dict[str, str],
) -> Generator[None, None, vtkMRMLSegmentationNode]:
    if len(frames) > 1 and frames.cine is not None:
        return (yield from add_segmentation_sequence(labels.pixels, frames, name, attributes))
    if index_values and index_values != (frames.cine.index_value,):
        message = _("Another frame of '{name}' is shown by now; make the first contour again.")
        raise SettingsError(message.format(name=frames.volume.GetName()))
    return add_segmentation(labels.pixels, frames.volume, name, attributes)


def _keys(frames: VesselFrames) -> tuple[str, ...]:
    """Return what tells the frames apart in a scene: index values of a cine, numbers of slices."""
    return frames.index_values or tuple(str(number) for number in frames.numbers)


def _listed(numbers: list[int]) -> str:
    """Return the first few numbers as text."""
    text = ", ".join(str(number) for number in numbers[:8])
    return text if len(numbers) <= 8 else f"{text}, ..."
