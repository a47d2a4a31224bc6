"""DICOM in and out, with pydicom's own decoder and SimpleITK as oracles."""

import io
import re
import struct
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from Speckle2SelfLogic import dicom
from Speckle2SelfLogic.dicom_geometry import frame_geometry
from Speckle2SelfLogic.errors import ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.io import read_image
from Testing.logic.dicom_files import CINE, FRAME, a_dicom_file, a_region, bundled

GREY_FILES = [
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
]
COLOUR_FILES = [
    "ExplVR_BigEnd.dcm",  # planar configuration 1
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",  # YBR_FULL_422, JPEG baseline
    "SC_rgb_jpeg_dcmtk.dcm",  # YBR_FULL, JPEG baseline
    "SC_rgb_jpeg_gdcm.dcm",  # JPEG lossless
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "GDCMJ2K_TextGBR.dcm",  # YBR_RCT, JPEG 2000
    "image_dfl.dcm",  # deflated
]


@pytest.mark.parametrize("name", [*GREY_FILES, *COLOUR_FILES])
def test_pixels_equal_those_of_pydicom(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pixel_array(pydicom.dcmread(bundled(name)))
    image = read_image(bundled(name))
    assert image.pixels.dtype.isnative
    np.testing.assert_array_equal(np.squeeze(image.pixels), expected)
    assert image.provenance.file_format.startswith("DICOM, ")


def test_a_palette_still_becomes_8_bit_rgb():
    dataset = pydicom.dcmread(bundled("examples_palette.dcm"))
    image = read_image(bundled("examples_palette.dcm"))
    assert (image.axes, image.pixels.dtype) == ("YXC", np.uint8)
    np.testing.assert_array_equal(image.pixels, apply_color_lut(dataset.pixel_array, dataset) >> 8)
    assert image.calibration.reason.startswith("the file has 2 ultrasound regions")
    assert image.provenance.history == ("PALETTE COLOR converted to RGB",)


def test_a_clip_is_a_cine_with_its_frame_time_but_a_resized_one_is_not_calibrated():
    clip = read_image(bundled("examples_ybr_color.dcm"))
    assert (clip.axes, clip.pixels.shape) == ("TYXC", (30, 240, 320, 3))
    np.testing.assert_allclose(clip.spacing_mm, (0.5104970559, 0.5104970559, 33.333))
    assert not clip.calibration.is_calibrated
    assert "reaches to column 595 and row 414 of an image with 320 columns and 240 rows" in clip.calibration.reason


@pytest.mark.parametrize(("dtype", "highest"), [("uint8", 255), ("uint16", 4095), ("int16", -1)])
def test_monochrome1_is_inverted_within_its_stored_bits(tmp_path, dtype, highest):
    elements = {"BitsStored": 12, "HighBit": 11} if dtype == "uint16" else {}
    path = a_dicom_file(tmp_path / "a.dcm", FRAME.astype(dtype), PhotometricInterpretation="MONOCHROME1", **elements)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, highest - FRAME.astype(int))
    assert image.pixels.dtype == dtype


