"""The Python modules `qt` and `ctk`, and dialogs that are answered by the test."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable

from PySide6 import QtGui, QtWidgets

from Testing.slicer.double import ctk_widgets, mrml_widgets
from Testing.slicer.double.pythonqt import LIBRARIES, teach_manners
from Testing.slicer.double.ui_files import UiLoader, property_names

FILE_DIALOGS = ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory")
MESSAGE_BOXES = ("question", "warning", "critical", "information", "about")
SLICER_DIALOGS = (
    "infoDisplay",
    "warningDisplay",
    "errorDisplay",
    "messageBox",
    "confirmOkCancelDisplay",
    "confirmYesNoDisplay",
    "confirmRetryCloseDisplay",
)
ONLY_IN_QT_6 = ("QKeyCombination", "QPermission", "QEventPoint", "QStringConverter", "QUiLoader")


class UnexpectedDialogError(AssertionError):
    """A modal dialog was opened that the test did not announce; in Slicer it would wait for the user."""


class Dialogs:
    """Answers to the dialogs that a test expects, in their order, and what was shown."""

    def __init__(self) -> None:
        self.expected: list[tuple[str, object]] = []
        self.shown: list[tuple[str, str]] = []
        self.unexpected: list[str] = []

    def expect(self, kind: str, answer: object = None) -> None:
        """Announce a dialog by the name of its function, for example `expect("confirmOkCancelDisplay", True)`."""
        self.expected.append((kind, answer))

    def ask(self, kind: str, text: str) -> object:
        """Return the answer to a dialog.

        Raises
        ------
        UnexpectedDialogError
            If the test did not announce this dialog as the next one.
        """
        self.shown.append((kind, text))
        if self.expected and self.expected[0][0] == kind:
            return self.expected.pop(0)[1]
        message = f"unexpected dialog {kind}: {text}"
        self.unexpected.append(message)
        raise UnexpectedDialogError(message)

    def asking(self, kind: str, text_at: int = 0) -> Callable[..., object]:
        """Return a function that stands for a dialog whose text is argument number `text_at`."""

        def dialog(*arguments: object, **named: object) -> object:
            text = named.get("text", arguments[text_at] if len(arguments) > text_at else "")
            return self.ask(kind, str(text))

        return dialog

    def replacements(self) -> list[tuple[type, str, object]]:
        """Return the members of Qt that open a dialog, as (class, name, replacement)."""
        found: list[tuple[type, str, object]] = [
            (QtWidgets.QFileDialog, name, staticmethod(self.asking(name, 1))) for name in FILE_DIALOGS
        ]
        found += [(QtWidgets.QMessageBox, name, staticmethod(self.asking(name, 2))) for name in MESSAGE_BOXES]
        for cls in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QMenu):
            found += [(cls, name, self.asking(f"{cls.__name__}.{name}")) for name in ("exec", "exec_")]
        return found


@functools.cache
def make_modules() -> tuple[types.ModuleType, types.ModuleType]:
    """Return the modules `qt` and `ctk`, the same in all tests of a process."""
    teach_manners()
    qt, ctk = types.ModuleType("qt"), types.ModuleType("ctk")
    for library in LIBRARIES:
        names = [name for name in dir(library) if name.startswith("Q") and name not in ONLY_IN_QT_6]
        qt.__dict__.update({name: getattr(library, name) for name in names})
    qt.QAction = QtGui.QAction
    qt.QUiLoader = UiLoader
    if not UiLoader.custom_widgets:
        UiLoader.custom_widgets = (*ctk_widgets.WIDGETS, *mrml_widgets.WIDGETS)
        UiLoader.properties.update(property_names(UiLoader.custom_widgets))
    ctk.__dict__.update({widget.__name__: widget for widget in ctk_widgets.WIDGETS})
    return qt, ctk
