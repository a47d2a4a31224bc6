"""The double of the Slicer application is as strict as Slicer, or stricter."""

import enum
import json
from pathlib import Path
from typing import Annotated, Union

import numpy as np
import pytest

MEMBERS_IN_SLICER = Path(__file__).parents[3] / "shared" / "slicer_api" / "widgets.json"

FORM = """<ui version="4.0"><widget class="qMRMLWidget" name="Top"><layout class="QVBoxLayout" name="column">
<item><widget class="{cls}" name="selector"><property name="{name}"><bool>true</bool></property></widget></item>
</layout></widget><connections><connection><sender>Top</sender><signal>{signal}</signal><receiver>selector</receiver>
<slot>{slot}</slot></connection></connections></ui>"""
RIGHT = {
    "cls": "qMRMLNodeComboBox",
    "name": "noneEnabled",
    "signal": "mrmlSceneChanged(vtkMRMLScene*)",
    "slot": "setMRMLScene(vtkMRMLScene*)",
}


@pytest.fixture
def qt(a_slicer_app):
    import qt

    return qt


@pytest.fixture
def ctk(a_slicer_app):
    import ctk

    return ctk


@pytest.fixture
def slicer(a_slicer_app):
    import slicer

    return slicer


@pytest.fixture
def a_selector(slicer):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    return selector


def add(slicer, kind, name):
    return slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}Node", name)


def test_properties_are_attributes(qt):
    button = qt.QPushButton("Apply")
    button.enabled = False
    button.name = "applyButton"
    assert (button.text, button.isEnabled(), button.objectName) == ("Apply", False, "applyButton")
    button.setProperty("SlicerParameterName", "strength")
    assert button.property("SlicerParameterName") == "strength"


@pytest.mark.parametrize(
    "make",
    [
        lambda qt, ctk, slicer: qt.QLabel(),
        lambda qt, ctk, slicer: ctk.ctkSliderWidget(),
        lambda qt, ctk, slicer: slicer.qMRMLNodeComboBox(),
    ],
)
def test_unknown_members_and_signals_raise(make, qt, ctk, slicer):
    widget = make(qt, ctk, slicer)
    with pytest.raises(AttributeError, match="has no attribute named 'foo'"):
        _ = widget.foo
    with pytest.raises(AttributeError, match="creating new attributes on C"):
        widget.foo = 1
    with pytest.raises(AttributeError, match="does not exist on"):
        widget.connect("foo(bool)", print)


def test_what_is_only_in_qt_6_is_out_of_reach(qt):
    with pytest.raises(AttributeError):
        _ = qt.QCheckBox().checkStateChanged
    with pytest.raises(AttributeError):
        qt.QCheckBox().connect("checkStateChanged(Qt::CheckState)", print)
    with pytest.raises(AttributeError):
        qt.QFormLayout().setRowVisible(0, False)


def test_values_of_a_wrong_type_and_methods_cannot_be_assigned(qt, slicer):
    with pytest.raises(AttributeError, match="does not accept"):
        qt.QLabel().text = None
    with pytest.raises(AttributeError, match="does not accept"):
        slicer.qMRMLNodeComboBox().noneEnabled = "yes"
    with pytest.raises(AttributeError, match="not writable"):
        qt.QLabel().width = 3
    with pytest.raises(AttributeError, match="can not be overwritten"):
        qt.QPushButton().click = print
    with pytest.raises(AttributeError):
        slicer.qMRMLNodeComboBox().setNodeTypes(["vtkMRMLScalarVolumeNode"])


def test_slots_get_the_arguments_that_they_take(qt):
    button, calls = qt.QPushButton(), []
    button.checkable = True

    def without_argument():
        calls.append("none")

    assert button.connect("toggled(bool)", without_argument)
    button.toggled.connect(calls.append)
    button.click()
    assert button.disconnect("toggled(bool)", without_argument)
    assert not button.disconnect("toggled(bool)", without_argument)
    button.click()
    assert calls == ["none", True, False]


def test_timers_run_while_the_loop_is_pumped(qt, a_slicer_app):
    ticks, timer = [], qt.QTimer()
    timer.singleShot = True
    timer.setInterval(1)
    timer.connect("timeout()", lambda: ticks.append("timer"))
    timer.start()
    qt.QTimer.singleShot(1, lambda: ticks.append("static"))
    assert a_slicer_app.pump(lambda: len(ticks) == 2, timeout_s=5) < 5
    with pytest.raises(TimeoutError):
        a_slicer_app.pump(lambda: False, timeout_s=0.01)


