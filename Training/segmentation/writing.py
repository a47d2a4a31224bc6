"""Write what a comparison found: a CSV with every person's scores, figures, one HTML page, and a page of Markdown."""

from __future__ import annotations

import base64
import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.comparison import software_line
from Speckle2SelfLogic.errors import SettingsError
from Training.evidence.rows import file_name, write_whole
from Training.evidence.tables import markdown
from Training.segmentation.cells import OWN, SWAPPED, UNSEEN, Scored
from Training.segmentation.figures import paired_figure, sizes_figure
from Training.segmentation.findings import Difference, SubjectMeans, differences, sentences, subject_means
from Training.segmentation.running import Comparison
from Training.segmentation.scores import FIGURES

REPORT, TABLE = "report.html", "segmentation.csv"
DASH = "-"
_COLUMNS = ("trained_on", "training_images", "test", "data", "images", "label", "subject", "frames", *FIGURES, "unit")
_HEADS = ("images", "training", "Dice", "difference", "p (Holm)", "IoU", "HD95", "ASSD", "missed")


@dataclass(frozen=True)
class Section:
    """One table of the report: a test on one data set and one label, with its figures."""

    title: str
    note: str
    rows: tuple[tuple[str, ...], ...]
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Everything that the report shows."""

    title: str
    sentences: tuple[str, ...]
    facts: tuple[str, ...]
    sections: tuple[Section, ...]


def write_findings(comparison: Comparison, scored: Sequence[Scored]) -> Findings:
    """Write CSV, figures and report into the comparison's folder, and return what they say.

    Raises
    ------
    SettingsError
        If no cell is finished, or Jinja2 is missing.
    """
    found = findings(comparison, scored)
    out = comparison.out
    write_whole(out / TABLE, table(subject_means(scored)))
    write_whole(out / REPORT, html(found))
    return found


def write_page(comparison: Comparison, found: Findings, docs: Path) -> Path:
    """Write ``segmentation.md``, ``segmentation.csv`` and figures into a folder of documents, and return the page."""
    command = "speckle2self segment-compare CONFIG --data FOLDER --out RUN --docs DOCS"
    page = markdown_page(found, TABLE).split("\n", 1)
    text = f"{page[0]}\n\nWritten by `{command}`; nothing here is typed by hand.\n{page[1]}"
    write_whole(docs / "segmentation.md", text)
    write_whole(docs / TABLE, (comparison.out / TABLE).read_text(encoding="utf-8"))
    (docs / "figures").mkdir(exist_ok=True)
    for section in found.sections:
        for path in section.pictures:
            shutil.copyfile(path, docs / "figures" / path.name)
    return docs / "segmentation.md"


def findings(comparison: Comparison, scored: Sequence[Scored]) -> Findings:
    """Gather what the report shows, and draw its figures.

    Raises
    ------
    SettingsError
        If no cell is finished.
    """
    if not scored:
        message = f"'{comparison.out}' holds no finished network yet; run the comparison first."
        raise SettingsError(message)
    means = subject_means(scored)
    compared = differences(means)
    keys = dict.fromkeys((each.group.data, each.group.test, each.group.label, each.group.trained_on) for each in means)
    order = (OWN, SWAPPED, UNSEEN)
    sections = [
        _section(means, compared, key, comparison.out / "figures")
        for key in sorted(keys, key=lambda key: (order.index(key[1]) == 2, list(keys).index(key)))
    ]
    return Findings(
        comparison.plan.title, tuple(sentences(means, compared)), tuple(_facts(comparison, scored)), tuple(sections)
    )


def table(means: Sequence[SubjectMeans]) -> str:
    """Return a CSV with one line for each person of each group."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in means:
        group = each.group
        for person, frames in each.frames.items():
            figures = [each.figures[figure].get(person) for figure in FIGURES]
            values = ["" if value is None else f"{value:.5g}" for value in figures]
            start = (group.trained_on, group.size, group.test, group.data, group.images, group.label, person, frames)
            writer.writerow([*start, *values, group.unit])
    return text.getvalue()


def html(found: Findings) -> str:
    """Return the report as one page that needs no network.

    Raises
    ------
    SettingsError
        If Jinja2 is missing.
    """
    try:
        import jinja2
    except ImportError as error:
        message = 'An HTML report needs Jinja2; install it with: pip install "speckle2self[report]".'
        raise SettingsError(message) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    uri = {path: _data_uri(path) for section in found.sections for path in section.pictures}
    page: str = environment.get_template("report.html.j2").render(
        found=found, heads=_HEADS, uri=uri, notice=RESEARCH_USE
    )
    return page


