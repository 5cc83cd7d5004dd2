"""Derivative rules for torch: a function whose derivative is given, whose derivative's derivative is given, and so on."""

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
    first = derivatives[0]
    derivative = with_derivatives(derivatives)

    class Compiled(torch.autograd.Function):
        """The form that torch.compile accepts in a full graph: no forward mode, no rule inside a rule."""

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

    class Eager(torch.autograd.Function):
        # vmap takes a dict among the arguments for a tree of tensors and fails in forward mode: names and values are flat
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, names: str, *values: Any) -> Any:
            return value(torch, x, **dict(zip(names.split(), values, strict=True)))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, names, *values = inputs
            ctx.parameters = dict(zip(names.split(), values, strict=True))
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
            (x,) = ctx.saved_tensors
            return (gradients[0] * derivative(x, **ctx.parameters), None, *(None for _ in ctx.parameters))

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            # torch switches forward mode off in here, and forward over forward would silently be 0: switch it on again
            # for the levels outside this one, which the primals carry
            (x,) = ctx.saved_tensors
            x, tangent = (forward_ad.unpack_dual(t, level=0).primal for t in (x, tangents[0]))
            with forward_ad._set_fwd_grad_enabled(True):
                return tangent * derivative(x, **ctx.parameters)

    def function(x: Any, **parameters: Any) -> Any:
        if torch.compiler.is_compiling():
            result = Compiled.apply(x, parameters)
        else:
            result = Eager.apply(x, " ".join(parameters), *parameters.values())
        if any(isinstance(given, torch.Tensor) for given in parameters.values()):
            # zero in value; its derivatives by the parameters are the function's, which the rule for x leaves out
            of_parameters = value(torch, x.detach(), **parameters)
            result = result + torch.nan_to_num(of_parameters - of_parameters.detach(), posinf=0.0, neginf=0.0)
        return result

    return function


def with_row_derivatives(value: Rule, gradient: Rule, second: Rule) -> Callable[..., Any]:
    """``value(torch, x, **p)``, a function of rows with a symmetric Jacobian, with its derivatives given.

    ``gradient(torch, x, v, **p)`` is the derivative along v, ``second(torch, x, v, w, **p)`` the derivative of that along
    w; both are symmetric in what they are multiplied with, so that forward and reverse mode are the same formula. A third
    derivative is right where at most one of the last two is by forward mode.
    """

    class Gradient(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, v: Any, axis: int) -> Any:
            return gradient(torch, x, v, axis=axis)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, v, ctx.axis = inputs
            ctx.save_for_backward(x, v)
            ctx.save_for_forward(x, v)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
            x, v = ctx.saved_tensors
            return second(torch, x, v, gradients[0], axis=ctx.axis), derivative(x, gradients[0], ctx.axis), None

    class GradientAndForward(Gradient):
        generate_vmap_rule = True

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            x, v = ctx.saved_tensors
            along_x, along_v = tangents[:2]
            total = 0 if along_x is None else second(torch, x, v, along_x, axis=ctx.axis)
            return total if along_v is None else total + derivative(x, along_v, ctx.axis)

    def derivative(x: Any, v: Any, axis: int) -> Any:
        if torch.compiler.is_compiling():
            return gradient(torch, x, v, axis=axis)
        return GradientAndForward.apply(x, v, axis)

    class Value(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, axis: int) -> Any:
            return value(torch, x, axis=axis)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, ctx.axis = inputs
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
            (x,) = ctx.saved_tensors
            return derivative(x, gradients[0], ctx.axis), None

    class ValueAndForward(Value):
        generate_vmap_rule = True

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            (x,) = ctx.saved_tensors
            x, tangent = (forward_ad.unpack_dual(t, level=0).primal for t in (x, tangents[0]))
            with forward_ad._set_fwd_grad_enabled(True):
                return derivative(x, tangent, ctx.axis)

    def function(x: Any, axis: int) -> Any:
        axis = axis - x.ndim if axis >= 0 else axis  # counted from the end, as vmap adds axes in front
        return (Value if torch.compiler.is_compiling() else ValueAndForward).apply(x, axis)

    return function
