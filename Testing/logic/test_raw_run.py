"""Raw data through a despeckler: the same as through B-mode, and back to envelopes."""

import dataclasses
import json
import math
import types

import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import uniform_filter

from Speckle2SelfLogic import streaming
from Speckle2SelfLogic.batch import FileResult
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.envelope import EnvelopeDenoiser, denoiser_for
from Speckle2SelfLogic.errors import CancelledError, ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.model_card import parse_card
from Speckle2SelfLogic.raw.acquisition import BeamRecording, Processing, bmode_image
from Speckle2SelfLogic.raw.run import RawOptions, _stored_recording, despeckle_raw, despeckle_raw_file
from Speckle2SelfLogic.raw.scan_geometry import SectorScan
from Speckle2SelfLogic.raw.signals import Domain
from Speckle2SelfLogic.weights import find_model
from Testing.logic.test_raw_files import a_clarius_pair

RANGE_DB = 60


def a_method(domain="bmode", smooth=True):
    def despeckle(frames):
        return np.stack([uniform_filter(frame, 5) for frame in frames]) if smooth else frames

    return types.SimpleNamespace(name="mean", title="Mean", citation="", domain=domain, despeckle=despeckle)


@pytest.fixture
def a_recording():
    rng = np.random.default_rng(3)
    iq = (rng.standard_normal((2, 2, 96, 48)) * np.linspace(100, 10, 96)[:, None]).astype(np.float32)
    return BeamRecording(iq[0] + 1j * iq[1], Domain.IQ, sampling_mhz=7.7)


def test_raw_data_give_what_their_b_mode_gives(a_recording):
    processing = Processing(RANGE_DB, geometry=SectorScan(60, 20))
    raw = despeckle_raw(a_recording, Denoiser(a_method()), RawOptions(Domain.IQ, processing)).image
    picture = bmode_image(a_recording, processing)
    expected = Denoiser(a_method()).run(picture).image
    np.testing.assert_array_equal(raw.pixels, expected.pixels)
    assert not np.array_equal(raw.pixels, picture.pixels)
    assert raw.same_geometry(picture)
    assert raw.provenance.history[0].startswith("B-mode from iq (60 dB, 7.7 MHz)")


@pytest.mark.parametrize("tgc", [(), ((0, 0), (9, 12))])
@pytest.mark.parametrize("gain_db", [0.0, 6.0])
def test_the_despeckled_envelope_compresses_to_the_despeckled_b_mode(a_recording, tgc, gain_db):
    processing = Processing(RANGE_DB, gain_db, tgc)
    back = despeckle_raw(a_recording, Denoiser(a_method()), RawOptions(Domain.IQ, processing, output="envelope")).image
    assert back.intensity is IntensityDomain.ENVELOPE
    assert back.pixels.dtype == np.float32
    shown = despeckle_raw(a_recording, Denoiser(a_method()), RawOptions(Domain.IQ, processing)).image
    gain = 10 ** (np.interp(a_recording.depth_mm(""), *zip(*(tgc or ((0, 0),)), strict=True)) / 20)[:, None]
    loudest = (np.abs(a_recording.samples_nsl) * gain).max()
    level_db = 20 * np.log10(back.pixels * gain / loudest) + gain_db
    grey = np.clip(1 + level_db / RANGE_DB, 0, 1) * 255
    assert np.abs(grey - shown.pixels).max() < 1.5


def test_an_envelope_that_is_not_changed_comes_back_as_it_was(a_recording):
    options = RawOptions(Domain.IQ, Processing(RANGE_DB, 3.0), output="envelope")
    back = despeckle_raw(a_recording, Denoiser(a_method(smooth=False)), options).image
    np.testing.assert_allclose(back.pixels, np.abs(a_recording.samples_nsl), rtol=1e-5)


