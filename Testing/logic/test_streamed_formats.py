"""Every format of several frames is read and written frame by frame, and holds what the whole cine would have."""

import gzip
import io
import struct
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image

from Speckle2SelfLogic import picture_files
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.errors import CancelledError, GeometryLossWarning, ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.frame_writers import STREAMED_SUFFIXES, write_frames
from Speckle2SelfLogic.io import WRITABLE_SUFFIXES, read_image, write_image
from Speckle2SelfLogic.stored_cine import open_cine, with_frame_count
from Speckle2SelfLogic.streaming import despeckle_stored
from Testing.logic.dicom_files import a_dicom_file, a_region
from Testing.logic.long_cines import Halver, a_cine, both_ways, stored

ROOT = Path(__file__).parents[2]
CLEAR_REFS = Path("/proc/self/clear_refs")


def a_dicom_cine(path, kind=np.uint8, frames=9, **elements):
    pixels = np.random.default_rng(2).integers(0, 250, (frames, 41, 37)).astype(kind)  # an odd number of bytes
    timing = {"FrameTime": 40, "SequenceOfUltrasoundRegions": [a_region(RegionLocationMaxX1=36)]}
    return a_dicom_file(path, pixels, frames=frames, **timing, **elements)


@pytest.mark.filterwarnings("ignore::Speckle2SelfLogic.errors.GeometryLossWarning")
@pytest.mark.parametrize("target", ["out.nii", "out.mhd", "OUT.TIF", "out.nrrd"])
@pytest.mark.parametrize("source", ["cine.nii", "cine.nii.gz", "packed.mhd", "cine.tiff", "cine.nhdr"])
def test_other_formats_are_the_same_files_streamed_as_in_memory(source, target, tmp_path, monkeypatch):
    image = a_cine(kind=np.uint16)
    if source == "cine.nhdr":
        write_image(image, tmp_path / "cine.nrrd")
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "cine.nrrd")), str(tmp_path / source))
    else:
        stored(image, tmp_path / source)
    (tmp_path / "out").mkdir()
    contents, (whole, streamed) = both_ways(tmp_path / source, tmp_path / "out" / target, monkeypatch)
    assert contents[0] == contents[1]
    assert whole.report.processed == streamed.report.processed == 9
    assert whole.notes == streamed.notes


@pytest.mark.parametrize(
    "image",
    [a_cine(colour=True), a_cine(axes="ZYX"), a_cine(axes="TZYX"), a_cine(kind=np.float32), a_cine(kind=np.int16)],
    ids=["colour", "volume", "volumes in time", "float", "signed"],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mhd"])
def test_any_kind_of_cine_is_the_same_file_written_frame_by_frame(suffix, image, tmp_path):
    leading = len(image.frame_axes_first)
    frames = image.pixels.reshape((-1, *image.pixels.shape[leading:]))
    (tmp_path / "whole").mkdir()
    write_image(image, tmp_path / "whole" / f"cine{suffix}")
    write_frames(image, iter(frames), tmp_path / f"cine{suffix}")
    for written in (tmp_path / "whole").iterdir():
        contents = [path.read_bytes() for path in (written, tmp_path / written.name)]
        unpacked = map(gzip.decompress, contents) if suffix == ".nii.gz" else contents
        assert len(set(unpacked)) == 1
    assert read_image(tmp_path / f"cine{suffix}").same_geometry(image, 1e-5)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(
        path.name for path in (tmp_path / "whole").iterdir()
    )


def test_a_packed_file_is_the_same_each_time_and_loses_geometry_with_a_warning(tmp_path):
    image = a_cine()
    sheared = np.eye(3)
    sheared[0, 1] = 0.4
    sheared_image = image.with_pixels(image.pixels, "sheared")
    object.__setattr__(sheared_image, "direction", tuple(sheared.ravel()))
    contents = []
    for _ in range(2):
        with pytest.warns(GeometryLossWarning, match="direction"):
            write_frames(sheared_image, iter(image.pixels), tmp_path / "out.nii.gz")
        contents.append((tmp_path / "out.nii.gz").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, "colour"])
