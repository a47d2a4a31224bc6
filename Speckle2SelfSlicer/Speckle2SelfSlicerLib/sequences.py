"""Cines: the sequence behind a proxy volume, its frames as one image, and results in the same browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfSlicerLib.pair import SAME_MM, ijk_to_ras
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import (
    changed_meanwhile,
    fill_like,
    image_from_volume,
    is_result,
    output_class,
    place_beside,
    result_name,
    show_alike,
    voxels_of,
    why_unsupported,
    would_overwrite,
)

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLNode,
        vtkMRMLScene,
        vtkMRMLSequenceBrowserNode,
        vtkMRMLSequenceNode,
        vtkMRMLVolumeNode,
    )


@dataclass(frozen=True)
class Cine:
    """A sequence of volumes, the browser that plays it, and the proxy volume that shows its current frame."""

    sequence: vtkMRMLSequenceNode
    browser: vtkMRMLSequenceBrowserNode
    proxy: vtkMRMLVolumeNode

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return int(self.sequence.GetNumberOfDataNodes())

    @property
    def index_values(self) -> tuple[str, ...]:
        """Index values of all frames."""
        return tuple(self.sequence.GetNthIndexValue(number) for number in range(self.frame_count))

    @property
    def index_value(self) -> str:
        """Index value of the frame that is shown."""
        return str(self.sequence.GetNthIndexValue(self.frame_number))

    def check_one_place(self, region: vtkMRMLNode) -> None:
        """Check that all frames lie where the current one does. Raises `SettingsError` if a region would drift."""
        here = ijk_to_ras(self.proxy)
        if not all(np.allclose(ijk_to_ras(self.frame(n)), here, atol=SAME_MM) for n in range(self.frame_count)):
            message = _(
                "The frames of '{sequence}' lie at different places, so that '{region}' does not hold for all of them; "
                "despeckle without a region, or frame by frame."
            ).format(sequence=self.sequence.GetName(), region=region.GetName())
            raise SettingsError(message)

    @property
    def frame_number(self) -> int:
        """Number of the frame that the browser shows, from 0."""
        value = self.browser.GetMasterSequenceNode().GetNthIndexValue(self.browser.GetSelectedItemNumber())
        number = int(self.sequence.GetItemNumberFromIndexValue(value, False))
        return max(number, 0)

    def frame(self, number: int) -> vtkMRMLVolumeNode:
        """Return the volume of one frame, which lies outside of the user's scene."""
        return self.sequence.GetNthDataNode(number)


def cine_of(volume: vtkMRMLVolumeNode | None) -> Cine | None:
    """Return the cine that a volume is the proxy of, or None for a volume of its own."""
    scene = None if volume is None else volume.GetScene()
    if scene is None:
        return None
    for browser in browsers(scene):
        sequence = browser.GetSequenceNode(volume)
        if sequence is not None:
            return Cine(sequence, browser, volume)
    return None


def cine_of_sequence(sequence: vtkMRMLSequenceNode) -> Cine:
    """Return the cine of a sequence.

    Raises
    ------
    SettingsError
        If no browser plays the sequence, or it does not hold volumes.
    """
    for browser in browsers(sequence.GetScene()):
        proxy = browser.GetProxyNode(sequence)
        if proxy is not None and proxy.IsA("vtkMRMLVolumeNode"):
            return Cine(sequence, browser, proxy)
    message = _(
        "The sequence '{sequence}' has no browser that shows volumes of it; open it in the module 'Sequences' first."
    ).format(sequence=sequence.GetName())
    raise SettingsError(message)


def resolve_sequence(
    node: vtkMRMLVolumeNode | vtkMRMLSequenceNode | None,
) -> tuple[vtkMRMLVolumeNode | None, vtkMRMLSequenceNode | None]:
    """Return the proxy volume of a sequence node and that node, or a volume as it is and None."""
    if not hasattr(node, "IsA") or not node.IsA("vtkMRMLSequenceNode"):
        return node, None
    return cine_of_sequence(node).proxy, node


