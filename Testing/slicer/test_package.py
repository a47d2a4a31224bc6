"""What goes into the package: the lists of the CMake files, and a real installation by CMake without Slicer."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.slicer.descriptions import ROOT, cmake_variables, s4ext_values

FOLDERS = {"Speckle2SelfLogic": "PACKAGE_PYTHON", "Speckle2SelfSlicer": "MODULE_PYTHON"}
NOT_INSTALLED = ("Resources/Screenshots/", "README.md")  # pages about the extension
INSTALLED = "lib/Slicer/qt-scripted-modules"
TOOLS = ("cmake", "make", "cc", "c++")
needs_cmake = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="needs CMake, make and a compiler")


def files_in(folder):
    """Return the files below a folder that belong in the package, relative to it."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    hidden = ("__pycache__", ".")
    names = (path.as_posix() for path in paths if not any(part.startswith(hidden) for part in path.parts))
    return {name for name in names if name != "CMakeLists.txt" and not name.startswith(NOT_INSTALLED)}


def lists_of(folder):
    variables, prefix = cmake_variables(ROOT / folder), FOLDERS[folder]
    return variables[f"{prefix}_SCRIPTS"].split(), variables[f"{prefix}_RESOURCES"].split()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_a_folder_is_in_the_lists_of_its_cmake_file(folder):
    scripts, resources = lists_of(folder)
    present, listed = files_in(ROOT / folder), {*scripts, *resources}
    assert sorted(present - listed) == [], f"add these files to {folder}/CMakeLists.txt"
    assert sorted(listed - present) == [], f"{folder}/CMakeLists.txt lists files that do not exist"
    assert len(listed) == len(scripts) + len(resources), f"{folder}/CMakeLists.txt lists a file twice"
    assert {Path(name).suffix for name in scripts} == {".py"}
    assert not [name for name in resources if name.endswith(".py")]


@pytest.fixture(scope="module")
def a_build(tmp_path_factory):
    """The extension, configured by CMake with a stand-in for Slicer, and installed. The folder of both."""
    folder = tmp_path_factory.mktemp("build")
    stand_in = Path(__file__).parent / "cmake"
    configure = ["cmake", "-S", ROOT, "-B", folder / "build", f"-DSlicer_DIR={stand_in}", "-DBUILD_TESTING=ON"]
    configured = subprocess.run(configure, capture_output=True, text=True)
    assert configured.returncode == 0, configured.stderr
    assert "Warning" not in configured.stderr
    install = ["cmake", "--install", folder / "build", "--prefix", folder / "installed"]
    subprocess.run(install, capture_output=True, text=True, check=True)
    return folder


@needs_cmake
def test_cmake_installs_the_module_and_the_core_side_by_side(a_build):
    installed = a_build / "installed" / INSTALLED
    expected = {f"Speckle2SelfLogic/{name}" for name in files_in(ROOT / "Speckle2SelfLogic")}
    expected |= files_in(ROOT / "Speckle2SelfSlicer")
    project = "Speckle2SelfLogic/pyproject.toml"  # which extras the module installs on request
    assert (installed / project).read_bytes() == (ROOT / "pyproject.toml").read_bytes()
    assert (a_build / "build" / INSTALLED / project).is_file()
    assert {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()} == expected | {
        project
    }
    for name in expected:
        source = ROOT / name if name.startswith("Speckle2SelfLogic/") else ROOT / "Speckle2SelfSlicer" / name
        assert (installed / name).read_bytes() == source.read_bytes()


@needs_cmake
def test_an_installed_library_finds_the_core_beside_it_with_its_weights(a_build):
    installed = a_build / "installed" / INSTALLED
    script = f"""
import sys
from pathlib import Path
sys.path[:] = [{str(installed)!r}, *(path for path in sys.path if path and not path.startswith({str(ROOT)!r} + "/S"))]
sys.path_hooks[:] = [hook for hook in sys.path_hooks if "editable" not in repr(hook)]
sys.meta_path[:] = [finder for finder in sys.meta_path if "ditable" not in repr(finder)]
from Speckle2SelfSlicerLib.core_path import make_core_importable
make_core_importable()
import Speckle2SelfLogic
from Speckle2SelfLogic.weights import DEFAULT_MODEL, find_model
from Speckle2SelfSlicerLib.faster_runtimes import project_file
from Speckle2SelfSlicerLib.sample_data import CINE, THUMBNAIL
assert project_file() == Path(Speckle2SelfLogic.__file__).parent / "pyproject.toml"
find_model(DEFAULT_MODEL)
assert CINE.is_file() and THUMBNAIL.is_file()
print(Speckle2SelfLogic.__file__)
"""
    ran = subprocess.run([sys.executable, "-B", "-c", script], cwd=a_build, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()) == installed / "Speckle2SelfLogic/__init__.py"


@needs_cmake
def test_cmake_reads_the_description_as_the_older_file_has_it(a_build):
    made = dict(s4ext_values(a_build / "build/Speckle2Self.s4ext"))
    ours = dict(s4ext_values(ROOT / "Speckle2Self.s4ext"))
    assert made == {key: ours[key] for key in made}
    assert len(made) == len(ours) - 3  # CMake asks git about the rest


@needs_cmake
def test_the_module_is_tested_when_slicer_builds_the_extension(a_build):
    listed = subprocess.run(["ctest", "-N"], cwd=a_build / "build", capture_output=True, text=True, check=True)
    assert "py_Speckle2SelfSlicer.py" in listed.stdout