def test_one_tissue_region_in_cm_gives_millimetres(tmp_path):
    image = read_image(a_dicom_file(tmp_path / "a.dcm", FRAME, SequenceOfUltrasoundRegions=[a_region()]))
    assert image.spacing_mm == (0.2, 0.1)
    assert image.calibration.is_calibrated
    assert image.calibration.reason == "one two-dimensional ultrasound region in cm"


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ([a_region(), a_region()], "2 ultrasound regions"),
        ([a_region(RegionSpatialFormat=3)], r"not two-dimensional \(spatial format 3\)"),
        ([a_region(RegionDataType=10)], r"neither tissue nor colour flow \(data type 10\)"),
        ([a_region(PhysicalUnitsYDirection=4)], r"not in cm \(units 3 and 4\)"),
        ([a_region(PhysicalDeltaX=0.0)], r"not positive \(0.0 and 0.01 cm\)"),
        ([a_region(PhysicalDeltaY=-0.1)], r"not positive \(0.02 and -0.1 cm\)"),
        ([Dataset()], r"not two-dimensional \(spatial format None\)"),
    ],
)
def test_any_other_region_leaves_the_image_uncalibrated_and_says_why(tmp_path, regions, reason):
    image = read_image(a_dicom_file(tmp_path / "a.dcm", FRAME, SequenceOfUltrasoundRegions=regions))
    assert image.spacing_mm == (1.0, 1.0)
    assert not image.calibration.is_calibrated
    assert re.search(reason, image.calibration.reason)


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing"])
def test_pixel_spacing_counts_rows_first_and_is_used_without_regions(tmp_path, keyword):
    image = read_image(a_dicom_file(tmp_path / "a.dcm", FRAME, **{keyword: [0.3, 0.4]}))
    assert image.spacing_mm == (0.4, 0.3)
    assert image.calibration.reason == f"{keyword} of the file"
    unset = read_image(a_dicom_file(tmp_path / "b.dcm", FRAME, **{keyword: [1, 1]}))
    assert not unset.calibration.is_calibrated
    assert read_image(a_dicom_file(tmp_path / "c.dcm", FRAME)).calibration.reason == (
        "the file has no ultrasound region and no pixel spacing"
    )


@pytest.mark.parametrize(
    ("elements", "interval_ms"),
    [({"FrameTime": 40}, 40.0), ({"FrameTimeVector": [0, 20, 30, 20, 30]}, 25.0), ({"CineRate": 50}, 20.0), ({}, 1.0)],
)
def test_the_time_spacing_of_a_cine_is_its_frame_interval(tmp_path, elements, interval_ms):
    cine = read_image(a_dicom_file(tmp_path / "a.dcm", CINE, frames=5, **elements))
    assert cine.axes == "TYX"
    assert cine.spacing_mm[2] == interval_ms
    np.testing.assert_array_equal(cine.pixels, CINE)


OBLIQUE = [0.8, 0.6, 0.0, 0.0, 0.0, -1.0]


def test_a_frame_with_position_and_orientation_lies_where_simpleitk_puts_it(tmp_path):
    path = a_dicom_file(
        tmp_path / "a.dcm",
        FRAME,
        PixelSpacing=[0.3, 0.4],
        ImagePositionPatient=[1.5, -2.5, 30],
        ImageOrientationPatient=OBLIQUE,
        SliceThickness=2,
    )
    image, oracle = read_image(path), SimpleITK.ReadImage(str(path))
    assert (image.axes, image.pixels.shape) == ("ZYX", (1, 3, 4))
    np.testing.assert_allclose(image.spacing_mm[:2], oracle.GetSpacing()[:2])  # GDCM ignores the slice thickness
    assert image.spacing_mm[2] == 2.0
    np.testing.assert_allclose(image.origin_mm, oracle.GetOrigin())
    np.testing.assert_allclose(image.direction, oracle.GetDirection(), atol=1e-12)


def an_enhanced_volume(path, positions, **elements):
    def item(**values):
        dataset = Dataset()
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return dataset

    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=[0.3, 0.4], SliceThickness=9)],
        PlaneOrientationVolumeSequence=[item(ImageOrientationVolume=OBLIQUE)],
    )
    places = [item(PlanePositionVolumeSequence=[item(ImagePositionVolume=list(place))]) for place in positions]
    return a_dicom_file(
        path,
        np.resize(CINE, (len(positions), 3, 4)),
        frames=len(positions),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=places,
        **elements,
    )


