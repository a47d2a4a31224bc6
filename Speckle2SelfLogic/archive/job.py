"""One item of an archive on one worker: fetch, despeckle, and leave the whole output as a draft beside its place."""

from __future__ import annotations

import errno
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from Speckle2SelfLogic import integrity
from Speckle2SelfLogic.archive.files import InputFile, in_order
from Speckle2SelfLogic.archive.store import Store
from Speckle2SelfLogic.batch import FileResult, despeckle_file
from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings
from Speckle2SelfLogic.errors import ImageFileError, Speckle2SelfError
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.plain_errors import one_sentence, printable
from Speckle2SelfLogic.raw.run import RawOptions, despeckle_raw_file

_PASSING = (
    *(errno.EIO, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED),
    *(errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EPIPE, getattr(errno, "ESTALE", errno.EIO)),
)
"""Failures of a network or its file systems that may be over at the next attempt."""

_DEFAULT_SETTINGS = DenoiseSettings()


@dataclass(frozen=True)
class Method:
    """What every worker loads once. The runtime is named, since workers that choose one could choose differently."""

    model: str
    device: str = "cpu"
    runtime: str = "torch"
    settings: DenoiseSettings = _DEFAULT_SETTINGS

    def load(self) -> Denoiser:
        """Load the model. Raises what `load_method` raises."""
        return Denoiser(load_method(self.model, self.device, runtime=self.runtime, threads=1), self.settings)


@dataclass(frozen=True)
class Job:
    """One item for a worker.

    Parameters
    ----------
    name, output
        Input and output, below source and destination.
    source, destination
        Where the two are.
    draft
        Folder below the destination that the worker makes and fills; nobody else uses it.
    attempt
        0 at the first time.
    raw
        How raw data are read and written; None for images.
    """

    name: str
    output: str
    source: Store
    destination: Store
    draft: str
    attempt: int = 0
    raw: RawOptions | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job. ``reason`` is empty if its draft is whole."""

    reason: str = ""
    may_pass: bool = False
    """Whether another attempt may succeed."""
    input_sha256: str = ""
    input_signature: str = ""
    output_sha256: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


def do_job(job: Job, denoiser: Denoiser) -> Outcome:
    """Do a job. Whatever goes wrong is said in the outcome; the draft is only whole if it has no reason."""
    started = time.perf_counter()
    if job.attempt:
        time.sleep(min(0.1 * 2**job.attempt, 5.0))
    try:
        return _done(job, denoiser, started)
    except Speckle2SelfError as error:
        return Outcome(_without_places(str(error), job), _may_pass(error), seconds=time.perf_counter() - started)
    except Exception as error:  # a file that a library stumbles over must not stop the others
        reason = f"'{job.name}' cannot be despeckled: {type(error).__name__}: {integrity.reason(error)}."
        return Outcome(_without_places(reason, job), may_pass=True, seconds=time.perf_counter() - started)


def _done(job: Job, denoiser: Denoiser, started: float) -> Outcome:
    with (
        one_sentence(job.name, "cannot be despeckled"),
        tempfile.TemporaryDirectory(prefix="speckle2self-", ignore_cleanup_errors=True) as scratch,
    ):
        given = InputFile(job.source, job.name)
        signature = given.signature()
        if not signature:
            message = f"'{job.name}' does not exist any more."
            raise ImageFileError(message)
        local = given.local_path(Path(scratch, "input"))
        input_sha256 = InputFile(Store(str(local.parent)), local.name).checksum()
        folder = job.destination.path(job.draft) if job.destination.is_local else Path(scratch, "output")
        job.destination.remove_folder(job.draft)  # of an earlier attempt
        folder.mkdir(parents=True)
        pair = FileResult(local, folder / PurePosixPath(job.output).name)
        if job.raw is None:
            despeckle_file(pair, denoiser, is_repeatable=True)
        else:
            despeckle_raw_file(pair, denoiser, options=job.raw)
        if given.signature() != signature:
            message = f"'{job.name}' changed while it was despeckled; run again when it is complete."
            raise ImageFileError(message)
        names = in_order(pair.target.name, [file.name for file in folder.iterdir()])
        output_sha256 = Store(str(folder)).checksum(*names)
        if not job.destination.is_local:
            for name in names:
                job.destination.put(folder / name, f"{job.draft}/{name}")
        notes = [*pair.notes, *(pair.report.messages if pair.report else [])]
        return Outcome(
            input_sha256=input_sha256,
            input_signature=signature,
            output_sha256=output_sha256,
            seconds=time.perf_counter() - started,
            notes=tuple(_without_places(note, job) for note in notes),
        )


def _may_pass(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and (error.errno is None or error.errno in _PASSING):
            return True
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__
    return False


def _without_places(text: str, job: Job) -> str:
    """Say a sentence with names below source and destination instead of paths, which may tell more than they should."""
    places = {str(job.destination.path(job.draft)) if job.destination.is_local else job.draft}
    places |= {job.source.root, job.destination.root}
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(f"{place}/", "").replace(f"{place}\\", "")
    words = text.split("'")
    words[1::2] = [job.name if _is_scratch(word) else word for word in words[1::2]]
    return printable("'".join(words))


def _is_scratch(word: str) -> bool:
    return word.startswith(str(Path(tempfile.gettempdir()) / "speckle2self-"))
