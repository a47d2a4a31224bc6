"""A MRML scene and the module's own file, where `slicer-core` (real MRML without the application) is installed."""

import importlib
import sys
import types
import unittest
from pathlib import Path

import pytest

MODULE_FOLDER = Path(__file__).parents[2] / "Speckle2SelfSlicer"
OWN_NAMES = ("Speckle2SelfSlicer", "Speckle2SelfSlicerLib")


@pytest.fixture
def a_scene(monkeypatch):
    """An empty MRML scene, also as `slicer.mrmlScene`."""
    pytest.importorskip("slicer_core", reason="needs real MRML: pip install slicer-core (1 GB, not in the test extra)")
    import slicer
    import slicer.util

    scene = slicer.vtkMRMLScene()
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    return scene


def plain(text):
    return text


def stand_ins():
    """The two modules that belong to the application: base classes that do nothing, and texts as they are."""

    class Module:
        def __init__(self, parent):
            self.parent = parent

    class Test(unittest.TestCase):
        def runTest(self):  # noqa: N802 - Slicer calls it
            for name in unittest.TestLoader().getTestCaseNames(type(self)):
                self.setUp()
                getattr(self, name)()

    base = types.ModuleType("slicer.ScriptedLoadableModule")
    base.ScriptedLoadableModule, base.ScriptedLoadableModuleTest = Module, Test
    base.ScriptedLoadableModuleWidget = base.ScriptedLoadableModuleLogic = type("Base", (), {})
    texts = types.ModuleType("slicer.i18n")
    texts.tr, texts.translate = plain, lambda _context, text: text
    return base, texts


@pytest.fixture
def the_module(a_scene, monkeypatch):  # noqa: ARG001 - the module needs `slicer`
    """Speckle2SelfSlicer.py, imported anew as Slicer does: with its folder on the path."""
    for stand_in in stand_ins():
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.syspath_prepend(MODULE_FOLDER)
    for name in [name for name in sys.modules if name.split(".")[0] in OWN_NAMES]:
        monkeypatch.delitem(sys.modules, name)
    yield importlib.import_module("Speckle2SelfSlicer")
    for name in [name for name in sys.modules if name.split(".")[0] in OWN_NAMES]:
        del sys.modules[name]
