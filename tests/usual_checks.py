"""The four checks that people use, at their defaults: each returns its message if it notices something, else None."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from floats import FloatArray, widen
from in_both import from_torch, to_torch, x64
from jax.test_util import check_grads

ASSERT_CLOSE = "torch.testing.assert_close"
ASSERT_ALLCLOSE = "numpy.testing.assert_allclose"
GRADCHECK = "torch.autograd.gradcheck"
CHECK_GRADS = "jax.test_util.check_grads"
OF_RESULTS = (ASSERT_CLOSE, ASSERT_ALLCLOSE)
OF_SLOPES = {"torch": GRADCHECK, "jax": CHECK_GRADS}
CHECKS = (*OF_RESULTS, *OF_SLOPES.values())

Functions = Mapping[str, Callable[..., Any]]
Said = str | None
"""The message of a check that noticed something, in one line; None if it noticed nothing."""
SEED = 0
LONGEST = 160


def of_arrays(a: Any, b: Any) -> dict[str, Said]:
    """What ``assert_close`` and ``assert_allclose`` say of two arrays; None stands for a derivative that is missing.

    Integers are compared as numbers, since JAX's are narrower. numpy lacks bfloat16, so ``assert_allclose`` gets float32.
    """
    if a is None or b is None:
        return dict.fromkeys(OF_RESULTS, "there is no derivative to compare")
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        a, b = a.astype(np.float64), b.astype(np.float64)
    if a.dtype != b.dtype:
        return dict.fromkeys(OF_RESULTS, f"{a.dtype} and {b.dtype}")
    plain: list[Any] = [array.astype(np.float32) if array.dtype.name == "bfloat16" else array for array in (a, b)]
    return {
        ASSERT_CLOSE: _said(partial(torch.testing.assert_close, to_torch(a), to_torch(b))),
        ASSERT_ALLCLOSE: _said(partial(np.testing.assert_allclose, *plain)),
    }


def of_slopes(side: str, function: Callable[[Any], Any], x: FloatArray, order: int) -> Said:
    """What ``gradcheck`` says of a function of torch, or ``check_grads`` of one of JAX, at float64 inputs.

    ``gradcheck`` checks the first derivative; for order 2, ``gradgradcheck`` follows. ``check_grads`` gets the order, and
    runs in float32, which is JAX's default, and in float64.
    """
    if side == "torch":
        at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        checks = (torch.autograd.gradcheck, torch.autograd.gradgradcheck)[: max(order, 1)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)  # gradgradcheck draws cotangents
            return next(filter(None, (_said(partial(check, function, (at,))) for check in checks)), None)
    for dtype in ("float32", "float64"):
        with x64(dtype), np.errstate(over="ignore"):
            said = _said(partial(check_grads, function, (jnp.asarray(x.astype(dtype)),), max(order, 1)))
        if said is not None:
            return f"{dtype}: {said}"
    return None


def _said(check: Callable[[], object]) -> Said:
    """Run a check; any exception means that it noticed something. Warnings, of overflow or its setup, make no test fail."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            check()
    except Exception as error:
        words = " ".join(str(error).split())
        return f"{type(error).__name__}: {words[:LONGEST]}{'…' * (len(words) > LONGEST)}"
    return None


