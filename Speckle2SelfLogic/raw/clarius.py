"""The raw data that Clarius scanners export: a header, then each frame as a time stamp and its lines.

The text file beside it (the same name with ``.yml``) tells sizes, kind of data and sampling rate.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.errors import ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import Provenance
from Speckle2SelfLogic.raw.acquisition import BeamRecording, StoredRecording
from Speckle2SelfLogic.raw.signals import Domain, Samples

_HEADER = struct.Struct("<5I")  # identifier, frames, lines, samples, bytes of a sample
_STAMP_BYTES = 8
_MOST_TEXT_BYTES = 1 << 20
_KINDS = {"b pre-scan": Domain.LOG_ENVELOPE, "rf": Domain.RF, "iq": Domain.IQ}
_SAMPLE_BYTES = {Domain.LOG_ENVELOPE: 1, Domain.RF: 2, Domain.IQ: 4}
_STORED = {Domain.LOG_ENVELOPE: "u1", Domain.RF: "<i2", Domain.IQ: "<i2"}


def open_clarius(path: Path, domain: Domain) -> StoredRecording:
    """Open a Clarius ``.raw`` file with its ``.yml``.

    Raises
    ------
    ImageFileError
        If one of the two is missing, damaged, or they do not belong together.
    SettingsError
        If the file holds another domain.
    UnsupportedImageError
        If the data are compressed, or of another kind than B pre-scan, RF or IQ.
    """
    said = _description(path)
    kind = _KINDS.get(said["type"].lower())
    if kind is None:
        message = f"'{path}' holds data of the kind '{said['type']}'; readable are {', '.join(_KINDS)}."
        raise UnsupportedImageError(message)
    if kind is not domain:
        message = f"'{path}' says that it holds {kind.value} and not {domain.value}; choose the domain that it has."
        raise SettingsError(message)
    frames, lines, samples = _layout(path, said, kind)
    stream = path.open("rb")

    def samples_of(number: int) -> Samples:
        frame_bytes = _STAMP_BYTES + lines * samples * _SAMPLE_BYTES[kind]
        stream.seek(_HEADER.size + number * frame_bytes + _STAMP_BYTES)
        content = stream.read(frame_bytes - _STAMP_BYTES)
        if len(content) < frame_bytes - _STAMP_BYTES:
            message = f"'{path}' is truncated: frame {number} is not there."
            raise ImageFileError(message)
        values = np.frombuffer(content, _STORED[kind])
        if kind is Domain.IQ:
            pairs = values.astype(np.float32).reshape(lines, samples, 2)
            return np.ascontiguousarray((pairs[..., 0] + 1j * pairs[..., 1]).T)
        return np.ascontiguousarray(values.reshape(lines, samples).T)

    rate_hz = float(said.get("frame rate", 0) or 0)
    try:
        first = BeamRecording(
            samples_of(0)[np.newaxis],
            domain,
            sampling_mhz=float(said["sampling rate"]),
            first_sample=float(said.get("delay samples", 0) or 0),
            frame_interval_ms=1000 / rate_hz if rate_hz > 0 else None,
            provenance=Provenance(source=str(path), file_format="Clarius raw"),
        )
    except BaseException:
        stream.close()
        raise
    return StoredRecording(first, frames, samples_of, stream.close)


def _layout(path: Path, said: dict[str, str], kind: Domain) -> tuple[int, int, int]:
    """Return the numbers of frames, of lines and of samples of a line, checked against the size of the file."""
    size = path.stat().st_size
    if size < _HEADER.size:
        message = f"'{path}' is truncated: it has no header of {_HEADER.size} bytes."
        raise ImageFileError(message)
    with path.open("rb") as stream:
        _, frames, lines, samples, sample_bytes = _HEADER.unpack(stream.read(_HEADER.size))
    if (samples, lines) != (int(said["samples per line"]), int(said["number of lines"])):
        message = (
            f"'{path}' has {lines} lines of {samples} samples, but its .yml says something else; they do not match."
        )
        raise ImageFileError(message)
    if sample_bytes != _SAMPLE_BYTES[kind]:
        message = f"'{path}' has samples of {sample_bytes} bytes; {kind.value} needs {_SAMPLE_BYTES[kind]}."
        raise UnsupportedImageError(message)
    frame_bytes = _STAMP_BYTES + lines * samples * sample_bytes
    expected = _HEADER.size + frames * frame_bytes
    if frames < 1 or lines < 1 or samples < 2 or size < expected:
        message = f"'{path}' is truncated: its header needs {expected} bytes, but {size} are there."
        raise ImageFileError(message)
    return frames, lines, samples


def _description(path: Path) -> dict[str, str]:
    """Return the fields of the ``.yml`` that are needed, as texts without units."""
    beside = path.with_suffix(".yml")
    if not beside.is_file():
        message = f"'{path}' needs the file '{beside.name}' beside it, which tells what its numbers are."
        raise ImageFileError(message)
    integrity.check_file(beside)
    text = beside.read_bytes()[:_MOST_TEXT_BYTES].decode("utf-8", "replace")
    found = {}
    for name in ("type", "compression", "sampling rate", "delay samples", "frame rate"):
        if match := re.search(rf"^{name}: *([^\n#{{]*?) *(?:[MK]?Hz)? *$", text, re.MULTILINE):
            found[name] = match[1]
    for name in ("samples per line", "number of lines"):
        if match := re.search(rf"\b{name}: *(\d+)", text):
            found[name] = match[1]
    missing = {"type", "sampling rate", "samples per line", "number of lines"} - set(found)
    numbers = [found.get(name, "0") for name in ("sampling rate", "delay samples", "frame rate")]
    if missing or not all(re.fullmatch(r"\d+(\.\d+)?", number) for number in numbers):
        message = f"'{beside}' does not tell {', '.join(sorted(missing)) or 'its rates'} as Clarius files do."
        raise ImageFileError(message)
    if found.get("compression", "none") != "none":
        message = f"'{path}' is compressed ({found['compression']}); unpack it first."
        raise UnsupportedImageError(message)
    return found
