"""Devices that share a model in other styles of code: nested, by loops, by explicit axes of a mesh, by axes together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from torch import nn

from sharded.forms_data import layers, perceptron, rows
from sharded.forms_model import COLUMNS, LAYERS, Attention, Stages, projected, sequence
from sharded.records import Form, mesh, numbers

Function = Callable[..., Any]
BOTH = ("host", "chip")


def nested(devices: int, wrong: str) -> Function:
    """A shard_map over the features inside of one over the batch."""
    there = mesh(devices, ("data", "model"))

    def outer(p: Any, x: Any) -> Any:
        def inner(p: Any, x: Any) -> Any:
            h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=False)
            y = h @ p["2.weight"].T
            y = lax.psum(y, "data" if wrong == "over the outer axis" else "model")
            return y + p["2.bias"]

        return jax.shard_map(inner, in_specs=(COLUMNS, P()), out_specs=P(), axis_names={"model"}, check_vma=not wrong)(p, x)

    return jax.jit(
        jax.shard_map(
            outer,
            mesh=there,
            in_specs=(P(), P("data")),
            out_specs=P("data"),
            axis_names={"data"},
            check_vma=not wrong,
        )
    )


def of_explicit_axes(devices: int) -> Mesh:
    kinds = (AxisType.Explicit,) * 2
    return jax.make_mesh((2, devices // 2), ("data", "model"), axis_types=kinds, devices=jax.devices()[:devices])


def explicit(devices: int, wrong: str) -> Function:
    there = of_explicit_axes(devices)

    def function(p: Any, x: Any) -> Any:
        p = {k: jax.sharding.reshard(v, NamedSharding(there, COLUMNS[k])) for k, v in p.items()}
        x = jax.sharding.reshard(x, NamedSharding(there, P("data")))
        h = jax.nn.gelu(jnp.einsum("bi,oi->bo", x, p["0.weight"]) + p["0.bias"], approximate=False)
        y = jnp.einsum("bi,oi->bo", h, p["2.weight"], out_sharding=NamedSharding(there, P("data")))
        return y + p["2.bias"]

    return function


def in_shardings(devices: int, wrong: str) -> Function:
    there = mesh(devices, ("data", "model"))
    specs = {k: NamedSharding(there, spec) for k, spec in COLUMNS.items()}

    @partial(jax.jit, in_shardings=(specs, NamedSharding(there, P("data"))), out_shardings=NamedSharding(there, P("data")))
    def function(p: Any, x: Any) -> Any:
        return layers(p, x)

    return function


def gathered_in_scan(devices: int, wrong: str) -> Function:
    """Layers in a scan, each gathered when it is needed."""

    def body(weights: Any, biases: Any, x: Any) -> Any:
        def layer(x: Any, wb: Any) -> Any:
            w, b = wb
            if wrong == "transposed blocks":
                w = lax.all_gather(w, BOTH, axis=1, tiled=True).reshape(8, 8)
            else:
                w = lax.all_gather(w, BOTH, axis=0, tiled=True)
            return jnp.tanh(x @ w.T + lax.all_gather(b, BOTH, tiled=True)), None

        return lax.scan(layer, x, (weights, biases))[0]

    spec = P(None, BOTH)
    shared = jax.shard_map(
        body, mesh=mesh(devices, BOTH), in_specs=(spec, spec, P(BOTH)), out_specs=P(BOTH), check_vma=False
    )

    def function(p: Any, x: Any) -> Any:
        return shared(*(jnp.stack([p[f"stages.{k}.{what}"] for k in range(LAYERS)]) for what in ("weight", "bias")), x)

    return function


class RMS(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(16))
        self.out = nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * torch.rsqrt((x**2).mean(-1, keepdim=True) + 1e-6) * self.scale
        return self.out(x)


def rms(devices: int, wrong: str) -> Function:
    """A norm over features that devices share, along both axes of the mesh; the result is scattered along features."""

    def body(p: Any, x: Any) -> Any:
        squares = (x**2).sum(-1, keepdims=True)
        axes = "chip" if wrong == "over one of two axes" else BOTH
        factor = lax.rsqrt(lax.psum(squares, axes) / 16 + 1e-6)
        if wrong == "root first":
            factor = 1 / lax.psum(jnp.sqrt(squares / 16 + 1e-6), BOTH)
        elif wrong == "mean of means":
            factor = lax.rsqrt(lax.psum((x**2).mean(-1, keepdims=True), BOTH) + 1e-6)
        y = (x * factor * p["scale"]) @ p["out.weight"].T
        y = lax.psum_scatter(y, BOTH, scatter_dimension=0 if wrong == "scattered along rows" else 1, tiled=True)
        return y.reshape(16, -1) + p["out.bias"]

    specs = {"scale": P(BOTH), "out.weight": P(None, BOTH), "out.bias": P(BOTH)}
    return jax.shard_map(
        body, mesh=mesh(devices, BOTH), in_specs=(specs, P(None, BOTH)), out_specs=P(None, BOTH), check_vma=False
    )


def stacked(devices: int, wrong: str) -> Function:
    """Blocks are gathered along a new axis, tiled=False."""

    def body(p: Any, x: Any) -> Any:
        def whole(part: Any) -> Any:
            parts = lax.all_gather(part, "data")
            return parts.reshape(-1, *part.shape[1:])

        return layers({k: whole(part) for k, part in p.items()}, x)

    return jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=P("data"), out_specs=P("data"), check_vma=False)


def ulysses(devices: int, wrong: str) -> Function:
    """Attention whose devices have the sequence in parts, then the heads."""

    def body(p: Any, x: Any) -> Any:
        q, k, v = projected(p, x)  # batch, tokens, heads, features
        turn = partial(lax.all_to_all, axis_name="model", split_axis=2, concat_axis=1, tiled=True)
        q, k, v = turn(q), turn(k), turn(v)
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2**0.5)
        y = jnp.einsum("bhqk,bkhd->bqhd", weights, v)
        if wrong == "not turned back":
            y = jnp.tile(y[:, : x.shape[1]], (1, 1, devices, 1))
        else:
            y = lax.all_to_all(y, "model", 1, 2, tiled=True)
        return y.reshape(x.shape) @ p["out.weight"].T + p["out.bias"]

    spec = P(None, "model")
    return jax.shard_map(body, mesh=mesh(devices), in_specs=(P(), spec), out_specs=spec, check_vma=False)


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


def halo(devices: int, wrong: str) -> Function:
    """A convolution over a sequence in parts, with the neighbours' edges."""

    def body(p: Any, x: Any) -> Any:
        ahead = [(k, k + 1) for k in range(devices - 1)]
        back = [(k + 1, k) for k in range(devices - 1)]
        if wrong == "around":
            ahead = [(k, (k + 1) % devices) for k in range(devices)]
        left, right = lax.ppermute(x[..., -1:], "model", ahead), lax.ppermute(x[..., :1], "model", back)
        if wrong == "own edge":
            left = x[..., -1:]
        if wrong == "swapped":
            left, right = right, left
        x = jnp.concatenate([left, x, right], -1)
        y = lax.conv_general_dilated(x, p["conv.weight"], (1,), [(0, 0)])
        return jax.nn.relu(y + p["conv.bias"][:, None])

    spec = P(None, None, "model")
    return jax.shard_map(body, mesh=mesh(devices), in_specs=(P(), spec), out_specs=spec, check_vma=False)


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(16, 16)
        self.out = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(x + self.table(torch.arange(x.shape[1]))))


