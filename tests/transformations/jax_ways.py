"""JAX's transformations."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.sharding import Mesh, PartitionSpec

from transformations.records import Function, Results, Way, gradient_of_slopes

DEVICES = 4
ROWS = PartitionSpec("rows")


def total(function: Function, weights: Any) -> Function:
    return lambda x: (function(x) * weights).sum()


def both(function: Function, x: Any, weights: Any) -> Results:
    return {"value": function(x), "gradient": jax.grad(total(function, weights))(x)}


def plain(function: Function, x: Any, weights: Any) -> Results:
    value, pullback = jax.vjp(function, x)
    return {"value": value, "gradient": pullback(weights)[0]}


def wrapped(wrap: Callable[[Function], Function]) -> Callable[[Function, Any, Any], Results]:
    return lambda function, x, weights: both(wrap(function), x, weights)


def whole(wrap: Callable[[Function], Function]) -> Callable[[Function, Any, Any], Results]:
    """Of the gradient as a whole."""
    return lambda function, x, weights: {"gradient": wrap(jax.grad(total(function, weights)))(x)}


def mesh() -> Mesh:
    return Mesh(np.array(jax.devices("cpu")[:DEVICES]), ("rows",))


def sharded(function: Function) -> Function:
    return jax.jit(jax.shard_map(function, mesh=mesh(), in_specs=ROWS, out_specs=ROWS))


def gradient_in_shards(function: Function, x: Any, weights: Any) -> Results:
    """``jax.grad`` inside of the shards, each of its rows."""

    def shard(x: Any, weights: Any) -> Any:
        return jax.grad(total(function, weights))(x)

    return {"gradient": jax.jit(jax.shard_map(shard, mesh=mesh(), in_specs=(ROWS, ROWS), out_specs=ROWS))(x, weights)}


def on_each_device(function: Function) -> Function:
    """pmap, a row for each device."""
    return lambda x: jax.pmap(function, devices=jax.devices("cpu")[:DEVICES])(x[:, None])[:, 0]


def scanned(function: Function) -> Function:
    """A row at each step."""
    return lambda x: jax.lax.scan(lambda carry, row: (carry, function(row[None])[0]), None, x)[1]


def jvp(function: Function, x: Any, weights: Any) -> Results:
    """The gradient as slopes along each entry, in forward mode."""
    slopes = jax.vmap(lambda along: jax.jvp(function, (x,), (along,))[1])(basis(x))
    return {"value": jax.jvp(function, (x,), (x,))[0], "gradient": gradient_of_slopes(slopes, weights, x)}


def linearized(function: Function, x: Any, weights: Any) -> Results:
    value, linear = jax.linearize(function, x)
    return {"value": value, "gradient": gradient_of_slopes(jax.vmap(linear)(basis(x)), weights, x)}


def basis(x: Any) -> Any:
    return jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)


def with_vjp_rule(function: Function) -> Function:
    """Inside a function with a rule of its own, which calls it again."""
    outer = jax.custom_vjp(function)
    outer.defvjp(lambda x: (function(x), x), lambda x, v: jax.vjp(function, x)[1](v))
    return outer


def with_jvp_rule(function: Function) -> Function:
    outer = jax.custom_jvp(function)
    outer.defjvp(lambda primals, tangents: jax.jvp(function, primals, tangents))
    return outer


def exported(function: Function) -> Function:
    """Written as StableHLO and read again, with its gradient."""
    shape = jax.ShapeDtypeStruct((4, 6), np.float32)
    return export.deserialize(export.export(jax.jit(function))(shape).serialize(vjp_order=1)).call


def in_threads(function: Function, x: Any, weights: Any) -> Results:
    """Four at once; the last of them."""
    results: list[Results] = []
    threads = [threading.Thread(target=lambda: results.append(both(jax.jit(function), x, weights))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results[-1] if len(results) == len(threads) else {}


def twice(function: Function) -> Function:
    return lambda x: jax.vmap(function)(jnp.stack([x, x + 0.01]))[0]


WAYS = (
    Way("jax", "jit", wrapped(jax.jit)),
    Way("jax", "jit of grad", whole(jax.jit)),
    Way("jax", "vmap", wrapped(twice)),
    Way("jax", "vmap of grad", whole(twice)),
    Way("jax", "jvp", jvp),
    Way("jax", "linearize", linearized),
    Way("jax", "checkpoint (remat)", wrapped(jax.checkpoint)),
    Way("jax", "jit of checkpoint", wrapped(lambda function: jax.jit(jax.checkpoint(function)))),
    Way("jax", "lax.scan", wrapped(scanned)),
    Way("jax", "shard_map over 4 devices", wrapped(sharded)),
    Way("jax", "grad inside of shard_map", gradient_in_shards),
    Way("jax", "pmap over 4 devices", wrapped(on_each_device)),
    Way("jax", "inside of custom_vjp", wrapped(with_vjp_rule)),
    Way("jax", "inside of custom_jvp", wrapped(with_jvp_rule)),
    Way("jax", "jax.export, written and read", wrapped(exported)),
    Way("jax", "four threads", in_threads),
    Way("jax", "copy.deepcopy", wrapped(copy.deepcopy)),
    Way("jax", "pickle", wrapped(lambda function: pickle.loads(pickle.dumps(function)))),
)