def read_cine(cine: Cine) -> Iterator[UltrasoundImage | None]:
    """Copy all frames into one image of axes ``"TZYX"`` or ``"TZYXC"``, one frame at each step; the last step gives it.

    The image has the geometry of the first frame; each frame keeps its own when a result is written.

    Raises
    ------
    UnsupportedImageError
        If a frame cannot be despeckled, or the frames differ in size or type; the message names the frame.
    """
    first = image_from_volume(_checked_frame(cine, 0))
    frames = np.empty((cine.frame_count, *first.pixels.shape), first.pixels.dtype)
    for number in range(len(frames)):
        voxels = voxels_of(_checked_frame(cine, number).GetImageData())
        if voxels.shape != first.pixels.shape or voxels.dtype != first.pixels.dtype:
            message = _(
                "Frame {number} of '{sequence}' has {size}, but frame 0 has {first_size}; "
                "despeckle such frames one by one."
            ).format(
                number=number, sequence=cine.sequence.GetName(), size=_size(voxels), first_size=_size(first.pixels)
            )
            raise UnsupportedImageError(message)
        frames[number] = voxels
        yield None
    yield replace(
        first,
        pixels=frames,
        axes=f"T{first.axes}",
        spacing_mm=(*first.spacing_mm, 1.0),
        origin_mm=(*first.origin_mm, 0.0),
        direction=tuple(_with_time(np.reshape(first.direction, (3, 3))).ravel()),
    )


def check_cine_output(cine: Cine, output: vtkMRMLVolumeNode | None) -> Cine | None:
    """Return the cine that a result may be written into: None for a new one, or that of an earlier result.

    Raises
    ------
    SettingsError
        If the volume is no proxy of an earlier result in the same browser, or the browser is recording.
    """
    if cine.browser.GetRecordingActive():
        message = _("'{browser}' is recording; stop the recording first.").format(browser=cine.browser.GetName())
        raise SettingsError(message)
    if output is None:
        return None
    earlier = cine_of(output)
    if earlier is not None and earlier.sequence is cine.sequence:
        message = would_overwrite(cine.proxy)
        raise SettingsError(message)
    if earlier is None or earlier.browser is not cine.browser or not is_result(output):
        message = _(
            "'{output}' is no earlier result for the sequence '{sequence}' and cannot take a whole sequence; "
            "choose a new volume, or none."
        ).format(output=output.GetName(), sequence=cine.sequence.GetName())
        raise SettingsError(message)
    return earlier


