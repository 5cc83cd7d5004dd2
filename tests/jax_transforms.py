"""Whether a JAX function is differentiated rightly, and is the same function under each of JAX's transformations."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from floats import Float64Array
from jax.test_util import check_grads

from crosscheck import Activation

Function = Callable[[Any], Any]
NEAR = 0.05
"""How near to a kink an input must not be, for finite differences of differences."""
CLOSE: Mapping[str, float] = {"rtol": 1e-11, "atol": 1e-13}
"""Another order of the same operations in float64, summed over a row."""


def points(activation: Activation, parameters: Mapping[str, float]) -> Float64Array:
    """Inputs for an activation: numbers off its kinks and inside its domain, or rows, of even length along either axis."""
    x = np.linspace(-3.3, 3.1, 12)
    low, _ = activation.domain
    if np.isfinite(low):
        x = x - x.min() + low + 0.25
    for kink in activation.kinks_at(parameters):
        x = np.where(np.abs(x - kink.at) < NEAR, kink.at + 2 * NEAR, x)
    return np.random.default_rng(0).permutation(x).reshape(2, 6) if activation.rows else x


def undifferentiable(function: Function, x: Float64Array) -> list[str]:
    """What ``jax.test_util.check_grads`` finds in float64: derivatives and theirs, forward and reverse, by differences."""
    problems = []
    with jax.enable_x64(True):
        for mode in ("fwd", "rev"):
            try:
                check_grads(jax.jit(function), (jnp.asarray(x),), order=2, modes=(mode,), atol=1e-4, rtol=1e-4)
            except AssertionError as error:
                problems.append(f"{mode}: {error}")
    return problems


def unlike(function: Function, x: Float64Array) -> list[str]:
    """The transformations under which a function's value, gradient or tangent is not that of the plain call."""
    with jax.enable_x64(True):
        x = jnp.asarray(x)
        value = function(x)
        along, weights = (jnp.asarray(np.random.default_rng(k).uniform(0.5, 2, a.shape)) for k, a in enumerate((x, value)))
        (gradient,) = jax.vjp(function, x)[1](weights)
        slope = (gradient * along).sum()
        transformed = {name: made() for name, made in _made(function, x, along, weights).items()}
    expected = {"value": value, "gradient": gradient, "slope": slope}
    return [
        f"{name}: {what}"
        for name, results in transformed.items()
        for what, result in results.items()
        if not _same(result, expected[what])
    ]


def _same(result: Any, expected: Any) -> bool:
    return result.dtype == expected.dtype and result.shape == expected.shape and np.allclose(result, expected, **CLOSE)


def _made(function: Function, x: Any, along: Any, weights: Any) -> dict[str, Callable[[], dict[str, Any]]]:
    """Per transformation what makes values, gradients by the weights, and the slopes along a direction by these weights."""

    def total(f: Function) -> Function:
        return lambda x: (f(x) * weights).sum()

    def both(f: Function) -> dict[str, Any]:
        return {"value": f(x), "gradient": jax.grad(total(f))(x)}

    def twice(f: Function) -> Function:
        """Of two inputs at once, the first."""
        return lambda x: jax.tree.map(lambda a: a[0], jax.vmap(f)(jnp.stack([x, x + 0.01])))

    def jvp(f: Function) -> dict[str, Any]:
        value, tangent = jax.jvp(f, (x,), (along,))
        return {"value": value, "slope": (tangent * weights).sum()}

    def linearize() -> dict[str, Any]:
        value, linear = jax.linearize(function, x)
        return {"value": value, "slope": (linear(along) * weights).sum()}

    checkpointed = jax.checkpoint(function)
    return {
        "jit": lambda: both(jax.jit(function)),
        "jit of grad": lambda: {"gradient": jax.jit(jax.grad(total(function)))(x)},
        "vmap": lambda: both(twice(function)),
        "vmap of grad": lambda: {"gradient": twice(jax.grad(total(function)))(x)},
        "grad": lambda: both(function),
        "jvp": lambda: jvp(function),
        "linearize": linearize,
        "checkpoint": lambda: both(checkpointed),
        "jit of checkpoint": lambda: {"gradient": jax.jit(jax.grad(total(checkpointed)))(x)},
        "jvp of checkpoint": lambda: jvp(checkpointed),
    }


def with_parameters(activation: Activation, parameters: Mapping[str, float]) -> Function:
    return functools.partial(activation.jax, **parameters)
