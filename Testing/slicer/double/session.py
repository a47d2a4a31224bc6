"""One test's Slicer: application, scene, dialogs and errors, put in place and taken away again."""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import slicer
from PySide6 import QtCore, QtWidgets

from Testing.slicer.double import application, mrml_widgets, toolkit
from Testing.slicer.offscreen import ARTIFACTS, SliceApplication

UPSTREAM = "SLICER_PYTHON_SOURCES"  # a folder "Base/Python/slicer" of Slicer's sources, to be used for the stand-ins
UPSTREAM_WIDGETS = {
    "ctk": "ctkDoubleSlider ctkRangeWidget ctkDoubleRangeSlider ctkDirectoryButton ctkColorPickerButton",
    "slicer": "qMRMLSliderWidget qMRMLSpinBox qMRMLRangeWidget",
}


@dataclass
class Session:
    """What a test can ask of its Slicer.

    Attributes
    ----------
    app, dialogs
        `slicer.app`, and the answers to dialogs.
    selected_modules
        Names given to `slicer.util.selectModule`.
    errors
        Exceptions that came out of slots and observers, where Qt and VTK only print them. Any that is left fails the
        test.
    """

    app: application.qSlicerApplication
    views: SliceApplication
    dialogs: toolkit.Dialogs
    selected_modules: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def pump(self, condition: Callable[[], object], timeout_s: float = 10.0) -> float:
        """Run the event loop until `condition()` holds; return the longest time in s that it was held up.

        Raises
        ------
        TimeoutError
            If it does not hold in time.
        """
        end, longest_s, before = time.monotonic() + timeout_s, 0.0, time.monotonic()
        while not condition():
            if before > end:
                message = f"nothing came of it within {timeout_s} s"
                raise TimeoutError(message)
            self.app.processEvents()
            self.raise_errors()
            now = time.monotonic()
            longest_s, before = max(longest_s, now - before), now
            time.sleep(0.001)
        return longest_s

    def raise_errors(self) -> None:
        """Raise the first exception that came out of a slot or observer."""
        if self.errors:
            raise self.errors.pop(0)

    @contextmanager
    def expect_error(self, kind: type[BaseException], match: str = "") -> Iterator[None]:
        """Expect that a slot or observer raises."""
        self.raise_errors()
        came = None
        try:
            yield
            self.raise_errors()
        except kind as error:
            came = error
        assert came is not None, f"no {kind.__name__} came out of a slot or observer"
        assert re.search(match, str(came)), f"{came} does not match {match!r}"

    def picture(self, widget: QtWidgets.QWidget, name: str, width: int = 400) -> Path:
        """Save how a widget looks at a width in pixels, as `Testing/artifacts/<name>.png`."""
        ARTIFACTS.mkdir(exist_ok=True)
        widget.show()
        for _ in range(2):  # the first time, parts learn their sizes
            height = widget.heightForWidth(width) if widget.hasHeightForWidth() else widget.sizeHint().height()
            widget.resize(width, height)
            self.app.processEvents()
        path = ARTIFACTS / f"{name}.png"
        widget.grab().save(str(path))
        return path


def stand_in_modules() -> list[types.ModuleType]:
    """Return the modules of Slicer's Python that slicer-core lacks; none if Slicer's own sources are to be used."""
    from Testing.slicer.double import scripted_module

    if os.environ.get(UPSTREAM):
        return []
    from Testing.slicer.double import parameter_node

    return [*scripted_module.modules(), parameter_node.module()]


def use_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Slicer's own Python sources be found, if the environment names them."""
    folder = os.environ.get(UPSTREAM)
    if folder:
        monkeypatch.setattr(slicer, "__path__", [*slicer.__path__, folder])
        for owner, names in UPSTREAM_WIDGETS.items():
            for name in names.split():
                monkeypatch.setattr(sys.modules[owner], name, type(name, (QtWidgets.QWidget,), {}), raising=False)


@contextmanager
def slicer_session(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Session]:
    """Put a Slicer in place; afterwards take it away and raise what went wrong unseen."""
    qt, ctk = toolkit.make_modules()
    monkeypatch.setitem(sys.modules, "qt", qt)
    monkeypatch.setitem(sys.modules, "ctk", ctk)
    for widget in (*mrml_widgets.WIDGETS, *application.WIDGETS):
        monkeypatch.setattr(slicer, widget.__name__, widget, raising=False)
    monkeypatch.setattr(slicer, "qSlicerScriptedLoadableModule", application.qSlicerModule, raising=False)
    modules = types.ModuleType("slicer.modules")
    monkeypatch.setitem(sys.modules, "slicer.modules", modules)
    monkeypatch.setattr(slicer, "modules", modules, raising=False)
    views = SliceApplication(slicer.mrmlScene)
    session = Session(application.qSlicerApplication(views, folder), views, toolkit.Dialogs())
    monkeypatch.setattr(slicer, "app", session.app, raising=False)
    _replace_dialogs(monkeypatch, session)
    use_upstream(monkeypatch)
    for module in stand_in_modules():
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(slicer, module.__name__.split(".")[1], module, raising=False)
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: session.errors.append(error))
    yield session
    for widget in session.app.topLevelWidgets():
        widget.deleteLater()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    session.app.processEvents()
    session.app._close()
    session.raise_errors()
    assert not session.dialogs.unexpected, session.dialogs.unexpected
    assert not session.dialogs.expected, f"dialogs that never came: {session.dialogs.expected}"


def _replace_dialogs(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    for name in toolkit.SLICER_DIALOGS:
        monkeypatch.setattr(slicer.util, name, session.dialogs.asking(name))
    for cls, name, replacement in session.dialogs.replacements():
        monkeypatch.setattr(cls, name, replacement, raising=False)
    select = lambda module: session.selected_modules.append(module if isinstance(module, str) else module.name)  # noqa: E731
    monkeypatch.setattr(slicer.util, "selectModule", select)


@contextmanager
def module_panel(session: Session, path: Path) -> Iterator[Any]:
    """Load a scripted module as Slicer does; give its Python widget, set up and entered."""
    module_name = path.stem
    python = importlib.import_module(module_name)

    def make_widget(parent: QtWidgets.QWidget) -> Any:
        return vars(sys.modules[module_name])[f"{module_name}Widget"](parent)  # another class after a reload

    parent = application.qSlicerScriptedLoadableModuleWidget(module_name, make_widget)
    description = types.SimpleNamespace(path=str(path), name=module_name)
    instance = getattr(python, module_name)(description)
    setattr(slicer.modules, f"{module_name}Instance", instance)
    session.app.moduleManager()._add(application.qSlicerModule(module_name, None, str(path), parent))
    session.app.startupCompleted.emit()
    parent.reload()
    parent.enter()
    session.raise_errors()
    try:
        yield parent.self()
    finally:
        parent.exit()
        parent.self().cleanup()
        parent.setMRMLScene(None)
        parent.deleteLater()
        session.app.processEvents()
