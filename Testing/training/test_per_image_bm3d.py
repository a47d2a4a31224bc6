import numpy as np
import pytest
from skimage import data
from skimage.transform import resize

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.metrics import psnr_db
from Training.per_image.bm3d import bm3d, bm3d_filter
from Training.per_image.patch_groups import PatchGrid, matched_groups


@pytest.fixture(scope="module")
def a_clean_frame():
    return resize(data.camera()[100:356, 120:376] / 255, (96, 96), anti_aliasing=True).astype(np.float32)


def with_noise(frame_yx, std):
    noise = np.random.default_rng(0).normal(0, std, frame_yx.shape)
    return np.clip(frame_yx + noise, 0, 1).astype(np.float32)


def test_white_noise_is_reduced_by_as_much_as_published(a_clean_frame):
    noisy = with_noise(a_clean_frame, 25 / 255)
    output = bm3d(noisy, noise_std=25 / 255)
    gain = psnr_db(a_clean_frame, output, data_range=1) - psnr_db(a_clean_frame, noisy, data_range=1)
    # 9 dB at 256 x 256 (Dabov 2007, Table III: 20.2 to 29.4 dB); a smaller frame repeats itself less.
    assert gain > 6.5


def test_a_weaker_filter_changes_less(a_clean_frame):
    noisy = with_noise(a_clean_frame[:32, :32], 0.1)
    changes = [np.abs(bm3d(noisy, noise_std=std) - noisy).mean() for std in (0.01, 0.05, 0.1)]
    assert changes[0] < changes[1] < changes[2]
    assert bm3d(noisy, noise_std=0.1) == pytest.approx(bm3d(noisy, noise_std=0.05, strength=2.0))


def test_a_clean_edge_stays_where_it_is():
    frame = np.zeros((40, 40), np.float32)
    frame[:, 20:] = 0.8
    output = bm3d(frame, noise_std=0.05)
    np.testing.assert_allclose(output, frame, atol=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (3, 30), (8, 8), (9, 13)])
def test_frames_of_any_size_keep_their_shape(shape):
    frame = np.random.default_rng(1).random(shape, np.float32)
    output = bm3d(frame, noise_std=0.1)
    assert output.shape == shape
    assert output.dtype == np.float32
    assert np.isfinite(output).all()


def test_a_constant_frame_is_returned_as_it_is():
    frame = np.full((20, 20), 0.4, np.float32)
    np.testing.assert_array_equal(bm3d(frame), frame)
    np.testing.assert_allclose(bm3d(frame, noise_std=0.1), frame, atol=1e-4)


def test_groups_are_those_of_a_search_by_hand():
    frame = np.random.default_rng(2).random((14, 15), np.float32)
    grid = PatchGrid.of(frame, 4, 3)
    patches = grid.all_patches().reshape(-1, 16)
    rows, columns = grid.corners_yx
    assert (rows, columns) == (11, 12)
    found = {int(group[0]): group for groups in matched_groups(grid, patches, 5, 8, 0.15) for group in groups.patches}
    assert sorted(found) == sorted(grid.references())
    for reference, group in found.items():
        y, x = divmod(reference, columns)
        distances = {
            v * columns + u: float(((patches[reference] - patches[v * columns + u]) ** 2).mean())
            for v in range(max(0, y - 2), min(rows, y + 3))
            for u in range(max(0, x - 2), min(columns, x + 3))
        }
        alike = sorted((d, patch) for patch, d in distances.items() if d <= 0.15)[:8]
        size = 2 ** int(np.log2(len(alike)))
        assert group.tolist() == [patch for _, patch in alike[:size]]


def test_reference_patches_cover_the_frame_to_its_end():
    grid = PatchGrid.of(np.zeros((20, 17), np.float32), 8, 3)
    covered = np.zeros(20 * 17, bool)
    covered[grid.pixels_of(grid.references()).ravel()] = True
    assert covered.all()


def test_it_is_a_filter_like_those_of_the_core(a_clean_frame):
    chosen = bm3d_filter(strength=2.0)
    assert (chosen.name, chosen.parameters["strength"], chosen.parameters["noise_std"]) == ("bm3d", 2.0, None)
    noisy = with_noise(a_clean_frame[:32, :32], 0.05)
    np.testing.assert_array_equal(chosen.despeckle(noisy[None])[0], bm3d(noisy, strength=2.0))


@pytest.mark.parametrize(
    ("settings", "part"),
    [({"strength": 0}, "strength must be"), ({"sigma": 1}, "sigma")],
)
def test_impossible_settings_are_named(settings, part):
    with pytest.raises(SettingsError, match=part):
        bm3d_filter(**settings).despeckle(np.random.default_rng(0).random((1, 12, 12), np.float32))
