"""DICOM through the command line: regions, segmentations, reports, mixed folders, and no patient data anywhere else."""

import json
import logging
import sys
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.simulation import simulate
from Testing.logic.dicom_files import FRAME, a_dicom_file, a_region
from Testing.logic.dicom_standard import violations

PLANTED = "Zyxwvut"
FRAMES = np.stack([simulate(size_yx=(64, 96), seed=seed).speckled.pixels for seed in range(2)])


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["speckle2self", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def a_planted_cine(tmp_path):
    """A cine whose text and odd values all hold the planted name."""
    region = a_region(RegionLocationMaxX1=95, RegionLocationMaxY1=63)
    path = a_dicom_file(
        tmp_path / "cine.dcm", FRAMES, frames=2, FrameTime=40, SequenceOfUltrasoundRegions=[region, region]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        dataset.PatientName = f"{PLANTED}^Jane"
        for keyword in ("PatientID", "PatientBirthDate", "StudyTime", "PatientSex", "SeriesDescription", "PatientAge"):
            setattr(dataset, keyword, PLANTED)
        dataset.private_block(0x0019, "MAKER", create=True).add_new(1, "LO", PLANTED)
        dataset.save_as(path)
    return path


def test_a_planted_name_is_in_no_log_no_file_name_and_no_report(run, a_planted_cine, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    out.mkdir()
    np.save(tmp_path / "mask.npy", (FRAMES > 100).astype(np.int16))
    (tmp_path / "numbers.json").write_text(json.dumps([{"name": "lumen diameter", "value": 5.0, "unit": "mm"}]))
    shown = [
        run("denoise", a_planted_cine, out / "a.dcm", "-m", "median", "--json"),
        run("denoise", a_planted_cine, out / "b.dcm", "-m", "median", "--region", "1"),
        run("denoise", a_planted_cine, out / "c.nrrd", "-m", "median"),
        run("compare", a_planted_cine, out / "page.html", "-m", "median"),
        run("dicom", "seg", tmp_path / "mask.npy", a_planted_cine, out / "seg.dcm"),
        run("dicom", "sr", tmp_path / "numbers.json", a_planted_cine, out / "sr.dcm"),
        run("dicom", "regions", a_planted_cine),
    ]
    assert [status for status, _, _ in shown] == [0] * len(shown)
    dataset = pydicom.dcmread(a_planted_cine)
    dataset.FrameTime = None
    damaged = a_planted_cine.read_bytes()
    for cut in range(300, len(damaged), 900):
        (tmp_path / "cut.dcm").write_bytes(damaged[:cut])
        shown.append(run("denoise", tmp_path / "cut.dcm", out / "cut.dcm", "-m", "median"))
    assert {status for status, _, _ in shown[7:]} == {1}
    for _, output, errors in shown:
        assert PLANTED not in output + errors
    assert PLANTED not in caplog.text
    written = sorted(path.name for path in out.iterdir())
    assert written == ["a.dcm", "b.dcm", "c.nrrd", "page.html", "seg.dcm", "sr.dcm"]
    for name in ("c.nrrd", "page.html"):
        assert PLANTED.encode() not in (out / name).read_bytes()
    for name in ("a.dcm", "b.dcm", "seg.dcm", "sr.dcm"):  # patient and study are those of the source
        assert pydicom.dcmread(out / name).PatientName == f"{PLANTED}^Jane"


def test_a_despeckled_cine_names_model_and_checksum_and_warns_of_burned_in_text(run, a_planted_cine, tmp_path):
    status, _, errors = run("denoise", a_planted_cine, tmp_path / "out.dcm", "--region", "1")
    assert status == 0
    assert "BurnedInAnnotation is not NO" in " ".join(errors.split())
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    card = json.loads(run("models", "show")[1])
    made_by = derived.ContributingEquipmentSequence[-1]
    assert f"speckle2self-fast, SHA-256 {card['sha256']}" in made_by.ContributionDescription
    assert len(derived.SequenceOfUltrasoundRegions) == 1
    assert not np.array_equal(derived.pixel_array, FRAMES)


def test_a_folder_of_mixed_studies_gives_one_derived_series_for_each_and_leaves_other_objects_out(run, tmp_path):
    studies = tmp_path / "in"
    for study in ("1.2.3", "1.2.4"):
        (studies / study).mkdir(parents=True)
        for index in (1, 2):
            a_dicom_file(
                studies / study / f"IM{index}",
                FRAMES[index - 1],
                StudyInstanceUID=study,
                SeriesInstanceUID=f"{study}.1",
                SOPInstanceUID=f"{study}.1.{index}",
                BurnedInAnnotation="NO",
                SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1",
            )
    report = pydicom.dcmread(get_testdata_file("reportsi.dcm", download=False))
    report.save_as(studies / "report.dcm")
    directory = pydicom.dcmread(get_testdata_file("DICOMDIR", download=False))
    directory.save_as(studies / "DICOMDIR", enforce_file_format=True)
    status, _, errors = run("denoise", studies, tmp_path / "out", "-m", "median")
    assert (status, "BurnedIn" in errors) == (0, False)
    written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.dcm"))
    assert [str(path) for path in written] == ["1.2.3/IM1.dcm", "1.2.3/IM2.dcm", "1.2.4/IM1.dcm", "1.2.4/IM2.dcm"]
    derived = [pydicom.dcmread(tmp_path / "out" / path) for path in written]
    assert [one.StudyInstanceUID for one in derived] == ["1.2.3", "1.2.3", "1.2.4", "1.2.4"]
    assert len({one.SeriesInstanceUID for one in derived}) == 2
    assert all(violations(tmp_path / "out" / path) == [] for path in written)


def test_regions_are_listed_and_a_region_that_is_not_there_is_one_sentence(run, a_planted_cine, tmp_path):
    status, output, _ = run("dicom", "regions", a_planted_cine)
    assert (status, output.splitlines()[1]) == (0, "2: tissue, 64 rows from 0, 96 columns from 0")
    status, _, errors = run("denoise", a_planted_cine, tmp_path / "out.dcm", "-m", "median", "--region", "9")
    assert status == 1
    assert "has no region '9'" in errors
    assert not (tmp_path / "out.dcm").exists()


def test_a_file_without_regions_says_so(run, tmp_path):
    still = a_dicom_file(tmp_path / "still.dcm", FRAME)
    status, output, errors = run("dicom", "regions", still)
    assert (status, output) == (0, "")
    assert "names no ultrasound regions" in errors
    np.save(tmp_path / "frame.npy", FRAME)
    status, _, errors = run("dicom", "regions", tmp_path / "frame.npy")
    assert (status, "is not a DICOM file" in errors) == (1, True)
