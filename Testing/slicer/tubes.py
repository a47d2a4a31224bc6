"""A dark tube in speckle, before and after, as volumes and as pairs of frames."""

import numpy as np
import pytest
from scipy import ndimage

from Testing.slicer.pairs import Pair, add

SHAPE = (4, 40, 48)
SPACED = np.diag((-0.2, -0.3, 0.9, 1.0))
NEEDS_TRUTH = {"psnr_db", "psnr_after_scale_db", "ssim", "ssim_after_scale"}
CONTRAST = {"gcnr", "cnr"}


def pairs_of(pair, axis="z", whole=False, **masks):
    """Return the pairs of frames of two volumes, with masks (Z, Y, X) as regions."""
    from Speckle2SelfSlicerLib.frame_pairs import frame_pairs

    return frame_pairs(*pair, slice_axis=axis, whole_sequence=whole, **masks)


def lumen(shape=SHAPE):
    """A dark tube along Z, which ends before the last slice."""
    mask = np.zeros(shape, bool)
    y, x = np.indices(shape[1:])
    mask[:-1] = np.hypot(y - 19, x - 22) < 9
    return mask


def tissue(shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[:, 31:38, 5:40] = True
    return mask


def tube(shape=SHAPE, seed=0):
    """Speckle 0..255 around a dark lumen, as real values."""
    speckle = np.random.default_rng(seed).rayleigh(1.0, shape)
    return np.where(lumen(shape), 15.0, 80.0) * speckle


def blurred(pixels):
    sigma = (0, 1.5, 1.5, 0)[: pixels.ndim]
    return ndimage.gaussian_filter(pixels.astype(float), sigma) * 0.9


def add_tube(dtype=np.uint8, matrix=SPACED, scale=1.0, colour=False):
    before = tube().clip(0, 255) * scale
    if colour:
        before = before[..., None] * (1.0, 0.8, 0.6)
    before, after = before.astype(dtype), blurred(before).astype(dtype)
    return Pair(add(before, matrix, "Carotid"), add(after, matrix, "Carotid (Speckle2Self)")), before, after


def grey(pixels, grey_range):
    return (pixels.astype(float) - grey_range.black).clip(0, grey_range.width) / grey_range.width * 255


def assert_same_figures(measured, expected, without=()):
    for name, value in vars(expected).items():
        expected_value = None if name in without else value
        assert getattr(measured, name) == (
            None if expected_value is None else pytest.approx(expected_value, rel=1e-4, abs=1e-6)
        ), name


def finished(job):
    steps = list(job)
    assert steps[-1][0] == steps[-1][1]
    return job.result


def rows_of(table):
    content = table.GetTable()
    return [
        [str(content.GetValue(row, column).ToString()) for column in range(content.GetNumberOfColumns())]
        for row in range(content.GetNumberOfRows())
    ]


def column_of(table, name):
    column = table.GetTable().GetColumnByName(name)
    return [column.GetValue(row) for row in range(column.GetNumberOfValues())]
