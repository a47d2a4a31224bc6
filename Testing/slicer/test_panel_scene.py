"""The panel while scenes are closed, loaded and changed, and what it says when something fails."""

import sys
import threading

import pytest

from Speckle2SelfLogic.errors import CancelledError
from Testing.slicer.cines import OBLIQUE, Inverse, Patient, speckle
from Testing.slicer.saving import able_to_read_files


def test_closing_the_scene_while_running_is_survived(a_panel, a_slicer_app, a_scene, a_volume, use, apply):
    import slicer

    method = use(Patient())
    a_panel.ui.applyButton.click()
    a_slicer_app.pump(lambda: a_panel.panel.run._run.state.value == "despeckling")
    a_scene.Clear(0)
    method.go_on.release(9)
    assert not a_panel.panel.run.is_busy
    assert "the scene or the module was closed" in a_panel.ui.logTextEdit.plainText
    assert not a_panel.ui.applyButton.enabled
    again = slicer.util.addVolumeFromArray(speckle((2, 40, 40)), name="Next")
    a_panel.ui.inputSelector.setCurrentNode(again)
    apply()
    assert a_panel.panel.result.GetName() == "Next (Speckle2Self)"
    a_panel.ui.strengthSlider.value = 0.5
    assert a_panel.panel.parameters.strength == 0.5
    assert a_panel.panel.volume is again  # the parameters of the closed scene do not interfere


def test_deleting_the_input_while_running_is_survived(a_panel, a_slicer_app, a_scene, a_volume, use):
    method = use(Patient())
    a_panel.ui.applyButton.click()
    a_slicer_app.pump(lambda: a_panel.panel.run._run.state.value == "despeckling")
    a_scene.RemoveNode(a_volume)
    method.go_on.release(9)
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert a_panel.ui.messageLabel.text == "The input was deleted or the scene closed meanwhile; nothing was written."
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0


def test_every_failure_is_one_sentence_in_panel_and_log(a_panel, a_volume, use, apply, caplog):
    class Broken(Inverse):
        def despeckle(self, frames_nyx):
            message = "something inside"
            raise KeyError(message)

    use(Broken())
    apply()
    text = a_panel.ui.messageLabel.text
    assert text.startswith("Unexpected error, please report it: KeyError: 'something inside'")
    assert text in a_panel.ui.logTextEdit.plainText
    assert "Traceback" in caplog.text
    use("no such method")
    apply()
    assert "no method, model or weight file 'no such method'" in a_panel.ui.messageLabel.text
    assert a_panel.ui.applyButton.enabled


def test_out_of_memory_and_bad_weights_are_explained(a_panel, a_volume, use, apply, tmp_path):
    class Hungry(Inverse):
        def despeckle(self, frames_nyx):
            raise MemoryError

    use(Hungry())
    apply()
    assert a_panel.ui.messageLabel.text.startswith("There is not enough memory")
    weights = tmp_path / "bad.pth"
    weights.write_bytes(b"not weights")
    use(str(weights))
    apply()
    assert "bad.pth" in a_panel.ui.messageLabel.text
    assert "Unexpected" not in a_panel.ui.messageLabel.text


def test_the_module_can_be_left_entered_and_closed_at_any_time(a_panel, a_slicer_app, a_volume, use):
    method = use(Patient())
    a_panel.ui.applyButton.click()
    a_panel.exit()
    a_panel.enter()
    assert a_panel.panel.run.is_busy  # a run goes on while another module is shown
    method.go_on.release(9)
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert a_panel.panel.result is not None


def test_a_scene_that_is_loaded_brings_back_its_parameters(a_panel, a_slicer_app, a_scene, tmp_path):
    import slicer

    for name in ("Alpha", "Beta"):
        slicer.util.addVolumeFromArray(speckle((2, 20, 20)), OBLIQUE, name)
    box = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    ui = a_panel.ui
    ui.inputSelector.setCurrentNode(a_scene.GetFirstNodeByName("Beta"))
    ui.regionSelector.setCurrentNode(box)
    ui.strengthSlider.value = 0.3
    keep = able_to_read_files(a_scene, tmp_path)
    assert a_scene.WriteToMRB(str(tmp_path / "scene.mrb"), None)
    ui.strengthSlider.value = 0.9
    assert a_scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    a_slicer_app.pump(lambda: a_panel.panel.volume is not None)
    assert (a_panel.panel.volume.GetName(), a_panel.panel.parameters.region.GetName()) == ("Beta", "Box")
    assert ui.inputSelector.currentNode().GetName() == "Beta"
    assert ui.strengthSlider.value == pytest.approx(0.3)
    del keep


def test_importing_another_scene_keeps_what_is_chosen(a_panel, a_slicer_app, a_scene, a_volume):
    import slicer

    slicer.util.addVolumeFromArray(speckle((2, 20, 20)), OBLIQUE, "Last")
    a_panel.ui.inputSelector.setCurrentNode(a_scene.GetFirstNodeByName("Last"))
    a_scene.StartState(a_scene.ImportState)
    a_scene.EndState(a_scene.ImportState)
    assert a_panel.panel.volume.GetName() == "Last"
    assert a_panel.ui.inputSelector.currentNode().GetName() == "Last"


