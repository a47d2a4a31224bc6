"""Workers that are actors of a Ray cluster: one that is there already, or one started on this computer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from Speckle2SelfLogic.errors import SettingsError, Speckle2SelfError

if TYPE_CHECKING:
    from Speckle2SelfLogic.archive.job import Job, Method, Outcome

_JOBS_PER_ACTOR = 2
"""One is being done while the next one waits, so that no actor waits for the network."""


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
    """A number of Ray actors. One that is lost (its machine too) is replaced where Ray has room.

    On a cluster, source and destination must be reachable from every machine under the same path or URL.

    Raises
    ------
    SettingsError
        If Ray is not installed, or the cluster cannot be reached.
    Speckle2SelfError
        If an actor cannot load the method, what that raised.
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
        self._actors: list[Any] = []
        self._running: dict[Any, tuple[Job, int]] = {}
        try:
            self._actors += [self._actor_class.remote(method) for _ in range(count)]
            self._wait_until_ready(self._actors)
        except BaseException:
            self.close()
            raise

    @property
    def capacity(self) -> int:
        """Two jobs for each actor: the second one waits with it."""
        return _JOBS_PER_ACTOR * len(self._actors)

    def submit(self, job: Job) -> None:
        """Give a job to the actor with the fewest."""
        loads = [0] * len(self._actors)
        for _, actor in self._running.values():
            loads[actor] += 1
        index = loads.index(min(loads))
        self._running[self._actors[index].do.remote(job)] = job, index

    def ended(self) -> list[tuple[Job, Outcome]]:
        """Wait until at least one job ended, and return those that did."""
        self._ray.wait(list(self._running), num_returns=1)
        ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._result(reference) for reference in ready]

    def close(self) -> None:
        """End the actors, and Ray itself if it was started here."""
        for actor in self._actors:
            self._ray.kill(actor, no_restart=True)
        self._actors.clear()
        self._running.clear()
        if self._is_ours:
            self._ray.shutdown()

    def _connect(self, address: str | None, count: int, gpus_per_actor: float) -> None:
        import logging

        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        gpus = {"num_gpus": count * gpus_per_actor} if gpus_per_actor else {}
        try:
            if address is None:
                self._ray.init(address="local", num_cpus=count, include_dashboard=False, **gpus, **quiet)
            else:
                self._ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            where = f"The Ray cluster at '{address}' cannot be reached" if address else "Ray cannot be started"
            message = f"{where}: {(str(error).strip().splitlines() or [type(error).__name__])[0].rstrip('.')}."
            raise SettingsError(message) from error

    def _wait_until_ready(self, actors: list[Any]) -> None:
        from ray.exceptions import RayActorError, RayTaskError

        try:
            self._ray.get([actor.ready.remote() for actor in actors])
        except RayTaskError as error:
            raise _cause(error) from error
        except RayActorError as error:
            message = f"A worker could not start: {_cause(error)}"
            raise Speckle2SelfError(message) from error

    def _result(self, reference: Any) -> tuple[Job, Outcome]:  # noqa: ANN401 - Ray has no types
        from ray.exceptions import RayError

        from Speckle2SelfLogic.archive.job import Outcome

        job, index = self._running.pop(reference)
        try:
            return job, self._ray.get(reference)
        except RayError as error:
            reason = f"'{job.name}' lost its worker ({type(error).__name__}); often memory ran out."
        self._replace_if_lost(index)
        return job, Outcome(reason, may_pass=True)

    def _replace_if_lost(self, index: int) -> None:
        from ray.exceptions import RayError

        try:
            self._ray.get(self._actors[index].ready.remote())
        except RayError:
            self._actors[index] = self._actor_class.remote(self._method)
            self._wait_until_ready([self._actors[index]])


def _cause(error: BaseException) -> Speckle2SelfError:
    """Return the error of ours that an actor ended with, or one that says what Ray does."""
    cause = getattr(error, "cause", None) or error.__cause__
    if isinstance(cause, Speckle2SelfError):
        return cause
    lines = [line for line in str(error).strip().splitlines() if "Speckle2SelfLogic.errors." in line]
    text = lines[-1].partition(": ")[2] if lines else (str(error).strip().splitlines() or ["unknown"])[-1]
    return Speckle2SelfError(text if text.endswith(".") else f"{text}.")
