"""Images through every file format and back, with other libraries as oracles."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from Speckle2SelfLogic import io
from Speckle2SelfLogic.errors import ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.image import Calibration, Provenance, UltrasoundImage
from Speckle2SelfLogic.io import image_suffix, read_image, write_image

GEOMETRY_SUFFIXES = [".nrrd", ".mha", ".mhd", ".nii", ".nii.gz"]
EXACT_SUFFIXES = [".nrrd", ".mha", ".mhd"]
GREY_SUFFIXES = [*GEOMETRY_SUFFIXES, ".png", ".tif", ".tiff", ".bmp", ".npy"]


def numbered(shape, dtype="uint8"):
    """Different values everywhere, so that a swapped or flipped axis shows."""
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


def an_oblique_left_handed_direction():
    x_turn = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
    z_turn = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]])
    return tuple((z_turn @ x_turn @ np.diag([1, 1, -1])).ravel())


@pytest.fixture
def an_oblique_volume():
    return UltrasoundImage(
        pixels=numbered((3, 4, 5), "int16") - 100,
        axes="ZYX",
        spacing_mm=(0.21, 0.33, 1.7),
        origin_mm=(-10.1, 20.2, 3.3),
        direction=an_oblique_left_handed_direction(),
    )


@pytest.mark.parametrize("suffix", EXACT_SUFFIXES)
def test_an_oblique_left_handed_anisotropic_volume_comes_back_identical(tmp_path, an_oblique_volume, suffix):
    write_image(an_oblique_volume, tmp_path / f"a{suffix}")
    again = read_image(tmp_path / f"a{suffix}")
    assert again.same_geometry(an_oblique_volume, tolerance=1e-14)
    assert again.axes == "ZYX"
    assert again.pixels.dtype == np.int16
    np.testing.assert_array_equal(again.pixels, an_oblique_volume.pixels)
    assert again.calibration == Calibration(is_calibrated=True, reason="spacing from the file")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_keeps_geometry_to_single_precision(tmp_path, an_oblique_volume, suffix):
    write_image(an_oblique_volume, tmp_path / f"a{suffix}")
    again = read_image(tmp_path / f"a{suffix}")
    assert again.same_geometry(an_oblique_volume, tolerance=2e-6)
    np.testing.assert_array_equal(again.pixels, an_oblique_volume.pixels)


@pytest.mark.parametrize("suffix", GEOMETRY_SUFFIXES)
def test_a_turned_single_frame_and_a_moving_volume_keep_their_geometry(tmp_path, suffix):
    turn = (np.cos(0.4), -np.sin(0.4), np.sin(0.4), np.cos(0.4))
    frame = UltrasoundImage(numbered((4, 5)), "YX", (0.1, 0.2), (1.5, -2.5), turn)
    with_time = np.eye(4)
    with_time[:3, :3] = np.reshape(an_oblique_left_handed_direction(), (3, 3))
    moving = UltrasoundImage(
        numbered((2, 3, 4, 5)), "TZYX", (0.1, 0.2, 0.3, 33.0), (1, 2, 3, 0), tuple(with_time.ravel())
    )
    for image in (frame, moving):
        write_image(image, tmp_path / f"a{suffix}")
        again = read_image(tmp_path / f"a{suffix}")
        assert again.axes == image.axes
        assert again.same_geometry(image, tolerance=1e-6 if "nii" in suffix else 1e-14)
        np.testing.assert_array_equal(again.pixels, image.pixels)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    components=st.sampled_from([0, 3, 4]),
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "float32", "float64"]),
    spacing=st.lists(st.floats(1e-3, 50), min_size=4, max_size=4),
    origin=st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4),
    angle_rad=st.floats(-3.1, 3.1),
    mirror=st.sampled_from([1, -1]),
    suffix=st.sampled_from([".nrrd", ".mha"]),
)
def test_any_image_comes_back_from_nrrd_and_mha(
    tmp_path, shape, components, dtype, spacing, origin, angle_rad, mirror, suffix
):
    count = len(shape)
    axes = {2: "YX", 3: "ZYX", 4: "TZYX"}[count] + "C" * bool(components)
    direction = np.eye(count)
    direction[:2, :2] = [[np.cos(angle_rad), -np.sin(angle_rad)], [np.sin(angle_rad), np.cos(angle_rad)]]
    direction[:, 0] *= mirror
    pixels = numbered((*shape, components) if components else shape, dtype)
    image = UltrasoundImage(pixels, axes, spacing[:count], origin[:count], tuple(direction.ravel()))
    write_image(image, tmp_path / f"a{suffix}")
    again = read_image(tmp_path / f"a{suffix}")
    assert (again.axes, again.pixels.dtype) == (axes, pixels.dtype)
    np.testing.assert_array_equal(again.pixels, pixels)
    np.testing.assert_allclose(again.spacing_mm, image.spacing_mm, rtol=1e-12)
    np.testing.assert_allclose(again.origin_mm, image.origin_mm, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(again.direction, image.direction, atol=1e-12)


@pytest.mark.parametrize("suffix", EXACT_SUFFIXES)
def test_simpleitk_reads_the_geometry_that_we_wrote_and_we_read_what_it_wrote(tmp_path, an_oblique_volume, suffix):
    write_image(an_oblique_volume, tmp_path / f"ours{suffix}")
    theirs = SimpleITK.ReadImage(str(tmp_path / f"ours{suffix}"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(theirs), an_oblique_volume.pixels)
    np.testing.assert_allclose(theirs.GetSpacing(), an_oblique_volume.spacing_mm, rtol=1e-14)
    np.testing.assert_allclose(theirs.GetOrigin(), an_oblique_volume.origin_mm)
    np.testing.assert_allclose(theirs.GetDirection(), an_oblique_volume.direction, atol=1e-14)
    SimpleITK.WriteImage(theirs, str(tmp_path / f"theirs{suffix}"), useCompression=True)
    assert read_image(tmp_path / f"theirs{suffix}").same_geometry(an_oblique_volume, tolerance=1e-12)


def test_nibabel_agrees_on_nifti_in_both_directions(tmp_path, an_oblique_volume):
    nibabel = pytest.importorskip("nibabel")
    write_image(an_oblique_volume, tmp_path / "ours.nii.gz")
    theirs = nibabel.load(tmp_path / "ours.nii.gz")
    np.testing.assert_array_equal(np.asarray(theirs.dataobj).T, an_oblique_volume.pixels)
    lps_to_ras = np.diag([-1, -1, 1])
    columns = np.reshape(an_oblique_volume.direction, (3, 3)) * an_oblique_volume.spacing_mm
    np.testing.assert_allclose(theirs.affine[:3, :3], lps_to_ras @ columns, atol=1e-6)
    np.testing.assert_allclose(theirs.affine[:3, 3], lps_to_ras @ an_oblique_volume.origin_mm, atol=1e-5)
    nibabel.save(nibabel.Nifti1Image(np.asarray(theirs.dataobj), theirs.affine), tmp_path / "theirs.nii")
    again = read_image(tmp_path / "theirs.nii")
    assert again.same_geometry(an_oblique_volume, tolerance=1e-5)
    np.testing.assert_array_equal(again.pixels, an_oblique_volume.pixels)


@pytest.mark.parametrize("suffix", EXACT_SUFFIXES)
def test_a_cine_its_history_and_its_missing_calibration_survive(tmp_path, suffix):
    cine = UltrasoundImage(
        numbered((3, 4, 5)),
        "TYX",
        spacing_mm=(0.5, 0.5, 33.3),
        calibration=Calibration(is_calibrated=False, reason="the file has 2 ultrasound regions"),
        provenance=Provenance(history=("read", "despeckled (strength 0.5)\nwith × sign")),
    )
    write_image(cine, tmp_path / f"a{suffix}")
    again = read_image(tmp_path / f"a{suffix}")
    assert again.axes == "TYX"
    assert again.calibration == cine.calibration
    assert again.provenance.history == ("read", "despeckled (strength 0.5) with ? sign")


def a_nrrd_file(path, header, pixels):
    path.write_bytes(b"NRRD0005\ntype: uint8\nencoding: raw\n" + header.encode() + b"\n\n" + pixels.tobytes())
    return path


SEQUENCE_DIRECTIONS = "(0.5,0,0) (0,0.25,0) (0,0,1)"


@pytest.mark.parametrize("list_is_first", [True, False])
def test_a_3d_slicer_sequence_is_a_cine_of_volumes(tmp_path, list_is_first):
    frames_tzyx = numbered((5, 1, 3, 4))
    sizes, kinds, directions = ["4", "3", "1"], ["domain"] * 3, SEQUENCE_DIRECTIONS.split()
    place = 0 if list_is_first else 3
    for words, word in ((sizes, "5"), (kinds, "list"), (directions, "none")):
        words.insert(place, word)
    header = (
        f"dimension: 4\nspace: left-posterior-superior\nsizes: {' '.join(sizes)}\nkinds: {' '.join(kinds)}\n"
        f"space directions: {' '.join(directions)}\nspace origin: (1,2,3)"
    )
    stored = np.moveaxis(frames_tzyx, 0, -1) if list_is_first else frames_tzyx
    sequence = read_image(a_nrrd_file(tmp_path / "a.seq.nrrd", header, stored))
    assert sequence.axes == "TZYX"
    np.testing.assert_array_equal(sequence.pixels, frames_tzyx)
    assert sequence.spacing_mm == (0.5, 0.25, 1.0, 1.0)
    assert sequence.origin_mm == (1.0, 2.0, 3.0, 0.0)


def test_a_list_of_three_frames_is_not_taken_for_rgb(tmp_path):
    frames_tyx = numbered((3, 4, 5))
    header = "dimension: 3\nsizes: 3 5 4\nkinds: list domain domain"
    cine = read_image(a_nrrd_file(tmp_path / "a.nrrd", header, np.moveaxis(frames_tyx, 0, -1)))
    assert cine.axes == "TYX"
    np.testing.assert_array_equal(cine.pixels, frames_tyx)


def test_a_nrrd_axis_of_kind_time_and_a_tracked_metaimage_are_cines(tmp_path):
    frames = numbered((2, 3, 4))
    nrrd = a_nrrd_file(tmp_path / "a.nrrd", "dimension: 3\nsizes: 4 3 2\nkinds: domain domain time", frames)
    header = "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nKinds = domain domain list\n{}ElementType = MET_UCHAR\n"
    for name, fields, axes in (("b.mha", "Seq_Frame0000_Timestamp = 2.5\n", "TYX"), ("c.mha", "", "ZYX")):
        head = header.format(fields) + "ElementDataFile = LOCAL\n"
        (tmp_path / name).write_bytes(head.encode() + frames.tobytes())
        assert read_image(tmp_path / name).axes == axes
    assert read_image(nrrd).axes == "TYX"


@pytest.mark.parametrize("suffix", GREY_SUFFIXES)
@pytest.mark.parametrize("shape", [(1, 1), (15, 17)])
def test_odd_sizes_of_grey_and_rgb_frames_pass_through_every_format(tmp_path, suffix, shape):
    for image in (UltrasoundImage(numbered(shape)), UltrasoundImage(numbered((*shape, 3)), "YXC")):
        if image.pixels.shape == (1, 1, 3) and "nii" in suffix:
            with pytest.raises(ImageFileError, match="NIfTI does not keep an axis of length 1"):
                write_image(image, tmp_path / f"a{suffix}")
            continue
        write_image(image, tmp_path / f"a{suffix}")
        again = read_image(tmp_path / f"a{suffix}")
        assert again.axes == image.axes
        np.testing.assert_array_equal(again.pixels, image.pixels)
        assert not again.calibration.is_calibrated


@pytest.mark.parametrize("suffix", [*GEOMETRY_SUFFIXES, ".png", ".tif", ".npy"])
def test_rgba_and_16_bit_grey_keep_every_value(tmp_path, suffix):
    for pixels, axes in ((numbered((3, 5, 4)), "YXC"), (numbered((3, 5), "uint16") * 257, "YX")):
        write_image(UltrasoundImage(pixels, axes), tmp_path / f"a{suffix}")
        again = read_image(tmp_path / f"a{suffix}")
        assert (again.axes, again.pixels.dtype) == (axes, pixels.dtype)
        np.testing.assert_array_equal(again.pixels, pixels)


def test_jpeg_keeps_grey_values_nearly(tmp_path):
    ramp = np.add.outer(np.arange(32), np.arange(40)).astype(np.uint8)
    write_image(UltrasoundImage(ramp), tmp_path / "a.jpg")
    assert np.abs(read_image(tmp_path / "a.jpg").pixels.astype(int) - ramp).max() <= 3


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("axes", ["YX", "ZYX", "TZYX", "YXC", "ZYXC"])
def test_nifti_does_not_turn_nan_and_infinity_into_zero(tmp_path, suffix, axes):
    pixels = numbered({"C": (2, 3, 4, 3), "X": (2, 3, 4, 5)}[axes[-1]][-len(axes) :], "float32")
    pixels.flat[[1, 7, -2]] = np.nan, np.inf, -np.inf
    write_image(UltrasoundImage(pixels, axes), tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").pixels, pixels)


def test_a_page_of_a_tiff_file_is_a_frame_of_a_cine(tmp_path):
    for pixels, axes in ((numbered((4, 5, 6), "uint16"), "TYX"), (numbered((4, 5, 6, 3)), "TYXC")):
        write_image(UltrasoundImage(pixels, axes), tmp_path / "a.tif")
        again = read_image(tmp_path / "a.tif")
        assert again.axes == axes
        np.testing.assert_array_equal(again.pixels, pixels)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32"])
def test_tiff_sample_types_are_read_as_simpleitk_wrote_them(tmp_path, dtype):
    pixels = numbered((5, 7), dtype) - np.array(100 if dtype[0] == "i" else 0, dtype)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(tmp_path / "a.tif"))
    again = read_image(tmp_path / "a.tif")
    assert again.pixels.dtype == dtype
    np.testing.assert_array_equal(again.pixels, pixels)


def test_32_bit_tiff_samples_are_signed_only_if_the_file_says_so(tmp_path):
    signed = np.array([[-5, 7], [0, 2**31 - 1]], np.int32)
    write_image(UltrasoundImage(signed), tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, signed)
    data = (tmp_path / "a.tif").read_bytes()
    as_signed, as_unsigned = (struct.pack("<HHIHH", 339, 3, 1, sample_format, 0) for sample_format in (2, 1))
    assert as_signed in data
    (tmp_path / "b.tif").write_bytes(data.replace(as_signed, as_unsigned))
    unsigned = read_image(tmp_path / "b.tif").pixels
    assert unsigned.dtype == np.uint32
    np.testing.assert_array_equal(unsigned, signed.view(np.uint32))


def test_a_16_bit_tiff_file_whose_zero_is_white_is_inverted(tmp_path):
    pixels = numbered((3, 5), "uint16") * 257
    write_image(UltrasoundImage(pixels), tmp_path / "a.tif")
    data = (tmp_path / "a.tif").read_bytes()
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, photometric, 0) for photometric in (1, 0))
    assert black_is_zero in data
    (tmp_path / "a.tif").write_bytes(data.replace(black_is_zero, white_is_zero))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, 65535 - pixels)


@pytest.mark.parametrize("suffix", [*GREY_SUFFIXES, ".nrrd"])
def test_names_with_spaces_and_accents_work(tmp_path, suffix):
    folder = tmp_path / "Müller's scans"
    folder.mkdir()
    write_image(UltrasoundImage(numbered((3, 4))), folder / f"artère 1{suffix}")
    np.testing.assert_array_equal(read_image(folder / f"artère 1{suffix}").pixels, numbered((3, 4)))


def test_palette_bitmap_alpha_and_cmyk_pictures_are_expanded_and_say_so(tmp_path):
    grey = Image.fromarray(numbered((4, 5)))
    colour = Image.fromarray(numbered((4, 5, 3)))
    opaque = Image.merge("LA", [grey, Image.new("L", grey.size, 255)])
    see_through = Image.merge("LA", [grey, Image.new("L", grey.size, 9)])
    cases = {
        "palette": (colour.quantize(8), "RGB", "YXC"),
        "bitmap": (grey.convert("1"), "L", "YX"),
        "opaque": (opaque, "L", "YX"),
        "see_through": (see_through, "RGBA", "YXC"),
    }
    for name, (picture, mode, axes) in cases.items():
        picture.save(tmp_path / f"{name}.png")
        again = read_image(tmp_path / f"{name}.png")
        assert again.axes == axes
        np.testing.assert_array_equal(again.pixels, np.asarray(picture.convert(mode)))
        assert len(again.provenance.history) == 1
    colour.convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, np.asarray(colour))


def test_an_exif_orientation_is_noted_but_not_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(numbered((8, 16))).save(tmp_path / "a.jpg", exif=exif)
    again = read_image(tmp_path / "a.jpg")
    assert again.pixels.shape == (8, 16)
    assert again.provenance.history == ("EXIF orientation 6 not applied",)


@pytest.mark.parametrize(
    ("pixels", "axes"),
    [
        (numbered((4, 5)), "YX"),
        (numbered((6, 4, 5)), "ZYX"),
        (numbered((6, 4, 5)).astype(">u2"), "ZYX"),
        (np.asfortranarray(numbered((6, 4, 5), "float64")), "ZYX"),
        (numbered((4, 5, 3)), "YXC"),
        (numbered((4, 5, 3), "float32"), "ZYX"),
        (numbered((2, 6, 4, 5)), "TZYX"),
        (numbered((6, 4, 5, 4)), "ZYXC"),
    ],
)
def test_axes_of_a_npy_file_follow_from_its_shape(tmp_path, pixels, axes):
    np.save(tmp_path / "a.npy", pixels)
    image = read_image(tmp_path / "a.npy")
    assert image.axes == axes
    assert image.pixels.dtype.isnative
    np.testing.assert_array_equal(image.pixels, pixels)


def test_a_large_npy_file_stays_on_disk(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", numbered((9, 4, 5)))
    monkeypatch.setattr(io, "_MAPPED_FROM_BYTES", 100)
    pixels = read_image(tmp_path / "a.npy").pixels
    assert isinstance(pixels, np.memmap)
    assert pixels.sum() == numbered((9, 4, 5)).sum()


def test_a_spacing_of_one_is_called_uncalibrated_and_a_negative_one_reverses_its_axis(tmp_path):
    frame = numbered((3, 4))
    flipped = read_image(a_nrrd_file(tmp_path / "a.nrrd", "dimension: 2\nsizes: 4 3\nspacings: -0.5 2", frame))
    assert flipped.spacing_mm == (0.5, 2.0)
    assert flipped.direction == (-1.0, 0.0, 0.0, 1.0)
    plain = read_image(a_nrrd_file(tmp_path / "b.nrrd", "dimension: 2\nsizes: 4 3\nspacings: 1 1", frame))
    assert not plain.calibration.is_calibrated
    assert plain.calibration.reason == "the file's spacing is 1.0, which usually means that it was never set"


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("A.NII.GZ", ".nii.gz"), ("a.seq.nrrd", ".nrrd"), ("b.JPG", ".jpg"), ("IM0001", ""), ("x.tar.gz", ".gz")],
)
def test_the_ending_of_a_file_name_is_found(name, suffix):
    assert image_suffix(os.path.join("some.folder", name)) == suffix  # noqa: PTH118


def test_reading_keeps_the_pixels_alive_and_does_not_let_them_be_changed(tmp_path):
    write_image(UltrasoundImage(numbered((200, 300))), tmp_path / "a.nrrd")
    images = [read_image(tmp_path / "a.nrrd") for _ in range(20)]
    assert all(np.array_equal(image.pixels, numbered((200, 300))) for image in images)
    with pytest.raises(ValueError, match="read-only"):
        images[0].pixels[0, 0] = 1


def test_libraries_are_loaded_only_when_their_format_is_used():
    libraries = ("SimpleITK", "pydicom", "PIL", "torch")
    code = f"import sys, Speckle2SelfLogic.io; print([name for name in {libraries} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(io.__file__).parents[1], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_pages_of_different_size_and_deep_colour_are_refused(tmp_path):
    small, large = Image.fromarray(numbered((4, 5))), Image.fromarray(numbered((6, 7)))
    small.save(tmp_path / "a.tif", save_all=True, append_images=[large])
    with pytest.raises(UnsupportedImageError, match=r"pages that differ in size or type \(page 2\)"):
        read_image(tmp_path / "a.tif")
    deep = SimpleITK.GetImageFromArray(numbered((4, 5, 3), "uint16"), isVector=True)
    for name in ("b.png", "b.tif"):
        SimpleITK.WriteImage(deep, str(tmp_path / name))
        with pytest.raises(UnsupportedImageError, match="more than 8 bits in each colour channel"):
            read_image(tmp_path / name)
