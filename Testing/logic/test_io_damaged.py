"""Damaged, odd and hostile files: each gives one clear sentence, and never wrong pixels."""

import gzip
import pickle
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from Speckle2SelfLogic import io, picture_files
from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError, UnsupportedImageError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import is_readable, read_image, write_image

NOISE = np.random.default_rng(7).integers(0, 256, (24, 30)).astype(np.uint8)
SINGLE_FILE_SUFFIXES = [".nrrd", ".mha", ".nii", ".nii.gz", ".png", ".jpg", ".tif", ".bmp", ".npy"]


def the_sentence_about(path):
    """Read a file that cannot be read; return what the user is told, which must be one sentence that names the file."""
    with pytest.raises((ImageFileError, UnsupportedImageError)) as caught:
        read_image(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def a_whole_file(folder, suffix):
    path = folder / f"whole{suffix}"
    if suffix in (".gzip.nrrd", ".zlib.mha"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(NOISE), str(path), useCompression=True)
    elif suffix == ".lzw.tif":
        Image.fromarray(NOISE).save(path, compression="tiff_lzw")
    elif suffix == ".pages.tif":
        write_image(UltrasoundImage(np.stack([NOISE, NOISE, NOISE]), "TYX"), path)
    else:
        write_image(UltrasoundImage(NOISE), path)
    return path


@pytest.mark.parametrize("suffix", [*SINGLE_FILE_SUFFIXES, ".gzip.nrrd", ".zlib.mha", ".lzw.tif", ".pages.tif"])
def test_a_truncated_file_is_never_read_with_wrong_pixels(tmp_path, capfd, suffix):
    whole = a_whole_file(tmp_path, suffix)
    expected, data = read_image(whole).pixels, whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in [*range(1, len(data), max(len(data) // 60, 1)), len(data) - 4]:
        cut.write_bytes(data[:length])
        if length < 0.9 * len(data):
            the_sentence_about(cut)
            continue
        try:
            pixels = read_image(cut).pixels
        except Speckle2SelfError:
            continue
        np.testing.assert_array_equal(pixels, expected)  # only bytes behind the last pixel were missing
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii", ".npy", ".nii.gz", ".gzip.nrrd", ".zlib.mha"])
def test_a_single_missing_byte_is_found(tmp_path, suffix):
    data = a_whole_file(tmp_path, suffix).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data[:-1])
    assert "truncated" in the_sentence_about(cut)


@pytest.mark.parametrize("suffix", [*SINGLE_FILE_SUFFIXES, ".mhd", ".nhdr", ".dcm", ""])
def test_missing_empty_and_misnamed_files_and_folders_are_refused(tmp_path, capfd, suffix):
    path = tmp_path / f"a{suffix}"
    assert "does not exist" in the_sentence_about(path)
    path.write_bytes(b"")
    assert "is empty (0 bytes)" in the_sentence_about(path)
    for nonsense in (b"Dear diary, this is no image.\n" * 40, bytes(1000), b"\xff" * 1000, bytes(range(256)) * 8):
        path.write_bytes(nonsense)
        the_sentence_about(path)
    path.unlink()
    path.mkdir()
    assert "is a folder" in the_sentence_about(path)
    assert capfd.readouterr() == ("", "")


def test_an_unknown_ending_is_refused_with_the_list_of_known_ones(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0" * 500)
    assert "use one of .nrrd, " in the_sentence_about(path)
    assert not is_readable(path)
    assert is_readable(tmp_path / "frame.PNG")


def test_a_picture_under_the_name_of_another_picture_format_is_still_read(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    image = read_image(tmp_path / "a.jpg")
    assert image.provenance.file_format == "PNG"
    np.testing.assert_array_equal(image.pixels, NOISE)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_header_without_its_data_file_is_named(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(NOISE), str(path))
    np.testing.assert_array_equal(read_image(path).pixels, NOISE)
    raw = tmp_path / "a.raw"
    data = raw.read_bytes()
    raw.write_bytes(data[:-10])
    with pytest.raises(ImageFileError, match=r"'.*a\.raw' is truncated: the header needs 720 bytes, but only 710"):
        read_image(path)
    raw.unlink()
    assert "its data file 'a.raw' is missing" in the_sentence_about(path)


def a_nrrd_header(path, text, data=bytes(24)):
    path.write_bytes(b"NRRD0004\n" + text.encode() + b"\n\n" + data)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type: uint8\ndimension: 2\nsizes: 6 4\nspacings: 0 1\nencoding: raw", "spacing is zero"),
        ("type: uint8\ndimension: 2\nsizes: 6 four\nencoding: raw", "'four' where a whole number belongs"),
        ("type: uint8\ndimension: 2\nsizes: 90000 90000\nencoding: raw", "is truncated"),
        ("type: uint8\ndimension: 3\nsizes: 90000 90000 90\nencoding: gzip", "is truncated"),
        (
            "type: uint8\ndimension: 3\nsizes: 2 4 3\nkinds: vector domain domain\nencoding: raw",
            "2 values in each pixel",
        ),
        (
            "type: float\ndimension: 3\nsizes: 2 3 1\nkinds: complex domain domain\nendian: little\nencoding: raw",
            "complex pixels",
        ),
        ("type: uint8\ndimension: 5\nsizes: 1 2 2 2 3\nencoding: raw", "has 5 axes"),
        ("type: uint8\ndimension: 1\nsizes: 24\nencoding: raw", "the number of its axes is not 2 to 4"),
        ("type: quaternion\ndimension: 2\nsizes: 6 4\nencoding: raw", "damaged"),
        (
            "type: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 3 4\nencoding: raw\n"
            "space directions: (1,0,0) (1,0,0) (0,0,1)\nspace origin: (0,0,0)",
            "singular",
        ),
    ],
)
def test_an_odd_nrrd_header_gives_a_clear_sentence(tmp_path, capfd, text, words):
    assert words in the_sentence_about(a_nrrd_header(tmp_path / "a.nrrd", text))
    assert capfd.readouterr() == ("", "")


def test_a_header_that_asks_for_more_than_the_memory_is_refused(tmp_path):
    header = "type: uint8\ndimension: 3\nsizes: 1000000 1000000 100\nencoding: raw\nline skip: 1"
    sentence = the_sentence_about(a_nrrd_header(tmp_path / "a.nrrd", header))
    assert "declares 100000.0 GB of pixels" in sentence


def a_nifti_file(path, changes=(), pixels=NOISE):
    write_image(UltrasoundImage(pixels), path)
    data = bytearray(path.read_bytes())
    for offset, form, value in changes:
        struct.pack_into(form, data, offset, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(80, "<f", 0.0)], "spacing of zero"),
        ([(0, "<i", 540)], "NIfTI-2"),
        ([(40, "<h", 9)], "declares the extent"),
        ([(42, "<h", -3)], "declares the extent"),
        ([(42, "<h", 32000)], "is truncated"),
        ([(344, "<B", 0)], "does not hold NIfTI data"),
    ],
)
def test_an_odd_nifti_header_gives_a_clear_sentence(tmp_path, capfd, changes, words):
    assert words in the_sentence_about(a_nifti_file(tmp_path / "a.nii", changes))
    assert capfd.readouterr() == ("", "")


