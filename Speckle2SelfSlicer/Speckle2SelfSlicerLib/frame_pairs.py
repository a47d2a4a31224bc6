"""Frames of a volume, or of a whole sequence, and of its result, ready to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from Speckle2SelfLogic.errors import CancelledError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.frames import as_frames, frames_view, grey_range_of
from Speckle2SelfLogic.image import Pixels, UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfSlicerLib.pair import check_same_voxels
from Speckle2SelfSlicerLib.planes import AXES, choose_axis
from Speckle2SelfSlicerLib.quality import FramePairs, Mask
from Speckle2SelfSlicerLib.sequences import Cine, cine_of, read_cine
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import image_view_of, voxels_of, why_unsupported

if TYPE_CHECKING:
    from slicer import vtkMRMLVolumeNode


def frame_pairs(
    original: vtkMRMLVolumeNode,
    despeckled: vtkMRMLVolumeNode,
    *,
    slice_axis: str = "auto",
    whole_sequence: bool = False,
    region: Mask | None = None,
    tissue: Mask | None = None,
) -> FramePairs:
    """Return the slices of two volumes, or of all frames of the sequences behind them.

    Black and white are those of the whole original: of all frames, if both volumes are proxies of sequences. Spacing
    is left out where it is not calibrated. A frame of one slice has the number that its sequence's browser shows.

    Parameters
    ----------
    original, despeckled
        Input and result, of one size and type.
    slice_axis
        ``"auto"`` (see `planes.choose_axis`), or ``"x"``, ``"y"``, ``"z"`` for slices along I, J, K.
    whole_sequence
        Whether all frames of the sequences are meant, and not the current ones alone.
    region, tissue
        Masks (Z, Y, X) on the grid of the volumes, from `regions.region_mask`.

    Raises
    ------
    SettingsError
        If the two do not fit, or whole sequences are asked for and there are none.
    UnsupportedImageError
        If a volume has no pixels that can be measured.
    """
    for volume in (original, despeckled):
        if obstacle := why_unsupported(volume):
            raise UnsupportedImageError(obstacle)
    check_same_voxels(original, despeckled)
    axis = choose_axis(original).axis if slice_axis == "auto" else slice_axis
    before, after = image_view_of(original), image_view_of(despeckled)
    cines = cine_of(original), cine_of(despeckled)
    has_frames = None not in cines and cines[0].frame_count > 1
    if whole_sequence and None in cines:
        message = _("'{original}' and '{despeckled}' are not both sequences; measure the current frame.").format(
            original=original.GetName(), despeckled=despeckled.GetName()
        )
        raise SettingsError(message)
    pairs = FramePairs(
        frames_view(before, axis),
        frames_view(after, axis),
        _range_of_cine(cines[0], before) if has_frames else grey_range_of(before),
        _frame_spacing_mm(before, axis),
        _mask_frames(region, before, axis),
        _mask_frames(tissue, before, axis),
    )
    if whole_sequence:
        frames = (CineFrames(each, image, axis) for each, image in zip(cines, (before, after), strict=True))
        return replace(pairs, inputs=next(frames), outputs=next(frames), numbers=(), is_cine=len(pairs) == 1)
    if cines[0] is not None and len(pairs) == 1:
        return replace(pairs, numbers=(cines[0].frame_number,))
    return pairs


def are_cines(original: vtkMRMLVolumeNode, despeckled: vtkMRMLVolumeNode) -> bool:
    """Whether both volumes are proxies of sequences of the same length, more than one frame."""
    before, after = cine_of(original), cine_of(despeckled)
    return before is not None and after is not None and before.frame_count == after.frame_count > 1


class CineFrames(Sequence[Pixels]):
    """Slices of all frames of a sequence (Y, X[, C]), each read when it is asked for.

    Parameters
    ----------
    cine
        The sequence.
    like
        The current frame; all frames have its size and type.
    axis
        Slice axis.
    """

    def __init__(self, cine: Cine, like: UltrasoundImage, axis: str) -> None:
        self._cine, self._like, self._axis = cine, like, axis
        self._slice_count = len(frames_view(like, axis))

    def __len__(self) -> int:
        return self._cine.frame_count * self._slice_count

    def __getitem__(self, position: int) -> Pixels:  # type: ignore[override]
        number, slice_number = divmod(position, self._slice_count)
        if self._cine.sequence.GetScene() is None:
            message = _("The sequence was deleted or the scene closed meanwhile.")
            raise CancelledError(message)
        if not 0 <= number < self._cine.frame_count:
            raise IndexError(position)
        image_data = self._cine.frame(number).GetImageData()
        voxels = None if image_data is None else voxels_of(image_data)
        if voxels is None or voxels.shape != self._like.pixels.shape or voxels.dtype != self._like.pixels.dtype:
            message = _("Frame {number} of '{name}' has another size or type than the current frame.").format(
                number=number, name=self._cine.sequence.GetName()
            )
            raise UnsupportedImageError(message)
        return np.asarray(as_frames(voxels, self._like, self._axis)[slice_number])


def _range_of_cine(cine: Cine, frame: UltrasoundImage) -> GreyRange:
    """Return black and white of all frames; of the current one where frames differ in size or type."""
    if frame.pixels.dtype == np.uint8:  # the same for all images of that type
        return grey_range_of(frame)
    try:
        return next(grey_range_of(image) for image in read_cine(cine) if image is not None)
    except UnsupportedImageError:
        return grey_range_of(frame)


def _frame_spacing_mm(image: UltrasoundImage, axis: str) -> tuple[float, float] | None:
    """Return the spacing along columns and rows of the slices along an axis: what is left of (x, y, z)."""
    if not image.calibration.is_calibrated:
        return None
    along = AXES.index(axis)
    first, second = (step for number, step in enumerate(image.spacing_mm[:3]) if number != along)
    return first, second


def _mask_frames(mask: Mask | None, image: UltrasoundImage, axis: str) -> Mask | None:
    return None if mask is None else as_frames(mask, image, axis)
