"""Wrong in one way of running alone: compiled, forward, one entry at a time."""

import jax
import torch

from detection.planting import around
from detection.verified import Planted, each

REVERSE = ("eager", "jit")


class WrongForward(torch.autograd.Function):
    """tanh, right in reverse mode and half of it in forward mode."""

    @staticmethod
    def forward(x):
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx, *gradients):
        (y,) = ctx.saved_tensors
        return gradients[0] * (1 - y) * (1 + y)

    @staticmethod
    def jvp(ctx, *tangents):
        (y,) = ctx.saved_tensors
        return tangents[0] * (1 - y) * (1 + y) / 2


def mode(name, of, fault, **options):
    return Planted(name=f"{of}: {name}", kind="modes", of=of, plant=around(fault), cause="definition", **options)


def under(condition):
    return lambda own, x, **p: own(x, **p) * (1.01 if condition(x) else 1)


FAULTS = [
    mode(
        "wrong in forward mode",
        "tanh",
        lambda own, x, **p: WrongForward.apply(x),
        side="torch",
        orders=(1,),
        modes=("forward",),
    ),
    mode("wrong under jit", "sigmoid", under(lambda x: isinstance(x, jax.core.Tracer)), side="jax"),
    mode("wrong but under jit", "sigmoid", under(lambda x: not isinstance(x, jax.core.Tracer)), side="jax"),
    *each(mode("wrong for one entry", "silu", under(lambda x: x.ndim == 0), modes=("vmap",))),
    mode(
        "wrong compiled", "softplus", under(lambda x: torch.compiler.is_compiling()), side="torch", modes=("compile", "jit")
    ),
]
