"""Lines refined on real MRML."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError
from Testing.slicer.cines import OBLIQUE, add_cine, show
from Testing.slicer.pairs import add
from Testing.slicer.segments import SMALL_TURN, add_transform
from Testing.slicer.test_vessel_measuring import world_points
from Testing.slicer.tubes import column_of
from Testing.slicer.vessels import RADII_PX, STEP_MM, UPRIGHT, picture, ring, smooth_picture

CENTRE_YX = (32.3, 36.2)


@pytest.fixture
def refine(a_logic):
    from Speckle2SelfSlicerLib.vessel.refining import RefineRequest

    def refine(volume, line, looked_at=None, **settings):
        return a_logic.engine.refine_line(RefineRequest(volume, looked_at or volume, line, **settings)).finish()

    return refine


def add_line(scene, first_yx, second_yx, matrix=UPRIGHT, slice_number=0, name="Mine"):
    """Add a line between two pixels of a slice."""
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
    for row, column in (first_yx, second_yx):
        line.AddControlPointWorld((matrix @ (column, row, slice_number, 1.0))[:3])
    return line


def across(radius_px, off_px=2.0):
    """A line across the middle of the vessel whose ends miss the walls."""
    row, column = CENTRE_YX
    return (row, column - radius_px - off_px), (row, column + radius_px + off_px / 2)


def test_a_new_line_ends_at_the_walls_and_the_old_one_stays(refine, a_scene):
    labels = np.stack([ring(16.0)] * 2)
    original, despeckled = (add(make(labels), OBLIQUE, "Carotid") for make in (picture, smooth_picture))
    transform = add_transform(a_scene, SMALL_TURN, original, despeckled)
    matrix = SMALL_TURN @ OBLIQUE
    line = add_line(a_scene, *across(16.0), matrix, slice_number=1)
    drawn = world_points(line)
    result = refine(original, line, despeckled)
    np.testing.assert_array_equal(world_points(line), drawn)
    assert result.line.GetName() == "Mine refined"
    assert result.line.GetTransformNodeID() == transform.GetID()
    ends = np.concatenate([world_points(result.line), np.ones((2, 1))], 1) @ np.linalg.inv(matrix).T
    np.testing.assert_allclose(ends[:, 0], [36.2 - 16.0, 36.2 + 16.0], atol=0.6)
    np.testing.assert_allclose(ends[:, 1:3], [[32.3, 1.0]] * 2, atol=0.01)
    assert result.calipers[0].width.value == pytest.approx(32 * 0.2, abs=0.25)
    assert "Lumen diameter at 'Mine'" in result.sentence
    assert "% of the profiles" in result.sentence
    again = refine(original, line, despeckled)
    assert again.line is not result.line


def test_a_line_without_walls_is_refused_in_words_and_adds_nothing(refine, a_scene):
    volume = add(np.full((1, 64, 72), 90, np.uint8), UPRIGHT, "Flat")
    line = add_line(a_scene, *across(12.0))
    count = a_scene.GetNumberOfNodes()
    result = refine(volume, line)
    assert result.line is None
    assert result.sentence.startswith("'Mine' was not refined: ")
    assert a_scene.GetNumberOfNodes() == count


def test_a_line_that_is_not_in_one_slice_is_refused(refine, a_scene):
    volume = add(picture(np.stack([ring(12.0)] * 4)), UPRIGHT, "Carotid")
    line = a_scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Askew")
    for ijk in ((22, 32, 0), (50, 32, 3)):
        line.AddControlPointWorld((UPRIGHT @ (*ijk, 1.0))[:3])
    with pytest.raises(SettingsError, match="'Askew' does not lie in one slice of 'Carotid'"):
        refine(volume, line)
    one_point = a_scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Point")
    with pytest.raises(SettingsError, match="has no length"):
        refine(volume, one_point)


def test_a_cine_gets_a_line_for_every_frame_a_table_and_a_plot(refine, a_scene):
    labels = np.stack([ring(radius_px) for radius_px in RADII_PX])
    _sequence, browser, proxy = add_cine(a_scene, smooth_picture(labels), matrices=[UPRIGHT] * 4)
    line = add_line(a_scene, *across(14.0, off_px=0.0))
    result = refine(proxy, line)
    expected = 2 * STEP_MM * np.array(RADII_PX)
    np.testing.assert_allclose(column_of(result.table, "Lumen diameter (mm)"), expected, atol=0.2)
    for number in (2, 0):
        show(browser, number)
        assert result.line.GetMeasurement("length").GetValue() == pytest.approx(expected[number], abs=0.2)
    assert "found in 4 of 4 frames" in result.sentence
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1
    one = refine(proxy, line, all_frames=False)
    assert (len(one.calipers), one.table) == (1, None)
    show(browser, 3)
    assert one.line.GetNumberOfControlPoints() == 0  # it does not hold for another frame
