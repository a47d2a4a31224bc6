"""PyTorch missing, whole, half installed and repaired, on real folders with a stand-in for the extension "PyTorch"."""

import importlib.util
import subprocess
import sys
import types
from pathlib import Path

import packaging.version  # noqa: F401 - stays importable when the other packages are set aside
import pytest

from Speckle2SelfLogic.errors import CancelledError, Speckle2SelfError

MODULE_FOLDER = Path(__file__).parents[2] / "Speckle2SelfSlicer"
ROOT = MODULE_FOLDER.parent
WORKING_TORCH = """
from types import SimpleNamespace
__version__ = "2.2.0"
class Tensor: pass
def ones(*shape): return shape
answer = SimpleNamespace(item=lambda: {answer})
nn = SimpleNamespace(functional=SimpleNamespace(conv2d=lambda *_: answer))
"""


def forget_torch():
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def no_real_torch():
    """The real torch is set aside as a whole. Automatic, so that it comes back last, after `monkeypatch` has undone."""
    real = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torch"}
    forget_torch()
    yield
    forget_torch()
    sys.modules.update(real)


@pytest.fixture
def site_packages(tmp_path, monkeypatch):
    """An empty folder of packages, the only one that Python has, which pip installs into."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    others = [entry for entry in sys.path if "site-packages" not in entry]
    monkeypatch.setattr(sys, "path", [str(folder), str(MODULE_FOLDER), str(ROOT), *others])
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(folder))
    monkeypatch.delitem(sys.modules, "PyTorchUtils", raising=False)
    monkeypatch.setitem(sys.modules, "slicer.util", types.ModuleType("slicer.util"))  # no pip_uninstall
    return folder


@pytest.fixture
def installation(site_packages):
    from Speckle2SelfSlicerLib import installation

    return installation


def put_torch(site_packages, *, answer=9, code=None):
    folder = site_packages / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text(WORKING_TORCH.replace("{answer}", str(answer)) if code is None else code)
    (folder / "version.py").write_text("")
    (folder / "_C.cpython-312.so").write_text("")
    put_record(site_packages)
    return folder


def put_record(site_packages):
    record = site_packages / "torch-2.2.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.2.0\n")
    return record


@pytest.fixture
def an_extension(monkeypatch):
    """The extension "PyTorch", loaded; what it does on installTorch is put in by the test."""
    extension = types.ModuleType("PyTorchUtils")
    extension.calls = []
    extension.install = lambda: pytest.fail("nothing should be installed")

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=True):  # noqa: N802, N803 - as in its first version
            extension.calls.append(askConfirmation)
            return extension.install()

    extension.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    return extension


def installs(site_packages, **how):
    def install():
        put_torch(site_packages, **how)
        import torch

        return torch

    return install


def agree(_question):
    return True


def never_asked(question):
    pytest.fail(f"asked: {question}")


def is_a_sentence(error):
    text = str(error)
    return isinstance(error, Speckle2SelfError) and text.endswith(".") and "\n" not in text


# What state it is in


def test_no_folder_and_no_record_is_missing(installation):
    assert installation.torch_state() is installation.TorchState.MISSING


def test_a_whole_folder_with_its_record_is_ready_and_not_imported(installation, site_packages):
    put_torch(site_packages, code="raise SystemExit('imported')")
    assert installation.torch_state() is installation.TorchState.READY
    assert "torch" not in sys.modules


@pytest.mark.parametrize("lacking", ["__init__.py", "version.py", "_C.cpython-312.so"])
def test_a_folder_that_lacks_an_essential_file_is_broken(installation, site_packages, lacking):
    (put_torch(site_packages) / lacking).unlink()
    assert installation.torch_state() is installation.TorchState.BROKEN


def test_an_empty_folder_that_python_takes_for_a_package_is_broken(installation, site_packages):
    (site_packages / "torch").mkdir()
    assert installation.torch_state() is installation.TorchState.BROKEN


def test_a_folder_without_a_record_is_broken(installation, site_packages):
    put_torch(site_packages)
    (site_packages / "torch-2.2.0.dist-info" / "METADATA").unlink()
    assert installation.torch_state() is installation.TorchState.BROKEN
    (site_packages / "torch-2.2.0.dist-info").rmdir()
    assert installation.torch_state() is installation.TorchState.BROKEN


def test_a_record_without_a_folder_is_broken(installation, site_packages):
    put_record(site_packages)
    assert installation.torch_state() is installation.TorchState.BROKEN


def test_an_empty_package_that_was_imported_already_is_broken(installation, site_packages):
    (site_packages / "torch").mkdir()
    import torch  # noqa: F401

    assert installation.torch_state() is installation.TorchState.BROKEN


def test_a_working_package_that_was_imported_already_is_ready(installation, site_packages):
    put_torch(site_packages)
    import torch  # noqa: F401

    assert installation.torch_state() is installation.TorchState.READY


def test_a_package_that_another_thread_is_importing_is_not_taken_for_broken(installation, monkeypatch):
    half = types.ModuleType("torch")
    half.__spec__ = types.SimpleNamespace(_initializing=True)
    monkeypatch.setitem(sys.modules, "torch", half)
    assert installation.torch_state() is installation.TorchState.READY
    half.__spec__._initializing = False
    assert installation.torch_state() is installation.TorchState.BROKEN


def test_the_extension_is_found_where_its_module_can_be_imported(installation, site_packages):
    assert not installation.has_pytorch_extension()
    (site_packages / "PyTorchUtils.py").write_text("")
    assert installation.has_pytorch_extension()


# Installing


def test_a_ready_pytorch_is_neither_asked_about_nor_imported(installation, site_packages, an_extension):
    put_torch(site_packages, code="raise SystemExit('imported')")
    installation.ensure_torch(never_asked)
    assert an_extension.calls == []


def test_without_the_extension_one_sentence_says_what_to_do_and_nothing_is_asked(installation):
    with pytest.raises(installation.InstallationError) as raised:
        installation.ensure_torch(never_asked)
    assert is_a_sentence(raised.value)
    for words in ("Extensions Manager", "'PyTorch'", "restart Slicer", "classical filter", "without internet"):
        assert words in str(raised.value)


def test_an_extension_that_does_not_work_is_named(installation, site_packages):
    (site_packages / "PyTorchUtils.py").write_text("raise RuntimeError('no qt')")
    with pytest.raises(installation.InstallationError, match=r"'PyTorch' does not work \(no qt\)") as raised:
        installation.ensure_torch(never_asked)
    assert is_a_sentence(raised.value)


def test_a_missing_pytorch_is_installed_after_asking_once(installation, site_packages, an_extension):
    an_extension.install = installs(site_packages)
    asked, told = [], []
    installation.ensure_torch(lambda question: asked.append(question) or True, told.append)
    assert installation.torch_state() is installation.TorchState.READY
    assert an_extension.calls == [False]  # the extension must not ask a second time
    assert len(asked) == 1
    assert "GB" in asked[0]
    assert told[-1] == "PyTorch is installed."


def test_nothing_is_installed_if_the_user_declines(installation, an_extension):
    with pytest.raises(CancelledError, match="because you declined") as raised:
        installation.ensure_torch(lambda _question: False)
    assert is_a_sentence(raised.value)
    assert an_extension.calls == []


def test_declining_in_the_extension_itself_counts_as_well(installation, an_extension):
    an_extension.install = lambda: None
    with pytest.raises(CancelledError, match="because you declined"):
        installation.ensure_torch(agree)


def test_a_failed_download_ends_in_one_sentence(installation, an_extension):
    def no_network():
        message = "Command '['PythonSlicer', '-m', 'pip']' returned non-zero exit status 1.\nmore\nlines"
        raise RuntimeError(message)

    an_extension.install = no_network
    with pytest.raises(
        installation.InstallationError, match=r"could not be installed \(Command .* status 1\)"
    ) as raised:
        installation.ensure_torch(agree)
    assert is_a_sentence(raised.value)


def test_libraries_that_cannot_be_loaded_after_installing_ask_for_a_restart(installation, site_packages, an_extension):
    an_extension.install = installs(site_packages, code="raise OSError('c10.dll not found')")
    with pytest.raises(installation.InstallationError, match=r"\(c10.dll not found\): restart Slicer") as raised:
        installation.ensure_torch(agree)
    assert is_a_sentence(raised.value)


def test_what_was_installed_is_tried_before_it_is_called_installed(installation, site_packages, an_extension):
    an_extension.install = installs(site_packages, answer=8)
    told = []
    with pytest.raises(installation.InstallationError, match="a convolution came out wrong"):
        installation.ensure_torch(agree, told.append)
    assert "PyTorch is installed." not in told


# Repairing


def test_an_interrupted_installation_is_removed_and_made_again(installation, site_packages, an_extension):
    (site_packages / "torch" / "lib").mkdir(parents=True)
    (site_packages / "torch" / "lib" / "half.so").write_text("")
    import torch  # noqa: F401 - as a probe of another module may have done

    an_extension.install = installs(site_packages)
    told = []
    installation.ensure_torch(agree, told.append)
    assert installation.torch_state() is installation.TorchState.READY
    assert not (site_packages / "torch" / "lib").exists()
    assert "Removing" in told[0]


def test_pip_uninstalls_what_it_has_a_record_of(installation, site_packages, an_extension, monkeypatch):
    (put_torch(site_packages) / "__init__.py").unlink()
    asked_of_pip = []
    monkeypatch.setattr(sys.modules["slicer.util"], "pip_uninstall", asked_of_pip.append, raising=False)
    an_extension.install = installs(site_packages)
    installation.ensure_torch(agree)
    assert asked_of_pip == ["torch"]
    assert installation.torch_state() is installation.TorchState.READY


def test_a_pip_that_fails_does_not_prevent_the_repair(installation, site_packages, an_extension, monkeypatch):
    def fail(_requirement):
        raise RuntimeError

    record = put_record(site_packages)
    monkeypatch.setattr(sys.modules["slicer.util"], "pip_uninstall", fail, raising=False)
    an_extension.install = installs(site_packages)
    installation.ensure_torch(agree)
    assert record.is_dir()  # of the new one
    assert installation.torch_state() is installation.TorchState.READY


def test_a_repair_leaves_all_other_packages_alone(installation, site_packages, an_extension):
    (site_packages / "torch").mkdir()
    others = ["numpy", "SimpleITK", "torchvision", "torchvision-0.17.0.dist-info", "functorch"]
    for name in others:
        (site_packages / name).mkdir()
    an_extension.install = installs(site_packages)
    installation.ensure_torch(agree)
    assert all((site_packages / name).is_dir() for name in others)


def test_nothing_is_removed_if_the_user_declines(installation, site_packages, an_extension):
    (site_packages / "torch").mkdir()
    with pytest.raises(CancelledError):
        installation.ensure_torch(lambda _question: False)
    assert (site_packages / "torch").is_dir()


def test_a_damaged_pytorch_that_is_in_use_is_left_alone(installation, site_packages, an_extension, monkeypatch):
    (site_packages / "torch").mkdir()
    monkeypatch.setitem(sys.modules, "torch._C", types.ModuleType("torch._C"))
    with pytest.raises(installation.InstallationError, match="in use: restart Slicer") as raised:
        installation.ensure_torch(agree)
    assert is_a_sentence(raised.value)
    assert (site_packages / "torch").is_dir()
    assert an_extension.calls == []


def test_a_damaged_pytorch_outside_of_slicer_is_named_and_left_alone(
    installation, tmp_path, site_packages, an_extension, monkeypatch
):
    foreign = tmp_path / "elsewhere" / "torch"
    foreign.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(foreign.parent)])
    link = site_packages / "torch"
    link.symlink_to(foreign)
    with pytest.raises(installation.InstallationError, match="does not belong to Slicer"):
        installation.ensure_torch(agree)
    link.unlink()
    with pytest.raises(installation.InstallationError, match="elsewhere") as raised:
        installation.ensure_torch(agree)
    assert is_a_sentence(raised.value)
    assert foreign.is_dir()
    assert an_extension.calls == []


def test_a_folder_that_cannot_be_removed_is_named(installation, site_packages, an_extension, monkeypatch):
    (site_packages / "torch").mkdir()

    def refuse(_folder):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(installation.InstallationError, match="Access is denied") as raised:
        installation.ensure_torch(agree)
    assert is_a_sentence(raised.value)
    assert str(site_packages / "torch") in str(raised.value)
    assert an_extension.calls == []


# On this computer


def test_the_installed_pytorch_is_ready_and_works():
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch")
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]; from Speckle2SelfSlicerLib import installation as it;"
        "it.check_torch(); print(it.torch_state().name)"
    )  # in a process of its own, since torch cannot be imported twice
    command = [sys.executable, "-c", script, str(MODULE_FOLDER), str(ROOT)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "READY"


def test_packages_of_filters_are_installed_after_asking(installation, site_packages, monkeypatch):
    asked, installed = [], []

    def pip_install(arguments):
        constraints = Path(arguments[arguments.index("--constraint") + 1])
        installed.append((arguments[-1], constraints.read_text(encoding="utf-8").split()))

    def ask(question):
        asked.append(question)
        return len(asked) > 1

    monkeypatch.setattr(sys.modules["slicer.util"], "pip_install", pip_install, raising=False)
    record = site_packages / "scikit_image-0.26.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-image\nVersion: 0.26.0\n")
    packages = ("scikit-image", "PyWavelets")
    assert installation.missing_packages(packages) == ["PyWavelets"]
    with pytest.raises(CancelledError, match="PyWavelets was not installed, because you declined"):
        installation.ensure_packages(packages, ask)
    installation.ensure_packages(packages, ask)
    installation.ensure_packages(("scikit-image",), ask)  # is there: nothing is asked
    assert (len(asked), installed) == (2, [("PyWavelets", ["scikit-image==0.26.0"])])  # what is there must stay


def test_a_package_that_cannot_be_installed_is_one_sentence(installation, monkeypatch):
    def pip_install(_names):
        message = "Command failed\nwith a long log"
        raise RuntimeError(message)

    monkeypatch.setattr(sys.modules["slicer.util"], "pip_install", pip_install, raising=False)
    with pytest.raises(
        installation.InstallationError, match=r"^scikit-image could not be installed \(Command failed\)"
    ):
        installation.ensure_packages(("scikit-image",), lambda _question: True)


@pytest.mark.parametrize(
    ("gpus", "tool", "words"), [(1, None, "takes it"), (0, "nvidia-smi", "takes it"), (0, None, "CPU")]
)
def test_the_hint_about_devices_needs_no_pytorch(installation, tmp_path, monkeypatch, gpus, tool, words):
    for number in range(gpus):
        (tmp_path / f"0000:0{number}").mkdir()
    monkeypatch.setattr(installation, "NVIDIA_GPUS", tmp_path if gpus else tmp_path / "none")
    monkeypatch.setattr("shutil.which", lambda _name: tool)
    assert words in installation.device_hint()
    assert "torch" not in sys.modules
