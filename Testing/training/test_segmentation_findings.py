import numpy as np
import pytest
from scipy import stats

from Training.evidence.statistics import holm
from Training.segmentation.cells import OWN, SWAPPED, Cell, Row, Scored
from Training.segmentation.figures import paired_figure
from Training.segmentation.findings import confidence_interval, differences, sentences, subject_means


def scored(method, dice_of, test=OWN, images=None, frames=1):
    rows = tuple(
        Row(test, "neck", images or method, f"{person}_{n}", person, "lumen", "mm",
            {"dice": dice, "iou": dice / (2 - dice), "hd95": None if dice == 0 else 1 - dice, "assd": None})
        for person, dice in dice_of.items() for n in range(frames)
    )  # fmt: skip
    return Scored(Cell("neck", method, 0, 0), {}, rows)


def people(values):
    return {f"P{number:02d}": value for number, value in enumerate(values)}


BASE = np.linspace(0.7, 0.9, 12)


@pytest.fixture
def a_better_and_an_equal_method():
    rng = np.random.default_rng(1)
    return [
        scored("original", people(BASE)),
        scored("better", people(BASE + rng.uniform(0.01, 0.03, 12))),
        scored("equal", people(BASE + rng.normal(0, 0.01, 12) * np.resize([1, -1], 12))),
    ]


def found_by(items, figure="dice"):
    return {each.group.images: each for each in differences(subject_means(items)) if each.figure == figure}


def test_differences_are_those_of_scipy_over_subjects(a_better_and_an_equal_method):
    found = found_by(a_better_and_an_equal_method)
    first, second = ([row.figures["dice"] for row in a_better_and_an_equal_method[n].rows] for n in (1, 2))
    p = [stats.wilcoxon(np.array(values) - BASE).pvalue for values in (first, second)]
    assert [found[name].p for name in ("better", "equal")] == pytest.approx(p)
    assert [found[name].p_holm for name in ("better", "equal")] == pytest.approx(holm(p))
    assert found["better"].mean == pytest.approx(np.mean(np.array(first) - BASE))
    assert found["better"].low < found["better"].mean < found["better"].high


def test_a_sure_difference_is_better_or_worse_and_a_small_one_is_not_shown(a_better_and_an_equal_method):
    found = found_by(a_better_and_an_equal_method)
    assert (found["better"].verdict, found["equal"].verdict) == ("better", "not shown")
    distances = found_by(a_better_and_an_equal_method, "hd95")
    assert distances["better"].verdict == "better"
    assert distances["better"].mean < 0
    turned = [scored("original", people(BASE + 0.05)), scored("harmful", people(BASE))]
    assert found_by(turned)["harmful"].verdict == "worse"


def test_it_is_said_plainly_that_despeckling_does_not_help(a_better_and_an_equal_method):
    items = [a_better_and_an_equal_method[0], a_better_and_an_equal_method[2]]
    means = subject_means(items)
    (sentence,) = sentences(means, differences(means))
    assert "n = 12 subjects" in sentence
    assert "despeckling is not shown to help here" in sentence


def test_few_subjects_are_said_to_be_too_few():
    items = [scored("original", people([0.5, 0.6, 0.7])), scored("better", people([0.9, 0.95, 0.99]))]
    means = subject_means(items)
    (sentence,) = sentences(means, differences(means))
    assert "no difference can be told from chance (the least p is 0.25)" in sentence


def test_a_subject_with_many_frames_counts_as_much_as_one_with_one():
    items = [scored("original", {"A": 0.9}, frames=9), scored("original", {"B": 0.5})]
    (means,) = subject_means(items)
    assert means.mean("dice") == pytest.approx(0.7)
    assert means.frames == {"A": 9, "B": 1}


def test_frames_in_which_nothing_was_found_are_counted():
    (means,) = subject_means([scored("original", {"A": 0.0, "B": 0.8})])
    assert means.missed == 1
    assert means.figures["hd95"] == {"B": pytest.approx(0.2)}
    assert means.figures["dice"]["A"] == 0.0


def test_despeckled_images_given_to_the_network_of_the_originals_are_compared_with_its_originals():
    items = [scored("original", people(BASE)), scored("original", people(BASE - 0.1), SWAPPED, "median")]
    (found,) = (each for each in differences(subject_means(items)) if each.figure == "dice")
    assert found.mean == pytest.approx(-0.1)
    assert found.group.test == SWAPPED


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(40):
        low, high = confidence_interval(rng.normal(0.3, 1, 30))
        covered += low <= 0.3 <= high
    assert covered >= 33
    assert confidence_interval(np.array([0.1, 0.2])) == (None, None)


def test_every_subject_has_a_line_in_the_figure(a_better_and_an_equal_method, tmp_path, monkeypatch):
    from Training.segmentation import figures

    drawn = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, _: drawn.append(figure))
    assert paired_figure(subject_means(a_better_and_an_equal_method), "neck", "lumen", tmp_path / "x.png")
    first = drawn[0].axes[0]
    assert len(first.lines) == 12 + 1
    np.testing.assert_allclose(first.lines[0].get_ydata()[0], BASE[0])
