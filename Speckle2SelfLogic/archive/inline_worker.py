"""A worker that is this process itself: for stores that no other process can reach, and for a few small files."""

from __future__ import annotations

from collections import deque

from Speckle2SelfLogic.archive.job import Job, Method, Outcome, do_job


class InlineWorker:
    """One worker without a process of its own. Raises what `Method.load` raises."""

    def __init__(self, method: Method) -> None:
        self._denoiser = method.load()
        self._jobs: deque[Job] = deque()

    @property
    def capacity(self) -> int:
        """One job."""
        return 1

    def submit(self, job: Job) -> None:
        """Take a job."""
        self._jobs.append(job)

    def ended(self) -> list[tuple[Job, Outcome]]:
        """Do the job."""
        job = self._jobs.popleft()
        return [(job, do_job(job, self._denoiser))]

    def close(self) -> None:
        """There is nothing to end."""
        self._jobs.clear()
