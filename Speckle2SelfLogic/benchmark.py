"""How fast are we here? The default network, the published one, and rivals, timed in turns in one process.

What is compared:

- the default model, on its runtime, in single precision, and in the fastest reduced precision that passes the gate:
  for each frame of a cine, in batches as `Denoiser` makes them (`default`, `reduced`), and for a frame that comes alone
  (`default_alone`, `reduced_alone`);
- the published network as its authors run it: eager torch in single precision, the frame scaled by its own minimum and
  maximum and given to all three branches, of whose outputs one is kept (weights are random, which costs the same);
- OpenCV's non-local means with `NLM_SETTINGS` on 8-bit grey, and our SRAD.

Methods take turns, so that other load hits all alike, with a pause in which threads of the one before come to rest
(those of PyTorch look for work for some milliseconds, and would keep a processor from the next). Seconds are the
shortest of all rounds; a ratio is the median of the rounds' ratios. The first round warms up and does not count. On a
busy machine ratios of processor time with one thread say more, since they leave out the waiting; with several threads
they count those of torch that spin.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.denoiser import Denoiser, frames_per_batch
from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.intensity import Float32
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.runtimes.processor import physical_cores, processor_name
from Speckle2SelfLogic.weights import DEFAULT_MODEL

if TYPE_CHECKING:
    import torch

NLM_SETTINGS = {"h": 10, "templateWindowSize": 7, "searchWindowSize": 21}
MATRIX_SIDE = 1024
CINE_FRAMES = 24
PAUSE_SECONDS = 0.02
FRAMES_ALONE = 4
PACKAGES = ("torch", "onnxruntime", "openvino", "opencv-python-headless", "numpy")
Contender = Callable[[], object]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is measured: square frames of ``size`` pixels, with a number of threads (0: all physical cores)."""

    size: int = 512
    threads: int = 0
    rounds: int = 7
    model: str = DEFAULT_MODEL

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 4096 or self.rounds < 1 or self.threads < 0:
            message = (
                f"A benchmark needs a size of 32 to 4096 pixels, at least one round and no negative number of threads, "
                f"but was given {self.size}, {self.rounds} and {self.threads}."
            )
            raise SettingsError(message)


def run_benchmark(settings: Settings, tell: Tell = lambda _: None) -> dict[str, Any]:
    """Measure everything; returns plain values for JSON. Takes about a minute on two cores.

    Raises
    ------
    SettingsError
        If there is no model of that name.
    """
    from Speckle2SelfLogic.methods import load_method

    threads = settings.threads or physical_cores()
    frame = _frame(settings.size)
    tell("loading")
    single, reduced = (
        load_method(settings.model, "cpu", precision=precision, threads=threads) for precision in ("single", "reduced")
    )
    batch = np.repeat(frame, frames_per_batch(single, settings.size, settings.size), axis=0)
    _set_threads(threads)
    contenders: dict[str, Contender] = {
        "default": lambda: single.despeckle(batch),
        "default_alone": _one_by_one(single, frame),
        "reference": _published(frame),
        "srad": _srad(frame),
        "matrix_product": _matrix_product(),
    }
    if _precision(reduced) != "single":
        contenders["reduced"] = lambda: reduced.despeckle(batch)
        contenders["reduced_alone"] = _one_by_one(reduced, frame)
    if _version("opencv-python-headless") or _version("opencv-python"):
        contenders["opencv_nlm"] = _opencv_nlm(frame, threads)
    frames_of_a_call = dict.fromkeys(("default", "reduced"), len(batch)) | dict.fromkeys(
        ("default_alone", "reduced_alone"), FRAMES_ALONE
    )
    timing = time_in_turns(contenders, settings.rounds, tell).for_each_frame(frames_of_a_call)
    seconds = timing.clock
    networks = {"default": _network(settings.model), "reference": _reference()}
    gflop = {name: _gflop(network, settings.size) for name, network in networks.items()}
    result: dict[str, Any] = {
        "size": settings.size,
        "threads": threads,
        "rounds": settings.rounds,
        "machine": {
            "processor": processor_name(),
            "physical_cores": physical_cores(),
            "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
            "system": platform.platform(),
            "versions": {"speckle2self": __version__, **{name: _version(name) for name in PACKAGES}},
            "matrix_product_gflop_per_second": round(2e-9 * MATRIX_SIDE**3 / min(seconds["matrix_product"]), 1),
        },
        "default": {**_model(single, seconds, "default", gflop["default"]), "name": settings.model},
        "reduced": _model(reduced, seconds, "reduced", gflop["default"]) if "reduced" in seconds else None,
        "reference": {"model_seconds": min(seconds["reference"]), **_rate(seconds["reference"], gflop["reference"])},
        "opencv_nlm": (
            {"seconds": min(seconds["opencv_nlm"]), "settings": NLM_SETTINGS} if "opencv_nlm" in seconds else None
        ),
        "srad": {"seconds": min(seconds["srad"])},
        "ratios": ratios(seconds),
        "ratios_of_processor_time": ratios(timing.processor),
    }
    tell("end to end")
    result["end_to_end"] = end_to_end(single, settings.size, settings.rounds)
    return result