def write_cine(
    image: UltrasoundImage,
    cine: Cine,
    output: vtkMRMLVolumeNode | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Iterator[vtkMRMLVolumeNode | None]:
    """Write an image of all frames as a sequence into the browser of its source, one frame at each step.

    The scene is touched in the last step alone, which gives the proxy volume of the result: until then there is
    nothing to take back. Index values, IJKToRAS of every frame, parent transform and window/level are the source's.

    Parameters
    ----------
    image
        Pixels (T, Z, Y, X[, C]) of the source's shape and type.
    cine
        The source.
    output
        The proxy volume of an earlier result, whose frames are replaced; left out: a new sequence.
    attributes
        Node attributes to set on the sequence, its frames and the proxy.

    Raises
    ------
    SettingsError
        If `check_cine_output` objects.
    UnsupportedImageError
        If the source has other frames by now than the image.
    """
    import slicer

    earlier = check_cine_output(cine, output)
    source, name = cine.sequence, result_name(cine.proxy)
    results = slicer.vtkMRMLSequenceNode()
    index_like(source, results)  # before there are frames: text and close numbers are no different numbers otherwise
    for number in range(len(image.pixels)):
        original = cine.frame(number)
        if cine.frame_count != len(image.pixels) or _differs(original, image.pixels[number]):
            raise UnsupportedImageError(changed_meanwhile(source))
        frame = getattr(slicer, output_class(original))()
        frame.SetName(name)
        fill_like(frame, image.pixels[number], original)
        _set_attributes(frame, attributes)
        results.SetDataNodeAtValue(frame, source.GetNthIndexValue(number))
        yield None
    if earlier is None:
        yield _added(results, cine, attributes)
    else:
        yield _replaced(results, earlier, attributes)


def _added(results: vtkMRMLSequenceNode, cine: Cine, attributes: Mapping[str, str] | None) -> vtkMRMLVolumeNode:
    """Put a finished sequence into the scene and the browser, and return its proxy."""
    scene, source = cine.sequence.GetScene(), cine.sequence
    name, proxy_name = result_name(source), result_name(cine.proxy)
    results.SetName(scene.GenerateUniqueName(name))
    proxy_name = results.GetName() if name == proxy_name else scene.GenerateUniqueName(proxy_name)
    _set_attributes(results, attributes)
    scene.AddNode(results)
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
    results.SetAndObserveStorageNodeID(storage.GetID())
    place_beside(results, source)
    cine.browser.AddSynchronizedSequenceNodeID(results.GetID())
    update_proxies(cine.browser)
    proxy = cine.browser.GetProxyNode(results)
    cine.browser.SetOverwriteProxyName(results, False)
    cine.browser.SetSaveChanges(results, False)
    proxy.SetName(proxy_name)
    proxy.SetAndObserveTransformNodeID(cine.proxy.GetTransformNodeID())
    _set_attributes(proxy, attributes)
    show_alike(cine.proxy, proxy)
    place_beside(proxy, cine.proxy)
    return proxy


def _replaced(results: vtkMRMLSequenceNode, earlier: Cine, attributes: Mapping[str, str] | None) -> vtkMRMLVolumeNode:
    """Give an earlier result new frames."""
    sequence = earlier.sequence
    was_modifying = sequence.StartModify()  # one event and not one for each frame, at which views and panel work
    for number in range(results.GetNumberOfDataNodes()):
        sequence.SetDataNodeAtValue(results.GetNthDataNode(number), results.GetNthIndexValue(number))
    values = {results.GetNthIndexValue(number) for number in range(results.GetNumberOfDataNodes())}
    for value in [sequence.GetNthIndexValue(number) for number in range(sequence.GetNumberOfDataNodes())]:
        if value not in values:  # of a frame that the source has no more
            sequence.RemoveDataNodeAtValue(value)
    sequence.EndModify(was_modifying)
    _set_attributes(earlier.sequence, attributes)
    _set_attributes(earlier.proxy, attributes)
    update_proxies(earlier.browser)
    return earlier.proxy


def index_like(source: vtkMRMLSequenceNode, sequence: vtkMRMLSequenceNode) -> None:
    """Let a sequence count its frames as another one does."""
    sequence.SetIndexName(source.GetIndexName())
    sequence.SetIndexUnit(source.GetIndexUnit())
    sequence.SetIndexType(source.GetIndexType())
    sequence.SetNumericIndexValueTolerance(source.GetNumericIndexValueTolerance())


def _differs(original: vtkMRMLVolumeNode | None, pixels: Pixels) -> bool:
    """Whether a frame has no pixels, or others in number or type."""
    if why_unsupported(original):
        return True
    voxels = voxels_of(original.GetImageData())
    return voxels.shape != pixels.shape or voxels.dtype != pixels.dtype


def update_proxies(browser: vtkMRMLSequenceBrowserNode) -> None:
    """Let the proxies of a browser show its current frame. The application does so too, when it handles the event."""
    import slicer

    logic = slicer.vtkSlicerSequencesLogic()
    logic.UpdateProxyNodesFromSequences(browser)


def browsers(scene: vtkMRMLScene) -> Iterator[vtkMRMLSequenceBrowserNode]:
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        yield scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")


def _checked_frame(cine: Cine, number: int) -> vtkMRMLVolumeNode:
    frame = cine.frame(number)
    if obstacle := why_unsupported(frame):
        message = _("Frame {number} of the sequence '{sequence}' cannot be despeckled: {obstacle}").format(
            number=number, sequence=cine.sequence.GetName(), obstacle=obstacle
        )
        raise UnsupportedImageError(message)
    return frame


def _set_attributes(node: vtkMRMLNode, attributes: Mapping[str, str] | None) -> None:
    for name, value in (attributes or {}).items():
        node.SetAttribute(name, value)


def _size(pixels: Pixels) -> str:
    lengths = " x ".join(str(length) for length in pixels.shape)
    return _("{lengths} pixels of type {kind}").format(lengths=lengths, kind=pixels.dtype)


def _with_time(direction: np.ndarray) -> np.ndarray:
    four = np.eye(4)
    four[:3, :3] = direction
    return four
