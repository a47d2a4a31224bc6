"""Check 4: deep glints of the published frames are kept, which the authors' own outputs keep too.

Glints are blobs of the negative Laplacian of Gaussian (Lindeberg 1998; 2 px, about as high as a glint) in the lower
half of the authors' output, which the input smoothed alike shows too. Both conditions together leave speckle and
inventions out. Contrast is the Laplacian response. Outputs are brought to the mean of the input first, as brightness
is another matter. The authors keep about half of the input's response at these places, so they are what an answer is
measured by.

- Share kept: glints whose response in the answer is at least half of the authors'.
- Contrast: median of answer over authors; shown beside it, of answer over input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.structure_metrics import with_mean_of
from Training.detail.figures import DetailFigure, Figures, middle
from Training.detail.frames import DetailFrame, Grey, read_animation

Values = npt.NDArray[np.float64]

CLIPS = ("01", "06")
SIGMA_YX_PX = (2.0, 3.0)
LEAST_IN_AUTHORS = 0.02
LEAST_IN_INPUT = 0.03
"""Laplacian response, grey 0..1."""
KEPT_FROM = 0.5


@dataclass(frozen=True)
class GlintFrame:
    """A published frame, and the row and column of its glints."""

    frame: DetailFrame
    authors_yx: Grey
    """The authors' output, brought to the mean of the frame."""
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class GlintCheck:
    """Deep glints."""

    frames: tuple[GlintFrame, ...]

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None) -> GlintCheck:  # noqa: ARG003 - as all checks
        """Find the glints of every published frame."""
        frames = []
        for clip in CLIPS if published is not None else ():
            paths = [published / f"{name}_{clip}.gif" for name in ("Input", "OurMethod")]
            if all(path.is_file() for path in paths):
                for number, (source, published_yx) in enumerate(zip(*map(read_animation, paths), strict=True)):
                    authors = with_mean_of(published_yx, source).astype(np.float32)
                    frame = DetailFrame.of(f"{clip}, {number}", source, 40 / 256)
                    frames.append(GlintFrame(frame, authors, find_glints(source, authors)))
        return cls(tuple(frames))

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """Share and contrast."""
        return (
            DetailFigure("glints: share kept of the authors'", 0.8, decimals=2),
            DetailFigure("glints: contrast over the authors'", 0.8, decimals=2),
            DetailFigure("glints: contrast over the input's", decimals=2),
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        over_authors: list[float] = []
        over_input: list[float] = []
        for each in self.frames:
            answer = each.frame.answers(method, each.frame.grey_yx[None])[0]
            matched = with_mean_of(answer, each.frame.grey_yx)
            over_authors += kept_glints(each.authors_yx, matched, each.places)
            over_input += kept_glints(each.frame.grey_yx, matched, each.places)
        share = float(np.mean(np.array(over_authors) >= KEPT_FROM)) if over_authors else None
        values = (share, middle(over_authors), middle(over_input))
        return dict(zip((row.key for row in self.rows), values, strict=True))


def blob_response(grey_yx: npt.NDArray[np.floating]) -> Values:
    """Negative Laplacian of Gaussian, each axis scaled by its sigma: positive on bright blobs."""
    image, (sy, sx) = np.asarray(grey_yx, np.float64), SIGMA_YX_PX
    axial = sy**2 * ndimage.gaussian_filter(image, SIGMA_YX_PX, order=(2, 0))
    lateral = sx**2 * ndimage.gaussian_filter(image, SIGMA_YX_PX, order=(0, 2))
    return np.asarray(-(axial + lateral) / 2)


def find_glints(input_yx: Grey, authors_yx: Grey) -> tuple[tuple[int, int], ...]:
    """Return row and column of the blobs that both show in the lower half."""
    theirs, own = blob_response(authors_yx), blob_response(input_yx)
    is_top = theirs == ndimage.maximum_filter(theirs, (7, 11))
    near_own = ndimage.maximum_filter(own, (5, 5))
    is_glint = is_top & (theirs >= LEAST_IN_AUTHORS) & (near_own >= LEAST_IN_INPUT)
    border = 6
    is_glint[: input_yx.shape[0] // 2] = False
    is_glint[-border:] = False
    is_glint[:, :border] = is_glint[:, -border:] = False
    return tuple((int(y), int(x)) for y, x in np.argwhere(is_glint))


def kept_glints(
    reference_yx: Grey, answer_yx: npt.NDArray[np.floating], places: tuple[tuple[int, int], ...]
) -> list[float]:
    """Return the answer's response over the reference's at each glint, each the largest within 2 px."""
    before, after = (ndimage.maximum_filter(blob_response(image), (5, 5)) for image in (reference_yx, answer_yx))
    return [float(after[place] / before[place]) for place in places]