def test_a_changed_byte_in_a_compressed_nifti_file_is_found(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_image(UltrasoundImage(NOISE), path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert "damaged" in the_sentence_about(path)


def test_complex_nifti_and_metaimage_vectors_are_unsupported(tmp_path):
    complex_frame = SimpleITK.GetImageFromArray(np.ones((3, 4), np.complex64))
    SimpleITK.WriteImage(complex_frame, str(tmp_path / "a.nii"))
    assert "complex pixels" in the_sentence_about(tmp_path / "a.nii")
    pairs = SimpleITK.GetImageFromArray(np.ones((3, 4, 2), np.float32), isVector=True)
    SimpleITK.WriteImage(pairs, str(tmp_path / "a.mha"))
    assert "2 values in each pixel" in the_sentence_about(tmp_path / "a.mha")


def test_a_npy_file_that_holds_a_pickle_is_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('the pickle was run')",))

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    assert "Python objects (a pickle), which are never loaded" in the_sentence_about(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap()))
    assert "not a NPY file" in the_sentence_about(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", NOISE)
    (tmp_path / "c.npz").rename(tmp_path / "c.npy")
    assert "not a NPY file" in the_sentence_about(tmp_path / "c.npy")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones(5), "has 1 axes"),
        (np.ones((1, 1, 2, 2, 2)), "has 5 axes"),
        (np.ones((2, 2), bool), "type bool"),
        (np.ones((2, 2), complex), "type complex128"),
        (np.array([["a", "b"]]), "type <U1"),
        (np.zeros((0, 4)), "empty"),
    ],
)
def test_a_npy_array_that_is_no_image_is_refused(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(Speckle2SelfError, match=words):
        read_image(tmp_path / "a.npy")


def a_png_that_claims(path, width, height):
    """A small PNG file whose header declares a huge frame of zeros."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (10000, 10000)])
def test_a_decompression_bomb_is_refused(tmp_path, width, height):
    path = a_png_that_claims(tmp_path / "a.png", width, height)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "decompression bomb" in the_sentence_about(path)


def test_a_jpeg_file_with_damaged_exif_fields_is_still_read(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(NOISE).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    assert read_image(path).pixels.shape == NOISE.shape


def test_negative_16_bit_values_and_nan_are_read_as_they_are(tmp_path):
    for pixels in (np.array([[-32768, -1], [0, 32767]], np.int16), np.array([[np.nan, -np.inf], [0, 1]], np.float32)):
        for suffix in (".nrrd", ".mha", ".nii", ".nii.gz", ".npy"):
            write_image(UltrasoundImage(pixels), tmp_path / f"a{suffix}")
            np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").pixels, pixels)


def test_a_header_only_tiff_and_an_unsupported_colour_space_are_refused(tmp_path):
    Image.new("LAB", (5, 4)).save(tmp_path / "lab.tif")
    assert "colour space LAB" in the_sentence_about(tmp_path / "lab.tif")
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0) + bytes(4))
    the_sentence_about(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "namesake"),
    [("x.nii.gz", "x.nii"), ("x.nii", "x.nii.gz"), ("x.NII.GZ", "x.NII"), ("X.nii.gz", "x.nii"), ("x.Nii.gz", "x.nii")],
)
def test_a_nifti_file_is_read_with_its_own_pixels_whatever_lies_beside_it(tmp_path, name, namesake):
    pixels = {name: NOISE, namesake: 255 - NOISE}
    for place, (file, frame) in enumerate(pixels.items()):
        write_image(UltrasoundImage(frame), tmp_path / f"{place}{io.image_suffix(file)}")
        (tmp_path / f"{place}{io.image_suffix(file)}").rename(tmp_path / file)
    for pair in ("x.hdr", "x.img", "X.IMG", "x.img.gz"):
        (tmp_path / pair).write_bytes((tmp_path / "x.nii").read_bytes() if "x.nii" in pixels else bytes(2000))
    before = {path.name for path in tmp_path.iterdir()}
    for file, frame in pixels.items():
        image = read_image(tmp_path / file)
        np.testing.assert_array_equal(image.pixels, frame)
        assert image.provenance.source == str(tmp_path / file)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_nifti_file_whose_name_is_wrong_about_its_compression_is_refused(tmp_path, capfd):
    plain = a_nifti_file(tmp_path / "whole.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(gzip.compress(plain))
    (tmp_path / "b.nii.gz").write_bytes(plain)
    assert "is compressed, although its name says otherwise" in the_sentence_about(tmp_path / "a.nii")
    assert "is not compressed, although its name says otherwise" in the_sentence_about(tmp_path / "b.nii.gz")
    (tmp_path / "c.nii").write_bytes(plain[:344] + b"ni1" + plain[347:])
    assert "is the header of a NIfTI pair" in the_sentence_about(tmp_path / "c.nii")
    assert capfd.readouterr() == ("", "")


def six_pages(path, **options):
    first, *others = (Image.fromarray(NOISE + page) for page in range(6))
    first.save(path, save_all=True, append_images=others, **options)
    return path.read_bytes()


def directories(data):
    """Where the directories of a little-endian TIFF file start, and where each says where the next one starts."""
    (start,) = struct.unpack_from("<I", data, 4)
    while start:
        link = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
        yield start, link
        (start,) = struct.unpack_from("<I", data, link)


def test_a_tiff_file_whose_pages_go_round_or_leave_the_file_is_not_read_in_part(tmp_path):
    data = bytearray(six_pages(tmp_path / "whole.tif"))
    assert read_image(tmp_path / "whole.tif").pixels.shape[0] == 6
    (first, _), (_, link), *_ = directories(data)
    for target, words in (
        (first, "goes round after 2 pages"),
        (2**32 - 8, "is truncated"),
        (len(data), "is truncated"),
    ):
        struct.pack_into("<I", data, link, target)
        (tmp_path / "a.tif").write_bytes(data)
        assert words in the_sentence_about(tmp_path / "a.tif")


@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5, 30, 300])
def test_a_tiff_file_that_lacks_its_last_bytes_is_truncated(tmp_path, missing):
    stack = SimpleITK.GetImageFromArray(np.stack([NOISE] * 6))
    SimpleITK.WriteImage(stack, str(tmp_path / "theirs.tif"))
    ours = six_pages(tmp_path / "ours.tif").rstrip(b"\0")  # behind the last pixel is only padding
    for data in (ours, (tmp_path / "theirs.tif").read_bytes()):
        (tmp_path / "a.tif").write_bytes(data)
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[4], NOISE + 4 * (data == ours))
        (tmp_path / "a.tif").write_bytes(data[:-missing])
        assert "truncated" in the_sentence_about(tmp_path / "a.tif")


def test_a_big_tiff_file_is_read_to_its_last_page(tmp_path):
    data = six_pages(tmp_path / "a.tif", big_tiff=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[5], NOISE + 5)
    (tmp_path / "a.tif").write_bytes(data.rstrip(b"\0")[:-1])
    assert "truncated" in the_sentence_about(tmp_path / "a.tif")


@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5, 11, 12, 13])
def test_a_png_file_without_its_whole_end_mark_is_truncated(tmp_path, missing):
    whole = a_whole_file(tmp_path, ".png")
    data = whole.read_bytes()
    (tmp_path / "cut.png").write_bytes(data[:-missing])
    assert "truncated" in the_sentence_about(tmp_path / "cut.png")
    whole.write_bytes(data + b"text that some program added")
    np.testing.assert_array_equal(read_image(whole).pixels, NOISE)


def test_memory_that_runs_out_while_reading_is_one_sentence(tmp_path, monkeypatch):
    def no_memory(*_anything):
        raise MemoryError

    monkeypatch.setattr(picture_files, "_page", no_memory)
    assert "not enough memory for its pixels (a file of " in the_sentence_about(a_whole_file(tmp_path, ".png"))


LITTLE_MEMORY = """
import resource, sys
from Speckle2SelfLogic import errors, io, volume_files
limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + 300_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for name in sys.argv[1:]:
    try:
        io.read_image(name)
    except errors.UnsupportedImageError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the size of the process")
def test_files_that_are_larger_than_the_free_memory_are_not_called_damaged(tmp_path):
    side = 32768
    with (tmp_path / "a.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"shape": (side, side), "fortran_order": False, "descr": "|u1"})
        stream.truncate(stream.tell() + side * side)
    with (tmp_path / "a.nrrd").open("wb") as stream:
        stream.write(f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: {side} {side}\nencoding: raw\n\n".encode())
        stream.truncate(stream.tell() + side * side)
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, tmp_path / "a.npy", tmp_path / "a.nrrd"],
        cwd=Path(io.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert ["not enough memory for" in line for line in done.stdout.splitlines()] == [True, True], done.stderr
