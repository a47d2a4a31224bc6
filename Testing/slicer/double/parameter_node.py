"""A stand-in for `slicer.parameterNodeWrapper`: typed parameters of a scene, bound to widgets by name."""
# ruff: noqa: N802, N803, N815 - the names are those of Slicer

from __future__ import annotations

import types
import typing
import weakref
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from Testing.slicer.double import parameter_types
from Testing.slicer.double.parameter_types import VALIDATORS, Default, Serializer, serializer_of, split_annotated

PROPERTY = "SlicerParameterName"


@dataclass(frozen=True)
class Parameter:
    """What the class says about one parameter."""

    name: str
    hint: Any
    serializer: Serializer
    validators: tuple[Any, ...]
    default: Default

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: Any) -> None:
        """Store a value that is valid; raise TypeError or ValueError otherwise."""
        self.serializer.check(value)
        for validator in self.validators:
            validator.validate(value)
        self.serializer.write(node, self.name, value)

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> Any:
        """Return the value; the default if the scene has none."""
        if not self.serializer.is_in(node, self.name):
            self.write(node, self.default.value)
        return self.serializer.read(node, self.name)


class Value:
    """A parameter in a node, read once per change of the node."""

    def __init__(self, parameter: Parameter, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameter, self._node = parameter, node
        self._is_writing = False
        self.value = parameter.read(node)
        this = weakref.ref(self)  # an observer that held `self` would keep it alive for as long as the scene
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_ignored: this()._read())

    def __del__(self) -> None:
        self._node.RemoveObserver(self._tag)

    def _read(self) -> None:
        if not self._is_writing:
            self.value = self.parameter.read(self._node)

    def write(self, value: Any) -> None:
        """Store a value; observers find it when they are called."""
        self._is_writing = True
        try:
            with slicer.util.NodeModify(self._node):
                self.parameter.write(self._node, value)
                self.value = self.parameter.read(self._node)
        finally:
            self._is_writing = False


class Wrapper:
    """The members that every parameter node wrapper has."""

    allParameters: dict[str, Parameter]

    def __init__(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = parameterNode
        self._values = {name: Value(parameter, parameterNode) for name, parameter in self.allParameters.items()}
        self._bindings: dict[int, tuple[dict[str, Any], int]] = {}
        self._next_tag = 0
        self._is_updating_gui = False

    def _value_of(self, name: str) -> Value:
        if name not in self._values:
            message = f"there is no parameter {name!r}, only {', '.join(self._values)}"
            raise ValueError(message)
        return self._values[name]

    def getValue(self, name: str) -> Any:
        return self._value_of(name).value

    def setValue(self, name: str, value: Any) -> None:
        self._value_of(name).write(value)

    def default(self, name: str) -> Default:
        return self._value_of(name).parameter.default

    def dataType(self, name: str) -> Any:
        return self._value_of(name).parameter.hint

    def isCached(self, name: str) -> bool:
        return isinstance(self._value_of(name), Value)

    def connectGui(self, gui: Any) -> int:
        """Bind the widgets that carry the dynamic property; return a tag for `disconnectGui`."""
        import qt

        is_widget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(qt.QWidget) if is_widget else gui.__dict__.values()
        named = {each.property(PROPERTY): each for each in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Bind widgets to parameters by name."""
        from Testing.slicer.double.gui_binding import bind

        bindings = {name: bind(widget, self.dataType(name)) for name, widget in mapping.items()}
        for name, binding in bindings.items():
            binding.write(self.getValue(name))
            binding.on_changed(lambda name=name, binding=binding: self._take_from_gui(name, binding))
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_ignored: self._update_gui())
        self._bindings[tag] = (bindings, observer)
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        bindings, observer = self._bindings.pop(guiTag, ({}, None))
        for binding in bindings.values():
            binding.disconnect()
        if observer is not None:
            self.RemoveObserver(observer)

    def _take_from_gui(self, name: str, binding: Any) -> None:
        if not self._is_updating_gui:
            with slicer.util.NodeModify(self):
                self.setValue(name, binding.read())

    def _update_gui(self) -> None:
        if self._is_updating_gui:
            return
        self._is_updating_gui = True
        try:
            with slicer.util.NodeModify(self):
                for bindings, _observer in list(self._bindings.values()):
                    for name, binding in bindings.items():
                        binding.write(self.getValue(name))
        finally:
            self._is_updating_gui = False

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying: int) -> None:
        self.parameterNode.EndModify(wasModifying)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def _property(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def _parameter(cls: type, name: str, hint: Any) -> Parameter:
    kind, annotations = split_annotated(hint)
    serializer = serializer_of(kind)
    annotated = next((each for each in annotations if isinstance(each, Default)), Default(serializer.default))
    default = Default(cls.__dict__[name]) if name in cls.__dict__ else annotated
    validators = tuple(each for each in annotations if isinstance(each, VALIDATORS))
    return Parameter(name, hint, serializer, validators, default)


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Turn a class with annotated members into typed parameters; `@parameterNodeWrapper` with or without `()`."""
    if classtype is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(classtype, include_extras=True)
    for name in (*hints, *classtype.__dict__):
        if hasattr(Wrapper, name) and not name.startswith("__"):
            message = f"{name!r} is reserved in a parameter node wrapper"
            raise ValueError(message)
    parameters = {name: _parameter(classtype, name, hint) for name, hint in hints.items()}
    members = {**classtype.__dict__, **{name: _property(name) for name in hints}, "allParameters": parameters}
    for own in ("__dict__", "__weakref__", "__annotations__"):
        members.pop(own, None)
    return type(classtype.__name__, (Wrapper, *classtype.__bases__), members)


def isParameterNodeWrapper(thing: Any) -> bool:
    """Whether a class or object was made by `parameterNodeWrapper`."""
    return isinstance(thing, Wrapper) or (isinstance(thing, type) and issubclass(thing, Wrapper))


def module() -> types.ModuleType:
    """Return `slicer.parameterNodeWrapper`."""
    made = types.ModuleType("slicer.parameterNodeWrapper")
    for cls in (*VALIDATORS, Default, parameter_types.Decimals, parameter_types.SingleStep):
        setattr(made, cls.__name__, cls)
    made.parameterNodeWrapper, made.isParameterNodeWrapper = parameterNodeWrapper, isParameterNodeWrapper
    made.SlicerParameterNamePropertyName = PROPERTY
    return made
