"""Masks as DICOM segmentations and measurements as reports, read back with highdicom."""

import json
import warnings

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK

from Speckle2SelfLogic.dicom_seg import labels_and_names, write_segmentation
from Speckle2SelfLogic.dicom_sr import NamedMeasurement, read_measurements, write_report
from Speckle2SelfLogic.errors import (
    GeometryError,
    GeometryLossWarning,
    ImageFileError,
    SettingsError,
    UnsupportedImageError,
)
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.segmentation_files import read_labels, write_labels
from Testing.logic.dicom_files import CINE, FRAME, a_dicom_file
from Testing.logic.dicom_standard import violations

MODEL = ("carotid-lumen, SHA-256 " + "ab" * 32,)
DIAMETER = NamedMeasurement("lumen diameter", 5.25, "mm", 2)


@pytest.fixture
def a_cine(tmp_path):
    return a_dicom_file(tmp_path / "cine.dcm", CINE, frames=5, PatientID="P1", FrameTime=40)


def a_label_cine():
    labels = np.zeros(CINE.shape, np.uint8)
    labels[1:4, :2, :2] = 1
    labels[3:, 2, 3] = 2
    return labels


def test_a_mask_of_a_cine_comes_back_pixel_for_pixel_with_its_frames(a_cine, tmp_path):
    labels = a_label_cine()
    write_segmentation(labels, a_cine, tmp_path / "seg.dcm", names=("lumen", "plaque"), models=MODEL)
    assert violations(tmp_path / "seg.dcm") == []
    found = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert found.number_of_segments == 2
    assert [found.get_segment_description(number).segment_label for number in (1, 2)] == ["lumen", "plaque"]
    again = np.zeros_like(labels)
    for frame_yx, group in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence, strict=True):
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        again[image.ReferencedFrameNumber - 1][frame_yx == 1] = segment
        assert image.ReferencedSOPInstanceUID == "1.2.3.4"
        assert image.ReferencedSOPClassUID == pydicom.dcmread(a_cine).SOPClassUID
    np.testing.assert_array_equal(again, labels)
    assert (found.PatientID, found.StudyInstanceUID) == ("P1", "1.2.3")
    assert MODEL[0] in found.ContributingEquipmentSequence[-1].ContributionDescription


def test_a_boolean_mask_of_a_still_comes_back(tmp_path):
    still = a_dicom_file(tmp_path / "a.dcm", FRAME, SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1")
    write_segmentation(FRAME > 100, still, tmp_path / "seg.dcm")
    assert violations(tmp_path / "seg.dcm") == []
    np.testing.assert_array_equal(np.squeeze(highdicom.seg.segread(tmp_path / "seg.dcm").pixel_array), FRAME > 100)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.ones((5, 3, 5), np.uint8), GeometryError, r"shape \(5, 3, 5\)"),
        (np.zeros(CINE.shape, np.uint8), SettingsError, "at least one pixel that is not 0"),
        (np.full(CINE.shape, 0.5), SettingsError, "needs whole numbers"),
        (np.full(CINE.shape, 3, np.uint8), SettingsError, r"the value 3, but the names given are 1 \(lumen\)"),
    ],
)
def test_a_mask_that_does_not_fit_its_source_is_refused(a_cine, tmp_path, labels, error, words):
    with pytest.raises(error, match=words):
        write_segmentation(labels, a_cine, tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()


def test_measurements_come_back_from_the_report_with_unit_and_frame(a_cine, tmp_path):
    other = NamedMeasurement("speckle signal-to-noise ratio", 1.91, "1")
    write_report([DIAMETER, other], a_cine, tmp_path / "sr.dcm", models=MODEL)
    assert violations(tmp_path / "sr.dcm") == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = highdicom.sr.srread(tmp_path / "sr.dcm")
        (group,) = report.content.get_image_measurement_groups()
    first, second = group.get_measurements()
    assert (first.name.meaning, first.value, first.unit.value) == ("Vessel lumen diameter", 5.25, "mm")
    assert list(first.referenced_images[0].referenced_frame_numbers) == [3]
    assert (second.name.meaning, second.name.scheme_designator) == ("speckle signal-to-noise ratio", "99S2S")
    assert (report.VerificationFlag, report.PatientID) == ("UNVERIFIED", "P1")
    assert MODEL[0] in report.ContributingEquipmentSequence[-1].ContributionDescription


def test_measurements_are_read_from_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"name": "lumen diameter", "value": 5.25, "unit": "mm", "frame": 2}]))
    assert read_measurements(path) == (DIAMETER,)
    for wrong in (
        "[1]",
        "{",
        '[{"name": "a", "value": "5", "unit": "mm"}]',
        '[{"name": "a", "value": true, "unit": "1"}]',
    ):
        path.write_text(wrong)
        with pytest.raises(SettingsError, match="not a JSON list of measurements"):
            read_measurements(path)
    path.write_text('[{"name": "a", "value": NaN, "unit": "1"}]')
    with pytest.raises(SettingsError, match="must be a finite number"):
        read_measurements(path)


