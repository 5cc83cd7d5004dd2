"""Bugs of sequences: the gates of MaxText's mixture of experts, and jax's bidirectional LSTM with lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from zoo.architecture import State, normals, state_of
from zoo.plain import linear, linear_of, norm_of, rms_norm

from field.of_algoperf import random_model
from field.records import Bug, Models

Array = Any
Params = Mapping[str, Any]
WORDS, WIDTH, INNER, EXPERTS, CHOSEN, LAYERS, EPS = 23, 12, 20, 6, 2, 2, 1e-5


# Mixtral: the gates of the chosen experts add up to 1


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Linear(WIDTH, INNER, bias=False)
        self.w2 = nn.Linear(INNER, WIDTH, bias=False)
        self.w3 = nn.Linear(WIDTH, INNER, bias=False)

    def forward(self, x: Any) -> Any:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class SparseMoe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))

    def forward(self, x: Any) -> Any:
        weights, chosen = torch.topk(F.softmax(self.gate(x), -1), CHOSEN, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        y = torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            own = (weights * (chosen == k)).sum(-1, keepdim=True)
            y = y + own * expert(x)
        return y


class MixtralLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.post_attention_layernorm = nn.RMSNorm(WIDTH, eps=EPS)
        self.block_sparse_moe = SparseMoe()

    def forward(self, x: Any) -> Any:
        return x + self.block_sparse_moe(self.post_attention_layernorm(x))


class Mixtral(nn.Module):
    """Without its attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(MixtralLayer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=EPS)
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


def jax_moe(p: Params, x: Array, normalised: bool) -> Array:
    """The kernels of all experts are stacked: (expert, in, out)."""
    probabilities = jax.nn.softmax(x @ p["gate"]["weight"], -1)
    weights, indices = jax.lax.top_k(probabilities, CHOSEN)
    if normalised:
        weights /= weights.sum(-1, keepdims=True)
    combined = (jax.nn.one_hot(indices, EXPERTS, dtype=x.dtype) * weights[..., None]).sum(-2)
    hidden = jax.nn.silu(jnp.einsum("btm,emh->bteh", x, p["wi_0"])) * jnp.einsum("btm,emh->bteh", x, p["wi_1"])
    return jnp.einsum("bteh,ehm,bte->btm", hidden, p["wo"], combined)


def jax_mixtral(p: Params, ids: Array, normalised: bool) -> Array:
    x = p["embed"][ids]
    for own in p["layers"]:
        x = x + jax_moe(own, rms_norm(own["norm"], x, eps=EPS), normalised)
    return linear(p["head"], rms_norm(p["norm"], x, eps=EPS))


def stacked(state: State, path: str, name: str) -> Array:
    return jnp.stack([jnp.asarray(state[f"{path}.experts.{k}.{name}.weight"].T) for k in range(EXPERTS)])


def mixtral(*, normalised: bool) -> Models:
    model = random_model(Mixtral())
    state = state_of(model)
    moes = [f"layers.{k}.block_sparse_moe" for k in range(LAYERS)]
    layers = [
        {
            "norm": norm_of(state, f"layers.{k}.post_attention_layernorm"),
            "gate": linear_of(state, f"{moe}.gate"),
            **{name: stacked(state, moe, own) for name, own in (("wi_0", "w1"), ("wi_1", "w3"), ("wo", "w2"))},
        }
        for k, moe in enumerate(moes)
    ]
    params = {"embed": jnp.asarray(state["embed_tokens.weight"]), "layers": layers}
    params |= {"norm": norm_of(state, "norm"), "head": linear_of(state, "lm_head")}
    ids = np.random.default_rng(1).integers(0, WORDS, (2, 5), np.int32)
    return Models(model, lambda p, x: jax_mixtral(p, x, normalised), [ids], params)


# an LSTM that reads sentences of several lengths in both directions

FEATURES, HIDDEN, LENGTH, TAGS = 5, 4, 7, 3


def torch_flipped(x: Any, lengths: Any) -> Any:
    """Each sentence from its end; what fills it up stays behind it."""
    steps = torch.arange(x.shape[1])
    turned = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return torch.take_along_dim(x, turned.long()[..., None], 1)


class BiLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.forwards = nn.LSTM(FEATURES, HIDDEN, batch_first=True)
        self.backwards = nn.LSTM(FEATURES, HIDDEN, batch_first=True)
        self.head = nn.Linear(2 * HIDDEN, TAGS)

    def forward(self, x: Any, lengths: Any) -> Any:
        there, _ = self.forwards(x)
        back, _ = self.backwards(torch_flipped(x, lengths))
        seen = torch.arange(x.shape[1]) < lengths[:, None]
        return self.head(torch.cat((there, torch_flipped(back, lengths)), -1)) * seen[..., None]


def lstm(p: Params, x: Array) -> Array:
    def step(carry: Any, now: Array) -> Any:
        h, c = carry
        gates = now @ p["weight_ih_l0"].T + h @ p["weight_hh_l0"].T + p["bias_ih_l0"] + p["bias_hh_l0"]
        i, f, g, o = jnp.split(gates, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((len(x), HIDDEN), x.dtype)
    return jax.lax.scan(step, (start, start), x.swapaxes(0, 1))[1].swapaxes(0, 1)


def jax_flipped(x: Array, lengths: Array) -> Array:
    steps = jnp.arange(x.shape[1])
    turned = jnp.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return jnp.take_along_axis(x, turned[..., None], 1)


def jax_bilstm(p: Params, x: Array, lengths: Array, by_length: bool) -> Array:
    def turn(sequence: Array) -> Array:
        return jax_flipped(sequence, lengths) if by_length else sequence[:, ::-1]

    both = jnp.concatenate((lstm(p["forwards"], x), turn(lstm(p["backwards"], turn(x)))), -1)
    return linear(p["head"], both) * (jnp.arange(x.shape[1]) < lengths[:, None])[..., None]


def bilstm(*, by_length: bool) -> Models:
    model = random_model(BiLSTM())
    state = state_of(model)
    params: dict[str, Any] = {
        name: {key.removeprefix(f"{name}."): jnp.asarray(weight) for key, weight in state.items() if key.startswith(name)}
        for name in ("forwards", "backwards")
    }
    params["head"] = linear_of(state, "head")
    given = [*normals(3, (3, LENGTH, FEATURES)), np.array([7, 4, 2], np.int32)]
    return Models(model, lambda p, x, lengths: jax_bilstm(p, x, lengths, by_length), given, params)


BUGS = (
    Bug(
        name="maxtext_moe_gates",
        project="AI-Hypercomputer/maxtext",
        place="https://github.com/AI-Hypercomputer/maxtext/pull/1026",
        what="The gates of the chosen experts are not divided by their sum.",
        shows="values",
        right=lambda: mixtral(normalised=True),
        wrong=lambda: mixtral(normalised=False),
        cause=(r"normali[sz]", r"\bsum\b", r"\bdivi(de|des|ded|sion|sor)\b"),
        where=r"layers\.0\.block_sparse_moe",
    ),
    Bug(
        name="jax_lstm_lengths",
        project="jax-ml/jax",
        place="https://github.com/jax-ml/jax/pull/15169",
        what="The LSTM that reads backwards begins with what fills the shorter sentences up.",
        shows="values",
        right=lambda: bilstm(by_length=True),
        wrong=lambda: bilstm(by_length=False),
        cause=(r"\bflip", r"\brevers", r"\blengths?\b", r"\bpadd(ed|ing)\b", r"\bbackwards?\b.*\border\b"),
        where=r"backwards|take_along_dim|torch_flipped|gather",
    ),
)
