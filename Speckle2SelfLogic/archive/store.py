"""Where files lie: a folder of this computer, or an object store that fsspec reaches by its URL."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError
from Speckle2SelfLogic.plain_errors import one_sentence

_BLOCK_BYTES = 1 << 20
_TELL_VERSIONS = (
    *("size", "ETag", "etag", "md5Hash", "content_md5", "generation", "version_id", "CRC"),
    *("mtime", "LastModified", "last_modified", "updated", "modified", "created"),
)
"""What file systems of fsspec say about a file that changes with its content."""


@dataclass(frozen=True)
class Store:
    """A folder, here or elsewhere. Files in it are called by their path below it, with ``/`` between the parts.

    Parameters
    ----------
    root
        Absolute path of a folder, or a URL such as ``s3://bucket/studies``.
    """

    root: str

    @classmethod
    def at(cls, place: str) -> Store:
        """Return the store of a path or URL, which need not exist. ``file://`` URLs are folders of this computer.

        Raises
        ------
        ImageFileError
            If fsspec does not know the protocol, or lacks the package for it.
        """
        if "://" not in place:
            return cls(os.path.abspath(place))  # noqa: PTH100 - keeps symbolic links, unlike Path.resolve
        store = cls(place.rstrip("/") if place.rstrip("/")[-1:] != ":" else place)
        file_system, path = store._reached()
        return cls(os.path.abspath(path)) if _is_of_this_computer(file_system) else store  # noqa: PTH100

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this computer."""
        return "://" not in self.root

    @property
    def is_in_this_process(self) -> bool:
        """Whether no other process can reach it (fsspec's ``memory://``)."""
        return self.root.startswith("memory://")

    def path(self, name: str) -> Path:
        """Return the path of a file in a folder of this computer."""
        return Path(self.root, name)

    def below(self, folder: str) -> Store:
        """Return a folder of this store as a store."""
        return Store(os.path.join(self.root, folder) if self.is_local else f"{self.root.rstrip('/')}/{folder}")  # noqa: PTH118

    def signature(self, name: str) -> str:
        """Return a text that changes when the file does (size and time, or what the store has instead); empty if none.

        Raises
        ------
        ImageFileError
            If the store cannot be reached.
        """
        with self._plain(name):
            if self.is_local:
                try:
                    found = self.path(name).stat()
                except (FileNotFoundError, NotADirectoryError):
                    return ""
                return f"{found.st_size}-{found.st_mtime_ns}"
            file_system, root = self._reached()
            file_system.invalidate_cache()
            try:
                info = file_system.info(_joined(root, name))
            except FileNotFoundError:
                return ""
            return " ".join(f"{key}={info[key]}" for key in _TELL_VERSIONS if info.get(key) is not None)

    def checksum(self, *names: str) -> str:
        """Return the SHA-256 of files, one behind the other. Raises `ImageFileError` if one cannot be read."""
        total = hashlib.sha256()
        for name in names:
            with self._plain(name), self.opened(name) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    total.update(block)
        return total.hexdigest()

    @contextmanager
    def opened(self, name: str) -> Iterator[Any]:
        """Open a file for reading its bytes."""
        if self.is_local:
            with self.path(name).open("rb") as stream:
                yield stream
        else:
            file_system, root = self._reached()
            with file_system.open(_joined(root, name), "rb") as stream:
                yield stream

    def fetch(self, name: str, folder: Path) -> Path:
        """Copy a file into a folder of this computer. Raises `ImageFileError` if that does not work out."""
        target = folder / PurePosixPath(name).name
        with self._plain(name, "cannot be fetched"), self.opened(name) as stream, target.open("wb") as copy:
            shutil.copyfileobj(stream, copy, _BLOCK_BYTES)
        return target

    def put(self, source: Path, name: str) -> None:
        """Copy a file of this computer into the store. Raises `ImageFileError` if that does not work out."""
        with self._plain(name, "cannot be written"):
            if self.is_local:
                self.path(name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, self.path(name))
            else:
                file_system, root = self._reached()
                file_system.makedirs(str(PurePosixPath(_joined(root, name)).parent), exist_ok=True)
                file_system.put_file(str(source), _joined(root, name))

    def rename(self, name: str, target: str) -> None:
        """Let a file appear under another name, whole. Raises `ImageFileError` if that does not work out."""
        with self._plain(target, "cannot be written"):
            if self.is_local:
                self.path(target).parent.mkdir(parents=True, exist_ok=True)
                self.path(name).replace(self.path(target))
            else:
                file_system, root = self._reached()
                file_system.mv(_joined(root, name), _joined(root, target))

    def names_in(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder, in order; none if there is no such folder."""
        with self._plain(folder):
            if self.is_local:
                return sorted(file.name for file in self.path(folder).iterdir()) if self.path(folder).is_dir() else []
            file_system, root = self._reached()
            file_system.invalidate_cache()
            if not file_system.isdir(_joined(root, folder)):
                return []
            return sorted(PurePosixPath(str(path)).name for path in file_system.find(_joined(root, folder), maxdepth=1))

    def names_below(self) -> list[str]:
        """Return the names of all files of an object store, in order; one empty name if the root itself is a file.

        Raises
        ------
        ImageFileError
            If the store has no such place, or cannot be reached.
        """
        with self._plain(self.root):
            file_system, root = self._reached()
            file_system.invalidate_cache()
            if not file_system.exists(root):
                message = f"There is no file or folder '{self.root}'."
                raise ImageFileError(message)
            paths = (str(path) for path in file_system.find(root))
            return sorted(path.removeprefix(root).removeprefix("/") for path in paths)

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with the files in it; nothing happens if there is none."""
        with self._plain(folder, "cannot be removed"):
            if self.is_local:
                if self.path(folder).is_dir() and not self.path(folder).is_symlink():
                    shutil.rmtree(self.path(folder))
                return
            file_system, root = self._reached()
            if file_system.exists(_joined(root, folder)):
                file_system.rm(_joined(root, folder), recursive=True)

    def _reached(self) -> tuple[Any, str]:
        """Return the file system of fsspec and the path of the root in it."""
        from fsspec.core import url_to_fs

        try:
            file_system, path = url_to_fs(self.root)
        except (ValueError, ImportError) as error:
            message = f"'{self.root}' cannot be reached: {str(error).rstrip('.')}."
            raise ImageFileError(message) from error
        return file_system, str(path).rstrip("/")

    @contextmanager
    def _plain(self, name: str, failure: str = "cannot be reached") -> Iterator[None]:
        """Turn what a file system or its network library raises into one sentence about a file."""
        with one_sentence(name, failure):
            try:
                yield
            except (Speckle2SelfError, OSError, MemoryError):
                raise
            except Exception as error:  # each object store has errors of its own
                if self.is_local:
                    raise
                text = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
                raise OSError(text) from error


def is_below(name: str) -> bool:
    """Whether a name stays inside its store: object stores and archives can hold names such as ``../x``."""
    path = PurePosixPath(name)
    return (
        bool(path.parts) and not path.is_absolute() and ".." not in path.parts and (os.sep == "/" or "\\" not in name)
    )


def _joined(root: str, name: str) -> str:
    return f"{root}/{name}" if root else name  # the root of an archive file has no name


def _is_of_this_computer(file_system: Any) -> bool:  # noqa: ANN401 - fsspec has no types
    return "file" in ((file_system.protocol,) if isinstance(file_system.protocol, str) else file_system.protocol)
