import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image

from Speckle2SelfLogic import RESEARCH_USE, batch
from Speckle2SelfLogic.cli import main
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.simulation import simulate

OBLIQUE_LEFT_HANDED = (0.0, 0.6, 0.8, 1.0, 0.0, 0.0, 0.0, 0.8, -0.6)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command in this process; returns exit status, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["speckle2self", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def a_frame(tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(simulate(size_yx=(96, 128), seed=2).speckled.pixels).save(path)
    return path


@pytest.fixture
def an_oblique_volume(tmp_path):
    volume = SimpleITK.GetImageFromArray(
        np.stack([simulate(size_yx=(48, 40), seed=seed).speckled.pixels for seed in range(3)])
    )
    volume.SetSpacing((0.11, 0.23, 1.7))
    volume.SetOrigin((-12.5, 3.25, 88.0))
    volume.SetDirection(OBLIQUE_LEFT_HANDED)
    path = tmp_path / "volume.nrrd"
    SimpleITK.WriteImage(volume, path)
    return path


def test_a_frame_is_despeckled_and_the_research_notice_is_shown(run, a_frame, tmp_path):
    status, _, errors = run("denoise", a_frame, tmp_path / "clean.png")
    assert status == 0
    assert RESEARCH_USE in errors
    before, after = (np.asarray(Image.open(path)).astype(float) for path in (a_frame, tmp_path / "clean.png"))
    assert after.shape == before.shape
    assert after.mean() == pytest.approx(before.mean(), rel=0.05)
    assert np.abs(np.diff(after)).mean() < 0.4 * np.abs(np.diff(before)).mean()


def test_the_default_network_comes_close_to_the_truth():
    from Speckle2SelfLogic.denoiser import Denoiser
    from Speckle2SelfLogic.methods import load_method
    from Speckle2SelfLogic.metrics import psnr_db

    carotid = simulate(size_yx=(256, 256), seed=9)
    truth = carotid.truth.pixels.astype(float)
    clean = Denoiser(load_method()).run(carotid.speckled).image.pixels.astype(float)
    gain_db = psnr_db(truth, clean, data_range=255) - psnr_db(truth, carotid.speckled.pixels, data_range=255)
    assert gain_db > 8


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd", ".nii", ".nii.gz"])
def test_geometry_comes_through_every_format_that_holds_it(run, an_oblique_volume, tmp_path, suffix):
    given, clean, zero = (tmp_path / f"{name}{suffix}" for name in ("given", "clean", "zero"))
    write_image(read_image(an_oblique_volume), given)
    assert run("denoise", given, clean, "--model", "median")[0] == 0
    assert run("denoise", given, zero, "--model", "median", "--strength", "0")[0] == 0
    before, after, same = (SimpleITK.ReadImage(path) for path in (given, clean, zero))
    for output in (after, same):
        assert output.GetSize() == before.GetSize()
        assert output.GetSpacing() == before.GetSpacing()
        assert output.GetOrigin() == before.GetOrigin()
        # NIfTI keeps a quaternion of three single-precision numbers, which rounds once more on the way back.
        tolerance = 1e-7 if ".nii" in suffix else 0
        np.testing.assert_allclose(output.GetDirection(), before.GetDirection(), rtol=0, atol=tolerance)
        assert output.GetPixelID() == before.GetPixelID()
    np.testing.assert_allclose(before.GetDirection(), OBLIQUE_LEFT_HANDED, atol=1e-6)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(same), SimpleITK.GetArrayFromImage(before))
    assert (SimpleITK.GetArrayFromImage(after) != SimpleITK.GetArrayFromImage(before)).any()


def test_writing_a_volume_slice_to_png_says_what_is_lost(run, tmp_path):
    simulated = simulate(size_yx=(64, 64)).speckled
    write_image(simulated, tmp_path / "frame.nrrd")
    status, _, errors = run("denoise", tmp_path / "frame.nrrd", tmp_path / "clean.png", "-m", "median")
    assert status == 0
    assert "spacing" in errors


def test_json_reports_what_was_done(run, a_frame, tmp_path):
    status, output, _ = run("denoise", a_frame, tmp_path / "clean.png", "-m", "median", "--json", "--strength", "0.5")
    report = json.loads(output)
    assert status == 0
    assert report["report"]["processed"] == 1
    assert report["report"]["strength"] == 0.5
    assert report["use"] == RESEARCH_USE


def test_a_folder_is_despeckled_and_one_bad_file_does_not_stop_the_others(run, a_frame, tmp_path):
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    for name in ("a.png", "deeper/b.png"):
        (folder / name).write_bytes(a_frame.read_bytes())
    (folder / "broken.png").write_bytes(a_frame.read_bytes()[:200])
    (folder / "notes.txt").write_text("not an image")
    status, _, errors = run("denoise", folder, tmp_path / "out", "-m", "median")
    assert status == 1
    assert errors.count("Error:") == 1
    assert "broken.png" in errors
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert written == ["a.png", "deeper/b.png"]


def a_damaged_file(kind, folder, frame):
    path = folder / f"{kind}.png"
    content = frame.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no picture")
    elif kind == "nan":
        path = folder / "nan.nrrd"
        values = np.ones((16, 16), np.float32)
        values[2, 2] = np.nan
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), path)
    elif kind == "suffix":
        path = folder / "frame.xyz"
        path.write_bytes(content)
    return path  # "missing" writes nothing


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "nan", "suffix", "missing"])
def test_bad_input_gives_one_sentence_and_leaves_nothing_behind(run, a_frame, tmp_path, kind):
    source = a_damaged_file(kind, tmp_path, a_frame)
    target = tmp_path / "out" / "clean.nrrd"
    target.parent.mkdir()
    status, output, errors = run("denoise", source, target, "-m", "median")
    assert status == 1
    assert output == ""
    assert errors.startswith("Error: ")
    assert errors.count("\n") <= 2
    assert "Traceback" not in errors
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--strength", "2"], "between 0 and 1"),
        (["--model", "magic"], "no method, model or weight file 'magic'"),
        (["--device", "tpu"], "no device 'tpu'"),
        (["--slice-axis", "y"], "volume only"),
        (["--frames", "a:b"], "FIRST:END"),
        (["--frames", "7:9"], "none of the image's 1 frames"),
        (["--threads", "-2"], "0 or more"),
    ],
)
def test_impossible_options_are_named(run, a_frame, tmp_path, arguments, part):
    status, _, errors = run("denoise", a_frame, tmp_path / "clean.png", *arguments)
    assert status == 1
    assert part in " ".join(errors.split())
    assert not (tmp_path / "clean.png").exists()


