"""Where beams lie, and scan conversion: from samples on beams to pixels of one size, by linear interpolation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError

Float32 = npt.NDArray[np.float32]
Grid = npt.NDArray[np.float64]

LARGEST_SIDE_PX = 2048


@dataclass(frozen=True)
class FrameGrid:
    """The pixels of a frame: (rows, columns), their size in mm, and where the first is (x to the right, y deep)."""

    shape_yx: tuple[int, int]
    spacing_mm: float
    origin_mm: tuple[float, float]

    def positions_mm(self) -> tuple[Grid, Grid]:
        """Return x and y of the pixels, shapes (1, X) and (Y, 1)."""
        x = self.origin_mm[0] + self.spacing_mm * np.arange(self.shape_yx[1])[None]
        y = self.origin_mm[1] + self.spacing_mm * np.arange(self.shape_yx[0])[:, None]
        return np.asarray(x, np.float64), np.asarray(y, np.float64)


class ScanGeometry(Protocol):
    """A probe: where its beams go. Depth is along the beam, counted from the probe's surface."""

    def bounds_mm(self, lines: int, first_mm: float, last_mm: float) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of what the beams cover."""

    def beam_of(self, x_mm: Grid, y_mm: Grid, lines: int) -> tuple[Grid, Grid]:
        """Return the depth in mm and the (fractional) number of the beam at positions."""

    def line_step_mm(self, lines: int, depth_mm: float) -> float:
        """Return the distance of neighbouring beams at a depth."""


@dataclass(frozen=True)
class LinearScan:
    """Parallel beams, ``pitch_mm`` apart, the probe in the middle of the frame's upper side."""

    pitch_mm: float

    def __post_init__(self) -> None:
        _check_positive("distance of the beams", self.pitch_mm, "mm", 10)

    def bounds_mm(self, lines: int, first_mm: float, last_mm: float) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of what the beams cover."""
        half = (lines - 1) * self.pitch_mm / 2
        return -half, first_mm, half, last_mm

    def beam_of(self, x_mm: Grid, y_mm: Grid, lines: int) -> tuple[Grid, Grid]:
        """Return the depth in mm and the (fractional) number of the beam at positions."""
        depth, line = np.broadcast_arrays(y_mm, x_mm / self.pitch_mm + (lines - 1) / 2)
        return np.asarray(depth), np.asarray(line)

    def line_step_mm(self, lines: int, depth_mm: float) -> float:  # noqa: ARG002 - the same everywhere
        """Return the distance of neighbouring beams."""
        return self.pitch_mm


@dataclass(frozen=True)
class SectorScan:
    """Beams at even angles over ``opening_deg``. Radius 0 is a phased array, whose beams start in one point.

    The surface of a convex probe is an arc of ``radius_mm``; its middle is the origin.
    """

    opening_deg: float
    radius_mm: float = 0.0

    def __post_init__(self) -> None:
        _check_positive("opening angle", self.opening_deg, "degrees", 180)
        if not 0 <= self.radius_mm <= 200:
            message = f"The radius of the probe must be between 0 and 200 mm, but is {self.radius_mm}."
            raise SettingsError(message)

    @property
    def _half_rad(self) -> float:
        return math.radians(self.opening_deg) / 2

    def bounds_mm(self, lines: int, first_mm: float, last_mm: float) -> tuple[float, float, float, float]:  # noqa: ARG002
        """Return left, top, right and bottom of what the beams cover."""
        near, far = self.radius_mm + first_mm, self.radius_mm + last_mm
        side = far * math.sin(self._half_rad)
        return -side, near * math.cos(self._half_rad) - self.radius_mm, side, far - self.radius_mm

    def beam_of(self, x_mm: Grid, y_mm: Grid, lines: int) -> tuple[Grid, Grid]:
        """Return the depth in mm and the (fractional) number of the beam at positions."""
        from_centre = y_mm + self.radius_mm
        depth = np.hypot(x_mm, from_centre) - self.radius_mm
        return depth, (np.arctan2(x_mm, from_centre) / self._half_rad + 1) * (lines - 1) / 2

    def line_step_mm(self, lines: int, depth_mm: float) -> float:
        """Return the distance of neighbouring beams at a depth."""
        return (self.radius_mm + depth_mm) * 2 * self._half_rad / max(lines - 1, 1)


def parse_geometry(text: str) -> ScanGeometry:
    """Return the geometry that a text names.

    ``linear:PITCH_MM``, ``convex:RADIUS_MM:OPENING_DEG`` or ``phased:OPENING_DEG``.

    Raises
    ------
    SettingsError
        If it names none.
    """
    kind, *numbers = text.split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    if kind == "linear" and len(values) == 1:
        return LinearScan(values[0])
    if kind == "convex" and len(values) == 2:
        return SectorScan(values[1], values[0])
    if kind == "phased" and len(values) == 1:
        return SectorScan(values[0])
    message = (
        f"The geometry must be linear:PITCH_MM, convex:RADIUS_MM:OPENING_DEG or phased:OPENING_DEG, but is '{text}'."
    )
    raise SettingsError(message)


def grid_for(
    geometry: ScanGeometry, shape_sl: tuple[int, int], first_mm: float, step_mm: float, spacing_mm: float | None = None
) -> FrameGrid:
    """Return pixels that cover all beams.

    Parameters
    ----------
    geometry
        Where the beams lie.
    shape_sl
        Number of samples and of lines.
    first_mm, step_mm
        Depth of the first sample, and from sample to sample.
    spacing_mm
        Size of a pixel. Left out: the geometric mean of the sample step and of the beams' distance at half depth, so
        that there are about as many pixels as samples, and at most 2048 on a side.
    """
    samples, lines = shape_sl
    last_mm = first_mm + (samples - 1) * step_mm
    left, top, right, bottom = geometry.bounds_mm(lines, first_mm, last_mm)
    if spacing_mm is None:
        across = geometry.line_step_mm(lines, (first_mm + last_mm) / 2)
        spacing_mm = max(math.sqrt(step_mm * across), max(right - left, bottom - top) / LARGEST_SIDE_PX)
    rows, columns = (max(int((far - near) / spacing_mm + 1e-6) + 1, 1) for near, far in ((top, bottom), (left, right)))
    return FrameGrid((rows, columns), spacing_mm, (left, top))


def scan_convert(
    beams_sl: npt.NDArray[np.floating], geometry: ScanGeometry, grid: FrameGrid, first_mm: float, step_mm: float
) -> Float32:
    """Return the frame (Y, X) of values on beams (samples, lines): linear between samples, 0 outside the beams."""
    samples, lines = beams_sl.shape
    depth_mm, line = geometry.beam_of(*grid.positions_mm(), lines)
    sample = (depth_mm - first_mm) / step_mm
    tolerance = 1e-6
    is_inside = (
        (sample >= -tolerance)
        & (sample <= samples - 1 + tolerance)
        & (line >= -tolerance)
        & (line <= lines - 1 + tolerance)
    )
    frame = ndimage.map_coordinates(np.asarray(beams_sl, np.float32), [sample, line], order=1, mode="nearest")
    return np.where(is_inside, frame, 0).astype(np.float32)


def _check_positive(name: str, value: float, unit: str, most: float) -> None:
    if not 0 < value <= most:
        message = f"The {name} must be more than 0 and at most {most} {unit}, but is {value}."
        raise SettingsError(message)
