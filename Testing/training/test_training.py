import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.weights import load_network
from Training import train_despeckler
from Training.losses import charbonnier, real_frame_loss, speckle_scale, supervised_loss, teacher_ensemble
from Training.pairs import random_pair, stream_pairs
from Training.settings import FrameSet, RealFrameSettings, load_settings
from Training.ship import ship_checkpoint, shipped_weights
from Training.train_despeckler import train

TINY = {
    "name": "tiny",
    "seed": 3,
    "steps": 6,
    "batch": 2,
    "crop_px": 32,
    "scene_px": 48,
    "buffer_scenes": 8,
    "checkpoint_every": 3,
    "network": {"channels": [4, 4, 8], "blocks": 1, "middle_blocks": 1},
    "real": {"sets": [{"pattern": "*.png"}], "start": 0.5, "anatomy_share": 0.5},
}


@pytest.fixture
def a_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def a_folder_of_real_frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(random_pair(900 + number, 96)[0]).save(folder / f"{number}.png")
    return folder


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


def test_the_stream_can_be_entered_anywhere():
    options = {"seed": 4, "size_px": 32, "workers": 1}
    stream = stream_pairs(0, **options)
    third = [next(stream) for _ in range(3)][2]
    stream.close()
    stream = stream_pairs(2, **options)
    np.testing.assert_array_equal(next(stream)[0], third[0])
    stream.close()


def test_a_stopped_training_goes_on_where_it_stopped(a_recipe, a_folder_of_real_frames, tmp_path, monkeypatch):
    settings, cpu, done = load_settings(a_recipe), torch.device("cpu"), []
    one_step = train_despeckler._one_step

    def counted(run, *arguments):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(run.step)
        return one_step(run, *arguments)

    monkeypatch.setattr(train_despeckler, "_one_step", counted)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "run", a_folder_of_real_frames, cpu)
    monkeypatch.setattr(train_despeckler, "_one_step", lambda run, *rest: done.append(run.step) or one_step(run, *rest))
    run = train(settings, tmp_path / "run", a_folder_of_real_frames, cpu)
    assert done == [0, 1, 2, 3, 4, 3, 4, 5]  # the checkpoint was written after step 3
    assert run.step == settings.steps
    assert run.teacher is not None
    assert run.optimiser.state_dict()["state"][0]["step"] == settings.steps


def test_a_finished_training_is_not_changed_by_the_same_command(a_recipe, a_folder_of_real_frames, tmp_path):
    settings, cpu = load_settings(a_recipe), torch.device("cpu")
    first, again = (train(settings, tmp_path / "run", a_folder_of_real_frames, cpu) for _ in range(2))
    for before, after in zip(first.average.parameters(), again.average.parameters(), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_a_run_is_shipped_as_a_model_that_loads_strictly(a_recipe, a_folder_of_real_frames, tmp_path):
    settings = load_settings(a_recipe)
    run = train(settings, tmp_path / "run", a_folder_of_real_frames, torch.device("cpu"))
    folder = tmp_path / "models"
    for _ in range(2):  # a new version takes the place of the old one
        card = ship_checkpoint(run.checkpoint, settings, a_recipe, folder)
    assert card.metrics["simulated_held_out"]["pairs"] > 0
    network, read = load_network(str(folder / "tiny.json"))
    assert read.sha256 == card.sha256
    frames = torch.rand(1, 1, 33, 47)
    with torch.inference_mode():
        torch.testing.assert_close(network(frames), run.average(frames))


def test_shipped_weights_lie_on_the_line_from_the_teacher_through_the_adapted_network():
    state = {"teacher": {"w": torch.tensor([1.0])}, "average": {"w": torch.tensor([3.0])}}
    for adaptation, expected in ((0, 1), (1, 3), (2, 5)):
        assert shipped_weights(state, adaptation)["w"] == expected
    assert shipped_weights({**state, "teacher": None}, 2)["w"] == 3


def test_supervised_loss_is_zero_for_the_truth_and_sees_blur():
    truth = torch.zeros(1, 1, 16, 16)
    truth[..., 8:, :] = 1
    blurred = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
    assert supervised_loss(truth, truth, 1.0, 0.05) == pytest.approx(0, abs=1e-6)
    assert supervised_loss(blurred, truth, 1.0, 0.05) > supervised_loss(blurred, truth, 0.0, 0.05) > 0


def test_an_ambiguous_line_is_answered_by_its_mean_not_by_a_decision():
    # A faint line (0.04) is there in 40 of 100 cases. L1 would answer 0; the quadratic part answers 0.016.
    cases = torch.tensor([0.04] * 40 + [0.0] * 60)
    answers = torch.linspace(0, 0.04, 401)
    losses = torch.stack([charbonnier(answer - cases, 0.05) for answer in answers])
    assert answers[losses.argmin()] == pytest.approx(0.016, abs=0.002)


def test_speckle_scale_follows_the_width_of_the_speckle():
    generator = torch.Generator().manual_seed(0)
    fine = torch.rand(1, 1, 128, 128, generator=generator)
    coarse = torch.nn.functional.interpolate(fine[..., :32, :32], scale_factor=4, mode="bilinear")
    assert speckle_scale(fine) == pytest.approx(0.5)
    assert speckle_scale(coarse) < 0.3


def test_real_frame_terms_vanish_for_a_flat_frame_and_pull_towards_the_teacher():
    generator = torch.Generator().manual_seed(0)
    weights = RealFrameSettings()
    flat = torch.full((1, 1, 64, 64), 0.4)
    assert real_frame_loss(lambda x: x, lambda x: x, flat, weights, generator) == pytest.approx(0, abs=1e-6)
    assert real_frame_loss(lambda x: x + 0.1, lambda x: x, flat, weights, generator) > 0.05


def test_the_coarse_branch_follows_the_fine_one_and_not_the_other_way_round():
    frames = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    offsets = iter(fine_and_coarse := [torch.tensor(0.1, requires_grad=True), torch.tensor(0.2, requires_grad=True)])
    weights = RealFrameSettings(brightness=0, consistency=1, teacher=0, flatness=0)
    generator = torch.Generator().manual_seed(0)
    real_frame_loss(lambda x: x + next(offsets), lambda x: x, frames, weights, generator).backward()
    assert fine_and_coarse[0].grad == 0
    assert fine_and_coarse[1].grad != 0


def test_the_teacher_ensemble_of_an_identity_is_the_frame():
    frames = torch.rand(1, 1, 40, 40)
    torch.testing.assert_close(teacher_ensemble(lambda x: x, frames, torch.Generator().manual_seed(1)), frames)


@pytest.mark.parametrize(
    ("change", "part"),
    [({"stepz": 3}, "unknown keys \\['stepz'\\]"), ({"real": {"sets": [{"glob": "x"}]}}, "unknown keys \\['glob'\\]")],
)
def test_a_misspelt_setting_is_named(tmp_path, change, part):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**TINY, **change}))
    with pytest.raises(SettingsError, match=part):
        load_settings(path)


def test_missing_real_frames_are_named(a_recipe, tmp_path):
    with pytest.raises(SettingsError, match=r"'\*.png'.*give --data"):
        train(load_settings(a_recipe), tmp_path / "run", tmp_path / "nowhere", torch.device("cpu"))


def test_settings_read_nested_sets(a_recipe):
    assert load_settings(a_recipe).real.sets == (FrameSet(pattern="*.png"),)