def test_evenly_stepped_frames_are_a_volume_also_from_the_far_side(tmp_path):
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    for sign in (1, -1):
        positions = [np.array([5.0, 6.0, 7.0]) + sign * 0.5 * index * normal for index in range(4)]
        volume = read_image(an_enhanced_volume(tmp_path / "a.dcm", positions))
        assert (volume.axes, volume.pixels.shape) == ("ZYX", (4, 3, 4))
        np.testing.assert_allclose(volume.spacing_mm, (0.4, 0.3, 0.5))
        assert volume.origin_mm == (5.0, 6.0, 7.0)
        cosines = np.reshape(volume.direction, (3, 3))
        np.testing.assert_allclose(cosines.T, [OBLIQUE[:3], OBLIQUE[3:], sign * normal], atol=1e-9)
        assert volume.calibration.is_calibrated


def test_repeated_positions_are_a_moving_volume(tmp_path):
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    positions = [0.5 * index * normal for index in (0, 1, 2, 0, 1, 2)]
    moving = read_image(an_enhanced_volume(tmp_path / "a.dcm", positions, FrameTime=80))
    assert (moving.axes, moving.pixels.shape) == ("TZYX", (2, 3, 3, 4))
    np.testing.assert_allclose(moving.spacing_mm, (0.4, 0.3, 0.5, 80.0))


def test_unevenly_placed_frames_are_a_cine_and_the_history_says_so(tmp_path):
    positions = [(0, 0, 0), (0, 0, 1), (0, 0, 5), (0, 3, 6)]
    cine = read_image(an_enhanced_volume(tmp_path / "a.dcm", positions))
    assert (cine.axes, cine.spacing_mm) == ("TYX", (0.4, 0.3, 1.0))
    assert cine.provenance.history == ("frame positions are not evenly spaced: read as a cine",)


def test_a_rescale_that_is_not_the_identity_is_applied_and_noted(tmp_path):
    whole = read_image(a_dicom_file(tmp_path / "a.dcm", FRAME, RescaleSlope=2, RescaleIntercept=-100))
    np.testing.assert_array_equal(whole.pixels, 2 * FRAME.astype(int) - 100)
    assert whole.pixels.dtype == np.int16
    assert whole.provenance.history == ("rescaled by slope 2 and intercept -100",)
    real = read_image(a_dicom_file(tmp_path / "b.dcm", FRAME, RescaleSlope=0.5, RescaleIntercept=0.25))
    np.testing.assert_array_equal(real.pixels, FRAME * np.float32(0.5) + np.float32(0.25))
    same = read_image(a_dicom_file(tmp_path / "c.dcm", FRAME, RescaleSlope=1, RescaleIntercept=0))
    assert (same.pixels.dtype, same.provenance.history) == (np.uint8, ())