def test_outputs_are_kept_unless_overwriting_is_allowed(run, a_frame, tmp_path):
    target = tmp_path / "clean.png"
    target.write_bytes(b"precious")
    assert run("denoise", a_frame, target, "-m", "median")[0] == 1
    assert target.read_bytes() == b"precious"
    assert run("denoise", a_frame, target, "-m", "median", "--overwrite")[0] == 0
    status, _, errors = run("denoise", a_frame, a_frame, "-m", "median", "--overwrite")
    assert status == 1
    assert "same file" in errors


def test_a_folder_with_one_image_is_despeckled_too(run, a_frame, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.png").write_bytes(a_frame.read_bytes())
    (tmp_path / "one" / ".hidden.png").write_bytes(b"")
    assert run("denoise", tmp_path / "one", tmp_path / "out", "-m", "median")[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    status, _, errors = run("denoise", tmp_path / "one", tmp_path / "one", "-m", "median")
    assert status == 1
    assert "same folder" in errors
    status, _, errors = run("denoise", tmp_path / "one", a_frame, "-m", "median")
    assert status == 1
    assert "needs a folder as output" in errors


def test_outputs_inside_the_input_folder_are_not_taken_as_inputs(run, a_frame, tmp_path, monkeypatch):
    monkeypatch.chdir(a_frame.parent)
    assert run("denoise", ".", tmp_path / "res", "-m", "median")[0] == 0
    (a_frame.parent / "x").mkdir()
    assert run("denoise", ".", a_frame.parent / "x" / ".." / "res", "-m", "median", "--overwrite")[0] == 0
    assert sorted(path.name for path in (tmp_path / "res").iterdir()) == ["frame.png"]


def test_dicom_without_an_ending_gets_one(run, tmp_path):
    from pydicom.data import get_testdata_file

    (tmp_path / "in").mkdir()
    source = Path(get_testdata_file("examples_rgb_color.dcm", download=False))
    (tmp_path / "in" / "IM0001").write_bytes(source.read_bytes())
    assert run("denoise", tmp_path / "in", tmp_path / "out", "-m", "median")[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["IM0001.dcm"]


@pytest.mark.parametrize("name", ["x [red] y.png", "x[bold]y[link=z].png", "mit Umlaut ü.png"])
def test_names_are_shown_as_they_are(run, a_frame, tmp_path, name):
    status, _, errors = run("denoise", a_frame, tmp_path / name, "-m", "median")
    assert status == 0
    assert name in errors
    assert (tmp_path / name).exists()


def test_a_name_that_is_too_long_is_one_sentence(run, a_frame, tmp_path):
    status, _, errors = run("denoise", a_frame, tmp_path / ("a" * 300 + ".png"), "-m", "median")
    assert status == 1
    assert errors.startswith("Error: ")
    assert "Traceback" not in errors


def test_compare_never_replaces_an_input_or_another_kind_of_file(run, a_frame, tmp_path):
    before = a_frame.read_bytes()
    for target in (a_frame, tmp_path / "report.png"):
        status, _, errors = run("compare", a_frame, target, "-m", "median", "--overwrite")
        assert status == 1
        assert "must end in .html" in errors
    page = tmp_path / "page.html"
    page.symlink_to(a_frame)
    assert run("compare", a_frame, page, "-m", "median", "--overwrite")[0] == 1
    assert a_frame.read_bytes() == before


def test_a_damaged_card_of_another_model_stops_nothing(run, a_frame, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(tmp_path))
    (tmp_path / "broken.json").write_text("{")
    assert run("denoise", a_frame, tmp_path / "clean.png")[0] == 0
    status, output, errors = run("models", "list")
    assert status == 0
    assert "speckle2self-fast" in output
    assert "broken.json" in errors
    rows = run("models", "list", "--json")[1].splitlines()
    assert [json.loads(row)["name"] for row in rows] == [
        "published",
        "speckle2self-fast",
        "speckle2self-small",
        "carotid-segmenter",
    ]


def test_a_model_cannot_take_the_name_of_a_filter(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(tmp_path / "models"))
    torch.save(Despeckler().state_dict(), tmp_path / "w.pt")
    status, _, errors = run("models", "add", tmp_path / "w.pt", "--name", "median")
    assert status == 1
    assert "name of a filter" in errors


@pytest.mark.parametrize("options", [["--seed", "-1"], ["--suffix", ".xyz"], ["--phantom", "x"], ["--suffix", ".jpg"]])
def test_a_simulation_that_is_refused_leaves_nothing_half_done(run, tmp_path, options):
    arguments = ["--frames", "2"] if ".jpg" in options else []
    status, output, errors = run("simulate", tmp_path / "new", "--size", "64", *options, *arguments)
    assert status == 1
    assert output == ""
    assert errors.startswith("Error: ")
    assert not list(tmp_path.rglob("speckled*"))


def test_a_simulation_that_cannot_be_written_whole_is_not_written_at_all(tmp_path, monkeypatch):
    written = []

    def write_two(image, path, **options):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)
        write_image(image, path, **options)

    monkeypatch.setattr(batch, "write_image", write_two)
    with pytest.raises(OSError, match="No space left"):
        batch.write_simulation(simulate(size_yx=(64, 64)), batch.simulation_paths(tmp_path / "new", ".nrrd"))
    assert len(written) == 2
    assert list((tmp_path / "new").iterdir()) == []


def test_simulating_to_png_says_that_geometry_is_lost(run, tmp_path):
    status, _, errors = run("simulate", tmp_path / "new", "--size", "64", "--suffix", ".png")
    assert status == 0
    assert "spacing" in errors
    assert "warnings.warn" not in errors


def test_an_output_folder_that_is_missing_is_named(run, a_frame, tmp_path):
    status, _, errors = run("denoise", a_frame, tmp_path / "nowhere" / "clean.png")
    assert status == 1
    assert "does not exist" in errors


class Trap:
    """A pickle that would make a file if it ran."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_posing_as_weights_runs_nothing(run, a_frame, tmp_path):
    trap = tmp_path / "sprung"
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"head.weight": Trap(trap)}))
    torch.save({"head.weight": Trap(trap)}, tmp_path / "evil-archive.pt")
    for name in ("evil.pt", "evil-archive.pt"):
        status, _, errors = run("denoise", a_frame, tmp_path / "clean.png", "--model", tmp_path / name)
        assert status == 1
        assert errors.startswith("Error: ")
    assert not trap.exists()
    assert not (tmp_path / "clean.png").exists()


def test_a_checkpoint_with_a_missing_key_names_it(run, a_frame, tmp_path):
    state = Despeckler().state_dict()
    del state["tail.bias"]
    torch.save(state, tmp_path / "partial.pt")
    status, _, errors = run("denoise", a_frame, tmp_path / "clean.png", "--model", tmp_path / "partial.pt")
    assert status == 1
    assert "tail.bias" in errors


def test_models_can_be_listed_shown_verified_and_added(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECKLE2SELF_MODELS", str(tmp_path / "models"))
    assert "speckle2self-small" in run("models", "list")[1]
    card = json.loads(run("models", "show")[1])
    assert "not for diagnosis" in card["intended_use"]
    assert run("models", "verify")[0] == 0
    torch.save(Despeckler().state_dict(), tmp_path / "mine.pt")
    assert run("models", "add", tmp_path / "mine.pt", "--name", "mine")[0] == 0
    assert run("models", "verify", "mine")[0] == 0
    (tmp_path / "models" / "mine.pt").write_bytes(b"changed")
    status, _, errors = run("models", "verify", "mine")
    assert status == 1
    assert "mine" in errors


def test_simulate_and_compare_write_what_they_promise(run, tmp_path):
    assert run("simulate", tmp_path / "phantom", "--size", "96")[0] == 0
    written = sorted(path.name for path in (tmp_path / "phantom").iterdir())
    assert written == ["lumen.nrrd", "speckled.nrrd", "truth.nrrd", "wall.nrrd"]
    arguments = ["-m", "speckle2self-small", "-m", "median", "-m", "lee"]
    page = tmp_path / "report.html"
    status, _, _ = run(
        "compare", tmp_path / "phantom" / "speckled.nrrd", page, *arguments, "--truth", tmp_path / "phantom/truth.nrrd"
    )
    assert status == 0
    text = page.read_text()
    assert "PSNR" in text
    assert RESEARCH_USE in text
    assert 'src="http' not in text


def test_help_starts_fast_because_torch_loads_only_when_used():
    command = [sys.executable, "-X", "importtime", "-m", "Speckle2SelfLogic", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    for heavy in ("torch", "numpy", "SimpleITK", "scipy", "pydicom"):
        assert f"| {heavy}\n" not in result.stderr.replace("|   ", "| "), heavy
    assert "denoise" in result.stdout


def test_help_takes_less_processor_time_than_half_a_second():
    def seconds():
        before = os.times()
        subprocess.run([sys.executable, "-m", "Speckle2SelfLogic", "--help"], capture_output=True, check=True)
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    seconds()
    assert min(seconds() for _ in range(3)) < 0.5


def test_two_thousand_frames_need_little_more_memory_than_the_cine_itself():
    # 2,000 frames of 96 x 96 are 18 MB. A float copy alone would be 74 MB; input, output and a batch stay far below.
    code = (
        "import resource, types, numpy as np\n"
        "from Speckle2SelfLogic.denoiser import Denoiser\n"
        "from Speckle2SelfLogic.image import UltrasoundImage\n"
        "method = types.SimpleNamespace(name='half', title='half', despeckle=lambda frames: frames / 2)\n"
        "cine = np.random.default_rng(0).integers(0, 255, (2000, 96, 96), np.uint8)\n"
        "Denoiser(method).run(UltrasoundImage(cine[:20], 'TYX'))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "report = Denoiser(method).run(UltrasoundImage(cine, 'TYX')).report\n"
        "assert report.processed == 2000\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert float(result.stdout) < 2.5 * 18


def processor_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc, to know when the command is at work")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_leaves_no_output(a_frame, tmp_path, signal_number):
    frames = np.repeat(np.asarray(Image.open(a_frame))[None], 400, axis=0)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ascontiguousarray(frames)), tmp_path / "cine.nrrd")
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-m", "Speckle2SelfLogic", "denoise", tmp_path / "cine.nrrd", folder / "clean.nrrd"]
    with subprocess.Popen([*command, "-m", "obnlm"], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and processor_seconds(process) < 3:  # at work by then
            time.sleep(0.05)
        process.send_signal(signal_number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Cancelled" in errors
    assert list(folder.iterdir()) == []
