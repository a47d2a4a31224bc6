"""Despeckle a file or a whole folder. Results appear only when they are complete; existing files are kept."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseReport, ProgressCallback
from Speckle2SelfLogic.errors import CancelledError, GeometryLossWarning, ImageFileError, Speckle2SelfError
from Speckle2SelfLogic.io import check_writable, is_readable, read_image, write_image
from Speckle2SelfLogic.simulation import Simulation


@dataclass
class FileResult:
    """What happened to one file."""

    source: Path
    target: Path
    report: DenoiseReport | None = None
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values for JSON."""
        return {
            "input": str(self.source),
            "output": str(self.target) if self.report else None,
            "report": self.report.as_dict() if self.report else None,
            "notes": self.notes,
            "error": self.error or None,
            "use": RESEARCH_USE,
        }

    def as_json(self) -> str:
        """Return the result as one line of JSON."""
        return json.dumps(self.as_dict())


def plan(source: Path, target: Path, *, overwrite: bool = False) -> list[FileResult]:
    """Pair every input with its output, and check before any work that outputs can be written.

    A folder as ``source`` gives a folder as ``target`` with the same names below it; files that are no images by their
    name are left out.

    Raises
    ------
    ImageFileError
        If there is nothing to read, an output exists already, or input and output are the same file.
    """
    if not source.exists():
        message = f"There is no file or folder '{source}'."
        raise ImageFileError(message)
    if source.is_dir():
        pairs = [FileResult(path, target / path.relative_to(source)) for path in _images_below(source, target)]
        if not pairs:
            message = f"The folder '{source}' has no image files that can be read."
            raise ImageFileError(message)
    else:
        pairs = [FileResult(source, target / source.name if target.is_dir() else target)]
        check_writable(None, pairs[0].target)
    for pair in pairs:
        if pair.target.exists():
            if pair.target.samefile(pair.source):
                message = f"Input and output are the same file '{pair.source}'; choose another output."
                raise ImageFileError(message)
            if not overwrite:
                message = f"The output '{pair.target}' exists already; choose another name or allow overwriting."
                raise ImageFileError(message)
    return pairs


def despeckle_file(
    pair: FileResult,
    denoiser: Denoiser,
    progress: ProgressCallback | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> FileResult:
    """Read, despeckle and write one file; fills in and returns ``pair``. Raises what its steps raise."""
    image = read_image(pair.source)
    check_writable(image, pair.target)
    despeckled = denoiser.run(image, progress, is_cancelled)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GeometryLossWarning)
        write_image(despeckled.image, pair.target)
    pair.notes += [str(warning.message) for warning in caught]
    if not image.calibration.is_calibrated:
        pair.notes.append(f"Spacing is not calibrated: {image.calibration.reason}.")
    pair.report = despeckled.report
    return pair


def despeckle_all(
    pairs: list[FileResult],
    denoiser: Denoiser,
    progress: Callable[[FileResult], ProgressCallback] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Iterator[FileResult]:
    """Despeckle files one after the other. A file that fails carries its error; the others still go on."""
    for pair in pairs:
        try:
            if len(pairs) > 1:
                pair.target.parent.mkdir(parents=True, exist_ok=True)
            yield despeckle_file(pair, denoiser, progress(pair) if progress else None, is_cancelled)
        except CancelledError:
            raise
        except Speckle2SelfError as error:
            pair.error = str(error)
            yield pair
        except OSError as error:
            pair.error = f"The output '{pair.target}' cannot be written: {error.strerror or error}."
            yield pair


def _images_below(folder: Path, target: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and target not in path.parents and is_readable(path):
            yield path


def write_simulation(simulation: Simulation, folder: Path, suffix: str, *, overwrite: bool = False) -> list[Path]:
    """Write the images of a simulation as speckled, truth, lumen and wall with a suffix; returns the paths.

    Raises
    ------
    ImageFileError
        If a file exists already or cannot be written.
    """
    images = {name: getattr(simulation, name) for name in ("speckled", "truth", "lumen", "wall")}
    paths = [folder / f"{name}{suffix}" for name in images]
    for path in paths:
        if path.exists() and not overwrite:
            message = f"The output '{path}' exists already; choose another folder or allow overwriting."
            raise ImageFileError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"The folder '{folder}' cannot be made: {error.strerror or error}."
        raise ImageFileError(message) from error
    for image, path in zip(images.values(), paths, strict=True):
        write_image(image, path)
    return paths
