"""Measure `crosscheck.compare_models` on a transformer: ratios to one forward pass of both models, and memory.

``python benchmarks/models.py`` has 12 layers of width 256 on 2 x 64 tokens; ``large`` has 100 million parameters.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

import crosscheck

SIZES = {"usual": (12, 256, 1000, 64), "large": (12, 768, 20_000, 16)}
"""By name: layers, width, vocabulary and tokens."""
HEADS = 8
BATCH = 2


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.act, self.down = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        batch, tokens, width = x.shape
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (one.reshape(batch, tokens, HEADS, -1).transpose(1, 2) for one in parts)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(self.act(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, layers: int, width: int, words: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(words, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def port(p: dict[str, Any], ids: Any, layers: int) -> Any:
    """The same in JAX, by torch's names."""

    def linear(x: Any, name: str) -> Any:
        return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)

    def norm(x: Any, name: str) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    x = p["tokens.weight"][ids]
    batch, tokens, width = x.shape
    for i in range(layers):
        name = f"blocks.{i}"
        parts = jnp.split(linear(norm(x, f"{name}.norm1"), f"{name}.qkv"), 3, -1)
        q, k, v = (one.reshape(batch, tokens, HEADS, -1).swapaxes(1, 2) for one in parts)
        weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) / jnp.sqrt(width // HEADS), -1)
        x = x + linear((weights @ v).swapaxes(1, 2).reshape(x.shape), f"{name}.out")
        h = jax.nn.gelu(linear(norm(x, f"{name}.norm2"), f"{name}.up"), approximate=False)
        x = x + linear(h, f"{name}.down")
    return linear(norm(x, "norm"), "head")


def seconds(function: Callable[[], Any], times: int = 1) -> float:
    """The shortest of some runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def measured(size: str) -> dict[str, float]:
    """Ratios of comparisons to both forward passes, each the shortest of some runs, and the memory of the process."""
    layers, width, words, tokens = SIZES[size]
    torch.manual_seed(0)
    model = Transformer(layers, width, words).eval()
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    ids = np.random.default_rng(0).integers(0, words, (BATCH, tokens)).astype(np.int32)
    jax_model = partial(port, layers=layers)
    compiled = jax.jit(jax_model)

    def both() -> None:
        with torch.no_grad():
            model(torch.from_numpy(ids))
        compiled(params, ids).block_until_ready()

    both()
    forward = seconds(both, 5)

    def compared(order: int) -> int:
        report = crosscheck.compare_models(model, jax_model, [ids], params=params, order=order)
        assert report.passed, report.story()
        return len(report.layers)

    found = {"parameters": sum(one.size for one in params.values()), "forward seconds": forward}
    if size == "usual":  # what is imported, and compiled for noise, at first is no matter of the model's size
        found["landmarks"] = compared(0)
    for order in (0, 1) if size == "usual" else (0,):
        whole = seconds(lambda order=order: compared(order), 3)
        found[f"order {order} seconds"], found[f"order {order} ratio"] = whole, whole / forward
    return found | {"GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1] if len(sys.argv) > 1 else "usual"), indent=2))
