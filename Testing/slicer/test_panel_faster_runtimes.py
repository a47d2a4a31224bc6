"""The button that installs faster runtimes: when it is there, what it asks, what follows."""

import pytest

pytest.importorskip("tomllib", reason="no Slicer has a Python older than 3.11")
MISSING = ("openvino>=2025.0", "onnx>=1.17")


@pytest.fixture
def button(a_panel):
    a_panel.ui.methodCollapsibleButton.collapsed = False
    return a_panel.ui.installRuntimeButton


@pytest.fixture
def lacking(a_panel, monkeypatch):
    """Faster runtimes are missing; the calls of Slicer's pip, which makes them appear."""
    import slicer
    from packaging.requirements import Requirement

    from Speckle2SelfSlicerLib import faster_runtimes

    calls, missing = [], [tuple(map(Requirement, MISSING))]
    runtimes = a_panel.panel.engine.faster_runtimes
    monkeypatch.setattr(faster_runtimes, "has_nvidia_card", lambda: False)
    monkeypatch.setattr(faster_runtimes, "import_runtime", lambda _runtime: None)
    monkeypatch.setattr(faster_runtimes, "loaded", lambda _requirements: [])  # other tests load the real ones
    monkeypatch.setattr(faster_runtimes, "unmet", lambda _requirements: missing[0])

    def pip_install(arguments):
        calls.append(arguments)
        missing[0] = ()

    monkeypatch.setattr(slicer.util, "pip_install", pip_install, raising=False)
    runtimes._missing = None
    a_panel.panel.refresh()
    return calls


def test_the_button_is_hidden_where_nothing_is_missing(a_panel, button, monkeypatch):
    a_panel.panel.engine.faster_runtimes._missing = ()
    a_panel.panel.refresh()
    assert button.isHidden()


def test_the_button_is_there_for_networks_on_the_processor_only(a_panel, button, lacking):
    from Speckle2SelfSlicerLib.parameters import Device

    assert not button.isHidden()
    assert "openvino>=2025.0, onnx>=1.17" in button.toolTip
    a_panel.panel.parameters.method = "median"
    assert button.isHidden()
    a_panel.panel.parameters.method = "speckle2self-small"
    assert not button.isHidden()
    a_panel.panel.parameters.device = Device.CUDA
    assert button.isHidden()


def test_a_click_asks_installs_and_hides_the_button(a_panel, a_slicer_app, button, lacking):
    store = a_panel.panel.engine._methods
    store._loaded["a network on PyTorch"] = object()
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", True)
    button.click()
    a_slicer_app.raise_errors()
    assert "- openvino>=2025.0\n- onnx>=1.17" in a_slicer_app.dialogs.shown[0][1]
    assert lacking[0][-2:] == list(MISSING)
    assert "openvino, onnx is installed" in a_panel.ui.messageLabel.text
    assert button.isHidden()
    assert not store._loaded  # the next Apply loads it on the runtime that is the fastest now


def test_declining_is_said_and_leaves_the_button(a_panel, a_slicer_app, button, lacking):
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", False)
    button.click()
    assert "because you declined" in a_panel.ui.messageLabel.text
    assert not button.isHidden()
    assert lacking == []


def test_in_automatic_tests_nothing_is_asked_or_installed(a_panel, a_slicer_app, button, lacking, monkeypatch):
    monkeypatch.setattr(a_slicer_app.app, "_testing", True)
    button.click()
    assert lacking == []
    assert a_slicer_app.dialogs.shown == []


def test_a_failed_installation_is_one_sentence_below_apply(a_panel, a_slicer_app, button, lacking, monkeypatch):
    import slicer

    def no_network(_arguments):
        message = "returned non-zero exit status 1"
        raise RuntimeError(message)

    monkeypatch.setattr(slicer.util, "pip_install", no_network)
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", True)
    button.click()
    a_slicer_app.raise_errors()
    assert (
        "could not be installed (returned non-zero exit status 1): check the internet" in a_panel.ui.messageLabel.text
    )
    assert not button.isHidden()


def test_nothing_is_installed_while_a_run_is_on_its_way(a_panel, a_slicer_app, a_volume, use, button, lacking):
    from Testing.slicer.cines import Patient

    method = use(Patient())
    a_panel.ui.applyButton.click()
    assert not button.enabled
    method.go_on.release(3)
    a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)
    assert button.enabled


def test_how_the_open_section_looks_with_the_button(a_panel, a_slicer_app, a_volume, button, lacking):
    picture = a_slicer_app.picture(a_panel.parent, "panel_faster_runtime")
    assert picture.is_file()
    assert a_panel.parent.minimumSizeHint().width() <= 400
