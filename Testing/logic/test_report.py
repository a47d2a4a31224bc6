"""The report page and its pictures: complete, readable, safe, and honest about what was not measured."""

import base64
import io
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from Speckle2SelfLogic.errors import ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.report import (
    RESEARCH_NOTICE,
    ComparisonCase,
    MethodResult,
    write_report,
)

DASH = "\N{EN DASH}"
CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
HOSTILE = "<script>alert('x')</script>\"&'"


@dataclass(frozen=True)
class AFigure:
    title: str
    unit: str
    better: str
    definition: str


SNR = AFigure("Tissue SNR", "", "higher", "Mean by standard deviation.")
RISE = AFigure("Edge rise", "px", "lower", "Width of an edge.")
MEAN = AFigure("Mean grey", "", "neither", "Mean of the frame.")
FIGURES = {"snr": SNR, "rise": RISE, "mean grey": MEAN}


@pytest.fixture
def a_frame():
    return np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


@pytest.fixture
def a_case(a_frame):
    results = (
        a_result("first", a_frame // 2, 0.004, {"snr": 2.0, "rise": 3.0, "mean grey": 60.0}),
        a_result("second", a_frame + 10, 0.010, {"snr": 5.0, "rise": None, "mean grey": 61.0}),
    )
    return ComparisonCase(
        title="Carotid", input_yx=a_frame, lowest=0, highest=255, results=results, input_figures={"snr": 1.0}
    )


def a_result(name, frame_yx, seconds=0.004, figures=None):
    return MethodResult(
        name=name,
        title=f"The {name} method",
        citation="Author 1999",
        frame_yx=frame_yx,
        seconds_per_frame=seconds,
        figures=figures or {},
        parameters={"window_px": 5},
    )


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.code: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, _tag):
        self._open = ""

    def handle_data(self, data):
        (self.code if self._open in ("script", "style") else self.words).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def pictures(self) -> dict[str, Image.Image]:
        return {tag["data-key"]: picture_of(tag["src"]) for tag in self.all("img")}


def picture_of(uri: str) -> Image.Image:
    kind, encoded = re.fullmatch(r"data:image/(png|jpeg);base64,(.+)", uri).groups()
    picture = Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))
    picture.load()
    assert picture.format == kind.upper()
    return picture


@pytest.fixture
def write(tmp_path):
    """Write a report and read it back."""

    def written(*cases: ComparisonCase, **options: object) -> Page:
        path = tmp_path / "report.html"
        keywords = {"title": "Comparison", "figure_infos": FIGURES, "software": "Speckle2Self 1.0"} | options
        write_report(cases, path, **keywords)
        assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
        return Page(path.read_text("utf-8"))

    return written


