"""Mistakes in ports of a language model: one matrix for queries, keys and values, fewer heads of keys, layers in a scan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from field.records import Models
from ported import randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right
from explain.words import EXCHANGED, FLIPPED, FORGETS, SHIFTED, number, other_side

VOCABULARY, LENGTH, WIDTH, HEADS, GROUPS, HEAD, HIDDEN, LAYERS = 11, 6, 12, 4, 2, 3, 16, 3
CAP = 5.0
Array = Any
Weights = Mapping[str, Array]


class Scaled(nn.Module):
    """An RMS norm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Any) -> Any:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.m = Scaled(), Scaled()
        self.qkv = nn.Linear(WIDTH, (HEADS + 2 * GROUPS) * HEAD)
        self.o = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gu, self.d = nn.Linear(WIDTH, 2 * HIDDEN, bias=False), nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(self.a(x)).split([HEADS * HEAD, GROUPS * HEAD, GROUPS * HEAD], -1)
        q, k, v = (part.unflatten(-1, (-1, HEAD)).transpose(1, 2) for part in (q, k, v))
        k, v = (part.repeat_interleave(HEADS // GROUPS, 1) for part in (k, v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        g, u = self.gu(self.m(x)).chunk(2, -1)
        return x + self.d(F.silu(g) * u)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH + 2, WIDTH)
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.last = Scaled()
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.tokens(ids) * math.sqrt(WIDTH) + self.places(torch.arange(LENGTH))
        for layer in self.layers:
            x = layer(x)
        return CAP * torch.tanh(self.head(self.last(x)) / CAP)


def scaled(weight: Array, x: Array, centre: Callable[[Array], Array] = lambda mean: mean) -> Array:
    return x * jax.lax.rsqrt(centre((x * x).mean(-1, keepdims=True)) + 1e-6) * weight


def split_by_parts(joined: Array) -> Sequence[Array]:
    parts = jnp.split(joined, [HEADS * HEAD, (HEADS + GROUPS) * HEAD], -1)
    return [part.reshape(*part.shape[:2], -1, HEAD) for part in parts]


def split_per_group(joined: Array) -> Sequence[Array]:
    """Each group has its queries, then its key, then its value."""
    each = joined.reshape(*joined.shape[:2], GROUPS, -1, HEAD)
    many = HEADS // GROUPS
    return each[..., :many, :].reshape(*joined.shape[:2], HEADS, HEAD), each[..., many, :], each[..., many + 1, :]


def gated(joined: Array) -> Array:
    g, u = jnp.split(joined, 2, -1)
    return jax.nn.silu(g) * u


def scanned(block: Any, layers: Weights, x: Array) -> Array:
    return jax.lax.scan(lambda x, own: (block(own, x), None), x, layers)[0]


@dataclass(frozen=True)
class Port:
    """The same in JAX, whose layers are one scan. A mistake replaces some of these parts."""

    scale: float = math.sqrt(WIDTH)
    first_place: int = 0
    norm: Callable[..., Array] = scaled
    split: Callable[[Array], Sequence[Array]] = split_by_parts
    repeat: Callable[[Array], Array] = partial(jnp.repeat, repeats=HEADS // GROUPS, axis=2)  # noqa: RUF009
    strict: bool = False
    divisor: float = math.sqrt(HEAD)
    gate: Callable[[Array], Array] = gated
    stream: Callable[[Array], Array] = lambda x: x
    over: Callable[..., Array] = scanned
    last: Callable[..., Array] = scaled
    cap: float = CAP

    def block(self, p: Weights, x: Array) -> Array:
        q, k, v = self.split(self.norm(p["a.weight"], x) @ p["qkv.weight"].T + p["qkv.bias"])
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, self.repeat(k)) / self.divisor
        seen = (
            jnp.tril(jnp.ones((LENGTH, LENGTH), bool), -1).at[0, 0].set(True)
            if self.strict
            else jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
        )
        y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1), self.repeat(v))
        x = self.stream(x + y.reshape(x.shape) @ p["o.weight"].T)
        return x + self.gate(self.norm(p["m.weight"], x) @ p["gu.weight"].T) @ p["d.weight"].T

    def logits(self, p: Any, ids: Array) -> Array:
        x = p["tokens"][ids] * self.scale + p["places"][self.first_place : self.first_place + LENGTH]
        x = self.last(p["last"], self.over(self.block, p["layers"], x))
        return self.cap * jnp.tanh(x @ p["head"].T / self.cap)


