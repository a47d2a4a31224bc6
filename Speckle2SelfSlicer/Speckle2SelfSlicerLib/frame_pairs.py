"""Original and result as pairs of frames to measure: slices of volumes, or all frames of a cine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from Speckle2SelfLogic.frames import frames_view, grey_range_of
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfSlicerLib.planes import AXES
from Speckle2SelfSlicerLib.quality import FramePairs, Mask
from Speckle2SelfSlicerLib.regions import region_mask
from Speckle2SelfSlicerLib.sequences import Cine, cine_of, read_cine
from Speckle2SelfSlicerLib.volumes import image_from_volume, is_calibrated

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLVolumeNode


def slice_pairs(
    original: vtkMRMLVolumeNode,
    despeckled: vtkMRMLVolumeNode,
    axis: str,
    region: vtkMRMLNode | None = None,
    segment_id: str = "",
) -> FramePairs:
    """Return the slices of two volumes along an axis; of a cine those of its current frame.

    Parameters
    ----------
    original, despeckled
        Input and result, on one grid.
    axis
        ``"z"``, ``"y"`` or ``"x"``: slices along K, J or I.
    region, segment_id
        Segmentation or ROI that figures are taken from; left out: the whole frame.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a volume or the region cannot be used.
    """
    image = image_from_volume(original)
    return FramePairs(
        frames_view(image, axis),
        frames_view(image_from_volume(despeckled), axis),
        _grey_range(original, image),
        _spacing_mm(original, axis),
        _mask(original, axis, region, segment_id),
    )


def cine_pairs(original: Cine, despeckled: Cine, region: vtkMRMLNode | None = None, segment_id: str = "") -> FramePairs:
    """Return all frames of two cines, read when they are asked for. See `slice_pairs`."""
    volume = original.proxy
    return FramePairs(
        CineFrames(original),
        CineFrames(despeckled),
        _grey_range(volume, image_from_volume(volume)),
        _spacing_mm(volume, "z"),
        _mask(volume, "z", region, segment_id),
        is_cine=True,
    )


def all_pairs(
    original: vtkMRMLVolumeNode,
    despeckled: vtkMRMLVolumeNode,
    axis: str,
    region: vtkMRMLNode | None = None,
    segment_id: str = "",
) -> FramePairs:
    """Return all frames if both volumes are proxies of cines of one length, and otherwise all slices."""
    before, after = cine_of(original), cine_of(despeckled)
    if before is not None and after is not None and before.frame_count == after.frame_count > 1:
        return cine_pairs(before, after, region, segment_id)
    return slice_pairs(original, despeckled, axis, region, segment_id)


class CineFrames(Sequence[Pixels]):
    """The slices (Y, X[, C]) of all frames of a cine, one frame after the other, copied when they are asked for."""

    def __init__(self, cine: Cine) -> None:
        self._cine = cine
        self._slices_per_frame = cine.frame(0).GetImageData().GetDimensions()[2]

    def __len__(self) -> int:
        return self._cine.frame_count * self._slices_per_frame

    def __getitem__(self, number: int) -> Pixels:  # type: ignore[override]
        frame, slice_number = divmod(number, self._slices_per_frame)
        return image_from_volume(self._cine.frame(frame)).pixels[slice_number]

    def __iter__(self) -> Iterator[Pixels]:
        return (self[number] for number in range(len(self)))


def _grey_range(volume: vtkMRMLVolumeNode, image: UltrasoundImage) -> GreyRange:
    """Return the range of the whole original, which for a cine of 8 bits any frame tells."""
    cine = cine_of(volume)
    if cine is not None and image.pixels.dtype != np.uint8:
        *_, image = read_cine(cine)
    return grey_range_of(image)


def _spacing_mm(volume: vtkMRMLVolumeNode, axis: str) -> tuple[float, float] | None:
    """Return the spacing along columns and rows of a slice, None without calibration."""
    if not is_calibrated(volume):
        return None
    across, along = (spacing for name, spacing in zip(AXES, volume.GetSpacing(), strict=True) if name != axis)
    return across, along


def _mask(volume: vtkMRMLVolumeNode, axis: str, region: vtkMRMLNode | None, segment_id: str) -> Mask | None:
    if region is None:
        return None
    return np.moveaxis(region_mask(region, volume, segment_id), "zyx".index(axis), 0)
