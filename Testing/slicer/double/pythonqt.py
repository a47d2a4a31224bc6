"""PySide6 with the manners of PythonQt, the way Slicer's Python sees Qt 5.15.

A property is an attribute that is read and written; reading or writing anything unknown raises AttributeError in
PythonQt's words; `connect("signal(types)", f)` drops the arguments that `f` does not take. Where PythonQt prints and
returns False (connecting to an unknown signal), the double raises, so that a test fails.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

QObject = QtCore.QObject
LIBRARIES = (QtCore, QtGui, QtWidgets, QtNetwork, QtUiTools)
VIRTUAL_PROPERTIES = ("sizeHint", "minimumSizeHint")  # Qt looks them up on the Python object: they stay methods
NUMBER_TYPES = ("bool", "int", "uint", "double", "float", "qlonglong")
NOT_IN_QT_5 = {
    "QAction": ("enabledChanged", "checkableChanged", "visibleChanged"),
    "QCheckBox": ("checkStateChanged",),
    "QColor": ("fromString", "isValidColorName"),
    "QFormLayout": ("setRowVisible", "isRowVisible"),
    "QIcon": ("ThemeIcon",),
    "QLayout": ("unsetContentsMargins",),
    "QShortcut": ("setKeys",),
    "QStackedLayout": ("widgetAdded",),
    "QStackedWidget": ("widgetAdded",),
    "QTimer": ("id",),
}
NEW_NAMES = frozenset(name for names in NOT_IN_QT_5.values() for name in names)

original_getattribute = QObject.__getattribute__
original_property, original_set_property = QObject.property, QObject.setProperty
original_connect, original_disconnect = QObject.connect, QObject.disconnect


def classes() -> Iterator[type]:
    """All classes of Qt that the double offers."""
    for library in LIBRARIES:  # PySide6 makes its classes when they are first asked for: dir(), not vars()
        yield from (thing for thing in (getattr(library, name) for name in dir(library)) if isinstance(thing, type))


def is_method(member: object) -> bool:
    """Whether a class member is a method of C++."""
    names = ("method_descriptor", "builtin_function_or_method", "nb_method", "function", "staticmethod")
    return type(member).__name__ in names


class LoadingUi:
    """Whether PySide6 is loading a .ui file: it then sets attributes that PythonQt does not set."""

    active = False


class QtProperty:
    """One Q_PROPERTY as an attribute; seen from the class it is still the getter, or the static method of that name."""

    def __init__(self, name: str, getter: Callable[[Any], object] | None, on_class: object) -> None:
        self.name, self.getter, self.on_class = name, getter, on_class

    def __get__(self, owner: QtCore.QObject | None, _type: type | None = None) -> object:
        if owner is None:
            return self.on_class
        return self.getter(owner) if self.getter else original_property(owner, self.name)

    def __set__(self, owner: QtCore.QObject, value: object) -> None:
        meta = owner.metaObject()
        described = meta.property(meta.indexOfProperty(self.name))
        if not described.isWritable():
            message = f"Property '{self.name}' of {class_name(owner)} object is not writable"
            raise AttributeError(message)
        kind = described.typeName()
        if described.isEnumType() and isinstance(value, int) and self.getter:
            value = type(self.getter(owner))(value)  # enumerators are plain numbers in PythonQt
        check_value(self.name, kind, value)
        if not original_set_property(owner, self.name, value):
            message = refused(self.name, kind, value)
            raise AttributeError(message)


def check_value(name: str, kind: str, value: object) -> None:
    """Raise AttributeError if a property of C++ type `kind` does not take `value`."""
    wrong_number = kind in NUMBER_TYPES and not isinstance(value, (int, float))
    if wrong_number or (kind in ("QString", "str") and not isinstance(value, str)):
        raise AttributeError(refused(name, kind, value))


def refused(name: str, kind: str, value: object) -> str:
    """PythonQt's sentence about a value of the wrong type."""
    return f"Property '{name}' of type '{kind}' does not accept an object of type {type(value).__name__} ({value!r})"


def class_name(self: QtCore.QObject) -> str:
    """`className()` of PythonQt: the name of the C++ class."""
    return self.metaObject().className()


def is_wrapped(cls: type) -> bool:
    """Whether a class stands for a C++ class (Qt's own or a double), which takes no new attributes."""
    return cls.__module__.startswith(("PySide6.", f"{__package__}."))


def make_properties() -> None:
    """Turn the getters of all Qt properties into attributes."""
    for cls in classes():
        if not issubclass(cls, QObject):
            continue
        meta = cls.staticMetaObject
        for index in range(meta.propertyCount()):
            name = meta.property(index).name()
            own = cls.__dict__.get(name)
            if name in VIRTUAL_PROPERTIES or not (index >= meta.propertyOffset() or own is not None):
                continue
            if isinstance(own, QtProperty) or (own is not None and not is_method(own)):
                continue
            member = getattr(cls, name, None)
            static = issubclass(cls, QtCore.QCoreApplication) or name == "singleShot"
            getter = member if is_method(member) and not static else None
            setattr(cls, name, QtProperty(name, getter, member))


