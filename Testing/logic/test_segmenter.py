import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.errors import CancelledError, SettingsError, UnsupportedImageError, WeightsError
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.networks.segmenter import Segmenter
from Speckle2SelfLogic.segment_batch import plan_labels, segment_all
from Speckle2SelfLogic.segmentation_quality import contour_quality, dice
from Speckle2SelfLogic.segmenter import VesselSegmenter, without_specks
from Speckle2SelfLogic.simulation import simulate
from Speckle2SelfLogic.weights import add_model, find_model, list_models, model_names, verify_model
from Testing.logic.dark_network import OnlyWhatIsLeft, a_segmenter

TURNED = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def vessel(shape_yx=(70, 90), centre_yx=(30, 50), radius=12, wall=6):
    y, x = np.indices(shape_yx)
    distance = np.hypot(y - centre_yx[0], x - centre_yx[1])
    labels = np.where(distance < radius, 1, np.where(distance < radius + wall, 2, 0)).astype(np.uint8)
    return np.choose(labels, (230, 26, 128)).astype(np.uint8), labels


@pytest.fixture
def a_vessel():
    return vessel()


def test_labels_lie_where_the_vessel_lies(a_vessel):
    frame, truth = a_vessel
    made = a_segmenter().run(UltrasoundImage(frame, "YX"))
    for label in (1, 2):
        assert dice(made.labels.pixels == label, truth == label) > 0.9
    assert made.report.trusted == [0]
    assert made.labels.pixels.dtype == np.uint8


def test_labels_keep_the_oblique_geometry_of_a_volume():
    stack = np.stack([vessel(centre_yx=(30, 40 + 5 * number))[0] for number in range(3)])
    volume = UltrasoundImage(stack, "ZYX", (0.2, 0.2, 1.5), (4.0, -3.0, 7.0), TURNED)
    made = a_segmenter().run(volume)
    assert made.labels.same_geometry(volume)
    columns = [np.nonzero(made.labels.pixels[number] == 1)[1].mean() for number in range(3)]
    np.testing.assert_allclose(np.diff(columns), 5, atol=0.5)


def test_a_volume_is_cut_along_the_axis_that_is_asked_for():
    stack = np.moveaxis(np.stack([vessel((64, 64), (32, 20 + 4 * n))[0] for n in range(5)]), 0, 1)
    made = a_segmenter().run(UltrasoundImage(stack, "ZYX", (0.3, 1.0, 0.3)), slice_axis="y")
    assert sorted(made.report.quality) == list(range(5))
    assert [round(np.nonzero(made.labels.pixels[:, n] == 1)[1].mean()) for n in range(5)] == [20, 24, 28, 32, 36]


def test_a_colour_cine_becomes_a_cine_of_labels(a_vessel):
    cine = np.repeat(np.stack([a_vessel[0]] * 2)[..., None], 3, -1)
    made = a_segmenter().run(UltrasoundImage(cine, "TYXC", (0.1, 0.1, 1.0)))
    assert made.labels.axes == "TYX"
    assert made.labels.spacing_mm == (0.1, 0.1, 1.0)


def test_frames_that_were_not_asked_for_stay_empty(a_vessel):
    made = a_segmenter().run(UltrasoundImage(np.stack([a_vessel[0]] * 3), "TYX"), frames=(1, 2))
    assert [bool(frame.any()) for frame in made.labels.pixels] == [False, True, False]
    assert list(made.report.quality) == [1]


def test_pixels_that_are_not_square_are_made_square_for_the_network():
    frame, truth = vessel((40, 160), (20, 80), 6, 5)
    seen = []

    class Looks(torch.nn.Module):
        def forward(self, frames):
            seen.append(frames)
            return torch.cat([frames, 1 - frames, 0 * frames], 1)

    a_segmenter(Looks()).run(UltrasoundImage(frame, "YX", (0.1, 0.4)))
    dark = (seen[0][0, 0] > 0.02) & (seen[0][0, 0] < 0.3)
    height, width = (int(dark.any(axis).sum()) for axis in (1, 0))
    assert height == pytest.approx(4 * width, rel=0.35)  # a circle of pixels is four times as high in mm
    assert truth.any()


