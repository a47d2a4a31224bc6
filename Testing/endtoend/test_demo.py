import numpy as np
import pytest

from Speckle2SelfLogic import demo
from Speckle2SelfLogic.comparison import all_methods, compare_methods
from Speckle2SelfLogic.filters import FILTERS
from Speckle2SelfLogic.io import read_image


@pytest.fixture(scope="module")
def a_demo(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # Two methods instead of all: the others are tested on their own.
        patch.setattr(
            demo, "all_methods", lambda device: [*all_methods(["speckle2self-small"], device), FILTERS["lee"]]
        )
        folder = tmp_path_factory.mktemp("demo")
        for _ in range(2):  # a second run replaces the first
            report = demo.run_demo(folder, device="cpu")
    return folder, report


def test_the_demo_writes_volumes_pictures_and_one_report(a_demo):
    folder, report = a_demo
    assert report == folder / "report.html"
    names = {path.name for path in folder.iterdir()}
    assert {"heart-clip-despeckled.nrrd", "heart-clip-despeckled.dcm", "carotid-truth.nrrd", "carotid.png"} <= names
    assert "Not for diagnosis" in report.read_text(encoding="utf-8")


def test_the_despeckled_clip_has_the_geometry_and_the_text_of_the_original(a_demo):
    folder, _ = a_demo
    clip = demo.real_clip()
    for name in ("heart-clip-despeckled.nrrd", "heart-clip-despeckled.dcm"):
        clean = read_image(folder / name)
        assert clean.axes == clip.axes == "TYXC"
        assert clean.same_geometry(clip)
        assert clean.calibration.is_calibrated == clip.calibration.is_calibrated
        np.testing.assert_array_equal(clean.pixels[:, 222:], clip.pixels[:, 222:])  # the row of buttons
        assert (clean.pixels[:, 60:180, 120:220] != clip.pixels[:, 60:180, 120:220]).any()


def test_a_comparison_finds_the_sector_from_all_frames():
    clip = demo.real_clip()
    case = compare_methods(clip, [FILTERS["lee"]], title="clip", frame=15)
    np.testing.assert_array_equal(case.results[0].frame_yx[222:], case.input_yx[222:])
    assert (case.results[0].frame_yx[60:180] != case.input_yx[60:180]).any()


def test_the_network_brings_the_simulated_carotid_much_closer_to_the_truth(a_demo):
    folder, _ = a_demo
    truth, speckled, clean = (
        read_image(folder / f"carotid-{name}.nrrd").pixels.astype(float) for name in ("truth", "speckled", "despeckled")
    )
    assert np.square(clean - truth).mean() < 0.15 * np.square(speckled - truth).mean()
