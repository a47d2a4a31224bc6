"""Writing: what is lost, what is refused, and that a file appears whole or not at all."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from Speckle2SelfLogic import io, volume_files
from Speckle2SelfLogic.errors import GeometryLossWarning, ImageFileError, UnsupportedImageError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import check_writable, read_image, write_image
from Speckle2SelfLogic.quiet import quiet_libraries

GREY_SUFFIXES = [".nrrd", ".mha", ".mhd", ".nii", ".nii.gz", ".png", ".tif", ".tiff", ".bmp", ".npy"]


def numbered(shape, dtype="uint8"):
    """Different values everywhere, so that a swapped or flipped axis shows."""
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".npy"])
def test_a_format_without_geometry_says_what_it_loses(tmp_path, suffix):
    turned = UltrasoundImage(numbered((16, 16)), "YX", (0.1, 0.1), (3, 0), (0, 1, -1, 0))
    with pytest.warns(GeometryLossWarning, match=f"'a{suffix}' cannot hold the spacing, origin and direction of"):
        write_image(turned, tmp_path / f"a{suffix}")
    scaled = UltrasoundImage(numbered((16, 16)), "YX", (0.1, 0.1))
    with pytest.warns(GeometryLossWarning, match="cannot hold the spacing of the image"):
        write_image(scaled, tmp_path / f"a{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_image(UltrasoundImage(numbered((16, 16))), tmp_path / f"a{suffix}")


def test_nifti_says_that_it_loses_a_sheared_direction_and_nrrd_keeps_it(tmp_path):
    sheared = UltrasoundImage(numbered((2, 3, 4)), "ZYX", (1, 1, 2), (0, 0, 0), (1, 0.3, 0, 0, 0.954, 0, 0, 0, 1))
    with pytest.warns(GeometryLossWarning, match="cannot hold the direction of the image"):
        write_image(sheared, tmp_path / "a.nii")
    write_image(sheared, tmp_path / "a.mha")
    assert read_image(tmp_path / "a.mha").same_geometry(sheared, tolerance=1e-12)


CINE = UltrasoundImage(numbered((2, 3, 4)), "TYX")
DEEP = UltrasoundImage(numbered((3, 4), "int16"))


@pytest.mark.parametrize(
    ("image", "name", "words"),
    [
        (CINE, "a.png", "PNG holds one 2D frame, but the image has 2; write NRRD"),
        (CINE, "a.jpg", "JPEG holds one 2D frame"),
        (DEEP, "a.jpg", "JPEG holds pixels of type uint8, not int16"),
        (DEEP, "a.png", "PNG holds pixels of type uint8 or uint16, not int16"),
        (UltrasoundImage(numbered((3, 4, 4)), "YXC"), "a.jpeg", "cannot hold transparency"),
        (UltrasoundImage(numbered((3, 4, 3), "uint16"), "YXC"), "a.tif", "type uint8, not uint16"),
        (UltrasoundImage(numbered((2, 2, 3, 4)), "TZYX"), "a.tiff", "holds one stack"),
        (UltrasoundImage(numbered((3, 4), "float16")), "a.nrrd", "cannot hold pixels of type float16"),
        (UltrasoundImage(numbered((3, 4)) > 5), "a.npy", "cannot hold pixels of type bool"),
        (CINE, "a.dcm", "DICOM needs the DICOM file that the image came from"),
        (None, "a.gif", "ending must be one of"),
        (None, "a", "ending must be one of"),
        (None, "missing/a.nrrd", "folder '.*missing' does not exist"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, image, name, words):
    with pytest.raises(ImageFileError, match=words):
        check_writable(image, tmp_path / name)
    with pytest.raises(ImageFileError, match=words):
        write_image(image or CINE, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_an_unwritable_folder_and_a_foreign_data_file_are_refused(tmp_path):
    (tmp_path / "a.nrrd").mkdir()
    with pytest.raises(ImageFileError, match="it is a folder"):
        check_writable(None, tmp_path / "a.nrrd")
    (tmp_path / "scan.raw").write_bytes(b"somebody's data")
    with pytest.raises(ImageFileError, match=r"its data file 'scan\.raw' would replace another file"):
        write_image(CINE, tmp_path / "scan.mhd")
    if Path("/proc").is_dir():
        with pytest.raises(ImageFileError, match="folder '/proc' is not writable"):
            check_writable(None, "/proc/a.nrrd")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError, MemoryError])
@pytest.mark.parametrize("name", ["a.nrrd", "a.mhd"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, interruption, name):
    write_image(CINE, tmp_path / name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_volume = volume_files.write_volume

    def write_and_break(image, path, suffix):
        write_volume(image, path, suffix)
        raise interruption

    monkeypatch.setattr(volume_files, "write_volume", write_and_break)
    with pytest.raises((interruption, ImageFileError, UnsupportedImageError)):
        write_image(UltrasoundImage(np.zeros((9, 9), np.uint8)), tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


FULL_DISK = """
import resource, signal, sys, warnings
import numpy as np
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import check_writable, write_image
noise = np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8)
check_writable(None, sys.argv[1] + "/warm.nrrd")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for suffix in sys.argv[2:]:
    try:
        write_image(UltrasoundImage(noise), sys.argv[1] + "/a" + suffix)
    except ImageFileError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are a POSIX feature")
