"""Results that depend on more than the input: on earlier calls, on chance, on whether a gradient is asked for."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import torch

from detection.planting import around, stopped
from detection.verified import Planted, each


def call(name, of, fault, cause="definition", **options):
    return Planted(name=f"{of}: {name}", kind="calls", of=of, plant=around(fault), cause=cause, **options)


def from_second_call(activation, side):
    """A fault that begins with the second call of what is planted."""
    own, calls = getattr(activation, side), itertools.count(1)
    return lambda x, **p: own(x, **p) * (1.01 if next(calls) > 1 else 1)


def random(own, x, **p):
    noise = np.random.default_rng().uniform(-1e-2, 1e-2, tuple(x.shape))
    noise = torch.from_numpy(noise) if isinstance(x, torch.Tensor) else jnp.asarray(noise)
    y = own(x, **p)
    return y * (1 + (noise.to(y.dtype) if isinstance(x, torch.Tensor) else noise.astype(y.dtype)))


def in_place(own, x, **p):
    y = own(x, **p)
    with torch.no_grad():
        x.mul_(2)
    return y


def when_recorded(own, x, **p):
    """Another value where torch records a gradient."""
    y = own(x, **p)
    return y + stopped(y) * 0.01 if x.requires_grad else y


def own_with_other_forward(own, x, **p):
    """A custom rule whose forward pass gives another value than the function."""

    @jax.custom_vjp
    def function(x):
        return own(x, **p)

    def forward(x):
        y, back = jax.vjp(lambda x: own(x, **p), x)
        return y * 1.01, back

    function.defvjp(forward, lambda back, v: back(v))
    return function(x)


FAULTS = [
    *each(
        Planted(
            name="silu: another value at the second call",
            kind="calls",
            of="silu",
            plant=from_second_call,
            cause="definition",
            modes=("eager",),
        ),
        call("random digits", "sigmoid", random, cause="inaccurate"),
    ),
    call("the input changed in place", "tanh", in_place, cause="error", side="torch"),
    call("another value where a gradient is asked for", "sigmoid", when_recorded, side="torch", orders=(0, 1), first=0),
    call(
        "another value in the forward pass of a rule", "sigmoid", own_with_other_forward, side="jax", orders=(0, 1), first=0
    ),
    *each(
        call("another shape", "relu", lambda own, x, **p: own(x, **p)[:-1], cause="error"),
        call("another dtype", "relu", lambda own, x, **p: own(x, **p) > 0, cause="error"),
        call("an exception", "relu", lambda own, x, **p: 1 // 0, cause="error"),
    ),
]
