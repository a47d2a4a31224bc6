"""Figures of a vessel as tables and as a plot over frames or time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from Speckle2SelfLogic.geometry import FrameMeasurement, Measure
from Speckle2SelfSlicerLib.charts import COLOURS, GREY, ChartTexts, Curve, show_curves
from Speckle2SelfSlicerLib.tables import FRAME_COLUMN, NOTES_ATTRIBUTE, Column, fill_table, table_for
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.vessel.own_nodes import claim, own_node

if TYPE_CHECKING:
    from slicer import vtkMRMLPlotChartNode, vtkMRMLTableNode

    from Speckle2SelfSlicerLib.vessel.measuring import VesselFigures

TIME_COLUMN = "Time (s)"
ABBREVIATIONS = {"imt": "IMT", "nascet": "NASCET"}
PLOTTED = {"transverse": "equivalent_diameter", "longitudinal": "mean_diameter"}
"""The figure that is plotted, by view."""


def title_of(name: str) -> str:
    """Return what a table calls a figure of the core, for example "Mean IMT" for ``mean_imt``."""
    words = [ABBREVIATIONS.get(word, word) for word in name.split("_")]
    return words[0][:1].upper() + words[0][1:] + "".join(f" {word}" for word in words[1:])


def with_unit(title: str, unit: str) -> str:
    """Return the name of a column: title and unit."""
    return f"{title} ({unit})" if unit else title


def figures_table(figures: VesselFigures) -> vtkMRMLTableNode:
    """Write figures into the table of their segmentation, a row for each frame; each figure with its uncertainty.

    The table of an earlier measurement of the same segmentation is filled anew.
    """
    frames, measured = figures.frames, figures.measured
    columns = [Column(FRAME_COLUMN, list(frames.shown_numbers))]
    if frames.times_s is not None:
        columns.append(Column(TIME_COLUMN, list(frames.times_s)))
    for name in _measured_names(figures):
        of_frames = [each.measures()[name] for each in measured]
        title, sample = title_of(name), of_frames[0]
        columns.append(Column(with_unit(title, sample.unit), [each.value for each in of_frames], sample.unit))
        columns.append(Column(with_unit(f"{title} \u00b1", sample.unit), _uncertainties(of_frames), sample.unit))
        if name == PLOTTED[figures.request.view]:
            columns += [
                Column(_bound(figures, sign), [_moved(each, sign) for each in of_frames], sample.unit)
                for sign in (-1, 1)
            ]
    if frames.cine is not None and len(frames) > 1:
        columns.append(Column("Phase", [_phase(figures, position) for position in range(len(frames))]))
    columns.append(Column("First contour", list(figures.remarks)))
    columns.append(Column("Notes", [_notes(figures, each) for each in measured]))
    segmentation = figures.request.segmentation
    name = f"{segmentation.GetName()} (Speckle2Self vessel)"
    table = table_for(segmentation, name, own_node(segmentation, "vtkMRMLTableNode", "vessel figures"))
    claim(table, segmentation, "vessel figures")
    what = _("Research use only. \u00b1 is one standard uncertainty: one pixel, and half a pixel of the segmentation.")
    table.SetAttribute(NOTES_ATTRIBUTE, f"{what} {_scale_note(figures)}".strip())
    fill_table(table, columns)
    return table


def summary_table(figures: VesselFigures) -> vtkMRMLTableNode:
    """Write into a table what changes over time (systole, diastole, distension), and the area stenosis of a stack."""
    curve, stenosis, shown = figures.curve, figures.stenosis, figures.frames.shown_numbers
    frames = {"systolic_diameter": curve.systolic_frame, "diastolic_diameter": curve.diastolic_frame}
    rows = list(curve.measures().items()) if figures.frames.cine is not None else []
    if stenosis is not None:
        frames["minimum_area"] = stenosis.minimum_frame
        rows += stenosis.measures().items()
    at = [frames.get(name) for name, _measure in rows]
    columns = (
        Column("Figure", [title_of(name) for name, _measure in rows]),
        Column("Value", [each.value for _name, each in rows]),
        Column("\u00b1", [each.uncertainty for _name, each in rows]),
        Column("Unit", [each.unit for _name, each in rows]),
        Column("Frame", ["" if each is None else str(shown[each]) for each in at]),
        Column("Remark", [each.reason for _name, each in rows]),
    )
    segmentation = figures.request.segmentation
    name = f"{segmentation.GetName()} (Speckle2Self vessel over time)"
    table = table_for(segmentation, name, own_node(segmentation, "vtkMRMLTableNode", "vessel over time"))
    claim(table, segmentation, "vessel over time")
    notes = [_("Research use only.")]
    if stenosis is not None:
        counted = ", ".join(str(shown[each]) for each in stenosis.reference_frames)
        notes += [_("Reference frames: {frames}.").format(frames=counted)] if counted else []
        notes += [f"{note}." for note in stenosis.notes]
    table.SetAttribute(NOTES_ATTRIBUTE, " ".join(notes))
    fill_table(table, columns)
    return table


def diameter_plot(figures: VesselFigures, table: vtkMRMLTableNode) -> vtkMRMLPlotChartNode:
    """Show the diameter over frames or time, and dashed the standard uncertainty below and above it."""
    segmentation, diameter = figures.request.segmentation, figures.measured[0].diameter
    x_column = FRAME_COLUMN if figures.frames.times_s is None else TIME_COLUMN
    column = with_unit(title_of(PLOTTED[figures.request.view]), diameter.unit)
    curves = [
        Curve(column, f"{segmentation.GetName()}: {column}", COLOURS[0]),
        *(Curve(_bound(figures, sign), _bound(figures, sign), GREY, is_dashed=True) for sign in (-1, 1)),
    ]
    title = f"{segmentation.GetName()} (Speckle2Self diameter)"
    texts = ChartTexts(_("Diameter, research use only"), x_column, column)
    chart = own_node(segmentation, "vtkMRMLPlotChartNode", "vessel diameter")
    chart = show_curves(table, x_column, curves, title, texts, chart)
    claim(chart, segmentation, "vessel diameter")
    return chart


def _bound(figures: VesselFigures, sign: int) -> str:
    name = PLOTTED[figures.request.view]
    return with_unit(f"{title_of(name)} {'-' if sign < 0 else '+'} uncertainty", figures.measured[0].diameter.unit)


def _moved(measure: Measure, sign: int) -> float | None:
    return None if measure.value is None else measure.value + sign * (measure.uncertainty or 0.0)


def _uncertainties(measures: list[Measure]) -> list[float | None]:
    return [each.uncertainty for each in measures]


def _phase(figures: VesselFigures, position: int) -> str:
    curve = figures.curve
    if position in curve.outliers:
        return "outlier"
    return {curve.systolic_frame: "systole", curve.diastolic_frame: "diastole"}.get(position, "")


def _measured_names(figures: VesselFigures) -> list[str]:
    """Return the names of the figures that some frame has, and of the diameter in any case."""
    measures = [each.measures() for each in figures.measured]
    plotted = PLOTTED[figures.request.view]
    return [name for name in measures[0] if name == plotted or any(each[name].value is not None for each in measures)]


def _notes(figures: VesselFigures, measured: FrameMeasurement) -> str:
    """Return what the core remarks about a frame, each once: its notes, and why figures are absent."""
    names = measured.measures() if figures.request.wall_id else _measured_names(figures)
    reasons = [measured.measures()[name].reason for name in names]
    return "; ".join(dict.fromkeys(text for text in (*measured.notes, *reasons) if text))


def _scale_note(figures: VesselFigures) -> str:
    return "" if figures.frames.spacing_mm is not None else _("Not calibrated: lengths are in pixels.")