def positions(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any) -> Any:
        size = x.shape[1]
        at = jnp.arange(size) + (0 if wrong == "from zero" else lax.axis_index("model") * size)
        if wrong == "by one":
            at = jnp.arange(size) + lax.axis_index("model")
        if wrong == "next block":
            at = jnp.arange(size) + (lax.axis_index("model") + 1) % devices * size
        return jnp.tanh(x + p["table.weight"][at]) @ p["out.weight"].T + p["out.bias"]

    spec = P(None, "model")
    return jax.shard_map(body, mesh=mesh(devices), in_specs=(P(), spec), out_specs=spec, check_vma=False)


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(32, 8)
        self.out = nn.Linear(8, 8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.table(ids.long())))


def words(devices: int, wrong: str) -> Function:
    """A table of words in parts: each device looks up its own."""

    def body(p: Any, ids: Any) -> Any:
        size = p["table.weight"].shape[0]
        own = ids - lax.axis_index("model") * (size // 2 if wrong == "half blocks" else size)
        inside = (own >= 0) & (own < size)
        rows = jnp.where(inside[..., None], p["table.weight"][jnp.clip(own, 0, size - 1)], 0)
        rows = lax.pmax(rows, "model") if wrong == "largest" else lax.psum(rows, "model")
        return jnp.tanh(rows) @ p["out.weight"].T + p["out.bias"]

    specs = {"table.weight": P("model"), "out.weight": P(), "out.bias": P()}
    return jax.shard_map(body, mesh=mesh(devices), in_specs=(specs, P()), out_specs=P(), check_vma=False)


def pipeline_in_scan(devices: int, wrong: str) -> Function:
    """Micro-batches go from device to device in a scan, which keeps what each step gives."""
    parts = 4

    def body(weights: Any, biases: Any, x: Any) -> Any:
        here = lax.axis_index("model")
        around = [(k, (k + 1) % devices) for k in range(devices)]
        split = x.reshape(parts, -1, x.shape[-1])
        waiting = jnp.concatenate([split, jnp.zeros((devices - 1, *split.shape[1:]), x.dtype)])

        def tick(arrived: Any, entering: Any) -> Any:
            h = jnp.where(here == (1 if wrong == "enters at the second" else 0), entering, arrived)
            h, _ = lax.scan(lambda h, wb: (jnp.tanh(h @ wb[0].T + wb[1]), None), h, (weights, biases))
            return (h if wrong == "kept" else lax.ppermute(h, "model", around)), h

        _, outs = lax.scan(tick, lax.pcast(jnp.zeros_like(split[0]), "model", to="varying"), waiting)
        done = jnp.where(here == devices - 1, outs[devices - 1 :], 0)
        done = lax.pmean(done, "model") if wrong == "averaged" else lax.psum(done, "model")
        return done.reshape(x.shape)

    shared = jax.shard_map(
        body, mesh=mesh(devices), in_specs=(P("model"), P("model"), P()), out_specs=P(), check_vma=not wrong
    )

    def function(p: Any, x: Any) -> Any:
        return shared(*(jnp.stack([p[f"stages.{k}.{what}"] for k in range(LAYERS)]) for what in ("weight", "bias")), x)

    return function


def unrolled_ring(devices: int, wrong: str) -> Function:
    """A product whose columns go around, hop by hop, without a loop of JAX."""

    def body(p: Any, x: Any) -> Any:
        around = [(k, (k + 1) % devices) for k in range(devices)]
        here = lax.axis_index("model")
        w = p["0.weight"]
        size = w.shape[0]
        h = jnp.zeros((x.shape[0], size * devices), x.dtype)
        for hop in range(devices - 1 if wrong == "a hop short" else devices):
            source = (here + hop if wrong == "other direction" else here if wrong == "own place" else here - hop) % devices
            h = lax.dynamic_update_slice_in_dim(h, x @ w.T, source * size, 1)
            w = lax.ppermute(w, "model", around)
        h = jax.nn.gelu(h + p["0.bias"], approximate=False)
        return h @ p["2.weight"].T + p["2.bias"]

    specs = {"0.weight": P("model"), "0.bias": P(), "2.weight": P(), "2.bias": P()}
    return jax.shard_map(body, mesh=mesh(devices), in_specs=(specs, P("model")), out_specs=P("model"), check_vma=False)


def by_vmap(devices: int, wrong: str) -> Function:
    """Rows are mapped by vmap with a name, inside of a shard_map; their mean goes over both."""

    def body(p: Any, x: Any) -> Any:
        def row(example: Any) -> Any:
            h = example @ p["0.weight"].T + p["0.bias"]
            over = "row" if wrong == "own rows" else ("row", "data")
            mean = lax.pmean(h, over)
            variance = lax.pmean((h - mean) ** 2, over)
            h = (h - mean) * lax.rsqrt(variance + 1e-5) * p["1.weight"] + p["1.bias"]
            return jax.nn.relu(h) @ p["3.weight"].T + p["3.bias"]

        return jax.vmap(row, axis_name="row")(x)

    return jax.shard_map(
        body, mesh=mesh(devices, ("data",)), in_specs=(P(), P("data")), out_specs=P("data"), check_vma=False
    )


def in_a_cond(devices: int, wrong: str) -> Function:
    """A sum over devices inside of a branch."""

    def body(p: Any, x: Any) -> Any:
        h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=False)
        y = h @ p["2.weight"].T
        over = lax.pmean if wrong == "averaged" else lax.psum
        y = lax.cond(x.shape[0] > jnp.sum(x) * 0, lambda y: over(y, "model"), lambda y: 0 * lax.psum(y, "model"), y)
        return y + p["2.bias"]

    return jax.shard_map(body, mesh=mesh(devices), in_specs=(COLUMNS, P()), out_specs=P(), check_vma=not wrong)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        return self.down(torch.tanh(self.up(x)) * keep)