def test_a_lumen_that_the_mirror_image_does_not_show_is_not_trusted(a_vessel):
    quality = a_segmenter(OnlyWhatIsLeft()).run(UltrasoundImage(a_vessel[0], "YX")).report.quality[0]
    assert not quality.is_trusted
    assert quality.score < 0.1


@pytest.mark.parametrize("value", [0, 130])
def test_a_flat_frame_has_no_contour_and_says_why(value):
    made = a_segmenter().run(UltrasoundImage(np.full((50, 60), value, np.uint8), "YX"))
    assert not made.labels.pixels.any()
    assert made.report.trusted == []
    assert "contrast" in made.report.quality[0].reasons[0]


def test_a_frame_without_a_lumen_is_not_trusted():
    frame = np.full((50, 60), 230, np.uint8)
    frame[20:30, 20:40] = 180
    made = a_segmenter().run(UltrasoundImage(frame, "YX"))
    assert made.report.quality[0].reasons == ("no lumen found",)


def probabilities(lumen, wall, sure=0.99):
    planes = np.stack([~(lumen | wall), lumen, wall]).astype(np.float32)
    return np.float32(sure) * planes + np.float32((1 - sure) / 3)


def ring(radius=10, wall=4, shape=(64, 64)):
    y, x = np.indices(shape)
    distance = np.hypot(y - 32, x - 32)
    return distance < radius, (distance >= radius) & (distance < radius + wall)


