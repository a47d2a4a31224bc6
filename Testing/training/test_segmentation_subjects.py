from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Speckle2SelfLogic.errors import SettingsError
from Testing.training.segmentation_data import set_plan, small_plan, write_set
from Training.segmentation.running import Comparison
from Training.segmentation.subjects import Fold, at_most, check_no_leak, folds_of, in_turn, spread, subject_of


@dataclass(frozen=True)
class Shown:
    subject: str
    number: int


PEOPLE = st.sets(st.text("abcdefgh", min_size=1, max_size=4), min_size=2, max_size=12)


@settings(max_examples=40, deadline=None)
@given(PEOPLE, st.integers(2, 6))
def test_every_person_is_tested_once_and_never_on_both_sides(people, count):
    folds = folds_of(people, count)
    assert Counter(name for fold in folds for name in fold.test) == Counter(people)
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert set(fold.train) | set(fold.test) == people


def test_a_person_on_both_sides_is_named():
    with pytest.raises(SettingsError, match="Subject 'B' is in training and test at once"):
        check_no_leak([Shown("A", 1), Shown("B", 1)], [Shown("B", 2), Shown("C", 1)])


def test_a_comparison_with_a_leak_refuses_to_start(tmp_path, monkeypatch):
    both = (Fold(0, ("discs/P0", "discs/P1"), ("discs/P1", "discs/P2")),)
    monkeypatch.setattr("Training.segmentation.running.folds_of", lambda *_: both)
    with pytest.raises(SettingsError, match=r"P1.*so nothing was trained"):
        Comparison(small_plan(set_plan(write_set(tmp_path / "set"))), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


def test_the_same_picture_under_two_persons_is_found(tmp_path):
    write_set(tmp_path / "set")
    for part in ("images", "masks"):
        source = tmp_path / "set" / part / "P0_0.png"
        (tmp_path / "set" / part / "P9_0.png").write_bytes(source.read_bytes())
    with pytest.raises(SettingsError, match="in training and test at once under two names"):
        Comparison(small_plan(set_plan(tmp_path / "set"), folds=5), tmp_path / "out")


def test_a_training_picture_in_an_unseen_set_is_found(tmp_path):
    first = set_plan(write_set(tmp_path / "set"))
    again = set_plan(write_set(tmp_path / "again", subjects=1), "again", unseen=True)
    with pytest.raises(SettingsError, match="under two names"):
        Comparison(small_plan(first, again), tmp_path / "out")


def test_a_set_in_which_nobody_knows_who_is_who_is_not_divided(tmp_path):
    with pytest.raises(SettingsError, match="cannot be divided by subject"):
        set_plan(tmp_path, subject="unknown")


def test_a_file_name_that_does_not_follow_the_rule_is_named():
    with pytest.raises(SettingsError, match=r"'x\.png' of 'mine' does not tell its subject"):
        subject_of(Path("x.png"), r"(P\d+)_", "mine")


def test_each_file_is_a_person_only_where_that_is_stated():
    assert subject_of(Path("deep/x.png"), "file", "mine") == "x.png"
    assert subject_of(Path("P3_x.png"), r"(P\d+)_", "mine") == "P3"


def test_one_person_cannot_be_divided():
    with pytest.raises(SettingsError, match="need 2 subjects"):
        folds_of({"A"}, 4)


def test_few_images_show_many_persons_and_begin_larger_numbers():
    items = [Shown(name, number) for name in "ABC" for number in range(8)]
    ordered = in_turn(items)
    assert sorted(item.subject for item in ordered[:3]) == ["A", "B", "C"]
    assert sorted(ordered, key=lambda item: (item.subject, item.number)) == items
    own = [item.number for item in ordered if item.subject == "A"]
    assert own == [0, 4, 2, 6, 1, 5, 3, 7]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_spreading_keeps_every_item(count):
    assert sorted(item.number for item in spread([Shown("A", n) for n in range(count)])) == list(range(count))


def test_at_most_so_many_of_each_person_are_kept_evenly():
    items = [Shown(name, number) for name in "AB" for number in range(9)]
    assert [item.number for item in at_most(items, 3)] == [1, 4, 7] * 2
    assert at_most(items, None) == items
