"""Mistakes in a port of a small transformer: pre-norm, causal, rotary by halves, the last token classified."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch
from field.records import Models
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right, together
from explain.words import EXCHANGED, FORGETS, MORE, MOVED, NEGATIVE, number, other_side

BATCH, TOKENS, WIDTH, HEADS, HEAD, CLASSES = 2, 6, 8, 2, 4, 3
BASE = 500.0
Array = Any
Weights = Mapping[str, Array]


class Block(nn.Module):
    """With ``modules`` each operation that can be a module is one."""

    def __init__(self, modules: bool) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.act = nn.GELU() if modules else F.gelu
        self.soft = nn.Softmax(-1) if modules else partial(F.softmax, dim=-1)
        angles = torch.outer(torch.arange(TOKENS).double(), BASE ** (-torch.arange(0, HEAD, 2).double() / HEAD))
        self.register_buffer("cos", torch.cat([angles, angles], -1).cos().float())
        self.register_buffer("sin", torch.cat([angles, angles], -1).sin().float())

    def rotated(self, x: Any) -> Any:
        left, right = x.chunk(2, -1)
        return x * self.cos + torch.cat([-right, left], -1) * self.sin

    def forward(self, x: Any) -> Any:
        h = self.n1(x)
        q, k, v = (projection(h).unflatten(-1, (HEADS, HEAD)).transpose(1, 2) for projection in (self.q, self.k, self.v))
        scores = self.rotated(q) @ self.rotated(k).transpose(-1, -2) / math.sqrt(HEAD)
        scores = scores.masked_fill(torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1), -1e9)
        x = x + self.o((self.soft(scores) @ v).transpose(1, 2).flatten(2))
        return x + self.down(self.act(self.up(self.n2(x))))


class Transformer(nn.Module):
    def __init__(self, modules: bool) -> None:
        super().__init__()
        self.h = nn.ModuleList(Block(modules) for _ in range(2))
        self.n, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Any) -> Any:
        for block in self.h:
            x = block(x)
        return self.head(self.n(x)[:, -1])


def linear(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def transposed(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def without_bias(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T


def normed(p: Weights, name: str, x: Array, epsilon: float = 1e-5) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt(x.var(-1, keepdims=True) + epsilon) * p[f"{name}.weight"] + p[f"{name}.bias"]


def itself(x: Array, *_: Any) -> Array:
    return x


gelu = partial(jax.nn.gelu, approximate=False)


def angles_of(base: float) -> Array:
    return jnp.outer(jnp.arange(TOKENS), base ** (-jnp.arange(0, HEAD, 2) / HEAD))


def by_halves(x: Array, base: float = BASE, sign: float = 1.0) -> Array:
    both = jnp.concatenate([angles_of(base)] * 2, -1)
    left, right = jnp.split(x, 2, -1)
    return x * jnp.cos(both) + jnp.concatenate([-sign * right, sign * left], -1) * jnp.sin(both)


def interleaved(x: Array) -> Array:
    cos, sin = jnp.cos(angles_of(BASE)), jnp.sin(angles_of(BASE))
    even, odd = x[..., ::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)


def causal(scores: Array, diagonal: int = 0) -> Array:
    return jnp.where(jnp.tril(jnp.ones((TOKENS, TOKENS), bool), diagonal), scores, -1e9)


@dataclass(frozen=True)
class Port:
    """The same in JAX. A mistake replaces some of these parts."""

    act: Callable[[Array], Array] = gelu
    """Of the last block; the first has the right one."""
    before: Callable[..., Array] = normed
    """The norm before attention."""
    epsilons: Mapping[str, float] = field(default_factory=dict)
    post: bool = False
    names: str = "qkv"
    value: Callable[..., Array] = linear
    rotate: Callable[[Array], Array] = by_halves
    divisor: float = math.sqrt(HEAD)
    scores_in: Any = jnp.float32
    mask: Callable[[Array], Array] = causal
    axis: int = -1
    merge: Sequence[int] = (0, 2, 1, 3)
    out: Callable[..., Array] = linear
    add: Callable[[Array, Array, Array], Array] = lambda x, y, normed: x + y
    blocks: Sequence[int] = (0, 1)
    pool: Callable[[Array], Array] = lambda x: x[:, -1]

    def attended(self, p: Weights, name: str, h: Array) -> Array:
        made = zip(self.names, (linear, linear, self.value), strict=True)
        q, k, v = (of(p, name + suffix, h).reshape(BATCH, TOKENS, HEADS, HEAD).transpose(0, 2, 1, 3) for suffix, of in made)
        scores = jnp.einsum("bhqd,bhkd->bhqk", self.rotate(q), self.rotate(k)) / self.divisor
        scores = self.mask(scores.astype(self.scores_in))
        y = jax.nn.softmax(scores, self.axis).astype(v.dtype) @ v
        return self.out(p, name + "o", y.transpose(self.merge).reshape(BATCH, TOKENS, WIDTH))

    def norm(self, p: Weights, name: str, x: Array) -> Array:
        return normed(p, name, x, self.epsilons.get(name, 1e-5))

    def block(self, p: Weights, name: str, x: Array, act: Callable[[Array], Array]) -> Array:
        if self.post:
            x = self.norm(p, name + "n1", x + self.attended(p, name, x))
            return self.norm(p, name + "n2", x + linear(p, name + "down", act(linear(p, name + "up", x))))
        h = self.before(p, name + "n1", x)
        x = self.add(x, self.attended(p, name, h), h)
        return x + linear(p, name + "down", act(linear(p, name + "up", self.norm(p, name + "n2", x))))

    def logits(self, p: Weights, x: Array) -> Array:
        for k in self.blocks:
            x = self.block(p, f"h.{k}.", x, self.act if k == 1 else gelu)
        return linear(p, "head", self.pool(self.norm(p, "n", x)))


def port(*, modules: bool, **change: Any) -> Models:
    torch.manual_seed(0)
    model = randomised(Transformer(modules))
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items() if not name.endswith(("cos", "sin"))}
    return Models(model, Port(**change).logits, [normals(BATCH, TOKENS, WIDTH, seed=1)], params)


FUNCTIONS = Right("transformer of functions", "model", partial(port, modules=False), blind=False)
MODULES = Right("transformer of modules", "model", partial(port, modules=True), blind=False)
LAST, EACH, TOP = r"\bh\.(1|\*)", r"\bh\.[01*]|layers|\bh\b", ""
SOFTMAX_AXIS = ("softmax", r"axis|\bdim", r"-2|\b2\b")

AXIS = FUNCTIONS.case(
    "softmax over queries",
    {"axis": -2},
    "h.0: softmax over axis -2 in JAX, -1 in PyTorch, in 2 layers alike",
    SOFTMAX_AXIS,
    where=EACH,
    claims="axis",
)
MASK_OFF = FUNCTIONS.case(
    "mask one token late",
    {"mask": partial(causal, diagonal=1)},
    "h.0: the mask's diagonal is 1 in JAX, 0 in PyTorch",
    ("mask", r"diagonal|PyTorch masks|does not mask|off by one|\b1\b|one token"),
    where=EACH,
    claims="mask shifted",
)
HEADS_TURNED = FUNCTIONS.case(
    "heads merged within each feature",
    {"merge": (0, 2, 3, 1)},
    "h.0: heads merged as (d, h), PyTorch (h, d)",
    (r"heads?\b|axes|head_dim", r"order|merged|permut|transpos|exchang|\(d, h\)"),
    where=EACH,
    claims="transposed exchanged",
)
TANH = ("tanh form of gelu", {"act": jax.nn.gelu}, "h.1: gelu: the tanh form in JAX, exact in PyTorch")
NO_ACT = ("gelu forgotten", {"act": itself}, "h.1.up: JAX forgets gelu after it")
MINUS = ("attention subtracted", {"add": lambda x, y, _: x - y}, "h.0.o: JAX subtracts where PyTorch adds, in 2 layers")

SINGLE = (
    FUNCTIONS.case(*TANH, ("gelu", "tanh|approximat"), where=LAST, claims="activation"),
    FUNCTIONS.case(
        "relu for gelu",
        {"act": jax.nn.relu},
        "h.1: relu in JAX, gelu in PyTorch",
        ("relu", "gelu"),
        where=LAST,
        claims="activation",
        false=("tanh",),
    ),
    FUNCTIONS.case(
        "quick gelu",
        {"act": lambda x: x * jax.nn.sigmoid(1.702 * x)},
        "h.1: quick_gelu (x * sigmoid(1.702 x)) in JAX, gelu in PyTorch",
        ("gelu", r"quick|1\.702"),
        where=LAST,
        claims="activation",
        false=("tanh",),
    ),
    FUNCTIONS.case(*NO_ACT, (FORGETS, "gelu"), where=LAST, claims="forgets", false=("tanh",)),
    FUNCTIONS.case(
        "gelu twice",
        {"act": lambda x: gelu(gelu(x))},
        "h.1: JAX applies gelu twice",
        ("gelu", MORE),
        where=LAST,
        claims="more activation",
        false=("tanh",),
    ),
    FUNCTIONS.case(
        "residual forgotten",
        {"add": lambda x, y, _: y},
        "h.0: JAX forgets the residual x, which PyTorch adds to h.0.o",
        (FORGETS, r"residual|\badd|\bsum|\+"),
        where=EACH,
        claims="residual forgets",
    ),
    FUNCTIONS.case(
        "residual from the normed value",
        {"add": lambda x, y, normed: normed + y},
        "h.0: the residual is the result of n1 in JAX, x in PyTorch",
        (r"\bn1|norm", r"residual|\badd|\bsum", r"\bx\b|input"),
        where=EACH,
        claims="residual",
        false=("JAX forgets",),
    ),
    FUNCTIONS.case(*MINUS, (NEGATIVE, r"h\.[01*]\.o\b|residual|attention"), where=EACH, claims="negative residual"),
    FUNCTIONS.case(
        "norms after the sums",
        {"post": True},
        "h.0: JAX applies n1 after the sum, PyTorch before attention",
        (r"\bn1|norm", MOVED + "|post-norm"),
        where=EACH,
        claims="residual",
    ),
    FUNCTIONS.case(
        "norm forgotten",
        {"before": lambda p, name, x: x},
        "h.0.n1: JAX forgets this LayerNorm; h.0.q uses x as it is",
        (FORGETS, r"\bn1|norm"),
        where=EACH,
        claims="forgets",
        false=("moved|applies .* after",),
    ),
    FUNCTIONS.case(
        "epsilon of one norm",
        {"epsilons": {"h.1.n2": 1e-6}},
        "h.1.n2: LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch",
        (r"\beps", number(1e-6), number(1e-5)),
        where=r"h\.1\.n2",
        claims="epsilon",
        false=other_side(1e-5, 1e-6),
    ),
    FUNCTIONS.case(
        "scores divided by the head's width",
        {"divisor": float(HEAD)},
        "h.0: the scores' divisor is 4 in JAX, 2 in PyTorch",
        (r"divi|scale", number(4.0), number(2.0)),
        (r"times|multipl|scale", number(0.5)),
        where=EACH,
        false=other_side(2.0, 4.0),
    ),
    FUNCTIONS.case(
        "scores not divided",
        {"divisor": 1.0},
        "h.0: JAX forgets to divide the scores by 2",
        (f"{FORGETS}|times|scale", r"divi|scale|times", number(2.0)),
        (FORGETS, r"\bdiv|scale"),
        where=EACH,
        claims="forgets",
    ),
    AXIS,
    MASK_OFF,
    FUNCTIONS.case(
        "mask forgotten",
        {"mask": itself},
        "h.0: JAX forgets the mask",
        (FORGETS, r"mask"),
        where=EACH,
        claims="mask forgets",
    ),
    FUNCTIONS.case(
        "queries and keys exchanged",
        {"names": "kqv"},
        "h.0: JAX has q and k exchanged",
        (EXCHANGED, r"\bq\b", r"\bk\b"),
        ("transposed", "scores|bmm|matmul"),
        where=EACH,
        claims="exchanged transposed",
    ),
    HEADS_TURNED,
    FUNCTIONS.case(
        "heads not brought back",
        {"merge": (0, 1, 2, 3)},
        "h.0: JAX forgets to exchange tokens and heads before it merges the heads",
        (FORGETS, "transpos|permut|exchang|axes"),
        (r"heads?\b|axes", r"tokens?\b|permut|transpos"),
        where=EACH,
        claims="forgets transposed exchanged",
    ),
    FUNCTIONS.case(
        "rotary interleaved",
        {"rotate": interleaved},
        "h.0: rotary positions are interleaved in JAX, by halves in PyTorch",
        "interleav|even and odd|adjacent|pairs of neighbours",
        where=EACH,
        false=(r"does not apply h\.0\.(cos|sin)", r"halves in JAX|JAX has [^,;]*in halves"),
    ),
    FUNCTIONS.case(
        "rotary backward",
        {"rotate": partial(by_halves, sign=-1.0)},
        "h.0: JAX subtracts where PyTorch adds: the rotation has another sign",
        (NEGATIVE, r"rotat|rotary|\bsin|\bcos|\bcat|angle|\b[qk]\b|\bmul"),
        where=EACH,
        claims="negative reversed",
    ),
    FUNCTIONS.case(
        "rotary base",
        {"rotate": partial(by_halves, base=10000.0)},
        "h.0.cos: the rotary base is 10000 in JAX, 500 in PyTorch",
        (number(10000.0), number(BASE)),
        ("base", number(10000.0)),
        where=EACH,
        false=(*other_side(BASE, 10000.0), "JAX forgets"),
        claims="frequencies",
    ),
    FUNCTIONS.case(
        "value's weight transposed",
        {"value": transposed},
        "h.0.v: JAX has its weight transposed",
        "transpos",
        where=r"h\.[01*]\.v",
        claims="transposed",
    ),
    FUNCTIONS.case(
        "scores in bfloat16",
        {"scores_in": jnp.bfloat16},
        "h.0: JAX casts the scores to bfloat16",
        "bfloat16",
        claims="cast",
    ),
    FUNCTIONS.case(
        "layers in reverse order",
        {"blocks": (1, 0), "act": gelu},
        "layers in reverse order: JAX uses h.1's weights for h.0",
        (r"layers?\b|blocks?\b|h\.0.*h\.1|h\.1.*h\.0", EXCHANGED),
        claims="reversed exchanged",
    ),
    FUNCTIONS.case(
        "bias forgotten",
        {"out": without_bias},
        "h.0.o: JAX forgets its bias",
        ("bias", FORGETS),
        where=r"h\.[01*]\.o",
        claims="bias forgets",
    ),
    FUNCTIONS.case(
        "mean over the tokens",
        {"pool": lambda x: x.mean(1)},
        "JAX takes the mean over the tokens, PyTorch the last token (select of n)",
        ("mean|average", r"select|token|index|position|-1|\[:, ?-1"),
        false=(r"mean in PyTorch",),
        claims="axis",
    ),
    FUNCTIONS.case(
        "first token",
        {"pool": lambda x: x[:, 0]},
        "after n: the index is 0 in JAX, -1 in PyTorch",
        ("index|token|position|select|slice|element", r"\b0\b|first", r"-1|last|\b5\b"),
        false=("JAX forgets",),
    ),
    MODULES.case(*TANH, ("gelu", "tanh|approximat"), where=r"h\.1", claims="activation"),
    MODULES.case(*NO_ACT, (FORGETS, r"gelu|h\.1\.act"), where=r"h\.1", claims="forgets", false=("tanh",)),
    MODULES.case("softmax over queries", AXIS.change, AXIS.good, SOFTMAX_AXIS, where=EACH, claims="axis"),
    MODULES.case(*MINUS, (NEGATIVE, r"h\.[01*]\.o\b|residual|attention"), where=EACH, claims="negative residual"),
)
CASES = (*SINGLE, together(AXIS, MASK_OFF), together(HEADS_TURNED, AXIS))
