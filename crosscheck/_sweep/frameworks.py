"""The values and gradients of many floats in both frameworks, each from one run: a forward and a backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._frameworks import backend
from crosscheck._frameworks.base import check_output
from crosscheck._records.implementations import Implementation

Results = Mapping[int, FloatArray]
"""By order."""
Run = Callable[[FloatArray], Results]


def runner(
    implementation: Implementation, function: Callable[[Any], Any], dtype: str, orders: Sequence[int], device: str
) -> Run:
    """How to run it: an array of the dtype in, by order an array out. JAX compiles."""
    framework = backend(implementation.side)
    framework.check_device(device)
    if dtype == "float32" and max(orders) <= 1:
        return (_torch if implementation.side == "torch" else _jax)(function, orders, device)
    mode = "jit" if "jit" in framework.modes else "eager"

    def run(x: FloatArray) -> Results:
        found = {k: framework.derivative(function, x, k, mode, device) for k in orders}
        return {k: np.zeros_like(x) if result is None else result for k, result in found.items()}

    return run


@contextmanager
def one_thread(side: str) -> Iterator[None]:
    """Run torch in one thread: a sweep is spread over processes, and threads that wait for work take the time of others."""
    if side != "torch":
        yield
        return
    from crosscheck._frameworks import torch_backend

    with torch_backend.one_thread():
        yield


def _torch(function: Callable[[Any], Any], orders: Sequence[int], device: str) -> Run:
    import torch

    from crosscheck._frameworks.torch_backend import to_array

    def run(x: FloatArray) -> Results:
        tensor = torch.from_numpy(x).to("cuda" if device == "gpu" else "cpu").requires_grad_(1 in orders)
        with torch.set_grad_enabled(1 in orders):
            value = function(tensor)
        check_output(value, tensor)
        found = {0: to_array(value)} if 0 in orders else {}
        if 1 in orders:
            gradient = None
            if value.requires_grad:
                (gradient,) = torch.autograd.grad(value, tensor, torch.ones_like(value), allow_unused=True)
            found[1] = np.zeros_like(x) if gradient is None else to_array(gradient)
        return found

    return run


def _jax(function: Callable[[Any], Any], orders: Sequence[int], device: str) -> Run:
    import jax
    import jax.numpy as jnp

    from crosscheck._frameworks.jax_backend import scope

    @jax.jit
    def program(x: Any) -> dict[int, Any]:
        if 1 not in orders:
            value, pull_back = function(x), None
        else:
            value, pull_back = jax.vjp(function, x)
        check_output(value, x)
        found = {0: value} if 0 in orders else {}
        if pull_back is not None:
            (found[1],) = pull_back(jnp.ones_like(value))
        return found

    def run(x: FloatArray) -> Results:
        with scope("float32", device):
            return {k: np.asarray(result) for k, result in program(jax.device_put(x)).items()}

    return run
