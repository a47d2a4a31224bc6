"""What the scores say: means over persons, differences to the originals, and whether they could be chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from Training.evidence.statistics import holm, paired_test
from Training.segmentation.cells import OWN, SWAPPED, Row, Scored
from Training.segmentation.plan import ORIGINAL
from Training.segmentation.scores import DISTANCES, FIGURES

FEWEST_SUBJECTS = 6
"""With fewer persons the two-sided signed-rank test cannot come below 0.05: its smallest value is 2 / 2 ** n."""
LEVEL = 0.05
RESAMPLES = 9999
_Values = dict[str, float]


@dataclass(frozen=True)
class Group:
    """One line of a table: a test, the set it is made on, who prepared the images, how many were trained on."""

    trained_on: str
    test: str
    data: str
    images: str
    size: str
    label: str
    unit: str


@dataclass(frozen=True)
class SubjectMeans:
    """Mean scores of one group, by person, and how often nothing was found."""

    group: Group
    figures: Mapping[str, _Values]
    """Figure to person to the mean over that person's frames. Frames without a distance have no part in it."""
    frames: Mapping[str, int]
    """Frames that show the label, by person."""
    missed: int
    """Frames that show the label, in which the network did not find it; they have no distance and Dice 0."""

    def mean(self, figure: str) -> float | None:
        """Return the mean over persons."""
        values = list(self.figures[figure].values())
        return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class Difference:
    """A group against the originals on the same persons, first minus second, for one figure."""

    group: Group
    figure: str
    mean: float
    low: float | None
    high: float | None
    """95 % confidence interval of the mean, by the bootstrap over persons; None with fewer than three."""
    p: float
    """Two-sided, Wilcoxon's signed-rank test."""
    p_holm: float
    """Corrected for the methods that are compared with the originals beside this one."""
    subjects: int

    @property
    def key(self) -> tuple[str, ...]:
        """What is the same for all methods that are compared with each other."""
        group = self.group
        return group.trained_on, group.test, group.data, group.label, group.size, self.figure

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``not shown``."""
        is_sure = self.p_holm < LEVEL and self.low is not None and self.high is not None
        if not is_sure or (self.low or 0) <= 0 <= (self.high or 0):
            return "not shown"
        return "better" if (self.mean > 0) != (self.figure in DISTANCES) else "worse"


def subject_means(scored: Iterable[Scored]) -> list[SubjectMeans]:
    """Gather the rows of all folds by group and person.

    A person's frames are averaged first, so that nobody counts more because of more frames. On unseen data every fold
    has a network; a person's mean is over all of them.
    """
    rows: dict[Group, list[Row]] = {}
    for each in scored:
        for row in each.rows:
            key = Group(each.cell.data, row.test, row.data, row.images, each.cell.size, row.label, row.unit)
            rows.setdefault(key, []).append(row)
    return [_means(group, own) for group, own in rows.items()]


def differences(means: Sequence[SubjectMeans]) -> list[Difference]:
    """Compare every group with the originals: same training size, same persons, originals prepared and trained on."""
    by_group = {each.group: each for each in means}
    families: dict[tuple[str, ...], list[Difference]] = {}
    for each in means:
        group = each.group
        base = replace(group, images=ORIGINAL, test=OWN if group.test == SWAPPED else group.test)
        if group.images == ORIGINAL or base not in by_group:
            continue
        for figure in FIGURES:
            found = _difference(each, by_group[base], figure)
            if found is not None:
                families.setdefault(found.key, []).append(found)
    corrected = []
    for family in families.values():
        for each, p in zip(family, holm([each.p for each in family]), strict=True):
            corrected.append(replace(each, p_holm=p))
    return corrected


def sentences(means: Sequence[SubjectMeans], found: Sequence[Difference]) -> list[str]:
    """Say in plain words what despeckling did to Dice, for each data set, test and label at full training size."""
    texts = []
    keys = dict.fromkeys(
        (each.group.trained_on, each.group.test, each.group.data, each.group.label)
        for each in found
        if each.group.size == "all" and each.figure == "dice"
    )
    for trained_on, test, data, label in keys:
        wanted = (trained_on, test, data, label, "all", "dice")
        own = [each for each in found if each.key == wanted]
        base = next(
            each.mean("dice")
            for each in means
            if each.group == replace(own[0].group, images=ORIGINAL, test=OWN if test == SWAPPED else test)
        )
        texts.append(_sentence(own, _setting(trained_on, test, data), label, base))
    return texts


def _sentence(own: Sequence[Difference], setting: str, label: str, base: float | None) -> str:
    n = own[0].subjects
    listed = ", ".join(f"{each.group.images} {each.mean:+.3f}" for each in own)
    better = [each.group.images for each in own if each.verdict == "better"]
    worse = [each.group.images for each in own if each.verdict == "worse"]
    start = f"{setting}, {label}, n = {n} subjects: Dice {base:.3f} on originals; difference {listed}."
    if better or worse:
        parts = [f"better with {', '.join(better)}"] * bool(better) + [f"worse with {', '.join(worse)}"] * bool(worse)
        return f"{start} Beyond chance {' and '.join(parts)}; not shown for the others."
    if n < FEWEST_SUBJECTS:
        return f"{start} With {n} subjects no difference can be told from chance (the least p is {2 / 2**n:.3g})."
    return f"{start} No method differs from the originals beyond chance: despeckling is not shown to help here."


def _setting(trained_on: str, test: str, data: str) -> str:
    if test == OWN:
        return f"{data}, each network on its own kind of image"
    if test == SWAPPED:
        return f"{data}, the network trained on originals given despeckled images"
    return f"{data}, not seen in training, by networks trained on {trained_on}"


def _means(group: Group, rows: Sequence[Row]) -> SubjectMeans:
    shown = [row for row in rows if row.figures["dice"] is not None]
    people = dict.fromkeys(row.subject for row in shown)
    figures: dict[str, _Values] = {}
    for figure in FIGURES:
        of_person = {
            person: [value for row in shown if row.subject == person and (value := row.figures[figure]) is not None]
            for person in people
        }
        figures[figure] = {person: float(np.mean(values)) for person, values in of_person.items() if values}
    frames = {person: len({row.item for row in shown if row.subject == person}) for person in people}
    missed = sum(row.figures["hd95"] is None for row in shown)
    return SubjectMeans(group, figures, frames, missed)


def _difference(first: SubjectMeans, second: SubjectMeans, figure: str) -> Difference | None:
    test = paired_test(first.figures[figure], second.figures[figure])
    if test is None:
        return None
    shared = sorted(first.figures[figure].keys() & second.figures[figure].keys())
    values = np.array([first.figures[figure][name] - second.figures[figure][name] for name in shared])
    low, high = confidence_interval(values)
    return Difference(first.group, figure, test.mean_difference, low, high, test.p, test.p, test.count)


def confidence_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % percentile bootstrap interval of a mean (Efron, Annals of Statistics 7(1), 1979).

    None with fewer than three values, since their resamples say nothing.
    """
    if len(values) < 3:
        return None, None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    rng = np.random.default_rng(0)
    found = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, method="percentile", random_state=rng)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
