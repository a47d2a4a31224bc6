import numpy as np
import pytest
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Training.pairs import random_pair
from Training.real_frames import load_frames


def test_a_pair_depends_on_its_seed_alone():
    first, again, other = (random_pair(seed, 64) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    assert first[0].dtype == np.uint8
    assert first[1].dtype == np.uint16


def test_truth_keeps_the_brightness_of_the_speckled_frame():
    pairs = [random_pair(seed, 128) for seed in range(20)]
    ratios = [truth.mean() / 257 / max(speckled.mean(), 1) for speckled, truth in pairs if speckled.mean() > 20]
    assert np.median(ratios) == pytest.approx(1, abs=0.03)


def test_missing_real_frames_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"'\*.png'.*give a data folder"):
        load_frames(tmp_path / "nowhere", [{"pattern": "*.png"}])


def test_frames_of_a_set_share_its_chance(tmp_path):
    for name in ("a1", "a2", "b1"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{name}.png")
    frames = load_frames(tmp_path, [{"pattern": "a*.png", "share": 1}, {"pattern": "b*.png", "share": 3}])
    assert frames.chances == (0.125, 0.125, 0.75)