RATE = 0.5


def kept(devices: int) -> Any:
    """The mask that the devices draw, as PyTorch is given it."""
    key = jax.random.key(0)
    return np.concatenate(
        [np.asarray(jax.random.bernoulli(jax.random.fold_in(key, k), RATE, (16 // devices, 16))) for k in range(devices)]
    ).astype(np.float32)


def dropout(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any, keep: Any) -> Any:
        key = jax.random.key(0)
        if wrong != "alike":
            key = jax.random.fold_in(key, lax.axis_index("data"))
        h = jnp.tanh(x @ p["up.weight"].T + p["up.bias"])
        h = jnp.where(jax.random.bernoulli(key, RATE, h.shape), h, 0)
        return h @ p["down.weight"].T + p["down.bias"] + 0 * keep.sum()

    return jax.shard_map(body, mesh=mesh(devices, ("data",)), in_specs=(P(), P("data"), P("data")), out_specs=P("data"))


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16, track_running_stats=False), nn.ReLU(), nn.Linear(16, 8))


def sixteen() -> list[Any]:
    return [numbers(2, 16, 16)]


FORMS = [
    Form("nested shard_map", perceptron, nested, rows, trains=False),  # JAX cannot compile its gradient
    Form("explicit axes", perceptron, explicit, rows, within=lambda devices: jax.set_mesh(of_explicit_axes(devices))),
    Form("in_shardings", perceptron, in_shardings, rows),
    Form("layers gathered in a scan", Stages, gathered_in_scan, rows),
    Form("norm of features in parts", RMS, rms, lambda: [numbers(16, 16)]),
    Form("gathered along a new axis", perceptron, stacked, rows),
    Form("attention by all_to_all", Attention, ulysses, sequence),
    Form("edges of neighbours", Convolution, halo, lambda: [numbers(2, 4, 16)]),
    Form("positions in parts", Positions, positions, sixteen),
    Form("words in parts", Words, words, lambda: [np.random.default_rng(1).integers(0, 32, (4, 6)).astype(np.int32)]),
    Form("pipeline in a scan", Stages, pipeline_in_scan, rows),
    Form("ring without a loop", perceptron, unrolled_ring, rows),
    Form("statistics by vmap", normed, by_vmap, rows),
    Form("sum in a branch", perceptron, in_a_cond, rows),
]
DRAWN = Form("dropout", Gated, dropout, lambda: [numbers(16, 8), kept(4)])
"""Its mask is that of four devices, and of these rows."""
