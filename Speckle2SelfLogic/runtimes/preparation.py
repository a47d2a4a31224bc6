"""From weights to an engine that was checked: graph made once, compared with torch once, both remembered.

The cache holds, for each model (by the checksum of its weights, its settings and the form of the graph), the graph in
single precision and in int8, and in ``record.json`` their checksums and the parity of each runtime that was prepared.
With these at hand an engine starts without torch.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from Speckle2SelfLogic.model_card import ModelCard
from Speckle2SelfLogic.runtimes.cache import cache_folder, keep, keep_entry, read_bytes, read_record
from Speckle2SelfLogic.runtimes.engines import (
    Engine,
    OnnxEngine,
    OpenVinoEngine,
    TorchEngine,
    runtime_version,
)
from Speckle2SelfLogic.runtimes.gate import Parity, ParityError, calibration_frames, check_parity, gate_frames
from Speckle2SelfLogic.runtimes.graph import FORM, INPUT, Float32, despeckler_graph, padded
from Speckle2SelfLogic.runtimes.processor import processor_name

if TYPE_CHECKING:
    import torch

EXPORTED = "despeckler"
"""The network that other runtimes can run; the published one runs on torch alone."""
_KEPT_SINGLE = ("head", "down.0", "up.", "tail", "last")


@dataclass(frozen=True)
class Prepared:
    """An engine, and how far its answers are from the reference."""

    engine: Engine
    parity: Parity


@dataclass(frozen=True)
class Graphs:
    """Where the graphs of one model are kept."""

    card: ModelCard

    @property
    def folder(self) -> Path:
        """The model's folder in the cache."""
        settings = json.dumps(dict(self.card.network_settings), sort_keys=True)
        what = f"{self.card.sha256} {settings} {FORM}".encode()
        return cache_folder() / "graphs" / hashlib.sha256(what).hexdigest()[:24]

    @property
    def record(self) -> Path:
        """The file that says what was made and compared."""
        return self.folder / "record.json"

    def graph(self, precision: str) -> bytes:
        """Return the graph that a precision runs on, from the cache if it is whole; bf16 has that of single."""
        kind = "int8" if precision == "int8" else "single"
        path, key = self.folder / f"{kind}.onnx", f"sha256 {kind}"
        kept = read_bytes(path)
        if kept and hashlib.sha256(kept).hexdigest() == read_record(self.record).get(key):
            return kept
        made = _quantised(self.graph("single"), self.multiple) if kind == "int8" else self._exported()
        if keep(path, made):
            keep_entry(self.record, key, hashlib.sha256(made).hexdigest())
        return made

    @property
    def multiple(self) -> int:
        """What sides of frames must be a multiple of, as `networks.despeckler.Despeckler` says."""
        settings = self.card.network_settings
        return int(settings.get("fold", 2) * 2 ** (len(settings.get("channels", (16, 32, 64, 128))) - 1))

    def _exported(self) -> bytes:
        weights = _as_arrays(self.card)
        return bytes(despeckler_graph(weights).SerializeToString())


def prepare(card: ModelCard, runtime: str, precision: str = "single", threads: int = 0) -> Prepared:
    """Return an engine for a model whose file was verified.

    Parameters
    ----------
    card
        The model: our network.
    runtime, precision
        One of `engines.RUNTIMES` and a precision that it offers; the runtime is installed.
    threads
        Threads of the processor; 0 for one on each physical core.

    Raises
    ------
    ParityError
        If answers differ from the reference more than `gate.LIMITS` allow, or the runtime fails, or nothing is there
        to compare with or to make the graph with.
    WeightsError
        If the weights cannot be read.
    """
    graphs = Graphs(card)
    try:
        engine = _engine(graphs, runtime, precision, threads)
    except ImportError as error:
        message = f"Runtime '{runtime}' in {precision} precision needs the Python package '{error.name}': install it."
        raise ParityError(message) from error
    except RuntimeError as error:
        message = f"Runtime '{runtime}' cannot run this model ({str(error).strip().splitlines()[0][:200]})."
        raise ParityError(message) from error
    if (runtime, precision) == ("torch", "single"):
        return Prepared(engine, Parity(0.0, 200.0, 0.0, 0))
    key = f"parity of {runtime} {runtime_version(runtime)} {precision} on {processor_name()}"
    try:
        parity = Parity.from_dict(read_record(graphs.record)[key])
    except (KeyError, TypeError, ValueError):
        parity = _compared(engine, card)
        keep_entry(graphs.record, key, parity.as_dict())
    check_parity(parity, precision, runtime)
    return Prepared(engine, parity)


def _engine(graphs: Graphs, runtime: str, precision: str, threads: int) -> Engine:
    if runtime == "torch":
        return TorchEngine(_network(graphs.card), precision, threads)
    kind = OnnxEngine if runtime == "onnx" else OpenVinoEngine
    return kind(graphs.graph(precision), graphs.multiple, precision, threads)


def _compared(engine: Engine, card: ModelCard) -> Parity:
    reference, frames = TorchEngine(_network(card)), gate_frames()
    return Parity.of([engine.run(frame) for frame in frames], [reference.run(frame) for frame in frames])


def _network(card: ModelCard) -> torch.nn.Module:
    from Speckle2SelfLogic.checkpoint import network_from_file

    return network_from_file(card.path, card.network, card.network_settings)[0]


def _as_arrays(card: ModelCard) -> dict[str, Float32]:
    from Speckle2SelfLogic.runtime import to_array

    return {name: to_array(tensor) for name, tensor in _network(card).state_dict().items()}


def _quantised(graph: bytes, multiple: int) -> bytes:
    """Return the graph with its convolutions in int8, but for those in `_KEPT_SINGLE`, where rounding shows most.

    Weights are scaled for each channel, features by their smallest and largest value on `calibration_frames`.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Frames(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(calibration_frames())

        def get_next(self) -> dict[str, Float32] | None:
            frame = next(self._left, None)
            return None if frame is None else {INPUT: padded(frame, multiple)[None]}

    model = onnx.load_from_string(graph)
    note = model.metadata_props.add()
    note.key, note.value = "onnx.quant.pre_process", "onnxruntime.quant"  # this graph needs none: no advice to do it
    with tempfile.TemporaryDirectory(prefix="speckle2self-") as folder:
        single, made = Path(folder) / "single.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(single))
        quantize_static(
            str(single),
            str(made),
            Frames(),
            op_types_to_quantize=["Conv", "ConvTranspose"],
            nodes_to_exclude=[node.name for node in model.graph.node if node.name.startswith(_KEPT_SINGLE)],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"WeightSymmetric": True},
        )
        return made.read_bytes()
