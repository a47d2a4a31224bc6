"""The frames of a vessel that are looked at: slices of a volume or frames of a cine, and where their pixels lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import vtk

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfSlicerLib.pair import ijk_to_ras
from Speckle2SelfSlicerLib.planes import AXES, choose_axis, slice_count
from Speckle2SelfSlicerLib.sequences import Cine, cine_of
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.volumes import UNCALIBRATED_SPACING_MM, why_unsupported

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLVolumeNode

Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.float64]

ROW_COLUMN = {"z": (1, 0), "y": (2, 0), "x": (2, 1)}
"""Which of I, J, K (0, 1, 2) rows and columns of a frame run along, by slice axis."""
SECONDS = {"s": 1.0, "ms": 1e-3}
"""Index units of sequences that are times."""
SQUARE = 1e-3
"""Largest cosine between rows and columns of a frame whose lengths can be measured."""


@dataclass(frozen=True)
class VesselFrames:
    """Frames of one volume, or of the cine that it shows. Make them with `vessel_frames`."""

    volume: vtkMRMLVolumeNode
    """The volume, or the proxy of the cine."""
    axis: str
    """Slice axis."""
    cine: Cine | None
    """The cine, if its frames are meant; None for slices of the volume as it is."""
    numbers: tuple[int, ...]
    """Numbers of the frames or slices, from 0."""

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def shown_numbers(self) -> tuple[int, ...]:
        """Numbers as a person sees them: a cine that shows a single frame counts in frames of its sequence."""
        behind = cine_of(self.volume)
        if self.cine is None and behind is not None and slice_count(self.volume, self.axis) == 1:
            return (behind.frame_number,)
        return self.numbers

    @property
    def index_values(self) -> tuple[str, ...]:
        """Index value of each frame in its sequence; empty for slices of a volume."""
        return () if self.cine is None else tuple(self.cine.index_values[number] for number in self.numbers)

    @property
    def times_s(self) -> tuple[float, ...] | None:
        """Time of each frame in seconds; None if it is not known."""
        scale = None if self.cine is None else SECONDS.get(self.cine.sequence.GetIndexUnit())
        try:
            return None if scale is None else tuple(scale * float(value) for value in self.index_values)
        except ValueError:  # index values of a sequence can be any text
            return None

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Pixel spacing (x, y) in the world in mm; None if it is not calibrated."""
        columns = self._columns_in_world()
        steps_mm = np.linalg.norm(columns, axis=0)
        is_placeholder = np.allclose(steps_mm, UNCALIBRATED_SPACING_MM, rtol=1e-6)
        return None if is_placeholder else (float(steps_mm[0]), float(steps_mm[1]))

    def slice_at(self, position: int) -> int:
        """Return which slice of the frame's volume is meant."""
        return 0 if self.cine is not None else self.numbers[position]

    def volume_at(self, position: int) -> vtkMRMLVolumeNode:
        """Return the volume of a frame, which lies outside of the scene for frames of a cine."""
        if self.cine is None:
            return self.volume
        frame = self.cine.frame(self.numbers[position])
        if obstacle := why_unsupported(frame):
            raise UnsupportedImageError(obstacle)
        return frame

    def ras_of(self, position: int, points_yx_px: npt.ArrayLike) -> Places:
        """Return where rows and columns (N, 2) of a frame lie (N, 3) in the volume's own RAS, before its transform."""
        volume = self.volume_at(position)
        row_axis, column_axis = ROW_COLUMN[self.axis]
        points = np.reshape(np.asarray(points_yx_px, np.float64), (-1, 2))
        ijk = np.zeros((len(points), 3))
        ijk[:, AXES.index(self.axis)] = self.slice_at(position)
        ijk[:, row_axis], ijk[:, column_axis] = points[:, 0], points[:, 1]
        ijk += volume.GetImageData().GetExtent()[::2]
        matrix = ijk_to_ras(volume)
        return np.asarray(ijk @ matrix[:3, :3].T + matrix[:3, 3])

    def place_of(self, world_ras: npt.ArrayLike) -> tuple[float, float, float]:
        """Return slice, row and column (fractions of a pixel) of a place in the world, in the volume as it is."""
        local = [0.0, 0.0, 0.0]
        self.volume.TransformPointFromWorld(list(np.asarray(world_ras, float)), local)
        ijk = (np.linalg.inv(ijk_to_ras(self.volume)) @ [*local, 1.0])[:3] - self.volume.GetImageData().GetExtent()[::2]
        row_axis, column_axis = ROW_COLUMN[self.axis]
        return float(ijk[AXES.index(self.axis)]), float(ijk[row_axis]), float(ijk[column_axis])

    def check_right_angles(self) -> None:
        """Check that lengths can be measured. Raises `SettingsError` if rows and columns are not at right angles."""
        self._columns_in_world()

    def watched(self) -> tuple[vtkMRMLNode, ...]:
        """Return the nodes that must stay in the scene while the frames are worked on."""
        return (self.volume,) if self.cine is None else (self.volume, self.cine.sequence, self.cine.browser)

    def _columns_in_world(self) -> Matrix:
        """Return the steps (3, 2) from a column to the next and from a row to the next in the world."""
        to_world, matrix = vtk.vtkMatrix4x4(), ijk_to_ras(self.volume_at(0))
        parent = self.volume.GetParentTransformNode()
        if parent is not None:
            if not parent.GetMatrixTransformToWorld(to_world):
                message = _("'{volume}' lies under a transform that is not linear; measure it without the transform.")
                raise SettingsError(message.format(volume=self.volume.GetName()))
            matrix = np.array([[to_world.GetElement(row, column) for column in range(4)] for row in range(4)]) @ matrix
        row_axis, column_axis = ROW_COLUMN[self.axis]
        steps = matrix[:3, [column_axis, row_axis]]
        if abs(steps[:, 0] @ steps[:, 1]) > SQUARE * math.prod(np.linalg.norm(steps, axis=0)):
            message = _("Rows and columns of '{volume}' are not at right angles; measure it without its transform.")
            raise SettingsError(message.format(volume=self.volume.GetName()))
        return np.asarray(steps)


