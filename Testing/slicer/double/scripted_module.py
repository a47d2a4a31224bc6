"""Stand-ins for the base classes of scripted modules and for translation; they need no Qt."""
# ruff: noqa: N802, N803 - the names are those of Slicer

from __future__ import annotations

import importlib
import types
import unittest
from pathlib import Path

import slicer


def tr(text: str) -> str:
    """Return the text as it is."""
    return text


def translate(_context: str, text: str) -> str:
    """Return the text as it is."""
    return text


def getContext(sourceFile: str) -> str:
    """Return the name that translations of a file have: folder of the package, and file."""
    path = Path(sourceFile)
    return f"{path.parent.name}.{path.stem}" if (path.parent / "__init__.py").is_file() else path.stem


class ScriptedLoadableModule:
    """Describes a module to Slicer."""

    def __init__(self, parent: object) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, filename: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def runTest(self, **_options: object) -> None:
        test = getattr(importlib.import_module(type(self).__module__), f"{self.moduleName}Test")
        test().runTest()


class ScriptedLoadableModuleWidget:
    """The panel of a module, in a parent that has a layout."""

    def __init__(self, parent: slicer.qMRMLWidget) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        """Nothing is shown without developer mode."""

    def cleanup(self) -> None:
        """To be overridden."""

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    """What a module does without a panel."""

    def __init__(self, _parent: object = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        """Return the node that holds the parameters of this module in the scene; made if there is none."""
        found = self.getAllParameterNodes()
        if self.isSingletonParameterNode:
            singleton = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if singleton is not None:
                singleton.SetAttribute("ModuleName", self.moduleName)  # closing the scene has emptied it
            found = [] if singleton is None else [singleton]
        return found[0] if found else slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list[slicer.vtkMRMLScriptedModuleNode]:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode", slicer.mrmlScene)
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.vtkMRMLScriptedModuleNode()
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The tests of a module that run in Slicer."""

    def delayDisplay(self, _message: str, _delay_ms: int = 0) -> None:
        """Nobody looks."""

    def runTest(self) -> None:
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            self.setUp()
            getattr(self, name)()
            self.tearDown()


def modules() -> list[types.ModuleType]:
    """Return `slicer.ScriptedLoadableModule` and `slicer.i18n`."""
    base, texts = types.ModuleType("slicer.ScriptedLoadableModule"), types.ModuleType("slicer.i18n")
    texts.tr, texts.translate, texts.getContext = tr, translate, getContext
    for cls in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base, cls.__name__, cls)
    return [base, texts]