def test_pages_are_those_that_pillow_writes_for_the_whole_stack(kind, tmp_path):
    image = a_cine(colour=kind == "colour", kind=np.uint8 if kind == "colour" else kind)
    with pytest.warns(GeometryLossWarning):
        write_frames(image, iter(image.pixels), tmp_path / "cine.tif")
    first, *others = map(Image.fromarray, image.pixels)
    packed = io.BytesIO()
    first.save(packed, format="TIFF", save_all=True, append_images=others)
    assert (tmp_path / "cine.tif").read_bytes() == packed.getvalue()


def test_a_new_page_does_not_go_through_all_earlier_ones(monkeypatch, tmp_path):
    reads = []

    class Counting(picture_files._PageWriter):
        def _read(self, field_size):
            reads.append(field_size)
            return super()._read(field_size)

    monkeypatch.setattr(picture_files, "_PageWriter", Counting)
    counts = []
    for frames in (20, 40):
        reads.clear()
        image = a_cine(frames=frames)
        with pytest.warns(GeometryLossWarning):
            write_frames(image, iter(image.pixels), tmp_path / "cine.tif")
        counts.append(len(reads))
    assert 0 < counts[0] < counts[1] < 2.2 * counts[0]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_derived_series_is_the_same_file_streamed_as_in_memory(kind, tmp_path, monkeypatch):
    source = a_dicom_cine(tmp_path / "in.dcm", kind)
    repeatable = {"is_repeatable": True}
    contents, (_, streamed) = both_ways(source, tmp_path / "out.dcm", monkeypatch, **repeatable)
    assert contents[0] == contents[1]
    assert streamed.report.processed == 9
    derived = pydicom.dcmread(io.BytesIO(contents[1]))
    assert (derived.NumberOfFrames, derived.FrameTime) == (9, 40)
    assert len(derived.PixelData) % 2 == 0


def test_colour_frames_of_a_real_machine_are_the_same_file_too(tmp_path, monkeypatch):
    source = Path(pydicom.data.get_testdata_file("examples_ybr_color.dcm", download=False))
    settings = DenoiseSettings(frames=(0, 1))
    contents, _ = both_ways(source, tmp_path / "out.dcm", monkeypatch, settings, is_repeatable=True)
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["cine.nii", "cine.nii.gz", "packed.mhd", "cine.tif"])
def test_a_frame_of_other_formats_is_read_wherever_it_is(name, tmp_path):
    image = a_cine(kind=np.uint16)
    with pytest.warns(GeometryLossWarning) if name == "cine.tif" else nullcontext():
        stored(image, tmp_path / name)
    cine = open_cine(tmp_path / name, tmp_path)
    assert cine.header.same_geometry(read_image(tmp_path / name))
    assert cine.header.provenance == read_image(tmp_path / name).provenance
    for number in (8, 0, 3, 3, 4, 1):
        np.testing.assert_array_equal(cine.frames[number], image.pixels[number])
    cine.frames.close()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "scale", [(0.1, 3.7), (0.0, 5.0), (1.0, -2.5), (-2.0, 0.0), (1e-20, 0.0), (np.nan, 1.0), (2.0, np.inf)]
)
def test_a_rescaled_nifti_cine_is_the_same_frame_by_frame(kind, suffix, scale, tmp_path, monkeypatch):
    image = a_cine(kind=kind)
    pixels = image.pixels.copy()
    if kind in (np.float32, np.float64):
        pixels[2, 3, 4] = np.nan
    write_image(image.with_pixels(pixels, "a value that is none"), tmp_path / "plain.nii")
    content = bytearray((tmp_path / "plain.nii").read_bytes())
    struct.pack_into("<2f", content, 112, *scale)
    source = tmp_path / f"rescaled{suffix}"
    source.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    cine, whole = open_cine(source), read_image(source)
    np.testing.assert_array_equal(np.stack([cine.frames[number] for number in range(9)]), whole.pixels)
    assert cine.frames.dtype == whole.pixels.dtype
    cine.frames.close()
    if kind in (np.uint8, np.int16):
        contents, _ = both_ways(source, tmp_path / "out.nrrd", monkeypatch)
        assert contents[0] == contents[1]


