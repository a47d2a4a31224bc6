"""A cine that goes from file to file frame by frame is the same file as one that was in memory."""

import gzip
import io
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pydicom
import pytest

from Speckle2SelfLogic import frame_writers, streaming
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.errors import CancelledError, ImageFileError
from Speckle2SelfLogic.frames_in_file import Inflated
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.stored_cine import open_cine
from Testing.logic.long_cines import Halver, a_cine, both_ways, stored

ROOT = Path(__file__).parents[2]


@pytest.fixture
def everything_is_streamed(monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", 1)


@pytest.mark.parametrize("source", ["cine.nrrd", "packed.nrrd", "cine.mha", "packed.mha", "cine.npy"])
@pytest.mark.parametrize("target", ["out.nrrd", "out.mha", "out.npy"])
def test_streamed_and_in_memory_give_the_same_file(source, target, tmp_path, monkeypatch):
    stored(a_cine(kind=np.int16), tmp_path / source)
    monkeypatch.setattr("Speckle2SelfLogic.io._MAPPED_FROM_BYTES", 1)
    contents, (whole, streamed) = both_ways(tmp_path / source, tmp_path / target, monkeypatch)
    assert contents[0] == contents[1]
    assert whole.report.processed == streamed.report.processed == 9
    assert (whole.report.black, whole.report.white) == (streamed.report.black, streamed.report.white)
    assert whole.notes == [note for note in streamed.notes if "held in memory" not in note]


@pytest.mark.parametrize(
    "image",
    [a_cine(colour=True), a_cine(axes="ZYX"), a_cine(axes="TZYX"), a_cine(kind=np.float32), a_cine(kind=np.uint16)],
    ids=["colour", "volume", "volumes in time", "float", "16 bits"],
)
def test_any_kind_of_cine_is_the_same_streamed(image, tmp_path, monkeypatch):
    write_image(image, tmp_path / "in.nrrd")
    contents, _ = both_ways(tmp_path / "in.nrrd", tmp_path / "out.nrrd", monkeypatch)
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "settings",
    [DenoiseSettings(strength=0), DenoiseSettings(strength=0.4, frames=(2, 5)), DenoiseSettings(batch_frames=4)],
    ids=["unchanged", "some frames", "batches"],
)
def test_settings_hold_for_streams_too(settings, tmp_path, monkeypatch):
    image = a_cine()
    flat = image.pixels.copy()
    flat[3] = 7  # left alone, since there is nothing in it
    write_image(image.with_pixels(flat, "a flat frame"), tmp_path / "in.mha")
    contents, (whole, streamed) = both_ways(tmp_path / "in.mha", tmp_path / "out.mha", monkeypatch, settings)
    assert contents[0] == contents[1]
    assert whole.report.skipped == streamed.report.skipped


def test_dicom_is_decoded_into_a_temporary_file_and_streamed_from_there(tmp_path, monkeypatch):
    source = Path(pydicom.data.get_testdata_file("examples_ybr_color.dcm", download=False))
    contents, (whole, streamed) = both_ways(source, tmp_path / "out.nrrd", monkeypatch, DenoiseSettings(frames=(0, 3)))
    assert contents[0] == contents[1]
    assert whole.report.overlay_pixels == streamed.report.overlay_pixels


def test_big_endian_frames_are_turned_round(tmp_path, monkeypatch):
    pixels = np.arange(3 * 20 * 24, dtype=">i2").reshape(3, 20, 24)
    fields = "type: short\ndimension: 3\nsizes: 24 20 3\nendian: big\nencoding: raw\n"
    (tmp_path / "big.nrrd").write_bytes(f"NRRD0004\n{fields}\n".encode() + pixels.tobytes())
    contents, _ = both_ways(tmp_path / "big.nrrd", tmp_path / "out.nrrd", monkeypatch)
    assert contents[0] == contents[1]


def test_a_grey_range_taken_frame_by_frame_is_that_of_the_whole():
    pixels = np.random.default_rng(1).normal(100, 30, (50, 160, 150)).astype(np.float32)
    assert GreyRange.of_frames(list(pixels)) == GreyRange.of(pixels)


@pytest.mark.usefixtures("everything_is_streamed")
@pytest.mark.parametrize("name", ["cine.nrrd", "packed.nrrd", "cine.mha", "packed.mha"])
def test_a_frame_is_read_wherever_it_is(name, tmp_path):
    image = a_cine(kind=np.uint16)
    stored(image, tmp_path / name)
    cine = open_cine(tmp_path / name)
    assert cine.header.same_geometry(image, 1e-9)
    for number in (8, 0, 3, 3, 4, 1):
        np.testing.assert_array_equal(cine.frames[number], image.pixels[number])
    with pytest.raises(IndexError):
        cine.frames[9]
    cine.frames.close()


