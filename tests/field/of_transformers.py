"""Bugs of transformers: BERT and layers dropped in training. Its Gemma is in ``of_transformers_gemma``."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F
from flax import linen
from ported import randomised, weights_of
from torch import nn
from zoo.of_linen import dense, norm

from field.records import Bug, Check, Models, Trainings

Array = Any
WORDS, PLACES, WIDTH, HEADS, LAYERS = 29, 12, 16, 2, 3
EPS = 1e-12
RATE = 0.5
STEPS = 6
IDS = np.random.default_rng(1).integers(0, WORDS, size=(STEPS, 2, 7))
TYPES = (np.arange(7) > 3)[None].repeat(2, 0).astype(np.int64)
LABELS = np.random.default_rng(2).integers(0, WORDS, size=(STEPS, 2, 7))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """A model with random weights, whose biases and norms are not at their usual start."""
    torch.manual_seed(0)
    return randomised(make())


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v)
        return self.output(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """An encoder's layer, with its norms behind the sums."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.attention_norm = nn.LayerNorm(width, eps=EPS)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.output_norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attention_norm(x + self.attention(x))
        return self.output_norm(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    """BERT for masked words: its decoder's matrix is the table of words."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(PLACES, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPS)
        self.layers = nn.ModuleList(Layer(WIDTH, HEADS) for _ in range(LAYERS))
        self.transform = nn.Linear(WIDTH, WIDTH)
        self.transform_norm = nn.LayerNorm(WIDTH, eps=EPS)
        self.decoder = nn.Linear(WIDTH, WORDS)
        self.decoder.weight = self.words.weight

    def forward(self, ids: torch.Tensor, types: torch.Tensor, drawn: torch.Tensor | None = None) -> torch.Tensor:
        """A layer is left out where the number drawn for it is below the rate."""
        x = self.norm(self.words(ids) + self.places(torch.arange(ids.shape[1])) + self.types(types))
        for k, layer in enumerate(self.layers):
            if drawn is None or float(drawn[k]) >= RATE:
                x = layer(x)
        return self.decoder(self.transform_norm(F.gelu(self.transform(x))))


class FlaxSelfAttention(linen.Module):
    heads: int

    @linen.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        q, k, v = (
            linen.Dense(width, name=name)(x).reshape(*x.shape[:-1], self.heads, -1) for name in ("query", "key", "value")
        )
        y = linen.dot_product_attention(q, k, v)
        return linen.Dense(width, name="output")(y.reshape(x.shape))


class FlaxLayer(linen.Module):
    heads: int
    gelu: Callable[[Array], Array]

    @linen.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        x = linen.LayerNorm(EPS, name="attention_norm")(x + FlaxSelfAttention(self.heads, name="attention")(x))
        y = self.gelu(linen.Dense(4 * width, name="up")(x))
        return linen.LayerNorm(EPS, name="output_norm")(x + linen.Dense(width, name="down")(y))


class FlaxBert(linen.Module):
    """``approximate``, ``tied`` and ``traced`` are the three bugs' places: see ``BUGS``."""

    approximate: bool = False
    tied: bool = True
    traced: bool = False

    @linen.compact
    def __call__(self, ids: Array, types: Array, drawn: Array | None = None) -> Array:
        gelu = partial(linen.gelu, approximate=self.approximate)
        words = linen.Embed(WORDS, WIDTH, name="words")
        places, kinds = linen.Embed(PLACES, WIDTH, name="places"), linen.Embed(2, WIDTH, name="types")
        x = linen.LayerNorm(EPS, name="norm")(words(ids) + places(jnp.arange(ids.shape[1])) + kinds(types))
        dice = random.Random(0)
        for k in range(LAYERS):
            layer = FlaxLayer(HEADS, gelu, name=f"layers_{k}")
            if drawn is None:
                x = layer(x)
            elif self.traced:
                x = layer(x) if dice.random() >= RATE else x
            else:
                x = jnp.where(drawn[k] < RATE, x, layer(x))
        x = linen.LayerNorm(EPS, name="transform_norm")(gelu(linen.Dense(WIDTH, name="transform")(x)))
        bias = self.param("bias", linen.initializers.zeros, (WORDS,))
        if self.tied:
            return words.attend(x) + bias
        return linen.Dense(WORDS, use_bias=False, name="decoder")(x) + bias


def flax_params(model: nn.Module, *, tied: bool = True) -> dict[str, Any]:
    """torch's weights by the names of ``FlaxBert``."""
    own = weights_of(model)

    def layer(path: str) -> dict[str, Any]:
        attention = {name: dense(own, f"{path}.attention.{name}") for name in ("query", "key", "value", "output")}
        denses = {name: dense(own, f"{path}.{name}") for name in ("up", "down")}
        norms = {name: norm(own, f"{path}.{name}") for name in ("attention_norm", "output_norm")}
        return {"attention": attention, **denses, **norms}

    return {
        **{name: {"embedding": jnp.asarray(own[f"{name}.weight"])} for name in ("words", "places", "types")},
        **{f"layers_{k}": layer(f"layers.{k}") for k in range(LAYERS)},
        "norm": norm(own, "norm"),
        "transform": dense(own, "transform"),
        "transform_norm": norm(own, "transform_norm"),
        "bias": jnp.asarray(own["decoder.bias"]),
        **({} if tied else {"decoder": {"kernel": jnp.asarray(own["words.weight"].T)}}),
    }


def bert(*, approximate: bool) -> Models:
    """BERT's "gelu" is the exact one; linen's ``gelu`` is not, unless told so."""
    model = seeded(Bert)
    port = FlaxBert(approximate=approximate).bind({"params": flax_params(model)})
    return Models(model, port, [IDS[0], TYPES])


def masked_words(*, tied: bool = True, traced: bool = False, drop: bool = False) -> Trainings:
    """The training of masked words by gradient descent, whose batches may hold the numbers that drop layers."""
    model = seeded(Bert).train()
    optimizer, transform = torch.optim.SGD(model.parameters(), lr=0.05), optax.sgd(0.05)
    port = FlaxBert(tied=tied, traced=traced)

    def torch_step(ids: torch.Tensor, types: torch.Tensor, labels: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(ids, types, *drawn).flatten(0, 1), labels.flatten())
        loss.backward()
        optimizer.step()
        return loss

    def jax_step(state: dict[str, Any], ids: Array, types: Array, labels: Array, *drawn: Array) -> tuple[Any, Any]:
        def loss_of(params: Any) -> Array:
            logits = port.apply({"params": params}, ids, types, *drawn)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, gradients = jax.value_and_grad(loss_of)(state["params"])
        updates, optimizer_state = transform.update(gradients, state["optimizer"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "optimizer": optimizer_state}, {"loss": loss, "gradients": gradients}

    dice = random.Random(0)
    numbers = [[np.array([dice.random() for _ in range(LAYERS)], np.float32)] if drop else [] for _ in range(STEPS)]
    batches = [[IDS[k], TYPES, LABELS[k], *numbers[k]] for k in range(STEPS)]
    params = flax_params(model, tied=tied)
    state = {"params": params, "optimizer": transform.init(params)}
    return Trainings(torch_step, jax_step, batches, (model, optimizer), state)


BUGS = (
    Bug(
        name="transformers_bert_gelu",
        project="huggingface/transformers",
        place="https://github.com/huggingface/transformers/pull/11364",
        what="Flax BERT computes the tanh form of gelu, where PyTorch's computes the exact one.",
        shows="values",
        right=lambda: bert(approximate=False),
        wrong=lambda: bert(approximate=True),
        cause=(r"gelu_tanh", r"tanh (form|approximation)", r"approximate"),
        where=r"layers\.0",
        check=Check(0.0, 1e-3, "tests/test_modeling_flax_common.py: assert_almost_equals(..., 1e-3)"),
    ),
    Bug(
        name="transformers_bert_untied",
        project="huggingface/transformers",
        place="https://github.com/huggingface/transformers/pull/11364",
        what="Flax BERT for masked words holds a matrix of its own in the decoder, where PyTorch's is the table of words.",
        shows="training",
        right=lambda: masked_words(tied=True),
        wrong=lambda: masked_words(tied=False),
        cause=(r"\b(un)?tied\b", r"\btying\b", r"\bshar(e|ed|es|ing)\b", r"one parameter|the same parameter|two parameters"),
        where=r"gradient|parameter|words|decoder",
    ),
    Bug(
        name="transformers_layerdrop",
        project="huggingface/transformers",
        place="https://github.com/huggingface/transformers/issues/35468",
        what="Flax draws which layers to drop with Python's random, once, when JAX traces: each step drops the same ones.",
        shows="training",
        right=lambda: masked_words(drop=True),
        wrong=lambda: masked_words(drop=True, traced=True),
        cause=(
            r"\bdrop(s|ped|ping)?\b|layerdrop",
            r"\bskip(s|ped|ping)?\b|leaves? out|left out",
            r"\b(constant|fixed|frozen|baked)\b.*\btrac",
            r"(argument|input|batch).*(not|never) (used|read)|unused|ignor",
            r"does not depend on",
        ),
        where=r"model|layers",
    ),
)
