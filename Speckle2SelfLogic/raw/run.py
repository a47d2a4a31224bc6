"""Raw data in, B-mode or despeckled envelopes out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

import numpy as np

from Speckle2SelfLogic import streaming
from Speckle2SelfLogic.batch import FileResult, losses_noted, notes_on, write_with_notes
from Speckle2SelfLogic.denoiser import Denoiser, Despeckled, ProgressCallback
from Speckle2SelfLogic.envelope import EnvelopeDenoiser
from Speckle2SelfLogic.errors import CancelledError, SettingsError
from Speckle2SelfLogic.frame_writers import STREAMED_SUFFIXES
from Speckle2SelfLogic.frames_in_file import FramesInFile
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.io import check_writable, image_suffix
from Speckle2SelfLogic.raw.acquisition import (
    BeamRecording,
    Processing,
    StoredRecording,
    beam_image,
    bmode_image,
    compression_for,
    gained_envelope,
    largest_value,
    log_levels_db,
    needed_range,
)
from Speckle2SelfLogic.raw.files import open_raw, read_raw
from Speckle2SelfLogic.raw.signals import Domain, linear_envelope, time_gain
from Speckle2SelfLogic.runtime import method_domain
from Speckle2SelfLogic.stored_cine import StoredCine, with_frame_count

OUTPUTS = ("bmode", "envelope", "log-envelope")


@dataclass(frozen=True)
class RawOptions:
    """How raw data are read, processed and written.

    Parameters
    ----------
    domain
        What the files hold.
    processing
        How they become B-mode.
    sampling_mhz
        Sampling rate, if the file does not tell it.
    output
        ``"bmode"``: the picture, scan-converted if the geometry is known. ``"envelope"``: the linear envelope on its
        beams. ``"log-envelope"``: for log envelopes, in the scale they came in.
    """

    domain: Domain
    processing: Processing = field(default_factory=Processing)
    sampling_mhz: float | None = None
    output: str = "bmode"

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            message = f"The output must be one of {', '.join(OUTPUTS)}, but is '{self.output}'."
            raise SettingsError(message)
        if self.output == "log-envelope" and self.domain is not Domain.LOG_ENVELOPE:
            message = f"A log envelope can only be written for one that was read, not for '{self.domain.value}'."
            raise SettingsError(message)
        if self.output != "bmode" and self.processing.geometry is not None:
            message = "An envelope is written on its beams, without scan conversion; leave the geometry out."
            raise SettingsError(message)


def despeckle_raw_file(
    pair: FileResult,
    denoiser: Denoiser,
    progress: ProgressCallback | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    *,
    options: RawOptions,
) -> FileResult:
    """Read, despeckle and write one file of raw data; fills in and returns ``pair``. Raises what its steps raise.

    Long recordings that are to become B-mode go from file to file frame by frame where their formats allow it.
    """
    if stored := _stored_recording(pair, denoiser, options):
        _despeckle_stored_recording(stored, pair, denoiser, options, progress, is_cancelled)
        return pair
    recording = read_raw(pair.source, options.domain, options.sampling_mhz)
    despeckled = despeckle_raw(
        recording, denoiser, options, progress, is_cancelled, lambda i: check_writable(i, pair.target)
    )
    pair.notes += [*write_with_notes(despeckled.image, pair.target), *notes_on(despeckled.image)]
    pair.report = despeckled.report
    return pair


def _stored_recording(pair: FileResult, denoiser: Denoiser, options: RawOptions) -> StoredRecording | None:
    """Open a recording to be streamed; None if it is short, or formats or options forbid it."""
    is_possible = (
        options.output == "bmode"
        and method_domain(denoiser.method) == "bmode"
        and image_suffix(pair.target) in STREAMED_SUFFIXES
        and denoiser.settings.slice_axis == "auto"
        and streaming.may_be_long(pair.source)
    )
    recording = open_raw(pair.source, options.domain, options.sampling_mhz) if is_possible else None
    if recording is not None and (recording.count < 2 or recording.envelope_bytes < streaming.STREAMED_FROM_BYTES):
        recording.close()
        return None
    return recording


def _despeckle_stored_recording(
    recording: StoredRecording,
    pair: FileResult,
    denoiser: Denoiser,
    options: RawOptions,
    progress: ProgressCallback | None,
    is_cancelled: Callable[[], bool] | None,
) -> None:
    """Turn a recording into B-mode in a temporary file, frame by frame, and despeckle that."""

    def frames() -> Iterator[BeamRecording]:
        for number in range(recording.count):
            if is_cancelled is not None and is_cancelled():
                message = f"Stopped at frame {number} of {recording.count}."
                raise CancelledError(message)
            yield recording.frame(number)

    two = replace(recording.first, samples_nsl=np.repeat(recording.first.samples_nsl, 2, axis=0))
    with closing(recording):
        header = with_frame_count(bmode_image(two, options.processing, 1.0), recording.count)
        check_writable(header, pair.target)
        with tempfile.TemporaryFile(prefix=".speckle2self-", dir=pair.target.parent) as file, losses_noted() as lost:
            spool = cast("BinaryIO", file)
            largest = max(largest_value(frame, options.processing) for frame in frames())
            for frame in frames():
                spool.write(bmode_image(frame, options.processing, largest).pixels.tobytes())
            spool.seek(0)
            stored = FramesInFile(lambda: spool, header.pixels.shape, np.dtype(np.uint8), str(pair.source))
            pair.report = streaming.despeckle_stored(
                StoredCine(header, stored), pair.target, denoiser, progress, is_cancelled
            )
    pair.notes += [*lost, *notes_on(header)]


def despeckle_raw(
    recording: BeamRecording,
    denoiser: Denoiser,
    options: RawOptions,
    progress: ProgressCallback | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    check: Callable[[UltrasoundImage], None] = lambda image: None,  # noqa: ARG005
) -> Despeckled:
    """Despeckle a recording in the domain that the method's card names, and return it in the domain of the output.

    Parameters
    ----------
    recording
        Samples on beams.
    denoiser
        Method and settings.
    options
        Processing and output.
    progress, is_cancelled
        As in `Denoiser.run`.
    check
        Called before despeckling with an image of the shape and type of the result.

    Raises
    ------
    SettingsError
        If something that is needed is missing, such as the dynamic range.
    UnsupportedImageError
        If the samples do not fit the domain.
    """
    if options.output == "bmode" and method_domain(denoiser.method) == "bmode":
        picture = bmode_image(recording, options.processing)
        check(picture)
        return denoiser.run(picture, progress, is_cancelled)
    if options.output == "log-envelope":
        return _log_envelope(recording, denoiser, options, progress, is_cancelled, check)
    linear = _linear(recording, options.processing)
    gained = gained_envelope(linear, options.processing)
    compression = compression_for(gained, options.processing, recording.domain)
    reference = compression.reference * 10 ** (-compression.gain_db / 20)
    image = replace(beam_image(gained, recording), intensity=IntensityDomain.ENVELOPE)
    if options.output == "envelope":
        check(image)
    through = EnvelopeDenoiser(denoiser, compression.dynamic_range_db, reference)
    despeckled, report = through.run(image, progress, is_cancelled)
    if options.output == "bmode":
        clean = np.asarray(despeckled.pixels).reshape(gained.shape)
        shown = replace(linear, samples_nsl=clean, provenance=despeckled.provenance)
        return Despeckled(bmode_image(shown, replace(options.processing, tgc_db=())), report)
    undone = _without_time_gain(despeckled, linear, options.processing)
    return Despeckled(undone, report)


def _linear(recording: BeamRecording, processing: Processing) -> BeamRecording:
    """Return a recording as a linear envelope; a log envelope is expanded over its dynamic range to at most 1."""
    if recording.domain is not Domain.LOG_ENVELOPE:
        envelope = linear_envelope(recording.samples_nsl, recording.domain)
        return replace(recording, samples_nsl=envelope, domain=Domain.ENVELOPE)
    if recording.samples_nsl.dtype == np.uint8:
        range_db = needed_range(processing, recording.domain)
        level_db = (recording.samples_nsl.astype(np.float64) / 255 - 1) * range_db
    else:
        level_db = log_levels_db(recording, Processing())
    return replace(recording, samples_nsl=np.asarray(10 ** (level_db / 20), np.float32), domain=Domain.ENVELOPE)


def _without_time_gain(image: UltrasoundImage, recording: BeamRecording, processing: Processing) -> UltrasoundImage:
    if not processing.tgc_db:
        return image
    gain = time_gain(processing.tgc_db, recording.depth_mm("a time gain"))[:, np.newaxis]
    return image.with_pixels(
        np.asarray(np.asarray(image.pixels, np.float32) / gain, np.float32), "time gain taken back"
    )


def _log_envelope(
    recording: BeamRecording,
    denoiser: Denoiser,
    options: RawOptions,
    progress: ProgressCallback | None,
    is_cancelled: Callable[[], bool] | None,
    check: Callable[[UltrasoundImage], None],
) -> Despeckled:
    """Despeckle a log envelope in its own scale: 8-bit grey, or dB over the dynamic range."""
    samples = recording.samples_nsl
    image = beam_image(samples, recording)
    check(image)
    if samples.dtype == np.uint8:
        return denoiser.run(image, progress, is_cancelled)
    range_db = needed_range(options.processing, recording.domain)
    level_db = log_levels_db(recording, options.processing).reshape(image.pixels.shape)
    through = EnvelopeDenoiser(denoiser, range_db, reference=0.0, is_log=True)
    despeckled, report = through.run(replace(image, pixels=level_db), progress, is_cancelled)
    change_db = np.asarray(despeckled.pixels, np.float64) - level_db
    levels = np.asarray(image.pixels, np.float64) + change_db  # without gain, as it came
    return Despeckled(replace(despeckled, pixels=levels.astype(samples.dtype)), report)