def vessel_frames(
    volume: vtkMRMLVolumeNode | None, *, all_frames: bool, slice_axis: str = "auto", shown: int = 0
) -> VesselFrames:
    """Return the frames of a volume that are meant.

    A cine of one-slice volumes has its frames; of everything else the slices are meant, of a cine of volumes those of
    the volume that is shown.

    Parameters
    ----------
    volume
        Grey or RGB volume, or the proxy of a sequence.
    all_frames
        All of them, or only the one in view.
    slice_axis
        ``"auto"`` (see `planes.choose_axis`), or ``"x"``, ``"y"``, ``"z"`` for slices along I, J, K.
    shown
        The slice in view (`planes.slice_shown`); for frames of a cine it is the browser that knows.

    Raises
    ------
    UnsupportedImageError
        If the volume has no pixels.
    SettingsError
        If it lies under a transform that does not keep right angles.
    """
    if obstacle := why_unsupported(volume):
        raise UnsupportedImageError(obstacle)
    axis = choose_axis(volume).axis if slice_axis == "auto" else slice_axis
    cine, count = cine_of(volume), slice_count(volume, axis)
    if cine is not None and count == 1 and cine.frame_count > 1:
        numbers = tuple(range(cine.frame_count)) if all_frames else (cine.frame_number,)
        frames = VesselFrames(volume, axis, cine, numbers)
    else:
        frames = VesselFrames(volume, axis, None, tuple(range(count)) if all_frames else (shown,))
    frames.check_right_angles()
    return frames


def source_cine(looked_at: vtkMRMLVolumeNode, frames: VesselFrames) -> Cine | None:
    """Return the cine that the pixels of several frames come from; None: they are those that a volume has now.

    Raises
    ------
    SettingsError
        If several frames of a cine are meant, and the volume is not the proxy of a cine with the same frames.
    """
    if frames.cine is None or len(frames) == 1:
        return None
    cine = cine_of(looked_at)
    if cine is None or cine.index_values != frames.cine.index_values:
        message = _(
            "'{name}' does not have all frames of the cine; despeckle the whole sequence, or take one frame at a time."
        )
        raise SettingsError(message.format(name=looked_at.GetName()))
    return cine
