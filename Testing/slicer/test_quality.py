"""Figures of input and output, their tables, charts and CSV files, on real MRML."""

import csv
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from Speckle2SelfLogic.errors import CancelledError, ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.metrics import FIGURES, compare_frames, temporal_flicker
from Speckle2SelfLogic.overlay import luminance
from Testing.slicer.cines import add_cine, show
from Testing.slicer.pairs import Pair, add
from Testing.slicer.segments import add_segmentation

SHAPE = (4, 40, 48)
SPACED = np.diag((-0.2, -0.3, 0.9, 1.0))
NEEDS_TRUTH = {"psnr_db", "psnr_after_scale_db", "ssim", "ssim_after_scale"}
CONTRAST = {"gcnr", "cnr"}


@pytest.fixture
def the_pairs(the_module):
    """Makes the pairs of frames of two volumes, with masks (Z, Y, X) as regions."""
    from Speckle2SelfSlicerLib.frame_pairs import all_pairs, slice_pairs

    def pairs(pair, axis="z", whole=False, **masks):
        made = (all_pairs if whole else slice_pairs)(*pair, axis)
        return replace(made, **{name: np.moveaxis(mask, "zyx".index(axis), 0) for name, mask in masks.items()})

    return pairs


@pytest.fixture
def the_quality(the_module):
    from Speckle2SelfSlicerLib import quality

    return quality


@pytest.fixture
def the_tables(the_module):
    from Speckle2SelfSlicerLib import tables

    return tables


@pytest.fixture
def the_charts(the_module):
    from Speckle2SelfSlicerLib import charts

    return charts


def lumen(shape=SHAPE):
    """A dark tube along Z, which ends before the last slice."""
    mask = np.zeros(shape, bool)
    y, x = np.indices(shape[1:])
    mask[:-1] = np.hypot(y - 19, x - 22) < 9
    return mask