def usual_of(functions: Functions, arrays: Sequence[Any], order: int, side: str | None = None) -> dict[str, Said]:
    """What they say of ``functions``, by ``torch`` and ``jax``, at ``arrays``; those that cannot be asked are left out.

    ``assert_close`` and ``assert_allclose`` compare the outputs, for the orders 1 and 2 also the gradients of their sum by
    every float array, for 2 the gradients of the sum of these. ``gradcheck`` and ``check_grads`` look at a function each,
    where it returns floats: at that of ``side``, which is wrong, or at both.
    """
    answers: dict[str, Said] = dict.fromkeys(OF_RESULTS)
    try:
        results = [_in_torch(functions["torch"], arrays, order), _in_jax(functions["jax"], arrays, order)]
    except Exception as error:  # what raises is noticed by whatever runs it
        return dict.fromkeys(CHECKS, f"{type(error).__name__}: {error}".splitlines()[0][:LONGEST])
    if len(results[0]) != len(results[1]):
        return dict.fromkeys(OF_RESULTS, "another number of outputs")
    for a, b in zip(*results, strict=True):
        for check, said in of_arrays(a, b).items():
            answers[check] = answers[check] or said
    floats = [i for i, array in enumerate(arrays) if _is_float(array)]
    if not any(result is not None and result.dtype.kind not in "iub" for result in results[0]):
        return answers
    flat = np.concatenate([np.asarray(widen(arrays[i])).ravel() for i in floats])
    for name, check in OF_SLOPES.items():
        if side in (None, "both", name):
            answers[check] = of_slopes(name, _packed(name, functions[name], arrays, floats), flat, max(order, 1))
    return answers


def _is_float(array: Any) -> bool:
    return np.asarray(array).dtype.kind not in "iub"


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
    if isinstance(value, list | tuple):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]


def _in_torch(function: Callable[..., Any], arrays: Sequence[Any], order: int) -> list[FloatArray | None]:
    given = [to_torch(array) for array in arrays]
    by = [tensor.requires_grad_() for tensor, array in zip(given, arrays, strict=True) if _is_float(array) and order]
    outputs = _leaves(function(*given))
    results: list[Any] = [from_torch(output) for output in outputs]
    summed = [output for output in outputs if output.is_floating_point()]
    for k in range(order):
        total = sum((output.sum() for output in summed), torch.zeros(()))
        if not total.requires_grad:
            return [*results, *[None] * len(by) * (order - k)]
        summed = torch.autograd.grad(total, by, create_graph=k + 1 < order, allow_unused=True)
        results += [None if gradient is None else from_torch(gradient) for gradient in summed]
        summed = [gradient for gradient in summed if gradient is not None]
    return results


def _in_jax(function: Callable[..., Any], arrays: Sequence[Any], order: int) -> list[FloatArray | None]:
    floats = [i for i, array in enumerate(arrays) if _is_float(array)]
    with x64(str(np.asarray(arrays[floats[0]]).dtype) if floats else "float32"):
        given = [jnp.asarray(array) for array in arrays]

        def run(by: list[Any]) -> list[Any]:
            now = list(given)
            for i, array in zip(floats, by, strict=True):
                now[i] = array
            return _leaves(function(*now))

        def differentiated(run: Callable[[list[Any]], list[Any]]) -> Callable[[list[Any]], list[Any]]:
            def total(by: list[Any]) -> Any:
                return sum(output.sum() for output in run(by) if jnp.issubdtype(output.dtype, jnp.floating))

            return jax.grad(total)

        by, results = [given[i] for i in floats], []
        for k in range(order + 1):
            run = differentiated(run) if k else run
            results += [np.asarray(result) for result in run(by)]
    return results


def _packed(side: str, function: Callable[..., Any], arrays: Sequence[Any], floats: Sequence[int]) -> Callable[[Any], Any]:
    """The function of one flat array in the place of all that are of floats, its outputs one flat array too."""
    shapes = [np.shape(arrays[i]) for i in floats]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def packed(flat: Any) -> Any:
        m = torch if side == "torch" else jnp
        flat = flat if side == "torch" else jnp.asarray(flat)
        now = [to_torch(array) if side == "torch" else jnp.asarray(array) for array in arrays]
        for i, shape, end in zip(floats, shapes, ends, strict=True):
            now[i] = flat[end - int(np.prod(shape)) : end].reshape(shape)
        outputs = [output for output in _leaves(function(*now)) if "float" in str(output.dtype)]
        return m.concatenate([output.reshape(-1) for output in outputs])

    return packed
