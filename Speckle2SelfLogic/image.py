"""`UltrasoundImage`: pixels that cannot be parted from their geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import GeometryError, UnsupportedImageError

Pixels = npt.NDArray[np.generic]

AXES = ("YX", "YXC", "ZYX", "ZYXC", "TYX", "TYXC", "TZYX", "TZYXC")
"""Axis orders an image can have: T time, Z slice, Y row, X column, C colour (RGB or RGBA, always last)."""


class IntensityDomain(Enum):
    """What a grey value stands for."""

    BMODE = "log-compressed B-mode, as displayed"
    ENVELOPE = "linear envelope, before log compression"


@dataclass(frozen=True)
class Calibration:
    """Whether `spacing_mm` really is in millimetres, and how that is known (or why it is not)."""

    is_calibrated: bool
    reason: str


class Crop(NamedTuple):
    """A rectangle of a frame in pixels."""

    first_row: int
    first_column: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Provenance:
    """Where an image came from and what was done to it since."""

    source: str = ""
    """Path of the file, or what made the image."""
    file_format: str = ""
    """Name of the file format or, for DICOM, the transfer syntax and photometric interpretation."""
    history: tuple[str, ...] = ()
    """One line for each processing step, oldest first."""
    models: tuple[str, ...] = ()
    """Name and checksum of each model that changed the pixels, oldest first."""
    cautions: tuple[str, ...] = ()
    """Sentences for the user about the source, for example that text may be burned into its pixels."""
    crop: Crop | None = None
    """The part of the source's frames that the pixels are; None for whole frames."""


UNKNOWN_SPACING = Calibration(is_calibrated=False, reason="no spacing was given")


