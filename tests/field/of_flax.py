"""Bugs of flax and optax."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from torch import nn
from zoo.architecture import state_of

from field.of_algoperf import random_model
from field.of_algoperf_resnet import resnet
from field.records import Bug, Models, Optimizers

Array = Any
TOKENS, WIDTH, HIDDEN, TAGS = 11, 5, 6, 4


def rmsprop(*, inside: bool) -> Optimizers:
    """torch adds epsilon outside the root; ``eps_in_sqrt`` is optax's default."""
    return Optimizers(
        lambda params: torch.optim.RMSprop(params, lr=1e-2, alpha=0.9, eps=1e-3),
        optax.rmsprop(1e-2, decay=0.9, eps=1e-3, eps_in_sqrt=inside),
    )


class Tagger(nn.Module):
    """Tags for the tokens of a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, WIDTH)
        self.gru = nn.GRU(WIDTH, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, TAGS)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.gru(self.embedding(tokens))[0])


class Cell(nnx.Module):
    """Like flax's ``nnx.GRUCell``: one layer for the input of all gates, one for the hidden state.

    Each gate has one bias, that of the input, but the new gate needs that of the hidden state too.
    """

    def __init__(self, hidden_bias: bool) -> None:
        rngs = nnx.Rngs(0)
        self.dense_i = nnx.Linear(WIDTH, 3 * HIDDEN, rngs=rngs)
        self.dense_h = nnx.Linear(HIDDEN, 3 * HIDDEN, use_bias=False, rngs=rngs)
        self.hn_bias = nnx.Param(jnp.zeros(HIDDEN)) if hidden_bias else None

    def __call__(self, h: Array, x: Array) -> Array:
        of_input, of_hidden = (jnp.split(gates, 3, -1) for gates in (self.dense_i(x), self.dense_h(h)))
        r, z = (nnx.sigmoid(gate + other) for gate, other in zip(of_input[:2], of_hidden[:2], strict=True))
        hidden = of_hidden[2] if self.hn_bias is None else of_hidden[2] + self.hn_bias[...]
        return (1 - z) * jnp.tanh(of_input[2] + r * hidden) + z * h


class NnxTagger(nnx.Module):
    def __init__(self, hidden_bias: bool) -> None:
        rngs = nnx.Rngs(0)
        self.embedding = nnx.Embed(TOKENS, WIDTH, rngs=rngs)
        self.cell = Cell(hidden_bias)
        self.head = nnx.Linear(HIDDEN, TAGS, rngs=rngs)

    def __call__(self, tokens: Array) -> Array:
        x: Any = self.embedding(tokens)
        h, states = jnp.zeros((len(x), HIDDEN), x.dtype), []
        for t in range(x.shape[1]):
            h = self.cell(h, x[:, t])
            states.append(h)
        return self.head(jnp.stack(states, 1))


def gru(*, hidden_bias: bool) -> Models:
    model = random_model(Tagger())
    state = state_of(model)
    port = NnxTagger(hidden_bias)
    of_new_gate = np.arange(3 * HIDDEN) >= 2 * HIDDEN
    hidden_biases = state["gru.bias_hh_l0"]
    given: list[tuple[Any, np.ndarray]] = [
        (port.embedding.embedding, state["embedding.weight"]),
        (port.cell.dense_i.kernel, state["gru.weight_ih_l0"].T),
        (port.cell.dense_i.bias, state["gru.bias_ih_l0"] + np.where(of_new_gate, 0, hidden_biases)),
        (port.cell.dense_h.kernel, state["gru.weight_hh_l0"].T),
        (port.head.kernel, state["head.weight"].T),
        (port.head.bias, state["head.bias"]),
    ]
    if hidden_bias:
        given.append((port.cell.hn_bias, hidden_biases[of_new_gate]))
    for parameter, value in given:
        parameter[...] = jnp.asarray(value)
    tokens = np.random.default_rng(1).integers(0, TOKENS, (3, 4)).astype(np.int32)
    return Models(model, port, [tokens])


BUGS = (
    Bug(
        name="optax_rmsprop_epsilon",
        project="google-deepmind/optax",
        place="https://github.com/google-deepmind/optax/issues/532",
        what="RMSprop adds its epsilon inside the root, where PyTorch adds it outside.",
        shows="training",
        right=lambda: rmsprop(inside=False),
        wrong=lambda: rmsprop(inside=True),
        cause=(r"eps\w* (inside|in) the (square )?root", r"inside the (square )?root"),
    ),
    Bug(
        name="flax_same_padding",
        project="google/flax",
        place="https://github.com/google/flax/issues/2993",
        what="A ResNet of flax has the padding SAME, which pads less above and to the left if the stride is 2.",
        shows="values",
        right=lambda: resnet(16),
        wrong=lambda: resnet(16, stem="SAME", pool="SAME", inner="SAME"),
        cause=(r"\bpad", r"\bSAME\b"),
        where=r"^conv1\b",
    ),
    Bug(
        name="flax_gru_hidden_bias",
        project="google/flax",
        place="https://github.com/google/flax/issues/5594",
        what="GRUCell of nnx has no bias of the hidden state in the new gate, where PyTorch and linen have one.",
        shows="values",
        right=lambda: gru(hidden_bias=True),
        wrong=lambda: gru(hidden_bias=False),
        cause=(
            r"\b(bias_hh|b_hn|hidden bias|hn_bias)",
            r"bias\b.*(missing|left out|lacks|not (used|added)|no partner|no counterpart|without)",
            r"(misses|lacks|leaves out|without|does not (add|have|use)|has no)\b.*\bbias",
        ),
        where=r"gru",
    ),
)
