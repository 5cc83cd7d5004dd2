"""The values and gradients of many floats in both frameworks; in float32, both come from one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._frameworks import backend
from crosscheck._records.implementations import Implementation

Results = Mapping[int, FloatArray]
"""The results by order."""
Run = Callable[[FloatArray], Results]


def runner(
    implementation: Implementation, function: Callable[[Any], Any], dtype: str, orders: Sequence[int], device: str
) -> Run:
    """A function from an array of the dtype to arrays by order. JAX compiles it."""
    framework = backend(implementation.side)
    framework.check_device(device)
    mode = "jit" if "jit" in framework.modes else "eager"
    together = dtype == "float32" and max(orders) <= 1
    runs = [tuple(sorted(orders))] if together else [(k,) for k in orders]

    def run(x: FloatArray) -> Results:
        found = {k: result for run in runs for k, result in framework.derivatives(function, x, run, mode, device).items()}
        return {k: np.zeros_like(x) if result is None else result for k, result in found.items()}

    return run


@contextmanager
def one_thread(side: str) -> Iterator[None]:
    """Run torch in one thread: a sweep uses several processes, and waiting threads would take their time."""
    if side != "torch":
        yield
        return
    from crosscheck._frameworks import torch_backend

    with torch_backend.one_thread():
        yield
