"""Screens of several ultrasound regions, cropped to the one that is wanted."""

import numpy as np
import pydicom
import pytest

from Speckle2SelfLogic import streaming
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.dicom_regions import read_region, screen_regions
from Speckle2SelfLogic.errors import GeometryError, ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.io import check_writable, read_image, write_image
from Testing.logic.dicom_files import CINE, a_dicom_file, a_region, bundled
from Testing.logic.long_cines import Halver, both_ways

SCREEN = np.arange(5 * 20 * 30, dtype=np.uint8).reshape(5, 20, 30)


@pytest.fixture
def a_screen(tmp_path):
    """A cine of tissue on the left, another picture of tissue on the right, and an ECG below."""
    left = a_region(RegionLocationMaxX1=13, RegionLocationMaxY1=14)
    right = a_region(
        RegionLocationMinX0=16,
        RegionLocationMinY0=2,
        RegionLocationMaxX1=29,
        RegionLocationMaxY1=11,
        PhysicalDeltaX=0.05,
        PhysicalDeltaY=0.04,
    )
    ecg = a_region(RegionDataType=10, RegionSpatialFormat=3, RegionLocationMinY0=16, RegionLocationMaxY1=19)
    return a_dicom_file(
        tmp_path / "screen.dcm", SCREEN, frames=5, SequenceOfUltrasoundRegions=[left, right, ecg], FrameTime=40
    )


def test_the_regions_of_a_screen_are_listed(a_screen):
    assert [str(region) for region in screen_regions(a_screen)] == [
        "1: tissue, 15 rows from 0, 14 columns from 0",
        "2: tissue, 10 rows from 2, 14 columns from 16",
        "3: ECG, 4 rows from 16, 5 columns from 0",
    ]
    assert [region.is_tissue for region in screen_regions(a_screen)] == [True, True, False]


def test_a_screen_is_not_calibrated_but_each_of_its_regions_is(a_screen):
    assert read_image(a_screen).calibration.reason.startswith("the file has 3 ultrasound regions")
    right = read_region(a_screen, "2")
    np.testing.assert_array_equal(right.pixels, SCREEN[:, 2:12, 16:30])
    assert right.calibration.is_calibrated
    np.testing.assert_allclose(right.spacing_mm, (0.5, 0.4, 40))
    np.testing.assert_allclose(right.origin_mm, (16 * 0.5, 2 * 0.4, 0))
    assert right.provenance.history == ("cropped to ultrasound region 2 (tissue)",)
    ecg = read_region(a_screen, "3")
    assert not ecg.calibration.is_calibrated
    assert "not two-dimensional" in ecg.calibration.reason


def test_a_region_that_is_not_clear_or_not_there_is_refused_with_the_choice(a_screen, tmp_path):
    with pytest.raises(SettingsError, match=r"has 2 regions 'tissue'; choose one by its number .*2: tissue"):
        read_region(a_screen, "tissue")
    with pytest.raises(SettingsError, match=r"has no region '7'"):
        read_region(a_screen, "7")
    outside = a_region(RegionLocationMinX0=50, RegionLocationMaxX1=60)
    with pytest.raises(SettingsError, match="lies outside its frame"):
        read_region(a_dicom_file(tmp_path / "b.dcm", CINE, frames=5, SequenceOfUltrasoundRegions=[outside]), "1")
    np.save(tmp_path / "a.npy", CINE)
    with pytest.raises(UnsupportedImageError, match="is not a DICOM file"):
        read_region(tmp_path / "a.npy", "1")


def test_the_only_tissue_of_a_real_screen_needs_no_number():
    image = read_region(bundled("examples_palette.dcm"), "1")
    assert image.axes == "YXC"
    assert image.pixels.shape[:2] == screen_regions(bundled("examples_palette.dcm"))[0].crop[2:]


def test_a_cropped_cine_is_written_with_the_region_moved_along(a_screen, tmp_path):
    right = read_region(a_screen, "2")
    write_image(right.with_pixels(right.pixels // 2, "halved"), tmp_path / "out.dcm")
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    assert (derived.Rows, derived.Columns, derived.NumberOfFrames) == (10, 14, 5)
    (region,) = derived.SequenceOfUltrasoundRegions
    corners = [region[f"RegionLocation{edge}"].value for edge in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    assert corners == [0, 0, 13, 9]
    again = read_image(tmp_path / "out.dcm")
    assert again.calibration.is_calibrated
    np.testing.assert_allclose(again.spacing_mm, right.spacing_mm)
    np.testing.assert_array_equal(again.pixels, right.pixels // 2)


@pytest.mark.parametrize("target", ["out.nrrd", "out.dcm"])
def test_a_region_of_a_long_cine_is_the_same_frame_by_frame(a_screen, target, tmp_path, monkeypatch):
    options = {"region": "2", "is_repeatable": True}
    contents, (whole, streamed) = both_ways(a_screen, tmp_path / target, monkeypatch, **options)
    assert contents[0] == contents[1]
    assert whole.report.processed == streamed.report.processed == 5
    assert whole.notes == streamed.notes


def test_a_region_that_is_not_there_is_refused_before_any_frame_is_decoded(a_screen, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", 1)
    monkeypatch.setattr(streaming, "open_cine", None)
    with pytest.raises(SettingsError, match="has no region '7'"):
        streaming.stored_cine(a_screen, tmp_path / "out.nrrd", Denoiser(Halver()), "7")


@pytest.mark.parametrize("name", ["screen.nrrd", "screen.tif", "screen"])
def test_a_region_is_found_by_content_and_not_by_the_ending(a_screen, name, tmp_path, monkeypatch):
    a_screen.rename(tmp_path / name)
    contents, _ = both_ways(tmp_path / name, tmp_path / "out.nrrd", monkeypatch, region="2")
    assert contents[0] == contents[1]


@pytest.mark.parametrize("settings", [DenoiseSettings(slice_axis="z"), DenoiseSettings()], ids=["axis", "geometry"])
def test_a_long_screen_that_is_refused_is_let_go_of(a_screen, settings, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", 1)
    real = streaming.open_dicom_cine
    monkeypatch.setattr(streaming, "open_dicom_cine", lambda *a: opened.append(real(*a)) or opened[-1])
    if settings.slice_axis == "auto":
        monkeypatch.setattr("Speckle2SelfLogic.dicom_regions.region_pixel_size", lambda *_: (-1.0, 1.0, None))
    with pytest.raises((SettingsError, GeometryError)):
        streaming.stored_cine(a_screen, tmp_path / "out.nrrd", Denoiser(Halver(), settings), "2")
    assert opened[0].frames._stream.closed


def test_a_file_that_ends_in_its_header_is_one_sentence(a_screen):
    a_screen.write_bytes(a_screen.read_bytes()[:700])
    with pytest.raises(ImageFileError, match=r"damaged or truncated|without an image"):
        read_region(a_screen, "2")


def test_a_part_of_a_frame_with_a_place_in_the_patient_is_not_derived(tmp_path):
    elements = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    path = a_dicom_file(tmp_path / "a.dcm", SCREEN[0], SequenceOfUltrasoundRegions=[a_region()], **elements)
    with pytest.raises(Exception, match="cannot yet hold a part of a frame that has a place in the patient"):
        check_writable(read_region(path, "tissue"), tmp_path / "out.dcm")