def tissue(shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[:, 31:38, 5:40] = True
    return mask


def tube(shape=SHAPE, seed=0):
    """Speckle 0..255 around a dark lumen, as real values."""
    speckle = np.random.default_rng(seed).rayleigh(1.0, shape)
    return np.where(lumen(shape), 15.0, 80.0) * speckle


def blurred(pixels):
    sigma = (0, 1.5, 1.5, 0)[: pixels.ndim]
    return ndimage.gaussian_filter(pixels.astype(float), sigma) * 0.9


def add_tube(dtype=np.uint8, matrix=SPACED, scale=1.0, colour=False):
    before = tube().clip(0, 255) * scale
    if colour:
        before = before[..., None] * (1.0, 0.8, 0.6)
    before, after = before.astype(dtype), blurred(before).astype(dtype)
    return Pair(add(before, matrix, "Carotid"), add(after, matrix, "Carotid (Speckle2Self)")), before, after


def grey(pixels, grey_range):
    return (pixels.astype(float) - grey_range.black).clip(0, grey_range.width) / grey_range.width * 255


def assert_same_figures(measured, expected, without=()):
    for name, value in vars(expected).items():
        expected_value = None if name in without else value
        assert getattr(measured, name) == (
            None if expected_value is None else pytest.approx(expected_value, rel=1e-4, abs=1e-6)
        ), name


def finished(job):
    steps = list(job)
    assert steps[-1][0] == steps[-1][1]
    return job.result


def rows_of(table):
    content = table.GetTable()
    return [
        [str(content.GetValue(row, column).ToString()) for column in range(content.GetNumberOfColumns())]
        for row in range(content.GetNumberOfRows())
    ]


def column_of(table, name):
    column = table.GetTable().GetColumnByName(name)
    return [column.GetValue(row) for row in range(column.GetNumberOfValues())]


def test_figures_of_a_frame_are_the_cores_for_input_and_output(the_pairs, the_quality, a_scene):
    pair, before, after = add_tube()
    pairs = the_pairs(pair, region=lumen(), tissue=tissue())
    figures = the_quality.figures_of_frame(pairs, 1)
    settings = {
        "data_range": 255,
        "spacing_mm": (0.2, 0.3),
        "lumen_mask": lumen()[1],
        "tissue_mask": tissue()[1],
    }
    before, after = before[1].astype(float), after[1].astype(float)
    assert_same_figures(figures.input, compare_frames(before, before, **settings))
    assert_same_figures(figures.output, compare_frames(before, after, **settings))
    assert (figures.number, figures.notes) == (1, ())
    assert figures.output.edge_rise_mm is not None
    assert figures.output.gcnr is not None


def test_without_a_region_there_are_the_figures_of_the_whole_frame_alone(the_pairs, the_quality, a_scene):
    pair, before, after = add_tube()
    figures = the_quality.figures_of_frame(the_pairs(pair), 2)
    assert_same_figures(figures.output, compare_frames(before[2], after[2], data_range=255, spacing_mm=(0.2, 0.3)))
    assert (figures.output.snr, figures.output.edge_rise_px) == (None, None)
    assert figures.output.homogeneity > figures.input.homogeneity


def test_a_region_alone_gives_its_noise_and_its_edge_but_no_contrast_with_itself(the_pairs, the_quality, a_scene):
    pair, before, after = add_tube()
    figures = the_quality.figures_of_frame(the_pairs(pair, region=lumen()), 0)
    mask = lumen()[0]
    expected = compare_frames(
        before[0], after[0], data_range=255, spacing_mm=(0.2, 0.3), lumen_mask=mask, tissue_mask=mask
    )
    assert_same_figures(figures.output, expected, CONTRAST)
    assert expected.gcnr == 0
    assert figures.output.snr > figures.input.snr


def test_a_region_that_does_not_reach_a_frame_leaves_its_figures_out_with_a_note(the_pairs, the_quality, a_scene):
    pair, before, after = add_tube()
    alone = the_quality.figures_of_frame(the_pairs(pair, region=lumen()), 3)
    assert_same_figures(alone.output, compare_frames(before[3], after[3], data_range=255, spacing_mm=(0.2, 0.3)))
    assert alone.notes == ("The region does not reach this frame; its figures are left out.",)
    both = the_quality.figures_of_frame(the_pairs(pair, region=lumen(), tissue=tissue()), 3)
    assert both.output.snr == pytest.approx(
        compare_frames(before[3], after[3], data_range=255, tissue_mask=tissue()[3]).snr
    )
    assert (both.output.edge_rise_px, both.output.gcnr) == (None, None)
    empty = np.zeros(SHAPE, bool)
    neither = the_quality.figures_of_frame(the_pairs(pair, region=lumen(), tissue=empty), 0)
    assert (neither.output.snr, neither.output.gcnr) == (None, None)  # not the region's own instead
    assert neither.output.edge_rise_px is not None
    assert neither.notes == ("The tissue region does not reach this frame; its figures are left out.",)


@pytest.mark.parametrize(
    ("axis", "number", "spacing_mm"), [("z", 1, (0.2, 0.3)), ("y", 19, (0.2, 0.9)), ("x", 22, (0.3, 0.9))]
)
def test_slices_along_any_axis_have_their_own_spacing(the_pairs, the_quality, a_scene, axis, number, spacing_mm):
    pair, before, after = add_tube()
    place = "zyx".index(axis)
    before, after, mask = (np.take(each, number, place) for each in (before, after, lumen()))
    pairs = the_pairs(pair, axis=axis, region=lumen())
    assert len(pairs) == SHAPE[place]
    assert pairs.spacing_mm == pytest.approx(spacing_mm)
    expected = compare_frames(before, after, data_range=255, spacing_mm=spacing_mm, lumen_mask=mask, tissue_mask=mask)
    assert_same_figures(the_quality.figures_of_frame(pairs, number).output, expected, CONTRAST)


def test_edges_have_no_millimetres_where_the_spacing_is_not_calibrated(the_pairs, the_quality, a_scene):
    pair, _, _ = add_tube(matrix=np.diag((-1.0, -1.0, 1.0, 1.0)))
    figures = the_quality.figures_of_frame(the_pairs(pair, region=lumen()), 0)
    assert figures.output.edge_rise_px is not None
    assert figures.output.edge_rise_mm is None


def test_colour_is_measured_as_luminance(the_pairs, the_quality, a_scene):
    pair, before, after = add_tube(colour=True)
    figures = the_quality.figures_of_frame(the_pairs(pair, region=lumen()), 1)
    mask = lumen()[1]
    expected = compare_frames(
        luminance(before[1]),
        luminance(after[1]),
        data_range=255,
        spacing_mm=(0.2, 0.3),
        lumen_mask=mask,
        tissue_mask=mask,
    )
    assert_same_figures(figures.output, expected, CONTRAST)


@pytest.mark.parametrize(("dtype", "scale"), [(np.int16, 100.0), (np.uint16, 200.0), (np.float32, 7.5)])
def test_deep_pixels_are_measured_over_the_range_of_the_whole_original(the_pairs, the_quality, a_scene, dtype, scale):
    pair, before, after = add_tube(dtype, scale=scale)
    grey_range = GreyRange.of(before)
    assert grey_range != GreyRange.of(before[1])
    figures = the_quality.figures_of_frame(the_pairs(pair), 1)
    expected = compare_frames(
        grey(before[1], grey_range), grey(after[1], grey_range), data_range=255, spacing_mm=(0.2, 0.3)
    )
    assert_same_figures(figures.output, expected)


def test_a_segment_of_the_scene_can_be_the_region(the_quality, the_module, a_scene):
    from Speckle2SelfSlicerLib.frame_pairs import slice_pairs

    pair, before, after = add_tube()
    segmentation = add_segmentation(a_scene, {"Lumen": lumen(), "Tissue": tissue()}, SPACED)
    pairs = slice_pairs(*pair, "z", segmentation, "Lumen")
    mask = lumen()[0]
    expected = compare_frames(
        before[0], after[0], data_range=255, spacing_mm=(0.2, 0.3), lumen_mask=mask, tissue_mask=mask
    )
    assert_same_figures(the_quality.figures_of_frame(pairs, 0).output, expected, CONTRAST)


def test_frames_that_are_not_there_are_named(the_quality, the_pairs, a_scene):
    pair, before, _ = add_tube()
    with pytest.raises(SettingsError, match="There is no frame 4; choose one from 0 to 3"):
        the_pairs(pair).only(4)
    for after in (before[:3], before[:0]):
        with pytest.raises(SettingsError, match=f"There are 4 frames before and {len(after)} after"):
            the_quality.FramePairs(before, after, GreyRange.of(before))


def test_the_table_of_a_frame_holds_every_figure_with_its_meaning(the_pairs, the_quality, the_tables, a_scene):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    patient = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    pair, _, _ = add_tube()
    hierarchy.CreateItem(patient, pair.original)
    pairs = the_pairs(pair, region=lumen())
    figures = the_quality.figures_of_frame(pairs, 1)
    table = the_tables.quality_table(pair.original, figures)
    assert table.GetName() == "Carotid (Speckle2Self quality)"
    assert "not for diagnosis" in table.GetDescription()
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(table)) == patient
    names = [name for name in vars(figures.output) if name not in NEEDS_TRUTH]
    columns = [table.GetColumnName(number) for number in range(table.GetNumberOfColumns())]
    assert columns == ["Figure", "Unit", "Input", "Output", "Better", "Meaning"]
    for name, row in zip(names, rows_of(table), strict=True):
        info = FIGURES[name]
        assert (row[0], row[1], row[4], row[5]) == (info.title, info.unit, info.better, info.definition)
        for cell, value in zip(row[2:4], (getattr(figures.input, name), getattr(figures.output, name)), strict=True):
            assert cell == "" if value is None else float(cell) == pytest.approx(value, rel=1e-5)
    assert rows_of(table)[names.index("gcnr")][2:4] == ["", ""]
    other = the_quality.figures_of_frame(pairs, 3)
    count = a_scene.GetNumberOfNodes()
    assert the_tables.quality_table(pair.original, other, table=table) is table
    assert a_scene.GetNumberOfNodes() == count
    assert rows_of(table)[names.index("snr")][2:4] == ["", ""]
    assert table.GetAttribute("Speckle2Self.Notes") == other.notes[0]
    assert the_tables.quality_table(pair.original, figures).GetName() == "Carotid (Speckle2Self quality)_1"
    a_scene.RemoveNode(table)
    assert the_tables.quality_table(pair.original, figures, table=table).GetScene() is a_scene


