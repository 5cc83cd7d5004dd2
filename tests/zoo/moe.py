"""A mixture of experts: a router sends each token to two of four experts, which are weighted by its renormalised gates."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from jax import lax
from torch import nn

from zoo.architecture import Architecture, Port, State, normals, of_layer
from zoo.plain import Array, Params, layer_norm, linear, linear_of, norm_of

WIDTH, EXPERTS, CHOSEN, LAYERS = 16, 4, 2, 2


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.act = nn.SiLU()
        self.fc2 = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        return self.fc2(self.act(self.fc1(x)))


class Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))

    def forward(self, x: Any) -> Any:
        chosen = self.router(x).softmax(-1).topk(CHOSEN)
        gates = chosen.values / chosen.values.sum(-1, keepdim=True)
        gates = torch.zeros(*x.shape[:-1], EXPERTS, dtype=x.dtype).scatter(-1, chosen.indices, gates)
        return (torch.stack([expert(x) for expert in self.experts], -1) * gates[..., None, :]).sum(-1)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.mixture = Mixture()

    def forward(self, x: Any) -> Any:
        return x + self.mixture(self.norm(x))


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def experts_of(state: State, path: str, name: str) -> Params:
    """One layer of all experts, stacked: (expert, in, out)."""
    layers = [linear_of(state, f"{path}.{i}.{name}") for i in range(EXPERTS)]
    return {key: jnp.stack([layer[key] for layer in layers]) for key in ("weight", "bias")}


def block_of(state: State, path: str) -> Params:
    return {
        "norm": norm_of(state, f"{path}.norm"),
        "router": linear_of(state, f"{path}.mixture.router"),
        "fc1": experts_of(state, f"{path}.mixture.experts", "fc1"),
        "fc2": experts_of(state, f"{path}.mixture.experts", "fc2"),
    }


def params_of(state: State) -> Params:
    return {"blocks": [block_of(state, f"blocks.{i}") for i in range(LAYERS)], "head": linear_of(state, "head")}


def renormalised(gates: Array) -> Array:
    return gates / gates.sum(-1, keepdims=True)


def gates_of(scores: Array, *, axis: int = -1, norm: Callable[[Array], Array] = renormalised) -> Array:
    """(token, expert): 0 but for the chosen ones."""
    values, indices = lax.top_k(jax.nn.softmax(scores, axis), CHOSEN)
    return jnp.einsum("...c,...ce->...e", norm(values), jax.nn.one_hot(indices, EXPERTS, dtype=scores.dtype))


def mixture(
    p: Params,
    x: Array,
    *,
    gates: Callable[[Array], Array] = gates_of,
    act: Callable[[Array], Array] = jax.nn.silu,
) -> Array:
    """Every expert computes every token, and the gates choose: right for a small model."""
    h = jnp.einsum("...i,eio->...eo", x, p["fc1"]["weight"]) + p["fc1"]["bias"]
    y = jnp.einsum("...ei,eio->...eo", act(h), p["fc2"]["weight"]) + p["fc2"]["bias"]
    return jnp.einsum("...eo,...e->...o", y, gates(linear(p["router"], x)))


def block(p: Params, x: Array, *, norm: Callable[..., Array] = layer_norm, **options: Any) -> Array:
    return x + mixture(p, norm(p["norm"], x), **options)


def sparse(p: Params, x: Array, **blocks: Any) -> Array:
    for i, own in enumerate(p["blocks"]):
        x = block(own, x, **of_layer(blocks, i))
    return linear(p["head"], x)


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: sparse(p, x, **options), params_of(state))


def inputs(seed: int) -> list[Any]:
    return normals(seed, (2, 5, WIDTH))


# In bfloat16, rounding can send a token to another expert, as it does with seed 2.
ARCHITECTURE = Architecture("moe", Sparse, inputs, plain, ("nnx", "equinox"))
