"""The extension's descriptions and file lists, held against each other and against the folders. Needs no Slicer."""

import ast
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from Speckle2SelfLogic import RESEARCH_USE

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "Speckle2SelfSlicer"
MODULE_FILE = MODULE / "Speckle2SelfSlicer.py"
UI_FILE = MODULE / "Resources/UI/Speckle2SelfSlicer.ui"
# fmt: off
S4EXT_KEYS = [
    "scm", "scmurl", "scmrevision", "depends", "recommends", "build_subdirectory", "homepage", "contributors",
    "category", "iconurl", "status", "tier", "description", "screenshoturls", "enabled", "dicom_support_rule",
    "keywords",
]
# fmt: on


def cmake_variables(folder):
    """Return the values of set(NAME VALUE...) of a folder's CMakeLists.txt, with variables replaced."""
    text = re.sub(r"(?m)^\s*#.*$", "", (folder / "CMakeLists.txt").read_text())
    variables = {}
    for name, value in re.findall(r"(?s)\bset\((\w+)\s+(.*?)\s*\)(?=\n)", text):
        known = re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], match[0]), value)
        variables[name] = known[1:-1] if known.startswith('"') else known
    return variables


def files_in(folder):
    """Return the files below a folder that belong in the package, relative to it."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    hidden = ("__pycache__", ".")
    return {
        path.as_posix()
        for path in paths
        if path.name != "CMakeLists.txt" and not any(part.startswith(hidden) for part in path.parts)
    }


@pytest.fixture
def an_s4ext():
    lines = (ROOT / "Speckle2Self.s4ext").read_text().splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    assert [key for key, _, _ in pairs] == S4EXT_KEYS
    return {key: value for key, _, value in pairs}


@pytest.fixture
def a_panel():
    return ET.parse(UI_FILE).getroot()  # noqa: S314 - the project's own file


@pytest.mark.parametrize(
    ("folder", "prefix"), [("Speckle2SelfLogic", "PACKAGE_PYTHON"), ("Speckle2SelfSlicer", "MODULE_PYTHON")]
)
def test_every_file_of_a_folder_is_in_the_lists_of_its_cmake_file(folder, prefix):
    variables = cmake_variables(ROOT / folder)
    scripts = variables[f"{prefix}_SCRIPTS"].split()
    resources = variables[f"{prefix}_RESOURCES"].split()
    present = files_in(ROOT / folder)
    listed = {*scripts, *resources}
    assert sorted(present - listed) == [], f"add these files to {folder}/CMakeLists.txt"
    assert sorted(listed - present) == [], f"{folder}/CMakeLists.txt lists files that do not exist"
    assert len(listed) == len(scripts) + len(resources), f"{folder}/CMakeLists.txt lists a file twice"
    assert {Path(name).suffix for name in scripts} == {".py"}
    assert not [name for name in resources if name.endswith(".py")]


def test_the_older_description_repeats_the_cmake_file(an_s4ext):
    variables = cmake_variables(ROOT)
    same = set(S4EXT_KEYS) - {"scm", "scmurl", "scmrevision", "build_subdirectory", "enabled"}
    assert {key: an_s4ext[key] for key in same} == {key: variables[f"EXTENSION_{key.upper()}"] for key in same}
    assert an_s4ext["scmurl"] == f"{variables['EXTENSION_HOMEPAGE']}.git"
    assert (an_s4ext["scm"], an_s4ext["build_subdirectory"], an_s4ext["enabled"]) == ("git", ".", "1")


def test_the_cmake_file_names_the_extension_and_what_it_needs():
    variables = cmake_variables(ROOT)
    text = (ROOT / "CMakeLists.txt").read_text()
    assert re.findall(r"project\s*\(\s*([^\s)]+)", text) == ["Speckle2Self"]
    assert variables["EXTENSION_CATEGORY"] == "Ultrasound"
    assert variables["EXTENSION_DEPENDS"] == "PyTorch"
    assert re.findall(r"(?m)^add_subdirectory\((\w+)\)", text) == ["Speckle2SelfSlicer", "Speckle2SelfLogic"]
    for name in ("EXTENSION_LICENSE_FILE", "EXTENSION_README_FILE"):
        assert Path(variables[name].replace("${CMAKE_CURRENT_SOURCE_DIR}", str(ROOT))).is_file()


def test_every_public_address_follows_the_one_in_the_cmake_file(an_s4ext):
    variables = cmake_variables(ROOT)
    repository = variables["Speckle2Self_REPOSITORY"]
    pages, raw = f"https://github.com/{repository}", f"https://raw.githubusercontent.com/{repository}/main/"
    assert variables["EXTENSION_HOMEPAGE"] == pages
    images = [variables["EXTENSION_ICONURL"], *variables["EXTENSION_SCREENSHOTURLS"].split()]
    for address in images:
        assert address.startswith(raw)
        assert (ROOT / address.removeprefix(raw)).is_file()
    text = " ".join([(ROOT / "CMakeLists.txt").read_text(), *an_s4ext.values()])
    for address in re.findall(r"https?://\S+", text.replace("${Speckle2Self_REPOSITORY}", repository)):
        assert address.startswith((pages, raw))


@pytest.mark.parametrize("icon", [ROOT / "Speckle2Self.png", MODULE / "Resources/Icons/Speckle2SelfSlicer.png"])
def test_icons_are_png_files_of_128_pixels(icon):
    with Image.open(icon) as image:
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
    path_file = MODULE / "Speckle2SelfSlicerLib/core_path.py"
    assert imports_in(ast.parse(path_file.read_text()).body) <= sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((MODULE / "Speckle2SelfSlicerLib").glob("*.py")), ids=lambda path: path.name)
def test_the_library_stays_free_of_qt_and_torch(path):
    allowed = {"numpy", "vtk", "slicer", "Speckle2SelfLogic", "Speckle2SelfSlicerLib"} | sys.stdlib_module_names
    assert imports_in(ast.walk(ast.parse(path.read_text()))) <= allowed


def test_the_module_file_holds_the_classes_that_slicer_looks_for():
    classes = [node for node in ast.parse(MODULE_FILE.read_text()).body if isinstance(node, ast.ClassDef)]
    bases = {node.name: node.bases[0].id for node in classes}
    kinds = ("", "Widget", "Logic", "Test")
    assert bases == {f"Speckle2SelfSlicer{kind}": f"ScriptedLoadableModule{kind}" for kind in kinds}


def test_slicer_finds_no_second_module_and_no_package_in_the_module_folder():
    assert [path.name for path in MODULE.glob("*.py")] == ["Speckle2SelfSlicer.py"]
    assert not (ROOT / "__init__.py").exists()


def test_the_panel_has_every_widget_that_the_module_uses(a_panel):
    names = {widget.get("name") for widget in a_panel.iter("widget")}
    used = set(re.findall(r"self\.ui\.(\w+)", MODULE_FILE.read_text()))
    assert used <= names
    assert used >= {"inputSelector", "methodComboBox", "strengthSlider", "applyButton", "statusLabel"}


def test_the_panel_lists_grey_and_rgb_volumes_but_no_label_maps(a_panel):
    selector = a_panel.find(".//widget[@name='inputSelector']")
    types = [entry.text for entry in selector.find("property[@name='nodeTypes']").iter("string")]
    assert types == ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"]
    assert selector.find("property[@name='showChildNodeTypes']/bool").text == "false"


def test_the_panel_and_the_help_say_that_this_is_for_research_only(a_panel):
    assert a_panel.find(".//widget[@name='noticeLabel']/property[@name='text']/string").text == RESEARCH_USE
    assert RESEARCH_USE in MODULE_FILE.read_text()
