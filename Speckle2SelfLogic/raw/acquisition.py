"""`BeamRecording`: samples on beams with what is known about how they were taken."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.image import Calibration, Provenance, UltrasoundImage
from Speckle2SelfLogic.raw.scan_geometry import ScanGeometry, grid_for, scan_convert
from Speckle2SelfLogic.raw.signals import (
    SOUND_SPEED_M_PER_S,
    Domain,
    Float32,
    LogCompression,
    Samples,
    linear_envelope,
    plane_by_plane,
    time_gain,
)

NOT_CONVERTED = Calibration(
    is_calibrated=False, reason="the frame shows beams side by side: no scan geometry was given"
)


@dataclass(frozen=True, eq=False)
class BeamRecording:
    """Samples on beams.

    Parameters
    ----------
    samples_nsl
        Array (frames, samples, lines): real numbers, or complex ones for IQ.
    domain
        What the values are.
    sampling_mhz
        Sampling rate along a beam (of complex samples for IQ); None if it is not known.
    first_sample
        Number of sample periods from the probe's surface to the first sample.
    frame_interval_ms
        Time from frame to frame; None if it is not known.
    provenance
        Source and history.
    """

    samples_nsl: Samples
    domain: Domain
    sampling_mhz: float | None = None
    first_sample: float = 0.0
    frame_interval_ms: float | None = None
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if self.sampling_mhz is not None and not 0.01 <= self.sampling_mhz <= 1000:
            message = f"The sampling rate must be between 0.01 and 1000 MHz, but is {self.sampling_mhz}."
            raise SettingsError(message)

    def step_mm(self, purpose: str) -> float:
        """Return the depth from sample to sample: half the way of sound in a sampling period.

        Raises
        ------
        SettingsError
            If the sampling rate is not known; the message says what it is needed for.
        """
        if self.sampling_mhz is None:
            message = f"The sampling rate is needed for {purpose}, and the file does not tell it; give it in MHz."
            raise SettingsError(message)
        return SOUND_SPEED_M_PER_S / 2 / self.sampling_mhz / 1000

    def depth_mm(self, purpose: str) -> npt.NDArray[np.float64]:
        """Return the depth of each sample; raises what `step_mm` raises."""
        return np.asarray((self.first_sample + np.arange(self.samples_nsl.shape[1])) * self.step_mm(purpose))


@dataclass(frozen=True, eq=False)
class StoredRecording:
    """A recording that stays in its file, from which its frames are read one by one.

    Parameters
    ----------
    first
        The recording with its first frame alone.
    count
        Number of frames.
    samples_of
        Returns the samples (samples, lines) of a frame by its number.
    close
        Lets go of the file.
    """

    first: BeamRecording
    count: int
    samples_of: Callable[[int], Samples]
    close: Callable[[], None]

    @property
    def envelope_bytes(self) -> int:
        """Bytes that the envelope of all frames would take in memory."""
        return 4 * self.count * self.first.samples_nsl.size

    def frame(self, number: int) -> BeamRecording:
        """Return the recording with one frame alone."""
        return replace(self.first, samples_nsl=self.samples_of(number)[np.newaxis])

    def whole(self) -> BeamRecording:
        """Return the recording with all frames, and let go of the file."""
        try:
            return replace(self.first, samples_nsl=np.stack([self.samples_of(n) for n in range(self.count)]))
        finally:
            self.close()


@dataclass(frozen=True)
class Processing:
    """How a recording becomes B-mode.

    Parameters
    ----------
    dynamic_range_db
        Range of the log compression. For a log envelope, the range that its 8-bit grey or its dB are shown in.
    gain_db
        Gain before compression; 0 dB is the largest envelope of the recording.
    tgc_db
        Time gain: pairs of (depth in mm, gain in dB), linear between them; none if empty.
    geometry
        Where the beams lie. None: the frame shows the beams side by side and has no millimetres.
    """

    dynamic_range_db: float | None = None
    gain_db: float = 0.0
    tgc_db: tuple[tuple[float, float], ...] = ()
    geometry: ScanGeometry | None = None

    def __post_init__(self) -> None:
        if not -200 <= self.gain_db <= 200:
            message = f"The gain must be between -200 and 200 dB, but is {self.gain_db}."
            raise SettingsError(message)
        for depth_mm, gain_db in self.tgc_db:
            if not (math.isfinite(depth_mm) and -200 <= gain_db <= 200):
                message = (
                    f"The time gain must be between -200 and 200 dB at a depth in mm, but is {depth_mm}:{gain_db}."
                )
                raise SettingsError(message)


def grey_beams(recording: BeamRecording, processing: Processing, reference: float | None = None) -> Float32:
    """Return the B-mode grey 0..1 of a recording on its beams, shape (frames, samples, lines).

    ``reference`` is the value of 0 dB, if that is not the largest of these frames (`largest_value`).

    Raises
    ------
    SettingsError
        If the dynamic range, or the sampling rate for a time gain, is needed and missing; and if gain is to be applied
        to 8-bit grey.
    UnsupportedImageError
        If the samples do not fit the domain.
    """
    if recording.domain is Domain.LOG_ENVELOPE:
        return _grey_of_log(recording, processing, reference)
    if recording.domain is Domain.BMODE:
        message = "B-mode frames need no processing; read them as images."
        raise SettingsError(message)
    envelope = gained_envelope(recording, processing)
    compression = compression_for(envelope, processing, recording.domain, reference)
    return plane_by_plane(compression.to_grey, np.float32, envelope)


def largest_value(recording: BeamRecording, processing: Processing) -> float:
    """Return what 0 dB is for a recording: its largest envelope, or dB, with time gain. Raises as `grey_beams`."""
    if recording.domain is not Domain.LOG_ENVELOPE:
        return float(gained_envelope(recording, processing).max())
    if recording.samples_nsl.dtype == np.uint8:
        return 255.0
    return float(_gained_levels_db(recording, processing).max())


def gained_envelope(recording: BeamRecording, processing: Processing) -> Float32:
    """Return the linear envelope with time gain, shape (frames, samples, lines). Raises what its parts raise."""
    envelope = linear_envelope(recording.samples_nsl, recording.domain)
    if not processing.tgc_db:
        return envelope
    gain = time_gain(processing.tgc_db, recording.depth_mm("a time gain"))
    return np.asarray(envelope * gain[:, np.newaxis])


def compression_for(
    envelope: Float32, processing: Processing, domain: Domain, reference: float | None = None
) -> LogCompression:
    """Return the compression of a recording: 0 dB is its largest envelope, or ``reference``.

    Raises
    ------
    SettingsError
        If no dynamic range was given.
    """
    largest = float(envelope.max()) if reference is None else reference
    return LogCompression(needed_range(processing, domain), largest, processing.gain_db)


def needed_range(processing: Processing, domain: Domain) -> float:
    """Return the dynamic range, or say that it is needed."""
    if processing.dynamic_range_db is None:
        message = f"The domain '{domain.value}' needs a dynamic range in dB for the log compression, such as 60."
        raise SettingsError(message)
    return processing.dynamic_range_db


def bmode_image(recording: BeamRecording, processing: Processing, reference: float | None = None) -> UltrasoundImage:
    """Return the B-mode picture of a recording: 8-bit grey, scan-converted if the geometry is known.

    ``reference`` as for `grey_beams`.

    Raises what `grey_beams` raises, and `SettingsError` if the sampling rate for scan conversion is missing.
    """
    grey = grey_beams(recording, processing, reference)
    steps = [f"B-mode from {recording.domain.value}{_details(recording, processing)}"]
    spacing: tuple[float, ...] = ()
    origin: tuple[float, ...] = ()
    calibration = NOT_CONVERTED
    shown: Callable[[Float32], Float32] = np.asarray
    if processing.geometry is not None:
        step_mm = recording.step_mm("scan conversion")
        first_mm = recording.first_sample * step_mm
        grid = grid_for(processing.geometry, grey.shape[1:], first_mm, step_mm)
        shown = functools.partial(
            scan_convert, geometry=processing.geometry, grid=grid, first_mm=first_mm, step_mm=step_mm
        )
        spacing, origin = (grid.spacing_mm,) * 2, grid.origin_mm
        calibration = Calibration(is_calibrated=True, reason="scan conversion by the geometry that was given")
        steps.append(f"scan-converted by {processing.geometry} to {grid.spacing_mm:.4f} mm")
    pixels = plane_by_plane(lambda frame: np.round(shown(frame) * 255), np.uint8, grey)
    return _as_image(pixels, recording, steps, spacing, origin, calibration)


def beam_image(values_nsl: Samples, recording: BeamRecording) -> UltrasoundImage:
    """Return values on beams as an image whose columns are beams, without a size in millimetres."""
    return _as_image(values_nsl, recording, [], (), (), NOT_CONVERTED)


def _as_image(
    values_nyx: Samples,
    recording: BeamRecording,
    steps: list[str],
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    calibration: Calibration,
) -> UltrasoundImage:
    is_cine = len(values_nyx) > 1
    interval = (recording.frame_interval_ms or 1.0,) * is_cine
    record = recording.provenance
    return UltrasoundImage(
        pixels=values_nyx if is_cine else values_nyx[0],
        axes="TYX" if is_cine else "YX",
        spacing_mm=(*(spacing or (1.0, 1.0)), *interval),
        origin_mm=(*(origin or (0.0, 0.0)), *(0.0,) * is_cine),
        calibration=calibration,
        provenance=replace(record, history=(*record.history, *steps)),
    )


def _grey_of_log(recording: BeamRecording, processing: Processing, reference: float | None = None) -> Float32:
    """Return the grey of a log envelope: 8-bit grey as it is, real numbers as dB below their largest."""
    samples = recording.samples_nsl
    if samples.dtype == np.uint8:
        if processing.gain_db or processing.tgc_db:
            message = "An 8-bit log envelope is compressed already; gain and time gain cannot be applied to it."
            raise SettingsError(message)
        return np.asarray(samples.astype(np.float32) / 255)
    level_db = log_levels_db(recording, processing, reference)
    return np.asarray(np.clip(1 + level_db / needed_range(processing, recording.domain), 0, 1), np.float32)


def log_levels_db(
    recording: BeamRecording, processing: Processing, reference: float | None = None
) -> npt.NDArray[np.float64]:
    """Return a log envelope in dB (real numbers) relative to its largest value, with gain and time gain."""
    level_db = _gained_levels_db(recording, processing)
    return np.asarray(level_db - ((level_db.max() if reference is None else reference) - processing.gain_db))


def _gained_levels_db(recording: BeamRecording, processing: Processing) -> npt.NDArray[np.float64]:
    """Return a log envelope in dB with time gain."""
    samples = recording.samples_nsl
    if samples.dtype.kind != "f" or not np.isfinite(samples).all():
        message = (
            f"A log envelope must be 8-bit grey or finite dB as real numbers, but its values are {samples.dtype}; "
            "convert them first."
        )
        raise SettingsError(message)
    level_db = samples.astype(np.float64)
    if processing.tgc_db:
        gain = time_gain(processing.tgc_db, recording.depth_mm("a time gain"))
        level_db += 20 * np.log10(gain)[:, np.newaxis]
    return level_db


def _details(recording: BeamRecording, processing: Processing) -> str:
    parts = [f"{processing.dynamic_range_db:g} dB"] if processing.dynamic_range_db is not None else []
    parts += [f"gain {processing.gain_db:g} dB"] if processing.gain_db else []
    parts += ["time gain"] if processing.tgc_db else []
    parts += [f"{recording.sampling_mhz:g} MHz"] if recording.sampling_mhz else []
    return f" ({', '.join(parts)})" if parts else ""
