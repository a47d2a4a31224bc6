"""Small cines that the tests take for long ones, and both ways of despeckling them."""

from contextlib import nullcontext

import numpy as np
import pytest
import SimpleITK

from Speckle2SelfLogic import streaming
from Speckle2SelfLogic.batch import FileResult, despeckle_file
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.errors import GeometryLossWarning
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.io import write_image


class Halver:
    """A method of two threads, so that reading goes on beside it."""

    name, title, citation, threads = "half", "Half", "", 2

    def despeckle(self, frames):
        return frames / 2


def a_cine(frames=9, kind=np.uint8, colour=False, axes="TYX"):
    generator = np.random.default_rng(0)
    shape = {"TYX": (frames, 40, 36), "ZYX": (frames, 40, 36), "TZYX": (3, frames // 3, 40, 36)}[axes]
    pixels = generator.integers(0, 250, (*shape, 3) if colour else shape).astype(kind)
    if kind == np.float32:
        pixels -= 37.5
    count = 3 + (axes == "TZYX")
    direction = np.eye(count)
    direction[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    return UltrasoundImage(
        pixels,
        axes + "C" * colour,
        spacing_mm=(0.2, 0.3, 33.0, 1.5)[:count],
        origin_mm=(-4.0, 5.0, 6.0, 0.0)[:count],
        direction=tuple(direction.ravel()),
    )


def both_ways(source, target, monkeypatch, settings=DenoiseSettings(), **options):  # noqa: B008 - frozen
    """Despeckle a file in memory and streamed; return the bytes of both outputs and both reports."""
    reports, contents = [], []
    for threshold in (1 << 40, 1):
        monkeypatch.setattr(streaming, "STREAMED_FROM_BYTES", threshold)
        denoiser = Denoiser(Halver(), settings)
        cine = streaming.stored_cine(source, target, denoiser, options.get("region", ""))
        assert (cine is not None) == (threshold == 1)
        if cine is not None:
            cine.frames.close()
        reports.append(despeckle_file(FileResult(source, target), denoiser, **options))
        files = [file for file in (target, target.with_suffix(".raw")) if file.exists()]
        contents.append(b"".join(file.read_bytes() for file in files))
        for file in files:
            file.unlink()
        assert [path for path in target.parent.iterdir() if path.name.startswith(".speckle2self")] == []
    return contents, reports


def stored(image, path):
    """Write an image; a name with "packed" in it gets compressed pixels."""
    with pytest.warns(GeometryLossWarning) if path.suffix == ".npy" else nullcontext():
        write_image(image, path)
    if path.name.startswith("packed"):
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(path), True)
