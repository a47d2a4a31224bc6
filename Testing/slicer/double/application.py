"""Doubles of the objects of the Slicer application, on real MRML logics."""
# ruff: noqa: N801, N802, N815 - the names are those of Slicer

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from Testing.slicer.double.mrml_widgets import SceneWidget
from Testing.slicer.offscreen import SliceApplication

VERSION = (5, 13)
STANDARD_VIEWS = ("Red", "Yellow", "Green")
LOGIC_CLASSES = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
}


class qMRMLSliceWidget(QtWidgets.QWidget):
    """A slice view, which draws nothing here."""

    def __init__(self, logic: slicer.vtkMRMLSliceLogic) -> None:
        super().__init__()
        self._logic = logic

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._logic

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> slicer.vtkMRMLSliceCompositeNode:
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()


class qSlicerLayoutManager(QtCore.QObject):
    """Layouts and slice views."""

    layoutChanged = Signal(int)

    def __init__(self, views: SliceApplication) -> None:
        super().__init__()
        self._views, self._widgets = views, {}
        self._last = self._node().GetViewArrangement()
        self._node().AddObserver("ModifiedEvent", lambda *_ignored: self._on_layout())

    def _node(self) -> slicer.vtkMRMLLayoutNode:
        return self._views.layout_node

    def _on_layout(self) -> None:
        if self._node().GetViewArrangement() != self._last:
            self._last = self._node().GetViewArrangement()
            self.layoutChanged.emit(self._last)

    def setLayout(self, layout: int) -> None:
        self._node().SetViewArrangement(layout)

    layout = Property(int, lambda self: self._node().GetViewArrangement(), setLayout)
    threeDViewCount = Property(int, lambda _self: 0)

    def layoutLogic(self) -> slicer.vtkMRMLLayoutLogic:
        return self._views._layouts

    def sliceViewNames(self) -> tuple[str, ...]:
        """Return the names of all slice views that were made so far, shown or not, those of modules first."""
        names = [logic.GetSliceNode().GetLayoutName() for logic in self._views._slice_logics()]
        return tuple(sorted(names, key=lambda name: STANDARD_VIEWS.index(name) if name in STANDARD_VIEWS else -1))

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        if name not in self._widgets and name in self.sliceViewNames():
            self._widgets[name] = qMRMLSliceWidget(self._views.slice_logic(name))
        return self._widgets.get(name)

    def mrmlSliceLogics(self) -> object:
        return self._views.logic.GetSliceLogics()

    def resetSliceViews(self) -> None:
        for logic in self._views._slice_logics():
            logic.FitSliceToBackground()


class qSlicerModule(QtCore.QObject):
    """A loaded module: `slicer.modules.<name>`."""

    def __init__(
        self, name: str, logic: object = None, path: str = "", widget: QtWidgets.QWidget | None = None
    ) -> None:
        super().__init__()
        self.setObjectName(name)
        self._logic, self._path, self._widget = logic, path, widget

    path = Property(str, lambda self: self._path)

    def logic(self) -> object:
        return self._logic

    def widgetRepresentation(self) -> QtWidgets.QWidget | None:
        return self._widget


class qSlicerScriptedLoadableModuleWidget(SceneWidget):
    """What a scripted module gets as the parent of its widget.

    Parameters
    ----------
    name
        Of the module.
    make
        Makes the Python widget in this parent; called by `reload()` too.
    """

    def __init__(self, name: str, make: Callable[[QtWidgets.QWidget], object]) -> None:
        super().__init__()
        self._name, self._make, self._python, self._entered = name, make, None, False
        self.setLayout(QtWidgets.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)

    isEntered = Property(bool, lambda self: self._entered)
    moduleName = Property(str, lambda self: self._name)

    def self(self) -> object:
        """Return the Python widget."""
        return self._python

    def reload(self) -> None:
        self._python = self._make(self)
        setattr(slicer.modules, f"{self._name}Widget", self._python)
        self._python.setup()
        if self._entered:
            self.enter()

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._python, "exit"):
            self._python.exit()


class qSlicerModuleManager(QtCore.QObject):
    """The modules by name; it is its own factory manager."""

    moduleAboutToBeUnloaded = Signal(str)
    moduleLoaded = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, qSlicerModule] = {}

    def _add(self, module: qSlicerModule) -> None:
        self._modules[module.objectName] = module
        setattr(slicer.modules, module.objectName.lower(), module)

    def module(self, name: str) -> qSlicerModule | None:
        return self._modules.get(name)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(self._modules)

    def factoryManager(self) -> qSlicerModuleManager:
        return self

    def loadedModuleNames(self) -> tuple[str, ...]:
        return self.modulesNames()


class qSlicerApplication(QtCore.QObject):
    """`slicer.app` for the time of one test; the QApplication behind it lives as long as the process."""

    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object)
    _object_signals = ("mrmlSceneChanged(vtkMRMLScene*)",)

    def __init__(self, views: SliceApplication, folder: Path) -> None:
        super().__init__()
        self._qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self._qt.setOrganizationName("Slicer")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(folder))
        self._views, self._folder = views, folder
        self._layouts: qSlicerLayoutManager | None = qSlicerLayoutManager(views)
        self._modules = qSlicerModuleManager()
        self._settings = QtCore.QSettings()
        self._testing = False
        self._logics = [self._add_logic(name, cls) for name, cls in LOGIC_CLASSES.items()]

    majorVersion = Property(int, lambda _self: VERSION[0])
    minorVersion = Property(int, lambda _self: VERSION[1])
    applicationVersion = Property(str, lambda _self: f"{VERSION[0]}.{VERSION[1]}.0")
    applicationName = Property(str, lambda _self: "Slicer")
    temporaryPath = Property(str, lambda self: str(self._folder))

    def _add_logic(self, name: str, cls: str) -> slicer.vtkMRMLAbstractLogic:
        logic = getattr(slicer, cls)()
        logic.SetMRMLApplicationLogic(self._views.logic)
        logic.SetMRMLScene(self._views.scene)
        self._views.logic.SetModuleLogic(name, logic)
        self._modules._add(qSlicerModule(name, logic))
        return logic

    def _close(self) -> None:
        for logic in self._logics:
            logic.SetMRMLScene(None)
        self._views.close()

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._views.logic

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return self._views.scene

    def layoutManager(self) -> qSlicerLayoutManager | None:
        return self._layouts

    def setLayoutManager(self, manager: qSlicerLayoutManager | None) -> None:
        self._layouts = manager

    def moduleManager(self) -> qSlicerModuleManager:
        return self._modules

    def settings(self) -> QtCore.QSettings:
        return self._settings

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    def testingEnabled(self) -> bool:
        """False, so that dialogs are shown to the test, which answers them."""
        return self._testing

    def pauseRender(self) -> None:
        """Nothing is drawn."""

    def resumeRender(self) -> None:
        """Nothing is drawn."""

    def processEvents(self) -> None:
        self._qt.processEvents()

    def translate(self, _context: str, text: str) -> str:
        return text

    def topLevelWidgets(self) -> list[QtWidgets.QWidget]:
        return self._qt.topLevelWidgets()

    def setOverrideCursor(self, cursor: object) -> None:
        self._qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._qt.restoreOverrideCursor()

    def overrideCursor(self) -> object:
        return self._qt.overrideCursor()


WIDGETS = (qMRMLSliceWidget, qSlicerScriptedLoadableModuleWidget)