def test_a_modality_lookup_table_is_applied_and_noted(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [256, 0, 16], "US"
    table.add_new("LUTData", "US", [3 * value for value in range(256)])
    image = read_image(a_dicom_file(tmp_path / "a.dcm", FRAME, ModalityLUTSequence=[table]))
    np.testing.assert_array_equal(image.pixels, 3 * FRAME.astype(int))
    assert image.provenance.history == ("modality LUT applied",)


@pytest.mark.parametrize("name", ["IM000001", "1.2.840.113619.2", "A.IMA"])
def test_a_dicom_file_of_any_name_is_known_by_its_content(tmp_path, name):
    np.testing.assert_array_equal(read_image(a_dicom_file(tmp_path / name, FRAME)).pixels, FRAME)


def test_decoding_needs_little_more_memory_than_the_pixels(tmp_path):
    frames = np.zeros((300, 64, 96), np.uint8)
    path = a_dicom_file(tmp_path / "a.dcm", frames, frames=300)
    del frames
    read_image(path)
    tracemalloc.start()
    try:
        image = read_image(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * image.pixels.nbytes + 200_000


def jpeg_frames(count):
    from PIL import Image

    coded = []
    for index in range(count):
        stream = io.BytesIO()
        Image.fromarray(np.full((16, 16), 40 * index, np.uint8)).save(stream, "JPEG")
        coded.append(stream.getvalue())
    return coded


def a_jpeg_clip(path, declared, held, **changes):
    a_dicom_file(path, np.zeros((declared, 16, 16), np.uint8), frames=declared)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate(jpeg_frames(held))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("is_compressed", [True, False])
def test_a_truncated_dicom_file_is_never_read_with_wrong_pixels(tmp_path, capfd, is_compressed):
    path = tmp_path / "a.dcm"
    a_jpeg_clip(path, 4, 4) if is_compressed else a_dicom_file(path, CINE, frames=5)
    expected, data = read_image(path).pixels, path.read_bytes()
    for length in [*range(1, len(data), len(data) // 50), len(data) - 20, len(data) - 9, len(data) - 8]:
        path.write_bytes(data[:length])
        if is_compressed and length >= len(data) - 8:  # only the end mark of the sequence is missing
            np.testing.assert_array_equal(read_image(path).pixels, expected)
            continue
        with pytest.raises(ImageFileError, match=re.escape(str(path))) as caught:
            read_image(path)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_clip_with_fewer_frames_than_it_declares_is_truncated(tmp_path):
    path = a_jpeg_clip(tmp_path / "a.dcm", declared=6, held=4)
    with pytest.raises(ImageFileError, match="it declares 6 frames, but holds 4"):
        read_image(path)


@pytest.mark.parametrize(
    ("elements", "error", "words"),
    [
        ({"PhotometricInterpretation": "CMYK"}, UnsupportedImageError, "photometric interpretation 'CMYK'"),
        ({"Rows": 60000, "Columns": 60000}, ImageFileError, "truncated"),
        ({"NumberOfFrames": "2000000000", "Rows": 60000}, ImageFileError, "GB of pixels"),
        ({"BitsAllocated": 7}, ImageFileError, "cannot be decoded"),
    ],
)
def test_an_odd_dicom_header_gives_a_clear_sentence(tmp_path, elements, error, words):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME, **elements)
    with pytest.raises(error, match=words) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_a_video_a_report_and_a_directory_are_no_images(tmp_path):
    path = a_dicom_file(tmp_path / "a.dcm", FRAME)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    dataset.PixelData = encapsulate([b"\0\0\0\x01"])
    dataset.save_as(path)
    with pytest.raises(UnsupportedImageError, match=r"is a video \(MPEG-4 AVC/H.264"):
        read_image(path)
    with pytest.raises(ImageFileError, match=r"DICOM file without an image \(modality SR\)"):
        read_image(bundled("reportsi.dcm"))
    with pytest.raises(ImageFileError, match="truncated"):
        read_image(bundled("MR_truncated.dcm"))
    with pytest.raises(UnsupportedImageError, match="compression that no installed decoder reads"):
        read_image(bundled("JPEG-lossy.dcm"))


def test_a_missing_decoder_is_named_with_the_command_that_installs_it(monkeypatch):
    def without_decoders(_source, **_options):
        message = "Unable to decompress because all plugins are missing dependencies:\n\tgdcm - requires gdcm"
        raise RuntimeError(message)

    monkeypatch.setattr(dicom, "iter_pixels", without_decoders)
    with pytest.raises(UnsupportedImageError, match=r'pip install "speckle2self\[dicom\]"'):
        read_image(bundled("MR_small_jpeg_ls_lossless.dcm"))


def test_geometry_needs_no_pixels():
    dataset = Dataset()
    dataset.Rows, dataset.Columns = 3, 4
    dataset.SequenceOfUltrasoundRegions = [a_region(RegionLocationMaxX1=9)]
    geometry = frame_geometry(dataset, 1)
    assert geometry.spacing_mm == (0.2, 0.1)
    assert not geometry.calibration.is_calibrated
    assert "resized or cropped" in geometry.calibration.reason


def test_a_fragment_that_is_longer_than_the_file_is_found_before_decoding(tmp_path):
    path = a_jpeg_clip(tmp_path / "a.dcm", 1, 1)
    data = path.read_bytes()
    start = data.index(b"\xfe\xff\x00\xe0", data.index(b"\xfe\xff\x00\xe0") + 4)
    path.write_bytes(data[: start + 4] + struct.pack("<I", 1_000_000) + data[start + 8 :])
    with pytest.raises(ImageFileError, match="it declares 1 frames, but holds 0"):
        read_image(path)


@pytest.mark.parametrize("missing", [1, 2, 100, 150])
def test_padding_behind_the_pixels_may_be_cut_but_not_the_pixels(tmp_path, missing):
    data = bundled("examples_rgb_color.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(data[:-missing])
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.dcm").pixels, read_image(bundled("examples_rgb_color.dcm")).pixels
    )
    (tmp_path / "a.dcm").write_bytes(data[:-151])
    with pytest.raises(ImageFileError, match="is truncated"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "GDCMJ2K_TextGBR.dcm"])
def test_decoders_of_damaged_pixels_print_nothing(tmp_path, capfd, name):
    data = bundled(name).read_bytes()
    start = data.index(b"\xff\x4f\xff\x51")
    for place in range(start + 200, len(data) - 60, (len(data) - start) // 12):
        (tmp_path / "a.dcm").write_bytes(data[:place] + bytes(40) + data[place + 40 :])
        try:
            read_image(tmp_path / "a.dcm")
        except ImageFileError as error:
            assert "\n" not in str(error)  # noqa: PT017
    assert capfd.readouterr() == ("", "")


def test_a_damaged_jpeg_marker_is_an_error_and_not_the_end_of_the_process(tmp_path):
    path = a_jpeg_clip(tmp_path / "a.dcm", 1, 1)
    path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff\xe0", b"\xff\xd8\x00\xe0", 1))
    code = "import sys; from Speckle2SelfLogic.io import read_image; read_image(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=Path(dicom.__file__).parents[1], capture_output=True, text=True
    )
    assert "ImageFileError: " in done.stderr.splitlines()[-1]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("SC_rgb_jls_lossy_sample.dcm", 50),
        ("JPEGLSNearLossless_08.dcm", 6),
        ("MR_small_jpeg_ls_lossless.dcm", 6),
        ("MR_small_jp2klossless.dcm", 42),
    ],
)
def test_a_decoder_that_ends_its_process_does_not_end_ours(tmp_path, name, offset):
    content = bytearray(bundled(name).read_bytes())
    start = content.find(b"\xff\x4f\xff\x51" if "jp2k" in name else b"\xff\xd8")
    content[start + offset] ^= 0xFF
    (tmp_path / "damaged.dcm").write_bytes(content)
    with pytest.raises(ImageFileError, match="damaged"):
        read_image(tmp_path / "damaged.dcm")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "RGB", "YBR_FULL"])
def test_a_compressed_cine_of_a_machine_is_read_frame_by_frame(tmp_path, syntax, photometric):
    grey = np.random.default_rng(0).integers(0, 255, (4, 24, 32), np.uint8)
    frames = grey if photometric == "MONOCHROME2" else np.stack([grey, grey // 2, 255 - grey], axis=-1)
    colour = {} if frames is grey else {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    region = a_region(RegionLocationMaxX1=31, RegionLocationMaxY1=23)
    plain = a_dicom_file(
        tmp_path / "plain.dcm",
        frames,
        frames=4,
        PhotometricInterpretation=photometric,
        FrameTime=25,
        SequenceOfUltrasoundRegions=[region],
        **colour,
    )
    dataset = pydicom.dcmread(plain)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(tmp_path / "compressed.dcm")
    cine, expected = read_image(tmp_path / "compressed.dcm"), read_image(plain)
    np.testing.assert_array_equal(cine.pixels, expected.pixels)
    assert (cine.spacing_mm, cine.calibration) == ((0.2, 0.1, 25.0), expected.calibration)
