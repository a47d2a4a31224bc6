"""May a runtime stand in for the reference? Answers on real frames are compared, and limits decide.

The frames come from the ultrasound clip that pydicom ships (SonoSite, heart): as they are, darker, brighter, and
cropped to sides that need padding. Single precision has to agree to rounding. Reduced precision has to stay below what
an 8-bit display shows: 50 dB is an error of 0.8 grey levels of 255 (root mean square).
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from Speckle2SelfLogic.errors import Speckle2SelfError
from Speckle2SelfLogic.runtimes.graph import Float32

CLIP = "examples_ybr_color.dcm"
JUDGED, CALIBRATING = (3, 14, 25), (0, 8, 19, 29)
"""Frames of the clip that the gate looks at, and others that int8 takes its ranges from."""
GAINS = (1.0, 0.6, 1.6)


@dataclass(frozen=True)
class Limits:
    """What a difference may be; grey 0..1."""

    max_difference: float
    psnr_db: float
    mean_shift: float
    """Largest change of the mean grey of a frame: reduced precision must not change brightness."""


LIMITS = {
    "single": Limits(1e-5, 100.0, 1e-6),
    "bf16": Limits(12 / 255, 50.0, 0.5 / 255),
    "int8": Limits(12 / 255, 50.0, 0.5 / 255),
}


class ParityError(Speckle2SelfError):
    """A runtime's answers differ too much from the reference's."""


@dataclass(frozen=True)
class Parity:
    """How far answers are from the reference in single precision, the worst of the frames of the gate; grey 0..1."""

    max_difference: float
    psnr_db: float
    mean_shift: float
    frames: int

    @classmethod
    def of(cls, answers: list[Float32], references: list[Float32]) -> Parity:
        """Compare answers with references frame by frame; equal frames count as 200 dB."""
        differences = [
            answer.astype(np.float64) - reference for answer, reference in zip(answers, references, strict=True)
        ]
        finite = all(np.isfinite(difference).all() for difference in differences)
        if not finite:
            return cls(1e9, -1e9, 1e9, len(answers))
        errors = [max(float(np.mean(difference**2)), 1e-20) for difference in differences]
        return cls(
            max(float(np.abs(difference).max()) for difference in differences),
            min(-10 * float(np.log10(error)) for error in errors),
            max(abs(float(difference.mean())) for difference in differences),
            len(answers),
        )

    def is_within(self, limits: Limits) -> bool:
        """Whether every figure keeps its limit."""
        return (
            self.max_difference <= limits.max_difference
            and self.psnr_db >= limits.psnr_db
            and self.mean_shift <= limits.mean_shift
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Parity:  # noqa: ANN401 - as decoded from JSON
        """Make figures of what `as_dict` gave; raises TypeError, KeyError or ValueError for anything else."""
        largest, psnr_db, shift = (float(values[name]) for name in ("max_difference", "psnr_db", "mean_shift"))
        return cls(largest, psnr_db, shift, int(values["frames"]))


def check_parity(parity: Parity, precision: str, runtime: str) -> None:
    """Raise `ParityError` if figures are outside the limits of a precision."""
    limits = LIMITS[precision]
    if not parity.is_within(limits):
        figures = f"{parity.max_difference:.2g} ({parity.psnr_db:.1f} dB, mean {parity.mean_shift:.2g})"
        allowed = f"{limits.max_difference:.2g} ({limits.psnr_db:g} dB, mean {limits.mean_shift:.2g})"
        message = (
            f"Runtime '{runtime}' in {precision} precision is refused: on {parity.frames} real frames it differs from "
            f"the reference by up to {figures}, and no more than {allowed} is allowed."
        )
        raise ParityError(message)


def gate_frames() -> list[Float32]:
    """Return frames (1, Y, X) of grey 0..1 to compare answers on. Raises what `_clip` raises."""
    frames = [
        np.clip(gain * _clip()[number], 0, 1).astype(np.float32) for number, gain in zip(JUDGED, GAINS, strict=True)
    ]
    odd = frames[0][37:-20, 51:-18]
    return [np.ascontiguousarray(frame[None]) for frame in (*frames, odd)]


def calibration_frames() -> list[Float32]:
    """Return frames (1, Y, X) of grey 0..1 for the ranges of int8: none of the gate's. Raises what `_clip` raises."""
    frames = [np.clip(gain * _clip()[number], 0, 1) for number in CALIBRATING for gain in GAINS]
    return [np.ascontiguousarray(frame[None], np.float32) for frame in frames]


@functools.cache
def _clip() -> Float32:
    """Return the clip as grey 0..1 (N, Y, X), sides cut to multiples of 16.

    Raises
    ------
    ParityError
        If pydicom does not bring its clip along, so that nothing can be compared.
    """
    from pydicom.data import get_testdata_file

    from Speckle2SelfLogic.frames import GreyFrames, frames_view, grey_range_of
    from Speckle2SelfLogic.io import read_image

    path = get_testdata_file(CLIP, download=False)
    if path is None:
        message = f"pydicom's example clip '{CLIP}' is not installed, so no runtime but torch can be checked."
        raise ParityError(message)
    image = read_image(str(path))
    grey = np.stack(list(GreyFrames(frames_view(image), grey_range_of(image))))
    height, width = (side - side % 16 for side in grey.shape[1:])
    return np.asarray(grey[:, :height, :width], np.float32)
