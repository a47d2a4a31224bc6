"""Faster runtimes missing, installed on request and refused, on real folders with a stand-in for Slicer's pip."""

import sys
import types
from pathlib import Path

import packaging.requirements  # noqa: F401 - stays importable when the other packages are set aside
import pytest

import Speckle2SelfLogic.runtimes.engines  # noqa: F401 - imported while NumPy can be
from Speckle2SelfLogic.errors import CancelledError, Speckle2SelfError

pytest.importorskip("tomllib", reason="no Slicer has a Python older than 3.11")

MODULE_FOLDER = Path(__file__).parents[2] / "Speckle2SelfSlicer"
ROOT = MODULE_FOLDER.parent
PROJECT = """
[project]
name = "speckle2self"
[project.optional-dependencies]
onnx = ["onnxruntime>=1.20", "onnx>=1.17", "nothing>=1; sys_platform == 'never'"]
openvino = ["speckle2self[onnx]", "openvino>=2025.0"]
"""
RUNTIMES = ["openvino>=2025.0", "onnxruntime>=1.20", "onnx>=1.17"]


def forget_runtimes():
    names = [name for name in sys.modules if name.split(".")[0] in ("openvino", "onnxruntime", "onnx")]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture(autouse=True)
def no_real_runtimes():
    """The real runtimes are set aside as a whole. Automatic, so that they come back last."""
    real = forget_runtimes()
    yield
    forget_runtimes()
    sys.modules.update(real)


@pytest.fixture
def site_packages(tmp_path, monkeypatch):
    """A folder of packages that holds NumPy and PyTorch only, the only one that Python has."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    others = [entry for entry in sys.path if "site-packages" not in entry]
    monkeypatch.setattr(sys, "path", [str(folder), str(MODULE_FOLDER), str(ROOT), *others])
    put(folder, "numpy", "2.4.6", has_module=False)
    put(folder, "torch", "2.13.0+cpu", has_module=False)
    return folder


@pytest.fixture
def pip(site_packages, monkeypatch):
    """Slicer's pip: what it was asked for, with the constraints; what it does is put in by the test."""
    util, stand_in = types.ModuleType("slicer.util"), types.SimpleNamespace(asked=[], constraints=[], does=lambda: None)

    def pip_install(arguments):
        file = Path(arguments[arguments.index("--constraint") + 1])
        stand_in.constraints.append(file.read_text(encoding="utf-8").split())
        stand_in.asked.append([each for each in arguments if each != str(file)])
        stand_in.does()

    util.pip_install = pip_install
    monkeypatch.setitem(sys.modules, "slicer.util", util)
    return stand_in


@pytest.fixture
def faster_runtimes(site_packages, tmp_path, monkeypatch):
    """The module under test, with a short ``pyproject.toml``."""
    from Speckle2SelfSlicerLib import faster_runtimes

    project = tmp_path / "pyproject.toml"
    project.write_text(PROJECT)
    monkeypatch.setattr(faster_runtimes, "project_file", lambda: project)
    return faster_runtimes


def put(folder, name, version, code="", *, has_module=True):
    record = folder / f"{name}-{version}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (record / "top_level.txt").write_text(f"{name}\n")
    if has_module:
        (folder / f"{name}.py").write_text(code)


def put_runtimes(folder, openvino_code=""):
    put(folder, "openvino", "2026.4.1", openvino_code)
    put(folder, "onnxruntime", "1.32.0")
    put(folder, "onnx", "1.23.2")


def agree(_question):
    return True


def never_asked(question):
    pytest.fail(f"asked: {question}")


def is_a_sentence(error):
    text = str(error)
    return isinstance(error, Speckle2SelfError) and text.endswith(".") and "\n" not in text


def test_what_is_missing_is_what_the_extra_requires_on_this_computer(faster_runtimes):
    assert list(faster_runtimes.FasterRuntimes().missing) == RUNTIMES


def test_a_version_out_of_the_range_is_missing_too(faster_runtimes, site_packages):
    put(site_packages, "onnxruntime", "1.19.2")
    put(site_packages, "onnx", "1.17.0")
    assert list(faster_runtimes.FasterRuntimes().missing) == ["openvino>=2025.0", "onnxruntime>=1.20"]


def test_what_is_all_there_is_neither_asked_about_nor_installed(faster_runtimes, site_packages, pip):
    put_runtimes(site_packages)
    runtimes = faster_runtimes.FasterRuntimes()
    assert runtimes.missing == ()
    runtimes.install(never_asked)
    assert pip.asked == []


def test_the_ranges_come_from_the_projects_own_file():
    sys.path.insert(0, str(MODULE_FOLDER))
    try:
        from Speckle2SelfSlicerLib.faster_runtimes import project_file
        from Speckle2SelfSlicerLib.pip_packages import requirements_of
    finally:
        sys.path.remove(str(MODULE_FOLDER))
    assert project_file() == ROOT / "pyproject.toml"
    names = {each.name for each in requirements_of("openvino", project_file())}
    assert names >= {"openvino", "onnxruntime", "onnx"}
    assert "speckle2self" not in names
    library = MODULE_FOLDER / "Speckle2SelfSlicerLib"
    assert not [path for path in library.rglob("*.py") if "openvino>=" in path.read_text(encoding="utf-8")]


