"""Measure `crosscheck.compare_models` on GPT-2's shapes: time, memory, and mistakes that it must name.

``python benchmarks/models.py SIZE`` prints, for values and with gradients, the CPU seconds of a comparison, their ratio to
one forward pass of both models, and the memory beyond both models. ``python benchmarks/models.py SIZE mistakes`` plants one
mistake after the other in a layer, or those that are named, and prints what is said of it. With ``copy`` for ``mistakes``,
it measures `crosscheck.copy_weights`, and asserts that the copy has all weights. With ``scan``, JAX's model has the weights
of all layers in one array for each kind, and scans them. The sizes are below.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

import crosscheck

SIZES = {
    "small": (12, 256, 1000, 128),
    "124M": (12, 768, 50257, 64),
    "355M": (24, 1024, 50257, 64),
    "1.07B": (32, 1600, 50257, 64),
}
"""By name: layers, width, vocabulary and tokens."""
HEADS = 8
POSITIONS = 1024
MISTAKES = ("epsilon", "gelu", "exchange", "mask", "stop")
EVERY = 0.05
"""Seconds between two looks at the memory."""


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.act, self.down = nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        batch, tokens, width = x.shape
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (part.reshape(batch, tokens, HEADS, -1).transpose(1, 2) for part in parts)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(self.act(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """A transformer whose table of words also makes the logits."""

    def __init__(self, layers: int, width: int, words: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(words, width), nn.Embedding(POSITIONS, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Any) -> Any:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[-1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def linear(p: dict[str, Any], x: Any, name: str) -> Any:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def norm(p: dict[str, Any], x: Any, name: str, wrong: str = "") -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    if wrong == "stop":
        mean = jax.lax.stop_gradient(mean)
    epsilon = 1e-6 if wrong == "epsilon" else 1e-5
    return (x - mean) * jax.lax.rsqrt(variance + epsilon) * p[f"{name}.weight"] + p[f"{name}.bias"]


def block(p: dict[str, Any], x: Any, wrong: str = "") -> Any:
    """One layer in JAX; ``wrong`` is a mistake."""
    batch, tokens, width = x.shape
    parts = jnp.split(linear(p, norm(p, x, "norm1", wrong), "qkv"), 3, -1)
    q, k, v = (part.reshape(batch, tokens, HEADS, -1).swapaxes(1, 2) for part in parts)
    if wrong == "exchange":
        q, k = k, q
    scores = q @ k.swapaxes(-1, -2) / jnp.sqrt(width // HEADS)
    seen = jnp.tril(jnp.ones((tokens, tokens), bool), 1 if wrong == "mask" else 0)
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1)
    x = x + linear(p, (weights @ v).swapaxes(1, 2).reshape(x.shape), "out")
    h = jax.nn.gelu(linear(p, norm(p, x, "norm2"), "up"), approximate=wrong != "gelu")
    return x + linear(p, h, "down")


def port(p: dict[str, Any], ids: Any, layers: int, mistake: str = "", layer: int = -1) -> Any:
    """The same in JAX, by torch's names; a mistake is made in one layer."""
    x = p["tokens.weight"][ids] + p["positions.weight"][: ids.shape[-1]]
    for i in range(layers):
        start = f"blocks.{i}."
        own = {name.removeprefix(start): value for name, value in p.items() if name.startswith(start)}
        x = block(own, x, mistake if i == layer else "")
    return norm(p, x, "norm") @ p["tokens.weight"].T


def scanned(p: dict[str, Any], ids: Any) -> Any:
    """The same, with the weights of all layers in one array for each kind."""
    x = p["tokens.weight"][ids] + p["positions.weight"][: ids.shape[-1]]
    x, _ = jax.lax.scan(lambda x, own: (block(own, x), None), x, p["blocks"])
    return norm(p, x, "norm") @ p["tokens.weight"].T


