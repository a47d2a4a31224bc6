"""Loading .ui files as Slicer does, but strictly."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree as ET

from PySide6 import QtCore, QtUiTools, QtWidgets

from Testing.slicer.double.pythonqt import LoadingUi, connect

WIDGETS = tuple(
    cls
    for cls in (getattr(QtWidgets, name) for name in dir(QtWidgets))
    if isinstance(cls, type) and issubclass(cls, QtWidgets.QWidget)
)


def property_names(classes: Iterable[type]) -> dict[str, frozenset[str]]:
    """Return the Qt properties of classes by name. Early: PySide loses meta-objects once widgets were deleted."""
    metas = {cls.__name__: cls.staticMetaObject for cls in classes}
    return {
        name: frozenset(meta.property(number).name() for number in range(meta.propertyCount()))
        for name, meta in metas.items()
    }


class UiLoader(QtUiTools.QUiLoader):
    """`qt.QUiLoader`, which knows the custom widgets; a name or connection that does not exist raises."""

    custom_widgets: tuple[type, ...] = ()
    properties: ClassVar[dict[str, frozenset[str]]] = property_names(WIDGETS)

    def load(self, device: QtCore.QIODevice | str, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """Return the widget that a .ui file describes."""
        text = Path(device).read_bytes() if isinstance(device, str) else bytes(device.readAll())
        form = ET.fromstring(text)  # noqa: S314 - a file of this project
        enumerations = list(self._take_custom_enumerations(form))
        connections = form.find("connections")
        if connections is not None:
            form.remove(connections)
        for cls in self.custom_widgets:
            self.registerCustomWidget(cls)
        stripped = QtCore.QBuffer()
        stripped.setData(ET.tostring(form))
        stripped.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        LoadingUi.active = True
        try:
            top = super().load(stripped, parent)
        finally:
            LoadingUi.active = False
        for widget, name, value in enumerations:
            setattr(self._named(top, widget), name, value)
        for connection in connections if connections is not None else ():
            sender, signal, receiver, slot = (
                connection.findtext(tag, "") for tag in ("sender", "signal", "receiver", "slot")
            )
            connect(self._named(top, sender), signal, self._named(top, receiver), slot)
        return top

    def _take_custom_enumerations(self, form: ET.Element) -> Iterator[tuple[str, str, int]]:
        """Check class and property names; take out properties that Qt cannot set: enumerators of Python classes."""
        custom = {cls.__name__: cls for cls in self.custom_widgets}
        for element in form.iter("widget"):
            cls = custom.get(element.get("class", "")) or getattr(QtWidgets, element.get("class", ""))
            for described in element.findall("property"):
                name = described.get("name", "")
                is_of_class = described.get("stdset") != "0" and name != "buddy"  # which is a word of the .ui format
                if is_of_class and name not in self.properties[cls.__name__]:
                    message = f"{cls.__name__} has no property '{name}' ({element.get('name')} in the .ui file)"
                    raise AttributeError(message)
                names = described.findtext("set") or described.findtext("enum")
                if names and names.split("::")[0] in custom:
                    values = [getattr(cls, each.split("::")[-1]) for each in names.split("|")]
                    element.remove(described)
                    yield element.get("name", ""), name, functools.reduce(operator.or_, values)

    @staticmethod
    def _named(top: QtWidgets.QWidget, name: str) -> QtCore.QObject:
        found = top if top.objectName == name else top.findChild(QtCore.QObject, name)
        if found is None:
            message = f"the .ui file connects '{name}', which does not exist"
            raise AttributeError(message)
        return found
