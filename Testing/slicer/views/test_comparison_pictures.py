"""Comparisons as they look: drawn off-screen, held against the pixels, and saved in `Testing/artifacts` to look at.

All volumes are shown in grey 0..255 and with two screen pixels for each voxel, every second of which lies on the centre
of a voxel. There the picture has to equal the voxels.
"""

import numpy as np
import pytest

from Speckle2SelfLogic.simulation import simulate
from Testing.slicer.offscreen import save_picture, why_no_pictures
from Testing.slicer.pairs import add_pair, pixels_of, speckle

SIZE = 256
OBLIQUE_LEFT_HANDED = np.array(
    [[0.1, 0.05, 0.9, 4.0], [-0.05, -0.1, 0.3, 9.0], [-0.1, 0.1, 0.2, -7.0], [0.0, 0.0, 0.0, 1.0]]
)
KINDS = ["grey", "colour", "oblique"]


@pytest.fixture
def a_carotid():
    """A simulated carotid (Z, Y, X) with bright and dark parts."""
    return simulate("carotid", size_yx=(SIZE, SIZE)).speckled.pixels[None]


@pytest.fixture(params=KINDS)
def a_pair(request, an_application, a_carotid):
    if reason := why_no_pictures():
        pytest.skip(reason)
    if request.param == "colour":
        tint = np.array([1.0, 0.9, 0.6])
        return add_pair((a_carotid[..., None] * tint).astype(np.uint8))
    return add_pair(
        a_carotid, **({"ijk_to_ras": orthogonal(OBLIQUE_LEFT_HANDED)} if request.param == "oblique" else {})
    )


@pytest.fixture
def draw(request, an_application):
    """Draw the views of the current layout, save the picture under a name, and give its pixels at voxel centres."""

    def picture(name):
        an_application.resize(2 * SIZE, 2 * SIZE)
        shown = an_application.layout_picture()
        save_picture(shown, f"compare_{name}_{request.node.callspec.params['a_pair']}")
        return shown[::2, 1::2]

    return picture


def orthogonal(matrix):
    """Return a matrix with the nearest right angles between its axes, 0.25 mm pixels and the same handedness."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    turned = matrix.copy()
    turned[:3, :3] = left @ right @ np.diag([0.25, 0.25, 0.5])
    return turned


def as_seen(volume):
    """Return the voxels of a one-slice volume as red-green-blue (Y, X, 3)."""
    frame = pixels_of(volume)[0]
    return frame if frame.ndim == 3 else frame[..., None].repeat(3, axis=2)


def turned(frame):
    """Return the eight ways to turn and mirror a square frame."""
    return [np.rot90(side, quarter) for side in (frame, frame[:, ::-1]) for quarter in range(4)]


def same(picture, frame, within=1):
    assert picture.shape == frame.shape
    return np.abs(picture.astype(int) - frame).max() <= within


def the_way(picture, frame):
    """Return which of `turned` the picture shows. An upright volume must be shown upright, which is way 0."""
    ways = [way for way, view in enumerate(turned(frame)) if same(picture, view)]
    assert len(ways) == 1, "the picture shows something else"
    return ways[0]


def test_side_by_side_draws_the_original_left_and_the_despeckled_right(compare, modes, draw, a_pair, request):
    compare().show(modes.SIDE_BY_SIDE)
    picture = draw("side_by_side")
    left, right = picture[:, :SIZE], picture[:, SIZE:]
    assert the_way(left, as_seen(a_pair.original)) == the_way(right, as_seen(a_pair.despeckled))
    if request.node.callspec.params["a_pair"] != "oblique":
        assert the_way(left, as_seen(a_pair.original)) == 0


def test_fade_draws_the_mean_of_both_and_flip_one_of_them(compare, modes, draw, a_pair):
    comparison = compare()
    comparison.show(modes.FLIP)
    despeckled = draw("flip_despeckled").astype(float)
    way = the_way(despeckled, as_seen(a_pair.despeckled))
    comparison.flip()
    original = draw("flip_original").astype(float)
    assert the_way(original, as_seen(a_pair.original)) == way
    comparison.show(modes.FADE)
    assert same(draw("fade"), (original + despeckled) / 2, within=1)
    comparison.set_fraction(0.2)
    assert same(draw("fade_20"), 0.8 * original + 0.2 * despeckled, within=1.01)
    assert comparison.flip() is True
    assert same(draw("fade_flipped"), despeckled)


def test_swipe_draws_the_original_left_of_the_line_and_follows_it(compare, modes, draw, a_pair):
    comparison = compare()
    comparison.show(modes.FLIP)
    way = the_way(draw("flip_despeckled"), as_seen(a_pair.despeckled))
    original, despeckled = (turned(as_seen(volume))[way] for volume in a_pair)
    comparison.show(modes.SWIPE)
    for fraction in (0.5, 0.25, 1.0, 0.0, 0.75):
        comparison.set_fraction(fraction)
        picture, line = draw(f"swipe_{fraction * 100:.0f}"), round(SIZE * fraction)
        assert same(picture, np.concatenate([original[:, :line], despeckled[:, line:]], axis=1))


@pytest.mark.usefixtures("a_pair")
def test_residual_draws_middle_grey_where_nothing_changed_and_brighter_where_speckle_was_removed(compare, modes, draw):
    comparison = compare()
    comparison.show(modes.RESIDUAL)
    picture = draw("residual").astype(int)
    assert (picture[..., 0] == picture[..., 2]).all()
    residual = pixels_of(comparison.residual)[0][..., None].repeat(3, axis=2)
    reach = comparison.residual.GetDisplayNode().GetWindow() / 2
    expected = np.clip((residual / reach + 1) * 127.5, 0, 255)
    assert any(same(picture, view, within=2) for view in turned(expected))
    assert (residual == 0).any()
    assert (residual > 0).any()


@pytest.mark.parametrize("a_pair", ["grey"], indirect=True)
@pytest.mark.parametrize("mode", ["SWIPE", "RESIDUAL"])
def test_refresh_draws_new_pixels(compare, modes, draw, a_pair, mode):
    comparison = compare()
    comparison.show(modes[mode])
    before = draw(f"refresh_{mode.lower()}_before")
    pixels_of(a_pair.original)[:] = speckle((1, SIZE, SIZE))
    assert same(draw(f"refresh_{mode.lower()}_not_yet"), before)
    comparison.refresh()
    after = draw(f"refresh_{mode.lower()}_after")
    assert not same(after[:, : SIZE // 2], before[:, : SIZE // 2])


@pytest.mark.parametrize("a_pair", ["grey"], indirect=True)
def test_side_by_side_in_a_narrow_window_draws_the_whole_frame(compare, modes, an_application, a_pair):
    an_application.composite("Red").SetBackgroundVolumeID(a_pair.original.GetID())
    comparison = compare()
    comparison.show(modes.SIDE_BY_SIDE)
    an_application.resize(200, 420)
    picture = an_application.layout_picture()
    save_picture(picture, "compare_narrow_grey")
    rows = np.flatnonzero(picture[:, :200].any(axis=(1, 2)))
    assert 195 <= rows[-1] - rows[0] <= 201  # square, 200 pixels wide, black above and below
    assert picture[rows[0] + 4 : rows[0] + 30, [2, 197]].any(axis=(0, 2)).all()
