"""Which widget can show which type of parameter, and how: the pairs that Slicer knows, and no others."""

from __future__ import annotations

import enum
import pathlib
import typing
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from Testing.slicer.double.parameter_types import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    is_node_class,
    split_annotated,
)

CHECKABLE = {
    qt.QCheckBox: "stateChanged",
    ctk.ctkCheckBox: "stateChanged",
    qt.QPushButton: "toggled",
    ctk.ctkCheckablePushButton: "toggled",
}
COMBO_BOXES = (qt.QComboBox, ctk.ctkComboBox)
WHOLE_NUMBERS = (qt.QSlider, qt.QSpinBox)
NUMBERS = (qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSpinBox)
UNBOUNDED = {int: (-(2**31), 2**31 - 1), float: (float("-inf"), float("inf"))}


class Binding:
    """One widget as a place for a value.

    Parameters
    ----------
    widget
        The widget.
    signal
        Name of the signal that says that the user changed the value; empty if there is none.
    read, write
        The value in the widget.
    """

    def __init__(self, widget: qt.QWidget, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.widget, self.read, self.write, self._signal = widget, read, write, signal
        self._callback: Callable[[], None] | None = None

    def on_changed(self, callback: Callable[[], None]) -> None:
        """Call back whenever the widget changes."""
        self._callback = callback
        if self._signal:
            getattr(self.widget, self._signal).connect(self._changed)

    def disconnect(self) -> None:
        """Call back no more."""
        if self._signal:
            getattr(self.widget, self._signal).disconnect(self._changed)

    def _changed(self, *_arguments: object) -> None:
        self._callback()


def bind(widget: qt.QWidget, hint: Any) -> Binding:
    """Bind a widget to an annotated type.

    Raises
    ------
    RuntimeError
        If Slicer cannot show this type in a widget of exactly this class, or needs more annotations for it.
    """
    kind, annotations = split_annotated(hint)
    cls = type(widget)
    if kind is bool and cls in CHECKABLE:
        return _bind_checkable(widget, CHECKABLE[cls])
    if (kind is int and cls in WHOLE_NUMBERS) or (kind in (int, float) and cls in NUMBERS):
        return _bind_number(widget, kind, annotations)
    if cls in COMBO_BOXES and kind in (int, float, str, bool):
        return _bind_choices(widget, annotations)
    if cls in COMBO_BOXES and isinstance(kind, type) and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda member: member.name)
        return _bind_items(widget, [(label(member), member) for member in kind], keep=True)
    if kind is str and cls is qt.QLineEdit:
        return _bind_property(widget, "textChanged", "text")
    if kind is str and cls is qt.QLabel:
        return _bind_property(widget, "", "text")
    if kind is str and cls is qt.QTextEdit:
        return Binding(widget, "textChanged", widget.toPlainText, widget.setPlainText)
    if kind is pathlib.Path and cls is ctk.ctkPathLineEdit:
        write = lambda path: setattr(widget, "currentPath", str(path))  # noqa: E731 - as the other bindings
        return Binding(widget, "currentPathChanged", lambda: pathlib.Path(widget.currentPath), write)
    if cls is slicer.qMRMLNodeComboBox and _node_classes(kind):
        widget.nodeTypes = [node_class().GetClassName() for node_class in _node_classes(kind)]
        return Binding(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    message = f"Slicer cannot bind a {cls.__name__} to {hint}"
    raise RuntimeError(message)


def _node_classes(kind: Any) -> list[type]:
    """Return the node classes of a type that is one or a union of some and None; else nothing."""
    members = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    classes = [split_annotated(member)[0] for member in members]
    classes = [cls for cls in classes if cls is not type(None)]
    return classes if all(is_node_class(cls) for cls in classes) else []


def _bind_checkable(widget: qt.QWidget, signal: str) -> Binding:
    if not getattr(widget, "checkBoxControlsButtonToggleState", False):
        widget.checkable = True
        return _bind_property(widget, signal, "checked")

    def write(value: bool) -> None:  # the check box of the button says whether the button stays pressed
        widget.checkable = value
        if value:
            widget.checked = True

    return Binding(widget, signal, lambda: widget.checked, write)


def _bind_property(widget: qt.QWidget, signal: str, name: str) -> Binding:
    def write(value: Any) -> None:
        if getattr(widget, name) != value:
            setattr(widget, name, value)

    return Binding(widget, signal, lambda: getattr(widget, name), write)


def _bind_number(widget: qt.QWidget, kind: type, annotations: tuple[Any, ...]) -> Binding:
    def first(annotation: type) -> Any:
        return next((each for each in annotations if isinstance(each, annotation)), None)

    if kind is int and type(widget) in NUMBERS:
        widget.decimals = 0
    elif first(Decimals) is not None:
        widget.decimals = first(Decimals).value
    if first(SingleStep) is not None:
        widget.singleStep = first(SingleStep).value
    lower, upper = first(WithinRange) or first(Minimum), first(WithinRange) or first(Maximum)
    if type(widget) in (qt.QSlider, ctk.ctkSliderWidget) and None in (lower, upper):
        message = f"a {type(widget).__name__} needs a lower and an upper bound, for example WithinRange"
        raise RuntimeError(message)
    least, most = UNBOUNDED[int if type(widget) in WHOLE_NUMBERS else float]
    widget.minimum = least if lower is None else lower.minimum
    widget.maximum = most if upper is None else upper.maximum
    return Binding(widget, "valueChanged", lambda: kind(widget.value), lambda value: setattr(widget, "value", value))


def _bind_choices(widget: qt.QWidget, annotations: tuple[Any, ...]) -> Binding:
    choice = next((each for each in annotations if isinstance(each, Choice)), None)
    if choice is None:
        message = "a combo box needs the annotation Choice for this type"
        raise RuntimeError(message)
    return _bind_items(widget, [(str(value), value) for value in choice.choices], keep=False)


def _bind_items(widget: qt.QWidget, items: list[tuple[str, Any]], *, keep: bool) -> Binding:
    values = [value for _text, value in items]
    chosen = widget.currentIndex if keep else 0
    widget.clear()
    for text, _value in items:
        widget.addItem(text)
    widget.currentIndex = chosen if 0 <= chosen < len(items) else len(items) - 1

    def write(value: Any) -> None:
        if value not in values:
            message = f"{value!r} is none of {values}"
            raise ValueError(message)
        widget.currentIndex = values.index(value)

    return Binding(widget, "currentIndexChanged", lambda: values[widget.currentIndex], write)
