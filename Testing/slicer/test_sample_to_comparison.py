"""What a newcomer does: the sample cine, three clicks, and a look. Writes the pictures that the documents show.

After a change of the panel: copy `Testing/artifacts/screenshot_panel.png` and `screenshot_comparison.png` to
`Speckle2SelfSlicer/Resources/Screenshots/panel.png` and `comparison.png`.
"""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from Testing.slicer.offscreen import save_picture, why_no_pictures

DOCUMENT = Path(__file__).parents[2] / "Speckle2SelfSlicer/README.md"
VIEW_PX = 448


@pytest.fixture
def the_sample(a_panel, a_scene):
    """The shipped cine as Slicer loads it: sequence, browser and proxy."""
    import slicer

    from Speckle2SelfSlicerLib.sample_data import CINE

    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Simulated carotid")
    storage = a_scene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
    storage.SetFileName(str(CINE))
    assert storage.ReadData(sequence)
    browser = a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Cine")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.vtkSlicerSequencesLogic().UpdateProxyNodesFromSequences(browser)
    browser.GetProxyNode(sequence).CreateDefaultDisplayNodes()
    return browser.GetProxyNode(sequence)


def test_three_clicks_on_the_sample_cine_with_the_default_network(a_panel, a_slicer_app, the_sample):
    pytest.importorskip("torch")
    import slicer

    ui = a_panel.ui
    ui.inputSelector.setCurrentNode(the_sample)
    assert ui.inputInfoLabel.text.startswith("16 frames of 256 x 256 pixels, grey. 0.1562")
    ui.applyButton.click()
    longest_gap_s = a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy, timeout_s=120)
    assert longest_gap_s < 0.4  # loading PyTorch included, on a machine that is busy with other things
    result = a_panel.panel.result
    assert "16 of 16 frames despeckled" in ui.messageLabel.text
    before, after = (slicer.util.arrayFromVolume(volume).astype(float) for volume in (the_sample, result))
    assert abs(after.mean() / before.mean() - 1) < 0.05
    rough, smooth = (np.abs(np.diff(pixels, axis=2)).mean() for pixels in (before, after))
    assert smooth < 0.4 * rough
    ui.sideBySideButton.click()
    a_slicer_app.raise_errors()
    a_slicer_app.picture(a_panel.parent, "screenshot_panel")
    if reason := why_no_pictures():
        pytest.skip(reason)
    a_slicer_app.views.resize(VIEW_PX, VIEW_PX)
    pictures = [a_slicer_app.views.layout_picture()]
    for button in (ui.swipeButton, ui.residualButton):
        button.click()
        a_slicer_app.views.resize(VIEW_PX, VIEW_PX)
        pictures.append(a_slicer_app.views.layout_picture())
    side_by_side, swipe, residual = pictures
    picture = np.concatenate([side_by_side, np.concatenate([swipe, residual], axis=1)], axis=0)
    save_picture(picture, "screenshot_comparison")
    assert picture.shape == (2 * VIEW_PX, 2 * VIEW_PX, 3)
    assert picture[:VIEW_PX, :VIEW_PX].std() > picture[:VIEW_PX, VIEW_PX:].std() > 10


def test_the_script_in_the_documents_runs(a_panel, a_slicer_app, the_sample, monkeypatch):
    pytest.importorskip("torch")
    import slicer

    script = re.search(r"```python\n(import SampleData.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    sequence = slicer.mrmlScene.GetFirstNodeByName("Simulated carotid")
    if not sequence.IsA("vtkMRMLSequenceNode"):
        sequence = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode")
    downloads = types.ModuleType("SampleData")
    downloads.downloadSample = {"SimulatedCarotid": sequence}.__getitem__
    monkeypatch.setitem(sys.modules, "SampleData", downloads)
    names = {"slicer": slicer}
    exec(compile(script, DOCUMENT.name, "exec"), names)  # noqa: S102 - the project's own document
    assert names["result"].GetNumberOfDataNodes() == 16
    assert names["filtered"].GetAttribute("Speckle2Self.Method") == "median"
