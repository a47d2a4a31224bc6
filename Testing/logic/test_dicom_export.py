"""Derived DICOM objects: what is kept, what is new, and when none is made."""

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage

from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import check_writable, read_image, write_image
from Testing.logic.dicom_files import CINE, FRAME, a_dicom_file, bundled


def brightened(image):
    return image.with_pixels(np.minimum(image.pixels, 200), "despeckled (strength 0.5)")


def test_a_derived_clip_keeps_what_is_known_and_says_what_was_done(tmp_path):
    source = bundled("examples_ybr_color.dcm")
    image = brightened(read_image(source))
    write_image(image, tmp_path / "out.dcm")
    original, derived = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "out.dcm")
    np.testing.assert_array_equal(derived.pixel_array, image.pixels)
    assert derived.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert derived.PhotometricInterpretation == "RGB"
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert derived[keyword].value != original[keyword].value
    assert derived.file_meta.MediaStorageSOPInstanceUID == derived.SOPInstanceUID
    for keyword in ("StudyInstanceUID", "PatientID", "FrameTime", "SequenceOfUltrasoundRegions", "SOPClassUID"):
        assert derived[keyword].value == original[keyword].value
    assert derived.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert derived.LossyImageCompression == "01"
    assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert "despeckled (strength 0.5)" in derived.DerivationDescription
    assert derived.DerivationCodeSequence[0].CodeValue == "113087"
    assert derived.ContributingEquipmentSequence[-1].ManufacturerModelName == "Speckle2Self"
    again = read_image(tmp_path / "out.dcm")
    assert again.same_geometry(image)
    assert again.calibration == image.calibration


@pytest.mark.parametrize(
    "name", ["ExplVR_BigEnd.dcm", "examples_palette.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"]
)
def test_any_encoding_can_be_derived_from_without_a_change_of_pixels(tmp_path, name):
    image = read_image(bundled(name))
    write_image(image, tmp_path / "out.dcm")
    again = read_image(tmp_path / "out.dcm")
    assert again.axes == image.axes
    assert again.same_geometry(image)
    np.testing.assert_array_equal(again.pixels, image.pixels)
    oracle = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "out.dcm")))
    np.testing.assert_array_equal(np.squeeze(oracle), np.squeeze(image.pixels))


def test_grey_pixels_of_a_colour_clip_are_written_as_monochrome2(tmp_path):
    colour = read_image(bundled("examples_ybr_color.dcm"))
    grey = colour.with_pixels(colour.pixels[..., 1], "green channel")
    write_image(grey, tmp_path / "out.dcm")
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    assert (derived.PhotometricInterpretation, derived.SamplesPerPixel) == ("MONOCHROME2", 1)
    assert "PlanarConfiguration" not in derived
    np.testing.assert_array_equal(derived.pixel_array, grey.pixels)


def test_an_inverted_odd_sized_frame_is_written_as_it_looks(tmp_path):
    frame = np.array([[0, 1, 2], [3, 4, 250], [6, 7, 8]], np.uint8)
    path = a_dicom_file(
        tmp_path / "a.dcm",
        frame,
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=9,
        PresentationLUTShape="INVERSE",
    )
    write_image(read_image(path), tmp_path / "out.dcm")
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    np.testing.assert_array_equal(derived.pixel_array, 255 - frame)
    assert derived.PhotometricInterpretation == "MONOCHROME2"
    assert len(derived.PixelData) == 10
    assert not {"WindowCenter", "PresentationLUTShape"} & set(derived.dir())
    assert "LossyImageCompression" not in derived


