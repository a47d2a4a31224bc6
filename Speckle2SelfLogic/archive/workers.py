"""What does the jobs: a number of workers behind one Protocol, and the loop that never lets more than a few in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from Speckle2SelfLogic.archive.job import Job, Outcome


class Workers(Protocol):
    """Workers that have loaded the method, wherever they are. Making them starts them; `close` ends them at once."""

    @property
    def capacity(self) -> int:
        """Jobs that may be with the workers at one time."""

    def submit(self, job: Job) -> None:
        """Give a job to a worker that is free."""

    def ended(self) -> list[tuple[Job, Outcome]]:
        """Wait until jobs ended, or there is room for more, and return those that ended (that of a lost worker too)."""

    def close(self) -> None:
        """End the workers, whatever they do; unfinished drafts stay behind."""


def do_jobs(workers: Workers, jobs: Iterable[Job], retries: int) -> Iterator[list[tuple[Job, Outcome]]]:
    """Do jobs, in any order; what ended at one time comes together. A job is taken only when a worker can have it."""
    waiting, again, attempts, in_flight = iter(jobs), deque[Job](), Counter[str](), 0
    while True:
        while in_flight < workers.capacity:
            job = again.popleft() if again else next(waiting, None)
            if job is None:
                break
            workers.submit(job)
            in_flight += 1
        if not in_flight:
            return
        for_good = []
        for job, outcome in workers.ended():
            in_flight -= 1
            attempts[job.name] += 1
            if outcome.may_pass and attempts[job.name] <= retries:
                again.append(replace(job, attempt=attempts[job.name]))
            else:
                for_good.append((job, outcome))
        if for_good:
            yield for_good
