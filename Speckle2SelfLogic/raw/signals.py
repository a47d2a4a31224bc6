"""From signals on beams to grey and back: envelope detection, time gain, log compression and its inverse.

Beam arrays have the shape (frames, samples, lines): one column for each beam, depth along the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError

Float32 = npt.NDArray[np.float32]
Samples = npt.NDArray[np.generic]

SOUND_SPEED_M_PER_S = 1540.0
"""Speed of sound that scanners assume in soft tissue."""


class Domain(Enum):
    """What the values of a file stand for."""

    BMODE = "bmode"
    ENVELOPE = "envelope"
    LOG_ENVELOPE = "log-envelope"
    IQ = "iq"
    RF = "rf"

    @classmethod
    def named(cls, name: str) -> Domain:
        """Return the domain of a name.

        Raises
        ------
        SettingsError
            If there is none.
        """
        try:
            return cls(name)
        except ValueError as error:
            choices = ", ".join(domain.value for domain in cls)
            message = f"There is no domain '{name}'; choose one of {choices}."
            raise SettingsError(message) from error


def linear_envelope(samples_nsl: Samples, domain: Domain) -> Float32:
    """Return the linear envelope (frames, samples, lines) of a linear envelope, of IQ or of RF.

    IQ: the magnitude. RF: the magnitude of the analytic signal along each beam, computed by the Hilbert transform
    (`scipy.signal.hilbert`) after the beam's mean, which is no echo, was removed.

    Raises
    ------
    UnsupportedImageError
        If the values do not fit the domain: complex ones that are not IQ, real ones that are, negative envelopes, or
        values that are not finite.
    """
    if (samples_nsl.dtype.kind == "c") != (domain is Domain.IQ):
        kind = "complex" if samples_nsl.dtype.kind == "c" else "real"
        message = f"The samples are {kind} numbers, which does not fit the domain '{domain.value}'."
        raise UnsupportedImageError(message)
    if not np.isfinite(samples_nsl).all():
        message = "The samples hold values that are not finite (NaN or infinity); replace them first."
        raise UnsupportedImageError(message)
    if domain is Domain.IQ:
        return np.abs(samples_nsl).astype(np.float32)
    if domain is Domain.RF:
        from scipy import signal

        frames = (np.asarray(frame, np.float32) for frame in samples_nsl)
        analytic = (np.abs(signal.hilbert(frame - frame.mean(axis=0), axis=0)) for frame in frames)
        return np.stack([envelope.astype(np.float32) for envelope in analytic])
    envelope = np.asarray(samples_nsl, np.float32)
    if envelope.min() < 0:
        message = f"A linear envelope cannot be negative, but goes down to {envelope.min():g}; it may be RF or in dB."
        raise UnsupportedImageError(message)
    return envelope


def time_gain(points: Sequence[tuple[float, float]], depth_mm: npt.NDArray[np.floating]) -> Float32:
    """Return the amplitude factor at each depth, linear in dB between points of (depth in mm, gain in dB)."""
    if not points:
        return np.ones(depth_mm.shape, np.float32)
    at_mm, gain_db = zip(*sorted(points), strict=True)
    return np.asarray(10 ** (np.interp(depth_mm, at_mm, gain_db) / 20), np.float32)


def plane_by_plane(function: Callable[..., Any], kind: npt.DTypeLike, *values: Samples) -> npt.NDArray[Any]:
    """Return what a function makes of the planes (their last two axes) of arrays of one shape, as values of a type.

    What the function needs on the way, such as numbers of 64 bits, is in memory for one plane only.
    """
    leading = values[0].shape[:-2]
    made: npt.NDArray[Any] | None = None
    for place in np.ndindex(leading):
        plane = function(*(each[place] for each in values))
        if made is None:
            made = np.empty((*leading, *plane.shape), kind)
        made[place] = plane
    return np.empty(values[0].shape, kind) if made is None else made


class GreyScale(Protocol):
    """From values to B-mode grey and back."""

    def to_grey(self, values: Samples) -> Float32:
        """Return values as grey 0..1."""

    def changed(self, values: Samples, before: Samples, after: Samples) -> npt.NDArray[np.float64]:
        """Return values whose grey was changed; where the grey is the same, the value is too."""


@dataclass(frozen=True)
class LogCompression:
    """Grey that is linear in dB: 1 at the reference and above, 0 at ``dynamic_range_db`` below it and less.

    ``grey = 1 + (20 log10(envelope / reference) + gain_db) / dynamic_range_db`` (Szabo 2014, chapter 10.9).
    """

    dynamic_range_db: float
    reference: float
    """Amplitude of 0 dB, such as the largest of a recording."""
    gain_db: float = 0.0

    def __post_init__(self) -> None:
        _check_range(self.dynamic_range_db)
        if not (np.isfinite(self.reference) and self.reference > 0):
            message = "The envelope is zero everywhere, so there is nothing to compress."
            raise UnsupportedImageError(message)

    def to_grey(self, envelope: Samples) -> Float32:
        """Return an envelope as grey 0..1."""
        ratio = np.asarray(envelope, np.float64) / self.reference
        level_db = 20 * np.log10(np.maximum(ratio, 1e-30)) + self.gain_db
        return np.asarray(np.clip(1 + level_db / self.dynamic_range_db, 0, 1), np.float32)

    def to_envelope(self, grey: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the envelope that has a grey: the inverse of `to_grey` within the dynamic range."""
        level_db = (np.asarray(grey, np.float64) - 1) * self.dynamic_range_db - self.gain_db
        return np.asarray(self.reference * 10 ** (level_db / 20))

    def changed(self, envelope: Samples, before: Samples, after: Samples) -> npt.NDArray[np.float64]:
        """Return an envelope whose grey was changed; where the grey is the same, the envelope is too."""
        return np.asarray(
            np.where(before == after, envelope, self.to_envelope(np.asarray(after, np.float64))), np.float64
        )


@dataclass(frozen=True)
class DecibelScale:
    """Grey of values in dB: 1 at the reference and above, 0 at ``dynamic_range_db`` below it and less."""

    dynamic_range_db: float
    reference_db: float

    def __post_init__(self) -> None:
        _check_range(self.dynamic_range_db)

    def to_grey(self, level_db: Samples) -> Float32:
        """Return dB as grey 0..1."""
        below = np.asarray(level_db, np.float64) - self.reference_db
        return np.asarray(np.clip(1 + below / self.dynamic_range_db, 0, 1), np.float32)

    def changed(self, level_db: Samples, before: Samples, after: Samples) -> npt.NDArray[np.float64]:
        """Return dB whose grey was changed; where the grey is the same, so are they."""
        levels = (np.asarray(after, np.float64) - 1) * self.dynamic_range_db + self.reference_db
        return np.asarray(np.where(before == after, level_db, levels), np.float64)


def _check_range(dynamic_range_db: float) -> None:
    if not 10 <= dynamic_range_db <= 200:
        message = f"The dynamic range must be between 10 and 200 dB, but is {dynamic_range_db}."
        raise SettingsError(message)