def test_quality_falls_with_certainty():
    scores = [contour_quality(*[probabilities(*ring(), sure)] * 2, 0.5).score for sure in (0.99, 0.8, 0.55)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9


def test_a_lumen_in_pieces_is_named():
    lumen, wall = ring()
    pieces = lumen | np.roll(lumen, 22, 1)
    quality = contour_quality(*[probabilities(pieces, wall & ~pieces)] * 2, 0.9)
    assert quality.unity == pytest.approx(0.5)
    assert "the lumen is in pieces" in quality.reasons


def test_a_lumen_without_a_wall_is_implausible():
    lumen, wall = ring()
    quality = contour_quality(*[probabilities(lumen, np.zeros_like(wall))] * 2, 0.0)
    assert quality.reasons == ("hardly any wall around the lumen",)


def test_a_lumen_that_fills_the_frame_is_implausible():
    lumen, wall = ring(30, 2)
    assert "% of the frame" in contour_quality(*[probabilities(lumen, wall)] * 2, 0.0).reasons[0]


def test_specks_are_dropped_and_a_second_vessel_is_kept():
    labels = np.zeros((20, 40), np.uint8)
    labels[2:12, 2:12], labels[5:9, 20:30], labels[15, 35] = 1, 1, 1
    kept = without_specks(labels)
    assert kept[6, 25] == 1
    assert kept[15, 35] == 0
    assert kept.sum() == 140


def test_an_envelope_is_refused(a_vessel):
    image = UltrasoundImage(a_vessel[0].astype(np.float32), "YX", intensity=IntensityDomain.ENVELOPE)
    with pytest.raises(UnsupportedImageError, match="envelope"):
        a_segmenter().run(image)


def test_frames_that_do_not_exist_are_refused(a_vessel):
    with pytest.raises(SettingsError, match="none of the image's 1 frames"):
        a_segmenter().run(UltrasoundImage(a_vessel[0], "YX"), frames=(3, 5))


def test_a_run_stops_when_it_is_asked_to(a_vessel):
    done = []
    image = UltrasoundImage(np.stack([a_vessel[0]] * 4), "TYX")
    with pytest.raises(CancelledError, match="2 of 4"):
        a_segmenter().run(image, lambda number, total: done.append((number, total)), lambda: len(done) == 2)
    assert done == [(1, 4), (2, 4)]


def test_the_network_keeps_the_size_and_has_one_plane_for_each_class():
    network = Segmenter((8, 8), classes=4, side_px=32)
    assert network(torch.rand(2, 1, 32, 64)).shape == (2, 4, 32, 64)


@pytest.mark.parametrize("change", [{"channels": (10, 8)}, {"side_px": 30}, {"trusted_from": 2}])
def test_numbers_of_the_network_that_do_not_fit_are_refused(change):
    with pytest.raises(ValueError, match="must be multiples"):
        Segmenter(**{"channels": (8, 8), "side_px": 32, **change})


def test_the_shipped_segmenter_is_small_verified_and_kept_apart_from_despecklers():
    card = find_model("carotid-segmenter")
    verify_model(card)
    assert card.bytes < 2.5e6
    assert any("CC BY 4.0" in source.licence and "Momot" in source.attribution for source in card.training_data)
    assert "carotid-segmenter" not in model_names()
    assert "carotid-segmenter" in model_names("segmentation")
    assert {each.name for each in list_models(None)} >= {"carotid-segmenter", "speckle2self-small"}
    assert 0 < card.network_settings["trusted_from"] <= 1


def test_a_segmenter_does_not_despeckle_and_a_despeckler_does_not_segment():
    with pytest.raises(WeightsError, match="segments"):
        load_method(str(find_model("carotid-segmenter").path))
    with pytest.raises(WeightsError, match="despeckles"):
        VesselSegmenter.load("speckle2self-small")
    with pytest.raises(SettingsError, match="no method"):
        load_method("carotid-segmenter")


def test_weights_of_ones_own_segmenter_are_added_beside_the_built_in(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(tmp_path / "models"))
    settings = {"channels": [8, 8], "side_px": 32}
    torch.save(Segmenter((8, 8), side_px=32).state_dict(), tmp_path / "mine.pt")
    card = add_model(tmp_path / "mine.pt", details={"network_settings": settings})
    assert card.folder == tmp_path / "models" / "segmenters"
    assert VesselSegmenter.load("mine", "cpu").side_px == 32


@pytest.fixture(scope="module")
def a_simulated_carotid():
    return simulate("carotid", size_yx=(192, 192), seed=4)


def test_the_shipped_segmenter_finds_a_simulated_carotid(a_simulated_carotid):
    made = VesselSegmenter.load(device="cpu").run(a_simulated_carotid.speckled)
    assert dice(made.labels.pixels == 1, a_simulated_carotid.lumen.pixels > 0) > 0.85
    assert made.labels.same_geometry(a_simulated_carotid.speckled)


def test_the_shipped_segmenter_finds_it_despeckled_too(a_simulated_carotid):
    clean = Denoiser(load_method("median")).run(a_simulated_carotid.speckled).image
    assert (
        dice(VesselSegmenter.load(device="cpu").run(clean).labels.pixels == 1, a_simulated_carotid.lumen.pixels > 0)
        > 0.8
    )


def test_the_shipped_segmenter_does_not_trust_what_it_says_of_noise():
    noise = np.random.default_rng(3).integers(0, 255, (128, 128)).astype(np.uint8)
    assert VesselSegmenter.load(device="cpu").run(UltrasoundImage(noise, "YX")).report.trusted == []


def test_a_file_that_fails_does_not_stop_the_others(a_vessel, tmp_path):
    write_image(UltrasoundImage(a_vessel[0], "YX"), tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    files = list(segment_all(plan_labels(tmp_path, tmp_path / "out", suffix=".nrrd"), a_segmenter()))
    assert [bool(file.error) for file in files] == [False, True]
    assert (tmp_path / "out" / "a.nrrd").is_file()


def test_the_command_writes_labels_and_prints_their_quality(a_simulated_carotid, tmp_path):
    from Speckle2SelfLogic.cli import app

    write_image(a_simulated_carotid.speckled, tmp_path / "frame.mha")
    target = tmp_path / "labels.seg.nrrd"
    ran = CliRunner().invoke(app, ["segment", str(tmp_path / "frame.mha"), str(target), "--device", "cpu", "--json"])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)["report"]
    assert report["frames"][0]["score"] == pytest.approx(report["frames"][0]["score"])
    assert 0 <= report["frames"][0]["score"] <= 1
    labels = read_image(target)
    assert labels.spacing_mm[:2] == pytest.approx(a_simulated_carotid.speckled.spacing_mm)
    assert set(np.unique(labels.pixels)) == {0, 1, 2}