def test_figures_that_are_infinite_become_empty_cells(the_pairs, the_quality, the_tables, a_scene, tmp_path):
    flat = np.full((1, 30, 30), 90, np.uint8)
    pair = Pair(add(flat, SPACED, "Flat"), add(flat, SPACED, "Flat too"))
    pairs = the_pairs(pair, region=flat > 0)
    figures = the_quality.figures_of_frame(pairs, 0)
    assert math.isinf(figures.output.snr)
    table = the_tables.quality_table(pair.original, figures)
    row = next(row for row in rows_of(table) if row[0] == "Tissue SNR")
    assert row[2:4] == ["", ""]
    over = finished(the_quality.figures_over_frames(pairs))
    table = the_tables.frames_table(pair.original, over)
    assert math.isnan(column_of(table, "Tissue SNR output")[0])
    path = the_tables.write_csv(table, tmp_path / "flat.csv")
    with path.open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["Tissue SNR output"] == ""


def test_all_slices_of_a_volume_are_measured_in_small_steps(the_pairs, the_quality, a_scene):
    pair, before, after = add_tube()
    job = the_quality.figures_over_frames(the_pairs(pair, region=lumen()))
    steps = list(job)
    assert steps == sorted(steps)
    assert {total for _, total in steps} == {4}
    assert steps[-1] == (4, 4)
    assert [frame.number for frame in job.result.frames] == [0, 1, 2, 3]
    for number, frame in enumerate(job.result.frames):
        mask = lumen()[number] if number < 3 else None
        expected = compare_frames(
            before[number], after[number], data_range=255, spacing_mm=(0.2, 0.3), lumen_mask=mask, tissue_mask=mask
        )
        assert_same_figures(frame.output, expected, CONTRAST)
    assert job.result.flicker is None  # slices do not follow each other in time
    assert job.result.notes == ("The region does not reach this frame; its figures are left out.",)


