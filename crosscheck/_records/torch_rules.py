"""Derivative rules for torch: a function with a given derivative, whose own derivative is given, and so on."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd import forward_ad

Rule = Callable[..., Any]


def with_derivatives(rules: Sequence[Rule]) -> Callable[..., Any]:
    """``rules[0]`` as a function of ``x``, its k-th derivative being ``rules[k]``; autograd differentiates the last one.

    Each rule is elementwise and takes ``torch`` first. Works under ``torch.compile``, ``torch.func`` and ``vmap``.
    Parameters that are tensors are differentiated too, through ``rules[0]`` itself.
    """
    value, *derivatives = rules

    if not derivatives:
        return lambda x, **parameters: value(torch, x, **parameters)
    in_full_graph, in_eager_mode = _compiled(value, derivatives[0]), _eager(value, with_derivatives(derivatives))

    def function(x: Any, **parameters: Any) -> Any:
        if not torch.compiler.is_dynamo_compiling():
            return in_eager_mode.apply(x, " ".join(parameters), *parameters.values())
        result = in_full_graph.apply(x, parameters)
        if any(isinstance(given, torch.Tensor) for given in parameters.values()):
            # zero in value; its derivatives by the parameters are the function's, which the rule for x omits
            of_parameters = value(torch, x.detach(), **parameters)
            result = result + torch.nan_to_num(of_parameters - of_parameters.detach(), posinf=0.0, neginf=0.0)
        return result

    return function


def _compiled(value: Rule, first: Rule) -> Any:
    """The form that torch.compile accepts in a full graph: no forward mode, no rule inside a rule."""

    class Compiled(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, parameters: dict[str, Any]) -> Any:
            return value(torch, x, **parameters)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, ctx.parameters = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
            (x,) = ctx.saved_tensors
            return gradients[0] * first(torch, x, **ctx.parameters), None

    return Compiled


def _eager(value: Rule, derivative: Rule) -> Any:
    """The form for all other uses: forward mode, ``vmap``, and a derivative that has its own rule."""

    class Eager(torch.autograd.Function):
        # vmap treats a dict argument as a tree of tensors, and fails in forward mode: names and values are flat
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, names: str, *values: Any) -> Any:
            return value(torch, x, **_named(names, values))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, names, *values = inputs
            parameters = _named(names, values)
            tensors = {name: given for name, given in parameters.items() if isinstance(given, torch.Tensor)}
            ctx.names, ctx.learned = tuple(parameters), tuple(tensors)
            ctx.fixed = {name: given for name, given in parameters.items() if name not in tensors}
            ctx.save_for_backward(x, *tensors.values())
            ctx.save_for_forward(x, *tensors.values())

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
            x, *tensors = ctx.saved_tensors
            learned = dict(zip(ctx.learned, tensors, strict=True))
            by_x = gradients[0] * derivative(x, **ctx.fixed, **learned)
            by = torch.func.vjp(_of(value, x, ctx.fixed), learned)[1](gradients[0])[0] if learned else {}
            return by_x, None, *(by.get(name) for name in ctx.names)

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            # torch disables forward mode in here, and forward over forward would silently be 0: enable it for the outer
            # levels, which the primals carry
            x, *tensors = map(_primal, ctx.saved_tensors)
            learned = dict(zip(ctx.learned, tensors, strict=True))
            along = {name: _primal(along) for name, along in zip(ctx.names, tangents[2:], strict=True) if along is not None}
            with forward_ad._set_fwd_grad_enabled(True):
                tangent = torch.zeros_like(x)
                if tangents[0] is not None:
                    tangent = _primal(tangents[0]) * derivative(x, **ctx.fixed, **learned)
                if along:
                    rest = {name: given for name, given in learned.items() if name not in along}
                    moved = {name: learned[name] for name in along}
                    tangent = tangent + _pushed_forward(_of(value, x, {**ctx.fixed, **rest}), moved, along)
                return tangent

    return Eager


def _of(value: Rule, x: Any, fixed: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    """A value as a function of the parameters that are tensors."""
    return lambda learned: value(torch, x, **fixed, **learned)


def _pushed_forward(function: Callable[[Any], Any], at: Any, along: Any) -> Any:
    """The derivative of a function along a direction, as the transpose of its transpose: forward mode cannot be nested."""
    result, pull_back = torch.func.vjp(function, at)
    return torch.func.vjp(lambda v: pull_back(v)[0], torch.zeros_like(result))[1](along)[0]


def with_row_derivatives(value: Rule, gradient: Rule, second: Rule, along: Rule | None = None) -> Callable[..., Any]:
    """``value(torch, x, **p)``, a function of rows with the Jacobian J, with given derivatives.

    ``gradient(torch, x, v, **p)`` is J^T v, ``second(torch, x, v, w, **p)`` is its derivative along w, and ``along(torch, x,
    w, **p)`` is J w, which torch can differentiate; if J is symmetric, it is the gradient. The second derivative is
    symmetric in its two vectors, so forward and reverse mode have the same formula. A third derivative is correct if at most
    one of the last two is in forward mode.
    """

    class GradientRule(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, v: Any, names: str, *values: Any) -> Any:
            return gradient(torch, x, v, **_named(names, values))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, v, names, *values = inputs
            ctx.parameters = _named(names, values)
            ctx.save_for_backward(x, v)
            ctx.save_for_forward(x, v)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
            x, v = ctx.saved_tensors
            by_x = second(torch, x, v, gradients[0], **ctx.parameters)
            return by_x, forward(x, gradients[0], ctx.parameters), None, *(None for _ in ctx.parameters)

    class GradientAndForward(GradientRule):
        generate_vmap_rule = True

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            x, v = ctx.saved_tensors
            along_x, along_v = tangents[:2]
            total = 0 if along_x is None else second(torch, x, v, along_x, **ctx.parameters)
            return total if along_v is None else total + derivative(x, along_v, ctx.parameters)

    def derivative(x: Any, v: Any, parameters: dict[str, Any]) -> Any:
        if torch.compiler.is_dynamo_compiling():
            return gradient(torch, x, v, **parameters)
        return GradientAndForward.apply(x, v, " ".join(parameters), *parameters.values())

    def forward(x: Any, w: Any, parameters: dict[str, Any]) -> Any:
        return derivative(x, w, parameters) if along is None else along(torch, x, w, **parameters)

    class Value(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, names: str, *values: Any) -> Any:
            return value(torch, x, **_named(names, values))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, names, *values = inputs
            ctx.parameters = _named(names, values)
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
            (x,) = ctx.saved_tensors
            return derivative(x, gradients[0], ctx.parameters), None, *(None for _ in ctx.parameters)

    class ValueAndForward(Value):
        generate_vmap_rule = True

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            (x,) = ctx.saved_tensors
            x, tangent = _primal(x), _primal(tangents[0])
            with forward_ad._set_fwd_grad_enabled(True):
                return forward(x, tangent, ctx.parameters)

    def function(x: Any, axis: int, **others: Any) -> Any:
        axis = axis - x.ndim if axis >= 0 else axis  # counted from the end, as vmap adds axes in front
        names = " ".join(("axis", *others))
        return (Value if torch.compiler.is_dynamo_compiling() else ValueAndForward).apply(x, names, axis, *others.values())

    return function


def _primal(given: Any) -> Any:
    """A tensor without its innermost tangent; another object unchanged."""
    return forward_ad.unpack_dual(given, level=0).primal if isinstance(given, torch.Tensor) else given


def _named(names: str, values: Sequence[Any]) -> dict[str, Any]:
    """Names and values as a dict, from the flat arguments of torch's ``apply``."""
    return dict(zip(names.split(), values, strict=True))
