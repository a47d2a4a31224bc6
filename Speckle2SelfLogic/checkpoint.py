"""Networks from files of weights: read without running code, checked against the graph before a value is used."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Speckle2SelfLogic.errors import Speckle2SelfError, WeightsError

if TYPE_CHECKING:
    import torch

NETWORKS = ("despeckler", "reference", "segmenter")
SEGMENTATION_NETWORKS = ("segmenter",)
"""Those of `NETWORKS` whose answer is classes, not a frame."""
LARGEST_FILE_BYTES = 256 * 2**20
"""Four times what the larger network needs in double precision."""

_TRAINING_ENCODERS = ("encoder_lowRes.", "encoder_midRes.")
_NAMED_IN_ERRORS = 3
_HOW_TO_SAVE = "write weights with torch.save(network.state_dict(), path)"


def network_from_file(
    path: Path, network: str | None = None, settings: Mapping[str, Any] | None = None
) -> tuple[torch.nn.Module, str]:
    """Build a network and fill it with the weights of a file.

    Parameters
    ----------
    path
        A state dict of floating point tensors of any precision, written by ``torch.save`` of PyTorch 1.6 or later:
        ours, or a checkpoint of the authors of Speckle2Self, whole or without the two encoders that only training uses.
    network
        One of `NETWORKS`; left out, the network is recognised by the names of the tensors.
    settings
        Keyword arguments of the network's class. Left out: the defaults.

    Returns
    -------
    tuple of torch.nn.Module and str
        The network in evaluation mode, float32, on the CPU; and which of `NETWORKS` it is.

    Raises
    ------
    WeightsError
        If the file cannot be read safely, or does not hold exactly the tensors of the network with finite values.
    """
    import torch

    state = read_state_dict(path)
    network = network or _recognise(state, path)
    settings = dict(settings or {})
    if network == "reference" and not any(name.startswith(_TRAINING_ENCODERS) for name in state):
        settings.setdefault("all_scales", False)
    _check_shapes(state, _shapes(network, settings), path, network)
    with torch.random.fork_rng(devices=[]):  # initial values are overwritten; the caller's seed stays as it was
        built = _build(network, settings)
    built.load_state_dict(state, strict=True)
    for name, values in built.state_dict().items():
        if not bool(torch.isfinite(values).all()):
            message = f"Weights '{path}' hold values that are not finite float32 numbers, first in '{name}'."
            raise WeightsError(message)
    return built.float().eval(), network


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file that ``torch.save`` wrote, and nothing else; no code of the file is run.

    The tensors are views of the file, mapped into memory: a size that a hostile file declares is bounded by the file
    itself (PyTorch 2.2 would otherwise read beyond its end), and costs nothing before it is compared with a network.

    Raises
    ------
    WeightsError
        If the file is missing, empty, damaged, of another format, or holds anything but floating point tensors.
    """
    import torch

    check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        problem = "is damaged or holds more than tensors, which could run code when opened, so it was not"
        message = f"'{path}' {problem}; {_HOW_TO_SAVE}."
        raise WeightsError(message) from error
    except Exception as error:  # whatever else a damaged file makes torch raise
        message = f"Weights '{path}' are damaged: the tensors cannot be read."
        raise WeightsError(message) from error
    if not isinstance(content, Mapping):
        message = f"'{path}' holds one {type(content).__name__}, not a state dict; {_HOW_TO_SAVE}."
        raise WeightsError(message)
    others = [str(name) for name, value in content.items() if not (isinstance(name, str) and _is_plain(value))]
    if others or not content:
        found = (
            f"holds '{_first(others)}' beside or instead of floating point tensors" if others else "is an empty dict"
        )
        message = f"'{path}' {found}, so it is not a state dict; {_HOW_TO_SAVE}."
        raise WeightsError(message)
    return dict(content)


def _is_plain(value: object) -> bool:
    import torch

    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.dtype in floats
    )


