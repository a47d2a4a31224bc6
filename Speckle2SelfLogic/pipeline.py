"""Three steps for each of many batches, where the first and the last may go on beside the one in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")
Ready = TypeVar("Ready")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


def in_turn(
    batches: Iterable[Batch],
    prepare: Callable[[Batch], Ready],
    answer: Callable[[Ready], Answer],
    finish: Callable[[Ready, Answer], Result],
) -> Iterator[Result]:
    """Yield the result of each batch, one step after the other."""
    for batch in batches:
        ready = prepare(batch)
        yield finish(ready, answer(ready))


def overlapped(
    batches: Iterable[Batch],
    prepare: Callable[[Batch], Ready],
    answer: Callable[[Ready], Answer],
    finish: Callable[[Ready, Answer], Result],
) -> Iterator[Result]:
    """Yield what `in_turn` yields, in the same order.

    While a batch is answered in the caller's thread, another thread prepares the next and finishes the one before:
    three batches are in memory at a time. An error ends the iteration; a caller that stops early waits for one step.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="frames") as other:
        coming: Future[Ready] | None = None
        going: Future[Result] | None = None
        try:
            for batch in batches:
                following = other.submit(prepare, batch)
                if coming is not None:
                    going, done = _answered(other, coming, answer, finish), going
                    if done is not None:
                        yield done.result()
                coming = following
            if coming is not None:
                last = _answered(other, coming, answer, finish)
                if going is not None:
                    yield going.result()
                yield last.result()
        finally:
            other.shutdown(wait=True, cancel_futures=True)


def _answered(
    other: ThreadPoolExecutor,
    coming: Future[Ready],
    answer: Callable[[Ready], Answer],
    finish: Callable[[Ready, Answer], Result],
) -> Future[Result]:
    ready = coming.result()
    return other.submit(finish, ready, answer(ready))
