"""What devices exchange, each beside what PyTorch computes on the whole array: values, gradients and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import crosscheck
from sharded.records import Answer

Function = Callable[..., Any]
EXCHANGES: list[Exchange] = []
ROWS = P("d")


@dataclass(frozen=True)
class Exchange:
    """A function of two arrays of 8 rows and 16 columns.

    Attributes:
        name: The collectives.
        jax: The function of each device, of its blocks of rows, and of the number of devices.
        torch: The function of the whole arrays, and of the number of devices.
        into: How the arrays of the devices make one.
    """

    name: str
    jax: Function
    torch: Function
    into: Any = ROWS

    def over(self, devices: int) -> Function:
        """The function of JAX on whole arrays."""
        mesh = jax.make_mesh((devices,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
        body = lambda x, y: self.jax(x, y, devices)  # noqa: E731 - shard_map takes no keywords
        return jax.shard_map(body, mesh=mesh, in_specs=P("d"), out_specs=self.into, check_vma=False)


def exchange(name: str, torch_function: Function, into: Any = ROWS) -> Callable[[Function], Function]:
    """Add a function of JAX, and what PyTorch computes instead."""

    def add(function: Function) -> Function:
        EXCHANGES.append(Exchange(name, function, torch_function, into))
        return function

    return add


def blocks(x: torch.Tensor, n: int) -> torch.Tensor:
    """What each device has, along a first axis."""
    return x.reshape(n, x.shape[0] // n, *x.shape[1:])


def ring(n: int) -> list[tuple[int, int]]:
    return [(k, (k + 1) % n) for k in range(n)]


@exchange("psum", lambda x, y, n: blocks(torch.tanh(x) * y, n).sum(0), P())
def psum(x: Any, y: Any, n: int) -> Any:
    return lax.psum(jnp.tanh(x) * y, "d")


@exchange("psum of what all have", lambda x, y, n: n * (x * y).sum() + x.sum(), P())
def psum_of_the_same(x: Any, y: Any, n: int) -> Any:
    return lax.psum(lax.psum((x * y).sum(), "d"), "d") + lax.psum(x.sum(), "d")


@exchange("pmean", lambda x, y, n: torch.sin(blocks(x * x, n).mean(0)), P())
def pmean(x: Any, y: Any, n: int) -> Any:
    return jnp.sin(lax.pmean(x * x, "d"))


@exchange("pmax, pmin", lambda x, y, n: x - blocks(y, n).amax(0).detach().repeat(n, 1))
def pmax(x: Any, y: Any, n: int) -> Any:
    y = lax.stop_gradient(y)
    return x - lax.pmax(y, "d") + 0 * lax.pmin(y, "d")


@exchange("all_gather", lambda x, y, n: blocks(x, n).sum(0).repeat(n, 1) * y + x.mean(0))
def all_gather(x: Any, y: Any, n: int) -> Any:
    return lax.all_gather(x, "d").sum(0) * y + lax.all_gather(x, "d", tiled=True).mean(0)


@exchange("all_gather, other axis", lambda x, y, n: torch.cat(list(blocks(x, n)), 1)[:, :16].repeat(n, 1) * y)
def all_gather_columns(x: Any, y: Any, n: int) -> Any:
    return lax.all_gather(x, "d", axis=1, tiled=True)[:, :16] * y


@exchange("psum_scatter", lambda x, y, n: blocks(torch.tanh(x) * y, n).sum(0), P(None, "d"))
def psum_scatter(x: Any, y: Any, n: int) -> Any:
    return lax.psum_scatter(jnp.tanh(x) * y, "d", scatter_dimension=1, tiled=True)


@exchange("all_to_all", lambda x, y, n: torch.tanh(x) + y, P(None, "d"))
def all_to_all(x: Any, y: Any, n: int) -> Any:
    def turned(a: Any) -> Any:
        return lax.all_to_all(a, "d", 1, 0, tiled=True)

    return jnp.tanh(turned(x)) + turned(y)


@exchange(
    "all_to_all, same axis",
    lambda x, y, n: blocks(x.repeat(1, n).reshape(-1, 16), n).reshape(n, n, -1).swapaxes(0, 1).reshape(-1, 16),
)
def all_to_all_rows(x: Any, y: Any, n: int) -> Any:
    return lax.all_to_all(jnp.tile(x, (1, n)).reshape(-1, 16), "d", 0, 0, tiled=True)


@exchange("ppermute", lambda x, y, n: torch.cat([blocks(x, n)[-1:], blocks(x, n)[:-1]]).reshape(8, 16) * y)
def ppermute(x: Any, y: Any, n: int) -> Any:
    return lax.ppermute(x, "d", ring(n)) * y


@exchange("ppermute, not to all", lambda x, y, n: torch.cat([0 * blocks(x, n)[:1], blocks(x, n)[:-1]]).reshape(8, 16) + y)
def ppermute_in_part(x: Any, y: Any, n: int) -> Any:
    return lax.ppermute(x, "d", ring(n)[:-1]) + y


@exchange("axis_index", lambda x, y, n: (blocks(torch.tanh(x), n) * torch.arange(n)[:, None, None]).reshape(8, 16) - y / n)
def axis_index(x: Any, y: Any, n: int) -> Any:
    return jnp.tanh(x) * lax.axis_index("d") - y / lax.axis_size("d")


@exchange("cond", lambda x, y, n: torch.cat([torch.sin(x[: 8 // n]), y[8 // n :]]))
def cond(x: Any, y: Any, n: int) -> Any:
    return lax.cond(lax.axis_index("d") == 0, lambda x, y: jnp.sin(x), lambda x, y: y, x, y)


def turned(x: torch.Tensor, y: torch.Tensor, n: int) -> torch.Tensor:
    for _ in range(3):
        x = torch.tanh(torch.cat([blocks(x, n)[-1:], blocks(x, n)[:-1]]).reshape(8, 16) + y)
    return x


def repeated_tanh(x: torch.Tensor, y: torch.Tensor, n: int) -> torch.Tensor:
    x, number = x.detach(), torch.arange(n)[:, None].repeat_interleave(8 // n, 0)
    for _ in range(2):
        x = torch.tanh(x) + number
    return x * y


@exchange("ppermute in a scan", turned)
def in_a_scan(x: Any, y: Any, n: int) -> Any:
    return lax.scan(lambda c, _: (jnp.tanh(lax.ppermute(c, "d", ring(n)) + y), None), x, None, length=3)[0]


@exchange("axis_index in a while loop", repeated_tanh)
def in_a_while_loop(x: Any, y: Any, n: int) -> Any:
    times = 2 + (y.max() > 100).astype(int).min()  # JAX does not know how often
    times = lax.pmax(times, "d")

    def step(state: Any) -> Any:
        return state[0] + 1, jnp.tanh(state[1]) + lax.axis_index("d")

    return lax.while_loop(lambda state: state[0] < times, step, (0, lax.stop_gradient(x)))[1] * y


@exchange("psum in a gradient", lambda x, y, n: torch.cos(x) * y.sum())
def in_a_gradient(x: Any, y: Any, n: int) -> Any:
    total = lax.psum(y.sum(), "d")
    return jax.grad(lambda x: (jnp.sin(x) * total).sum())(x)


def agrees(case: Exchange, devices: int) -> Answer:
    """Whether the two agree among so many devices, and what is said."""
    given = [np.random.default_rng(k).standard_normal((8, 16)).astype(np.float32) for k in range(2)]
    in_torch = lambda x, y: case.torch(x, y, devices)  # noqa: E731 - its name is in what is said
    report = crosscheck.compare(in_torch, case.over(devices), given, order=1, modes="jit")
    return report.passed, report.headline
