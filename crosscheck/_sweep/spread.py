"""Pieces shared among workers of whatever kind; those of a worker that died are done again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any

from crosscheck._sweep.positions import Span

MOST_ATTEMPTS = 4
AHEAD = 4
"""Pieces handed out at once, for each worker: enough that none waits for the next."""

Piece = dict[str, Any]


def spread(
    judge: Callable[[Span], Piece], spans: Sequence[Span], executor: Executor, others: Iterator[Executor], workers: int
) -> Iterator[Piece]:
    """As they are done. ``others`` gives executors to go on with when one has broken.

    Raises what ``judge`` raises, and ``BrokenExecutor`` for a piece whose workers died again and again.
    """
    pending = deque(spans)
    attempts: dict[Span, int] = {}
    running: dict[Future[Piece], Span] = {}
    try:
        while pending or running:
            while pending and len(running) < AHEAD * workers:
                span = pending.popleft()
                try:
                    running[executor.submit(judge, span)] = span
                except BrokenExecutor:
                    pending.appendleft(span)
                    if not running:
                        executor = next(others)
                    break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                span = running.pop(future)
                error = CancelledError() if future.cancelled() else future.exception()
                if error is None:
                    yield future.result()
                elif not _died(error):
                    raise error
                else:
                    attempts[span] = attempts.get(span, 0) + 1
                    if attempts[span] == MOST_ATTEMPTS:
                        raise BrokenExecutor(
                            f"the workers that were given the piece at position {span.first} died {MOST_ATTEMPTS} times"
                        ) from error
                    pending.append(span)
    finally:
        for future in running:
            future.cancel()


def _died(error: BaseException) -> bool:
    """Whether it is the worker that failed and not the piece. Dask's errors are told by where they come from."""
    return isinstance(error, BrokenExecutor | CancelledError | ConnectionError) or type(error).__module__.startswith(
        "distributed"
    )