def test_an_exception_in_a_slot_or_an_observer_comes_out(qt, slicer, a_slicer_app):
    def fail(*_arguments):
        message = "on purpose"
        raise ValueError(message)

    button, node = qt.QPushButton(), add(slicer, "ScalarVolume", "A")
    button.connect("clicked()", fail)
    node.AddObserver("ModifiedEvent", fail)
    with a_slicer_app.expect_error(ValueError, "on purpose"):
        button.click()
    with a_slicer_app.expect_error(ValueError, "on purpose"):
        node.Modified()


def test_dialogs_are_answered_by_the_test(qt, slicer, a_slicer_app):
    a_slicer_app.dialogs.expect("getSaveFileName", "figures.csv")
    a_slicer_app.dialogs.expect("confirmOkCancelDisplay", True)
    assert qt.QFileDialog.getSaveFileName(None, "Save") == "figures.csv"
    assert slicer.util.confirmOkCancelDisplay("Install?") is True
    with pytest.raises(AssertionError, match="unexpected dialog errorDisplay: broken"):
        slicer.util.errorDisplay("broken")
    assert a_slicer_app.dialogs.unexpected.pop() == "unexpected dialog errorDisplay: broken"


def test_a_selector_lists_what_it_is_told_to(a_selector, slicer):
    grey, labels = add(slicer, "ScalarVolume", "Grey"), add(slicer, "LabelMapVolume", "Labels")
    assert [a_selector.nodeFromIndex(number) for number in range(a_selector.nodeCount())] == [grey, labels]
    a_selector.showChildNodeTypes = False
    colour = add(slicer, "VectorVolume", "Colour")
    a_selector.nodeTypes = ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"]
    assert a_selector.nodeTypes == ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode")
    assert [a_selector.nodeFromIndex(number) for number in range(a_selector.nodeCount())] == [grey, colour]
    colour.SetHideFromEditors(True)
    a_selector.addAttribute("vtkMRMLScalarVolumeNode", "Role", "result")
    assert a_selector.nodeCount() == 0


def test_a_selector_follows_the_scene(a_selector, slicer):
    chosen, any_chosen = [], []
    a_selector.connect("currentNodeChanged(vtkMRMLNode*)", chosen.append)
    a_selector.connect("currentNodeChanged(bool)", any_chosen.append)
    first, second = add(slicer, "ScalarVolume", "First"), add(slicer, "ScalarVolume", "Second")
    assert a_selector.currentNode() is first  # without None, the first one is chosen
    a_selector.setCurrentNode(second)
    slicer.mrmlScene.RemoveNode(second)
    slicer.mrmlScene.Clear()
    assert chosen == [first, second, first, None]
    assert any_chosen == [True, True, True, False]
    a_selector.noneEnabled = True
    add(slicer, "ScalarVolume", "Third")
    assert a_selector.currentNode() is None


def test_contents_that_were_hidden_or_shown_while_collapsed_stay_so(ctk, qt):
    section = ctk.ctkCollapsibleButton("Quality")
    column = qt.QVBoxLayout(section)
    section.collapsed = True
    labels = [qt.QLabel(text) for text in ("plain", "hidden", "shown")]
    for label in labels:
        column.addWidget(label)
    labels[1].visible = False
    labels[2].visible = True
    section.show()
    assert not any(label.visible for label in labels)
    assert section.sizeHint().height() < 30
    section.collapsed = False
    assert [label.visible for label in labels] == [True, False, True]


def test_a_slider_widget_rounds_clamps_and_moves_in_steps(ctk):
    slider, values = ctk.ctkSliderWidget(), []
    slider.maximum, slider.singleStep, slider.decimals = 1, 0.05, 2
    slider.connect("valueChanged(double)", values.append)
    slider.value = 0.333
    slider.value = 7
    slider.value = 1.0
    assert values == [0.33, 1.0]


def test_forms_are_loaded_with_their_connections(slicer, tmp_path):
    path = tmp_path / "form.ui"
    path.write_text(FORM.format(**RIGHT))
    top = slicer.util.loadUI(str(path))
    selector = slicer.util.childWidgetVariables(top).selector
    top.setMRMLScene(slicer.mrmlScene)
    assert type(selector) is slicer.qMRMLNodeComboBox
    assert selector.noneEnabled
    assert selector.mrmlScene() is slicer.mrmlScene


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "noneAllowed"},
        {"cls": "qMRMLNodeBox"},
        {"signal": "sceneChanged(vtkMRMLScene*)"},
        {"slot": "setScene(vtkMRMLScene*)"},
    ],
)
def test_forms_with_names_that_slicer_does_not_know_are_refused(wrong, slicer, tmp_path):
    path = tmp_path / "form.ui"
    path.write_text(FORM.format(**(RIGHT | wrong)))
    with pytest.raises(AttributeError):
        slicer.util.loadUI(str(path))