def test_every_step_returns_soon_and_computing_happens_in_the_given_thread(
    the_pairs, the_quality, a_scene, monkeypatch
):
    pair, _, _ = add_tube()
    go_on, names = threading.Event(), []

    def slow(*arguments, **keywords):
        names.append(threading.current_thread().name)
        assert go_on.wait(20)
        return compare_frames(*arguments, **keywords)

    monkeypatch.setattr(the_quality, "compare_frames", slow)
    with ThreadPoolExecutor(1, "methods") as thread:
        job = the_quality.figures_over_frames(the_pairs(pair), thread)
        assert [next(job) for _ in range(5)] == [(0, 4)] * 5  # none waits for the figures
        assert job.result is None
        go_on.set()
        finished(job)
    assert {name.split("_")[0] for name in names} == {"methods"}
    assert len(names) == 8


def test_a_cancelled_job_measures_no_further_frame_and_has_no_result(the_pairs, the_quality, a_scene, monkeypatch):
    pair, _, _ = add_tube()
    measured, go_on = [], threading.Event()

    def counted(*arguments, **keywords):
        measured.append(1)
        assert go_on.wait(20)
        return compare_frames(*arguments, **keywords)

    monkeypatch.setattr(the_quality, "compare_frames", counted)
    with ThreadPoolExecutor(1) as thread:
        job = the_quality.figures_over_frames(the_pairs(pair), thread)
        next(job)
        job.cancel()
        go_on.set()
    assert len(measured) <= 2
    assert job.result is None
    assert list(job) == []


