"""Workers that are actors of a Ray cluster: one that is there already, or one started on this computer."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from Speckle2SelfLogic.errors import SettingsError, Speckle2SelfError

if TYPE_CHECKING:
    from Speckle2SelfLogic.archive.job import Job, Method, Outcome

_JOBS_PER_ACTOR = 2
"""One is being done while the next one waits, so that no actor waits for the network."""
LONGEST_WAIT_SECONDS = 600.0
"""A run ends if Ray has no room for a single worker for so long."""
_JOIN_SECONDS = 5.0
"""When the first actor is there, the others are waited for so long, so that they share the first jobs."""
_MOST_LOST_WHILE_LOADING = 10


class Despeckling:
    """What an actor is: a loaded method. Ray makes it where it has room."""

    def __init__(self, method: Method) -> None:
        from Speckle2SelfLogic.archive.local_workers import limit_threads

        self._denoiser = method.load()
        limit_threads()

    def ready(self) -> None:
        """Return when the method is loaded."""

    def do(self, job: Job) -> Outcome:
        """Do a job."""
        from Speckle2SelfLogic.archive.job import do_job

        return do_job(job, self._denoiser)


@dataclass(frozen=True)
class Cluster:
    """Where the actors are.

    Parameters
    ----------
    address
        ``HOST:PORT`` or ``ray://HOST:PORT`` of a cluster, or ``auto`` for the one that this computer belongs to; left
        out, Ray is started on this computer for the time of the run.
    gpus_per_actor
        Share of a GPU that every actor takes; 0 for the CPU.
    """

    address: str | None = None
    gpus_per_actor: float = 0.0


class RayWorkers:
    """A number of Ray actors. Work begins with the first that has loaded the method; the others join when Ray has room.

    An actor that is lost (its machine too) is replaced where and when there is room; until then the others go on. On a
    cluster, source and destination must be reachable from every machine under the same path or URL.

    Raises
    ------
    SettingsError
        If Ray is not installed, or the cluster cannot be reached.
    Speckle2SelfError
        If an actor cannot load the method, what that raised; or if no machine has room for any.
    """

    def __init__(self, method: Method, count: int, cluster: Cluster) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError as error:
            message = 'The engine "ray" needs the package Ray; install it with: pip install "speckle2self[ray]".'
            raise SettingsError(message) from error
        self._ray: Any = ray
        self._method = method
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            self._connect(cluster.address, count, cluster.gpus_per_actor)
        self._actor_class = ray.remote(num_cpus=1, num_gpus=cluster.gpus_per_actor, max_restarts=0)(Despeckling)
        self._actors: dict[int, Any] = {}
        self._coming: dict[Any, tuple[int, Any]] = {}
        self._running: dict[Any, tuple[Job, int, Any]] = {}
        self._lost_while_loading = 0
        try:
            for number in range(count):
                self._start(number)
            self._wait_for_an_actor()
            if others := [*self._coming]:
                for reference in self._ray.wait(others, num_returns=len(others), timeout=_JOIN_SECONDS)[0]:
                    self._join(reference)
        except BaseException:
            self.close()
            raise

    @property
    def capacity(self) -> int:
        """Two jobs for each actor: the second one waits with it."""
        return _JOBS_PER_ACTOR * max(1, len(self._actors))

    def submit(self, job: Job) -> None:
        """Give a job to the actor with the fewest."""
        if not self._actors:
            self._wait_for_an_actor()
        loads = Counter(number for _, number, _ in self._running.values())
        number = min(self._actors, key=lambda each: loads[each])
        actor = self._actors[number]
        self._running[actor.do.remote(job)] = job, number, actor

    def ended(self) -> list[tuple[Job, Outcome]]:
        """Wait until at least one job ended or an actor joined, and return the jobs that ended."""
        waited_for = [*self._running, *self._coming]
        self._ray.wait(waited_for, num_returns=1)
        ready, _ = self._ray.wait(waited_for, num_returns=len(waited_for), timeout=0)
        for reference in ready:
            if reference in self._coming:
                self._join(reference)
        return [self._result(reference) for reference in ready if reference in self._running]

    def close(self) -> None:
        """End the actors, and Ray itself if it was started here."""
        for actor in [*self._actors.values(), *(actor for _, actor in self._coming.values())]:
            self._ray.kill(actor, no_restart=True)
        self._actors.clear()
        self._coming.clear()
        self._running.clear()
        if self._is_ours:
            self._ray.shutdown()

    def _connect(self, address: str | None, count: int, gpus_per_actor: float) -> None:
        import logging

        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        gpus = {"num_gpus": count * gpus_per_actor} if gpus_per_actor else {}
        try:
            with _own_end():
                if address is None:
                    self._ray.init(address="local", num_cpus=count, include_dashboard=False, **gpus, **quiet)
                else:
                    self._ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            where = f"The Ray cluster at '{address}' cannot be reached" if address else "Ray cannot be started"
            message = f"{where}: {(str(error).strip().splitlines() or [type(error).__name__])[0].rstrip('.')}."
            raise SettingsError(message) from error

    def _start(self, number: int) -> None:
        """Ask for an actor, which Ray makes as soon as it has room."""
        actor = self._actor_class.remote(self._method)
        self._coming[actor.ready.remote()] = number, actor

    def _wait_for_an_actor(self) -> None:
        while not self._actors:
            ready, _ = self._ray.wait(list(self._coming), num_returns=1, timeout=LONGEST_WAIT_SECONDS)
            if not ready:
                message = (
                    f"No machine of the Ray cluster has had room for a worker for {LONGEST_WAIT_SECONDS:g} s; what is "
                    "done stays done, and the same command goes on from there."
                )
                raise Speckle2SelfError(message)
            self._join(ready[0])

    def _join(self, reference: Any) -> None:  # noqa: ANN401 - Ray has no types
        """Give work to an actor from now on, start it again if its machine was lost, or raise why it cannot load."""
        from ray.exceptions import RayActorError, RayTaskError

        number, actor = self._coming.pop(reference)
        try:
            self._ray.get(reference)
        except RayTaskError as error:
            raise _cause(error) from error
        except RayActorError as error:
            self._lost_while_loading += 1
            if error.actor_init_failed or self._lost_while_loading > _MOST_LOST_WHILE_LOADING:
                message = f"A worker could not start: {_cause(error)}"
                raise Speckle2SelfError(message) from error
            self._start(number)
            return
        self._actors[number] = actor

    def _result(self, reference: Any) -> tuple[Job, Outcome]:  # noqa: ANN401 - Ray has no types
        from ray.exceptions import RayActorError, RayError

        from Speckle2SelfLogic.archive.job import Outcome

        job, number, actor = self._running.pop(reference)
        try:
            return job, self._ray.get(reference)
        except RayError as error:
            if isinstance(error, RayActorError) and self._actors.get(number) is actor:  # else another job has told
                self._ray.kill(self._actors.pop(number), no_restart=True)  # it may only have been out of reach
                self._start(number)
            reason = f"'{job.name}' lost its worker ({type(error).__name__}); often memory ran out."
        return job, Outcome(reason, may_pass=True)


@contextmanager
def _own_end() -> Iterator[None]:
    """Give SIGTERM back to whoever had it, which Ray takes to end a program at once, in the middle of what it does."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _cause(error: BaseException) -> Speckle2SelfError:
    """Return the error of ours that an actor ended with, or one that says what Ray does."""
    cause = getattr(error, "cause", None) or error.__cause__
    if isinstance(cause, Speckle2SelfError):
        return cause
    lines = [line for line in str(error).strip().splitlines() if "Speckle2SelfLogic.errors." in line]
    text = lines[-1].partition(": ")[2] if lines else (str(error).strip().splitlines() or ["unknown"])[-1]
    return Speckle2SelfError(text if text.endswith(".") else f"{text}.")