def test_the_application_has_real_logics_and_views(slicer):
    manager = slicer.app.layoutManager()
    layouts = []
    manager.connect("layoutChanged(int)", layouts.append)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    volume = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.uint8))
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    red = manager.sliceWidget("Red")
    assert layouts == [manager.layout] == [slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView]
    assert red.mrmlSliceNode() is red.sliceLogic().GetSliceNode()
    assert red.mrmlSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()
    assert slicer.modules.volumes.logic().CloneVolume(volume, "copy").GetImageData().GetDimensions() == (4, 3, 2)
    assert slicer.util.mainWindow() is None
    slicer.app.setLayoutManager(None)
    assert slicer.app.layoutManager() is None


def test_settings_are_one_file_of_this_test(slicer, qt, tmp_path):
    qt.QSettings().setValue("Speckle2Self/Device", "cpu")
    slicer.app.userSettings().sync()
    assert slicer.util.settingsValue("Speckle2Self/Device", "") == "cpu"
    assert slicer.app.settings().value("Speckle2Self/Device") == "cpu"
    assert tmp_path in Path(slicer.app.settings().fileName()).parents


class Axis(enum.Enum):
    FIRST = 1
    SECOND = 2

    def label(self):
        return f"Axis {self.value}"


@pytest.fixture
def some_parameters(slicer):
    """Typed parameters of all kinds, and a widget for each."""
    import ctk
    import qt
    from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: Union[slicer.vtkMRMLScalarVolumeNode, None]  # noqa: UP007 - as Slicer 5.8 reads it
        strength: Annotated[float, WithinRange(0, 1)] = 0.5
        count: Annotated[int, WithinRange(1, 9)] = 3
        axis: Axis = Axis.SECOND
        size: Annotated[str, Choice(["small", "big"])] = "big"
        text: str
        keep: bool = True
        file: Path

    widgets = {
        "volume": slicer.qMRMLNodeComboBox(),
        "strength": ctk.ctkSliderWidget(),
        "count": qt.QSpinBox(),
        "axis": qt.QComboBox(),
        "size": qt.QComboBox(),
        "text": qt.QLineEdit(),
        "keep": qt.QCheckBox(),
        "file": ctk.ctkPathLineEdit(),
    }
    panel = qt.QWidget()
    column = qt.QVBoxLayout(panel)
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
        column.addWidget(widget)
    widgets["volume"].noneEnabled = True
    widgets["volume"].setMRMLScene(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    return Parameters(node), panel, widgets


def test_parameters_have_defaults_and_are_checked(some_parameters):
    parameters, _, _ = some_parameters
    assert (parameters.volume, parameters.strength, parameters.axis) == (None, 0.5, Axis.SECOND)
    assert (parameters.text, parameters.keep, parameters.file) == ("", True, Path())
    with pytest.raises(ValueError, match=r"1\.5"):
        parameters.strength = 1.5
    with pytest.raises(ValueError, match="medium"):
        parameters.setValue("size", "medium")
    with pytest.raises(TypeError):
        parameters.count = "3"
    with pytest.raises(ValueError, match="None"):
        parameters.text = None
    with pytest.raises(ValueError, match="stength"):
        parameters.getValue("stength")
    assert parameters.parameterNode.GetParameter("axis") == "SECOND"
    assert parameters.isCached("strength")


def test_parameters_and_widgets_follow_each_other(some_parameters, slicer):
    parameters, panel, widgets = some_parameters
    tag = parameters.connectGui(panel)
    volume = add(slicer, "ScalarVolume", "A")
    assert [widgets["axis"].itemText(index) for index in range(2)] == ["Axis 1", "Axis 2"]
    assert (widgets["strength"].value, widgets["count"].maximum, widgets["size"].currentText) == (0.5, 9, "big")
    widgets["volume"].setCurrentNode(volume)
    widgets["strength"].value = 0.25
    widgets["count"].value = 4
    widgets["axis"].currentIndex = 0
    widgets["size"].currentIndex = 0
    widgets["text"].text = "words"
    widgets["keep"].checked = False
    widgets["file"].currentPath = "weights.pt"
    assert parameters.volume is volume
    assert parameters.parameterNode.GetNodeReference("volume.0") is volume
    assert (parameters.strength, parameters.count, parameters.axis) == (0.25, 4, Axis.FIRST)
    assert (parameters.size, parameters.text, parameters.keep) == ("small", "words", False)
    assert parameters.file == Path("weights.pt")
    parameters.volume, parameters.strength, parameters.axis = None, 1, Axis.SECOND
    assert widgets["volume"].currentNode() is None
    assert (widgets["strength"].value, widgets["axis"].currentIndex) == (1.0, 1)
    parameters.disconnectGui(tag)
    parameters.strength = 0.75
    widgets["count"].value = 8
    assert (widgets["strength"].value, parameters.count) == (1.0, 4)


def test_changes_of_parameters_are_observed_once_per_block(some_parameters):
    parameters, _, _ = some_parameters
    seen = []
    parameters.AddObserver("ModifiedEvent", lambda *_ignored: seen.append((parameters.count, parameters.text)))
    was_modifying = parameters.StartModify()
    parameters.count, parameters.text = 5, "words"
    parameters.EndModify(was_modifying)
    assert seen == [(5, "words")]


@pytest.mark.parametrize(
    ("hint", "widget"),
    [
        ("float", "ctk.ctkSliderWidget"),  # without a range
        ("str", "qt.QComboBox"),  # without choices
        ("str", "qt.QPlainTextEdit"),
        ("float", "qt.QSpinBox"),
        ("bool", "qt.QLineEdit"),
    ],
)
def test_pairs_that_slicer_cannot_bind_are_refused(hint, widget, slicer, qt, ctk):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    kind = {"float": float, "str": str, "bool": bool}[hint]
    parameters_class = parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"value": kind}}))
    parameters = parameters_class(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    module, name = widget.split(".")
    with pytest.raises((RuntimeError, TypeError)):
        parameters.connectParametersToGui({"value": vars({"qt": qt, "ctk": ctk}[module])[name]()})


def test_a_logic_has_one_parameter_node_per_scene(slicer):
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    logic = type("ExampleLogic", (ScriptedLoadableModuleLogic,), {})()
    node = logic.getParameterNode()
    assert node is logic.getParameterNode()
    assert (node.GetSingletonTag(), node.GetAttribute("ModuleName")) == ("Example", "Example")
    assert logic.getAllParameterNodes() == [node]
    slicer.mrmlScene.Clear(False)
    assert logic.getParameterNode().GetAttribute("ModuleName") == "Example"


def doubles():
    from Testing.slicer.double import application, ctk_widgets, mrml_widgets

    names = ("qSlicerApplication", "qSlicerLayoutManager", "qSlicerModuleManager", "qSlicerModule")
    return [*ctk_widgets.WIDGETS, *mrml_widgets.WIDGETS, *application.WIDGETS, *(vars(application)[n] for n in names)]


def members_in_slicer(cls, catalogue):
    """Names of the members that Slicer offers from Python, of a class and of what it inherits from."""
    others = {
        "qSlicerModule": ["qSlicerScriptedLoadableModule"],
        "qSlicerModuleManager": ["qSlicerModuleManager", "qSlicerModuleFactoryManager"],
    }
    names, todo = set(), list(others.get(cls.__name__, [cls.__name__]))
    while todo:
        described = catalogue.get(todo.pop(), {"bases": []})
        todo += described["bases"]
        for group in ("properties", "signals", "slots", "invokables"):
            names |= {signature.split("(")[0] for signature in described.get(group, ())}
        names |= {value for each in described.get("enums", {}).values() for value in each["values"]}
        names |= {f"{name}()" for name in described.get("signals", ())}
    return names


def test_the_doubles_offer_nothing_that_slicer_has_not(a_slicer_app):
    if not MEMBERS_IN_SLICER.exists():
        pytest.skip(f"no list of Slicer's members at {MEMBERS_IN_SLICER}")
    from PySide6 import QtWidgets

    catalogue = json.loads(MEMBERS_IN_SLICER.read_text())
    for cls in doubles():
        known = members_in_slicer(cls, catalogue)
        known |= set(dir(QtWidgets.QApplication)) if cls.__name__ == "qSlicerApplication" else set()
        known |= {name for base in cls.__mro__ if base.__module__.startswith("PySide6") for name in vars(base)}
        offered = {name for base in cls.__mro__ if "double" in base.__module__ for name in vars(base)}
        assert {name for name in offered - known if not name.startswith("_")} == set(), cls.__name__
        for signature in getattr(cls, "_object_signals", ()):
            assert f"{signature}()" in known, (cls.__name__, signature)
