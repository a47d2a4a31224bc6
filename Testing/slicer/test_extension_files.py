"""The module's own files: what they import, what classes they hold, what the panel has. Needs no Slicer."""

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from Speckle2SelfLogic import RESEARCH_USE

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "Speckle2SelfSlicer"
MODULE_FILE = MODULE / "Speckle2SelfSlicer.py"
LIBRARY = MODULE / "Speckle2SelfSlicerLib"
UI_FILE = MODULE / "Resources/UI/Speckle2SelfSlicer.ui"
OF_SLICER_AND_PYTORCH = {
    "faster_runtimes.py": {"packaging"},
    "installation.py": {"PyTorchUtils", "torch"},
    "pip_packages.py": {"packaging", "tomllib"},  # Python 3.10 has no tomllib, but no Slicer has Python 3.10
    "sample_data.py": {"SampleData"},
}
"""What single files of the library import beside the rest, inside functions."""


@pytest.fixture
def a_panel():
    return ET.parse(UI_FILE).getroot()  # noqa: S314 - the project's own file


def test_the_icon_of_the_module_is_a_png_file_of_128_pixels():
    with Image.open(MODULE / "Resources/Icons/Speckle2SelfSlicer.png") as image:
        assert (image.format, image.size) == ("PNG", (128, 128))


def imports_in(nodes):
    """Return the names of the packages that statements import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    return names


def test_the_module_file_is_short_and_importing_it_needs_only_what_slicer_has():
    slicer_has = {"slicer", "vtk", "qt", "ctk", "Speckle2SelfSlicerLib"}
    assert len(MODULE_FILE.read_text().splitlines()) < 150
    assert imports_in(ast.parse(MODULE_FILE.read_text()).body) <= slicer_has | sys.stdlib_module_names


@pytest.mark.parametrize("name", ["__init__.py", "core_path.py", "sample_data.py", "self_test.py", "texts.py"])
def test_what_is_imported_before_the_core_is_on_the_path_does_not_need_it(name):
    slicer_has = {"numpy", "slicer", "vtk", "Speckle2SelfSlicerLib"}
    assert imports_in(ast.parse((LIBRARY / name).read_text()).body) <= slicer_has | sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.name)
def test_the_library_imports_nothing_that_slicer_lacks_when_it_is_imported(path):
    allowed = {"numpy", "scipy", "vtk", "slicer", "Speckle2SelfLogic", "Speckle2SelfSlicerLib"}
    if path.parent.name == "panel":
        allowed |= {"qt", "ctk"}
    assert imports_in(ast.parse(path.read_text()).body) <= allowed | sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.py")), ids=lambda path: path.name)
def test_the_library_beside_the_panel_stays_free_of_qt_and_torch(path):
    allowed = {"numpy", "scipy", "vtk", "slicer", "Speckle2SelfLogic", "Speckle2SelfSlicerLib"}
    allowed |= OF_SLICER_AND_PYTORCH.get(path.name, set()) | sys.stdlib_module_names
    assert imports_in(ast.walk(ast.parse(path.read_text()))) <= allowed


def test_what_the_library_takes_from_the_core_needs_no_package_that_slicer_lacks():
    """Imported in a fresh Python, for imports of imports count as well."""
    taken = {
        node.module
        for path in LIBRARY.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "Speckle2SelfLogic"
    }
    assert len(taken) > 5
    installed = (
        "{n.split('.')[0] for n, m in sys.modules.items() if 'site-packages' in str(getattr(m, '__file__', ''))}"
    )
    script = f"import sys; bare = {installed}; import {', '.join(sorted(taken))}; print(*{installed} - bare)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    of_numpy = {"charset_normalizer"}  # which it takes when it is there
    taken = {name for name in ran.stdout.split() if not name.startswith("_")}
    assert taken - of_numpy <= {"SimpleITK", "numpy", "scipy"}


def test_the_module_file_holds_the_classes_that_slicer_looks_for():
    classes = [node for node in ast.parse(MODULE_FILE.read_text()).body if isinstance(node, ast.ClassDef)]
    bases = {node.name: node.bases[-1].id for node in classes}
    kinds = ("", "Widget", "Logic", "Test")
    assert bases == {f"Speckle2SelfSlicer{kind}": f"ScriptedLoadableModule{kind}" for kind in kinds}


def test_slicer_finds_no_second_module_and_no_package_in_the_module_folder():
    assert [path.name for path in MODULE.glob("*.py")] == ["Speckle2SelfSlicer.py"]
    assert not (ROOT / "__init__.py").exists()


def test_the_panel_has_every_widget_that_its_sections_use(a_panel):
    names = {widget.get("name") for widget in a_panel.iter("widget")}
    used = {name for path in LIBRARY.glob("panel/*.py") for name in re.findall(r"\bui\.(\w+)", path.read_text())}
    assert used - names == set()
    assert used >= {"methodComboBox", "applyButton", "messageLabel"}


def test_the_panel_lists_grey_rgb_and_streaming_volumes_but_no_label_maps(a_panel):
    selector = a_panel.find(".//widget[@name='inputSelector']")
    types = [entry.text for entry in selector.find("property[@name='nodeTypes']").iter("string")]
    assert types == ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode", "vtkMRMLStreamingVolumeNode"]
    assert selector.find("property[@name='showChildNodeTypes']/bool").text == "false"


def test_the_panel_and_the_help_say_that_this_is_for_research_only(a_panel):
    assert RESEARCH_USE in [text.text for text in a_panel.iter("string")]
    spoken = [node.value for node in ast.walk(ast.parse(MODULE_FILE.read_text())) if isinstance(node, ast.Constant)]
    assert any(RESEARCH_USE in text for text in spoken if isinstance(text, str))
