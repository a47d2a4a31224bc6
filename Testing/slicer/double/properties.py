"""How the doubles of ctk and qMRML widgets declare Qt properties in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Property

from Testing.slicer.double.pythonqt import check_value

CPP_TYPES = {str: "QString", list: "QStringList", tuple: "QStringList"}


def checked_property(kind: type, name: str, read: Callable[[Any], Any], write: Callable[[Any, Any], None]) -> Property:
    """A writable Qt property that refuses values of a wrong type.

    Parameters
    ----------
    kind
        `bool`, `int`, `float`, `str`, or `tuple` for a QStringList, which reads as a tuple in PythonQt.
    read, write
        What it does, given the widget.
    """
    cpp_type = CPP_TYPES.get(kind, kind)

    def checked_write(widget: Any, value: Any) -> None:
        if kind is tuple and (isinstance(value, str) or not all(isinstance(item, str) for item in value)):
            check_value(name, "QString", None)
        check_value(name, getattr(cpp_type, "__name__", cpp_type), value)
        write(widget, kind(value))

    return Property(cpp_type, read, checked_write)


def stored(kind: type, name: str, default: object) -> Property:
    """A property that is kept and read back, without an effect."""

    def write(widget: Any, value: object) -> None:
        widget.__dict__[f"_{name}"] = value

    return checked_property(kind, name, lambda widget: widget.__dict__.get(f"_{name}", default), write)


def forwarded(kind: type, name: str, part: str) -> Property:
    """A property of a composite widget that is the same property of one of its parts, kept in attribute `part`."""

    def write(widget: Any, value: object) -> None:
        setattr(getattr(widget, part), name, value)

    return checked_property(kind, name, lambda widget: getattr(getattr(widget, part), name), write)
