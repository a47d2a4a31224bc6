"""Images and masks of a folder, in the layouts in which people keep them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.io import image_suffix, is_readable
from Speckle2SelfLogic.segmentation_files import SEGMENTATION_SUFFIX, is_segmentation_name
from Training.segmentation.plan import DataPlan

_NAMED = 3


def find_pairs(plan: DataPlan) -> list[tuple[Path, Path]]:
    """Return every image with its mask, sorted by the image's name.

    ``folders``: images below one folder and masks below another (it may be the same), of the same name but for the
    ending; ``suffix`` may stand between name and ending of a mask. ``suffix``: images and masks side by side below the
    folder of images, a mask named like its image with ``suffix`` before the ending. A ``.seg.nrrd`` or a DICOM SEG
    counts by the name before its ending too.

    Raises
    ------
    SettingsError
        If a folder is missing or empty, images have no mask, or one has two.
    """
    images = _files(plan.images, plan.name)
    if plan.layout == "suffix":
        masks = [path for path in images if _bare(path).endswith(plan.suffix) or is_segmentation_name(path)]
        images = [path for path in images if path not in masks]
        root = plan.images
    else:
        masks, root = _files(plan.masks, plan.name), plan.masks
        images = [path for path in images if path not in masks]
    by_name: dict[str, list[Path]] = {}
    for mask in masks:
        by_name.setdefault(_key(mask, root).removesuffix(plan.suffix), []).append(mask)
    pairs, missing = [], []
    for image in images:
        found = by_name.get(_key(image, plan.images), [])
        if len(found) > 1:
            message = f"'{image.name}' of '{plan.name}' has two masks, {found[0].name} and {found[1].name}; remove one."
            raise SettingsError(message)
        if found:
            pairs.append((image, found[0]))
        else:
            missing.append(image.name)
    if missing or not pairs:
        message = (
            f"{len(missing)} of {len(images)} images of '{plan.name}' have no mask in '{root}' "
            f"({', '.join(missing[:_NAMED])}); they must have the same name, or '{plan.suffix}' after it."
        )
        raise SettingsError(message)
    return pairs


def _files(folder: Path, name: str) -> Sequence[Path]:
    if not folder.is_dir():
        message = f"The folder '{folder}' of the data set '{name}' does not exist."
        raise SettingsError(message)
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and is_readable(path))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _bare(path: Path) -> str:
    """Return a file name without its ending; ``.seg.nrrd`` and ``.nii.gz`` count as one."""
    ending = SEGMENTATION_SUFFIX if is_segmentation_name(path) else image_suffix(path)
    return path.name[: len(path.name) - len(ending)] if ending else path.name


def _key(path: Path, root: Path) -> str:
    return path.relative_to(root).with_name(_bare(path)).as_posix()
