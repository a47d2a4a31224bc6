"""Doubles of the ctk widgets: the members that a module needs, under their real names, and nothing else."""
# ruff: noqa: N801, N802, N815 - the names are those of ctk and Qt

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Qt, Signal

from Testing.slicer.double.properties import checked_property, forwarded, stored

HEADER_HEIGHT, ARROW_WIDTH = 24, 22
WANTED = "visibilityToParent"  # the name that ctk gives this property
ACROSS = (QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header with an arrow; a click on it hides or shows what lies below."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments: object) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        super().__init__(arguments[-1] if arguments and isinstance(arguments[-1], QtWidgets.QWidget) else None)
        self._is_forcing = False
        self.setText(text)
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._on_toggled)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)

    collapsed = checked_property(
        bool, "collapsed", lambda self: not self.isChecked(), lambda self, value: self.setChecked(not value)
    )

    def _on_toggled(self, is_open: bool) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            self._show_or_hide(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(not is_open)

    def _show_or_hide(self, child: QtWidgets.QWidget) -> None:
        """Hide a child while collapsed; else show it, unless somebody has hidden it."""
        wanted = child.property(WANTED) is not False
        self._is_forcing = True
        child.setVisible(self.isChecked() and wanted)
        if wanted:  # so that Qt still tells when somebody hides what is hidden already
            child.setAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide, on=False)
        self._is_forcing = False

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        if event.added() and event.child().isWidgetType():
            event.child().installEventFilter(self)
            if not self.isChecked():
                self._show_or_hide(event.child())

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Remember on the child whether somebody showed or hid it, and keep it hidden while collapsed."""
        kinds = QtCore.QEvent.Type
        if event.type() in (kinds.ShowToParent, kinds.HideToParent) and not self._is_forcing:
            child.setProperty(WANTED, event.type() == kinds.ShowToParent)
            self._show_or_hide(child)
        return False

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < HEADER_HEIGHT

    def sizeHint(self) -> QtCore.QSize:
        header = QtCore.QSize(ARROW_WIDTH + self.fontMetrics().horizontalAdvance(self.text) + 10, HEADER_HEIGHT)
        hint = super().sizeHint().expandedTo(header)
        return hint if self.isChecked() else QtCore.QSize(hint.width(), HEADER_HEIGHT)

    def minimumSizeHint(self) -> QtCore.QSize:
        if not self.isChecked():
            return self.sizeHint()
        return super().minimumSizeHint().expandedTo(QtCore.QSize(0, HEADER_HEIGHT))

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter, option = QtWidgets.QStylePainter(self), QtWidgets.QStyleOption()
        header = QtCore.QRect(0, 0, self.width, HEADER_HEIGHT)
        painter.fillRect(header, self.palette.color(QtGui.QPalette.ColorRole.Midlight))
        option.initFrom(self)
        option.rect = QtCore.QRect(5, 6, 12, 12)
        kinds = QtWidgets.QStyle.PrimitiveElement
        painter.drawPrimitive(kinds.PE_IndicatorArrowDown if self.isChecked() else kinds.PE_IndicatorArrowRight, option)
        painter.setPen(self.palette.color(QtGui.QPalette.ColorRole.ButtonText))
        painter.drawText(header.adjusted(ARROW_WIDTH, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.text)


class ctkDoubleSpinBox(QtWidgets.QWidget):
    """A number."""

    valueChanged = Signal(float)
    decimalsChanged = Signal(int)
    editingFinished = Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QDoubleSpinBox(self)
        self._box.valueChanged.connect(self.valueChanged)
        self._box.editingFinished.connect(self.editingFinished)
        _fill(self, self._box)

    value, minimum, maximum, singleStep = (
        forwarded(float, name, "_box") for name in ("value", "minimum", "maximum", "singleStep")
    )
    prefix, suffix = forwarded(str, "prefix", "_box"), forwarded(str, "suffix", "_box")
    readOnly = forwarded(bool, "readOnly", "_box")

    def _set_decimals(self, decimals: int) -> None:
        self._box.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    decimals = checked_property(int, "decimals", lambda self: self._box.decimals, _set_decimals)

    def setValue(self, value: float) -> None:
        self.value = value

    def setDecimals(self, decimals: int) -> None:
        self.decimals = decimals


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box; the slider moves in single steps."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider, self._box = QtWidgets.QSlider(Qt.Orientation.Horizontal, self), QtWidgets.QDoubleSpinBox(self)
        self._box.setMaximum(99)
        _fill(self, self._slider, self._box)
        self._box.valueChanged.connect(self._on_value)
        self._slider.sliderMoved.connect(self._on_slider)
        self._slider.actionTriggered.connect(lambda _action: self._on_slider(self._slider.sliderPosition))
        self._update_slider()

    value = forwarded(float, "value", "_box")
    prefix, suffix = forwarded(str, "prefix", "_box"), forwarded(str, "suffix", "_box")
    pageStep, tracking = stored(float, "pageStep", 10.0), stored(bool, "tracking", True)
    tickInterval = stored(float, "tickInterval", 0.0)

    def _set_on_box(name: str) -> QtCore.Property:  # noqa: N805 - makes properties of this class
        def write(self: ctkSliderWidget, number: float) -> None:
            setattr(self._box, name, number)
            self._update_slider()

        return checked_property(float, name, lambda self: getattr(self._box, name), write)

    minimum, maximum = _set_on_box("minimum"), _set_on_box("maximum")
    singleStep = _set_on_box("singleStep")
    del _set_on_box

    def _set_decimals(self, decimals: int) -> None:
        self._box.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    decimals = checked_property(int, "decimals", lambda self: self._box.decimals, _set_decimals)
    spinBoxVisible = checked_property(
        bool, "spinBoxVisible", lambda self: not self._box.isHidden(), lambda self, value: self._box.setVisible(value)
    )

    def setValue(self, value: float) -> None:
        self.value = value

    def setDecimals(self, decimals: int) -> None:
        self.decimals = decimals

    def setSpinBoxVisible(self, visible: bool) -> None:
        self.spinBoxVisible = visible

    def _update_slider(self) -> None:
        step = self._box.singleStep or 1.0
        self._slider.setRange(0, min(round((self._box.maximum - self._box.minimum) / step), 2**30))
        self._slider.setValue(round((self._box.value - self._box.minimum) / step))

    def _on_value(self, value: float) -> None:
        self._update_slider()
        self.valueIsChanging.emit(value)
        self.valueChanged.emit(value)

    def _on_slider(self, position: int) -> None:
        self._box.setValue(self._box.minimum + position * self._box.singleStep)


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path that one types or chooses."""

    currentPathChanged = Signal(str)
    Dirs, Files, Drives, NoSymLinks = 0x1, 0x2, 0x4, 0x8
    Readable, Writable, Executable, Hidden = 0x10, 0x20, 0x40, 0x100

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._line, self._button = QtWidgets.QLineEdit(self), QtWidgets.QToolButton(self)
        self._button.setText("...")
        self._button.clicked.connect(self.browse)
        self._line.textChanged.connect(self.currentPathChanged)
        _fill(self, self._line, self._button)

    currentPath = checked_property(
        str, "currentPath", lambda self: self._line.text, lambda self, path: self._line.setText(path)
    )
    filters, nameFilters = stored(int, "filters", 0), stored(tuple, "nameFilters", ())
    label, settingKey = stored(str, "label", ""), stored(str, "settingKey", "")
    showHistoryButton = stored(bool, "showHistoryButton", True)
    showBrowseButton = checked_property(
        bool, "showBrowseButton", lambda self: not self._button.isHidden(), lambda self, on: self._button.setVisible(on)
    )

    def setCurrentPath(self, path: str) -> None:
        self.currentPath = path

    def browse(self) -> None:
        """Ask for a file; the test answers."""
        path = QtWidgets.QFileDialog.getOpenFileName(self, "Select a file", self.currentPath)
        if path:
            self.currentPath = path

    def addCurrentPathToHistory(self) -> None:
        """There is no history."""