def test_what_goes_wrong_while_measuring_is_raised_by_the_next_step(the_quality):
    before = np.ones((2, 20, 20), np.float32)
    after = before.copy()
    after[1, 3, 3] = np.nan
    job = the_quality.figures_over_frames(the_quality.FramePairs(before, after, GreyRange.of(before)))
    with pytest.raises(UnsupportedImageError, match="not finite"):
        list(job)
    assert job.result is None


@pytest.fixture
def a_cine_pair(a_scene):
    """Browser, proxies, and frames (N, Y, X) before and after, of 16 bit."""
    frames = np.stack([tube((2, 40, 48), seed)[0] * (1 + 0.1 * seed) for seed in range(5)])
    before = (frames * 100).clip(0, 30000).astype(np.int16)
    after = blurred(before).astype(np.int16)
    _, browser, original = add_cine(a_scene, before, matrices=[SPACED] * 5)
    sequence, other, _ = add_cine(a_scene, after, name="Cine (Speckle2Self)", matrices=[SPACED] * 5)
    a_scene.RemoveNode(other)
    browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    show(browser, 0)
    return browser, Pair(original, browser.GetProxyNode(sequence)), before, after


def test_all_frames_of_a_sequence_are_measured_with_flicker_over_time(the_pairs, the_quality, the_tables, a_cine_pair):
    _, pair, before, after = a_cine_pair
    mask = lumen((2, 40, 48))[:1]
    pairs = the_pairs(pair, whole=True, region=mask)
    over = finished(the_quality.figures_over_frames(pairs))
    grey_range = GreyRange.of(before)
    before, after = grey(before, grey_range), grey(after, grey_range)
    for number, frame in enumerate(over.frames):
        settings = {"data_range": 255, "spacing_mm": (0.2, 0.3), "lumen_mask": mask[0], "tissue_mask": mask[0]}
        assert_same_figures(frame.output, compare_frames(before[number], after[number], **settings), CONTRAST)
        assert_same_figures(frame.input, compare_frames(before[number], before[number], **settings), CONTRAST)
    assert_same_figures(over.flicker.output, temporal_flicker(before, after, data_range=255))
    assert_same_figures(over.flicker.input, temporal_flicker(before, before, data_range=255))
    table = the_tables.quality_table(pair.original, over.frames[0], flicker=over.flicker)
    assert [row[0] for row in rows_of(table)[-3:]] == [
        FIGURES[name].title for name in ("brightness_flicker", "static_change", "static_change_ratio")
    ]
    assert float(rows_of(table)[-1][3]) == pytest.approx(over.flicker.output.static_change_ratio, rel=1e-5)


def test_a_long_cine_has_flicker_of_its_first_frames_and_says_so(the_pairs, the_quality, a_cine_pair, monkeypatch):
    _, pair, before, after = a_cine_pair
    monkeypatch.setattr(the_quality, "FLICKER_PIXELS", 3 * 40 * 48)
    pairs = the_pairs(pair, whole=True)
    over = finished(the_quality.figures_over_frames(pairs))
    before, after = (grey(each, pairs.grey_range)[:3] for each in (before, after))
    assert_same_figures(over.flicker.output, temporal_flicker(before, after, data_range=255))
    assert over.notes == ("Flicker was measured over the first 3 frames.",)


def test_a_frame_that_cannot_be_read_any_more_ends_the_job_with_its_sentence(the_quality):
    class Leaving(list):
        def __getitem__(self, number):
            if number == 1:
                message = "The scene was closed."
                raise CancelledError(message)
            return super().__getitem__(number)

    frames = Leaving(tube().clip(0, 255).astype(np.uint8))
    job = the_quality.figures_over_frames(the_quality.FramePairs(frames, frames, GreyRange.of(frames[0])))
    with pytest.raises(CancelledError, match=r"The scene was closed\."):
        list(job)
    assert job.result is None


