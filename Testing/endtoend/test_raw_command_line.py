"""`denoise --domain` and `batch --domain`: one frame as picture, envelope, IQ and RF; folders of raw data."""

import json
import re
import sqlite3
import sys

import fsspec
import numpy as np
import pytest

from Speckle2SelfLogic.archive.files import InputFile
from Speckle2SelfLogic.archive.items import find_items
from Speckle2SelfLogic.archive.store import Store
from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.raw.acquisition import BeamRecording, Processing, bmode_image
from Speckle2SelfLogic.raw.scan_geometry import SectorScan
from Speckle2SelfLogic.raw.signals import Domain
from Testing.logic.test_raw_files import a_clarius_pair
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


@pytest.fixture
def a_folder_of_a_scanner(tmp_path):
    """Raw data of a Clarius in a folder below, beside a picture and the data file of a header."""
    folder = tmp_path / "in"
    (folder / "scan").mkdir(parents=True)
    grey = np.random.default_rng(0).integers(0, 255, (2, 6, 4), np.uint8)
    a_clarius_pair(folder / "scan", samples=grey)
    write_image(UltrasoundImage(np.zeros((20, 24), np.uint8)), folder / "picture.png")
    write_image(UltrasoundImage(np.zeros((20, 24), np.uint8)), folder / "header.mhd")
    return folder


def test_a_folder_of_raw_data_is_despeckled_like_its_files(run, a_folder_of_a_scanner, tmp_path):
    folder, domain = a_folder_of_a_scanner, ("--domain", "log-envelope")
    (folder / "header.mhd").unlink()  # with the data file left, which is no raw data without a description
    status, errors = run("denoise", folder, tmp_path / "out", *domain, *METHOD)
    assert status == 0, errors
    status, errors = run("denoise", folder / "scan" / "a.raw", tmp_path / "single.nrrd", *domain, *METHOD)
    assert status == 0, errors
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["a.nrrd"]
    assert (tmp_path / "out" / "scan" / "a.nrrd").read_bytes() == (tmp_path / "single.nrrd").read_bytes()


def test_a_folder_says_what_to_do_with_raw_data_whose_domain_is_not_given(run, a_folder_of_a_scanner, tmp_path):
    folder = a_folder_of_a_scanner
    status, errors = run("denoise", folder, tmp_path / "out", *METHOD)
    assert (status, errors.count("1 files of raw data")) == (0, 1)
    assert "such as 'a.raw', are left out; say what they hold with --domain log-envelope, iq or rf." in errors
    assert not (tmp_path / "out" / "scan").exists()
    status, errors = run("denoise", folder / "scan", tmp_path / "more", *METHOD)
    assert (status, "say what they hold with --domain" in errors) == (1, True)
    assert not (tmp_path / "more").exists()


def test_an_archive_of_raw_data_is_done_again_when_its_domain_or_its_description_changes(
    run, a_folder_of_a_scanner, tmp_path
):
    folder, out = a_folder_of_a_scanner / "scan", "memory://clean"  # done by this process itself
    np.save(folder / "b.npy", np.random.default_rng(1).integers(0, 255, (6, 4), np.uint8))
    command = ("batch", folder, out, "--manifest", tmp_path / "manifest.sqlite", *METHOD)

    def done(*options):
        status, errors = run(*command, *options)
        return status, re.search(r"(\d+) done, (\d+) done before, (\d+) failed", errors)[0]

    log = ("--domain", "log-envelope")
    assert done(*log) == (0, "2 done, 0 done before, 0 failed")
    single = tmp_path / "single.nrrd"
    assert run("denoise", folder / "a.raw", single, *log, *METHOD)[0] == 0
    assert fsspec.filesystem("memory").cat("/clean/a.nrrd") == single.read_bytes()
    assert done(*log) == (0, "0 done, 2 done before, 0 failed")
    text = (folder / "a.yml").read_text()
    (folder / "a.yml").write_text(text.replace("20 Hz", "25 Hz"))
    assert done(*log) == (0, "1 done, 1 done before, 0 failed")
    assert done(*log, "--geometry", "linear:0.2")[1].startswith("1 done")  # the array has no sampling rate
    status, summary = done("--domain", "envelope", "--dynamic-range", 60)  # what the description denies
    assert (status, summary) == (1, "1 done, 0 done before, 1 failed")
    with sqlite3.connect(tmp_path / "manifest.sqlite") as manifest:
        (parameters,) = manifest.execute("SELECT parameters FROM items WHERE name = 'b.npy'").fetchone()
    manifest.close()
    assert json.loads(parameters)["raw"]["domain"] == "envelope"
    assert json.loads(parameters)["raw"]["processing"]["dynamic_range_db"] == 60
    fsspec.filesystem("memory").rm("/clean", recursive=True)


def test_an_archive_needs_the_domain_of_raw_data_and_takes_no_options_of_theirs_without(
    run, a_folder_of_a_scanner, tmp_path
):
    folder = a_folder_of_a_scanner
    assert "say what they hold with --domain" in run("batch", folder / "scan", tmp_path / "out", *METHOD)[1]
    status, errors = run("batch", folder, tmp_path / "out", "--dynamic-range", 60, *METHOD)
    assert (status, "B-mode input takes no --dynamic-range" in errors) == (1, True)


def test_raw_data_in_an_object_store_are_found_with_their_description(a_folder_of_a_scanner):
    store = fsspec.filesystem("memory")
    for path in (a_folder_of_a_scanner / "scan" / "a.raw", a_folder_of_a_scanner / "header.raw"):
        store.pipe(f"/scans/{path.name}", path.read_bytes())
    store.pipe("/scans/a.yml", b"type: rf")
    place, items = find_items("memory://scans", Store.at("memory://clean"), is_raw=True)
    assert [(item.name, item.output) for item in items] == [("a.raw", "a.nrrd")]
    assert InputFile(place, "a.raw").names() == ["a.raw", "a.yml"]
    store.rm("/scans", recursive=True)
