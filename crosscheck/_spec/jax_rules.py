"""Derivative rules for JAX: a function whose derivative is given, whose derivative's derivative is given, and so on."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

Rule = Callable[..., Any]


def with_derivatives(rules: Sequence[Rule]) -> Callable[..., Any]:
    """``rules[0]`` as a function of ``x``, its k-th derivative being ``rules[k]``; JAX differentiates the last one.

    Each rule is elementwise and takes ``jax`` first. Works under every transformation.
    """
    value, *derivatives = rules
    if not derivatives:
        return functools.partial(value, jax)
    derivative = with_derivatives(derivatives)

    def function(x: Any, **parameters: Any) -> Any:
        @jax.custom_jvp
        def of_x(x: Any) -> Any:
            return value(jax, x, **parameters)

        @of_x.defjvp
        def rule(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
            return of_x(*primals), tangents[0] * derivative(*primals, **parameters)

        return of_x(x)

    return function
