"""Tables of figures, their charts and CSV files, on real MRML."""

import csv
import math

import numpy as np
import pytest

from Speckle2SelfLogic.errors import ImageFileError, SettingsError
from Speckle2SelfLogic.metrics import FIGURES
from Testing.slicer.pairs import Pair, add
from Testing.slicer.tubes import (
    CONTRAST,
    NEEDS_TRUTH,
    SPACED,
    add_tube,
    column_of,
    finished,
    lumen,
    pairs_of,
    rows_of,
    tube,
)


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


def test_the_table_of_a_frame_holds_every_figure_with_its_meaning(the_quality, the_tables, a_scene):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    patient = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    pair, _, _ = add_tube()
    hierarchy.CreateItem(patient, pair.original)
    pairs = pairs_of(pair, region=lumen())
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


def test_figures_that_are_infinite_become_empty_cells(the_quality, the_tables, a_scene, tmp_path):
    flat = np.full((1, 30, 30), 90, np.uint8)
    pair = Pair(add(flat, SPACED, "Flat"), add(flat, SPACED, "Flat too"))
    pairs = pairs_of(pair, region=flat > 0)
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


def test_flicker_of_a_cine_is_three_more_rows(the_quality, the_tables, a_scene):
    frames = tube().clip(0, 255).astype(np.uint8)
    original = add(frames[:1], SPACED, "Cine")
    pairs = the_quality.FramePairs(frames, frames // 2, the_quality.GreyRange.of(frames), is_cine=True)
    over = finished(the_quality.figures_over_frames(pairs))
    table = the_tables.quality_table(original, over.frames[0], flicker=over.flicker)
    assert [row[0] for row in rows_of(table)[-3:]] == [
        FIGURES[name].title for name in ("brightness_flicker", "static_change", "static_change_ratio")
    ]
    assert float(rows_of(table)[-1][3]) == pytest.approx(over.flicker.output.static_change_ratio, rel=1e-5)


def test_the_table_over_frames_has_two_columns_for_each_figure_that_is_there(the_quality, the_tables, a_scene):
    pair, _, _ = add_tube()
    over = finished(the_quality.figures_over_frames(pairs_of(pair, region=lumen())))
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
    without = finished(the_quality.figures_over_frames(pairs_of(pair)))
    assert the_tables.frames_table(pair.original, without, table) is table
    assert table.GetColumnIndex("Tissue SNR output") == -1


@pytest.fixture
def a_frames_table(the_quality, the_tables, a_scene):
    pair, _, _ = add_tube()
    over = finished(the_quality.figures_over_frames(pairs_of(pair, region=lumen())))
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