def port(order: Sequence[int] = range(LAYERS), swapped: str = "", **change: Any) -> Models:
    """Stacks the layers in an order. Layers 0 and 1 have the weight called ``swapped`` of each other."""
    torch.manual_seed(0)
    model = randomised(Decoder())
    own = weights_of(model)
    names = [name.removeprefix("layers.0.") for name in own if name.startswith("layers.0.")]
    orders = {name: (1, 0, 2) if name == swapped else order for name in names}
    layers = {name: jnp.stack([own[f"layers.{k}.{name}"] for k in orders[name]]) for name in names}
    params = {name: jnp.asarray(own[f"{name}.weight"]) for name in ("tokens", "places", "last", "head")}
    ids = np.random.default_rng(1).integers(0, VOCABULARY, (2, LENGTH)).astype(np.int32)
    return Models(model, Port(**change).logits, [ids], {**params, "layers": layers})


def but_the_last(block: Any, layers: Weights, x: Array) -> Array:
    return scanned(block, jax.tree.map(lambda weights: weights[:-1], layers), x)


DECODER = Right("decoder in a scan", "model", port)
EACH, LAYER = r"\blayers\b|\b3 layers", r"\blayers\b"

CASES = (
    DECODER.case(
        "embedding not scaled",
        {"scale": 1.0},
        "tokens: JAX forgets to multiply it by 3.464",
        (FORGETS + "|times|scale", r"3\.46\d*|multipl|\bmul|scale|0\.28\d*"),
        where="tokens",
        claims="forgets",
    ),
    DECODER.case(
        "places from the second on",
        {"first_place": 2},
        "places: the index starts at 2 in JAX, at 0 in PyTorch",
        (SHIFTED + "|offset|index|start|row", rf"{number(2)}"),
        where="places",
        claims="shifted",
    ),
    DECODER.case(
        "gradient stopped at the mean square",
        {"norm": partial(scaled, centre=jax.lax.stop_gradient)},
        "layers: JAX stops the gradient at the mean of the RMS norms a and m",
        ("stop", "gradient"),
        where=LAYER,
        claims="stop",
    ),
    DECODER.case(
        "queries, keys and values split per group",
        {"split": split_per_group},
        "layers.0.qkv: JAX splits q, k, v per group of heads, PyTorch q, then k, then v; in 3 layers alike",
        (r"qkv|\bq\b|queries", r"per (head|group)|split|order|interleav|permut"),
        where=LAYER,
        claims="exchanged transposed",
        false=("JAX forgets",),
    ),
    DECODER.case(
        "heads of keys tiled",
        {"repeat": lambda x: jnp.tile(x, (1, 1, HEADS // GROUPS, 1))},
        "layers.0: JAX tiles the heads of keys and values, PyTorch repeats each (repeat_interleave); in 3 layers alike",
        (r"repeat|til(es?|ed)\b|heads?\b", r"til(es?|ed)\b|interleav|order|permut|transpos"),
        where=LAYER,
        claims="exchanged transposed",
    ),
    DECODER.case(
        "a token does not see itself",
        {"strict": True},
        "layers.0: the mask's diagonal is -1 in JAX, 0 in PyTorch; in 3 layers alike",
        ("mask", r"diagonal|itself|JAX masks|-1|exclu|one token"),
        where=LAYER,
        claims="mask shifted",
    ),
    DECODER.case(
        "scores divided by the root of the width",
        {"divisor": math.sqrt(WIDTH)},
        "layers.0: the scores' divisor is 3.464 in JAX, 1.732 in PyTorch (twice); in 3 layers alike",
        (r"divi|scale", r"3\.46\d*|0\.288\d*", r"1\.73\d*|0\.577\d*"),
        (r"times|multipl|scale|divi", rf"{number(0.5)}|{number(2)}|half"),
        where=LAYER,
        false=other_side(math.sqrt(HEAD), math.sqrt(WIDTH)),
    ),
    DECODER.case(
        "gate and value exchanged",
        {"gate": lambda joined: gated(jnp.roll(joined, HIDDEN, -1))},
        "layers.0.gu: JAX has the halves exchanged: it applies silu to the second; in 3 layers alike",
        (EXCHANGED + "|second half|other half|roll", r"halves|half|parts|chunk|split|gate|silu"),
        where=LAYER,
        claims="exchanged shifted activation",
    ),
    DECODER.case(
        "gate and value interleaved",
        {"gate": lambda joined: gated(jnp.concatenate([joined[..., ::2], joined[..., 1::2]], -1))},
        "layers.0.gu: gate and value are interleaved in JAX, halves in PyTorch; in 3 layers alike",
        (r"interleav|even and odd|every (second|other)|stride|permut", r"gu\b|gate|halves|chunk|split|silu"),
        where=LAYER,
        claims="stride transposed",
        false=(r"halves in JAX|JAX has [^,;]*in halves",),
    ),
    DECODER.case(
        "gelu for silu",
        {"gate": lambda joined: jax.nn.gelu(joined[..., :HIDDEN]) * joined[..., HIDDEN:]},
        "layers.0: gelu in its tanh form in JAX, silu in PyTorch; in 3 layers alike",
        ("gelu", "silu|swish"),
        where=LAYER,
        claims="activation",
    ),
    DECODER.case(
        "residual stream in bfloat16",
        {"stream": lambda x: x.astype(jnp.bfloat16).astype(jnp.float32)},
        "layers.0: JAX casts the sum after o to bfloat16; in 3 layers alike",
        "bfloat16",
        where=LAYER,
        claims="cast residual",
    ),
    DECODER.case(
        "layers in reverse order",
        {"order": range(LAYERS)[::-1]},
        "JAX has the layers in reverse order",
        (r"layers?\b", FLIPPED + "|order"),
        claims="reversed exchanged",
    ),
    DECODER.case(
        "two layers have a weight of each other",
        {"swapped": "gu.weight"},
        "layers.0.gu and layers.1.gu: JAX has their weights exchanged",
        (EXCHANGED + r"|has (the weight of )?layers", r"0\.gu|\b0\b", r"1\.gu|\b1\b", r"\bgu"),
        claims="exchanged",
    ),
    DECODER.case(
        "last layer left out",
        {"over": but_the_last},
        "layers.2: JAX leaves this layer out",
        (FORGETS + "|2 of 3|2 layers", r"layers?\.2|last layer|layers?\b"),
        claims="forgets",
    ),
    DECODER.case(
        "last norm forgotten",
        {"last": lambda weight, x: x},
        "last: JAX forgets this norm",
        (FORGETS, r"norm|scaled|Scaled|rsqrt"),
        where=r"\blast|head",
        claims="forgets",
    ),
    DECODER.case(
        "one plus the weight of the last norm",
        {"last": lambda weight, x: scaled(1 + weight, x)},
        "last: JAX adds 1 to its weight",
        r"1 \+|\+ 1|plus (1|one)|adds? (1|one)|(offset|more).*\b1\b|\b1\b.*(offset|more)",
        where=r"\blast",
        claims="more",
    ),
    DECODER.case(
        "another cap of the logits",
        {"cap": 30.0},
        "after head: 30 in JAX, 5 in PyTorch",
        (number(30), number(CAP)),
        where="head|itself",
        false=other_side(CAP, 30),
    ),
)
