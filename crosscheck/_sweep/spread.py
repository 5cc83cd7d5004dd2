"""Share pieces among workers of any kind; pieces of a worker that died are done again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any

from crosscheck._sweep.positions import Span

MOST_ATTEMPTS = 4
AHEAD = 4
"""The number of pieces that are handed out at once for each worker: enough that none waits for the next."""

Piece = dict[str, Any]


def spread(
    judge: Callable[[Span], Piece], spans: Sequence[Span], executor: Executor, others: Iterator[Executor], workers: int
) -> Iterator[Piece]:
    """The results, each as soon as it is done. ``others`` gives another executor when one has broken.

    Raises what ``judge`` raises, and ``BrokenExecutor`` for a piece whose workers died repeatedly.
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
    """Whether the worker failed, not the piece. Dask's errors are recognised by their module."""
    return isinstance(error, BrokenExecutor | CancelledError | ConnectionError) or type(error).__module__.startswith(
        "distributed"
    )
