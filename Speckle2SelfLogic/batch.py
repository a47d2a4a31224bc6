"""Despeckle a file or a whole folder. Results appear only when they are complete; existing files are kept."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseReport, ProgressCallback
from Speckle2SelfLogic.errors import (
    CancelledError,
    GeometryLossWarning,
    ImageFileError,
    Speckle2SelfError,
)
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.integrity import is_dicom
from Speckle2SelfLogic.io import WRITABLE_SUFFIXES, check_writable, image_suffix, is_readable, read_image, write_image
from Speckle2SelfLogic.outputs import check_free, make_folder
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.simulation import Simulation
from Speckle2SelfLogic.streaming import STREAMED_FROM_BYTES, despeckle_stored, stored_cine


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


def plan(source: Path, target: Path, *, overwrite: bool = False, is_raw: bool = False) -> list[FileResult]:
    """Pair every input with its output, and check before any work that outputs can be written.

    A folder as ``source`` gives a folder as ``target`` (made if needed) with the same names below it; hidden files and
    files that are no images (also DICOM reports and directories) are left out; if the input is raw data, so is every
    file that cannot be that. DICOM files without an ending get ``.dcm``, ``.nhdr`` and ``.raw`` become ``.nrrd``.

    Raises
    ------
    ImageFileError
        If there is nothing to read, an output exists already, two inputs would share an output, or input and output
        are the same.
    """
    with one_sentence(source, "cannot be read"):
        if not source.exists():
            message = f"There is no file or folder '{source}'."
            raise ImageFileError(message)
        is_folder = source.is_dir()
    with one_sentence(target, "cannot be written"):
        if is_folder:
            pairs = _plan_folder(source, target, is_raw=is_raw)
        else:
            pairs = [FileResult(source, target / source.name if target.is_dir() else target)]
            check_writable(None, pairs[0].target)
    for pair in pairs:
        check_free(pair.target, (pair.source,), overwrite=overwrite)
    if is_folder:
        make_folder(target if len(pairs) > 1 else pairs[0].target.parent)
    return pairs


def despeckle_file(
    pair: FileResult,
    denoiser: Denoiser,
    progress: ProgressCallback | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    *,
    region: str = "",
    is_repeatable: bool = False,
) -> FileResult:
    """Read, despeckle and write one file; fills in and returns ``pair``. Raises what its steps raise.

    A ``region`` of a DICOM screen is chosen as for `dicom_regions.read_region`. Long cines go from file to file frame
    by frame where their formats allow it, see `streaming`.
    """
    if cine := stored_cine(pair.source, pair.target, denoiser, region):
        with losses_noted() as losses:
            pair.report = despeckle_stored(
                cine, pair.target, denoiser, progress, is_cancelled, is_repeatable=is_repeatable
            )
        pair.notes += [*losses, *notes_on(cine.header)]
        return pair
    image = _read(pair.source, region)
    check_writable(image, pair.target)
    despeckled = denoiser.run(image, progress, is_cancelled)
    pair.notes += write_with_notes(despeckled.image, pair.target, is_repeatable=is_repeatable)
    pair.notes += notes_on(image)
    if image.pixels.nbytes >= STREAMED_FROM_BYTES:
        pair.notes.append(
            f"All {image.pixels.nbytes / 1e9:.1f} GB were held in memory; slices along x or y and some layouts of "
            "files do not go frame by frame."
        )
    pair.report = despeckled.report
    return pair


def _read(source: Path, region: str) -> UltrasoundImage:
    if not region:
        return read_image(source)
    from Speckle2SelfLogic.dicom_regions import read_region

    return read_region(source, region)


def notes_on(image: UltrasoundImage) -> list[str]:
    """Return what the user should know about an image that was despeckled."""
    notes = list(image.provenance.cautions)
    if not image.calibration.is_calibrated:
        notes.append(f"Spacing is not calibrated: {image.calibration.reason}.")
    return notes


def despeckle_all(
    pairs: list[FileResult],
    denoiser: Denoiser,
    progress: Callable[[FileResult], ProgressCallback] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    *,
    despeckle: Callable[..., FileResult] = despeckle_file,
) -> Iterator[FileResult]:
    """Despeckle files one after the other. A file that fails carries its error; the others still go on.

    ``despeckle`` is called for each file like `despeckle_file`, which it is if left out.
    """
    for pair in pairs:
        try:
            with one_sentence(pair.source, "cannot be despeckled"):
                if len(pairs) > 1:
                    make_folder(pair.target.parent)
                despeckle(pair, denoiser, progress(pair) if progress else None, is_cancelled)
        except CancelledError:
            raise
        except Speckle2SelfError as error:
            pair.error = str(error)
        yield pair


def write_simulation(simulation: Simulation, paths: dict[str, Path]) -> list[str]:
    """Write the images of a simulation to the paths of `simulation_paths`, all or none; returns notes on lost geometry.

    Raises
    ------
    ImageFileError
        If a file cannot be written.
    """
    images = {name: getattr(simulation, name) for name in paths}
    make_folder(next(iter(paths.values())).parent)
    for name, path in paths.items():
        check_writable(images[name], path)
    notes: list[str] = []
    written: list[Path] = []
    try:
        for name, path in paths.items():
            notes += write_with_notes(images[name], path)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return notes


def simulation_paths(folder: Path, suffix: str, *, overwrite: bool = False) -> dict[str, Path]:
    """Return where the images of a simulation go, checked before anything is simulated or made.

    Raises
    ------
    ImageFileError
        If the suffix is of no format that can be written, or a file exists already.
    """
    paths = {name: folder / f"{name}{suffix}" for name in ("speckled", "truth", "lumen", "wall")}
    for path in paths.values():
        if image_suffix(path) not in WRITABLE_SUFFIXES:
            message = f"Files cannot end in '{suffix}'; choose one of {', '.join(WRITABLE_SUFFIXES)}."
            raise ImageFileError(message)
        check_free(path, (), overwrite=overwrite)
    return paths


def _plan_folder(source: Path, target: Path, *, is_raw: bool) -> list[FileResult]:
    if target.exists() and not target.is_dir():
        message = f"The output '{target}' is a file, but a folder of images needs a folder as output."
        raise ImageFileError(message)
    if target.resolve() == source.resolve():
        message = f"Input and output are the same folder '{source}'; choose another output."
        raise ImageFileError(message)
    pairs = [
        FileResult(path, target / writable_name(path.relative_to(source)))
        for path in images_below(source, target, is_raw=is_raw)
    ]
    if not pairs:
        kind = "files of raw data" if is_raw else "image files"
        left_out = "" if is_raw else raw_left_out(source, target)
        raise ImageFileError(left_out or f"The folder '{source}' has no {kind} that can be read.")
    seen: dict[Path, Path] = {}
    for pair in pairs:
        if pair.target in seen:
            message = f"'{seen[pair.target]}' and '{pair.source}' would both be written to '{pair.target}'; rename one."
            raise ImageFileError(message)
        seen[pair.target] = pair.source
    return pairs


def images_below(folder: Path, target: Path, *, is_raw: bool = False) -> Iterator[Path]:
    """Find the files of images, or of raw data, below a folder, in order.

    Hidden files, and a folder of outputs in it, are left out.
    """
    from Speckle2SelfLogic.raw.files import is_raw_file

    is_wanted = is_raw_file if is_raw else _may_be_image
    return (path for path in _seen(sorted(folder.rglob("*")), folder, target) if is_wanted(path))


def raw_left_out(folder: Path, target: Path) -> str:
    """Return a sentence on raw data of a scanner below a folder, which nobody has said to be that; empty if none."""
    from Speckle2SelfLogic.raw.files import is_raw_file

    found = [path for path in _seen(sorted(folder.rglob("*.[rR][aA][wW]")), folder, target) if is_raw_file(path)]
    if not found:
        return ""
    return (
        f"{len(found)} files of raw data in '{folder}', such as '{found[0].name}', are left out; "
        "say what they hold with --domain log-envelope, iq or rf."
    )


def _seen(paths: list[Path], folder: Path, target: Path) -> Iterator[Path]:
    ours = target.resolve()
    for path in paths:
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and path.is_file() and ours not in path.resolve().parents:
            yield path


def _may_be_image(path: Path) -> bool:
    if not is_dicom(path):
        return is_readable(path)
    from Speckle2SelfLogic.dicom import is_other_object

    return not is_other_object(path)


def writable_name(name: Path) -> Path:
    """Return the name of an output: that of its input, with another ending where the input's cannot be written."""
    suffix = image_suffix(name)
    if suffix in WRITABLE_SUFFIXES:
        return name
    return name.with_suffix(".nrrd") if suffix in (".nhdr", ".raw") else name.with_name(f"{name.name}.dcm")


def write_with_notes(image: UltrasoundImage, path: Path, *, is_repeatable: bool = False) -> list[str]:
    """Write an image; returns notes on what the format could not hold. Raises what `write_image` raises."""
    with losses_noted() as notes:
        write_image(image, path, is_repeatable=is_repeatable)
    return notes


@contextmanager
def losses_noted() -> Iterator[list[str]]:
    """Lend a list that holds the warnings of lost geometry when the block ends."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GeometryLossWarning)
        yield notes
    notes += [str(warning.message) for warning in caught]