def test_deleting_a_chosen_region_chooses_none_and_not_the_next_one(a_panel, a_scene, a_volume):
    boxes = [a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", f"Box {number}") for number in range(3)]
    a_panel.ui.regionSelector.setCurrentNode(boxes[1])
    a_scene.RemoveNode(boxes[1])
    assert a_panel.panel.parameters.region is None
    assert a_panel.ui.regionSelector.currentNode() is None


def test_installing_is_not_started_twice(a_panel, a_slicer_app, a_volume, monkeypatch):
    started = []

    def prepare(how, ask, tell):
        started.append(how)
        a_panel.ui.applyButton.click()  # the window takes clicks while pip writes
        a_panel.ui.liveButton.checked = True

    monkeypatch.setattr(a_panel.panel.engine, "prepare", prepare)
    a_panel.panel.parameters.method = "median"
    a_panel.ui.applyButton.click()
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert len(started) == 1
    assert not a_panel.ui.liveButton.checked
    assert a_panel.panel.result is not None


def test_without_the_extension_pytorch_apply_says_how_to_get_it(a_panel, a_slicer_app, a_volume, monkeypatch):
    from Speckle2SelfSlicerLib import installation

    monkeypatch.setattr(installation, "torch_state", lambda: installation.TorchState.MISSING)
    monkeypatch.setattr(installation, "has_pytorch_extension", lambda: False)
    a_panel.ui.applyButton.click()
    text = a_panel.ui.messageLabel.text
    assert text.startswith("This method needs PyTorch, which Slicer's extension 'PyTorch' installs")
    assert "choose a classical filter such as 'median'" in text
    assert not a_panel.panel.run.is_busy
    assert a_panel.ui.applyButton.enabled


def test_pytorch_is_installed_after_asking_and_not_when_declined(a_panel, a_slicer_app, a_volume, monkeypatch):
    from Speckle2SelfSlicerLib import installation

    calls = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False):  # noqa: N802, N803 - as the extension calls it
            calls.append(askConfirmation)
            monkeypatch.setattr(installation, "torch_state", lambda: installation.TorchState.READY)
            return object()

    monkeypatch.setattr(installation, "torch_state", lambda: installation.TorchState.MISSING)
    monkeypatch.setattr(installation, "_extension_logic", PyTorchUtilsLogic)
    monkeypatch.setattr(installation, "check_torch", lambda: None)
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", False)
    a_panel.ui.applyButton.click()
    assert "because you declined" in a_panel.ui.messageLabel.text
    assert not calls
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", True)
    a_panel.ui.applyButton.click()
    assert "Installing PyTorch" in a_panel.ui.logTextEdit.plainText
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert calls == [False]
    assert a_panel.panel.result is not None


def test_the_panel_survives_a_foreign_scene(a_panel, a_slicer_app, a_volume, apply):
    import slicer

    a_panel.parent.setMRMLScene(slicer.vtkMRMLScene())
    a_panel.panel.parameters.method = "median"
    apply()
    assert a_panel.panel.result is not None


@pytest.fixture
def the_core_comes_back():
    """A reload imports the core anew, whose classes would not be those that other tests know."""
    core = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "Speckle2SelfLogic"}
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "Speckle2SelfLogic"]:
        del sys.modules[name]
    sys.modules.update(core)


def test_the_module_can_be_reloaded_while_it_is_shown(the_core_comes_back, a_panel, a_slicer_app, a_volume, use):
    import slicer

    use(Patient())
    a_panel.ui.applyButton.click()
    a_panel.panel.method.how().method.go_on.release(9)
    old = a_panel.panel
    a_panel.onReload()
    a_slicer_app.pump(lambda: slicer.modules.Speckle2SelfSlicerWidget.panel is not old)
    new = slicer.modules.Speckle2SelfSlicerWidget
    assert type(new.panel) is not type(old)  # the library is new, too
    assert not old.run.is_busy
    assert new.panel.volume is a_volume  # the scene has the parameters
    new.panel.parameters.method = "median"
    new.ui.applyButton.click()
    a_slicer_app.pump(lambda: not new.panel.run.is_busy)
    assert new.panel.result is not None


def test_nothing_of_the_panel_stays_on_the_parameters_of_slicer_5_8(a_panel, monkeypatch):
    parameters = a_panel.panel.parameters
    seen = []
    monkeypatch.setattr(type(parameters), "AddObserver", _remembering(type(parameters).AddObserver, seen))
    monkeypatch.setattr(type(parameters), "disconnectGui", lambda *_ignored: None)  # there, it keeps the observer
    a_panel.panel.bind(None)
    a_panel.panel.bind(parameters)
    node = parameters.parameterNode
    assert len(seen) == 1
    assert node.GetCommand(seen[0]) is not None
    a_panel.panel.bind(None)
    assert node.GetCommand(seen[0]) is None


def _remembering(observe, seen):
    def remember(*arguments):
        seen.append(observe(*arguments))
        return seen[-1]

    return remember


def test_an_interactive_script_may_be_asked_and_keeps_the_window_alive(a_panel, a_slicer_app, a_volume, monkeypatch):
    import qt

    from Speckle2SelfSlicerLib import installation

    logic = a_panel.logic
    monkeypatch.setattr(installation, "missing_packages", list)
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", False)
    with pytest.raises(CancelledError, match="scikit-image was not installed, because you declined"):
        logic.process(a_volume, method="nlm", interactive=True)
    turns, method = [], Patient()
    qt.QTimer.singleShot(0, lambda: turns.append(1))
    threading.Timer(0.2, method.go_on.release, [9]).start()
    logic.process(a_volume, method=method, interactive=True)
    assert turns