@dataclass(frozen=True)
class Timing:
    """Seconds of every round but the first: by the clock, and of all threads of this process on the processor."""

    clock: Mapping[str, list[float]]
    processor: Mapping[str, list[float]]

    def for_each_frame(self, frames: Mapping[str, int]) -> Timing:
        """Divide the seconds of contenders by the number of frames that each of their calls took, one if left out."""

        def divided(seconds: Mapping[str, list[float]]) -> dict[str, list[float]]:
            return {name: [each / frames.get(name, 1) for each in seconds[name]] for name in seconds}

        return Timing(divided(self.clock), divided(self.processor))


def time_in_turns(contenders: Mapping[str, Contender], rounds: int, tell: Tell = lambda _: None) -> Timing:
    """Time contenders in turns; the first round warms up and does not count."""
    timing = Timing({name: [] for name in contenders}, {name: [] for name in contenders})
    for turn in range(rounds + 1):
        tell(f"round {turn} of {rounds}")
        for name, contender in contenders.items():
            time.sleep(PAUSE_SECONDS)
            started, used = time.perf_counter(), time.process_time()
            contender()
            if turn:
                timing.clock[name].append(time.perf_counter() - started)
                timing.processor[name].append(time.process_time() - used)
    return timing


def ratios(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return how many times longer others take than our model: median, smallest and largest of the rounds."""
    made: dict[str, dict[str, float]] = {}
    for ours in ("default", "reduced", "default_alone", "reduced_alone"):
        for other in ("reference", "opencv_nlm", "srad"):
            if ours in seconds and other in seconds:
                each = np.divide(seconds[other], seconds[ours])
                made[f"{other}_to_{ours}"] = {
                    "median": round(float(np.median(each)), 2),
                    "smallest": round(float(each.min()), 2),
                    "largest": round(float(each.max()), 2),
                    "of_shortest": round(min(seconds[other]) / min(seconds[ours]), 2),
                }
    return made


def end_to_end(method: FrameDespeckler, size: int, rounds: int) -> dict[str, Any]:
    """Compare reading, despeckling and writing a cine (NRRD) with the model alone on the same batches of frames.

    Returns
    -------
    dict
        ``seconds`` for the whole, ``model_seconds`` for the model alone, and ``overhead``, the median over the rounds
        of what the whole takes more, as a share of the model alone.
    """
    from Speckle2SelfLogic.image import UltrasoundImage
    from Speckle2SelfLogic.io import read_image, write_image

    base = np.round(255 * _frame(size)[0]).astype(np.uint8)
    pixels = np.stack([np.roll(base, 3 * number, axis=1) for number in range(CINE_FRAMES)])
    grey = (pixels / np.float32(255)).astype(np.float32)
    at_once = frames_per_batch(method, size, size)
    with tempfile.TemporaryDirectory(prefix="speckle2self-") as folder:
        source, target = Path(folder) / "cine.nrrd", Path(folder) / "clean.nrrd"
        write_image(UltrasoundImage(pixels, "TYX"), source)

        def whole() -> None:
            target.unlink(missing_ok=True)  # replacing a file waits for the disk
            write_image(Denoiser(method).run(read_image(source)).image, target)

        def alone() -> None:
            for start in range(0, len(grey), at_once):
                method.despeckle(grey[start : start + at_once])

        timing = time_in_turns({"whole": whole, "alone": alone}, rounds)
    seconds, used = timing.clock, timing.processor
    each = np.divide(seconds["whole"], seconds["alone"]) - 1
    return {
        "frames": CINE_FRAMES,
        "seconds": min(seconds["whole"]),
        "model_seconds": min(seconds["alone"]),
        "overhead": round(float(np.median(each)), 3),
        "overhead_of_shortest": round(min(seconds["whole"]) / min(seconds["alone"]) - 1, 3),
        "overhead_of_processor_time": round(min(used["whole"]) / min(used["alone"]) - 1, 3),
    }


def _one_by_one(method: FrameDespeckler, frame: Float32) -> Contender:
    """Return a contender that despeckles a frame several times; one would show how a processor wakes after a pause."""

    def run() -> None:
        for _ in range(FRAMES_ALONE):
            method.despeckle(frame)

    return run


def _frame(size: int) -> Float32:
    """Return a frame (1, Y, X) with the speckle of a simulated carotid; speed does not depend on what it shows."""
    from Speckle2SelfLogic.frames import GreyFrames, frames_view, grey_range_of
    from Speckle2SelfLogic.simulation import simulate

    image = simulate("carotid", size_yx=(size, size)).speckled
    return np.asarray(GreyFrames(frames_view(image), grey_range_of(image))[0][None], np.float32)


def _reference() -> torch.nn.Module:
    import torch

    from Speckle2SelfLogic.networks.reference import ReferenceNetwork

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ReferenceNetwork(all_scales=True).eval()


def _published(frame: Float32) -> Contender:
    import torch

    from Speckle2SelfLogic.runtime import to_array, to_tensor

    network, given = _reference(), to_tensor(frame)[:, None]

    def run() -> Float32:
        with torch.inference_mode():
            return to_array(published_inference(network, given))

    return run


def published_inference(network: torch.nn.Module, frames_n1yx: torch.Tensor) -> torch.Tensor:
    """Run all three branches of the published network on the same frame and keep the one of full scale.

    Sides of the frame have to be multiples of 16 pixels, as the authors' code asks for.
    """
    from Speckle2SelfLogic.perturbation import PerturbedScales, normalise_each_frame

    scaled = normalise_each_frame(frames_n1yx)
    outputs = network.forward_scales(PerturbedScales(scaled, scaled, scaled))  # type: ignore[operator]
    kept: torch.Tensor = outputs.full.clamp(0, 1)
    return kept


def _srad(frame: Float32) -> Contender:
    from Speckle2SelfLogic.filters import FILTERS

    return lambda: FILTERS["srad"].despeckle(frame)


def _opencv_nlm(frame: Float32, threads: int) -> Contender:
    import cv2

    cv2.setNumThreads(threads)
    pixels = np.round(255 * frame[0]).astype(np.uint8)
    return lambda: cv2.fastNlMeansDenoising(pixels, None, *NLM_SETTINGS.values())


def _matrix_product() -> Contender:
    import torch

    matrix = torch.rand(MATRIX_SIDE, MATRIX_SIDE, generator=torch.Generator().manual_seed(0))
    return lambda: matrix @ matrix


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _network(name: str) -> torch.nn.Module:
    from Speckle2SelfLogic.weights import load_network

    return load_network(name)[0]


def _gflop(network: torch.nn.Module, size: int) -> float:
    """Count multiplications and additions for a frame, two for each pair; the published network runs all branches."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    frame = torch.rand(1, 1, size, size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        published_inference(network, frame) if hasattr(network, "forward_scales") else network(frame)
    return float(round(counter.get_total_flops() / 1e9, 3))


def _model(method: FrameDespeckler, seconds: Mapping[str, list[float]], name: str, gflop: float) -> dict[str, Any]:
    return {
        "model_seconds": min(seconds[name]),
        "median_seconds": float(np.median(seconds[name])),
        "alone_seconds": min(seconds[f"{name}_alone"]),
        **_rate(seconds[name], gflop),
        **getattr(method, "record", {}),
    }


def _rate(seconds: list[float], gflop: float) -> dict[str, float]:
    return {"gflop": gflop, "gflop_per_second": round(gflop / min(seconds), 1)}


def _precision(method: FrameDespeckler) -> str:
    return str(getattr(method, "precision", "single"))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
