"""ONNX Runtime and OpenVINO against torch, the cache, and the choice between them."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.runtime import NetworkDespeckler
from Speckle2SelfLogic.runtimes import choice, engines, gate, preparation, processor
from Speckle2SelfLogic.runtimes.graph import despeckler_graph, in_front_of_shuffle, padded, side_multiple
from Speckle2SelfLogic.weights import find_model


def needs(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


needs_onnx = needs("onnx", "onnxruntime")
ENGINES = [
    pytest.param("onnx", marks=needs_onnx),
    pytest.param("openvino", marks=needs("onnx", "openvino")),
]


@pytest.fixture
def a_cache():
    """Return the cache that all tests share, so that graphs are made once."""
    return Path(os.environ["SPECKLE2SELF_CACHE"])


@pytest.fixture
def an_empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECKLE2SELF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def a_card():
    return find_model("speckle2self-small")


@pytest.fixture
def frames():
    return np.random.default_rng(0).random((2, 45, 70), np.float32)


@pytest.mark.parametrize("fold", [2, 4])
def test_a_kernel_moved_in_front_of_the_pixel_shuffle_gives_the_same_frame(fold):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 3 * fold**2, 5, 7, generator=generator)
    kernel = torch.rand(1, 3, 3, 3, generator=generator)
    behind = torch.nn.functional.conv2d(torch.nn.functional.pixel_shuffle(features, fold), kernel, padding=1)
    moved = torch.from_dlpack(in_front_of_shuffle(np.from_dlpack(kernel), fold))
    before = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(features, moved, padding=1), fold)
    torch.testing.assert_close(before, behind)


def test_frames_are_padded_as_the_network_pads_them():
    frames = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    expected = torch.nn.functional.pad(torch.from_dlpack(frames.copy())[None], (0, 4, 0, 5), mode="replicate")[0]
    np.testing.assert_array_equal(padded(frames, 8), np.from_dlpack(expected))


@needs_onnx
@pytest.mark.parametrize(
    "settings",
    [{"fold": 2}, {"fold": 4}, {"fold": 4, "group_channels": 2, "finest_blocks": (0, 3), "ends_px": 1}],
)
def test_the_graph_of_other_settings_computes_what_the_network_computes(settings):
    import onnxruntime

    torch.manual_seed(1)
    network = Despeckler(channels=(4, 6), blocks=2, middle_blocks=1, **settings).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    weights = {name: np.from_dlpack(tensor.detach()) for name, tensor in network.state_dict().items()}
    assert side_multiple(weights) == network.side_multiple
    session = onnxruntime.InferenceSession(despeckler_graph(weights).SerializeToString())
    frames = np.random.default_rng(2).random((2, 1, 16, 24), np.float32)
    with torch.inference_mode():
        expected = network(torch.from_dlpack(frames)).numpy()
    np.testing.assert_allclose(session.run(None, {"frames": frames})[0], expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("settings", [{}, {"channels": [4, 6, 8]}, {"channels": [4, 6], "fold": 4}])
def test_a_card_tells_what_sides_are_padded_to(settings, a_card):
    card = replace(a_card, network_settings=settings)
    assert preparation.Graphs(card).multiple == Despeckler(**settings).side_multiple


@pytest.mark.parametrize("runtime", ENGINES)
def test_a_runtime_gives_the_answers_of_torch_for_any_frame_size(runtime, a_card, frames):
    expected = NetworkDespeckler.load(a_card.name, "cpu").despeckle(frames)
    prepared = preparation.prepare(a_card, runtime, threads=1)
    np.testing.assert_allclose(prepared.engine.run(frames), expected, atol=2e-6)
    assert prepared.parity.frames == 4
    assert 0 < prepared.parity.max_difference < 1e-5


@pytest.mark.parametrize("runtime", ENGINES)
def test_a_batch_is_answered_as_its_frames_one_by_one(runtime, a_card, frames):
    """Also where frames run side by side (two, with as many waiting), in whatever threads."""
    engine = preparation.prepare(a_card, runtime, threads=1).engine
    alone = np.concatenate([engine.run(frame[None]) for frame in frames])
    np.testing.assert_array_equal(engine.run(frames), alone)
    several = preparation.prepare(a_card, runtime, threads=2).engine
    order = [0, 1, 1, 0, 0, 1, 0]
    np.testing.assert_array_equal(several.run(frames[order]), alone[order])
    assert several.run(frames[:0]).shape == (0, *frames.shape[1:])


@needs("onnx", "openvino")
def test_frames_side_by_side_that_fail_leave_nothing_behind(a_card, frames, monkeypatch):
    engine = preparation.prepare(a_card, "openvino", threads=2).engine
    expected = engine.run(frames)
    calls = []

    def fail_once(request):
        calls.append(request)
        if len(calls) == 2:
            message = "no memory"
            raise RuntimeError(message)
        return answer_of(request)

    answer_of = engines._answer_of
    monkeypatch.setattr(engines, "_answer_of", fail_once)
    with pytest.raises(RuntimeError, match="no memory"):
        engine.run(frames[[0, 1, 0, 1, 0, 1]])
    np.testing.assert_array_equal(engine.run(frames), expected)


@pytest.mark.parametrize("runtime", ENGINES)
def test_int8_passes_the_gate_on_real_frames_and_the_output_says_so(runtime, a_card, frames):
    method = load_method(a_card.name, "cpu", runtime=runtime, precision="int8", threads=1)
    assert method.notes == []
    image, report = Denoiser(method).run(UltrasoundImage(frames, "TYX"))
    assert "int8 precision" in image.provenance.history[-1]
    assert report.runtime["precision"] == "int8"
    assert 50 <= report.runtime["difference_from_reference"]["psnr_db"] < 80
    assert report.runtime["warm_up_seconds"] > 0


def test_single_precision_leaves_no_trace_in_the_history(a_card, frames):
    image = Denoiser(load_method(a_card.name, "cpu")).run(UltrasoundImage(frames, "TYX")).image
    assert "precision" not in image.provenance.history[-1]


@needs_onnx
@pytest.mark.usefixtures("an_empty_cache")
def test_a_runtime_that_differs_too_much_is_refused_and_torch_goes_on_and_says_so(a_card, monkeypatch, frames):
    run = engines.OnnxEngine.run
    monkeypatch.setattr(engines.OnnxEngine, "run", lambda self, frames: run(self, frames) + np.float32(1e-3))
    method = load_method(a_card.name, "cpu", runtime="onnx")
    assert isinstance(method, NetworkDespeckler)
    report = Denoiser(method).run(UltrasoundImage(frames, "TYX")).report
    assert report.runtime["runtime"] == "torch"
    assert "'onnx' in single precision is refused" in report.messages[0]
    assert "0.001" in report.messages[0]
    assert "Went on with torch" in report.messages[0]


def test_differences_are_judged_by_each_of_the_three_figures():
    limits = gate.Limits(0.1, 40, 0.01)
    reference = np.full((1, 4, 4), 0.5, np.float32)
    spot, shift, lost = reference.copy(), reference + 0.012, reference.copy()
    spot[0, 0, 0] += 0.2
    lost[0, 0, 0] = np.nan
    assert gate.Parity.of([reference], [reference]).is_within(limits)
    for answer in (spot, shift, lost):
        assert not gate.Parity.of([answer], [reference]).is_within(limits)


def test_calibration_and_gate_share_no_frame():
    assert not {*gate.JUDGED} & {*gate.CALIBRATING}


@pytest.mark.parametrize("runtime", ENGINES)
def test_what_was_checked_starts_again_without_torch(runtime, a_card):
    preparation.prepare(a_card, runtime, threads=1)
    program = (
        "import sys, numpy\n"
        "from Speckle2SelfLogic.methods import load_method\n"
        f"method = load_method('speckle2self-small', 'cpu', runtime={runtime!r}, threads=1)\n"
        "method.despeckle(numpy.zeros((1, 16, 16), numpy.float32))\n"
        "print(method.record['runtime'], 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.split() == [runtime, "False"], result.stderr


@needs_onnx
@pytest.mark.parametrize("damage", [b"", b"not a graph", None], ids=["empty", "damaged", "missing"])
def test_a_damaged_cache_is_made_again(damage, a_card, an_empty_cache, frames):
    first = preparation.prepare(a_card, "onnx", threads=1).engine.run(frames)
    for path in [*an_empty_cache.rglob("*.onnx"), *an_empty_cache.rglob("*.json")]:
        path.unlink() if damage is None else path.write_bytes(damage)
    again = preparation.prepare(a_card, "onnx", threads=1)
    np.testing.assert_array_equal(again.engine.run(frames), first)
    assert again.parity.frames == 4


@needs_onnx
def test_a_cache_that_cannot_be_written_is_done_without(a_card, tmp_path, monkeypatch, frames):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPECKLE2SELF_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(choice, "measure", lambda _: pytest.fail("measured, although it cannot be remembered"))
    first, second = (load_method(a_card.name, "cpu", threads=1) for _ in range(2))
    np.testing.assert_array_equal(first.despeckle(frames), second.despeckle(frames))
    assert first.record["runtime"] == second.record["runtime"]


@needs_onnx
def test_the_choice_is_measured_once_and_remembered(a_card, a_cache, monkeypatch):
    (a_cache / "choices.json").unlink(missing_ok=True)
    calls = []

    def measured(candidates, frames):
        calls.append(frames)
        return {candidate: 1.0 + (candidate[0] != "onnx") for candidate in candidates}

    monkeypatch.setattr(choice, "measure", measured)
    for _ in range(2):
        assert load_method(a_card.name, "cpu", threads=1).record["runtime"] == "onnx"
    assert calls == [2]
    load_method(a_card.name, "cpu", threads=2)
    assert calls == [2, 4], "another number of threads may have another fastest runtime"
    entry = next(
        value for key, value in json.loads((a_cache / "choices.json").read_text()).items() if "1 threads" in key
    )
    assert entry["fastest"] == ["onnx", "single"]
    assert entry["seconds"]["torch single"] == 2.0


def test_measuring_finds_the_faster_of_two_engines():
    class Sleeper:
        runtime, precision = "torch", "single"

        def __init__(self, seconds):
            self.seconds = seconds

        def run(self, frames):
            time.sleep(self.seconds)
            return frames

    seconds = choice.measure({"slow": Sleeper(0.02), "fast": Sleeper(0.001)}, rounds=2)
    assert seconds["fast"] < seconds["slow"]


def test_what_an_engine_leaves_behind_does_not_slow_the_next():
    calls = []

    class Disturbed:
        runtime, precision = "torch", "single"

        def run(self, frames):
            is_first = calls[-1:] != [self]
            calls.append(self)
            time.sleep(0.05 if is_first else 0.001)
            return frames

    seconds = choice.measure({"one": Disturbed(), "other": Disturbed()}, rounds=2)
    assert max(seconds.values()) < 0.05


@pytest.mark.parametrize(
    ("runtime", "precision", "sentence"),
    [
        ("tensorrt", "single", "no runtime 'tensorrt'"),
        ("auto", "half", "no precision 'half'"),
        ("torch", "int8", "'torch' has no int8"),
        ("onnx", "bf16", "'onnx' has no bf16"),
    ],
)
def test_unknown_names_and_pairs_are_refused_in_one_sentence(runtime, precision, sentence):
    with pytest.raises(SettingsError, match=sentence):
        load_method("speckle2self-small", "cpu", runtime=runtime, precision=precision)


def test_a_runtime_that_is_not_installed_is_refused_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(engines, "is_installed", lambda _: False)
    with pytest.raises(SettingsError, match=r"pip install \"speckle2self\[openvino\]\""):
        load_method("speckle2self-small", "cpu", runtime="openvino")


def test_without_other_runtimes_torch_is_used_and_nothing_is_measured(monkeypatch, an_empty_cache):
    monkeypatch.setattr(choice, "is_installed", lambda name: name == "torch")
    method = load_method("speckle2self-small", "cpu")
    assert isinstance(method, NetworkDespeckler)
    assert method.notes == []
    assert not an_empty_cache.exists()


@needs_onnx
def test_the_published_network_runs_on_torch_and_says_so_when_asked_otherwise(tmp_path):
    from Speckle2SelfLogic.networks.reference import ReferenceNetwork

    torch.save(ReferenceNetwork().state_dict(), tmp_path / "published.pt")
    method = load_method(str(tmp_path / "published.pt"), "cpu", runtime="onnx")
    assert isinstance(method, NetworkDespeckler)
    assert "this network has torch alone" in method.notes[0]
    assert load_method(str(tmp_path / "published.pt"), "cpu").notes == []


def test_several_denoisers_in_one_process_never_work_at_once(a_card):
    at_work, most = [], []

    class Engine:
        runtime, precision = "torch", "single"

        def run(self, frames):
            at_work.append(1)
            most.append(len(at_work))
            threading.Event().wait(0.005)
            at_work.pop()
            return frames

    from Speckle2SelfLogic.runtimes.despeckler import RuntimeDespeckler

    prepared = preparation.Prepared(Engine(), gate.Parity(0, 200, 0, 0))
    methods = [RuntimeDespeckler(prepared, a_card, 1) for _ in range(3)]
    workers = [
        threading.Thread(target=lambda m=method: [m.despeckle(np.zeros((1, 8, 8), np.float32)) for _ in range(4)])
        for method in methods
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(most) == 12
    assert max(most) == 1


def test_threads_are_the_cores_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(processor, "_siblings", lambda number: f"core {number // 2}")
    monkeypatch.setattr(processor, "_allowed", lambda: {0, 1, 2, 3, 6})
    monkeypatch.setattr(processor.sys, "platform", "linux")
    monkeypatch.setattr(processor, "_quota", lambda: 64)
    assert processor.physical_cores() == 3
    monkeypatch.setattr(processor, "_quota", lambda: 2)
    assert processor.physical_cores() == 2


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 1), ("400000 100000", 4)])
def test_the_quota_of_a_control_group_counts(text, cores, tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(processor, "_QUOTA", tmp_path / "cpu.max")
    assert processor._quota() == cores


def test_another_model_has_another_place_in_the_cache(a_card):
    other = replace(a_card, sha256="0" * 64)
    assert preparation.Graphs(a_card).folder != preparation.Graphs(other).folder


@needs("openvino")
def test_openvino_tells_nobody_that_it_is_used():
    code = (
        "import sys\n"
        "seen = []\n"
        "watched = ('socket.connect', 'socket.getaddrinfo', 'subprocess.Popen', 'os.fork', 'os.posix_spawn')\n"
        "sys.addaudithook(lambda event, _: seen.append(event) if event in watched else None)\n"
        "from Speckle2SelfLogic.runtimes.engines import _openvino_without_telemetry\n"
        "assert _openvino_without_telemetry().Core().available_devices\n"
        "assert not seen, seen\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
