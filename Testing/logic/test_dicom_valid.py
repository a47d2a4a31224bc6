"""What is written is valid: dicom-validator on derived series of generated and of real ultrasound objects."""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UltrasoundImageStorage

from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.io import check_writable, read_image, write_image
from Testing.logic.dicom_files import CINE, FRAME, a_dicom_file, a_region, bundled
from Testing.logic.dicom_standard import violations

REAL = (
    "ExplVR_BigEnd.dcm",
    "examples_jpeg2k.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom_fixtures"
STANDARD = Path(os.environ.get("DICOM_VALIDATOR_STANDARD", Path.home() / "dicom-validator"))


def derive(source, target):
    image = read_image(source)
    write_image(image.with_pixels(np.minimum(image.pixels, 200), "despeckled", "m, SHA-256 abc"), target)
    return pydicom.dcmread(target)


def with_odd_values(path, **elements):
    """Give elements values that the standard does not allow, as some machines do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    return path


@pytest.mark.parametrize("name", REAL)
def test_a_series_derived_from_real_ultrasound_is_valid(tmp_path, name):
    derived = derive(bundled(name), tmp_path / "out.dcm")
    assert violations(tmp_path / "out.dcm") == []
    assert "SHA-256 abc" in derived.ContributingEquipmentSequence[-1].ContributionDescription


def test_the_validator_does_find_what_is_wrong(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", CINE, frames=5, ImagePositionPatient=[0, 0, 0])
    found = violations(path)
    assert "General: ImagePositionPatient TagUnexpected" in found
    assert "multi-frame: FrameIncrementPointer TagMissing" in found
    assert "patient: PatientID TagMissing" in found
    derived = derive(bundled("examples_ybr_color.dcm"), tmp_path / "out.dcm")
    del derived.SourceImageSequence[0].ReferencedSOPInstanceUID
    derived.save_as(tmp_path / "out.dcm")
    assert any(
        "SourceImageSequence.ReferencedSOPInstanceUID TagMissing" in line for line in violations(tmp_path / "out.dcm")
    )


@pytest.mark.parametrize("timing", [{"FrameTime": 40}, {"CineRate": 25}, {"FrameTimeVector": [0, 40, 40, 40, 40]}])
def test_a_poor_source_gives_a_valid_series_with_its_timing(tmp_path, timing):
    region = a_region(RegionFlags=0)
    path = a_dicom_file(tmp_path / "a.dcm", CINE, frames=5, SequenceOfUltrasoundRegions=[region], **timing)
    source = with_odd_values(
        path, StudyDate="1997.04.24", StudyTime="14:04:38", PatientBirthDate="--", PatientSex="Male"
    )
    derived = derive(source, tmp_path / "out.dcm")
    assert violations(tmp_path / "out.dcm") == []
    assert (derived.StudyDate, derived.StudyTime) == ("19970424", "140438")
    assert (derived.PatientBirthDate, derived.PatientSex) == ("", "M")
    assert derived.PatientID in (None, "")
    keyword = pydicom.datadict.keyword_for_tag(derived.FrameIncrementPointer)
    assert keyword == ("FrameTimeVector" if "FrameTimeVector" in timing else "FrameTime")
    assert np.max(derived[keyword].value) == 40
    assert read_image(tmp_path / "out.dcm").spacing_mm[2] == 40


def test_a_part_of_a_cine_keeps_the_mean_interval_of_its_frames(tmp_path):
    times = {"FrameTimeVector": [0, 20, 30, 20, 30], "FrameIncrementPointer": 0x00181065, "StartTrim": 1}
    cine = read_image(a_dicom_file(tmp_path / "a.dcm", CINE, frames=5, **times))
    part = type(cine)(cine.pixels[:2], "TYX", cine.spacing_mm, provenance=cine.provenance)
    write_image(part, tmp_path / "out.dcm")
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    assert violations(tmp_path / "out.dcm") == []
    assert (derived.FrameTime, derived.FrameIncrementPointer, derived.NumberOfFrames) == (25, 0x00181063, 2)
    assert "StartTrim" not in derived


def test_classes_that_are_retired_or_do_not_fit_become_those_of_today(tmp_path):
    still = a_dicom_file(tmp_path / "a.dcm", FRAME, SOPClassUID="1.2.840.10008.5.1.4.1.1.6", NumberOfFrames=1)
    assert derive(still, tmp_path / "still.dcm").SOPClassUID == UltrasoundImageStorage
    assert violations(tmp_path / "still.dcm") == []
    clip = a_dicom_file(tmp_path / "b.dcm", CINE, frames=5, SOPClassUID="1.2.840.10008.5.1.4.1.1.3", FrameTime=40)
    derived = derive(clip, tmp_path / "clip.dcm")
    assert violations(tmp_path / "clip.dcm") == []
    assert derived.SourceImageSequence[0].ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.3"


def test_a_source_without_a_study_is_not_given_one(tmp_path):
    dataset = pydicom.dcmread(a_dicom_file(tmp_path / "a.dcm", FRAME))
    del dataset.StudyInstanceUID
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(ImageFileError, match=r"names none .* never guessed"):
        check_writable(read_image(tmp_path / "a.dcm"), tmp_path / "out.dcm")


def test_private_text_is_untouched_and_private_raw_data_are_left_out(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME, SOPClassUID=UltrasoundImageStorage)
    dataset = pydicom.dcmread(path)
    block = dataset.private_block(0x0019, "MAKER", create=True)
    block.add_new(1, "LO", "Preset: Carotid")
    block.add_new(2, "OB", bytes(64))
    block.add_new(3, "UT", "x" * 70_000)
    block.add_new(4, "DS", "12.5")
    dataset.save_as(path)
    derived = derive(path, tmp_path / "out.dcm")
    kept = derived.private_block(0x0019, "MAKER")
    assert (kept[1].value, kept[4].value) == ("Preset: Carotid", 12.5)
    assert 2 not in kept
    assert 3 not in kept
    assert violations(tmp_path / "out.dcm") == []


def test_overlay_planes_in_spare_bits_go_and_planes_of_their_own_stay(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000102, "US", 15)
    dataset.add_new(0x60020102, "US", 0)
    dataset.add_new(0x60023000, "OW", bytes(2))
    dataset.save_as(path)
    derived = derive(path, tmp_path / "out.dcm")
    assert 0x60000102 not in derived
    assert 0x60023000 in derived


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real frames of development are not here")
def test_a_series_derived_from_a_pocket_device_is_valid(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        derive(SHARED / "sonoque_anechoic-3mm-3mm.dcm", tmp_path / "out.dcm")
        assert violations(tmp_path / "out.dcm") == []


@pytest.mark.skipif(not STANDARD.is_dir(), reason="the text of the standard is not installed for dicom-validator")
@pytest.mark.parametrize("name", REAL)
def test_a_derived_series_is_valid_by_the_whole_text_of_the_standard(tmp_path, name):
    from dicom_validator.spec_reader.edition_reader import EditionReader

    reader = EditionReader(STANDARD)
    derive(bundled(name), tmp_path / "out.dcm")
    assert violations(tmp_path / "out.dcm", reader.load_dicom_info(reader.get_edition("local"))) == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("name", REAL)
def test_dciodvfy_has_nothing_against_a_derived_series(tmp_path, name):
    derive(bundled(name), tmp_path / "out.dcm")
    checked = subprocess.run(["dciodvfy", "-new", tmp_path / "out.dcm"], capture_output=True, check=False)
    lines = (checked.stdout + checked.stderr).decode("latin-1").splitlines()
    ours = [line for line in lines if line.startswith("Error") and '"SonoSite Private Data"' not in line]
    assert ours == []
