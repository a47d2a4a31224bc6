"""Check 9: no lines are drawn where the scene has none.

Simulated scenes without thin structures (uniform tissue that holds round targets, darker and brighter) are seen
with fine, medium and coarse speckle. Wherever the truth is flat, a line in the answer is invented: a place where the
Hessian of the answer, at a scale of 2 px, has one strong eigenvalue and a weak other one (Frangi et al. 1998), strong
meaning that a Gaussian line of that width would have a contrast of at least 6 grey levels of 255. The figure is the
share of the flat area that is drawn over in this way, in percent. The input shows what speckle itself looks like to
this measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import hessian_matrix, hessian_matrix_eigvals

from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.simulation.formation import ImagingSettings, form_frame
from Speckle2SelfLogic.simulation.scene import Scene
from Speckle2SelfLogic.simulation.shapes import sigmoid
from Training.detail.figures import DetailFigure, Figures
from Training.detail.frames import Grey, answer

SPECKLE = {"fine": (1.0, 1.6), "medium": (1.8, 3.6), "coarse": (2.8, 7.0)}
"""Standard deviation of the pulse along and across the beam, in pixels."""
FRAMES_EACH = 3
SIDE_PX = 320
LINE_SIGMA_PX = 2.0
LEAST_CONTRAST_GREY = 6.0
FLAT_GREY_PER_PX = 0.4
BORDER_PX = 12


@dataclass(frozen=True)
class InventionCheck:
    """Frames and truths (N, Y, X), grey 0..1, for each size of speckle."""

    frames: dict[str, tuple[Grey, Grey]]

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None) -> InventionCheck:  # noqa: ARG003 - as all checks
        """Simulate the frames; the same ones each time."""
        frames = {}
        for number, (name, (axial, lateral)) in enumerate(SPECKLE.items()):
            pairs = [_round_targets(axial, lateral, seed=100 * number + k) for k in range(FRAMES_EACH)]
            frames[name] = (np.stack([speckled for speckled, _ in pairs]), np.stack([truth for _, truth in pairs]))
        return cls(frames)

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """Percent of the flat area for each size of speckle."""
        return tuple(
            DetailFigure(f"invented lines, {name} speckle: % of area", 0.2, "at most", decimals=2)
            for name in self.frames
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        values = [drawn_over_percent(answer(method, frames), truths) for frames, truths in self.frames.values()]
        return dict(zip((row.key for row in self.rows), values, strict=True))


def drawn_over_percent(answers_nyx: Grey, truths_nyx: Grey) -> float:
    """Return how much of the truths' flat area is covered by lines of the answers, in percent."""
    drawn, flat = 0, 0
    for one, truth in zip(answers_nyx, truths_nyx, strict=True):
        is_flat = flat_area(truth)
        drawn += int((line_contrast(one - truth)[is_flat] >= LEAST_CONTRAST_GREY / 255).sum())
        flat += int(is_flat.sum())
    return 100 * drawn / flat


def flat_area(truth_yx: Grey) -> npt.NDArray[np.bool_]:
    """Return where the truth changes less than `FLAT_GREY_PER_PX`, not near a steeper place nor near the border."""
    steep = ndimage.gaussian_gradient_magnitude(truth_yx.astype(np.float64), 1.0) * 255 > FLAT_GREY_PER_PX
    steep[[*range(BORDER_PX), *range(-BORDER_PX, 0)]] = True
    steep[:, [*range(BORDER_PX), *range(-BORDER_PX, 0)]] = True
    return np.asarray(~ndimage.binary_dilation(steep, iterations=4))


def line_contrast(grey_yx: Grey) -> npt.NDArray[np.float64]:
    """Return the contrast (grey 0..1) of the Gaussian line that each pixel would be the centre of; 0 if it is no line.

    A line of contrast c and width s, blurred by s, has the second derivative c / (2 sqrt(2) s^2) across itself.
    """
    hessian = hessian_matrix(grey_yx.astype(np.float64), LINE_SIGMA_PX, order="rc", use_gaussian_derivatives=True)
    larger, smaller = hessian_matrix_eigvals(hessian)
    is_first = np.abs(larger) > np.abs(smaller)
    strong, weak = np.where(is_first, larger, smaller), np.where(is_first, smaller, larger)
    contrast = 2 * np.sqrt(2) * LINE_SIGMA_PX**2 * np.abs(strong)
    return np.asarray(np.where(np.abs(weak) < 0.5 * np.abs(strong), contrast, 0.0))


def _round_targets(axial_px: float, lateral_px: float, seed: int) -> tuple[Grey, Grey]:
    """Simulate uniform tissue with four round targets; returns speckled frame and truth (Y, X), grey 0..1."""
    rng = np.random.default_rng(seed)
    scene = Scene.empty((SIDE_PX, SIDE_PX), -12.0)
    y, x = scene.grid()
    for level_db in (-40.0, -8.0, 6.0, -20.0):
        cy, cx = rng.uniform(0.15, 0.85, 2) * SIDE_PX
        scene.blend(sigmoid((rng.uniform(18, 42) - np.hypot(y - cy, x - cx)) / 0.7), -12.0 + level_db)
    settings = ImagingSettings(axial_psf_px=axial_px, lateral_psf_px=lateral_px, lateral_growth=0.3, attenuation_db=3.0)
    frame = form_frame(scene.echogenicity_db, scene.specular_db, settings, rng)
    return frame.speckled_yx, frame.truth_yx
