"""The checks that people use, with default arguments: each returns its message if it notices something, else None."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, FloatArray, widen
from crosscheck._records.interface import MissingFrameworkError, framework

ASSERT_CLOSE = "torch.testing.assert_close"
ASSERT_ALLCLOSE = "numpy.testing.assert_allclose"
GRADCHECK = "torch.autograd.gradcheck"
CHECK_GRADS = "jax.test_util.check_grads"

Said = str | None
"""The message of a check that noticed something, in one line; None if it noticed nothing."""
Function = Callable[[Any], Any]
SEED = 0
LONGEST = 160


def of_results(got: FloatArray | None, expected: FloatArray | None) -> dict[str, Said]:
    """The messages of ``assert_close`` and ``assert_allclose`` for two arrays of one dtype; None for no derivative.

    ``numpy`` lacks bfloat16, so ``assert_allclose`` gets float32 instead. Without PyTorch, only this check is run.
    """
    if got is None or expected is None:
        return dict.fromkeys((ASSERT_CLOSE, ASSERT_ALLCLOSE), "there is no derivative to compare")
    plain: list[Any] = [array.astype(np.float32) if str(array.dtype) == "bfloat16" else array for array in (got, expected)]
    found = {ASSERT_ALLCLOSE: _said(lambda: np.testing.assert_allclose(*plain))}
    try:
        torch = framework("torch")
    except MissingFrameworkError:
        return found
    tensors = [torch.from_numpy(widen(array)).to(getattr(torch, str(array.dtype))) for array in (got, expected)]
    return {ASSERT_CLOSE: _said(lambda: torch.testing.assert_close(*tensors)), **found}


def of_slopes(side: str, function: Function, x: FloatArray, order: int) -> Said:
    """The message of ``gradcheck`` for a function of torch, or of ``check_grads`` for one of JAX, at float64 inputs.

    ``gradcheck`` checks the first derivative; for order 2, ``gradgradcheck`` follows. ``check_grads`` gets the order, and
    runs in float32, which is JAX's default, and in float64 with ``jax.enable_x64``.
    """
    if side == "torch":
        return _gradcheck(function, x, order)
    said = None
    for dtype in ("float32", "float64"):
        with np.errstate(over="ignore"):
            said = said or _check_grads(function, x.astype(FORMATS[dtype].dtype), max(order, 1))
    return said


def _gradcheck(function: Function, x: FloatArray, order: int) -> Said:
    import torch

    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # gradgradcheck draws cotangents
        said = _said(lambda: torch.autograd.gradcheck(function, (tensor,)))
        if said is None and order == 2:
            said = _said(lambda: torch.autograd.gradgradcheck(function, (tensor,)))
    return said


def _check_grads(function: Function, x: FloatArray, order: int) -> Said:
    import jax
    from jax.test_util import check_grads

    with jax.enable_x64(str(x.dtype) == "float64"):
        said = _said(lambda: check_grads(function, (jax.numpy.asarray(x),), order))
    return None if said is None else f"{x.dtype}: {said}"


def _said(check: Callable[[], object]) -> Said:
    """Run a check; any exception means that it noticed something."""
    try:
        with _quiet():
            check()
    except Exception as error:
        words = " ".join(str(error).split())
        return f"{type(error).__name__}: {words[:LONGEST]}{'…' * (len(words) > LONGEST)}"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings, of overflow or of a check about its setup: they make no test fail."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
