"""Devices that share a batch: data parallel, parameters in shards, normalisation, accumulation, clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec as P
from torch import nn

from sharded.records import Form, mesh, numbers, squares

Function = Callable[..., Any]


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))


def layers(p: Any, x: Any) -> Any:
    return jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=False) @ p["2.weight"].T + p["2.bias"]


def data_parallel(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any) -> Any:
        if wrong == "each device takes the first rows":
            x = lax.all_gather(x, "data", tiled=True)[: x.shape[0]]
        return layers(p, x)

    return jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=(P(), P("data")), out_specs=P("data"))


def data_parallel_gradients(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(lambda p: squares(layers(p, x), y))(p)
        over = {"summed": lax.psum, "largest": lax.pmax, "not exchanged": lambda g, axis: g}.get(wrong, lax.pmean)
        gradients = {k: g if wrong == f"{k} not exchanged" else over(g, "data") for k, g in gradients.items()}
        loss = lax.psum(loss, "data") if wrong == "loss summed" else lax.pmean(loss, "data")
        return loss, gradients

    return jax.shard_map(
        body, mesh=mesh(devices, ("data",)), in_specs=(P(), P("data"), P("data")), out_specs=P(), check_vma=False
    )


def gathered(p: Any, wrong: str = "") -> Any:
    def whole(name: str, part: Any) -> Any:
        if wrong == "other axis" and name == "2.weight":  # of 8 rows and 16 columns
            return lax.all_gather(part, "data", axis=1, tiled=True).reshape(8, 16)
        return lax.all_gather(part, "data", tiled=True)

    return {name: whole(name, part) for name, part in p.items()}


def in_shards(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any) -> Any:
        return layers(gathered(p, wrong), x)

    return jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=P("data"), out_specs=P("data"))


def gradients_in_shards(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(lambda p: squares(layers(p, x), y))(gathered(p))

        def scattered(name: str, g: Any) -> Any:
            if wrong == "first block" and name == "0.weight":
                return lax.slice_in_dim(lax.psum(g, "data"), 0, g.shape[0] // devices) / devices
            if wrong == "not exchanged":
                return lax.dynamic_slice_in_dim(g, lax.axis_index("data") * (g.shape[0] // devices), g.shape[0] // devices)
            g = lax.psum_scatter(g, "data", tiled=True)
            return g if wrong == "summed" else g / devices

        return lax.pmean(loss, "data"), {name: scattered(name, g) for name, g in gradients.items()}

    specs = P("data"), P("data"), P("data")
    return jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=specs, out_specs=(P(), P("data")), check_vma=False)


def clipped_gradients(devices: int, wrong: str) -> Function:
    whole = gradients_in_shards(devices, "")

    def clip(shards: Any) -> Any:
        squared = sum((g**2).sum() for g in shards.values())
        if wrong == "root first":
            norm = lax.psum(jnp.sqrt(squared), "data")
        elif wrong == "own norm":
            norm = jnp.sqrt(squared)
        elif wrong == "mean":
            norm = jnp.sqrt(lax.pmean(squared, "data"))
        elif wrong == "largest":
            norm = jnp.sqrt(lax.pmax(squared, "data"))
        else:
            norm = jnp.sqrt(lax.psum(squared, "data"))
        factor = jnp.minimum(1.0, 0.1 / (norm + 1e-6))
        return {name: g * factor for name, g in shards.items()}

    clipping = jax.shard_map(clip, mesh=mesh(devices, ("data",)), in_specs=P("data"), out_specs=P("data"), check_vma=False)

    def gradients(p: Any, x: Any, y: Any) -> Any:
        loss, shards = whole(p, x, y)
        return loss, clipping(shards)

    return gradients


def accumulated_gradients(devices: int, wrong: str) -> Function:
    parts = 2

    def body(p: Any, x: Any, y: Any) -> Any:
        def added(total: Any, part: Any) -> Any:
            gradients = jax.value_and_grad(lambda p: squares(layers(p, part[0]), part[1]))(p)
            return jax.tree.map(jnp.add, total, gradients), None

        split = x.reshape(parts, -1, x.shape[-1]), y.reshape(parts, -1, y.shape[-1])
        start = jnp.zeros((), x.dtype), jax.tree.map(jnp.zeros_like, p)
        loss, gradients = lax.scan(added, start, split)[0]
        count = parts if wrong == "not over devices" else devices if wrong == "not over parts" else parts * devices
        return lax.psum(loss, "data") / (parts * devices), {k: lax.psum(g, "data") / count for k, g in gradients.items()}

    specs = P(), P("data"), P("data")
    return jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=specs, out_specs=P(), check_vma=False)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16, track_running_stats=False), nn.ReLU(), nn.Linear(16, 8))


def batch_norm(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any) -> Any:
        h = x @ p["0.weight"].T + p["0.bias"]
        mean = h.mean(0)
        mean = mean if wrong in ("own statistics", "own mean") else lax.pmean(mean, "data")
        variance = ((h - mean) ** 2).mean(0)
        variance = variance if wrong in ("own statistics", "own variance") else lax.pmean(variance, "data")
        factor = lax.rsqrt(variance + 1e-5)
        if wrong == "root first":
            factor = lax.pmean(lax.rsqrt(((h - mean) ** 2).mean(0) + 1e-5), "data")
        h = (h - mean) * factor * p["1.weight"] + p["1.bias"]
        return jax.nn.relu(h) @ p["3.weight"].T + p["3.bias"]

    return jax.shard_map(
        body, mesh=mesh(devices, ("data",)), in_specs=(P(), P("data")), out_specs=P("data"), check_vma=False
    )


def rows() -> list[Any]:
    return [numbers(16, 8)]


FORMS = [
    Form("data parallel", perceptron, data_parallel, rows, data_parallel_gradients),
    Form("fully sharded", perceptron, in_shards, rows, gradients_in_shards),
    Form("clipped by the norm of all shards", perceptron, in_shards, rows, clipped_gradients, clip=0.1),
    Form("accumulated", perceptron, data_parallel, rows, accumulated_gradients),
    Form("batch norm of the whole batch", normed, batch_norm, rows),
]