def check_archive(path: Path) -> None:
    """Refuse everything that is not an undamaged archive as ``torch.save`` writes it, before torch sees it.

    Raises
    ------
    WeightsError
        If the file cannot be read, is damaged, or of another format; the message names it.
    """
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
        if size_bytes > LARGEST_FILE_BYTES:
            problem: str | None = f"has {size_bytes} bytes; no network here needs more than {LARGEST_FILE_BYTES}"
        elif start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(path) as archive:
                problem = _archive_problem(archive, size_bytes)
        else:
            problem = _foreign_format(start)
    except OSError as error:
        message = f"Weights '{path}' cannot be read: {error.strerror or error}."
        raise WeightsError(message) from error
    except Exception as error:  # zipfile raises many kinds on damaged archives
        message = f"Weights '{path}' are truncated or damaged."
        raise WeightsError(message) from error
    if problem:
        message = f"'{path}' {problem}."
        raise WeightsError(message)


def _archive_problem(archive: zipfile.ZipFile, size_bytes: int) -> str | None:
    records = archive.infolist()
    names = [Path(record.filename).name for record in records]
    if "constants.pkl" in names:
        return f"is a TorchScript program, not weights; {_HOW_TO_SAVE}"
    stored = all(record.compress_type == zipfile.ZIP_STORED for record in records)
    if names.count("data.pkl") != 1 or not stored or sum(record.file_size for record in records) > size_bytes:
        return f"is an archive that torch.save did not write; {_HOW_TO_SAVE}"
    damaged = archive.testzip()
    return f"is damaged: the checksum of its record '{damaged}' is wrong" if damaged else None


def _foreign_format(start: bytes) -> str:
    if not start:
        return "is empty (0 bytes)"
    if start.startswith(b"\x80"):
        return (
            f"is a bare pickle, which could run code when opened, so it was not; {_HOW_TO_SAVE} of PyTorch 1.6 or later"
        )
    if start[8:] == b"{":
        return f"is a safetensors file; load it with the safetensors package and {_HOW_TO_SAVE}"
    return f"is not a file of PyTorch weights; {_HOW_TO_SAVE}"


def _build(network: str, settings: Mapping[str, Any]) -> torch.nn.Module:
    from Speckle2SelfLogic.networks.despeckler import Despeckler
    from Speckle2SelfLogic.networks.reference import ReferenceNetwork
    from Speckle2SelfLogic.networks.segmenter import Segmenter

    graphs = {"despeckler": Despeckler, "reference": ReferenceNetwork, "segmenter": Segmenter}
    graph: type[torch.nn.Module] = graphs[network]
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    try:
        return graph(**arguments)
    except (TypeError, ValueError, IndexError, RuntimeError, Speckle2SelfError) as error:
        message = f"The {network} network cannot be built with the settings {dict(settings)}: {error}."
        raise WeightsError(message) from error


def _shapes(network: str, settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's tensors, found without memory for their values."""
    import torch

    with torch.device("meta"):
        return {name: tuple(values.shape) for name, values in _build(network, settings).state_dict().items()}


def _recognise(state: Mapping[str, torch.Tensor], path: Path) -> str:
    shared = {network: len(state.keys() & _shapes(network, {}).keys()) for network in NETWORKS}
    network = max(shared, key=lambda name: shared[name])
    if not shared[network]:
        message = f"Weights '{path}' belong to no network known here: their tensors are named {_first(list(state))}."
        raise WeightsError(message)
    return network


def _check_shapes(
    state: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]], path: Path, network: str
) -> None:
    missing = [name for name in shapes if name not in state]
    extra = [name for name in state if name not in shapes]
    differing = [
        f"{name} is {tuple(state[name].shape)} instead of {shape}"
        for name, shape in shapes.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    problems = [
        *([f"{len(missing)} of {len(shapes)} tensors are missing ({_first(missing)})"] if missing else []),
        *([f"{len(extra)} tensors are not of this network ({_first(extra)})"] if extra else []),
        *([f"{len(differing)} tensors have another shape ({_first(differing)})"] if differing else []),
    ]
    if problems:
        message = f"Weights '{path}' do not fit the {network} network: {'; '.join(problems)}."
        raise WeightsError(message)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED_IN_ERRORS]) + (", ..." if len(names) > _NAMED_IN_ERRORS else "")