def test_the_table_over_frames_has_two_columns_for_each_figure_that_is_there(
    the_pairs, the_quality, the_tables, a_scene
):
    pair, _, _ = add_tube()
    over = finished(the_quality.figures_over_frames(the_pairs(pair, region=lumen())))
    table = the_tables.frames_table(pair.original, over)
    assert table.GetName() == "Carotid (Speckle2Self quality over frames)"
    assert column_of(table, "Frame") == [0, 1, 2, 3]
    measured = [name for name in vars(over.frames[0].output) if name not in NEEDS_TRUTH | CONTRAST]
    assert the_tables.figures_in(table) == measured
    assert table.GetNumberOfColumns() == 1 + 2 * len(measured)
    assert column_of(table, "Tissue SNR input")[:3] == [frame.input.snr for frame in over.frames[:3]]
    assert column_of(table, "Tissue SNR output")[:3] == [frame.output.snr for frame in over.frames[:3]]
    assert math.isnan(column_of(table, "Tissue SNR output")[3])
    assert table.GetColumnUnitLabel("Edge rise 10-90 % (mm) output") == "mm"
    assert table.GetColumnDescription("Tissue SNR input") == FIGURES["snr"].definition
    without = finished(the_quality.figures_over_frames(the_pairs(pair)))
    assert the_tables.frames_table(pair.original, without, table) is table
    assert table.GetColumnIndex("Tissue SNR output") == -1


@pytest.fixture
def a_frames_table(the_pairs, the_quality, the_tables, a_scene):
    pair, _, _ = add_tube()
    over = finished(the_quality.figures_over_frames(the_pairs(pair, region=lumen())))
    return the_tables.frames_table(pair.original, over)