@dataclass(frozen=True, eq=False)
class UltrasoundImage:
    """One ultrasound image, volume or cine with its geometry. Immutable: `with_pixels` is the only way to a new one.

    Parameters
    ----------
    pixels
        Grey or colour values in the order that `axes` names. The array is kept as a read-only view, not copied.
    axes
        One of `AXES`, for example ``"YX"`` (frame), ``"TYX"`` (cine), ``"ZYXC"`` (colour volume).
    spacing_mm, origin_mm
        One number for each non-colour axis in ITK order, fastest axis first: (x, y), (x, y, z) or (x, y, z, t).
        The entry of a time axis is whatever the file says (frame interval), not millimetres. Left out: 1 and 0.
    direction
        Row-major direction cosines, D x D numbers for D non-colour axes. Left out: identity.
    intensity
        Whether grey values are log-compressed (the usual B-mode) or a linear envelope.
    calibration
        Whether spacing is physical. Left out: uncalibrated if spacing was left out, else calibrated by the caller.
    provenance
        Source and processing history.

    Raises
    ------
    UnsupportedImageError
        If the axes are unknown or do not fit the array, or an axis is empty.
    GeometryError
        If spacing is not positive and finite, or a geometry tuple has the wrong length or a singular direction.
    """

    pixels: Pixels
    axes: str = "YX"
    spacing_mm: tuple[float, ...] = ()
    origin_mm: tuple[float, ...] = ()
    direction: tuple[float, ...] = ()
    intensity: IntensityDomain = IntensityDomain.BMODE
    calibration: Calibration = UNKNOWN_SPACING
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        _check_axes(self.pixels, self.axes)
        view = self.pixels.view()
        view.flags.writeable = False
        fill = object.__setattr__
        fill(self, "pixels", view)
        if self.spacing_mm and self.calibration is UNKNOWN_SPACING:
            fill(self, "calibration", Calibration(is_calibrated=True, reason="spacing given by the caller"))
        count = self.geometry_dimension
        fill(self, "spacing_mm", _floats(self.spacing_mm or (1.0,) * count))
        fill(self, "origin_mm", _floats(self.origin_mm or (0.0,) * count))
        fill(self, "direction", _floats(self.direction or np.eye(count).ravel()))
        _check_geometry(self)

    @property
    def geometry_dimension(self) -> int:
        """Number of non-colour axes: 2, 3 or 4."""
        return len(self.axes.replace("C", ""))

    @property
    def is_colour(self) -> bool:
        """Whether the last axis holds red, green, blue (and perhaps alpha)."""
        return self.axes.endswith("C")

    @property
    def frame_axes_first(self) -> str:
        """The non-frame axes in front of Y and X, for example ``"T"`` for a cine and ``""`` for a single frame."""
        return self.axes.removesuffix("C").removesuffix("YX")

    def with_pixels(self, pixels: Pixels, step: str, model: str = "") -> UltrasoundImage:
        """Return the same image with other pixels of the same shape (or without the colour axis).

        Parameters
        ----------
        pixels
            Array of shape ``self.pixels.shape``; for a colour image also the shape without its last axis (grey).
        step
            One line for the history that says what was done.
        model
            Name and checksum of the model that did it, if one did.

        Raises
        ------
        GeometryError
            If the shape differs, since the geometry would no longer describe the pixels.
        """
        axes = self.axes
        if self.is_colour and pixels.shape == self.pixels.shape[:-1]:
            axes = axes.removesuffix("C")
        elif pixels.shape != self.pixels.shape:
            message = f"New pixels have shape {pixels.shape}, but the image's geometry describes {self.pixels.shape}."
            raise GeometryError(message)
        done = replace(
            self.provenance,
            history=(*self.provenance.history, step),
            models=(*self.provenance.models, *filter(None, [model])),
        )
        return replace(self, pixels=pixels, axes=axes, provenance=done)

    def same_geometry(self, other: UltrasoundImage, tolerance: float = 0.0) -> bool:
        """Whether extent, spacing, origin and direction equal another image's, each number within ``tolerance``."""
        size = self.pixels.shape[: self.geometry_dimension]
        if size != other.pixels.shape[: other.geometry_dimension]:
            return False
        pairs = zip(
            (*self.spacing_mm, *self.origin_mm, *self.direction),
            (*other.spacing_mm, *other.origin_mm, *other.direction),
            strict=True,
        )
        return all(abs(a - b) <= tolerance for a, b in pairs)


def _floats(values: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(float(v) for v in np.asarray(values, dtype=float).ravel())


def _check_axes(pixels: Pixels, axes: str) -> None:
    if axes not in AXES:
        message = f"Axes '{axes}' are not known; use one of {', '.join(AXES)}."
        raise UnsupportedImageError(message)
    if pixels.ndim != len(axes):
        message = f"Axes '{axes}' name {len(axes)} axes, but the array has {pixels.ndim}."
        raise UnsupportedImageError(message)
    if 0 in pixels.shape:
        message = f"The image is empty: its shape is {pixels.shape}."
        raise UnsupportedImageError(message)
    if axes.endswith("C") and pixels.shape[-1] not in (3, 4):
        message = f"A colour image needs 3 (RGB) or 4 (RGBA) components, but this one has {pixels.shape[-1]}."
        raise UnsupportedImageError(message)


def _check_geometry(image: UltrasoundImage) -> None:
    count = image.geometry_dimension
    for name, length in (("spacing_mm", count), ("origin_mm", count), ("direction", count * count)):
        values: tuple[float, ...] = getattr(image, name)
        if len(values) != length or not all(math.isfinite(v) for v in values):
            message = f"{name} must be {length} finite numbers for axes '{image.axes}', but is {values}."
            raise GeometryError(message)
    if min(image.spacing_mm) <= 0:
        message = f"Spacing must be positive, but is {image.spacing_mm}."
        raise GeometryError(message)
    if abs(np.linalg.det(np.reshape(image.direction, (count, count)))) < 1e-6:
        message = f"The direction matrix is singular: {image.direction}."
        raise GeometryError(message)
