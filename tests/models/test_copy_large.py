"""``copy_weights`` carries weights of many numbers, and takes little memory for a table of words."""

import tracemalloc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from ports import seeded
from torch import nn

from crosscheck import copy_weights

WORDS, WIDTH, LAYERS = 8192, 128, 4


class Tied(nn.Module):
    """A table of words that is also the last matrix, with norms between."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(LAYERS))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.table(words)
        for norm in self.norms:
            x = x + torch.tanh(norm(x))
        return x @ self.table.weight.T


def port(p: dict[str, Any], words: Any) -> Any:
    x = p["table"][words]
    for k in range(LAYERS):
        h = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
        x = x + jnp.tanh(h * p["scale"][k] + p["bias"][k])
    return x @ p["table"].T


@pytest.mark.full
def test_a_table_of_many_words_takes_little_memory() -> None:
    model = seeded(Tied())
    params = {
        "table": jnp.zeros((WORDS, WIDTH)),
        "scale": [jnp.ones(WIDTH) for _ in range(LAYERS)],
        "bias": [jnp.zeros(WIDTH) for _ in range(LAYERS)],
    }
    tracemalloc.start()
    try:
        filled, matches = copy_weights(model, port, [np.arange(8)], params=params)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(match.torch and match.jax for match in matches)
    np.testing.assert_array_equal(filled["table"], model.table.weight.detach().numpy())
    held = params["table"].nbytes
    assert peak < 20 * held


def test_the_order_of_thousands_of_features_is_found_though_they_differ_a_little() -> None:
    """Of 4,096 features, several pairs have random sums that are less apart than 1e-6 of them."""
    model = seeded(nn.Sequential(nn.Linear(8, 4096, bias=False), nn.Linear(4096, 2, bias=False)))

    def port(p: dict[str, Any], x: Any) -> Any:
        heads = jnp.einsum("rd,dnh->rhn", x, p["in"]) * np.float32(1 + 1e-6)
        return jnp.einsum("rhn,hnd->rd", heads, p["out"])

    empty = {"in": np.zeros((8, 16, 256), np.float32), "out": np.zeros((256, 16, 2), np.float32)}
    inputs = [np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)]
    filled, _ = copy_weights(model, port, inputs, params=empty)
    first, second = (parameter.detach().numpy() for parameter in model.parameters())
    np.testing.assert_array_equal(filled["in"], first.T.reshape(8, 16, 256))
    np.testing.assert_array_equal(filled["out"], second.T.reshape(16, 256, 2).swapaxes(0, 1))
