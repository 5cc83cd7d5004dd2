"""Derivative rules for torch: a function whose derivative is given, whose derivative's derivative is given, and so on."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

Rule = Callable[..., Any]


def with_derivatives(rules: Sequence[Rule]) -> Callable[..., Any]:
    """``rules[0]`` as a function of ``x``, its k-th derivative being ``rules[k]``; autograd differentiates the last one.

    Each rule is elementwise and takes ``torch`` first. Works under ``torch.compile``, ``torch.func`` and ``vmap``.
    """
    value, *derivatives = rules
    if not derivatives:
        return functools.partial(value, torch)
    derivative = with_derivatives(derivatives)

    class Reverse(torch.autograd.Function):
        """The rule without forward mode, the form that torch.compile accepts in a full graph."""

        @staticmethod
        def forward(x: Any, parameters: dict[str, Any]) -> Any:
            return value(torch, x, **parameters)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            x, ctx.parameters = inputs
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
            (x,) = ctx.saved_tensors
            # within a compiled graph, autograd differentiates the rule itself: a nested Function is refused there
            slope = (
                derivatives[0](torch, x, **ctx.parameters)
                if torch.compiler.is_compiling()
                else (derivative(x, **ctx.parameters))
            )
            return gradients[0] * slope, None

        @classmethod
        def vmap(cls, info: Any, in_dims: tuple[int | None, ...], x: Any, parameters: dict[str, Any]) -> tuple[Any, Any]:
            return cls.apply(x, parameters), in_dims[0]

    class ReverseAndForward(Reverse):
        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            # torch switches forward mode off in here, so that an outer forward derivative would silently be 0
            levels = torch._C._functorch.get_interpreter_stack() or ()
            if sum(level.key() == torch._C._functorch.TransformType.Jvp for level in levels) > 1:
                raise RuntimeError(
                    "torch cannot take the forward derivative of a forward derivative of a function with a derivative rule; "
                    "take one of them in reverse, for example with torch.func.hessian or torch.func.grad"
                )
            (x,) = ctx.saved_tensors
            return tangents[0] * derivative(x, **ctx.parameters)

    def function(x: Any, **parameters: Any) -> Any:
        rule = Reverse if torch.compiler.is_compiling() else ReverseAndForward
        return rule.apply(x, parameters)

    return function
