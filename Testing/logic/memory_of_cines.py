"""Print how much more memory a cine of 160 frames takes than one of 40, read and written frame by frame."""

import functools
import sys
import warnings
from pathlib import Path

import numpy as np

from Speckle2SelfLogic.frame_writers import STREAMED_SUFFIXES, write_frames
from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.stored_cine import open_cine
from Testing.logic.dicom_files import a_dicom_file

SHORT, LONG = 40, 160
SHAPE_YX = (256, 256)


def peak_mb(action):
    """Return how far memory rises above where it is while something is done."""
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_mb("VmRSS")
    action()
    return resident_mb("VmHWM") - before


def resident_mb(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main(folder):
    """Write and read a short and a long cine in every format."""
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(0)

    def frames(count):
        for _ in range(count):
            yield generator.integers(0, 4000, SHAPE_YX, np.uint16)

    def read(path):
        cine = open_cine(path, folder)
        for number in range(len(cine.frames)):
            cine.frames[number]
        cine.frames.close()

    images = {}
    for count in (SHORT, LONG):
        path = a_dicom_file(folder / f"{count}-source.dcm", np.stack(list(frames(count))), frames=count, FrameTime=40)
        images[count] = open_cine(path, folder).header
    for suffix in STREAMED_SUFFIXES:
        paths = {count: folder / f"{count}{suffix}" for count in (SHORT, LONG)}
        write_frames(images[SHORT], frames(SHORT), paths[SHORT])  # loads libraries
        short, long = (
            peak_mb(functools.partial(write_frames, images[count], frames(count), paths[count]))
            for count in (SHORT, LONG)
        )
        sys.stdout.write(f"written:{suffix} {long - short}\n")
        if suffix == ".npy":  # NumPy maps the file, whose pages count as memory although they can be dropped
            continue
        read(paths[SHORT])
        short, long = (peak_mb(functools.partial(read, paths[count])) for count in (SHORT, LONG))
        sys.stdout.write(f"read:{suffix} {long - short}\n")
    short, long = (peak_mb(functools.partial(read_image, folder / f"{count}.nrrd")) for count in (SHORT, LONG))
    sys.stdout.write(f"whole:.nrrd {long - short}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
