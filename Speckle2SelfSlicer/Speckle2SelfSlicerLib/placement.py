"""Which part of a volume the views of a comparison show, through changes of mode and of window size."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import vtk

from Speckle2SelfSlicerLib.pair import NodeLink
from Speckle2SelfSlicerLib.slice_views import SliceView
from Speckle2SelfSlicerLib.view_state import SavedPlane

if TYPE_CHECKING:
    from slicer import vtkMRMLSliceNode, vtkMRMLVolumeNode

PARALLEL = 0.999
"""Two slices count as parallel from this cosine between their normals on."""


class Placement:
    """Lays a volume into views: at the user's slice first, then as it was seen in the layout before.

    Parameters
    ----------
    slice_axis
        Volume axis across the slices.
    """

    def __init__(self, slice_axis: str) -> None:
        self._slice_axis = slice_axis
        self._kept_fits: dict[str, KeptFit] = {}

    def lay_into(
        self, views: Mapping[str, SliceView], volumes: Sequence[vtkMRMLVolumeNode], users_planes: Sequence[SavedPlane]
    ) -> None:
        """Lay volumes of one grid into the views of a layout.

        Parameters
        ----------
        views
            The views of the layout, by name.
        volumes
            Volumes on one grid; the first gives plane and size.
        users_planes
            Places of other views: the first that shows one of the volumes in this plane says which slice to start at.
        """
        volume = volumes[0]
        previous = next(iter(self._kept_fits.values()), None)
        for view in views.values():
            if previous is None:
                view.turn_to(volume, self._slice_axis)
                view.go_to_middle(volume)
                _go_to_users_slice(view, volumes, users_planes)
            else:
                view.look_like(previous.view)
        is_fitted = previous is None or previous.is_untouched
        self.stop()
        self._kept_fits = {name: KeptFit(view, volume, is_fitted) for name, view in views.items()}

    def stop(self) -> None:
        """Let go of all views."""
        for kept in self._kept_fits.values():
            kept.stop()
        self._kept_fits = {}


class KeptFit:
    """Keeps a volume fitted to a view while its window settles or is resized, until somebody zooms or pans.

    A view that a new layout brings gets its size later, when the window is laid out.

    Parameters
    ----------
    view, volume
        What to fit to what.
    is_fitted
        Whether to fit at all; if not, the view counts as zoomed from the start.
    """

    def __init__(self, view: SliceView, volume: vtkMRMLVolumeNode, is_fitted: bool = True) -> None:
        self.view = view
        self._volume = NodeLink(volume)
        self._fitted_place = (np.nan,)
        self._size = self._current_size()
        self._is_fitting = False
        if is_fitted:
            self._fit(volume)
        this = weakref.ref(self)

        def modified(_node: vtkMRMLSliceNode, _event: str) -> None:
            kept = this()
            if kept is not None:
                kept._follow()

        self._tag = view.node.AddObserver(vtk.vtkCommand.ModifiedEvent, modified)

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has zoomed or panned since the volume was fitted."""
        return bool(np.allclose(self._place(), self._fitted_place, rtol=0, atol=1e-6))

    def stop(self) -> None:
        """Let go of the view."""
        self.view.node.RemoveObserver(self._tag)

    def _follow(self) -> None:
        size, volume = self._current_size(), self._volume.node
        if self._is_fitting or size == self._size or volume is None:
            return
        if self.is_untouched:
            self._fit(volume)
        else:
            self._size = size

    def _fit(self, volume: vtkMRMLVolumeNode) -> None:
        field_of_view_mm = self.view.node.GetFieldOfView()
        self._is_fitting = True
        self.view.fit(volume)
        if self.view.is_up_to_date:
            self._size, self._fitted_place = self._current_size(), self._place()
        else:  # told in the middle of a change, where the view cannot be changed: try again when told of its end
            self.view.node.SetFieldOfView(*field_of_view_mm)
        self._is_fitting = False

    def _current_size(self) -> tuple[int, int]:
        return tuple(self.view.node.GetDimensions()[:2])

    def _place(self) -> tuple[float, ...]:
        """Height of the picture and its place within the plane, in mm. Scrolling through slices does not change it."""
        right, up = self.view.rotation.T[:2]
        centre = np.array(self.view.centre_ras)
        return (self.view.node.GetFieldOfView()[1], *self.view.node.GetXYZOrigin()[:2], right @ centre, up @ centre)


def _go_to_users_slice(
    view: SliceView, volumes: Sequence[vtkMRMLVolumeNode], users_planes: Sequence[SavedPlane]
) -> None:
    normal = view.rotation[:, 2]
    for plane in users_planes:
        if plane.background.node in volumes and abs(plane.normal @ normal) > PARALLEL:
            view.node.JumpSliceByOffsetting(*plane.centre_ras)
            return
