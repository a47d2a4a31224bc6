"""What a person asks for, as one value: which volume, which method, and how."""

from __future__ import annotations

import numbers
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.envelope import EnvelopeDenoiser, check_domain, denoiser_for
from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.weights import DEFAULT_MODEL
from Speckle2SelfSlicerLib.planes import choose_axis

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLVolumeNode


@dataclass(frozen=True)
class MethodRequest:
    """A method and how it is to work.

    Parameters
    ----------
    method
        Name of a model or classical filter, path of a weight file, or an object that despeckles frames.
    strength
        0 keeps the input bit for bit, 1 is the method's full answer.
    device
        ``"auto"``, ``"cuda"`` or ``"cpu"``; classical filters know the CPU only.
    keep_overlays
        Whether coloured overlays (calipers, Doppler, text) keep their pixels.
    domain, dynamic_range_db
        ``"bmode"``, or ``"envelope"`` or ``"log-envelope"`` with the range of its compression.
    """

    method: str | FrameDespeckler = DEFAULT_MODEL
    strength: float = 1.0
    device: str = "auto"
    keep_overlays: bool = True
    domain: str = "bmode"
    dynamic_range_db: float | None = None

    @classmethod
    def of(cls, method: object, *how: object) -> MethodRequest:
        """Return a request whose method may be None (the default model) or a path, as scripts give them."""
        if method is None:
            return cls(cls.method, *how)
        return cls(os.fspath(method) if isinstance(method, os.PathLike) else method, *how)

    def __post_init__(self) -> None:
        check_domain(self.domain, self.dynamic_range_db)
        if not isinstance(self.method, str) and not hasattr(self.method, "despeckle"):
            message = f"The method must be a name, a path, or an object that despeckles, but is {self.method!r}."
            raise SettingsError(message)
        if isinstance(self.strength, bool) or not isinstance(self.strength, numbers.Real):
            message = f"The strength must be a number between 0 and 1, but is {self.strength!r}."
            raise SettingsError(message)

    def settings(self, slice_axis: str) -> DenoiseSettings:
        """Return the core's settings for slices along an axis. Raises `SettingsError` for values that cannot be."""
        return DenoiseSettings(strength=self.strength, slice_axis=slice_axis, keep_overlays=self.keep_overlays)

    def denoiser(self, method: FrameDespeckler, settings: DenoiseSettings) -> Denoiser | EnvelopeDenoiser:
        """Return what applies the loaded method to images of the domain."""
        return denoiser_for(method, settings, self.domain, self.dynamic_range_db)


@dataclass(frozen=True)
class DespeckleRequest:
    """A method for a volume.

    Parameters
    ----------
    volume
        The input, a scalar, RGB or streaming volume; for a whole sequence its proxy.
    how
        The method.
    output
        The volume to fill (empty, or an earlier result); left out: a new one.
    whole_sequence
        Whether all frames of the sequence behind the volume are meant, and not the current frame alone.
    slice_axis
        ``"auto"`` (see `planes.choose_axis`), or ``"x"``, ``"y"``, ``"z"`` for slices along I, J, K.
    region, segment_id
        Segmentation (with the segment, unless it has only one) or ROI outside of which nothing changes.
    """

    volume: vtkMRMLVolumeNode | None
    how: MethodRequest = MethodRequest()
    output: vtkMRMLVolumeNode | None = None
    whole_sequence: bool = False
    slice_axis: str = "auto"
    region: vtkMRMLNode | None = None
    segment_id: str = ""

    def __post_init__(self) -> None:
        _check_node(self.volume, "vtkMRMLVolumeNode", "input")
        _check_node(self.output, "vtkMRMLVolumeNode", "output")
        _check_node(self.region, "vtkMRMLNode", "region")
        if None not in (self.volume, self.output) and self.output.GetScene() is not self.volume.GetScene():
            message = f"The output '{self.output.GetName()}' is in another scene than the input; choose another volume."
            raise SettingsError(message)

    @property
    def axis(self) -> str:
        """The slice axis, chosen by the volume if it is left to it."""
        return self.slice_axis if self.slice_axis != "auto" else choose_axis(self.volume).axis

    def settings(self) -> DenoiseSettings:
        """Return the core's settings. Raises `SettingsError` for values that cannot be."""
        return self.how.settings(self.axis)


def _check_node(node: object, kind: str, what: str) -> None:
    if node is not None and not (hasattr(node, "IsA") and node.IsA(kind)):
        message = f"The {what} must be a {kind}, but is {node!r}."
        raise SettingsError(message)