@pytest.mark.parametrize("gain_db", [0.0, 5.0])
def test_a_log_envelope_in_db_comes_back_in_its_own_scale(a_recording, gain_db):
    level_db = 20 * np.log10(np.abs(a_recording.samples_nsl)).astype(np.float32)
    recording = BeamRecording(level_db, Domain.LOG_ENVELOPE, 7.7)
    options = RawOptions(Domain.LOG_ENVELOPE, Processing(RANGE_DB, gain_db, ((0, 0), (9, 6))), output="log-envelope")
    same = despeckle_raw(recording, Denoiser(a_method(smooth=False)), options).image
    np.testing.assert_array_equal(same.pixels, level_db)
    back = despeckle_raw(recording, Denoiser(a_method()), options).image
    assert back.pixels.dtype == np.float32
    assert back.pixels.std() < 0.9 * level_db.std()
    assert abs(np.median(back.pixels) - np.median(level_db)) < 3


def test_an_8_bit_log_envelope_stays_8_bit_or_becomes_linear_over_the_range_that_is_stated():
    grey = np.arange(2 * 96 * 48, dtype=np.uint8).reshape(2, 96, 48)
    recording = BeamRecording(grey, Domain.LOG_ENVELOPE)
    method = Denoiser(a_method(smooth=False))
    same = despeckle_raw(recording, method, RawOptions(Domain.LOG_ENVELOPE, output="log-envelope")).image
    np.testing.assert_array_equal(same.pixels, grey)
    options = RawOptions(Domain.LOG_ENVELOPE, Processing(RANGE_DB), output="envelope")
    linear = despeckle_raw(recording, method, options).image
    np.testing.assert_allclose(linear.pixels, 10 ** ((grey / 255 - 1) * RANGE_DB / 20), rtol=1e-4)
    with pytest.raises(SettingsError, match="needs a dynamic range"):
        despeckle_raw(recording, method, RawOptions(Domain.LOG_ENVELOPE, output="envelope"))


def test_a_model_whose_card_names_envelopes_gets_envelopes(a_recording):
    seen = []
    method = a_method("envelope")
    plain = method.despeckle
    method.despeckle = lambda frames: seen.append(frames.copy()) or plain(frames)
    options = RawOptions(Domain.IQ, Processing(RANGE_DB))
    picture = despeckle_raw(a_recording, Denoiser(method), options).image
    assert picture.pixels.dtype == np.uint8
    largest = np.quantile(np.abs(a_recording.samples_nsl), 0.999)
    np.testing.assert_allclose(seen[0][0], np.clip(np.abs(a_recording.samples_nsl[0]) / largest, 0, 1), atol=0.02)
    with pytest.raises(UnsupportedImageError, match="takes linear envelopes, but this image is B-mode"):
        Denoiser(method).run(bmode_image(a_recording, Processing(RANGE_DB)))


def test_the_domain_is_a_field_of_the_card_that_may_be_left_out():
    card = find_model("speckle2self-small")
    assert card.domain == "bmode"
    other = dataclasses.replace(card, domain="envelope")
    again = parse_card(json.loads(other.to_json()), card.folder, "Card")
    assert again == other
    with pytest.raises(Exception, match="domain = 'doppler', but it must be one of bmode, envelope"):
        parse_card({**json.loads(card.to_json()), "domain": "doppler"}, card.folder, "Card")


def test_an_envelope_image_is_despeckled_in_b_mode_and_keeps_type_and_geometry():
    envelope = (np.random.default_rng(0).rayleigh(500, (64, 64)) + 1).astype(np.uint16)
    image = UltrasoundImage(envelope, spacing_mm=(0.1, 0.2), intensity=IntensityDomain.ENVELOPE)
    through = EnvelopeDenoiser(Denoiser(a_method()), RANGE_DB)
    clean, report = through.run(image, context=through.context_of(image))
    assert (clean.pixels.dtype, clean.intensity) == (np.uint16, IntensityDomain.ENVELOPE)
    assert clean.same_geometry(image)
    assert report.processed == 1
    assert clean.pixels.std() < 0.5 * envelope.std()
    with pytest.raises(UnsupportedImageError, match="has no colour"):
        through.run(UltrasoundImage(np.zeros((8, 8, 3), np.uint8), "YXC"))
    with pytest.raises(UnsupportedImageError, match="cannot be negative"):
        through.run(dataclasses.replace(image, pixels=envelope.astype(np.int16) - 2000))


