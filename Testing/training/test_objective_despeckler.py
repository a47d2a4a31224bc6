import pytest
import torch
from torch import nn

from Training.objectives.despeckler import (
    Despeckling,
    RealFrameWeights,
    charbonnier,
    flat_loss,
    real_frame_loss,
    supervised_loss,
    teacher_answer,
)
from Training.objectives.speckle_size import speckle_scale

ONLY = {"brightness": 0, "consistency": 0, "teacher": 0, "flatness": 0, "insertion": 0}


def some_frames(side=64):
    return torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))


def test_supervised_loss_is_zero_for_the_truth_and_sees_blur():
    truth = torch.zeros(1, 1, 16, 16)
    truth[..., 8:, :] = 1
    blurred = nn.functional.avg_pool2d(truth, 3, 1, 1)
    assert supervised_loss(truth, truth, 1.0, 0.05) == pytest.approx(0, abs=1e-6)
    assert supervised_loss(blurred, truth, 1.0, 0.05) > supervised_loss(blurred, truth, 0.0, 0.05) > 0


def test_a_constant_difference_costs_its_charbonnier_distance_alone():
    truth = torch.zeros(1, 1, 8, 8)
    expected = (0.3**2 + 0.4**2) ** 0.5 - 0.4
    assert supervised_loss(truth + 0.3, truth, 1.0, 0.4) == pytest.approx(expected, abs=1e-6)


def test_an_ambiguous_line_is_answered_by_its_mean_not_by_a_decision():
    # A faint line (0.04) is there in 40 of 100 cases. L1 would answer 0; the quadratic part answers 0.016.
    cases = torch.tensor([0.04] * 40 + [0.0] * 60)
    answers = torch.linspace(0, 0.04, 401)
    losses = torch.stack([charbonnier(answer - cases, 0.05) for answer in answers])
    assert answers[losses.argmin()] == pytest.approx(0.016, abs=0.002)


def test_speckle_scale_follows_the_width_of_the_speckle():
    fine = some_frames(128)
    coarse = nn.functional.interpolate(fine[..., :32, :32], scale_factor=4, mode="bilinear")
    assert speckle_scale(fine) == pytest.approx(0.5)
    assert speckle_scale(coarse) < 0.3


def test_real_frame_terms_vanish_for_a_flat_frame_and_pull_towards_the_teacher():
    weights = RealFrameWeights(insertion=0)
    flat = torch.full((1, 1, 64, 64), 0.4)
    assert real_frame_loss(lambda x: x, lambda x: x, flat, weights) == pytest.approx(0, abs=1e-6)
    assert real_frame_loss(lambda x: x + 0.1, lambda x: x, flat, weights) > 0.05


def test_the_coarse_branch_follows_the_fine_one_and_not_the_other_way_round():
    offsets = iter(fine_and_coarse := [torch.tensor(0.1, requires_grad=True), torch.tensor(0.2, requires_grad=True)])
    weights = RealFrameWeights(**{**ONLY, "consistency": 1})
    real_frame_loss(lambda x: x + next(offsets), lambda x: x, some_frames(), weights).backward()
    assert fine_and_coarse[0].grad == 0
    assert fine_and_coarse[1].grad != 0


def test_one_pass_of_an_identity_as_teacher_is_the_frame():
    frames = some_frames(40)
    torch.testing.assert_close(teacher_answer(lambda x: x, frames, passes=1), frames)


def test_a_batch_without_real_frames_costs_what_simulation_costs():
    objective = Despeckling(real=dict(ONLY), teacher=nn.Identity(), inserted_share=0, clean_share=0)
    batch = {"speckled": some_frames(), "truth": some_frames().flip(3)}
    expected = supervised_loss(batch["speckled"], batch["truth"], 1.0, 0.012)
    torch.testing.assert_close(objective(nn.Identity(), batch), expected)


def test_clean_frames_take_the_place_of_their_share_of_the_speckled_ones():
    seen = []
    batch = {"speckled": torch.zeros(4, 1, 16, 16), "truth": torch.ones(4, 1, 16, 16)}
    Despeckling(inserted_share=0, clean_share=0.25)(lambda x: seen.append(x) or x, batch)
    assert seen[0].mean((1, 2, 3)).tolist() == [0, 0, 0, 1]


def test_a_line_drawn_where_the_truth_is_flat_costs_the_square_of_its_contrast_and_the_same_line_of_the_truth_nothing():
    flat = torch.full((1, 1, 16, 16), 0.3)
    faint, strong = flat.clone(), flat.clone()
    faint[..., 8, :] += 2 / 255
    strong[..., 8, :] += 20 / 255
    assert float(flat_loss(faint, flat)) == pytest.approx(2 * 2**2 / 15, rel=1e-4)
    assert float(flat_loss(strong, flat)) == pytest.approx(100 * float(flat_loss(faint, flat)), rel=1e-3)
    assert float(flat_loss(strong, strong)) == pytest.approx(0, abs=1e-6)


def test_further_passes_of_the_teacher_keep_the_clear_detail_of_its_first_answer_and_raise_it():
    calls = []

    def teacher(frames):  # the first pass leaves a frame as it is, every further one wipes it flat
        calls.append(frames)
        return frames if len(calls) == 1 else torch.full_like(frames, 0.3)

    frames = torch.full((1, 1, 48, 48), 0.3)
    frames[..., 20:22, :] = 0.6
    frames[..., 40:42, :] = 0.305
    answer = teacher_answer(teacher, frames, passes=2, detail=0.5)
    assert answer[0, 0, 20, 24] > 0.62
    assert float((answer[0, 0, 34:, :] - 0.3).abs().max()) < 0.01
    calls.clear()
    assert float(teacher_answer(teacher, frames, passes=2)[0, 0, 20, 24]) < 0.35


def test_real_frames_may_be_named_by_their_set_and_come_from_its_training_subjects_alone(tmp_path):
    from PIL import Image

    from Training.datasets.splits import split_frames
    from Training.real_frames import load_frames

    folder = tmp_path / "muscle_ge_logiq_e9"
    folder.mkdir()
    for number in range(6):
        Image.new("L", (8, 8), number).save(folder / f"S{number}_a.png")
    wanted = {int(frame.path.name[1]) for frame in split_frames(tmp_path, "muscle_ge_logiq_e9")["train"]}
    drawn = {int(frame[0, 0]) for frame in load_frames(tmp_path, [{"set": "muscle_ge_logiq_e9"}]).frames}
    assert drawn == wanted != set(range(6))