def test_a_page_fetches_nothing(write, a_case):
    page = write(a_case, animation={"Original": [a_case.input_yx] * 2, "Despeckled": [a_case.input_yx] * 2})
    addresses = [value for _, tag in page.tags for key, value in tag.items() if key in ("src", "href", "srcset")]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttpRequest|import\(", "".join(page.code))
    policies = [tag["content"] for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [CONTENT_POLICY]


def test_every_picture_is_lossless_and_shown_in_the_one_grey_window(write, a_case, a_frame):
    truth_yx = a_frame.astype(float) + 0.2
    page = write(replace(a_case, truth_yx=truth_yx))
    pictures = page.pictures
    assert set(pictures) == {"input", "output-1", "output-2", "truth", "residual-1", "residual-2"}
    assert np.array_equal(pictures["input"], a_frame)
    assert np.array_equal(pictures["output-1"], a_frame // 2)
    assert np.array_equal(pictures["output-2"], a_frame + 10)
    assert np.array_equal(pictures["truth"], a_frame)
    assert pictures["residual-1"].size == (8, 6)


def test_residual_maps_share_the_limit_that_the_page_states(write, a_case, a_frame):
    results = (a_result("mild", a_frame + 1), a_result("strong", a_frame + 20.0))
    page = write(replace(a_case, results=results))
    assert "±20 grey values, which is 7.8 % of the grey window" in page.text
    mild, strong = (
        np.asarray(page.pictures[key].convert("RGB"))[0, 0].tolist() for key in ("residual-1", "residual-2")
    )
    assert strong == [16, 58, 120]
    assert min(mild) > 220


def test_an_unchanged_frame_gives_a_blank_residual(write, a_case, a_frame):
    page = write(replace(a_case, results=(a_result("none", a_frame),)))
    assert page.pictures["residual-1"].convert("RGB").getcolors() == [(48, (242, 242, 240))]


def test_one_method_without_truth_makes_a_complete_page(write, a_case):
    page = write(replace(a_case, results=a_case.results[:1], input_figures={}))
    assert set(page.pictures) == {"input", "output-1", "residual-1"}
    assert "Truth" not in page.text
    assert [tag["value"] for tag in page.all("option")][:3] == ["input", "output-1", "residual-1"]
    assert "★" not in page.text.replace("★ best in its row", "")


def test_the_research_notice_stands_at_the_top_at_the_bottom_and_under_every_slider(write, a_case):
    clip = {"Original": [a_case.input_yx], "Despeckled": [a_case.input_yx]}
    page = write(a_case, replace(a_case, title="Muscle"), animation=clip)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page.source, re.DOTALL)
    assert len(captions) == 3
    assert all(RESEARCH_NOTICE in caption for caption in captions)
    header, footer = (re.search(rf"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)[1] for tag in ("header", "footer"))
    assert RESEARCH_NOTICE in header
    assert RESEARCH_NOTICE in footer
    assert f'@bottom-center {{ content: "{RESEARCH_NOTICE}"' in "".join(page.code)


def test_text_from_outside_cannot_become_markup(write, a_case):
    plain_clip = {"Original": [a_case.input_yx], "Despeckled": [a_case.input_yx]}
    plain = write(replace(a_case, results=a_case.results[:1]), animation=plain_clip)
    result = replace(
        a_case.results[0],
        title=HOSTILE,
        citation=HOSTILE,
        notes=(HOSTILE,),
        parameters={HOSTILE: HOSTILE},
        figures={HOSTILE: 1.0, "snr": 2.0},
    )
    case = replace(
        a_case,
        title=HOSTILE,
        description=HOSTILE,
        calibration_reason=HOSTILE,
        results=(result,),
        notes=(HOSTILE,),
        input_figures={},
    )
    clip = {"Original": plain_clip["Original"], HOSTILE: plain_clip["Despeckled"]}
    infos = {"snr": AFigure(HOSTILE, HOSTILE, "higher", HOSTILE)}
    page = write(case, animation=clip, title=HOSTILE, software=HOSTILE, figure_infos=infos)
    assert len(page.all("script")) == len(plain.all("script"))
    assert page.source.count("</script>") == plain.source.count("</script>")
    assert page.text.count("alert('x')") > 10
    assert not any(key.startswith("on") for _, tag in page.tags for key in tag)


def test_a_value_that_is_missing_is_a_dash_that_a_screen_reader_says(write, a_case):
    row = re.search(r"<tr><th scope=\"row\"><a[^>]*>Edge rise</a>.*?</tr>", write(a_case).source, re.DOTALL)[0]
    cells = [" ".join(Page(cell).text.split()) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    assert cells == [f"{DASH} not measured", "3.000", f"{DASH} not measured"]


def test_the_best_value_is_marked_by_a_sign_and_in_words_not_only_by_colour(write, a_case):
    row = re.search(r"<tr><th scope=\"row\"><a[^>]*>Tissue SNR</a>.*?</tr>", write(a_case).source, re.DOTALL)[0]
    cells = [Page(cell).text for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    assert cells == ["1.000", "2.000", "★ best: 5.000"]


def test_figures_without_a_value_are_named_under_the_table(write, a_case):
    page = write(replace(a_case, results=(a_result("only", a_case.input_yx, figures={"rise": None}),)))
    assert "Not measured for this frame: Edge rise in px." in page.text


def test_only_figures_of_the_tables_are_defined_and_every_link_in_the_page_has_its_target(write, a_case):
    page = write(a_case, replace(a_case, title="Muscle"), figure_infos=FIGURES | {"unused": MEAN})
    ids = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(ids) == len(set(ids))
    assert "meaning-unused" not in ids
    targets = {unquote(tag["href"][1:]) for tag in page.all("a")}
    assert "meaning-mean grey" in targets
    assert targets <= {unquote(name) for name in ids}


def test_every_picture_and_every_control_has_a_name(write, a_case):
    page = write(a_case, animation={"Original": [a_case.input_yx], "Despeckled": [a_case.input_yx]})
    assert all("Carotid" in tag["alt"] for tag in page.all("img"))
    sliders = [tag for tag in page.all("input") if tag["class"] == "split"]
    assert [tag["type"] for tag in sliders] == ["range", "range"]
    assert all(tag["aria-label"] for tag in sliders)
    controls = re.findall(r"<select|<input class=\"frame\"", page.source)
    assert len(re.findall(r"<label[^>]*>\w+ <(?:select|input)", page.source)) == len(controls) == 6


def test_a_calibrated_frame_gets_its_proportions_and_a_round_scale_bar(write, a_case):
    page = write(replace(a_case, spacing_mm_yx=(0.2, 0.1), calibration_reason="from the file"))
    stage = next(tag for tag in page.all("div") if tag.get("class") == "stage")
    bar = next(tag for tag in page.all("span") if tag.get("class") == "scale")
    assert float(stage["style"].removeprefix("--ratio: ")) == pytest.approx(8 * 0.1 / (6 * 0.2))
    assert bar["style"] == "--length: 25.0%"
    assert "0.2 mm" in page.text
    assert "0.1 mm wide and 0.2 mm high (from the file)" in page.text


def test_an_uncalibrated_frame_says_why_and_has_no_scale_bar(write, a_case):
    page = write(replace(a_case, calibration_reason="a PNG holds no spacing"))
    assert "Not calibrated: a PNG holds no spacing." in page.text
    assert not any(tag.get("class") == "scale" for tag in page.all("span"))


@given(st.integers(1, 2000), st.floats(1e-3, 1e2))
def test_a_scale_bar_is_1_2_or_5_and_at_most_a_quarter_of_the_width(width_px, spacing_mm):
    from Speckle2SelfLogic.report import _scale_bar

    frame_yx = np.zeros((1, width_px), np.uint8)
    case = ComparisonCase(title="", input_yx=frame_yx, lowest=0, highest=1, results=(), spacing_mm_yx=(1.0, spacing_mm))
    text, percent = _scale_bar(case)
    length_mm = float(text.removesuffix(" mm"))
    assert re.fullmatch(r"[125]e[+-]\d+", f"{length_mm:.0e}")
    assert 10 - 1e-9 <= percent <= 25 + 1e-9
    assert length_mm == pytest.approx(percent / 100 * width_px * spacing_mm, rel=1e-6)


def test_a_clip_is_stored_frame_by_frame_in_the_window_of_the_first_case(write, a_case):
    clip = {name: [np.full((6, 8), grey) for grey in greys] for name, greys in (("In", (0, 90)), ("Out", (30, 60)))}
    page = write(replace(a_case, lowest=0, highest=90), a_case, animation=clip, frames_per_second=12.5)
    stored = json.loads(next(text for text in page.code if text.startswith('{"')))
    assert [track["title"] for track in stored["tracks"]] == ["In", "Out"]
    greys = [[np.asarray(picture_of(uri)).mean() for uri in track["frames"]] for track in stored["tracks"]]
    assert np.allclose(greys, [[0, 255], [85, 170]], atol=1)
    assert "All 2 frames. Played at 12.5 frames per second." in page.text
    assert page.source.count("data-clip=") == 1 + "".join(page.code).count("data-clip=")


def test_a_long_clip_is_cut_to_its_start_and_the_page_says_so(write, a_case):
    noise = np.random.default_rng(1).integers(0, 255, (40, 64, 64))
    page = write(a_case, animation={"In": noise, "Out": noise}, maximum_bytes=200_000)
    shown = int(re.search(r"The first (\d+) of 40 frames", page.text)[1])
    stored = json.loads(next(text for text in page.code if text.startswith('{"')))
    assert 1 < shown < 40
    assert [len(track["frames"]) for track in stored["tracks"]] == [shown, shown]
    assert len(page.source) <= 200_000


@pytest.mark.parametrize("lengths", [(2,), (2, 3), (0, 0)])
def test_a_clip_needs_an_original_and_another_of_the_same_length(write, a_case, lengths):
    clip = {str(number): [a_case.input_yx] * length for number, length in enumerate(lengths)}
    with pytest.raises(SettingsError, match="clip needs"):
        write(a_case, animation=clip)


@pytest.mark.parametrize("speed", [0, -1, math.nan, 500])
def test_a_clip_needs_a_possible_speed(write, a_case, speed):
    with pytest.raises(SettingsError, match="frames per second"):
        write(a_case, animation={"In": [a_case.input_yx], "Out": [a_case.input_yx]}, frames_per_second=speed)


def test_pictures_become_smaller_until_the_page_fits_and_the_page_says_how(write, a_case):
    noise = np.random.default_rng(2).integers(0, 255, (3, 240, 400)).astype(np.uint8)
    case = replace(a_case, input_yx=noise[0], results=(a_result("a", noise[1]), a_result("b", noise[2])))
    whole, tight = write(case), write(case, maximum_bytes=500_000)
    assert "stored as lossless PNG." in whole.text
    assert re.search("stored as JPEG of quality 9?[08]", tight.text)
    assert len(tight.source) <= 500_000 < len(whole.source)
    assert {picture.format for picture in tight.pictures.values()} == {"JPEG"}


def test_a_page_that_cannot_fit_is_not_written(tmp_path, a_case):
    with pytest.raises(SettingsError, match=r"does not fit in 0\.001 MB"):
        write_report([a_case], tmp_path / "r.html", title="t", figure_infos={}, software="s", maximum_bytes=1000)
    assert not list(tmp_path.iterdir())


def test_the_same_input_gives_the_same_file(write, a_case):
    clip = {"In": [a_case.input_yx], "Out": [a_case.input_yx // 2]}
    assert write(a_case, animation=clip).source == write(a_case, animation=clip).source


def broken_cases(case: ComparisonCase) -> dict[str, tuple[list[ComparisonCase], type[Exception]]]:
    odd_yx = np.where(case.input_yx > 10, np.nan, 0.0)
    return {
        "no case": ([], SettingsError),
        "no result": ([replace(case, results=())], SettingsError),
        "empty window": ([replace(case, highest=0)], SettingsError),
        "spacing": ([replace(case, spacing_mm_yx=(0.0, 1.0))], SettingsError),
        "other shape": ([replace(case, results=(a_result("a", np.zeros((8, 6))),))], UnsupportedImageError),
        "truth of other shape": ([replace(case, truth_yx=np.zeros((6, 9)))], UnsupportedImageError),
        "not finite": ([replace(case, results=(a_result("a", odd_yx),))], UnsupportedImageError),
        "cine": (
            [replace(case, input_yx=np.zeros((2, 6, 8)), results=(a_result("a", np.zeros((2, 6, 8))),))],
            UnsupportedImageError,
        ),
    }


@pytest.mark.parametrize(
    "fault",
    ["no case", "no result", "empty window", "spacing", "other shape", "truth of other shape", "not finite", "cine"],
)
def test_a_faulty_case_is_refused_and_an_earlier_report_stays(tmp_path, a_case, fault):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    cases, error = broken_cases(a_case)[fault]
    with pytest.raises(error):
        write_report(cases, path, title="t", figure_infos=FIGURES, software="s")
    assert path.read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("place", ["missing/report.html", "folder", "file/report.html"])
def test_a_place_that_cannot_be_written_is_named_and_left_as_it_was(tmp_path, a_case, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageFileError, match=re.escape(place)):
        write_report([a_case], tmp_path / place, title="t", figure_infos=FIGURES, software="s")
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["file", "folder"]


def test_without_jinja2_the_error_names_the_extra(tmp_path, a_case, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SettingsError, match=re.escape('pip install "speckle2self[report]"')):
        write_report([a_case], tmp_path / "r.html", title="t", figure_infos=FIGURES, software="s")


def test_importing_the_report_loads_neither_jinja2_nor_torch():
    code = "import sys, Speckle2SelfLogic.report; sys.exit(bool({'jinja2', 'torch', 'skimage'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
