"""Check 2: the fibres of skeletal muscle are still there, as strong and as many.

Speckle is averaged away along the fibres, which keeps them: in input and answer alike, each pixel becomes the
Gaussian-weighted mean along the local direction of the input's fibres (structure tensor: Bigun and Granlund 1987), so
that speckle left in an answer does not count as fibres. Profiles across the dominant direction are then searched for
ridges.

- Contrast kept: median over the input's ridges of (ridge less the mean of its two troughs) in the answer, at the same
  places, over that in the input. Fine fibres (fainter than the median) are shown on their own: they go first.
- Count kept: ridges of the input that are found again within 2 px, with at least 40 % of the prominence.
- Invented: ridges of the answer with the prominence required of the input that have none of the input's within 3 px,
  over the count of the input's.

What can be asked for: where frames averaged along their fibres stood for the truth, and their own residual, mirrored
and shifted, for the speckle, the truth scored 0.94 (contrast), 0.90 (fine fibres) and 0.97 (count).
The frames are of subjects S3, S5 and S8.
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

MUSCLE_SOURCES = tuple(
    FrameSource(name, f"muscle_ge_logiq_e9/{name}.png", 50 / 458, "assumed: 50 mm deep", (70, 330, 60, 460))
    for name in ("S8_L20_step_175", "S5_R20_step_075", "S3_L20_step_175")
)
ALONG_SIGMA_PX = 12.0
GRADIENT_SIGMA_PX, TENSOR_SIGMA_PX = 1.5, 12.0
LEAST_PROMINENCE = 0.07
"""Grey 0..1; about three times what speckle leaves after averaging along the fibres."""
FOUND_AGAIN = 0.4
PROFILE_EVERY_PX = 6.0
SAMPLES_PER_PX = 2


@dataclass(frozen=True)
class Ridge:
    """A ridge and its two troughs: profile number and sample numbers."""

    profile: int
    top: int
    left: int
    right: int
    prominence: float

    def contrast(self, profiles: Values) -> float:
        """Grey of the ridge less the mean grey of its troughs."""
        line = profiles[self.profile]
        return float(line[self.top] - (line[self.left] + line[self.right]) / 2)


@dataclass(frozen=True)
class FibreFrame:
    """A frame of muscle with the direction of its fibres, and the ridges of the input."""

    frame: DetailFrame
    angle_yx: Values
    lines_yx: Values
    """Rows and columns of the profiles' samples, shape (2, profile, sample)."""
    ridges: tuple[Ridge, ...]

    @classmethod
    def of(cls, frame: DetailFrame) -> FibreFrame:
        """Find direction and ridges."""
        angle = fibre_angle(frame.grey_yx)
        lines = profile_lines(frame.grey_yx.shape, dominant_angle(angle, frame.grey_yx))
        ridges = find_ridges(profiles_across(averaged_along(frame.grey_yx, angle), lines), LEAST_PROMINENCE)
        return cls(frame, angle, lines, tuple(ridges))

    def profiles(self, grey_yx: Grey) -> Values:
        """Profiles across the fibres of an image that was averaged along them."""
        return profiles_across(averaged_along(grey_yx, self.angle_yx), self.lines_yx)


@dataclass(frozen=True)
class FibreCheck:
    """Contrast and count of muscle fibres."""

    frames: tuple[FibreFrame, ...]

    @classmethod
    def prepare(cls, data: Path | None, published: Path | None) -> FibreCheck:
        """Find the fibres of every frame that exists."""
        return cls(tuple(FibreFrame.of(frame) for frame in load_frames(MUSCLE_SOURCES, data, published)))

    @property
    def rows(self) -> tuple[DetailFigure, ...]:
        """Contrast, count, inventions."""
        return (
            DetailFigure("fibres: contrast kept", 0.8, decimals=2),
            DetailFigure("fibres: contrast kept, fine ones", 0.7, decimals=2),
            DetailFigure("fibres: count kept", 0.9, decimals=2),
            DetailFigure("fibres: invented", 0.1, "at most", decimals=2),
        )

    def figures(self, method: FrameDespeckler) -> Figures:
        """Measure one method."""
        kept, fine, again, invented = [], [], [], []
        for each in self.frames:
            answer = each.frame.answers(method, each.frame.grey_yx[None])[0]
            share = kept_fibres(each, answer)
            kept += share.contrast
            fine += share.fine
            again.append(share.count)
            invented.append(share.invented)
        values = (middle(kept), middle(fine), middle(again), middle(invented))
        return dict(zip((row.key for row in self.rows), values, strict=True))


@dataclass(frozen=True)
class KeptFibres:
    """What an answer keeps of a frame's fibres; contrasts are one for each ridge of the input."""

    contrast: list[float]
    fine: list[float]
    count: float
    invented: float


