"""One network on one runtime: torch, ONNX Runtime or OpenVINO, all called in the same way.

Threads. ``threads`` 0 means one for each physical core. However many engines a process has, one of them works at a
time (`one_at_a_time`), idle threads do not spin, and threads are not bound to cores, where those of two processes
would meet.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.runtimes.graph import INPUT, Float32, padded
from Speckle2SelfLogic.runtimes.processor import physical_cores

if TYPE_CHECKING:
    import torch

RUNTIMES = ("torch", "onnx", "openvino")
"""From the reference to the usually fastest."""
PRECISIONS = ("single", "bf16", "int8")
PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
OFFERED = {"torch": ("single", "bf16"), "onnx": ("single", "int8"), "openvino": ("single", "bf16", "int8")}
"""The precisions that each runtime has on a processor."""

one_at_a_time = threading.Lock()
"""Held while an engine works: two at once would need twice the threads."""


class Engine(Protocol):
    """A network that runs."""

    @property
    def runtime(self) -> str:
        """One of `RUNTIMES`."""

    @property
    def precision(self) -> str:
        """One of `PRECISIONS`."""

    def run(self, frames_nyx: Float32) -> Float32:
        """Map frames (N, Y, X) of grey 0..1 to despeckled frames of the same shape."""


def is_installed(runtime: str) -> bool:
    """Whether a runtime is there, without loading it; what the graph is made with counts until it is in the cache."""
    return importlib.util.find_spec(PACKAGES[runtime]) is not None


def import_runtime(runtime: str) -> ModuleType:
    """Import the package of a runtime, as its engine does; raises whatever a damaged package raises."""
    return _openvino_without_telemetry() if runtime == "openvino" else importlib.import_module(PACKAGES[runtime])


def runtime_version(runtime: str) -> str:
    """Return the version of a runtime's package; empty if it is not installed."""
    try:
        return version(PACKAGES[runtime])
    except PackageNotFoundError:
        return ""


def check_names(runtime: str, precision: str) -> None:
    """Raise `SettingsError` unless runtime and precision are known, or ``"auto"`` and ``"reduced"``, and fit."""
    if runtime not in ("auto", *RUNTIMES):
        message = f"There is no runtime '{runtime}'; choose one of auto, {', '.join(RUNTIMES)}."
        raise SettingsError(message)
    if precision not in (*PRECISIONS, "reduced"):
        message = f"There is no precision '{precision}'; choose one of {', '.join(PRECISIONS)} or reduced."
        raise SettingsError(message)
    if runtime != "auto" and precision not in (*OFFERED[runtime], "reduced"):
        message = f"Runtime '{runtime}' has no {precision} precision; it offers {', '.join(OFFERED[runtime])}."
        raise SettingsError(message)
    if runtime != "auto" and not is_installed(runtime):
        message = f"Runtime '{runtime}' is not installed: pip install \"speckle2self[{runtime}]\", or choose 'auto'."
        raise SettingsError(message)


class TorchEngine:
    """The reference: the network itself, in single precision or with weights and features as bfloat16."""

    runtime = "torch"

    def __init__(self, network: torch.nn.Module, precision: str = "single", threads: int = 0) -> None:
        import torch

        self.precision, self._threads = precision, threads
        self._kind = torch.bfloat16 if precision == "bf16" else torch.float32
        self._network = network.to(self._kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, frames_nyx: Float32) -> Float32:
        """Run the network on all frames at once."""
        import torch

        from Speckle2SelfLogic.runtime import to_array, to_tensor

        if self._threads and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            frames = to_tensor(frames_nyx)[:, None].to(self._kind, memory_format=torch.channels_last)
            return to_array(self._network(frames)[:, 0])


class OnnxEngine:
    """A graph on ONNX Runtime."""

    runtime = "onnx"

    def __init__(self, graph: bytes, multiple: int, precision: str = "single", threads: int = 0) -> None:
        import onnxruntime

        self.precision, self._multiple = precision, multiple
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or physical_cores()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, frames_nyx: Float32) -> Float32:
        """Run the graph frame by frame."""
        return _frame_by_frame(frames_nyx, self._multiple, lambda frame: self._session.run(None, {INPUT: frame})[0])


def _openvino_without_telemetry() -> ModuleType:
    """Import OpenVINO without the package that reports its use over the network, as if that were not installed.

    On import it would start a process that sends to a web service: not from a computer that holds images of patients.
    """
    name = "openvino_telemetry"
    if "openvino" not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        if sys.modules.get(name, name) is None:
            del sys.modules[name]


class OpenVinoEngine:
    """A graph on OpenVINO. Frames that come together run side by side, so that few threads have to share one frame."""

    runtime = "openvino"

    def __init__(self, graph: bytes, multiple: int, precision: str = "single", threads: int = 0) -> None:
        openvino = _openvino_without_telemetry()
        self.precision, self._multiple = precision, multiple
        self._threads = threads or physical_cores()
        self._core = openvino.Core()
        self._model = self._core.read_model(graph)
        self._requests: dict[int, list[Any]] = {}
        self._side_by_side(1)

    def run(self, frames_nyx: Float32) -> Float32:
        """Run the graph on each frame; a frame's answer does not depend on how many come along."""
        height, width = frames_nyx.shape[1:]
        answers = np.empty(frames_nyx.shape, np.float32)
        requests = self._side_by_side(max(1, min(len(frames_nyx), self._threads)))
        try:
            for number, frame_yx in enumerate(padded(frames_nyx, self._multiple)):
                request = requests[number % len(requests)]
                if number >= len(requests):
                    answers[number - len(requests)] = _answer_of(request)[:height, :width]
                request.start_async([frame_yx[None, None]], share_inputs=True)
            for number in range(max(len(frames_nyx) - len(requests), 0), len(frames_nyx)):
                answers[number] = _answer_of(requests[number % len(requests)])[:height, :width]
        except BaseException:
            self._requests.clear()  # some may still be busy
            raise
        return answers

    def _side_by_side(self, count: int) -> list[Any]:
        """Return requests for so many frames that run at once, and for as many that wait to be next."""
        if count not in self._requests:
            settings: dict[str, Any] = {
                # Not asked, OpenVINO takes bfloat16 wherever the processor has it.
                "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
                "INFERENCE_NUM_THREADS": self._threads,
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": count,
                "ENABLE_CPU_PINNING": False,
            }
            compiled = self._core.compile_model(self._model, "CPU", settings)
            self._requests[count] = [compiled.create_infer_request() for _ in range(2 * count if count > 1 else 1)]
        return self._requests[count]


def _answer_of(request: Any) -> Float32:  # noqa: ANN401 - an openvino.InferRequest
    """Wait for a request; return its answer (Y, X), which the next start overwrites."""
    request.wait()
    return np.asarray(request.get_output_tensor().data[0, 0], np.float32)


class _Answer(Protocol):
    def __call__(self, frame_n1yx: Float32, /) -> Float32: ...


def _frame_by_frame(frames_nyx: Float32, multiple: int, answer: _Answer) -> Float32:
    """Run one frame after the other, so that a frame's answer and the memory do not depend on how many come along."""
    height, width = frames_nyx.shape[1:]
    answers = np.empty(frames_nyx.shape, np.float32)
    for number, frame_yx in enumerate(padded(frames_nyx, multiple)):
        answers[number] = answer(frame_yx[None, None])[0, 0, :height, :width]
    return answers