@pytest.mark.parametrize("axes", ["TYX", "ZYX", "TZYX"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_cine_in_colour_is_the_same_frame_by_frame(axes, suffix, tmp_path, monkeypatch):
    source = tmp_path / f"colour{suffix}"
    image = a_cine(colour=True, axes=axes)
    write_image(image, source)
    cine = open_cine(source)
    for number in (8, 0, 3):
        np.testing.assert_array_equal(cine.frames[number], image.pixels.reshape(9, 40, 36, 3)[number])
    cine.frames.close()
    contents, _ = both_ways(source, tmp_path / "out.nrrd", monkeypatch)
    assert contents[0] == contents[1]


@pytest.mark.parametrize("scale", [(0.1, 3.7), (1.0, 5.0), (0.0, 5.0), (np.nan, 5.0)])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_a_nifti_file_in_colour_that_is_rescaled_is_refused(kind, scale, tmp_path):
    write_image(a_cine(kind=kind, colour=True), tmp_path / "colour.nii")
    content = bytearray((tmp_path / "colour.nii").read_bytes())
    struct.pack_into("<2f", content, 112, *scale)
    (tmp_path / "colour.nii").write_bytes(content)
    for read in (read_image, open_cine):
        with pytest.raises(UnsupportedImageError, match="in colour and its values are rescaled"):
            read(tmp_path / "colour.nii")


@pytest.mark.parametrize("scale", [(np.nan, np.nan), (1.0, np.nan), (np.inf, 0.0), (0.0, 0.0), (1e-20, 0.0)])
def test_colours_without_a_scale_that_counts_are_read(scale, tmp_path):
    image = a_cine(colour=True)
    write_image(image, tmp_path / "colour.nii")
    content = bytearray((tmp_path / "colour.nii").read_bytes())
    struct.pack_into("<2f", content, 112, *scale)
    (tmp_path / "colour.nii").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "colour.nii").pixels, image.pixels)


def test_a_grey_file_with_a_left_over_extent_is_not_in_colour(tmp_path):
    write_image(a_cine(), tmp_path / "cine.nii")
    content = bytearray((tmp_path / "cine.nii").read_bytes())
    struct.pack_into("<h", content, 50, 3)
    struct.pack_into("<2f", content, 112, 2.0, 0.0)
    (tmp_path / "cine.nii").write_bytes(content)
    assert read_image(tmp_path / "cine.nii").pixels.max() == 2.0 * float(a_cine().pixels.max())


@pytest.mark.parametrize(("place", "form", "value"), [(40, "<h", 2), (108, "<f", 0.0)], ids=["two axes", "no offset"])
def test_an_unusual_nifti_file_is_left_to_the_reader(place, form, value, tmp_path):
    write_image(a_cine(), tmp_path / "cine.nii")
    content = bytearray((tmp_path / "cine.nii").read_bytes())
    struct.pack_into(form, content, place, value)
    (tmp_path / "cine.nii").write_bytes(content)
    assert open_cine(tmp_path / "cine.nii") is None


def test_a_metaimage_that_is_packed_by_gzip_is_read_frame_by_frame(tmp_path):
    image = a_cine()
    packed = gzip.compress(image.pixels.tobytes())
    fields = "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = True\n"
    fields += f"CompressedDataSize = {len(packed)}\nDimSize = 36 40 9\nElementType = MET_UCHAR\n"
    (tmp_path / "cine.mha").write_bytes(f"{fields}ElementDataFile = LOCAL\n".encode() + packed)
    cine = open_cine(tmp_path / "cine.mha")
    np.testing.assert_array_equal(read_image(tmp_path / "cine.mha").pixels, image.pixels)
    np.testing.assert_array_equal(cine.frames[5], image.pixels[5])
    cine.frames.close()


