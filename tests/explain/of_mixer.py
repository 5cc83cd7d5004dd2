"""Mistakes in a port of a small mixer: RMS norms by hand, mixing over tokens, a gated MLP, mean and deviation pooled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch
from field.records import Models
from flax import nnx
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right, together
from explain.words import EXCHANGED, FORGETS, SHIFTED, number, other_side

BATCH, TOKENS, WIDTH, HIDDEN = 3, 5, 8, 12
LINEAR = ("mix", "g", "u", "d", "head")
Array = Any


class Mixer(nn.Module):
    """With ``modules`` the activations are modules."""

    def __init__(self, modules: bool) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))
        self.mix = nn.Linear(TOKENS, TOKENS)
        self.g, self.u, self.d = nn.Linear(WIDTH, HIDDEN), nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.act, self.bend = (nn.SiLU(), nn.Tanh()) if modules else (F.silu, torch.tanh)
        self.head = nn.Linear(2 * WIDTH, 3)

    def forward(self, x: Any) -> Any:
        y = self.mix(scaled(x, self.w1).transpose(1, 2))
        x = x + self.bend(y).transpose(1, 2)
        h = scaled(x, self.w2)
        x = x + self.d(self.act(self.g(h)) * self.u(h))
        return self.head(torch.cat([x.mean(1), x.std(1)], -1))


def scaled(x: Any, weight: Any) -> Any:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight


def rms_normed(x: Array, weight: Array, epsilon: float = 1e-6, centred: bool = False, offset: float = 0.0) -> Array:
    x = x - x.mean(-1, keepdims=True) if centred else x
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + epsilon) * (offset + weight)


def gated(g: Array, u: Array, act: Callable[[Array], Array] = jax.nn.silu) -> Array:
    return act(g) * u


def itself(x: Array, *_: Any) -> Array:
    return x


@dataclass(frozen=True)
class Port:
    """The same in JAX. A mistake replaces some of these parts."""

    norm: Callable[..., Array] = rms_normed
    mixed_norm: Callable[..., Array] | None = None
    """The norm before the tokens are mixed; None: as the other one."""
    bend: Callable[[Array], Array] = jnp.tanh
    moved: int = 0
    gate: Callable[[Array, Array], Array] = gated
    centre: Callable[[Array], Array] = lambda x: x.mean(1)
    spread: Callable[[Array], Array] = lambda x: x.std(1, ddof=1)
    join: Callable[[Array, Array], list[Array]] = lambda centre, spread: [centre, spread]

    def logits(self, layer: Mapping[str, Any], w1: Array, w2: Array, x: Array) -> Array:
        y = layer["mix"]((self.mixed_norm or self.norm)(x, w1).transpose(0, 2, 1))
        x = x + jnp.roll(self.bend(y).transpose(0, 2, 1), self.moved, 1)
        h = self.norm(x, w2)
        x = x + layer["d"](self.gate(layer["g"](h), layer["u"](h)))
        return layer["head"](jnp.concatenate(self.join(self.centre(x), self.spread(x)), -1))


class Module(nnx.Module):
    """The port as a module of flax."""

    def __init__(self, own: Mapping[str, Any], **change: Any) -> None:
        self.port = Port(**change)
        for name in LINEAR:
            outputs, inputs = own[f"{name}.weight"].shape
            layer = nnx.Linear(inputs, outputs, rngs=nnx.Rngs(0))
            layer.kernel[...], layer.bias[...] = jnp.asarray(own[f"{name}.weight"].T), jnp.asarray(own[f"{name}.bias"])
            setattr(self, name, layer)
        self.w1, self.w2 = (nnx.Param(jnp.asarray(own[name])) for name in ("w1", "w2"))

    def __call__(self, x: Array) -> Array:
        return self.port.logits({name: getattr(self, name) for name in LINEAR}, self.w1[...], self.w2[...], x)


def linear(p: Mapping[str, Array], name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def port(*, modules: bool, **change: Any) -> Models:
    torch.manual_seed(0)
    model = randomised(Mixer(modules))
    x = [normals(BATCH, TOKENS, WIDTH, seed=1)]
    if modules:
        return Models(model, Module(weights_of(model), **change), x)
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}

    def logits(p: Mapping[str, Array], x: Array) -> Array:
        return Port(**change).logits({name: partial(linear, p, name) for name in LINEAR}, p["w1"], p["w2"], x)

    return Models(model, logits, x, params)


FUNCTIONS = Right("mixer of functions", "model", partial(port, modules=False), blind=False)
MODULES = Right("mixer of modules", "model", partial(port, modules=True), blind=False)
NORMS, GATE, MIX = r"\bw[12]\b|\bg\b|\bu\b|\bmix\b|rms|mean\(pow", r"\b[gud]\b|\bact\b", r"\bmix\b|\bbend\b|\bg\b|\bw2\b"

GATES_TURNED = (
    "gate and value exchanged",
    {"gate": lambda g, u: gated(u, g)},
    "d: JAX has g and u exchanged: it applies silu to u",
    (r"\bg\b", r"\bu\b", EXCHANGED + r"|silu (to|of) u|to u\b"),
)
GELU = (
    "gelu for silu",
    {"gate": partial(gated, act=partial(jax.nn.gelu, approximate=False))},
    "g: gelu in JAX, silu in PyTorch",
    ("gelu", "silu"),
)
NO_TANH = ("tanh forgotten", {"bend": itself}, "mix: JAX forgets tanh", (FORGETS, r"tanh|\bbend"))
BIASED = (
    "biased deviation",
    {"spread": lambda x: x.std(1)},
    "head: JAX divides the variance by n, PyTorch by n - 1",
    (r"n - 1|correction|ddof|unbiased|biased|Bessel",),
    (r"divi", number(4), number(5)),
)


def both_styles(case: tuple[Any, ...], where: str, **more: Any) -> Any:
    return FUNCTIONS.case(*case, where=where, **more), MODULES.case(*case, where=where, **more)


ENDS = r"head|\bd\b|cat|std|mean"
TURNED, _ = GATE_CASES = both_styles(GATES_TURNED, GATE, claims="exchanged activation", false=("JAX forgets",))
UNBENT, _ = TANH_CASES = both_styles(NO_TANH, MIX, claims="forgets")
SMALL, _ = SPREAD_CASES = both_styles(BIASED, ENDS, claims="divisor", false=(r"JAX (divides )?(the variance )?by n - 1",))
ROLLED = FUNCTIONS.case(
    "rolled by a token",
    {"moved": 1},
    "mix: JAX shifts it by 1 token",
    SHIFTED,
    where=MIX,
    claims="shifted",
)
SUMMED = FUNCTIONS.case(
    "sum for the mean",
    {"centre": lambda x: x.sum(1)},
    "head: sum in JAX, mean in PyTorch",
    (r"\bsum", r"mean|average"),
    (f"times {number(5)}|{number(5)} times", "mean"),
    where=ENDS,
    false=("JAX takes the mean",),
)
JOINED = FUNCTIONS.case(
    "parts joined in another order",
    {"join": lambda centre, spread: [spread, centre]},
    "head: JAX has the mean and the deviation exchanged in the concatenation",
    (EXCHANGED + "|concat|order", r"concat|cat\b|order|parts|mean.*(std|deviation)|std.*mean"),
    (r"head\.weight", r"permut|order|exchang|columns"),
    where=ENDS,
    claims="exchanged",
)
CASES = (
    *GATE_CASES,
    *both_styles(GELU, GATE, claims="activation"),
    *TANH_CASES,
    *SPREAD_CASES,
    FUNCTIONS.case(
        "sigmoid for silu",
        {"gate": partial(gated, act=jax.nn.sigmoid)},
        "g: sigmoid in JAX, silu in PyTorch",
        ("sigmoid", "silu|times|multipl"),
        where=GATE,
        claims="activation forgets",
    ),
    FUNCTIONS.case(
        "epsilon of both norms",
        {"norm": partial(rms_normed, epsilon=1e-2)},
        "w1, w2: the RMS norms' epsilon: 0.01 in JAX, 1e-06 in PyTorch",
        (r"\beps", number(1e-2), number(1e-6)),
        where=NORMS,
        claims="epsilon",
        false=other_side(1e-6, 1e-2),
    ),
    FUNCTIONS.case(
        "centred norms",
        {"norm": partial(rms_normed, centred=True)},
        "w1, w2: JAX subtracts the mean, PyTorch does not",
        (r"mean|centr", r"subtract|minus|centr|more"),
        where=NORMS,
        claims="more negative",
    ),
    FUNCTIONS.case(
        "one plus the weight",
        {"norm": partial(rms_normed, offset=1.0)},
        "w1, w2: JAX adds 1 to the weight",
        (r"1 \+|\+ 1|plus (1|one)|adds? (1|one)|(offset|more).*\b1\b|\b1\b.*(offset|more)",),
        where=NORMS,
        claims="more",
    ),
    FUNCTIONS.case(
        "tokens mixed without a norm",
        {"mixed_norm": itself},
        "w1: JAX forgets the RMS norm before mix",
        (FORGETS, r"norm|rms|w1"),
        where=r"\bw1\b|\bmix\b",
        claims="forgets",
    ),
    ROLLED,
    SUMMED,
    FUNCTIONS.case(
        "variance for deviation",
        {"spread": lambda x: x.var(1, ddof=1)},
        "head: variance in JAX, standard deviation in PyTorch",
        (r"\bvar", r"\bstd|deviation|root"),
        (FORGETS, r"sqrt|root"),
        where=ENDS,
        claims="forgets",
    ),
    JOINED,
    together(SUMMED, SMALL),
    together(SUMMED, JOINED),
    together(ROLLED, UNBENT),
)
