"""Derivative rules for JAX: a function whose derivative is given, whose derivative's derivative is given, and so on."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

Rule = Callable[..., Any]


def with_derivatives(rules: Sequence[Rule]) -> Callable[..., Any]:
    """``rules[0]`` as a function of ``x``, its k-th derivative being ``rules[k]``; JAX differentiates the last one.

    Each rule is elementwise and takes ``jax`` first. Works under every transformation. Parameters that are JAX arrays
    are differentiated too, through ``rules[0]`` itself.
    """
    value, *derivatives = rules
    if not derivatives:
        return functools.partial(value, jax)
    derivative = with_derivatives(derivatives)

    def function(x: Any, **parameters: Any) -> Any:
        arrays = {name: given for name, given in parameters.items() if isinstance(given, jax.Array)}
        fixed = {name: given for name, given in parameters.items() if name not in arrays}

        @jax.custom_jvp
        def with_rule(x: Any, arrays: dict[str, Any]) -> Any:
            return value(jax, x, **arrays, **fixed)

        @with_rule.defjvp
        def rule(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
            x, arrays = primals
            tangent = tangents[0] * derivative(x, **arrays, **fixed)
            if arrays:
                of_arrays = functools.partial(_of_parameters, value, x, fixed)
                tangent = tangent + jax.jvp(of_arrays, (arrays,), (tangents[1],))[1]
            return with_rule(x, arrays), tangent

        return with_rule(x, arrays)

    return function


def _of_parameters(value: Rule, x: Any, fixed: dict[str, Any], arrays: dict[str, Any]) -> Any:
    return value(jax, x, **arrays, **fixed)