def test_nifti_of_the_other_byte_order_is_turned_round(tmp_path):
    image = a_cine(kind=np.int16)
    write_image(image, tmp_path / "little.nii")
    content = (tmp_path / "little.nii").read_bytes()
    order = "i 28x i h 2x 8h 3f 4h 8f 3f h 2x 4f 2i 104x 2h 6f 12f 16x 4s".replace(" ", "")
    assert struct.calcsize("<" + order) == 348
    header = struct.pack(">" + order, *struct.unpack_from("<" + order, content))
    (tmp_path / "big.nii").write_bytes(header + content[348:352] + image.pixels.astype(">i2").tobytes())
    cine = open_cine(tmp_path / "big.nii")
    np.testing.assert_array_equal(cine.frames[5], image.pixels[5])
    np.testing.assert_array_equal(read_image(tmp_path / "big.nii").pixels, image.pixels)
    cine.frames.close()


@pytest.mark.parametrize("suffix", STREAMED_SUFFIXES)
@pytest.mark.parametrize("trouble", ["cancelled", "broken", "too few", "no space", "killed"])
def test_what_ends_early_leaves_the_folder_as_it_was(trouble, suffix, tmp_path):
    source = a_dicom_cine(tmp_path / "in.dcm")
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / f"clean{suffix}"
    target.write_bytes(b"as before")
    endings = {
        "cancelled": CancelledError("stopped"),
        "broken": ImageFileError("truncated"),
        "too few": None,
        "no space": OSError(28, "No space left on device"),
        "killed": KeyboardInterrupt(),
    }

    def frames():
        yield from image.pixels[:7]
        if endings[trouble] is not None:
            raise endings[trouble]

    image = read_image(source)
    with pytest.raises((CancelledError, ImageFileError, KeyboardInterrupt)):
        write_frames(image, frames(), target)
    assert [path.name for path in folder.iterdir()] == [target.name]
    assert target.read_bytes() == b"as before"


@pytest.mark.parametrize("suffix", [".nii.gz", ".tif", ".dcm"])
def test_cancelling_in_any_phase_leaves_neither_an_output_nor_a_temporary_file(suffix, tmp_path):
    source = a_dicom_cine(tmp_path / "in.dcm", np.uint16)
    folder = tmp_path / "out"
    folder.mkdir()
    for allowed in (0, 5, 12, 20, 29):  # before, in the grey range, the sector, the frames
        asked = []

        def is_cancelled(asked=asked, allowed=allowed):
            asked.append(1)
            return len(asked) > allowed

        cine = open_cine(source, folder)
        with pytest.raises(CancelledError):
            despeckle_stored(cine, folder / f"clean{suffix}", Denoiser(Halver()), is_cancelled=is_cancelled)
        assert list(folder.iterdir()) == []


def test_a_full_disk_at_the_end_of_a_dicom_file_leaves_nothing(tmp_path, monkeypatch):
    image = read_image(a_dicom_cine(tmp_path / "in.dcm"))
    (tmp_path / "out").mkdir()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pydicom.dcmwrite", full)
    with pytest.raises(ImageFileError, match="No space left"):
        write_frames(image, iter(image.pixels), tmp_path / "out" / "clean.dcm")
    assert list((tmp_path / "out").iterdir()) == []


def test_nifti_refuses_more_frames_than_its_header_can_count(tmp_path):
    image = with_frame_count(a_cine(), 40_000)
    with pytest.raises(ImageFileError, match="32767"):
        write_image(image, tmp_path / "long.nii")


def test_every_format_that_holds_frames_is_written_frame_by_frame():
    one_frame_only = {".png", ".jpg", ".jpeg", ".bmp"}
    assert set(STREAMED_SUFFIXES) == set(WRITABLE_SUFFIXES) - one_frame_only


@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="the peak of memory can be set back on Linux only")
def test_memory_for_a_cine_is_the_same_at_four_times_its_length(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "Testing.logic.memory_of_cines", tmp_path], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    growth = dict(line.split() for line in result.stdout.splitlines())
    assert float(growth.pop("whole:.nrrd")) > 8, "a cine that is held whole must be seen in this measurement"
    assert {name.partition(":")[2] for name in growth} == set(STREAMED_SUFFIXES)
    too_much = {name: mb for name, mb in growth.items() if float(mb) > 4}
    assert not too_much, "MB more for 120 more frames, which take 15.7 MB"