def test_a_chart_shows_the_input_dashed_and_grey_and_the_output_solid(the_charts, a_scene, a_frames_table):
    chart = the_charts.plot_over_frames(a_frames_table, ["snr", "edge_rise_mm"])
    series = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [each.GetYColumnName() for each in series] == [
        "Tissue SNR input",
        "Tissue SNR output",
        "Edge rise 10-90 % (mm) input",
        "Edge rise 10-90 % (mm) output",
    ]
    assert {each.GetXColumnName() for each in series} == {"Frame"}
    assert all(each.GetTableNode() is a_frames_table for each in series)
    assert [each.GetLineStyle() == each.LineStyleDash for each in series] == [True, False, True, False]
    assert series[0].GetColor() == series[2].GetColor() == (0.5, 0.5, 0.5)
    assert len({each.GetColor() for each in series}) == 3
    assert all(each.GetPlotType() == each.PlotTypeScatter for each in series)
    assert (chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("Frame", "Tissue SNR, Edge rise 10-90 % (mm)")
    for node, figures in ((chart, ["homogeneity"]), (chart, ["snr", "enl", "black_share"])):
        assert the_charts.plot_over_frames(a_frames_table, figures, node) is chart
        assert chart.GetNumberOfPlotSeriesNodes() == 2 * len(figures)
        assert a_scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2 * len(figures)
    with pytest.raises(SettingsError, match="has no figure 'gcnr'; choose from homogeneity, snr"):
        the_charts.plot_over_frames(a_frames_table, ["gcnr"], chart)
    a_scene.RemoveNode(chart)
    assert the_charts.plot_over_frames(a_frames_table, ["snr"], chart).GetScene() is a_scene


def test_table_and_chart_survive_saving_and_reading(the_charts, the_tables, a_scene, a_frames_table, tmp_path):
    import slicer

    the_charts.plot_over_frames(a_frames_table, ["edge_rise_mm"])
    a_frames_table.AddDefaultStorageNode()
    storage = a_frames_table.GetStorageNode()
    storage.SetFileName(str(tmp_path / "figures.tsv"))
    assert storage.WriteData(a_frames_table)
    a_scene.Commit(str(tmp_path / "scene.mrml"))
    again = slicer.vtkMRMLScene()
    again.SetURL(str(tmp_path / "scene.mrml"))
    again.Connect()
    table = again.GetFirstNodeByName(a_frames_table.GetName())
    assert column_of(table, "Frame") == [0, 1, 2, 3]
    for name in ("Tissue SNR output", "Blackened pixels input"):  # the format of tables has six digits
        np.testing.assert_allclose(column_of(table, name), column_of(a_frames_table, name), rtol=1e-5)
    assert the_tables.figures_in(table) == the_tables.figures_in(a_frames_table)
    assert table.GetColumnUnitLabel("Edge rise 10-90 % (mm) output") == "mm"
    assert table.GetColumnTitle("Edge rise 10-90 % (mm) output") == "Edge rise 10-90 % output"
    assert "not for diagnosis" in table.GetDescription()
    chart = again.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert chart.GetNthPlotSeriesNode(1).GetTableNode() is table
    assert chart.GetNthPlotSeriesNode(1).GetYColumnName() == "Edge rise 10-90 % (mm) output"


def test_a_csv_file_holds_the_table_to_the_last_digit(the_tables, a_frames_table, tmp_path):
    path = the_tables.write_csv(a_frames_table, tmp_path / "figures.csv")
    lines = path.read_bytes().decode("utf-8").split("\r\n")
    assert lines[0].startswith("Frame,GLCM homogeneity input,GLCM homogeneity output,Tissue SNR input")
    assert (len(lines), lines[-1]) == (6, "")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == [a_frames_table.GetColumnName(n) for n in range(a_frames_table.GetNumberOfColumns())]
    for number, name in enumerate(header):
        column = [float(row[number]) if row[number] else math.nan for row in rows]
        np.testing.assert_array_equal(column, column_of(a_frames_table, name))
    assert rows[3][header.index("Tissue SNR output")] == ""
    assert sorted(each.name for each in tmp_path.iterdir()) == ["figures.csv"]


def test_texts_with_commas_quotes_and_umlauts_come_back_from_a_csv_file(the_tables, a_scene, tmp_path):
    table = a_scene.AddNewNodeByClass("vtkMRMLTableNode", "Texts")
    texts = ['a, "b"', "two\r\nlines", "Gefäß", ""]
    the_tables.fill_table(table, [the_tables.Column("Text, plain", texts), the_tables.Column("N", [1, 2, 3, 4])])
    path = the_tables.write_csv(table, tmp_path / "Gefäß.csv")
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["Text, plain", "N"], *([text, str(n + 1)] for n, text in enumerate(texts))]


def test_a_csv_file_is_never_overwritten_unasked_and_kept_if_writing_fails(
    the_tables, a_frames_table, tmp_path, monkeypatch
):
    path = tmp_path / "figures.csv"
    path.write_text("mine")
    with pytest.raises(ImageFileError, match=r"figures.csv' exists already; choose another name, or allow to replace"):
        the_tables.write_csv(a_frames_table, path)
    assert path.read_text() == "mine"
    with monkeypatch.context() as patch:
        patch.setattr(the_tables, "_cell", lambda _value: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            the_tables.write_csv(a_frames_table, path, overwrite=True)
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["figures.csv"]
    assert the_tables.write_csv(a_frames_table, str(path), overwrite=True) == path
    assert path.read_text().startswith("Frame,")
    with pytest.raises(ImageFileError, match=r"'.*figures.csv' could not be written: "):
        the_tables.write_csv(a_frames_table, tmp_path / "nowhere" / "figures.csv")
    with pytest.raises(ImageFileError, match="is not a regular file"):
        the_tables.write_csv(a_frames_table, tmp_path, overwrite=True)
    with pytest.raises(ImageFileError, match="could not be written"):
        the_tables.write_csv(a_frames_table, tmp_path / ("long" * 100))
