"""An input with the data file that its header names, and an output with the hidden draft that becomes it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.archive.store import Store
from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError
from Speckle2SelfLogic.io import image_suffix

_DETACHED = (".mhd", ".nhdr", ".raw")


def in_order(header: str, names: Iterable[str]) -> list[str]:
    """Return the names of the files of one image, the one that it is called by first."""
    return sorted(names, key=lambda name: (name != header, name))


@dataclass(frozen=True)
class InputFile:
    """An input in a store. Checksum and signature cover the data file of a header too, and the header of raw data."""

    store: Store
    name: str

    def names(self) -> list[str]:
        """Return the name, and that of the data file beside it if it is a header that names one that is there.

        A ``.raw`` file is named first too, with the ``.yml`` beside it.
        """
        if image_suffix(self.name) not in _DETACHED:
            return [self.name]
        if image_suffix(self.name) == ".raw":
            described = PurePosixPath(self.name).with_suffix(".yml").as_posix()
            return [self.name, described] if self.store.signature(described) else [self.name]
        with tempfile.TemporaryDirectory(prefix="speckle2self-") as folder:
            header = self.store.path(self.name) if self.store.is_local else self.store.fetch(self.name, Path(folder))
            beside = (PurePosixPath(self.name).parent / name for name in _data_file_of(header))
            return [self.name, *(name.as_posix() for name in beside if self.store.signature(name.as_posix()))]

    def signature(self) -> str:
        """Return a text that changes when the input does; empty if it is not there. Raises as `Store.signature`."""
        own = self.store.signature(self.name)
        if not own or image_suffix(self.name) not in _DETACHED:
            return own
        return " ".join(map(self.store.signature, self.names()))

    def checksum(self) -> str:
        """Return the SHA-256. Raises `ImageFileError` if the input cannot be read."""
        return self.store.checksum(*self.names())

    def local_path(self, scratch: Path) -> Path:
        """Return the input as a file of this computer; one from elsewhere is copied into a new folder.

        Raises
        ------
        ImageFileError
            If it cannot be fetched.
        """
        if self.store.is_local:
            return self.store.path(self.name)
        scratch.mkdir()
        header, *_ = [self.store.fetch(name, scratch) for name in self.names()]
        return header


def _data_file_of(header: Path) -> tuple[str, ...]:
    """Return the name of the data file beside a detached header, if there is one that it may name."""
    try:
        if image_suffix(header) == ".mhd":
            named = integrity.metaimage_fields(header)[0].get("elementdatafile", "")
        else:
            named = integrity.nrrd_data_file(integrity.nrrd_fields(header)[0])
    except (OSError, Speckle2SelfError):
        return ()  # reading it will say what is wrong
    is_name = named not in ("", "LOCAL") and PurePosixPath(named).name == named and not integrity.is_file_list(named)
    return (named,) if is_name else ()


@dataclass(frozen=True)
class OutputFile:
    """An output in a store, and its draft: a hidden folder beside it that only one run fills."""

    store: Store
    name: str
    run: str = ""

    @property
    def draft(self) -> str:
        """The folder of the draft, below the store."""
        mark = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return (PurePosixPath(self.name).parent / f".speckle2self-batch-{self.run}-{mark}").as_posix()

    def signature(self) -> str:
        """Return a text that changes when the output does; empty if it is not there. Raises as `Store.signature`."""
        own = self.store.signature(self.name)
        return " ".join([own, *filter(None, map(self.store.signature, self._beside()))]) if own else ""

    def checksum(self) -> str:
        """Return the SHA-256 of the files of the draft, or of the output for those that are in place; empty if none."""
        drafted = {name: f"{self.draft}/{name}" for name in self.store.names_in(self.draft)} if self.run else {}
        own = PurePosixPath(self.name).name
        placed = {PurePosixPath(name).name: name for name in (self.name, *self._beside()) if self.store.signature(name)}
        files = {**placed, **drafted}
        return self.store.checksum(*(files[name] for name in in_order(own, files))) if own in files else ""

    def publish(self, *, may_replace: bool) -> None:
        """Let the output appear: its files get their names, the one that it is called by last.

        Raises
        ------
        ImageFileError
            If a file of that name is there and may not be replaced, or the store refuses.
        """
        parent, own = PurePosixPath(self.name).parent, PurePosixPath(self.name).name
        targets = {name: (parent / name).as_posix() for name in in_order(own, self.store.names_in(self.draft))}
        for target in () if may_replace else targets.values():
            if self.store.signature(target):
                message = (
                    f"The output '{target}' exists already and is of another origin; remove it or use --overwrite."
                )
                raise ImageFileError(message)
        for name in reversed(targets):
            self.store.rename(f"{self.draft}/{name}", targets[name])

    def remove_draft(self) -> None:
        """Remove the draft, if there is one. Raises `ImageFileError` if that does not work out."""
        self.store.remove_folder(self.draft)

    def _beside(self) -> tuple[str, ...]:
        """Return the name of the data file that this package writes beside a header."""
        return (str(PurePosixPath(self.name).with_suffix(".raw")),) if image_suffix(self.name) == ".mhd" else ()