@pytest.mark.parametrize("domain", ["envelope", "log-envelope"])
def test_a_frame_of_a_cine_with_the_context_of_the_cine_is_despeckled_like_the_cine(domain):
    envelope = np.random.default_rng(0).rayleigh(1, (3, 64, 64)) * np.array([1, 20, 5])[:, None, None]
    values = envelope if domain == "envelope" else 20 * np.log10(envelope)
    cine = UltrasoundImage(values, "TYX")
    through = denoiser_for(a_method(), DenoiseSettings(), domain, RANGE_DB)
    whole = through.run(cine).image
    alone = through.run(UltrasoundImage(values[:1], "TYX"), context=through.context_of(cine)).image
    np.testing.assert_allclose(alone.pixels[0], whole.pixels[0], rtol=1e-9)
    assert whole.provenance.history[-1] == "brought back to the envelope"


def test_the_denoiser_of_a_domain_needs_what_the_domain_needs():
    assert isinstance(denoiser_for(a_method(), DenoiseSettings(), "bmode"), Denoiser)
    with pytest.raises(SettingsError, match="needs a dynamic range in dB"):
        denoiser_for(a_method(), DenoiseSettings(), "envelope")
    with pytest.raises(SettingsError, match="not 'rf', which is a signal on beams"):
        denoiser_for(a_method(), DenoiseSettings(), "rf", 60)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "rf"}, "output must be one of bmode"),
        ({"output": "log-envelope"}, "only be written for one that was read"),
        ({"output": "envelope", "processing": Processing(60, geometry=SectorScan(60))}, "leave the geometry out"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, words):
    with pytest.raises(SettingsError, match=words):
        RawOptions(Domain.IQ, **options)


@pytest.mark.parametrize("wrong", [{"gain_db": math.nan}, {"gain_db": math.inf}, {"tgc_db": ((0.0, math.inf),)},
                                   {"tgc_db": ((math.nan, 0.0),)}])  # fmt: skip
def test_a_gain_that_is_no_number_is_refused(wrong):
    with pytest.raises(SettingsError, match="gain must be"):
        Processing(**wrong)


def test_a_whole_numbered_envelope_is_rounded_and_not_cut_off():
    values = np.random.default_rng(7).integers(1, 60000, (3, 48, 40)).astype(np.uint16)
    same = Denoiser(a_method(smooth=False))
    same.method.despeckle = lambda frames: frames * np.float32(1 - 1e-7) + np.float32(1e-9)
    clean = EnvelopeDenoiser(same, RANGE_DB).run(UltrasoundImage(values, "TYX")).image.pixels
    assert clean.dtype == np.uint16
    lasting = values > values.max() / 500
    assert abs((clean.astype(float) - values)[lasting].mean()) < 0.1


def raw_files(folder):
    """Recordings whose frames stay in their files, with the options that they need."""
    rng = np.random.default_rng(5)
    rf = rng.integers(-2000, 2000, (7, 96, 48)).astype(np.int16)
    np.save(folder / "rf.npy", rf)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.abs(rf).astype(np.float32)), str(folder / "envelope.nrrd"))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray((rf / 100).astype(np.float32)), str(folder / "decibels.mha"))
    yield (
        folder / "rf.npy",
        RawOptions(Domain.RF, Processing(RANGE_DB, 3.0, ((0, 0), (3, 9)), SectorScan(60, 20)), 20.0),
    )
    yield folder / "envelope.nrrd", RawOptions(Domain.ENVELOPE, Processing(RANGE_DB))
    yield folder / "decibels.mha", RawOptions(Domain.LOG_ENVELOPE, Processing(RANGE_DB, 3.0))
    for number, (kind, samples, size) in enumerate((("rf", rf, 2), ("B pre-scan", (rf % 251).astype(np.uint8), 1))):
        made = folder / f"clarius{number}"
        made.mkdir()
        options = RawOptions(Domain.RF if number == 0 else Domain.LOG_ENVELOPE, Processing(RANGE_DB))
        yield a_clarius_pair(made, kind, samples, size), options


