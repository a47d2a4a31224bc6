"""Fan geometry: from Cartesian maps to beams (range x angle) and back (scan conversion)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.simulation.shapes import Float32


@dataclass(frozen=True)
class FanGeometry:
    """A convex probe above the image. The fan fills the frame's height and is centred in its width.

    ``opening_rad`` is the angle between the outer beams; ``probe_radius_share`` the probe's radius as a share of the
    frame height. Ranges and angles are sampled with about one sample per pixel at the bottom of the fan.
    """

    shape_yx: tuple[int, int]
    opening_rad: float = 1.1
    probe_radius_share: float = 0.3

    @property
    def _radii_px(self) -> tuple[float, float]:
        height = self.shape_yx[0]
        near = self.probe_radius_share * height
        sagitta = near * (1 - np.cos(self.opening_rad / 2))
        return near, near + height - 1 - sagitta

    @property
    def beam_shape(self) -> tuple[int, int]:
        """Samples along range and number of beams."""
        near, far = self._radii_px
        return int(np.ceil(far - near)) + 1, int(np.ceil(far * self.opening_rad)) + 1

    def _apex_y(self) -> float:
        near, _ = self._radii_px
        return -near * float(np.cos(self.opening_rad / 2))

    def to_beams(self, map_yx: npt.NDArray[np.generic], order: int = 1) -> Float32:
        """Sample a Cartesian map (Y, X) on the beams (range, angle)."""
        ranges, beams = self.beam_shape
        near, far = self._radii_px
        radius = np.linspace(near, far, ranges)[:, None]
        angle = np.linspace(-self.opening_rad / 2, self.opening_rad / 2, beams)[None]
        y = self._apex_y() + radius * np.cos(angle)
        x = (self.shape_yx[1] - 1) / 2 + radius * np.sin(angle)
        return np.asarray(ndimage.map_coordinates(np.asarray(map_yx, np.float32), [y, x], order=order, mode="nearest"))

    def to_frame(self, map_ra: npt.NDArray[np.generic]) -> Float32:
        """Scan-convert a map on the beams (range, angle) to the frame (Y, X), zero outside the fan."""
        radius, angle = self._polar()
        near, far = self._radii_px
        ranges, beams = self.beam_shape
        row = (radius - near) / (far - near) * (ranges - 1)
        column = (angle / self.opening_rad + 0.5) * (beams - 1)
        frame = ndimage.map_coordinates(np.asarray(map_ra, np.float32), [row, column], order=1, mode="nearest")
        return np.where(self.mask_yx(), frame, 0).astype(np.float32)

    def mask_yx(self) -> npt.NDArray[np.bool_]:
        """Return where in the frame (Y, X) the fan is."""
        radius, angle = self._polar()
        near, far = self._radii_px
        return (radius >= near) & (radius <= far) & (np.abs(angle) <= self.opening_rad / 2)

    def _polar(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        y = np.arange(self.shape_yx[0])[:, None] - self._apex_y()
        x = np.arange(self.shape_yx[1])[None] - (self.shape_yx[1] - 1) / 2
        return np.hypot(y, x), np.arctan2(x, y)
