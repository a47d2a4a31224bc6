"""What there is to do: every image of a source, with the name that its output gets."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from Speckle2SelfLogic.archive.store import Store, is_below
from Speckle2SelfLogic.batch import images_below, raw_left_out, writable_name
from Speckle2SelfLogic.errors import ImageFileError
from Speckle2SelfLogic.io import READABLE_SUFFIXES, image_suffix
from Speckle2SelfLogic.plain_errors import is_text, one_sentence, printable
from Speckle2SelfLogic.raw.files import RAW_SUFFIXES

_DICOM_DIRECTORY = "DICOMDIR"
_MARKER = slice(128, 132)


@dataclass(frozen=True)
class Item:
    """One input and its output, as names below the source and the destination."""

    name: str
    output: str
    problem: str = ""
    """Why it cannot be done, as a sentence; empty if it can be tried."""


def find_items(source: str, destination: Store, *, is_raw: bool = False) -> tuple[Store, list[Item]]:
    """Find every image of a source, or every file of raw data.

    Parameters
    ----------
    source
        A folder, a file, a pattern such as ``archive/**/*.dcm``, or the URL of one in an object store.
    destination
        Where outputs go; if that is inside the source, what is there is left out.
    is_raw
        Whether raw data are looked for.

    Returns
    -------
    tuple of Store and list of Item
        The folder that names are below, and the items by name. Hidden files, files that are no images, and DICOM
        directory files (``DICOMDIR``) are left out. Of two inputs with one output, the second has a problem.

    Raises
    ------
    ImageFileError
        If there is nothing to read, the source cannot be reached, or source and destination are the same.
    """
    with one_sentence(source, "cannot be reached"):
        find = _local if "://" not in source else _remote
        folder, names = find(source, destination, is_raw=is_raw)
    if folder.root == destination.root:
        message = f"Input and output are the same folder '{source}'; choose another output."
        raise ImageFileError(message)
    items = _with_outputs(name for name in names if PurePosixPath(name).name != _DICOM_DIRECTORY)
    if not items:
        left_out = (
            raw_left_out(Path(folder.root), Path(folder.root, "nowhere")) if folder.is_local and not is_raw else ""
        )
        message = left_out or f"'{source}' has no {'files of raw data' if is_raw else 'image files'} that can be read."
        raise ImageFileError(message)
    return folder, items


def _local(source: str, destination: Store, *, is_raw: bool) -> tuple[Store, list[str]]:
    place = Path(source)
    outputs = Path(destination.root) if destination.is_local else place / "nowhere"
    if place.is_dir():
        folder, found = place, list(images_below(place, outputs, is_raw=is_raw))
    elif place.exists():
        folder, found = place.parent, [place]
    elif glob.has_magic(source):
        folder = _before_pattern(place)
        below = images_below(folder, outputs, is_raw=is_raw)
        found = [path for path in below if _matches(path.as_posix(), place.as_posix())]
    else:
        message = f"There is no file or folder '{source}'."
        raise ImageFileError(message)
    return Store.at(str(folder)), [path.relative_to(folder).as_posix() for path in found]


def _remote(source: str, destination: Store, *, is_raw: bool) -> tuple[Store, list[str]]:
    store = Store.at(source)
    if store.is_local:
        return _local(store.root, destination, is_raw=is_raw)
    protocol, _, path = store.root.partition("://")
    pattern = ""
    if glob.has_magic(path) and "::" not in path:
        pattern, path = path, _before_pattern(PurePosixPath(path)).as_posix()
        store = Store(f"{protocol}://{path}")
    ours = f"{destination.root.rstrip('/')}/"
    everything = store.names_below()
    names = [name for name in everything if not f"{store.root.rstrip('/')}/{name}".startswith(ours)]
    if names == [""]:  # one file
        return Store(store.root.rpartition("/")[0]), [PurePosixPath(path).name]
    if pattern:
        names = [name for name in names if _matches(f"{path.rstrip('/')}/{name}", pattern)]
    known = set(everything)
    return store, [name for name in names if (_is_raw(name, known) if is_raw else _is_image(store, name))]


def _before_pattern(path: Path | PurePosixPath) -> Path:
    """Return the folders in front of the first part of a path that is a pattern."""
    parts = list(path.parts)
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])


def _matches(path: str, pattern: str) -> bool:
    """Whether a path fits a pattern, where ``*`` stays in one folder and ``**`` does not."""
    return _match_parts(PurePosixPath(path).parts, PurePosixPath(pattern).parts)


def _match_parts(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_match_parts(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch(parts[0], pattern[0]) and _match_parts(parts[1:], pattern[1:])


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(name).parts)


def _is_raw(name: str, names: set[str]) -> bool:
    """Whether a file looks like raw data, as `raw.files.is_raw_file` says of a file of this computer."""
    suffix = image_suffix(name)
    is_described = PurePosixPath(name).with_suffix(".yml").as_posix() in names
    return suffix in RAW_SUFFIXES and not _is_hidden(name) and (suffix != ".raw" or is_described)


def _is_image(store: Store, name: str) -> bool:
    if _is_hidden(name):
        return False
    if image_suffix(name) in READABLE_SUFFIXES:
        return True
    if not is_below(name):
        return False
    with store.opened(name) as stream:
        return bool(stream.read(_MARKER.stop)[_MARKER] == b"DICM")


def _with_outputs(names: Iterator[str]) -> list[Item]:
    items: list[Item] = []
    owners: dict[str, str] = {}
    for name in sorted(names):
        if not is_text(name):
            item = Item(printable(name), "", "Its name holds bytes that are not UTF-8 text; rename it.")
        elif not is_below(name):
            item = Item(name, "", f"'{name}' points outside of its archive, so it is not touched.")
        else:
            item = Item(name, writable_name(Path(name)).as_posix())
            if item.output in owners:
                problem = f"Its output '{item.output}' is that of '{owners[item.output]}' already; rename one."
                item = replace(item, problem=problem)
            owners.setdefault(item.output, name)
        items.append(item)
    return items