def test_a_long_recording_is_the_same_frame_by_frame(tmp_path, monkeypatch):
    monkeypatch.setattr("Speckle2SelfLogic.io._MAPPED_FROM_BYTES", 1)
    for source, options in raw_files(tmp_path):
        contents, reports = [], []
        for threshold in (1 << 40, 1):
            monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", threshold)
            stored = _stored_recording(FileResult(source, tmp_path / "out.nrrd"), Denoiser(a_method()), options)
            assert (stored is not None) == (threshold == 1), source
            if stored is not None:
                stored.close()
            pair = FileResult(source, tmp_path / "out.nrrd")
            reports.append(despeckle_raw_file(pair, Denoiser(a_method()), options=options))
            contents.append(pair.target.read_bytes())
            pair.target.unlink()
        assert contents[0] == contents[1], source
        assert reports[0].notes == reports[1].notes
        assert reports[0].report.processed == reports[1].report.processed == 7
        assert not list(tmp_path.glob(".speckle2self*"))


def test_what_keeps_a_recording_from_being_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", 1)
    source, options = next(raw_files(tmp_path))
    pair, denoiser = FileResult(source, tmp_path / "out.nrrd"), Denoiser(a_method())
    back = RawOptions(Domain.RF, Processing(RANGE_DB), output="envelope")
    assert _stored_recording(pair, denoiser, back) is None
    assert _stored_recording(pair, Denoiser(a_method("envelope")), options) is None
    assert _stored_recording(FileResult(source, tmp_path / "out.png"), denoiser, options) is None
    np.save(tmp_path / "iq.npy", np.ones((3, 96, 48), np.complex64))
    iq = FileResult(tmp_path / "iq.npy", tmp_path / "out.nrrd")
    assert _stored_recording(iq, denoiser, RawOptions(Domain.IQ, Processing(RANGE_DB))) is None


def test_settings_of_a_long_recording_are_checked_before_its_frames_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", 1)
    monkeypatch.setattr("Speckle2SelfLogic.io._MAPPED_FROM_BYTES", 1)
    source, options = next(raw_files(tmp_path))
    monkeypatch.setattr("Speckle2SelfLogic.raw.run.largest_value", None)
    for folder, processing, error in (
        (tmp_path, Processing(), SettingsError),
        (tmp_path / "nowhere", options.processing, ImageFileError),
    ):
        pair = FileResult(source, folder / "out.nrrd")
        with pytest.raises(error):
            despeckle_raw_file(pair, Denoiser(a_method()), options=RawOptions(Domain.RF, processing, 20.0))


@pytest.mark.parametrize("stopped_at", [0, 3, 9])
def test_a_long_recording_that_is_stopped_leaves_nothing(stopped_at, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", 1)
    monkeypatch.setattr("Speckle2SelfLogic.io._MAPPED_FROM_BYTES", 1)
    (tmp_path / "out").mkdir()
    source, options = next(raw_files(tmp_path))
    asked = iter(range(10**6))
    with pytest.raises(CancelledError, match="Stopped"):
        despeckle_raw_file(
            FileResult(source, tmp_path / "out" / "out.nrrd"),
            Denoiser(a_method()),
            is_cancelled=lambda: next(asked) >= stopped_at,
            options=options,
        )
    assert not list((tmp_path / "out").iterdir())
