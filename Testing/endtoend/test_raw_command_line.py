"""`denoise --domain`: one frame as picture, envelope, IQ and RF."""

import sys

import numpy as np
import pytest

from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.raw.acquisition import BeamRecording, Processing, bmode_image
from Speckle2SelfLogic.raw.scan_geometry import SectorScan
from Speckle2SelfLogic.raw.signals import Domain
from Testing.logic.test_raw_signals import an_iq_frame, as_rf

METHOD = ("-m", "median")
OPTIONS = ("--dynamic-range", 60, "--sampling-mhz", 7.7, "--geometry", "convex:20:60")


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["speckle2self", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, " ".join(capsys.readouterr().err.split())

    return call


@pytest.fixture
def one_frame(tmp_path):
    """The same frame as files of every domain, and as the picture of the scanner."""
    iq = an_iq_frame(128, 64)
    np.save(tmp_path / "iq.npy", iq[0])
    np.save(tmp_path / "rf.npy", as_rf(iq)[0])
    np.save(tmp_path / "envelope.npy", np.abs(iq)[0])
    np.save(tmp_path / "log-envelope.npy", 20 * np.log10(np.abs(iq)[0].astype(np.float64)))
    recording = BeamRecording(iq, Domain.IQ, sampling_mhz=7.7)
    write_image(bmode_image(recording, Processing(60, geometry=SectorScan(60, 20))), tmp_path / "bmode.nrrd")
    return tmp_path


def test_the_same_frame_through_b_mode_and_through_its_raw_data_agrees(run, one_frame):
    assert run("denoise", one_frame / "bmode.nrrd", one_frame / "clean.nrrd", *METHOD)[0] == 0
    expected = read_image(one_frame / "clean.nrrd")
    for domain, worst in (("envelope", 0), ("iq", 0), ("log-envelope", 2), ("rf", None)):
        target = one_frame / f"{domain}.nrrd"
        status, errors = run("denoise", one_frame / f"{domain}.npy", target, "--domain", domain, *OPTIONS, *METHOD)
        assert status == 0, errors
        found = read_image(target)
        assert found.same_geometry(expected, 1e-6)
        difference = np.abs(found.pixels.astype(int) - expected.pixels)
        assert (difference.max() if worst is not None else np.quantile(difference, 0.9)) <= (
            3 if worst is None else worst
        )


def test_an_envelope_is_written_back_on_its_beams(run, one_frame):
    arguments = (one_frame / "iq.npy", one_frame / "out.npy", "--domain", "iq", "--dynamic-range", 60)
    assert run("denoise", *arguments, "--write", "envelope", "-m", "median")[0] == 0
    back, before = np.load(one_frame / "out.npy"), np.abs(np.load(one_frame / "iq.npy"))
    assert back.shape == before.shape
    assert np.abs(np.diff(back, axis=0)).mean() < 0.8 * np.abs(np.diff(before, axis=0)).mean()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--domain", "iq"), "needs a dynamic range in dB"),
        (("--domain", "iq", "--dynamic-range", 60, "--geometry", "phased:90"), "sampling rate is needed"),
        (("--domain", "rf", "--dynamic-range", 60), "complex numbers, which does not fit the domain 'rf'"),
        (("--domain", "sound"), "no domain 'sound'"),
        (("--dynamic-range", 60), "B-mode input takes no --dynamic-range"),
        (("--domain", "iq", "--region", "1"), "leave --region or --domain out"),
        (("--domain", "iq", "--dynamic-range", 60, "--tgc", "3"), "time gain must be DEPTH_MM:DB pairs"),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence_and_nothing_is_written(run, one_frame, options, words):
    status, errors = run("denoise", one_frame / "iq.npy", one_frame / "out.nrrd", "-m", "median", *options)
    assert status == 1
    assert words in errors
    assert not (one_frame / "out.nrrd").exists()


def test_a_raw_file_without_a_domain_is_not_guessed(run, tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(100))
    status, errors = run("denoise", tmp_path / "a.raw", tmp_path / "out.nrrd", "-m", "median")
    assert (status, "is raw data; say what it holds with --domain" in errors) == (1, True)
