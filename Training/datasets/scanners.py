"""Random scanners: the ranges that a set states, and one draw from them."""

from __future__ import annotations

from dataclasses import dataclass

from Speckle2SelfLogic.simulation.formation import Compression, ImagingSettings
from Speckle2SelfLogic.simulation.scene import Rng
from Speckle2SelfLogic.simulation.shapes import log_uniform
from Training.datasets.realisations import SideLobes

Range = tuple[float, float]


@dataclass(frozen=True)
class ScannerRanges:
    """Lowest and highest value of each parameter of `ImagingSettings` and `SideLobes`.

    Lengths are those of a frame of 256 rows and grow with the frame. PSF widths are drawn log-uniformly, the rest
    uniformly. The lateral width is the axial one times ``lateral_ratio``, the half period of side-lobe ripple is the
    lateral width times ``side_lobe_ripple_ratio``. Scatterer texture is off, so that the truth is an exact expectation.
    """

    axial_psf_px: Range = (0.9, 1.6)
    lateral_ratio: Range = (1.3, 2.6)
    lateral_growth: Range = (0.0, 0.5)
    focus_depth: Range = (0.2, 0.5)
    attenuation_db: Range = (-1.0, 4.0)
    noise_db: Range = (-65.0, -48.0)
    noise_growth: Range = (0.0, 4.0)
    dynamic_range_db: Range = (50.0, 70.0)
    peak_grey: Range = (0.5, 0.75)
    side_lobe_db: Range = (-80.0, -80.0)
    side_lobe_reach_px: Range = (10.0, 30.0)
    side_lobe_ripple_ratio: Range = (2.0, 3.5)

    def draw(self, rng: Rng, size_px: int) -> tuple[ImagingSettings, SideLobes]:
        """Draw a scanner for frames of ``size_px`` rows."""
        scale = size_px / 256
        axial = max(0.8, log_uniform(rng, *self.axial_psf_px) * scale)
        lateral = axial * log_uniform(rng, *self.lateral_ratio)
        settings = ImagingSettings(
            axial_psf_px=axial,
            lateral_psf_px=lateral,
            lateral_growth=float(rng.uniform(*self.lateral_growth)),
            focus_depth=float(rng.uniform(*self.focus_depth)),
            attenuation_db=float(rng.uniform(*self.attenuation_db)),
            noise_db=float(rng.uniform(*self.noise_db)),
            noise_growth=float(rng.uniform(*self.noise_growth)),
            noise_is_filtered=bool(rng.random() < 0.7),
            compression=Compression(
                dynamic_range_db=float(rng.uniform(*self.dynamic_range_db)),
                peak_grey=float(rng.uniform(*self.peak_grey)),
            ),
        )
        lobes = SideLobes(
            level_db=float(rng.uniform(*self.side_lobe_db)),
            reach_px=float(rng.uniform(*self.side_lobe_reach_px)) * scale,
            ripple_px=float(rng.uniform(*self.side_lobe_ripple_ratio)) * lateral,
        )
        return settings, lobes


HEAVY = ScannerRanges(
    axial_psf_px=(1.0, 1.8),
    lateral_ratio=(1.8, 3.0),
    lateral_growth=(0.7, 1.0),
    focus_depth=(0.0, 0.15),
    attenuation_db=(8.0, 18.0),
    noise_db=(-50.0, -36.0),
    noise_growth=(1.0, 6.0),
    side_lobe_db=(-34.0, -25.0),
)
"""Artefacts beyond speckle: loss and wide beams in depth, streaks of side lobes, noise."""

LIGHT = ScannerRanges()
"""Few artefacts."""

CLINICAL = ScannerRanges(
    axial_psf_px=(0.9, 1.8),
    lateral_ratio=(1.3, 3.0),
    lateral_growth=(0.2, 0.8),
    focus_depth=(0.1, 0.5),
    attenuation_db=(0.0, 8.0),
    noise_db=(-60.0, -40.0),
    noise_growth=(0.5, 8.0),
    dynamic_range_db=(50.0, 75.0),
    peak_grey=(0.5, 0.8),
    side_lobe_db=(-60.0, -40.0),
)
"""Between both, as in anatomical scenes."""
