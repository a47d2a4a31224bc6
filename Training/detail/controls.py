"""Controls: methods whose answer to every check is known, so that the checks themselves can be checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from Training.detail.frames import Grey


@dataclass(frozen=True)
class GaussianControl:
    """A Gaussian blur; 0 px is the identity, which keeps everything."""

    sigma_px: float
    citation: str = "a control, not a method"

    @property
    def name(self) -> str:
        """As on the command line."""
        return "input" if self.sigma_px == 0 else f"blur-{self.sigma_px:g}"

    @property
    def title(self) -> str:
        """For people."""
        return "Input" if self.sigma_px == 0 else f"Gaussian blur, {self.sigma_px:g} px"

    def despeckle(self, frames_nyx: Grey) -> Grey:
        """Blur frames (N, Y, X)."""
        if self.sigma_px == 0:
            return np.array(frames_nyx)
        return np.asarray(ndimage.gaussian_filter(frames_nyx, (0, self.sigma_px, self.sigma_px), mode="nearest"))


CONTROLS = (GaussianControl(0), GaussianControl(2), GaussianControl(5))
