"""Score methods on the published in-vivo carotid frames beside the published outputs.

    python -m Training.evidence published FOLDER [METHOD ...]

FOLDER holds ``Input_01.gif``, ``Input_06.gif`` and any ``NAME_01.gif``, ``NAME_06.gif`` of other methods (three frames
of 256 x 256 each), as shown on the project page of Li, Navab and Jiang (2025). They are their authors' property and not
part of this software; only numbers are kept.

Every output is brought to the mean of its input first, since homogeneity rises with darkening.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.metrics import (
    black_share,
    glcm_homogeneity,
    local_brightness_bias,
    residual_structure_correlation,
    snr,
    with_mean_of,
)
from Training.evidence.frames import EvidenceItem

Frame = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Figures = dict[str, float | None]

LUMEN_CENTRES_YX: Mapping[int, tuple[tuple[int, int], ...]] = MappingProxyType(
    {1: ((98, 159), (98, 138), (100, 105)), 6: ((92, 198), (94, 194), (97, 166))}
)
"""Clip number to the centre (y, x) of the vessel's lumen in each of its frames."""
RANGE = 255.0
INPUT = "Input"


def read_frames(path: Path) -> list[Frame]:
    """Return the frames of a GIF as grey 0..255.

    Raises
    ------
    SettingsError
        If the file is missing.
    """
    if not path.is_file():
        message = f"There is no '{path}': the folder has to hold the published frames, Input_01.gif and so on."
        raise SettingsError(message)
    with Image.open(path) as animation:
        return [np.asarray(frame.convert("L"), np.float64) for frame in ImageSequence.Iterator(animation)]


def published_items(folder: Path, name: str = INPUT) -> Iterator[EvidenceItem]:
    """Return the frames of one published clip pair, named ``01_0`` to ``06_2``: the inputs, or a method's outputs."""
    for clip, centres in LUMEN_CENTRES_YX.items():
        frames = read_frames(folder / f"{name}_{clip:02d}.gif")
        for number, _ in enumerate(centres):
            yield EvidenceItem(f"{clip:02d}_{number}", (frames[number][None] / RANGE).astype(np.float32))


def published_names(folder: Path) -> list[str]:
    """Return the names of the methods whose outputs are in the folder."""
    return [name for path in sorted(folder.glob("*_01.gif")) if (name := path.name.removesuffix("_01.gif")) != INPUT]


def published_title(name: str) -> str:
    """Return how a table names the outputs of the project page: ``srad`` is ``SRAD (their output)``."""
    known = {"OurMethod": "Speckle2Self", "OurMethod_gamma2.0": "Speckle2Self, gamma 2"}
    return f"{known.get(name, name.upper())} (their output)"


def published_figures(name: str, input_yx: npt.NDArray[np.floating], output_yx: npt.NDArray[np.floating]) -> Figures:
    """Measure one output, grey 0..1, of the frame ``name`` (``01_0`` to ``06_2``).

    Lumen, tissue below the vessel, strap muscle above it, far wall.
    """
    clip, number = (int(part) for part in name.split("_"))
    cy, cx = LUMEN_CENTRES_YX[clip][number]
    # The frames have 8 bits; a float32 that is not exactly a grey level would fall on the wrong side of a threshold.
    source, output = (np.rint(np.asarray(frame, np.float64) * RANGE) for frame in (input_yx, output_yx))
    matched = np.clip(with_mean_of(output, source), 0, RANGE)
    lumen, below = box(matched.shape, cy, cx, 7, 9), box(matched.shape, cy + 54, cx, 12, 10)
    muscle = box(matched.shape, 34, 128, 9, 50)
    return {
        "homogeneity": glcm_homogeneity(matched, None, data_range=RANGE),
        "gcnr_below": histogram_gcnr(matched[lumen], matched[below]),
        "gcnr_muscle": histogram_gcnr(matched[lumen], matched[muscle]),
        "snr_below": snr(matched, below),
        "snr_muscle": snr(matched, muscle),
        "far_wall_px": far_wall_rise_px(matched[max(cy - 2, 0) : cy + 46, max(cx - 5, 0) : cx + 5].mean(1)),
        "local_brightness_bias": local_brightness_bias(source, matched, data_range=RANGE),
        "residual_structure": residual_structure_correlation(source, matched),
        "black_share": black_share(source, matched, data_range=RANGE),
    }


def box(shape: tuple[int, ...], cy: int, cx: int, half_height: int, half_width: int) -> Mask:
    """Return a rectangular region."""
    mask = np.zeros(shape, bool)
    mask[max(cy - half_height, 0) : cy + half_height, max(cx - half_width, 0) : cx + half_width] = True
    return mask


def histogram_gcnr(first: Frame, second: Frame) -> float:
    """Return the generalised CNR (Rodriguez-Molares et al., IEEE T-UFFC 67(4), 2020) with 64 equal bins of 0..256.

    The core's `gcnr` has bins at quantiles; these frames had been scored with equal bins before, and that is kept.
    """
    shares = [np.histogram(values, 64, (0, 256))[0] / values.size for values in (first, second)]
    return float(1 - np.minimum(*shares).sum())


def far_wall_rise_px(profile: Frame) -> float:
    """Return the 10-90 % rise from the lumen to the brightest point of a profile, with linear interpolation, in px."""
    top = int(np.argmax(profile))
    low, high = float(profile[: top + 1].min()), float(profile[top])

    def last_crossing(level: float) -> float:
        below = np.flatnonzero(profile[:top] < level)
        at = int(below[-1]) if below.size else 0
        return at + (level - float(profile[at])) / max(float(profile[at + 1] - profile[at]), 1e-6) if top else 0.0

    return last_crossing(low + 0.9 * (high - low)) - last_crossing(low + 0.1 * (high - low))
