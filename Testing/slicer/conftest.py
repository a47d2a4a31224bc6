"""A MRML scene and the module's own file, where `slicer-core` (real MRML without the application) is installed."""

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

MODULE_FOLDER = Path(__file__).parents[2] / "Speckle2SelfSlicer"
OWN_NAMES = ("Speckle2SelfSlicer", "Speckle2SelfSlicerLib")


@pytest.fixture
def a_scene(monkeypatch):
    """An empty MRML scene, also as `slicer.mrmlScene`."""
    pytest.importorskip("slicer_core", reason="needs real MRML: pip install slicer-core (Python 3.11 or newer)")
    import slicer
    import slicer.util

    scene = slicer.vtkMRMLScene()
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    return scene


@pytest.fixture
def the_module(a_scene, monkeypatch):
    """Speckle2SelfSlicer.py, imported anew as Slicer does: with its folder on the path. Without Qt."""
    from Testing.slicer.double import scripted_module

    for stand_in in scripted_module.modules():
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    with module_folder_on_path(monkeypatch):
        yield importlib.import_module("Speckle2SelfSlicer")


@pytest.fixture
def a_logic(the_module):
    """The logic of the module, without Qt."""
    logic = the_module.Speckle2SelfSlicerLogic()
    yield logic
    logic.close()


@contextmanager
def module_folder_on_path(monkeypatch):
    """The module and its library can be imported, and are new."""
    monkeypatch.syspath_prepend(MODULE_FOLDER)
    for name in [name for name in sys.modules if name.split(".")[0] in OWN_NAMES]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in OWN_NAMES]:
        del sys.modules[name]


@pytest.fixture
def a_slicer_app(a_scene, monkeypatch, tmp_path):
    """The application on a fresh scene: `slicer.app`, `qt`, `ctk`, widgets, dialogs. Gives a `Session`."""
    try:
        import PySide6.QtUiTools  # noqa: F401 - only to see whether it works here
    except ImportError as missing:
        pytest.skip(f"needs Qt: pip install PySide6-Essentials, and libEGL ({missing})")
    from Testing.slicer.double.session import slicer_session

    with slicer_session(monkeypatch, tmp_path) as session, module_folder_on_path(monkeypatch):
        yield session


@pytest.fixture
def a_panel(a_slicer_app):
    """The Python widget of the module, set up and entered."""
    from Testing.slicer.double.session import module_panel

    with module_panel(a_slicer_app, MODULE_FOLDER / "Speckle2SelfSlicer.py") as widget:
        yield widget


@pytest.fixture
def a_volume(a_panel, a_scene):
    import slicer

    from Testing.slicer.cines import OBLIQUE, speckle

    volume = slicer.util.addVolumeFromArray(speckle((3, 64, 72)), OBLIQUE, "Carotid")
    a_panel.ui.inputSelector.setCurrentNode(volume)
    return volume


@pytest.fixture
def use(a_panel, monkeypatch):
    """Let the panel ask for a method object instead of the named method."""

    def use(method):
        from Speckle2SelfSlicerLib.request import MethodRequest

        section = a_panel.panel.method
        monkeypatch.setattr(section, "how", lambda: MethodRequest(method, a_panel.panel.parameters.strength))
        return method

    return use


@pytest.fixture
def apply(a_panel, a_slicer_app):
    def apply():
        a_panel.ui.applyButton.click()
        return a_slicer_app.pump(lambda: not a_panel.panel.run.is_busy)

    return apply