@pytest.mark.parametrize("name", ["frame.nrrd", "list-first.nrrd", "page.tif"])
def test_what_cannot_be_streamed_is_read_whole(name, tmp_path):
    if name == "list-first.nrrd":
        fields = "type: uchar\ndimension: 3\nsizes: 5 24 20\nkinds: list domain domain\nencoding: raw\n"
        (tmp_path / name).write_bytes(f"NRRD0004\n{fields}\n".encode() + bytes(5 * 24 * 20))
    else:
        write_image(UltrasoundImage(np.zeros((20, 24), np.uint8)), tmp_path / name)
    assert open_cine(tmp_path / name) is None


def test_packed_members_one_after_the_other_are_unpacked_as_one():
    packed = gzip.compress(b"first ") + gzip.compress(b"second")
    stream = Inflated(io.BytesIO(packed), 31)
    assert stream.read(3) + stream.read(20) == b"first second"
    assert stream.read(5) == b""


@pytest.mark.usefixtures("everything_is_streamed")
@pytest.mark.parametrize("trouble", ["cancel", "truncated", "disk full"])
def test_what_ends_early_leaves_neither_a_file_nor_a_changed_one(trouble, tmp_path, monkeypatch):
    stored(a_cine(frames=30), tmp_path / "packed.mha")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "clean.nrrd").write_bytes(b"as before")
    calls = []

    def is_cancelled():
        calls.append(trouble)
        return trouble == "cancel" and len(calls) > 1

    cine = open_cine(tmp_path / "packed.mha")
    if trouble == "truncated":
        cine.frames[0]
        cine.frames._open = lambda: open_damaged(tmp_path / "packed.mha")
    if trouble == "disk full":
        monkeypatch.setattr(frame_writers, "_raw", no_space)
    with pytest.raises(CancelledError if trouble == "cancel" else ImageFileError):
        streaming.despeckle_stored(cine, folder / "clean.nrrd", Denoiser(Halver()), is_cancelled=is_cancelled)
    assert [path.name for path in folder.iterdir()] == ["clean.nrrd"]
    assert (folder / "clean.nrrd").read_bytes() == b"as before"


@pytest.mark.skipif(sys.platform == "win32", reason="the module resource is for Unix")
@pytest.mark.parametrize("name", ["cine.nrrd", "packed.nrrd"])
def test_memory_does_not_grow_with_the_length_of_the_cine(name, tmp_path):
    frame = np.random.default_rng(0).integers(0, 255, (256, 256), np.uint8)
    pixels = np.broadcast_to(frame, (600, 256, 256))  # 39 MB
    fields = f"type: uchar\ndimension: 3\nsizes: 256 256 600\nencoding: {'gzip' if 'packed' in name else 'raw'}\n"
    with (tmp_path / name).open("wb") as stream:
        stream.write(f"NRRD0004\n{fields}\n".encode())
        with gzip.open(stream, "wb", compresslevel=1) if "packed" in name else nullcontext(stream) as packed:
            for number in range(len(pixels)):
                packed.write(pixels[number].tobytes())
    code = (
        "import resource, sys, types\n"
        "from pathlib import Path\n"
        "from Speckle2SelfLogic import streaming\n"
        "from Speckle2SelfLogic.batch import FileResult, despeckle_file\n"
        "from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings\n"
        "streaming.STREAMED_FROM_BYTES = 1\n"
        "method = types.SimpleNamespace(name='half', title='half', despeckle=lambda frames: frames / 2)\n"
        "settings = DenoiseSettings(keep_outside_sector=False, frames=(0, int(sys.argv[3])))\n"
        "source, target = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "few = DenoiseSettings(keep_outside_sector=False, frames=(0, 20))\n"
        "despeckle_file(FileResult(source, target), Denoiser(method, few))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "report = despeckle_file(FileResult(source, target), Denoiser(method, settings)).report\n"
        "assert report.processed == int(sys.argv[3]), report\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    despeckled = 20 if "packed" in name else 200  # 13 MB
    command = [sys.executable, "-c", code, tmp_path / name, tmp_path / "out.nrrd", str(despeckled)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 8, "MB more, in which 200 of the 600 frames would not fit"
    assert read_image(tmp_path / "out.nrrd").pixels.shape == (600, 256, 256)


def open_damaged(path):
    damaged = path.with_name("damaged")
    shutil.copyfile(path, damaged)
    with damaged.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)
    stream = damaged.open("rb")
    stream.seek(path.read_bytes().index(b"LOCAL\n") + 6)
    return Inflated(stream, 15)


def no_space(_):
    raise OSError(28, "No space left on device")
