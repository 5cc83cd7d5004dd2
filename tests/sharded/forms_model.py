"""Devices that share a model: its features, its heads, its layers, its experts, its vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from torch import nn

from sharded.forms_data import layers, perceptron, rows
from sharded.records import Form, mesh, numbers

Function = Callable[..., Any]
COLUMNS = {"0.weight": P("model"), "0.bias": P("model"), "2.weight": P(None, "model"), "2.bias": P()}


def by_constraint(devices: int, wrong: str) -> Function:
    there = mesh(devices, ("data", "model"))

    def function(p: Any, x: Any) -> Any:
        p = {name: lax.with_sharding_constraint(weight, NamedSharding(there, COLUMNS[name])) for name, weight in p.items()}
        return lax.with_sharding_constraint(layers(p, x), NamedSharding(there, P("data")))

    return jax.jit(function)


def by_columns(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any) -> Any:
        h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=False)
        y = h @ p["2.weight"].T
        if wrong == "bias on each":
            return lax.psum(y + p["2.bias"], "model")
        if wrong == "not summed":
            return y + p["2.bias"]
        if wrong == "averaged":
            return lax.pmean(y, "model") + p["2.bias"]
        if wrong == "over the other axis":
            return lax.psum(y, "data") + p["2.bias"]
        if wrong == "summed twice":
            return lax.psum(lax.psum(y, "model"), "model") + p["2.bias"]
        return lax.psum(y, "model") + p["2.bias"]

    there = mesh(devices, ("data", "model"))
    return jax.shard_map(body, mesh=there, in_specs=(COLUMNS, P("data")), out_specs=P("data"), check_vma=not wrong)


class Attention(nn.Module):
    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(16, 16) for _ in range(4))
        self.causal = causal

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(x).reshape(*x.shape[:2], 8, 2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        weights = q @ k.transpose(-1, -2) / 2**0.5
        if self.causal:
            weights = weights.masked_fill(torch.ones(x.shape[1], x.shape[1]).triu(1).bool(), -1e9)
        return self.out((weights.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))


def projected(p: Any, x: Any) -> list[Any]:
    return [(x @ p[f"{letter}.weight"].T + p[f"{letter}.bias"]).reshape(*x.shape[:2], -1, 2) for letter in "qkv"]


def by_heads(devices: int, wrong: str) -> Function:
    specs = {f"{letter}.{what}": P("model") for letter in "qkv" for what in ("weight", "bias")}
    specs |= {"out.weight": P(None, "model"), "out.bias": P()}

    def body(p: Any, x: Any) -> Any:
        q, k, v = projected(p, x)
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2**0.5)
        y = jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(*x.shape[:2], -1) @ p["out.weight"].T
        if wrong == "bias on each":
            return lax.psum(y + p["out.bias"], "model")
        return (y if wrong == "not summed" else lax.psum(y, "model")) + p["out.bias"]

    return jax.shard_map(body, mesh=mesh(devices), in_specs=(specs, P()), out_specs=P(), check_vma=not wrong)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


def normalised(p: Any, x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p["norm.weight"] + p["norm.bias"]


def by_sequence(devices: int, wrong: str) -> Function:
    specs = {"norm.weight": P(), "norm.bias": P(), "up.weight": P("model"), "up.bias": P("model")}
    specs |= {"down.weight": P(None, "model"), "down.bias": P()}

    def body(p: Any, x: Any) -> Any:
        h = lax.all_gather(normalised(p, x), "model", axis=0 if wrong == "gathered along the batch" else 1, tiled=True)
        if wrong == "gathered along the batch":
            h = h.reshape(x.shape[0], -1, 16)
        h = jax.nn.gelu(h @ p["up.weight"].T + p["up.bias"], approximate=False) @ p["down.weight"].T
        if wrong == "not summed":
            y = lax.dynamic_slice_in_dim(h, lax.axis_index("model") * x.shape[1], x.shape[1], 1)
        elif wrong == "bias on each":
            return x + lax.psum_scatter(h + p["down.bias"], "model", scatter_dimension=1, tiled=True)
        else:
            y = lax.psum_scatter(h, "model", scatter_dimension=1, tiled=True)
        return x + y / (devices if wrong == "averaged" else 1) + p["down.bias"]

    spec = P(None, "model")
    return jax.shard_map(body, mesh=mesh(devices), in_specs=(specs, spec), out_specs=spec, check_vma=not wrong)


def ring(devices: int, wrong: str) -> Function:
    around = [(k, (k + 1) % devices) for k in range(devices)]

    def body(p: Any, x: Any) -> Any:
        q, k, v = projected(p, x)
        here, size = lax.axis_index("model"), x.shape[1]
        positions = here * size + jnp.arange(size)

        def step(carry: Any, hop: Any) -> Any:
            top, total, out, k, v = carry
            source = (here + hop if wrong == "other direction" else here - hop) % devices
            if wrong == "own positions":
                source = here
            weights = jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2**0.5
            weights = jnp.where(positions[:, None] >= source * size + jnp.arange(size), weights, jnp.asarray(-1e9, x.dtype))
            new = jnp.maximum(top, lax.stop_gradient(weights).max(-1))
            scale, part = jnp.exp(top - new), jnp.exp(weights - new[..., None])
            total = total * scale + part.sum(-1)
            out = out * scale[..., None] + jnp.einsum("bhqk,bkhd->bhqd", part, v)
            if wrong != "values stay":
                v = lax.ppermute(v, "model", around)
            return (new, total, out, lax.ppermute(k, "model", around), v), None

        shape = (x.shape[0], q.shape[2], size)
        start = jnp.full(shape, -1e9, x.dtype), jnp.zeros(shape, x.dtype), jnp.zeros((*shape, 2), x.dtype), k, v
        hops = devices - 1 if wrong == "a hop short" else devices
        _, total, out, *_ = lax.scan(step, start, jnp.arange(hops))[0]
        y = (out / total[..., None]).transpose(0, 2, 1, 3).reshape(x.shape)
        return y @ p["out.weight"].T + p["out.bias"]

    spec = P(None, "model")
    return jax.shard_map(body, mesh=mesh(devices), in_specs=(P(), spec), out_specs=spec, check_vma=False)


LAYERS = 8


class Stages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Linear(8, 8) for _ in range(LAYERS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            x = torch.tanh(stage(x))
        return x


def pipeline(devices: int, wrong: str) -> Function:
    """Each device has some layers; micro-batches go from device to device."""
    parts = 4

    def body(weights: Any, biases: Any, x: Any) -> Any:
        here, split = lax.axis_index("model"), x.reshape(parts, -1, x.shape[-1])
        ahead = [(k, k + 1) for k in range(devices - 1)]
        if wrong == "backwards":
            ahead = [(k + 1, k) for k in range(devices - 1)]
        arrived, outs = jnp.zeros_like(split[0]), []
        for tick in range(parts + devices - 1):
            entering = jnp.where(here == 0, split[min(tick, parts - 1)], arrived)
            for w, b in zip(weights, biases, strict=True):
                entering = jnp.tanh(entering @ w.T + b)
            outs.append(entering)
            arrived = entering if wrong == "not passed on" else lax.ppermute(entering, "model", ahead)
        first = devices - 2 if wrong == "a tick early" else devices - 1
        done = jnp.where(here == (0 if wrong == "of the first" else devices - 1), jnp.stack(outs[first : first + parts]), 0)
        return lax.psum(done, "model").reshape(x.shape)

    shared = jax.shard_map(
        body, mesh=mesh(devices), in_specs=(P("model"), P("model"), P()), out_specs=P(), check_vma=not wrong
    )

    def function(p: Any, x: Any) -> Any:
        stacked = (jnp.stack([p[f"stages.{k}.{what}"] for k in range(LAYERS)]) for what in ("weight", "bias"))
        return shared(*stacked, x)

    return function


EXPERTS = 8


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = (nn.Parameter(torch.zeros(EXPERTS, *shape)) for shape in ((8, 16), (16, 8)))

    def forward(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        place = nn.functional.one_hot(chosen.long(), EXPERTS).to(x.dtype)
        sent = place.T[:, :, None] * x
        return (place.T[:, :, None] * (torch.relu(sent @ self.up) @ self.down)).sum(0)


def experts(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any, chosen: Any) -> Any:
        place = jax.nn.one_hot(chosen, EXPERTS, dtype=x.dtype).T[:, :, None]
        sent = place * x  # for each expert, each token
        if wrong == "not sent":
            h = lax.dynamic_slice_in_dim(sent, lax.axis_index("model") * (EXPERTS // devices), EXPERTS // devices)
            back = jnp.tile(jax.nn.relu(h @ p["up"]) @ p["down"], (devices, 1, 1))
            return (place * back).sum(0)
        h = lax.all_to_all(sent, "model", 0, 1, tiled=True)
        h = jax.nn.relu(h @ p["up"]) @ p["down"]
        if wrong == "not sent back":
            back = jnp.tile(h[:, : x.shape[0]], (devices, 1, 1))
        elif wrong == "sent to the next":
            around = [(k, (k + 1) % devices) for k in range(devices)]
            back = lax.all_to_all(lax.ppermute(h, "model", around), "model", 1, 0, tiled=True)
        else:
            back = lax.all_to_all(h, "model", 1, 0, tiled=True)
        return (place * back).sum(0)

    return jax.shard_map(body, mesh=mesh(devices), in_specs=P("model"), out_specs=P("model"))


class Vocabulary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 32, bias=False)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(self.head(x), labels.long(), reduction="none")


def vocabulary(devices: int, wrong: str) -> Function:
    def body(p: Any, x: Any, labels: Any) -> Any:
        logits = x @ p["head.weight"].T
        top = lax.pmax(lax.stop_gradient(logits).max(-1), "model")
        total = jnp.exp(logits - top[:, None]).sum(-1)
        if wrong != "sum of its own":
            total = lax.psum(total, "model")
        size = logits.shape[-1]
        own = labels - (0 if wrong == "labels of the first" else lax.axis_index("model") * size)
        inside = (own >= 0) & (own < size)
        label = jnp.where(inside, jnp.take_along_axis(logits, jnp.clip(own, 0, size - 1)[:, None], 1)[:, 0], 0)
        if wrong == "label averaged":
            label = lax.pmean(label, "model")
        elif wrong != "label of its own":
            label = lax.psum(label, "model")
        return jnp.log(total) + top - label

    return jax.shard_map(body, mesh=mesh(devices), in_specs=(P("model"), P(), P()), out_specs=P(), check_vma=not wrong)


def sequence() -> list[Any]:
    return [numbers(2, 8, 16)]


def tokens() -> list[Any]:
    return [numbers(16, 8), np.random.default_rng(1).integers(0, EXPERTS, 16).astype(np.int32)]


def labelled() -> list[Any]:
    return [numbers(12, 8), np.random.default_rng(1).integers(0, 32, 12).astype(np.int32)]


FORMS = [
    Form("tensor parallel by constraints", perceptron, by_constraint, rows),
    Form("tensor parallel by shard_map", perceptron, by_columns, rows),
    Form("attention by heads", Attention, by_heads, sequence),
    Form("sequence parallel norm", Block, by_sequence, sequence),
    Form("ring attention", lambda: Attention(causal=True), ring, sequence),
    Form("pipeline", Stages, pipeline, rows),
    Form("experts", Experts, experts, tokens),
    Form("cross-entropy over a vocabulary in parts", Vocabulary, vocabulary, labelled, target=False),
]
