"""Where JAX stops gradients that PyTorch does not: each ``stop_gradient`` of its program is left out, one line at a time."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import jax
from jax import lax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import source_of
from crosscheck._records.worded import Worded
from crosscheck._shadow.base import tracing

STOP = "stop_gradient"
MOST = 16
"""So many lines are tried."""
NAMES = {"reduce_sum": "the sum", "reduce_max": "the maximum", "rsqrt": "1 / sqrt", "exp": "the exponential"}


def stopped(model: JaxModel, leaves: Sequence[Array], agrees: Callable[[JaxModel], bool]) -> Worded:
    """The line whose ``stop_gradient`` explains other gradients, as a clause; empty if none does.

    Args:
        model: The model of JAX.
        leaves: Its inputs.
        agrees: Whether a model has PyTorch's gradients.
    """
    with tracing():
        closed = jax.make_jaxpr(model.function)(list(model.weights), list(leaves))
    lines: dict[str, str] = {}
    for equation, what in _stops(closed.jaxpr):
        lines.setdefault(source_of(equation), what)
    alone = [frozenset([line]) for line in lines]
    every = [frozenset(lines)] if len(lines) > 1 else []
    for some in chain(alone[:MOST], every):
        if agrees(replace(model, function=_without(model.function, some))):
            line = min(some)
            what = f" at {lines[line]}" if lines[line] else ""
            at = f", in {', '.join(sorted(filter(None, some))[:3])}" if any(some) else ""
            return Worded(f"JAX stops the gradient{what}{at}", "stopped", lines[line])
    return Worded("")


def _stops(jaxpr: Any) -> Iterator[tuple[Any, str]]:
    """The equations that stop gradients, and what they stop them at, as far as that has a name."""
    makers = {variable: equation for equation in jaxpr.eqns for variable in equation.outvars}
    for equation in jaxpr.eqns:
        if equation.primitive.name == STOP:
            yield equation, _named(makers, equation.invars[0])
        for inside in _programs(equation.params):
            yield from _stops(getattr(inside, "jaxpr", inside))


def _named(makers: Any, variable: Any) -> str:
    maker = makers.get(variable) if not hasattr(variable, "val") else None
    while maker is not None and maker.primitive.name in ("broadcast_in_dim", "reshape"):
        maker = makers.get(maker.invars[0])
    if maker is None:
        return ""
    summed = makers.get(maker.invars[0]) if maker.primitive.name == "div" else None
    if summed is not None and summed.primitive.name in ("reduce_sum", "broadcast_in_dim"):
        return "the mean"
    return NAMES.get(maker.primitive.name, "")


def _programs(given: Any) -> Iterator[Any]:
    """The programs inside the parameters of an equation."""
    if hasattr(given, "eqns") or isinstance(given, ClosedJaxpr):
        yield given
    elif isinstance(given, dict):
        yield from chain.from_iterable(map(_programs, given.values()))
    elif isinstance(given, tuple | list):
        yield from chain.from_iterable(map(_programs, given))


def _without(function: Callable[..., Any], lines: Container[str]) -> Callable[..., Any]:
    """A model's function without what these lines stop."""

    def unstopped(weights: Any, inputs: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(weights, inputs)
        flat = jaxpr_as_fun(_rewritten(closed, lines))(*jax.tree.leaves((weights, inputs)))
        return jax.tree.unflatten(jax.tree.structure(shape), flat)

    return unstopped


def _rewritten(given: Any, lines: Container[str]) -> Any:
    """A program, or the parameters of an equation, in which a copy takes the place of each of these stops."""
    if isinstance(given, ClosedJaxpr):
        return given.replace(jaxpr=_rewritten(given.jaxpr, lines))
    if hasattr(given, "eqns"):
        return given.replace(eqns=[_of_equation(equation, lines) for equation in given.eqns])
    if isinstance(given, dict):
        return {key: _rewritten(parameter, lines) for key, parameter in given.items()}
    if isinstance(given, tuple) and not hasattr(given, "_fields"):
        return tuple(_rewritten(part, lines) for part in given)
    return given


def _of_equation(equation: Any, lines: Container[str]) -> Any:
    if equation.primitive.name == STOP and source_of(equation) in lines:
        return equation.replace(primitive=lax.copy_p, params={})
    inside = any(True for _ in _programs(equation.params))
    return equation.replace(params=_rewritten(equation.params, lines)) if inside else equation
