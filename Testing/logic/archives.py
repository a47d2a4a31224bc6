"""Small archives for the tests of batch runs: mixed formats, broken files among them."""

import hashlib
import shutil
import warnings
from pathlib import Path

import numpy as np
from pydicom.data import get_testdata_file

from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import write_image

SUFFIXES = (".nrrd", ".mhd", ".png", ".dcm", ".nii.gz", ".mha", ".nii", ".tif", ".npy")
DICOM_CLIP = Path(get_testdata_file("examples_rgb_color.dcm", download=False))


def a_frame(seed):
    """A speckled frame of its own for every seed."""
    random = np.random.default_rng(seed)
    return np.clip(random.rayleigh(60, (24, 32)), 0, 255).astype(np.uint8)


def a_mixed_archive(folder, count, broken_every=7):
    """Write images of every format into folders below a folder; returns the names of those that are broken."""
    broken = []
    for number in range(count):
        suffix = SUFFIXES[number % len(SUFFIXES)]
        path = folder / f"study{number % 4}" / f"series {number % 3}" / f"image{number:03d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".dcm":
            path = path.with_suffix("") if number % 2 else path
            shutil.copyfile(DICOM_CLIP, path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                write_image(UltrasoundImage(a_frame(number)), path)
        if number % broken_every == broken_every - 1:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
            broken.append(path.relative_to(folder).as_posix())
    (folder / "notes.txt").write_text("no image")
    return broken


def checksums(folder):
    """SHA-256 of every file below a folder, except the manifest and what belongs to it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "speckle2self-batch.sqlite" not in path.name
    }