class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box; the icons of ctk are not drawn."""


class ctkComboBox(QtWidgets.QComboBox):
    """A combo box; the texts of ctk are not drawn."""

    defaultText, forceDefault = stored(str, "defaultText", ""), stored(bool, "forceDefault", False)


class ctkPushButton(QtWidgets.QPushButton):
    """A push button."""


class ctkCheckablePushButton(ctkPushButton):
    """A push button with a check box, which is drawn as a pressed button here."""

    checkBoxControlsButton = stored(bool, "checkBoxControlsButton", True)
    checkBoxControlsButtonToggleState = stored(bool, "checkBoxControlsButtonToggleState", True)
    checkBoxUserCheckable = stored(bool, "checkBoxUserCheckable", True)


def _fill(widget: QtWidgets.QWidget, *parts: QtWidgets.QWidget) -> None:
    """Lay out the parts of a composite widget in a row."""
    row = QtWidgets.QHBoxLayout(widget)
    row.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        row.addWidget(part)
    widget.setSizePolicy(*ACROSS)
    widget.setFocusProxy(parts[-1])


WIDGETS = (
    ctkCollapsibleButton,
    ctkDoubleSpinBox,
    ctkSliderWidget,
    ctkPathLineEdit,
    ctkCheckBox,
    ctkComboBox,
    ctkPushButton,
    ctkCheckablePushButton,
)