def test_after_asking_once_they_are_installed_and_nothing_else_may_change(faster_runtimes, site_packages, pip):
    asked, told = [], []
    pip.does = lambda: put_runtimes(site_packages)
    runtimes = faster_runtimes.FasterRuntimes()
    runtimes.install(lambda question: asked.append(question) or True, told.append)
    assert pip.asked == [["--only-binary=:all:", "--constraint", *RUNTIMES]]
    assert pip.constraints == [["numpy==2.4.6", "torch==2.13.0+cpu"]]
    assert len(asked) == 1
    for words in (*RUNTIMES, "GB", "may not answer", "OpenVINO, ONNX Runtime", "only those in this list can change"):
        assert words in asked[0]
    assert "is installed" in told[-1]
    assert runtimes.missing == ()
    assert {"openvino", "onnxruntime"} <= set(sys.modules)  # they can be used without a restart


def test_an_old_version_may_be_replaced_but_only_that(faster_runtimes, site_packages, pip):
    put(site_packages, "onnxruntime", "1.19.2")
    put(site_packages, "broken", "2004d", has_module=False)  # which pip would not read as a version

    def install():
        (site_packages / "onnxruntime-1.19.2.dist-info" / "METADATA").unlink()
        (site_packages / "onnxruntime-1.19.2.dist-info" / "top_level.txt").unlink()
        (site_packages / "onnxruntime-1.19.2.dist-info").rmdir()
        put_runtimes(site_packages)

    pip.does = install
    faster_runtimes.FasterRuntimes().install(agree)
    assert pip.constraints == [["numpy==2.4.6", "torch==2.13.0+cpu"]]


def test_declining_installs_nothing_and_says_what_goes_on(faster_runtimes, pip):
    with pytest.raises(CancelledError, match="because you declined: networks go on with PyTorch") as raised:
        faster_runtimes.FasterRuntimes().install(lambda _question: False)
    assert is_a_sentence(raised.value)
    assert pip.asked == []


def test_without_network_one_sentence_says_what_to_do(faster_runtimes, pip):
    def fail():
        message = "Command '['PythonSlicer', '-m', 'pip']' returned non-zero exit status 1.\nmore\nlines"
        raise RuntimeError(message)

    pip.does = fail
    runtimes = faster_runtimes.FasterRuntimes()
    with pytest.raises(faster_runtimes.InstallationError, match=r"\(Command .* status 1\): check the int") as raised:
        runtimes.install(agree)
    assert is_a_sentence(raised.value)
    assert list(runtimes.missing) == RUNTIMES  # it can be tried again


def test_a_pip_that_installs_nothing_without_an_error_is_not_called_a_success(faster_runtimes, pip):
    told = []
    with pytest.raises(faster_runtimes.InstallationError, match=r"openvino>=2025.0, .* still missing") as raised:
        faster_runtimes.FasterRuntimes().install(agree, told.append)
    assert is_a_sentence(raised.value)
    assert not [sentence for sentence in told if "is installed" in sentence]


def test_libraries_that_cannot_be_loaded_ask_for_a_restart(faster_runtimes, site_packages, pip):
    pip.does = lambda: put_runtimes(site_packages, "raise OSError('openvino.dll not found')")
    with pytest.raises(
        faster_runtimes.InstallationError, match=r"OpenVINO .* \(openvino.dll not found\): restart"
    ) as raised:
        faster_runtimes.FasterRuntimes().install(agree)
    assert is_a_sentence(raised.value)


def test_an_old_version_that_is_in_use_asks_for_a_restart(faster_runtimes, site_packages, pip, monkeypatch):
    put(site_packages, "onnx", "1.16.0")
    monkeypatch.setitem(sys.modules, "onnx", types.ModuleType("onnx"))
    pip.does = lambda: (
        (site_packages / "onnx-1.16.0.dist-info" / "METADATA").write_text("Name: onnx\nVersion: 1.18.0\n"),
        put(site_packages, "openvino", "2026.4.1"),
        put(site_packages, "onnxruntime", "1.32.0"),
    )
    with pytest.raises(faster_runtimes.InstallationError, match=r"onnx .* older version is in use\): restart"):
        faster_runtimes.FasterRuntimes().install(agree)


def test_on_intel_macs_openvino_is_left_out_since_it_needs_an_older_numpy(
    faster_runtimes, site_packages, pip, monkeypatch
):
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    asked = []
    pip.does = lambda: (put(site_packages, "onnxruntime", "1.23.2"), put(site_packages, "onnx", "1.23.2"))
    faster_runtimes.FasterRuntimes().install(lambda question: asked.append(question) or True)
    assert pip.asked == [["--only-binary=:all:", "--constraint", "onnxruntime>=1.20", "onnx>=1.17"]]
    assert "OpenVINO" not in asked[0]


@pytest.mark.parametrize("content", [None, "not TOML", "[project]\nname = 'speckle2self'\n"])
def test_without_a_project_file_nothing_is_offered(faster_runtimes, tmp_path, content):
    (tmp_path / "pyproject.toml").unlink()
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    runtimes = faster_runtimes.FasterRuntimes()
    assert runtimes.missing == ()
    runtimes.install(never_asked)


@pytest.mark.parametrize(
    ("device", "has_card", "helps"),
    [("cpu", True, True), ("auto", False, True), ("auto", True, False), ("cuda", True, False)],
)
def test_they_help_where_networks_run_on_the_processor(faster_runtimes, monkeypatch, device, has_card, helps):
    monkeypatch.setattr(faster_runtimes, "has_nvidia_card", lambda: has_card)
    assert faster_runtimes.helps_on(device) is helps