def markdown_page(found: Findings, table_name: str, folder: str = "figures") -> str:
    """Return the findings as Markdown."""
    parts = [f"# {found.title}\n", f"**{RESEARCH_USE}**\n", "\n".join(f"- {text}" for text in found.sentences) + "\n"]
    parts += [
        "\n".join(f"- {fact}" for fact in found.facts) + "\n",
        f"Every subject's scores: [{table_name}]({table_name}).\n",
    ]
    for section in found.sections:
        parts += [f"## {section.title}\n", f"{section.note}\n", markdown(_HEADS, section.rows)]
        parts += [f"![{section.title}]({folder}/{path.name})\n" for path in section.pictures]
    return "\n".join(parts)


def _section(
    means: Sequence[SubjectMeans], compared: Sequence[Difference], key: tuple[str, str, str, str], folder: Path
) -> Section:
    data, test, label, trained_on = key
    groups = [(each, each.group) for each in means]
    own = [each for each, group in groups if (group.data, group.test, group.label, group.trained_on) == key]
    by_group = {(each.group, each.figure): each for each in compared}
    rows = []
    for each in sorted(own, key=lambda each: (each.group.size != "all", -_number(each.group.size))):
        difference = by_group.get((each.group, "dice"))
        numbers = [_text(each.mean(figure)) for figure in FIGURES]
        rows.append(
            (
                each.group.images,
                each.group.size,
                numbers[0],
                _interval(difference),
                DASH if difference is None else f"{difference.p_holm:.3g}",
                *numbers[1:],
                f"{each.missed}",
            )
        )
    people = max(len(each.frames) for each in own)
    frames = max(sum(each.frames.values()) for each in own)
    note = f"n = {people} subjects, {frames} frames; distances in {own[0].group.unit}; means over subjects. "
    pictures = []
    if test == OWN:
        stem = file_name(f"{data}-{label}")
        for draw, name in ((paired_figure, "paired"), (sizes_figure, "sizes")):
            path = folder / f"segmentation-{stem}-{name}.png"
            if draw(means, data, label, path):
                pictures.append(path)
    title = f"{data}, {label}: {_TESTS[test]}" + (f", by networks trained on {trained_on}" if test == UNSEEN else "")
    return Section(title, note + _NOTES[test], tuple(rows), tuple(pictures))


_TESTS: Mapping[str, str] = {
    OWN: "each network on its own kind of image",
    SWAPPED: "trained on originals, given despeckled images",
    UNSEEN: "data not seen in training",
}
_NOTES: Mapping[str, str] = {
    OWN: "The difference is to the network trained and tested on originals.",
    SWAPPED: "The difference is to the same network on originals.",
    UNSEEN: "Mean over the networks of all folds. The difference is to the networks trained and tested on originals.",
}


def _facts(comparison: Comparison, scored: Sequence[Scored]) -> list[str]:
    plan, minutes = comparison.plan, sum(each.seconds for each in scored) / 60
    facts = [
        f"{len(scored)} of {len(comparison.cells)} networks are trained: the table is "
        + ("complete." if len(scored) == len(comparison.cells) else "a part; the same command goes on."),
        f"Every network: the UNet of configs/segment.yaml, {plan.steps} steps of {plan.batch} pictures, "
        f"{plan.side_px} px, seed {plan.seed} plus the fold's number. Augmentation, initial weights and the order of "
        "the pictures are the same for every method.",
        f"Methods: {', '.join(method.name for method in plan.methods)}.",
        f"Made with {software_line()}; {minutes:.0f} minutes of training and testing.",
        "Intervals: 95 %, bootstrap over subjects. p: Wilcoxon's signed-rank test over subjects, two-sided, Holm's "
        "correction over the methods of one table and training size.",
        "Missed: frames in which nothing was found. They count as Dice 0 and have no part in distances.",
    ]
    facts += plan.notes
    for data in plan.data:
        frames = comparison.frames[data.name]
        people = len({frame.subject for frame in frames})
        folds = "not trained on" if data.unseen else f"{len(comparison.folds[data.name])} folds by subject"
        who = "subjects unknown" if data.subject == "unknown" else f"{people} subjects"
        facts.append(f"{data.name}: {len(frames)} frames, {who} (rule: {data.subject}), {folds}.")
    return facts


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return DASH
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.3f}"
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _text(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def _number(size: str) -> int:
    return int(size) if size.isdigit() else 0


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
