"""Check 3: the two lines of the far wall (lumen-intima and media-adventitia) stay two.

The far wall of the Clarius carotid is traced in the input as the brightest line at the expected depth, smoothed over
columns. Frames are straightened along it and averaged over neighbouring columns, input and answer alike, so that
speckle does not make or hide a line. The media-adventitia line is the trace; the lumen-intima line is the highest
peak of the input 0.4 to 1.3 mm above it. In columns where the input has both, the dip is (lumen-intima line less the
lowest grey between the lines) in grey.

- Dip kept: median over columns of the answer's dip at the input's places over the input's.
- Two lines seen: share of these columns where the answer, averaged over 3 columns only, has a peak within 0.2 mm of the
  lumen-intima line, and a dip at least 40 % as deep as the input's averaged one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.detail.figures import DetailFigure, Figures, middle
from Training.detail.frames import DetailFrame, FrameSource, Grey, load_frames

Values = npt.NDArray[np.float64]

WALL_SOURCE = FrameSource(
    "far wall", "carotid_clarius_raw/carotid_env_isotropic_0.1mm.png", 0.1, "known in depth, inferred across"
)
SEARCH_PX = (112, 172)
"""Rows between which the far wall lies."""
COLUMNS = (60, 370)
ABOVE_PX, BELOW_PX = 24, 8
AVERAGED_SIGMA_PX = 8.0
GAP_PX = (4, 13)
LEAST_DIP = 0.03


@dataclass(frozen=True)
class WallLines:
    """Trace of the wall, and where the input has two lines: column, row of the upper line and of the trough.

    Rows are counted in the straightened frame, where row ``ABOVE_PX`` is the trace.
    """

    trace: Values
    columns: npt.NDArray[np.intp]
    upper: npt.NDArray[np.intp]
    trough: npt.NDArray[np.intp]

    def dips(self, straight: Values) -> Values:
        """Grey of the upper line less that of the trough, at the input's places."""
        return np.asarray(straight[self.upper, self.columns] - straight[self.trough, self.columns])


@dataclass(frozen=True)
class FarWallCheck:
    """The double line of the far wall."""

    frame: DetailFrame | None
    lines: WallLines | None

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None) -> FarWallCheck:
        """Trace the wall, if the frame exists."""
        frames = load_frames((WALL_SOURCE,), data, published)
        return cls(frames[0], find_lines(frames[0].grey_yx)) if frames else cls(None, None)

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """Dip and share of columns."""
        return (
            DetailFigure("far wall: dip kept", 0.8, decimals=2),
            DetailFigure("far wall: two lines seen", 0.8, decimals=2),
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        keys = [row.key for row in self.rows]
        if self.frame is None or self.lines is None or not self.lines.columns.size:
            return dict.fromkeys(keys)
        answer = self.frame.answers(method, self.frame.grey_yx[None])[0]
        return dict(zip(keys, kept_lines(self.frame.grey_yx, answer, self.lines), strict=True))


def kept_lines(input_yx: Grey, answer_yx: Grey, lines: WallLines) -> tuple[float | None, float]:
    """Return the share of the dip that is kept, and the share of columns with two lines."""
    before = averaged(straightened(input_yx, lines.trace), AVERAGED_SIGMA_PX)
    straight = straightened(answer_yx, lines.trace)
    needed = lines.dips(before)
    kept = lines.dips(averaged(straight, AVERAGED_SIGMA_PX)) / needed
    sharp = ndimage.uniform_filter1d(straight, 3, axis=1)
    seen = [
        _has_upper_line(sharp[:, column], upper, 0.4 * dip)
        for column, upper, dip in zip(lines.columns, lines.upper, needed, strict=True)
    ]
    return middle(list(kept)), float(np.mean(seen))


def _has_upper_line(profile: Values, upper: int, least_dip: float) -> bool:
    tops, found = signal.find_peaks(profile[: ABOVE_PX + 1], prominence=0)
    for top, right in zip(tops, found["right_bases"], strict=True):
        if (
            abs(int(top) - upper) <= 2
            and profile[top] - profile[top : max(int(right), int(top)) + 1].min() >= least_dip
        ):
            return True
    return False


def find_lines(grey_yx: Grey) -> WallLines:
    """Trace the media-adventitia line and find the lumen-intima line above it."""
    image = np.asarray(grey_yx, np.float64)
    top, bottom = SEARCH_PX
    strip = ndimage.gaussian_filter(image, (1.5, AVERAGED_SIGMA_PX))[top:bottom]
    trace = ndimage.gaussian_filter1d(_smoothest_ridge(strip) + top, 4.0)
    straight = averaged(straightened(grey_yx, trace), AVERAGED_SIGMA_PX)
    found = []
    for column in range(COLUMNS[0], min(COLUMNS[1], image.shape[1])):
        profile = straight[:, column]
        tops, _ = signal.find_peaks(profile[ABOVE_PX - GAP_PX[1] - 2 : ABOVE_PX - GAP_PX[0] + 1])
        tops = tops + ABOVE_PX - GAP_PX[1] - 2
        if not tops.size:
            continue
        upper = int(tops[np.argmax(profile[tops])])
        trough = upper + int(np.argmin(profile[upper : ABOVE_PX + 1]))
        if profile[upper] - profile[trough] >= LEAST_DIP:
            found.append((column, upper, trough))
    columns, uppers, troughs = np.array(found, np.intp).reshape(-1, 3).T
    return WallLines(trace, columns, uppers, troughs)


def _smoothest_ridge(strip: Values, bend: float = 0.05) -> Values:
    """Row of the brightest path from left to right that moves at most one row per column (dynamic programming)."""
    score = strip.copy()
    came_from = np.zeros(strip.shape, np.intp)
    for column in range(1, strip.shape[1]):
        padded = np.pad(score[:, column - 1], 1, constant_values=-np.inf)
        options = np.stack([padded[:-2] - bend, padded[1:-1], padded[2:] - bend])
        best = options.argmax(axis=0)
        came_from[:, column] = best - 1
        score[:, column] += options.max(axis=0)
    rows = np.zeros(strip.shape[1])
    row = int(score[:, -1].argmax())
    for column in range(strip.shape[1] - 1, -1, -1):
        rows[column] = row
        row += int(came_from[row, column])
    return rows


def straightened(grey_yx: Grey, trace: Values) -> Values:
    """Shift each column so that the trace lies in row ``ABOVE_PX``; linear interpolation."""
    rows = np.arange(-ABOVE_PX, BELOW_PX + 1)[:, None] + trace[None]
    columns = np.broadcast_to(np.arange(trace.size), rows.shape)
    return np.asarray(
        ndimage.map_coordinates(np.asarray(grey_yx, np.float64), [rows, columns], order=1, mode="nearest")
    )


def averaged(straight: Values, sigma_px: float) -> Values:
    """Average over neighbouring columns."""
    return np.asarray(ndimage.gaussian_filter1d(straight, sigma_px, axis=1, mode="nearest"))
