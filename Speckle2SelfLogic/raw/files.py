"""Files of raw data: NRRD, MHA/MHD and NPY with depth along the rows, BK's MetaImage, Clarius ``.raw`` and ``.yml``.

A file tells little: an array of numbers may be an envelope, RF or a picture. What it holds is said by the caller, and
refused where the file says something else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.errors import ImageFileError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import Provenance
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.quiet import quiet_libraries
from Speckle2SelfLogic.raw.acquisition import BeamRecording, StoredRecording
from Speckle2SelfLogic.raw.clarius import open_clarius
from Speckle2SelfLogic.raw.signals import Domain, Samples
from Speckle2SelfLogic.stored_cine import open_cine

RAW_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd", ".npy", ".raw")
_FORMATS = {".nrrd": "NRRD", ".nhdr": "NRRD", ".mha": "MetaImage", ".mhd": "MetaImage", ".npy": "NPY"}
_LINE_TYPES = {  # the image types of PlusToolkit whose rows are beams, and what they hold
    "RF_IQ_LINE": Domain.IQ,
    "RF_REAL": Domain.RF,
}
_TYPE_KEY, _ORIENTATION_KEY = "UltrasoundImageType", "UltrasoundImageOrientation"


def is_raw_file(path: Path) -> bool:
    """Whether a file looks like raw data by its ending; a ``.raw`` also needs its ``.yml``, else it is of a header."""
    suffix = path.suffix.lower()
    return suffix in RAW_SUFFIXES and (suffix != ".raw" or path.with_suffix(".yml").is_file())


def read_raw(path: Path, domain: Domain, sampling_mhz: float | None = None) -> BeamRecording:
    """Read raw data.

    Parameters
    ----------
    path
        NRRD, MHA/MHD or NPY: real arrays (samples, lines) or (frames, samples, lines); IQ complex, or real with a last
        axis of two (I, Q). A tracked MetaImage of PlusToolkit tells itself that its rows are beams. Clarius: ``.raw``
        with the ``.yml`` beside it, which tells the sampling rate.
    domain
        What the values are; it must not contradict the file.
    sampling_mhz
        Sampling rate. Left out: what the file says, or unknown.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged or of no known format.
    SettingsError
        If the file says that it holds another domain or has another sampling rate.
    UnsupportedImageError
        If its array has the wrong axes.
    """
    with one_sentence(path, "cannot be read"):
        integrity.check_file(path)
        suffix = path.suffix.lower()
        if suffix not in RAW_SUFFIXES:
            message = f"'{path}' is no file of raw data; readable are {', '.join(RAW_SUFFIXES)}."
            raise ImageFileError(message)
        if suffix == ".raw":
            recording = open_clarius(path, domain).whole()
        elif suffix == ".npy":
            recording = BeamRecording(
                _beams(path, _npy(path), domain), domain, provenance=_record(path, _FORMATS[suffix])
            )
        else:
            recording = _read_volume(path, suffix, domain)
    return _with_rate(path, recording, sampling_mhz)


def open_raw(path: Path, domain: Domain, sampling_mhz: float | None = None) -> StoredRecording | None:
    """Open raw data so that their frames stay in the file; None if their format or layout does not allow that.

    Clarius files, and NRRD, MetaImage and NPY of real numbers; the parameters and errors are those of `read_raw`.
    """
    with one_sentence(path, "cannot be read"):
        integrity.check_file(path)
        suffix = path.suffix.lower()
        if suffix == ".raw":
            opened: StoredRecording | None = open_clarius(path, domain)
        else:
            opened = _open_cine(path, domain) if suffix in RAW_SUFFIXES else None
    if opened is None:
        return None
    try:
        return replace(opened, first=_with_rate(path, opened.first, sampling_mhz))
    except BaseException:
        opened.close()
        raise


def _open_cine(path: Path, domain: Domain) -> StoredRecording | None:
    if domain is Domain.IQ or (
        _FORMATS[path.suffix.lower()] == "MetaImage" and _TYPE_KEY.lower() in integrity.check_metaimage(path)
    ):
        return None
    try:
        cine = open_cine(path)
    except (ImageFileError, UnsupportedImageError):  # perhaps raw data all the same; the reader says it if not
        return None
    if cine is None:
        return None
    if len(cine.header.axes) != 3 or cine.header.pixels.shape[-2] < 2:
        cine.frames.close()
        return None
    record = _record(path, _FORMATS[path.suffix.lower()])
    try:
        first = BeamRecording(cine.frames[0][np.newaxis], domain, provenance=record)
    except BaseException:
        cine.frames.close()
        raise
    return StoredRecording(first, len(cine.frames), cine.frames.__getitem__, cine.frames.close)


def _with_rate(path: Path, recording: BeamRecording, sampling_mhz: float | None) -> BeamRecording:
    if sampling_mhz is None:
        return recording
    if recording.sampling_mhz is not None and abs(recording.sampling_mhz - sampling_mhz) > 1e-3 * sampling_mhz:
        message = (
            f"'{path}' says that it was sampled at {recording.sampling_mhz:g} MHz, not at {sampling_mhz:g}; "
            "leave the sampling rate out."
        )
        raise SettingsError(message)
    return replace(recording, sampling_mhz=sampling_mhz)


def _read_volume(path: Path, suffix: str, domain: Domain) -> BeamRecording:
    import SimpleITK

    check = integrity.check_nrrd if suffix in (".nrrd", ".nhdr") else integrity.check_metaimage
    fields = check(path)
    try:
        with quiet_libraries():
            volume = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        message = f"'{path}' is damaged or truncated: it cannot be read."
        raise ImageFileError(message) from error
    values = SimpleITK.GetArrayFromImage(volume)
    said = fields.get(_TYPE_KEY.lower(), "").upper()
    record = _record(path, _FORMATS[suffix])
    if not said:
        return BeamRecording(_beams(path, values, domain), domain, provenance=record)
    found = _LINE_TYPES.get(said)
    if found is not domain:
        holds = found.value if found else f"'{said}', which is not supported,"
        message = f"'{path}' says that it holds {holds} and not {domain.value}; choose the domain that it has."
        raise SettingsError(message)
    if fields.get(_ORIENTATION_KEY.lower(), "FM").upper() != "FM":
        message = f"'{path}' has beams in another order than from the first to the last, which is not supported."
        raise UnsupportedImageError(message)
    rows_nls = np.atleast_3d(values.T).T.reshape(-1, *values.shape[-2:])  # rows are beams
    if domain is Domain.IQ:
        rows_nls = _complex(rows_nls.reshape(*rows_nls.shape[:-1], -1, 2))
    return BeamRecording(np.ascontiguousarray(rows_nls.swapaxes(1, 2)), domain, provenance=record)


def _npy(path: Path) -> Samples:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        message = f"'{path}' is damaged, truncated, or holds other things than plain numbers."
        raise ImageFileError(message) from error
    return np.asarray(values)


def _beams(path: Path, values: Samples, domain: Domain) -> Samples:
    """Return an array as (frames, samples, lines)."""
    if values.dtype.kind not in "iufc":
        message = f"'{path}' has values of type {values.dtype}; numbers are needed."
        raise UnsupportedImageError(message)
    if domain is Domain.IQ and values.dtype.kind != "c":
        if values.ndim < 3 or values.shape[-1] != 2:
            message = f"'{path}' has shape {values.shape}; IQ must be complex, or have a last axis of two (I, Q)."
            raise UnsupportedImageError(message)
        values = _complex(values)
    if values.ndim not in (2, 3) or min(values.shape) == 0 or values.shape[-2] < 2:
        message = f"'{path}' has shape {values.shape}; it must be (samples, lines) or (frames, samples, lines)."
        raise UnsupportedImageError(message)
    return values if values.ndim == 3 else values[np.newaxis]


def _complex(pairs: Samples) -> Samples:
    real = pairs.astype(np.float32)
    return np.asarray(real[..., 0] + 1j * real[..., 1], np.complex64)


def _record(path: Path, file_format: str) -> Provenance:
    return Provenance(source=str(path), file_format=file_format)
