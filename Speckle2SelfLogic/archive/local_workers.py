"""Workers that are processes of this computer, each with one loaded model and one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from Speckle2SelfLogic.errors import Speckle2SelfError

if TYPE_CHECKING:
    from Speckle2SelfLogic.archive.job import Job, Method, Outcome

_ONE_THREAD = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
_SECONDS_TO_END = 5.0


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    job: Job | None = None


class LocalWorkers:
    """A number of processes. One that ends by itself (out of memory, a library that crashes) is replaced.

    Raises
    ------
    Speckle2SelfError
        If a worker cannot load the method, what that raised.
    """

    def __init__(self, method: Method, count: int) -> None:
        self._method = method
        self._workers: list[_Worker] = []
        try:
            self._workers += [_started(method) for _ in range(count)]
            for worker in self._workers:
                _wait_until_ready(worker)
        except BaseException:
            self.close()
            raise

    @property
    def capacity(self) -> int:
        """One job for each process."""
        return len(self._workers)

    def submit(self, job: Job) -> None:
        """Give a job to a process without one."""
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job = job
        try:
            worker.connection.send(job)
        except OSError:  # it ended meanwhile, which `ended` finds out
            return

    def ended(self) -> list[tuple[Job, Outcome]]:
        """Wait until at least one job ended, and return those that did."""
        from Speckle2SelfLogic.archive.job import Outcome

        busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
        found = []
        for ready in wait(list(busy)):
            worker = busy[ready]  # type: ignore[index]
            job = worker.job
            if job is None:
                continue
            try:
                outcome = worker.connection.recv()
            except (EOFError, OSError):
                outcome = Outcome(f"'{job.name}' ended its worker ({_how_it_ended(worker.process)}).", may_pass=True)
                self._replace(worker)
            worker.job = None
            found.append((job, outcome))
        return found

    def close(self) -> None:
        """End the processes at once."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_SECONDS_TO_END)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _replace(self, worker: _Worker) -> None:
        worker.connection.close()
        fresh = _started(self._method)
        worker.process, worker.connection = fresh.process, fresh.connection
        _wait_until_ready(worker)


def _started(method: Method) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(method, theirs), daemon=True)
    with _one_thread_for_libraries():
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _one_thread_for_libraries() -> Iterator[None]:
    """Set the variables that numerical libraries read when they load, for processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _wait_until_ready(worker: _Worker) -> None:
    try:
        problem = worker.connection.recv()
    except (EOFError, OSError) as error:
        message = f"A worker could not start ({_how_it_ended(worker.process)}); use fewer workers with --workers."
        raise Speckle2SelfError(message) from error
    if problem is not None:
        raise problem


def _how_it_ended(process: SpawnProcess) -> str:
    process.join(_SECONDS_TO_END)
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit status {code}"
    hint = "; often memory ran out" if -code == getattr(signal, "SIGKILL", 9) else ""
    return f"signal {-code}{hint}"


def _work(method: Method, connection: Connection) -> None:
    """Load the method, then do jobs until there are no more. This is what the process runs."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that ends this one
    from Speckle2SelfLogic.archive.job import do_job

    try:
        denoiser = method.load()
        limit_threads()
    except Speckle2SelfError as error:
        connection.send(type(error)(str(error)))
        return
    connection.send(None)
    while True:
        try:
            connection.send(do_job(connection.recv(), denoiser))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def limit_threads() -> None:
    """Let PyTorch, if it is loaded, use one thread, so that workers do not fight for processors."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
