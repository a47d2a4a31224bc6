"""Writing: what is lost, what is refused, and that a file appears whole or not at all."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from Speckle2SelfLogic import io, volume_files
from Speckle2SelfLogic.errors import GeometryLossWarning, ImageFileError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import check_writable, read_image, write_image

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
    with pytest.raises((interruption, ImageFileError)):
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
    assert list(tmp_path.iterdir()) == []
