"""The four checks that people use, at their defaults, given two functions of any arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from floats import FloatArray, widen
from in_both import from_torch, to_torch, x64

from crosscheck._atlas.usual import (
    ASSERT_ALLCLOSE,
    ASSERT_CLOSE,
    CHECK_GRADS,
    GRADCHECK,
    LONGEST,
    Said,
    of_results,
    of_slopes,
)

__all__ = ["ASSERT_ALLCLOSE", "ASSERT_CLOSE", "CHECKS", "CHECK_GRADS", "GRADCHECK", "of_arrays", "usual_of"]

CHECKS = (ASSERT_CLOSE, ASSERT_ALLCLOSE, GRADCHECK, CHECK_GRADS)
Functions = Mapping[str, Callable[..., Any]]


SLOPES = {"torch": GRADCHECK, "jax": CHECK_GRADS}


def usual_of(functions: Functions, arrays: Sequence[Any], order: int, side: str | None = None) -> dict[str, Said]:
    """What they say of ``functions``, by ``torch`` and ``jax``, at ``arrays``; those that cannot be asked are left out.

    ``assert_close`` and ``assert_allclose`` compare the outputs, for the orders 1 and 2 also the gradients of their sum by
    every float array, for 2 the gradients of the sum of these. ``gradcheck`` and ``check_grads`` look at a function each,
    where it returns floats: at that of ``side``, which is wrong, or at both.
    """
    found: dict[str, Said] = dict.fromkeys(CHECKS[:2])
    try:
        results = [_in_torch(functions["torch"], arrays, order), _in_jax(functions["jax"], arrays, order)]
    except Exception as error:  # what raises is noticed by whatever runs it
        return dict.fromkeys(CHECKS, f"{type(error).__name__}: {error}".splitlines()[0][:LONGEST])
    if len(results[0]) != len(results[1]):
        return dict.fromkeys(CHECKS[:2], "another number of outputs")
    for a, b in zip(*results, strict=True):
        for check, said in of_arrays(a, b).items():
            found[check] = found[check] or said
    floats = [i for i, array in enumerate(arrays) if _is_float(array)]
    if not any(one is not None and one.dtype.kind not in "iub" for one in results[0]):
        return found
    flat = np.concatenate([np.asarray(widen(arrays[i])).ravel() for i in floats])
    for name, check in SLOPES.items():
        if side in (None, "both", name):
            found[check] = of_slopes(name, _packed(name, functions[name], arrays, floats), flat, max(order, 1))
    return found


def of_arrays(a: Any, b: Any) -> dict[str, Said]:
    """What the checks of results say of two arrays, or of none; integers are compared as numbers: JAX's are narrower."""
    if a is None or b is None:
        return of_results(a, b)
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        return of_results(a.astype(np.float64), b.astype(np.float64))
    if a.dtype != b.dtype:
        return dict.fromkeys(CHECKS[:2], f"{a.dtype} and {b.dtype}")
    return of_results(a, b)


def _is_float(array: Any) -> bool:
    return np.asarray(array).dtype.kind not in "iub"


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in _leaves(one)]
    return [value]


def _in_torch(function: Callable[..., Any], arrays: Sequence[Any], order: int) -> list[FloatArray | None]:
    import torch

    given = [to_torch(array) for array in arrays]
    by = [one.requires_grad_() for one, array in zip(given, arrays, strict=True) if _is_float(array) and order]
    outputs = _leaves(function(*given))
    results: list[Any] = [from_torch(one) for one in outputs]
    summed = [one for one in outputs if one.is_floating_point()]
    for k in range(order):
        total = sum((one.sum() for one in summed), torch.zeros(()))
        if not total.requires_grad:
            return [*results, *[None] * len(by) * (order - k)]
        summed = torch.autograd.grad(total, by, create_graph=k + 1 < order, allow_unused=True)
        results += [None if one is None else from_torch(one) for one in summed]
        summed = [one for one in summed if one is not None]
    return results


def _in_jax(function: Callable[..., Any], arrays: Sequence[Any], order: int) -> list[FloatArray | None]:
    import jax
    import jax.numpy as jnp

    floats = [i for i, array in enumerate(arrays) if _is_float(array)]
    with x64(str(np.asarray(arrays[floats[0]]).dtype) if floats else "float32"):
        given = [jnp.asarray(array) for array in arrays]

        def run(by: list[Any]) -> list[Any]:
            now = list(given)
            for i, one in zip(floats, by, strict=True):
                now[i] = one
            return _leaves(function(*now))

        def differentiated(run: Callable[[list[Any]], list[Any]]) -> Callable[[list[Any]], list[Any]]:
            def total(by: list[Any]) -> Any:
                return sum(one.sum() for one in run(by) if jnp.issubdtype(one.dtype, jnp.floating))

            return jax.grad(total)

        by, results = [given[i] for i in floats], []
        for k in range(order + 1):
            run = differentiated(run) if k else run
            results += [np.asarray(one) for one in run(by)]
    return results


def _packed(side: str, function: Callable[..., Any], arrays: Sequence[Any], floats: Sequence[int]) -> Callable[[Any], Any]:
    """The function of one flat array in the place of all that are of floats, its outputs one flat array too."""
    import jax.numpy as jnp
    import torch

    shapes = [np.shape(arrays[i]) for i in floats]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def packed(flat: Any) -> Any:
        m = torch if side == "torch" else jnp
        flat = flat if side == "torch" else jnp.asarray(flat)
        now = [to_torch(array) if side == "torch" else jnp.asarray(array) for array in arrays]
        for i, shape, end in zip(floats, shapes, ends, strict=True):
            now[i] = flat[end - int(np.prod(shape)) : end].reshape(shape)
        outputs = [one for one in _leaves(function(*now)) if "float" in str(one.dtype)]
        return m.concatenate([one.reshape(-1) for one in outputs])

    return packed