def test_rescaled_values_are_written_without_a_second_rescale(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME, RescaleSlope=2, RescaleIntercept=-100)
    image = read_image(path)
    write_image(image, tmp_path / "out.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "out.dcm").pixels, image.pixels)


def test_files_of_one_series_stay_one_series(tmp_path):
    for index in (1, 2):
        path = a_dicom_file(tmp_path / f"{index}.dcm", FRAME, SOPInstanceUID=f"1.2.3.{index}")
        write_image(brightened(read_image(path)), tmp_path / f"out{index}.dcm")
    first, second = (pydicom.dcmread(tmp_path / f"out{index}.dcm") for index in (1, 2))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_a_part_of_a_cine_can_be_derived_but_no_other_frame_size(tmp_path):
    cine = read_image(a_dicom_file(tmp_path / "a.dcm", CINE, frames=5, FrameTimeVector=[0, 20, 30, 20, 30]))
    part = UltrasoundImage(cine.pixels[:2], "TYX", cine.spacing_mm, provenance=cine.provenance)
    write_image(part, tmp_path / "out.dcm")
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    assert derived.NumberOfFrames == 2
    assert "FrameTimeVector" not in derived
    np.testing.assert_array_equal(derived.pixel_array, CINE[:2])
    cropped = UltrasoundImage(cine.pixels[:, 1:], "TYX", cine.spacing_mm, provenance=cine.provenance)
    with pytest.raises(ImageFileError, match="needs frames of the source's 3 x 4 pixels"):
        check_writable(cropped, tmp_path / "cropped.dcm")


def test_a_part_of_frames_that_the_source_places_one_by_one_is_refused(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", CINE, frames=5, PerFrameFunctionalGroupsSequence=[Dataset()] * 5)
    cine = read_image(path)
    part = UltrasoundImage(cine.pixels[:2], "TYX", provenance=cine.provenance)
    with pytest.raises(ImageFileError, match="needs all 5 frames, whose places the source lists, but these are 2"):
        check_writable(part, tmp_path / "out.dcm")


def test_a_source_that_changed_since_it_was_read_gives_one_sentence(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME)
    image = read_image(path)
    path.write_bytes(path.read_bytes()[:250])
    with pytest.raises(ImageFileError) as caught:
        write_image(image, tmp_path / "out.dcm")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.dcm").exists()


def test_dicom_is_refused_without_its_source_over_its_source_and_for_real_numbers(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME)
    before, image = path.read_bytes(), read_image(path)
    with pytest.raises(ImageFileError, match="never replaces its source"):
        write_image(image, path)
    with pytest.raises(ImageFileError, match="not float32; write NRRD"):
        write_image(image.with_pixels(np.zeros((3, 4), np.float32), "zero"), tmp_path / "out.dcm")
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(ImageFileError, match=r"needs the DICOM file that the image came from.*write NRRD"):
        write_image(image, tmp_path / "out.dcm")
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_identifiers_in_its_dataset_can_be_derived_from(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME)
    dataset = pydicom.dcmread(path)
    del dataset.SOPInstanceUID
    del dataset.SOPClassUID
    dataset.save_as(path)
    write_image(brightened(read_image(path)), tmp_path / "out.dcm")
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert derived.SOPClassUID == UltrasoundMultiFrameImageStorage


def test_a_repeatable_file_has_the_same_bytes_whenever_it_is_written(tmp_path):
    source = a_dicom_file(tmp_path / "in.dcm", FRAME, InstanceCreationDate="20200101", InstanceCreationTime="120000")
    image = brightened(read_image(source))
    for name in ("first", "second"):
        write_image(image, tmp_path / f"{name}.dcm", is_repeatable=True)
    assert (tmp_path / "first.dcm").read_bytes() == (tmp_path / "second.dcm").read_bytes()
    derived, original = pydicom.dcmread(tmp_path / "first.dcm"), pydicom.dcmread(source)
    assert derived.SOPInstanceUID == derived.file_meta.MediaStorageSOPInstanceUID != original.SOPInstanceUID
    write_image(image.with_pixels(image.pixels // 2, ""), tmp_path / "other.dcm", is_repeatable=True)
    assert pydicom.dcmread(tmp_path / "other.dcm").SOPInstanceUID != derived.SOPInstanceUID


def test_a_clip_that_was_compressed_with_loss_and_does_not_say_so_is_marked(tmp_path):
    source = pydicom.dcmread(bundled("examples_ybr_color.dcm"))
    source.pop("LossyImageCompression", None)
    source.save_as(tmp_path / "in.dcm")
    write_image(brightened(read_image(tmp_path / "in.dcm")), tmp_path / "out.dcm")
    assert pydicom.dcmread(tmp_path / "out.dcm", stop_before_pixels=True).LossyImageCompression == "01"
