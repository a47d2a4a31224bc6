"""Envelope detection, gain and log compression, with SciPy and closed formulas as oracles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.raw.acquisition import BeamRecording, Processing, bmode_image, grey_beams
from Speckle2SelfLogic.raw.signals import Domain, LogCompression, linear_envelope, time_gain

PROCESSING = Processing(60)


def an_iq_frame(samples=256, lines=24, seed=1):
    """Speckle with a slow phase, so that a carrier four samples long carries it without loss."""
    parts = np.random.default_rng(seed).standard_normal((2, 1, samples, lines))
    smooth = gaussian_filter(parts, (0, 0, 6, 1.5))
    return (smooth[0] + 1j * smooth[1]).astype(np.complex64)


def as_rf(iq_nsl):
    carrier = np.exp(2j * np.pi * 0.25 * np.arange(iq_nsl.shape[1]))[:, None]
    return (iq_nsl * carrier).real.astype(np.float32) + 3  # with a constant, as converters leave one


def test_the_envelope_of_iq_is_its_magnitude_and_that_of_rf_is_the_same():
    iq = an_iq_frame()
    envelope = linear_envelope(iq, Domain.IQ)
    np.testing.assert_allclose(envelope, np.abs(iq), rtol=1e-6)
    detected = linear_envelope(as_rf(iq), Domain.RF)
    inner = np.s_[:, 30:-30]  # the ends of a beam are cut off by the record
    assert np.abs(detected - envelope)[inner].max() < 0.02 * envelope.max()


def test_a_pure_tone_has_a_flat_envelope():
    tone = 7 * np.sin(2 * np.pi * 0.125 * np.arange(256))[None, :, None]
    np.testing.assert_allclose(linear_envelope(tone, Domain.RF), 7, atol=1e-4)


@pytest.mark.parametrize(
    ("samples", "domain", "words"),
    [
        (np.ones((1, 4, 2), complex), Domain.RF, "complex numbers, which does not fit the domain 'rf'"),
        (np.ones((1, 4, 2)), Domain.IQ, "real numbers, which does not fit the domain 'iq'"),
        (np.full((1, 4, 2), -1.0), Domain.ENVELOPE, "cannot be negative, but goes down to -1"),
        (np.full((1, 4, 2), np.nan), Domain.RF, "not finite"),
    ],
)
def test_samples_that_do_not_fit_their_domain_are_refused(samples, domain, words):
    with pytest.raises(UnsupportedImageError, match=words):
        linear_envelope(samples, domain)


def test_grey_is_linear_in_db_and_black_at_the_end_of_the_dynamic_range():
    compression = LogCompression(60, reference=1000.0)
    np.testing.assert_allclose(
        compression.to_grey(np.array([1000, 100, 10, 1, 0.1, 0, 2000])), [1, 2 / 3, 1 / 3, 0, 0, 0, 1], atol=1e-6
    )
    louder = LogCompression(60, 1000.0, gain_db=20)
    np.testing.assert_allclose(louder.to_grey(np.array([10.0])), 2 / 3, atol=1e-6)


@given(st.floats(20, 120), st.floats(1e-3, 1e6), st.floats(-20, 20), st.floats(0.001, 1))
def test_compression_can_be_undone_within_the_dynamic_range(dynamic_range_db, reference, gain_db, grey):
    compression = LogCompression(dynamic_range_db, reference, gain_db)
    envelope = compression.to_envelope(np.array([grey]))
    np.testing.assert_allclose(compression.to_grey(envelope), grey, atol=1e-5)


def test_an_envelope_whose_grey_is_the_same_keeps_its_value_also_below_the_range():
    compression = LogCompression(40, 100.0)
    envelope = np.array([100.0, 5, 1e-6, 250, 1e-6])
    before = compression.to_grey(envelope)
    after = before.copy()
    after[4] = 0.5
    np.testing.assert_allclose(compression.changed(envelope, before, after), [100, 5, 1e-6, 250, 10])


def test_time_gain_is_linear_in_db_between_its_points_and_needs_the_sampling_rate():
    np.testing.assert_allclose(
        time_gain([(20, 6), (0, 0)], np.array([0, 10, 20, 30])), 10 ** (np.array([0, 3, 6, 6]) / 20)
    )
    decaying = BeamRecording(10 ** (-np.linspace(0, 1, 101))[None, :, None] * np.ones(3), Domain.ENVELOPE, 7.7)
    assert decaying.step_mm("") == pytest.approx(0.1)
    flat = grey_beams(decaying, Processing(60, tgc_db=((0, 0), (10, 20))))
    np.testing.assert_allclose(flat, 1, atol=1e-6)
    with pytest.raises(SettingsError, match="sampling rate is needed for a time gain"):
        grey_beams(BeamRecording(decaying.samples_nsl, Domain.ENVELOPE), Processing(60, tgc_db=((0, 0),)))


def test_one_frame_gives_the_same_b_mode_from_every_domain():
    iq = an_iq_frame()
    envelope = np.abs(iq)
    level_db = 20 * np.log10(envelope / envelope.max())
    eight_bit = np.round(np.clip(1 + level_db / 60, 0, 1) * 255).astype(np.uint8)
    expected = bmode_image(BeamRecording(envelope, Domain.ENVELOPE), PROCESSING).pixels
    for samples, domain, worst in (
        (iq, Domain.IQ, 0),
        (level_db.astype(np.float64) + 123, Domain.LOG_ENVELOPE, 1),
        (eight_bit, Domain.LOG_ENVELOPE, 0),
    ):
        found = bmode_image(BeamRecording(samples, domain), PROCESSING).pixels
        assert np.abs(found.astype(int) - expected).max() <= worst
    rf = BeamRecording(as_rf(iq), Domain.RF)
    found = bmode_image(rf, PROCESSING).pixels.astype(int)
    assert np.quantile(np.abs(found - expected)[30:-30], 0.99) <= 3


def test_nothing_is_guessed():
    recording = BeamRecording(np.ones((1, 4, 2)), Domain.ENVELOPE)
    with pytest.raises(SettingsError, match="domain 'envelope' needs a dynamic range in dB"):
        bmode_image(recording, Processing())
    with pytest.raises(SettingsError, match=r"between 10 and 200 dB, but is 0\.5"):
        bmode_image(recording, Processing(0.5))
    with pytest.raises(UnsupportedImageError, match="zero everywhere"):
        bmode_image(BeamRecording(np.zeros((1, 4, 2)), Domain.ENVELOPE), PROCESSING)
    with pytest.raises(SettingsError, match="8-bit grey or finite dB as real numbers"):
        bmode_image(BeamRecording(np.ones((1, 4, 2), np.int16), Domain.LOG_ENVELOPE), PROCESSING)
    with pytest.raises(SettingsError, match="compressed already"):
        bmode_image(BeamRecording(np.ones((1, 4, 2), np.uint8), Domain.LOG_ENVELOPE), Processing(60, gain_db=3))
    with pytest.raises(SettingsError, match="no domain 'doppler'"):
        Domain.named("doppler")
    with pytest.raises(SettingsError, match=r"between 0\.01 and 1000 MHz"):
        BeamRecording(np.ones((1, 4, 2)), Domain.RF, sampling_mhz=0.0)


def test_several_frames_are_a_cine_with_their_interval_and_without_millimetres():
    cine = BeamRecording(np.repeat(np.abs(an_iq_frame()), 3, axis=0), Domain.ENVELOPE, frame_interval_ms=20.0)
    image = bmode_image(cine, PROCESSING)
    assert (image.axes, image.spacing_mm, image.pixels.dtype) == ("TYX", (1.0, 1.0, 20.0), np.uint8)
    assert not image.calibration.is_calibrated
    assert image.intensity is IntensityDomain.BMODE
    assert image.provenance.history == ("B-mode from envelope (60 dB)",)
    assert isinstance(image, UltrasoundImage)