def test_figures_of_the_command_measure_become_a_report(a_cine, tmp_path):
    figure = {"value": 3.9, "uncertainty": 0.1, "unit": "px", "reason": None}
    missing = {"value": None, "uncertainty": None, "unit": "px", "reason": "no wall mask"}
    frames = [{"frame": 2, "time_s": 0.1, "measures": {"minimum_diameter": figure, "mean_wall": missing}, "notes": []}]
    cine = {"relative_distension": {**figure, "unit": "%"}, "systolic_frame": None, "outlier_frames": [1]}
    (tmp_path / "a.json").write_text(json.dumps({"mask": "a.nrrd", "frames": frames, "cine": cine}))
    found = read_measurements(tmp_path / "a.json")
    assert found == (
        NamedMeasurement("minimum diameter", 3.9, "{pixels}", 2),
        NamedMeasurement("relative distension", 3.9, "%"),
    )
    write_report(found, a_cine, tmp_path / "sr.dcm")
    assert violations(tmp_path / "sr.dcm") == []


@pytest.mark.parametrize("suffix", [".png", ".nrrd", ".seg.nrrd"])
def test_masks_as_people_have_them_can_be_written_as_segmentations(tmp_path, suffix):
    mask = np.zeros((1, 3, 4), np.uint8)
    mask[0, 1:, :2] = 1
    image = UltrasoundImage(mask * 255 if suffix != ".seg.nrrd" else mask, axes="ZYX")
    if suffix == ".png":
        image = UltrasoundImage(mask[0] * 255, axes="YX")
    path = tmp_path / f"mask{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeometryLossWarning)
        write_labels(image, path, ["Vessel"])
    labels, names = labels_and_names(path, [])
    assert names == (("Vessel",) if suffix == ".seg.nrrd" else ("lumen",))
    write_segmentation(labels, a_dicom_file(tmp_path / "a.dcm", FRAME), tmp_path / "seg.dcm", names=names)
    back = read_labels(tmp_path / "seg.dcm")
    assert back.names == names
    np.testing.assert_array_equal(back.labels.pixels, mask[0])


def test_segments_that_overlap_are_not_written_over_each_other(tmp_path):
    layers = SimpleITK.GetImageFromArray(np.ones((1, 3, 4, 2), np.uint8), isVector=True)
    for key in ("0_Name:lumen", "0_Layer:0", "1_Name:wall", "1_Layer:1"):
        layers.SetMetaData(*f"Segment{key}".split(":"))
    path = tmp_path / "layers.seg.nrrd"
    SimpleITK.WriteImage(layers, path)
    path.write_bytes(path.read_bytes().replace(b"kinds: vector", b"kinds: list"))
    with pytest.raises(UnsupportedImageError, match="overlap"):
        labels_and_names(path, [])


def test_a_frame_that_is_not_there_and_no_measurement_are_refused(a_cine, tmp_path):
    with pytest.raises(SettingsError, match="is of frame 5, but the source has frames 0 to 4"):
        write_report([NamedMeasurement("a", 1.0, "mm", 5)], a_cine, tmp_path / "sr.dcm")
    with pytest.raises(SettingsError, match="at least one measurement"):
        write_report([], a_cine, tmp_path / "sr.dcm")
    with pytest.raises(SettingsError, match="must be a UCUM code"):
        NamedMeasurement("a", 1.0, "millimetres per second squared")


def test_nothing_that_exists_is_overwritten_and_no_study_is_guessed(a_cine, tmp_path):
    target = tmp_path / "seg.dcm"
    target.write_bytes(b"mine")
    for write in (
        lambda: write_segmentation(a_label_cine() > 0, a_cine, target),
        lambda: write_report([DIAMETER], a_cine, target),
    ):
        with pytest.raises(ImageFileError, match="never overwritten"):
            write()
    assert target.read_bytes() == b"mine"
    dataset = pydicom.dcmread(a_cine)
    del dataset.StudyInstanceUID
    dataset.save_as(tmp_path / "nobody.dcm")
    with pytest.raises(ImageFileError, match=r"names none .* never guessed"):
        write_report([DIAMETER], tmp_path / "nobody.dcm", tmp_path / "sr.dcm")
    np.save(tmp_path / "a.npy", CINE)
    with pytest.raises(ImageFileError, match="is not a DICOM file"):
        write_report([DIAMETER], tmp_path / "a.npy", tmp_path / "sr.dcm")
