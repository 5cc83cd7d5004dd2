"""How a fault gets into a function of the catalogue: into its value, a derivative, what comes in, or around it all.

Each takes a formula over a namespace, ``m`` being torch or jax.numpy, and returns what ``detection.verified.Planted``
plants: a function of an activation and a side that makes the faulty one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch

from crosscheck import Activation
from crosscheck._records import jax_rules, torch_rules

Function = Callable[..., Any]
Plant = Callable[[Activation, str], Function]


def namespace(x: Any) -> Any:
    """torch or jax.numpy, by the array."""
    return torch if isinstance(x, torch.Tensor) else jnp


def in_value(fault: Callable[[Any, Any, Any], Any]) -> Plant:
    """``fault(m, x, y)`` in the place of the value y; the derivatives stay right."""
    return partial(_in_rule, 0, fault)


def in_gradient(fault: Callable[[Any, Any, Any], Any]) -> Plant:
    """``fault(m, x, g)`` in the place of the gradient g; the value and the second derivative stay right."""
    return partial(_in_rule, 1, fault)


def in_second(fault: Callable[[Any, Any, Any], Any]) -> Plant:
    """``fault(m, x, h)`` in the place of the second derivative h."""
    return partial(_in_rule, 2, fault)


def around(fault: Callable[..., Any]) -> Plant:
    """``fault(own, x, **parameters)`` in the place of ``own(x, **parameters)``."""

    def plant(activation: Activation, side: str) -> Function:
        return partial(fault, getattr(activation, side))

    return plant


def coming_in(fault: Callable[[Any, Any, Any], Any]) -> Plant:
    """``fault(m, g, v)`` in the place of g v, which a gradient g makes of what comes in, v; the value stays right."""

    def plant(activation: Activation, side: str) -> Function:
        make = _pulled_in_torch if side == "torch" else _pulled_in_jax
        value, gradient = _rules(activation, side)[:2]
        return make(value, gradient, fault)

    return plant


def stopped(x: Any) -> Any:
    """x, of which no derivative is taken."""
    return x.detach() if isinstance(x, torch.Tensor) else jax.lax.stop_gradient(x)


def cast(x: Any, dtype: str) -> Any:
    """To a dtype and back."""
    if isinstance(x, torch.Tensor):
        return x.to(getattr(torch, dtype)).to(x.dtype)
    return x.astype(dtype).astype(x.dtype)


def _rules(activation: Activation, side: str) -> list[Function]:
    """The value and its derivatives, each in the dtype of x: 16-bit numbers by way of float32, as the catalogue has it."""
    names = ("value", "gradient", "second")
    rules = [rule for name in names if (rule := getattr(activation, f"{side}_{name}")) is not None]
    return [partial(_widened, rule) for rule in rules]


def _widened(rule: Function, framework: Any, x: Any, **parameters: Any) -> Any:
    if x.dtype.itemsize > 2:
        return rule(framework, x, **parameters)
    if isinstance(x, torch.Tensor):
        return rule(framework, x.float(), **parameters).to(x.dtype)
    return rule(framework, x.astype("float32"), **parameters).astype(x.dtype)


def with_rules(side: str, rules: Sequence[Function]) -> Function:
    """A function of a framework, given its value and its derivatives."""
    return (torch_rules if side == "torch" else jax_rules).with_derivatives(rules)


def _in_rule(order: int, fault: Callable[[Any, Any, Any], Any], activation: Activation, side: str) -> Function:
    rules = _rules(activation, side)
    right = rules[order]

    def wrong(framework: Any, x: Any, **parameters: Any) -> Any:
        return fault(namespace(x), x, right(framework, x, **parameters))

    rules[order] = wrong
    made = with_rules(side, rules)
    return made if side == "torch" else lambda x, **parameters: made(jnp.asarray(x), **parameters)


def _pulled_in_torch(value: Function, gradient: Function, fault: Callable[[Any, Any, Any], Any]) -> Function:
    class Pulled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, parameters: dict[str, Any]) -> Any:
            ctx.save_for_backward(x)
            ctx.parameters = parameters
            return value(torch, x, **parameters)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (x,) = ctx.saved_tensors
            return fault(torch, gradient(torch, x, **ctx.parameters), gradients[0]), None

    return lambda x, **parameters: Pulled.apply(x, parameters)


def _pulled_in_jax(value: Function, gradient: Function, fault: Callable[[Any, Any, Any], Any]) -> Function:
    def function(x: Any, **parameters: Any) -> Any:
        @jax.custom_vjp
        def pulled(x: Any) -> Any:
            return value(jax, x, **parameters)

        pulled.defvjp(
            lambda x: (value(jax, x, **parameters), x),
            lambda x, v: (fault(jnp, gradient(jax, x, **parameters), v),),
        )
        return pulled(jnp.asarray(x))

    return function
