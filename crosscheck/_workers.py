"""Processes that share work: they ignore Ctrl-C, and end with the process that started them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, connection, get_context, parent_process
from typing import Any

FEWER = "was it killed, or short of memory? each takes some 700 MB; share the work among fewer"


class Workers(ProcessPoolExecutor):
    """A pool of this many processes; they are started, not forked, since JAX forbids it."""

    def __init__(self, processes: int) -> None:
        super().__init__(processes, mp_context=get_context("spawn"), initializer=_begin)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _ctrl_c_held():  # a process that this starts inherits the mask
            return super().submit(fn, *args, **kwargs)


@contextmanager
def none_left() -> Iterator[None]:
    """End the processes that were started in the block at once if an exception comes, such as Ctrl-C."""
    before = set(active_children())
    try:
        yield
    except BaseException:
        for child in set(active_children()) - before:
            child.kill()
        raise


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end when the parent ends, in whatever way."""
    # torch's threads would spin between two computations, on the cores that the other processes compute on; torch reads it
    # when it is imported, which is later
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