def test_a_full_disk_gives_one_sentence_for_each_format_and_no_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), *GREY_SUFFIXES, ".jpg"],
        cwd=Path(io.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(GREY_SUFFIXES) + 1, done.stderr
    assert all("could not be written" in line for line in lines), lines
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [*GREY_SUFFIXES, ".jpg"])
def test_an_ending_in_capitals_is_kept_and_its_file_can_be_read(tmp_path, suffix):
    write_image(UltrasoundImage(numbered((16, 16))), tmp_path / f"UP{suffix.upper()}")
    data_files = {"UP.raw"} if suffix == ".mhd" else set()
    assert {path.name for path in tmp_path.iterdir()} == {f"UP{suffix.upper()}"} | data_files
    pixels = read_image(tmp_path / f"UP{suffix.upper()}").pixels
    np.testing.assert_allclose(pixels, numbered((16, 16)), atol=30 if suffix == ".jpg" else 0)


def test_an_existing_mhd_file_gives_leave_to_replace_only_the_data_file_that_it_names(tmp_path):
    write_image(CINE, tmp_path / "a.mhd")
    write_image(DEEP, tmp_path / "a.mhd")
    np.testing.assert_array_equal(read_image(tmp_path / "a.mhd").pixels, DEEP.pixels)
    header = (tmp_path / "a.mhd").read_text()
    (tmp_path / "other.raw").write_bytes((tmp_path / "a.raw").read_bytes())
    for text in (header.replace("= a.raw", "= other.raw"), "no header at all"):
        (tmp_path / "a.mhd").write_text(text)
        (tmp_path / "a.raw").write_bytes(b"somebody's data")
        with pytest.raises(ImageFileError, match=r"its data file 'a\.raw' would replace another file"):
            write_image(CINE, tmp_path / "a.mhd")
        assert (tmp_path / "a.raw").read_bytes() == b"somebody's data"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a POSIX feature")
def test_a_pipe_or_a_device_is_never_replaced_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "null.npy").symlink_to(os.devnull)
    (tmp_path / "a.raw").symlink_to(os.devnull)
    for name in ("pipe.npy", "null.npy"):
        with pytest.raises(ImageFileError, match="is not a regular file"):
            write_image(CINE, tmp_path / name)
        with pytest.raises(ImageFileError, match="is not a regular file"):
            read_image(tmp_path / name)
    with pytest.raises(ImageFileError, match="would replace another file"):
        write_image(CINE, tmp_path / "a.mhd")
    assert (tmp_path / "pipe.npy").is_fifo()


@pytest.mark.parametrize("name", ["n" * 300 + ".npy", "n" * 300 + "/a.npy", "a\0b.npy", "file/a.npy"])
def test_a_path_that_cannot_exist_gives_one_sentence(tmp_path, name):
    (tmp_path / "file").write_bytes(b"not a folder")
    for action in (read_image, lambda path: write_image(CINE, path), lambda path: check_writable(None, path)):
        with pytest.raises(ImageFileError, match=r"\.npy' .*\.$") as caught:
            action(tmp_path / name)
        assert str(caught.value).isprintable()


def test_a_folder_that_may_not_be_entered_gives_one_sentence(tmp_path, monkeypatch):
    def no_entry(path, **_options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", no_entry)
    for action in (read_image, lambda path: check_writable(CINE, path)):
        with pytest.raises(ImageFileError, match="Permission denied"):
            action(tmp_path / "a.nrrd")


def test_memory_that_runs_out_while_writing_is_one_sentence(tmp_path, monkeypatch):
    def no_memory(*_anything):
        raise MemoryError

    monkeypatch.setattr(volume_files, "write_volume", no_memory)
    with pytest.raises(UnsupportedImageError, match="not enough memory for 24 bytes; crop the image or close other"):
        write_image(CINE, tmp_path / "a.nrrd")
    assert list(tmp_path.iterdir()) == []


def test_libraries_are_kept_quiet_also_inside_one_another_and_after_an_error(capfd):
    def nested():
        with quiet_libraries():
            with quiet_libraries():
                os.write(2, b"inner")
            os.write(2, b"outer")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        nested()
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


CLOSED_STANDARD_ERROR = """
import os, sys
import numpy as np
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
os.close(2)
write_image(UltrasoundImage(np.ones((3, 4), np.uint8)), sys.argv[1])
print(read_image(sys.argv[1]).pixels.sum())
try:
    os.fstat(2)
except OSError:
    print("still closed")
"""


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=Path(io.__file__).parents[1], capture_output=True
    )


def test_files_are_written_and_read_with_standard_error_closed(tmp_path):
    done = run_python(CLOSED_STANDARD_ERROR, tmp_path / "a.mha")
    assert done.stdout.split(b"\n")[:2] == [b"12", b"still closed"]


NAMES_OF_ODD_BYTES = """
import os, sys
import numpy as np
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import check_writable, read_image, write_image
image = UltrasoundImage(np.ones((3, 4), np.uint8))
os.chdir(sys.argv[1])
for suffix in sys.argv[2:]:
    name = os.fsdecode(b"odd\\xff" + suffix.encode())
    for action in (lambda: write_image(image, name), lambda: check_writable(None, name), lambda: read_image(name)):
        try:
            action()
        except ImageFileError as error:
            print(error)
    with open(name, "wb") as stream:
        stream.write(b"NRRD0004")
    try:
        read_image(name)
    except ImageFileError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_name_that_is_no_text_gives_printable_sentences_and_leaves_nothing(tmp_path):
    done = run_python(NAMES_OF_ODD_BYTES, tmp_path, *GREY_SUFFIXES)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 4 * len(GREY_SUFFIXES), done.stderr.decode()
    assert all(r"odd\udcff." in line and line.endswith(".") for line in lines), lines
    assert sum("holds bytes that are not UTF-8 text" in line for line in lines) == 2 * len(GREY_SUFFIXES) + 5
    assert len(list(tmp_path.iterdir())) == len(GREY_SUFFIXES)  # those that the script made
