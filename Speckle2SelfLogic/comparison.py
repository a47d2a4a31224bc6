"""Every method on one frame: outputs, quality figures and times, ready for the report."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic import __version__
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.errors import GeometryError, ImageFileError, SettingsError
from Speckle2SelfLogic.filters import FILTERS
from Speckle2SelfLogic.frames import frames_view, grey_frame, grey_range_of
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.io import read_image
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.metrics import FIGURES, compare_frames
from Speckle2SelfLogic.outputs import check_free
from Speckle2SelfLogic.report import ComparisonCase, MethodResult, write_report
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.weights import DEFAULT_MODEL

Grey = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Tell = Callable[[str], None]

WHITE = 255.0
"""Grey of the upper end of a range, in figures and pictures."""


def software_line() -> str:
    """Return name and version of what made a result, and the kind of machine."""
    import torch

    return (
        f"speckle2self {__version__}, torch {torch.__version__}, NumPy {np.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}, {torch.get_num_threads()} CPU threads"
    )


def single_frame(image: UltrasoundImage, frame: int | None = None) -> UltrasoundImage:
    """Return one frame of an image as an image of its own, with the in-plane spacing; left out: the middle frame.

    Raises
    ------
    SettingsError
        If there is no such frame.
    """
    frames = frames_view(image)
    number = len(frames) // 2 if frame is None else frame
    if not 0 <= number < len(frames):
        message = f"Frame {number} was asked for, but the image has frames 0 to {len(frames) - 1}."
        raise SettingsError(message)
    return replace(
        image,
        pixels=np.array(frames[number]),
        axes="YXC" if image.is_colour else "YX",
        spacing_mm=image.spacing_mm[:2],
        origin_mm=(0.0, 0.0),
        direction=(),
    )


def grey_values(image: UltrasoundImage, grey_range: GreyRange) -> Grey:
    """Return a single frame as grey 0..255 over a range of pixel values; colour becomes luminance."""
    return np.asarray(grey_frame(image.pixels, grey_range), np.float64) * WHITE


def compare_methods(
    image: UltrasoundImage,
    methods: Sequence[FrameDespeckler],
    *,
    title: str,
    frame: int | None = None,
    description: str = "",
    truth: UltrasoundImage | None = None,
    lumen: Mask | None = None,
    tell: Tell = lambda _: None,
) -> ComparisonCase:
    """Run methods on one frame and measure them against the input and, where it is known, the truth.

    Parameters
    ----------
    image
        A frame, cine or volume; the sector is found from all of its frames.
    methods
        What to compare, in the order of the report.
    frame
        Number of the frame; left out: the middle one.
    truth, lumen
        Speckle-free frame and lumen mask of the same size, if known.
    tell
        Called with the title of each method before it runs.
    """
    number = len(frames_view(image)) // 2 if frame is None else frame
    whole, image = image, single_frame(image, number)
    if truth is not None and truth.pixels.shape[:2] != image.pixels.shape[:2]:
        message = f"The truth has {truth.pixels.shape[:2]} pixels, but the image has {image.pixels.shape[:2]}."
        raise GeometryError(message)
    if truth is not None and truth.pixels.dtype != image.pixels.dtype:
        message = f"The truth has pixels of type {truth.pixels.dtype}, but the image of {image.pixels.dtype}."
        raise SettingsError(message)
    grey_range = grey_range_of(whole)
    input_yx = grey_values(image, grey_range)
    truth_yx = None if truth is None else grey_values(truth, grey_range)
    spacing_mm_yx = (image.spacing_mm[1], image.spacing_mm[0]) if image.calibration.is_calibrated else None

    def figures(output_yx: Grey) -> Mapping[str, float | None]:
        return compare_frames(
            input_yx,
            output_yx,
            data_range=WHITE,
            truth=truth_yx,
            spacing_mm=None if spacing_mm_yx is None else (spacing_mm_yx[1], spacing_mm_yx[0]),
            lumen_mask=lumen,
            tissue_mask=None if lumen is None else _tissue_below(lumen),
        ).as_dict()

    results = []
    for method in methods:
        tell(method.title)
        method.despeckle(np.zeros((1, 32, 32), np.float32))  # what a first call loads is not the method's time
        despeckled, report = Denoiser(method, DenoiseSettings(frames=(number, number + 1))).run(whole)
        output_yx = grey_values(single_frame(despeckled, number), grey_range)
        notes = [f"{skipped.reason}: returned unchanged" for skipped in report.skipped] + report.messages
        results.append(
            MethodResult(
                name=method.name,
                title=method.title,
                citation=method.citation,
                frame_yx=output_yx,
                seconds_per_frame=report.method_seconds,
                figures=figures(output_yx),
                parameters=dict(getattr(method, "parameters", {})),
                notes=tuple(notes),
            )
        )
    return ComparisonCase(
        title=title,
        description=description,
        input_yx=input_yx,
        truth_yx=truth_yx,
        lowest=0.0,
        highest=WHITE,
        spacing_mm_yx=spacing_mm_yx,
        calibration_reason=image.calibration.reason,
        results=tuple(results),
        input_figures=figures(input_yx),
    )


def all_methods(names: Sequence[str] | None = None, device: str = "auto") -> list[FrameDespeckler]:
    """Load methods by name; left out: the default model and every classical filter that is installed."""
    if names:
        return [load_method(name, device) for name in names]
    return [load_method(DEFAULT_MODEL, device), *FILTERS.values()]


def compare_file(
    source: Path,
    target: Path,
    *,
    methods: Sequence[str] | None = None,
    device: str = "auto",
    frame: int | None = None,
    truth: Path | None = None,
    overwrite: bool = False,
    tell: Tell = lambda _: None,
) -> None:
    """Compare methods on one frame of a file and write the report. Raises what reading, running and writing raise."""
    if target.suffix.lower() not in (".html", ".htm"):
        message = f"The report '{target}' must end in .html."
        raise ImageFileError(message)
    check_free(target, [source] if truth is None else [source, truth], overwrite=overwrite)
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        message = f"There is no folder '{target.parent}' that the report could be written into."
        raise ImageFileError(message)
    image = read_image(source)
    number = len(frames_view(image)) // 2 if frame is None else frame
    truth_image = None if truth is None else read_image(truth)
    truth_number = number if truth_image is not None and len(frames_view(truth_image)) > 1 else None
    case = compare_methods(
        image,
        all_methods(methods, device),
        title=f"{source.name}, frame {number}",
        frame=number,
        truth=None if truth_image is None else single_frame(truth_image, truth_number),
        tell=tell,
    )
    write_report([case], target, title="Speckle reduction compared", figure_infos=FIGURES, software=software_line())


def _tissue_below(lumen: Mask) -> Mask:
    """Return tissue for contrast figures: a band as high as the lumen, below it, between its outer columns."""
    rows, columns = np.nonzero(lumen.any(1))[0], np.nonzero(lumen.any(0))[0]
    height = rows[-1] - rows[0] + 1
    gap = max(2, height // 3)
    tissue = np.zeros_like(lumen)
    tissue[rows[-1] + gap : rows[-1] + gap + height, columns[0] : columns[-1] + 1] = True
    return tissue & ~lumen
