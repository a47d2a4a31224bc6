"""The manifest: a SQLite file that knows what of an archive is done, so that a run goes on where it stopped.

It holds names below source and destination, checksums, the model, parameters, states and reasons: no pixels, nothing
from inside the files, and no path outside of the two folders. File names can be about patients all the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from Speckle2SelfLogic.errors import ImageFileError

VERSION = 1
"""Of the layout, kept in the file as ``PRAGMA user_version``."""
APPLICATION_ID = 0x53325342
"""Marks the file as one of ours (``PRAGMA application_id``)."""

WAITING, RUNNING, FINISHED, DONE, FAILED = "waiting", "running", "finished", "done", "failed"
"""States of an item. Finished: its output is whole and about to appear under its name, with the checksum recorded."""

_TABLE = """CREATE TABLE items (
    name TEXT PRIMARY KEY, output TEXT NOT NULL, status TEXT NOT NULL,
    input_sha256 TEXT NOT NULL, input_signature TEXT NOT NULL,
    output_sha256 TEXT NOT NULL, output_signature TEXT NOT NULL,
    model TEXT NOT NULL, model_sha256 TEXT NOT NULL, parameters TEXT NOT NULL, version TEXT NOT NULL,
    seconds REAL NOT NULL, reason TEXT NOT NULL, notes TEXT NOT NULL, source TEXT NOT NULL, run TEXT NOT NULL
) WITHOUT ROWID"""


@dataclass(frozen=True)
class Row:
    """What is known of one item.

    Parameters
    ----------
    name, output
        Input and output, below source and destination.
    status
        `WAITING`, `RUNNING`, `FINISHED`, `DONE` or `FAILED`.
    input_sha256, output_sha256
        SHA-256 of the file; of a header with a data file beside it, of both, one behind the other.
    input_signature, output_signature
        What the store says without reading the file, see `Store.signature`.
    model, model_sha256
        Name of the method, and checksum of its weights (empty for a classical filter).
    parameters
        Settings, as JSON.
    version
        Of this package.
    seconds
        Time that the item took.
    reason
        Why it failed, as a sentence.
    notes
        What the output could not hold and the like, a line each.
    source
        Mark of the source, a part of the SHA-256 of its place.
    run
        Mark of the run that took it up last, which is in the names of its unfinished files.
    """

    name: str
    output: str
    status: str = WAITING
    input_sha256: str = ""
    input_signature: str = ""
    output_sha256: str = ""
    output_signature: str = ""
    model: str = ""
    model_sha256: str = ""
    parameters: str = ""
    version: str = ""
    seconds: float = 0.0
    reason: str = ""
    notes: str = ""
    source: str = ""
    run: str = ""

    def with_changes(self, **changes: str | float) -> Row:
        """Return the row with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]


_FIELDS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True)
class Manifest:
    """An open manifest. One run at a time may have it."""

    path: Path
    connection: sqlite3.Connection

    def rows(self) -> dict[str, Row]:
        """Return all rows by name. Raises `ImageFileError` if the manifest is damaged."""
        with _plain(self.path):
            found = self.connection.execute(f"SELECT {', '.join(_FIELDS)} FROM items").fetchall()  # noqa: S608
        rows = [Row(*values) for values in found]
        for row in rows:
            if not all(isinstance(getattr(row, field), float if field == "seconds" else str) for field in _FIELDS):
                message = (
                    f"The manifest '{self.path}' is damaged: the row of '{row.name}' holds values of a wrong kind."
                )
                raise ImageFileError(message)
        return {row.name: row for row in rows}

    def record(self, *rows: Row) -> None:
        """Keep rows, all or none; when this returns they are on disk. Raises `ImageFileError` if they cannot be."""
        places = ", ".join(f":{field}" for field in _FIELDS)
        with _plain(self.path), self.connection:
            self.connection.executemany(f"INSERT OR REPLACE INTO items VALUES ({places})", map(asdict, rows))  # noqa: S608


@contextmanager
def open_manifest(path: Path) -> Iterator[Manifest]:
    """Open a manifest, or make a new one, and keep other runs from it.

    Raises
    ------
    ImageFileError
        If it cannot be made or read, is none of ours or of another version, or another run has it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        message = f"The manifest '{path}' is in use by another run; wait for it, or choose another with --manifest."
        raise ImageFileError(message) from error
    except OSError as error:
        message = f"The manifest '{path}' cannot be made: {error.strerror or error}."
        raise ImageFileError(message) from error
    try:
        with _plain(path):
            connection = sqlite3.connect(path, timeout=30)
        try:
            _prepare(path, connection)
            yield Manifest(path, connection)
        finally:
            connection.close()
    finally:
        lock.release()


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    with _plain(path):
        connection.execute("PRAGMA trusted_schema = OFF")  # a foreign file may hold triggers and views
        connection.execute("PRAGMA synchronous = FULL")
        marks = tuple(connection.execute(f"PRAGMA {mark}").fetchone()[0] for mark in ("application_id", "user_version"))
        tables = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
        if not tables:
            with connection:
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            return
    if marks != (APPLICATION_ID, VERSION) or tables != [("table", "items", _TABLE)]:
        message = f"'{path}' is no manifest of version {VERSION}; choose another file with --manifest."
        raise ImageFileError(message)


@contextmanager
def _plain(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, UnicodeError, OverflowError) as error:
        text = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        message = f"The manifest '{path}' cannot be used: {text}."
        raise ImageFileError(message) from error