def stacked(params: dict[str, Any], layers: int) -> dict[str, Any]:
    """The weights that ``scanned`` takes."""
    kinds = [name.removeprefix("blocks.0.") for name in params if name.startswith("blocks.0.")]
    blocks = {kind: jnp.stack([params[f"blocks.{i}.{kind}"] for i in range(layers)]) for kind in kinds}
    return {"blocks": blocks, **{name: value for name, value in params.items() if not name.startswith("blocks.")}}


def resident() -> float:
    """The GB that the process holds now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1e6


def most_held(function: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a function, and the most GB that the process held beyond what it held before."""
    before, most, ended = resident(), [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return function(), max(most[0] - before, 0.0)
    finally:
        ended.set()
        watcher.join()


def seconds(function: Callable[[], Any], times: int = 1) -> float:
    """The CPU seconds of the shortest of some runs."""
    durations = []
    for _ in range(times):
        start = time.process_time()
        function()
        durations.append(time.process_time() - start)
    return min(durations)


def built(size: str) -> tuple[nn.Module, dict[str, Any], Any, int]:
    """The model, its weights for JAX, tokens, and how many layers it has."""
    layers, width, words, tokens = SIZES[size]
    torch.manual_seed(0)
    model = Transformer(layers, width, words).eval()
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    return model, params, np.random.default_rng(0).integers(0, words, (1, tokens)).astype(np.int32), layers


def measured(size: str, scan: bool) -> dict[str, Any]:
    """A first comparison, and for the small model one that finds everything compiled, with values and with gradients."""
    model, params, ids, layers = built(size)
    jax_model: Callable[..., Any] = scanned if scan else partial(port, layers=layers)
    params = stacked(params, layers) if scan else params
    compiled = jax.jit(jax_model)

    def both() -> None:
        with torch.no_grad():
            model(torch.from_numpy(ids))
        compiled(params, ids).block_until_ready()

    both()
    forward = seconds(both, 3)
    figures: dict[str, Any] = {
        "parameters": sum(array.size for array in jax.tree.leaves(params)),
        "forward CPU seconds": round(forward, 3),
    }

    def compared(order: int) -> None:
        report = crosscheck.compare_models(model, jax_model, [ids], params=params, order=order)
        assert report.passed, report.story()

    for order in (0, 1):
        start = time.process_time()
        _, above = most_held(partial(compared, order))
        first = time.process_time() - start
        again = seconds(partial(compared, order), 3 if size == "small" else 1)
        figures[f"order {order}"] = {
            "CPU seconds": round(first, 1),
            "CPU seconds, compiled": round(again, 1),
            "ratio to the forward passes, compiled": round(again / forward, 1),
            "GB above": round(above, 2),
        }
    return figures


def copied(size: str) -> dict[str, Any]:
    """Copying all weights into a model whose weights are zero."""
    model, params, ids, layers = built(size)
    empty = jax.tree.map(jnp.zeros_like, params)
    start = time.process_time()
    (filled, _), above = most_held(
        partial(crosscheck.copy_weights, model, partial(port, layers=layers), [ids], params=empty)
    )
    taken = time.process_time() - start
    assert all(np.array_equal(filled[name], params[name]) for name in params)
    return {"CPU seconds": round(taken, 1), "GB above": round(above, 2)}


def mistakes(size: str, some: Sequence[str]) -> None:
    """Plant each mistake in one layer, and print what is said of it."""
    model, params, ids, layers = built(size)
    for mistake in some:
        start = time.process_time()
        wrong = partial(port, layers=layers, mistake=mistake, layer=layers * 5 // 8)
        order = 1 if mistake == "stop" else 0
        report = crosscheck.compare_models(model, wrong, [ids], params=params, order=order)
        print(f"{mistake}, {time.process_time() - start:.0f} CPU s: {report.headline}", flush=True)


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "small"
    what = sys.argv[2] if len(sys.argv) > 2 else ""
    if chosen not in SIZES:
        sys.exit(f"SIZE: got {chosen!r}, expected one of {', '.join(SIZES)}")
    if what == "mistakes":
        mistakes(chosen, sys.argv[3:] or MISTAKES)
    else:
        print(json.dumps(copied(chosen) if what == "copy" else measured(chosen, what == "scan"), indent=2))