def is_newer_than_qt_5(cls: type, name: str) -> bool:
    """Whether a member came with Qt 6, so that Slicer has not got it."""
    return name in NEW_NAMES and any(name in NOT_IN_QT_5.get(base.__name__, ()) for base in cls.__mro__)


def signal_of(sender: QtCore.QObject, signature: str) -> str:
    """Return the signature under which PySide6 knows a signal, or raise AttributeError."""
    wanted = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
    name = wanted.split("(")[0]
    with_objects = getattr(type(sender), "_object_signals", ())  # doubles name the signals that carry vtk objects here
    if "PyObject" not in wanted and not is_newer_than_qt_5(type(sender), name):
        known = f"{name}(PyObject)" if wanted in with_objects else wanted
        if sender.metaObject().indexOfSignal(known) >= 0:
            return known
    message = f"signal '{signature}' does not exist on {class_name(sender)} (PythonQt would only print this)"
    raise AttributeError(message)


def connect(self: QtCore.QObject, signal: Any, *receiver: Any) -> Any:
    """`connect(signature, f)` or `connect(signature, object, slot signature)`."""
    if not isinstance(signal, str):  # PySide6 itself, inside of `QTimer.singleShot`
        return original_connect(signal, *receiver)
    known = signal_of(self, signal)
    slot = receiver[0] if len(receiver) == 1 else getattr(receiver[0], receiver[1].split("(")[0])
    if not callable(slot):
        message = f"connect('{signal}', {slot!r}): the receiver is not callable"
        raise TypeError(message)
    return bool(original_connect(self, f"2{known}", slot))


def disconnect(self: QtCore.QObject, signal: str, slot: Callable[..., object]) -> bool:
    """Return whether there was such a connection."""
    try:
        return bool(original_disconnect(self, f"2{signal_of(self, signal)}", slot))
    except (RuntimeError, RuntimeWarning):
        return False


def get_attribute(self: QtCore.QObject, name: str) -> object:
    """Attribute access with PythonQt's `connect` and `disconnect`."""
    if name in ("connect", "disconnect"):  # answered by PySide6 before it looks into the class
        return types.MethodType(connect if name == "connect" else disconnect, self)
    if is_newer_than_qt_5(type(self), name):
        return get_missing(self, name)
    return original_getattribute(self, name)


def get_missing(self: QtCore.QObject, name: str) -> object:
    """Return a dynamic property, which PythonQt gives as an attribute too."""
    if not name.startswith("__"):
        value = original_property(self, name)
        if value is not None:
            return value
    message = f"{class_name(self)} has no attribute named '{name}'"
    raise AttributeError(message)


def set_attribute(self: QtCore.QObject, name: str, value: object) -> None:
    """Write a property; a new attribute only on a Python subclass."""
    member = next((cls.__dict__[name] for cls in type(self).__mro__ if name in cls.__dict__), None)
    if LoadingUi.active and isinstance(value, QObject) and not name.startswith("_"):
        return  # PySide6 puts the children on the top widget, PythonQt does not
    if isinstance(member, QtCore.Property):
        if member.fset is None:
            message = f"Property '{name}' of {class_name(self)} object is not writable"
            raise AttributeError(message)
        member.fset(self, value)
    elif hasattr(member, "__set__"):
        member.__set__(self, value)
    elif name.startswith("_") or not is_wrapped(type(self)) or isinstance(value, QtCore.SignalInstance):
        self.__dict__[name] = value  # a signal: PySide6 puts it there when it is first asked for
    elif member is not None:
        message = f"Slot '{name}' can not be overwritten on {class_name(self)} object"
        raise AttributeError(message)
    elif original_property(self, name) is not None:
        original_set_property(self, name, value)
    else:
        message = f"'{name}' does not exist on {class_name(self)}"
        message += " and creating new attributes on C++ objects is not allowed"
        raise AttributeError(message)


def teach_manners() -> None:
    """Change PySide6 in this process, once and for good: nothing else here uses it."""
    if isinstance(QObject.__dict__.get("objectName"), QtProperty):
        return
    make_properties()
    QObject.name = property(lambda self: self.objectName, lambda self, value: self.setObjectName(value))
    QObject.className = class_name
    QObject.delete = lambda self: self.deleteLater()
    QObject.__getattribute__, QObject.__getattr__ = get_attribute, get_missing
    for cls in classes():
        if issubclass(cls, QObject) and "__setattr__" in cls.__dict__:
            cls.__setattr__ = set_attribute