def kept_fibres(source: FibreFrame, answer_yx: Grey) -> KeptFibres:
    """Compare the ridges of an answer with those of its input."""
    before, after = source.profiles(source.frame.grey_yx), source.profiles(answer_yx)
    found = find_ridges(after, FOUND_AGAIN * LEAST_PROMINENCE)
    tops: dict[int, list[Ridge]] = {}
    for ridge in found:
        tops.setdefault(ridge.profile, []).append(ridge)
    contrast = [ridge.contrast(after) / ridge.contrast(before) for ridge in source.ridges]
    faint = np.median([ridge.prominence for ridge in source.ridges]) if source.ridges else 0.0
    fine = [share for share, ridge in zip(contrast, source.ridges, strict=True) if ridge.prominence <= faint]
    again = [
        any(
            abs(other.top - ridge.top) <= 2 * SAMPLES_PER_PX and other.prominence >= FOUND_AGAIN * ridge.prominence
            for other in tops.get(ridge.profile, [])
        )
        for ridge in source.ridges
    ]
    own: dict[int, list[int]] = {}
    for ridge in find_ridges(before, 0.0):
        own.setdefault(ridge.profile, []).append(ridge.top)
    new = [
        ridge
        for ridge in found
        if ridge.prominence >= LEAST_PROMINENCE
        and all(abs(top - ridge.top) > 3 * SAMPLES_PER_PX for top in own.get(ridge.profile, []))
    ]
    total = max(len(source.ridges), 1)
    return KeptFibres(contrast, fine, sum(again) / total, len(new) / total)


def fibre_angle(grey_yx: Grey) -> Values:
    """Direction of the fibres at each pixel: angle with the X axis, radians, positive downwards, -pi/2..pi/2."""
    image = np.asarray(grey_yx, np.float64)
    dy = ndimage.gaussian_filter(image, GRADIENT_SIGMA_PX, order=(1, 0))
    dx = ndimage.gaussian_filter(image, GRADIENT_SIGMA_PX, order=(0, 1))
    yy, xx, xy = (ndimage.gaussian_filter(product, TENSOR_SIGMA_PX) for product in (dy * dy, dx * dx, dx * dy))
    across = 0.5 * np.arctan2(2 * xy, xx - yy)
    return np.asarray(np.mod(across + np.pi, np.pi) - np.pi / 2)


def dominant_angle(angle_yx: Values, grey_yx: Grey) -> float:
    """Mean direction, each pixel weighted by its gradient; directions are doubled, since they have no sign."""
    weight = ndimage.gaussian_gradient_magnitude(np.asarray(grey_yx, np.float64), GRADIENT_SIGMA_PX)
    return float(0.5 * np.angle((weight * np.exp(2j * angle_yx)).sum()))


def averaged_along(grey_yx: Grey, angle_yx: Values) -> Values:
    """Gaussian-weighted mean (12 px) along the local direction, by linear interpolation."""
    reach = int(2.5 * ALONG_SIGMA_PX)
    steps = np.arange(-reach, reach + 1, 2.0)
    weights = np.exp(-0.5 * (steps / ALONG_SIGMA_PX) ** 2)
    rows, columns = np.mgrid[: grey_yx.shape[0], : grey_yx.shape[1]]
    dy, dx = np.sin(angle_yx), np.cos(angle_yx)
    image, total = np.asarray(grey_yx, np.float64), np.zeros(grey_yx.shape)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        total += weight * ndimage.map_coordinates(
            image, [rows + step * dy, columns + step * dx], order=1, mode="nearest"
        )
    return total


def profile_lines(shape_yx: tuple[int, ...], angle_rad: float, margin_px: int = 12) -> Values:
    """Rows and columns (2, profile, sample) of parallel lines across a direction, NaN outside of the frame."""
    height, width = shape_yx
    reach = np.hypot(height, width) / 2
    along = np.arange(-reach, reach, PROFILE_EVERY_PX)[:, None]
    across = np.arange(-reach, reach, 1 / SAMPLES_PER_PX)[None]
    rows = (height - 1) / 2 + along * np.sin(angle_rad) + across * np.cos(angle_rad)
    columns = (width - 1) / 2 + along * np.cos(angle_rad) - across * np.sin(angle_rad)
    inside = (rows >= margin_px) & (rows <= height - 1 - margin_px)
    inside &= (columns >= margin_px) & (columns <= width - 1 - margin_px)
    lines = np.where(inside, np.stack([rows, columns]), np.nan)
    return lines[:, inside.sum(axis=1) >= 20 * SAMPLES_PER_PX]


def profiles_across(image_yx: Values, lines: Values) -> Values:
    """Sample an image along lines; NaN where a line is outside."""
    outside = np.isnan(lines[0])
    values = ndimage.map_coordinates(image_yx, np.where(outside, 0, lines), order=1)
    return np.where(outside, np.nan, values)


def find_ridges(profiles: Values, least_prominence: float) -> list[Ridge]:
    """Find local maxima with their troughs (the lowest points on both sides, no further than 12 px)."""
    ridges = []
    for number, profile in enumerate(profiles):
        inside = np.flatnonzero(~np.isnan(profile))
        line = ndimage.gaussian_filter1d(profile[inside], SAMPLES_PER_PX * 0.5)
        tops, found = signal.find_peaks(line, prominence=max(least_prominence, 1e-9), wlen=24 * SAMPLES_PER_PX + 1)
        bases = zip(tops, found["left_bases"], found["right_bases"], found["prominences"], strict=True)
        ridges += [Ridge(number, *(int(inside[i]) for i in (t, a, b)), float(p)) for t, a, b, p in bases]
    return ridges
