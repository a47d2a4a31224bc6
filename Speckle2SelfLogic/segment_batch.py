"""Segment a file or a whole folder. Label images appear only when they are complete; existing files are kept."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.denoiser import ProgressCallback
from Speckle2SelfLogic.errors import CancelledError, GeometryLossWarning, ImageFileError, Speckle2SelfError
from Speckle2SelfLogic.io import image_suffix, is_readable, read_image
from Speckle2SelfLogic.outputs import check_free, make_folder
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.segmentation_files import check_labels_writable, is_segmentation_name, write_labels
from Speckle2SelfLogic.segmenter import LABEL_NAMES, SegmentationReport, VesselSegmenter


@dataclass
class SegmentedFile:
    """What happened to one file."""

    source: Path
    target: Path
    report: SegmentationReport | None = None
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def as_json(self) -> str:
        """Return the result as one line of JSON."""
        content = {
            "input": str(self.source),
            "output": str(self.target) if self.report else None,
            "report": self.report.as_dict() if self.report else None,
            "notes": self.notes,
            "error": self.error or None,
            "use": RESEARCH_USE,
        }
        return json.dumps(content)


def plan_labels(
    source: Path, target: Path, *, suffix: str = ".seg.nrrd", overwrite: bool = False
) -> list[SegmentedFile]:
    """Pair every image with its label image, and check before any work that it can be written.

    A folder as ``source`` gives a folder as ``target`` (made if needed) with the same names below it, each with
    ``suffix`` in place of its ending. Label images (``.seg.nrrd``) among the inputs are left out.

    Raises
    ------
    ImageFileError
        If there is nothing to read, an output exists already, two inputs would share one, or it cannot hold labels.
    """
    with one_sentence(source, "cannot be read"):
        if not source.exists():
            message = f"There is no file or folder '{source}'."
            raise ImageFileError(message)
        is_folder = source.is_dir()
    files = _plan_folder(source, target, suffix) if is_folder else [SegmentedFile(source, target)]
    if not is_folder:
        check_labels_writable(None, target)
    if len({file.target for file in files}) < len(files):
        message = f"Two images of '{source}' differ in their ending only and would share a label image; rename one."
        raise ImageFileError(message)
    for file in files:
        check_free(file.target, (file.source,), overwrite=overwrite)
    if is_folder:
        make_folder(target)
        check_labels_writable(None, target / f"labels{suffix}")
    return files


def segment_all(
    files: list[SegmentedFile],
    segmenter: VesselSegmenter,
    slice_axis: str = "auto",
    progress: ProgressCallback | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Iterator[SegmentedFile]:
    """Segment files one after the other. A file that fails carries its error; the others still go on."""
    for file in files:
        try:
            with one_sentence(file.source, "cannot be segmented"):
                image = read_image(file.source)
                made = segmenter.run(image, progress, is_cancelled, slice_axis=slice_axis)
                make_folder(file.target.parent)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", GeometryLossWarning)
                    write_labels(made.labels, file.target, LABEL_NAMES)
                file.notes += [str(warning.message) for warning in caught]
                file.report = made.report
        except CancelledError:
            raise
        except Speckle2SelfError as error:
            file.error = str(error)
        yield file


def _plan_folder(source: Path, target: Path, suffix: str) -> list[SegmentedFile]:
    ours, files = target.resolve(), []
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        is_hidden = any(part.startswith(".") for part in name.parts)
        is_output = ours in path.resolve().parents and ours != source.resolve()
        if is_hidden or is_output or not path.is_file() or is_segmentation_name(path) or not is_readable(path):
            continue
        known = image_suffix(path)
        bare = path.name[: -len(known)] if known and path.name.lower().endswith(known) else path.name
        files.append(SegmentedFile(path, target / name.with_name(bare + suffix)))
    if not files:
        message = f"The folder '{source}' has no image files that can be read."
        raise ImageFileError(message)
    return files
