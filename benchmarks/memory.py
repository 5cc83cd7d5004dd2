"""Measure the memory that `crosscheck.compare_models` takes, beside its own estimate of it.

``python benchmarks/memory.py`` prints a table of the models below, those of tests/zoo among them; with names, of these
alone. Each is compared once, in a process of its own. It needs Linux, and for GPT-2 transformers; GPT-2 of the usual size
takes 4 GB beside the models. ``gpt2-1b``, with 1.07 billion parameters, is compared if it is named.

What is measured is the most memory that the process holds during the call, beyond what it holds at the call, when both
models and their weights are there. It contains what the first comparison of a process imports and compiles. It is the
high-water mark of the resident memory, which Linux keeps and which is set back before the call. The estimate is what
crosscheck expects of the same: what the process has taken when it estimates its need for the last time, and that need.
"""

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

import crosscheck
from crosscheck._allocator import trim
from crosscheck._models.run import memory

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from zoo import ARCHITECTURES
from zoo.architecture import channels_last, randomise
from zoo.plain import batch_norm, batch_norm_of, conv, conv_of, linear, linear_of


class Compared(NamedTuple):
    """The arguments of a comparison."""

    torch: Any
    jax: Any
    inputs: list[Any]
    options: dict[str, Any]


def of_zoo(name: str, library: str = "plain") -> Compared:
    """A model of the zoo; all of these are small."""
    architecture = ARCHITECTURES[name]
    port = architecture.jax(library, 0)
    return Compared(
        architecture.torch_model(0),
        port.model,
        architecture.inputs(0),
        {"params": port.params, "torch_to_jax": port.torch_to_jax},
    )


# GPT-2


def gpt2(layers: int, width: int, heads: int, tokens: int = 64, words: int = 50257, batch: int = 1) -> Compared:
    """GPT-2 of transformers, with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    config = GPT2Config(n_layer=layers, n_embd=width, n_head=heads, vocab_size=words, use_cache=False, **dropouts)
    torch.manual_seed(0)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = GPT2LMHeadModel(config)

        def forward(self, ids: Any) -> Any:
            return self.model(ids).logits

    model = Logits().eval()
    params = {
        name: jnp.asarray(
            parameter.detach().numpy().T if parameter.ndim == 2 and name.startswith("h.") else parameter.detach().numpy()
        )
        for name, parameter in model.model.transformer.named_parameters()
    }
    ids = np.random.default_rng(0).integers(0, words, (batch, tokens)).astype(np.int32)
    return Compared(model, partial(gpt2_port, layers=layers, heads=heads), [ids], {"params": params})


def gpt2_port(p: Mapping[str, Any], ids: Any, *, layers: int, heads: int) -> Any:
    """The same in JAX, by torch's names; the matrices of the layers are transposed, as those of Flax's GPT-2 are."""

    def linear(x: Any, name: str) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    batch, tokens = ids.shape
    x = p["wte.weight"][ids] + p["wpe.weight"][jnp.arange(tokens)]
    seen = jnp.tril(jnp.ones((tokens, tokens), bool))
    for i in range(layers):
        name = f"h.{i}"
        parts = jnp.split(linear(norm(x, f"{name}.ln_1"), f"{name}.attn.c_attn"), 3, -1)
        q, k, v = (part.reshape(batch, tokens, heads, -1).swapaxes(1, 2) for part in parts)
        scores = jnp.where(seen, q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5, -jnp.inf)
        y = (jax.nn.softmax(scores, -1) @ v).swapaxes(1, 2).reshape(x.shape)
        x = x + linear(y, f"{name}.attn.c_proj")
        h = jax.nn.gelu(linear(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc"), approximate=True)
        x = x + linear(h, f"{name}.mlp.c_proj")
    return norm(x, "ln_f") @ p["wte.weight"].T


# a residual network on images, as large as those that are in use


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        self.short, self.bn3 = nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x: Any) -> Any:
        h = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(h)) + self.bn3(self.short(x)))


class ResNet(nn.Module):
    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0])
        strides = [1, *[2] * (len(widths) - 1)]
        pairs = zip([widths[0], *widths[:-1]], widths, strides, strict=True)
        self.blocks = nn.ModuleList(
            block for here, to, stride in pairs for block in (Residual(here, to, stride), Residual(to, to, 1))
        )
        self.head = nn.Linear(widths[-1], 100)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.bn(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


def resnet(widths: tuple[int, ...], size: int = 64, batch: int = 3) -> Compared:
    """A residual network with two blocks of each width, on square images."""
    torch.manual_seed(0)
    model = ResNet(widths).eval()
    randomise(model)
    state = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    params = {
        name: conv_of(state, name)
        if isinstance(module, nn.Conv2d)
        else linear_of(state, name)
        if isinstance(module, nn.Linear)
        else batch_norm_of(state, name)
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
    }
    strides = [block.conv1.stride[0] for block in model.blocks]
    images = np.random.default_rng(0).normal(size=(batch, 3, size, size)).astype(np.float32)
    return Compared(
        model, partial(resnet_port, strides=strides), [images], {"params": params, "torch_to_jax": channels_last}
    )


def resnet_port(p: Mapping[str, Any], x: Any, *, strides: list[int]) -> Any:
    """The same in JAX, by torch's names."""
    x = jax.nn.relu(batch_norm(p["bn"], conv(p["conv"], x, padding=1)))
    for i, stride in enumerate(strides):
        own = {name: p[f"blocks.{i}.{name}"] for name in ("conv1", "bn1", "conv2", "bn2", "short", "bn3")}
        h = jax.nn.relu(batch_norm(own["bn1"], conv(own["conv1"], x, stride=stride, padding=1)))
        h = batch_norm(own["bn2"], conv(own["conv2"], h, padding=1))
        x = jax.nn.relu(h + batch_norm(own["bn3"], conv(own["short"], x, stride=stride)))
    return linear(p["head"], x.mean((1, 2)))


def wide_conv(width: int) -> Compared:
    """One convolution, whose weight is far larger than what it is given, and is taken as a whole."""
    torch.manual_seed(0)
    model = nn.Conv2d(width, width, 3, bias=False)
    weight = jnp.asarray(model.weight.detach().numpy())
    images = np.random.default_rng(0).normal(size=(1, width, 4, 4)).astype(np.float32)
    return Compared(model, lambda w, x: jax.lax.conv(x, w, (1, 1), "VALID"), [images], {"params": weight})


IF_NAMED = frozenset(["gpt2-1b"])
"""Models that take minutes, and more memory than many machines have."""
MODELS: dict[str, Callable[[], Compared]] = {name: partial(of_zoo, name) for name in ARCHITECTURES} | {
    "gpt2-4x256": partial(gpt2, 4, 256, 4, words=1000),
    "gpt2-12x256": partial(gpt2, 12, 256, 4),
    "gpt2-6x512": partial(gpt2, 6, 512, 8),
    "gpt2-long": partial(gpt2, 4, 256, 4, tokens=512, words=1000),
    "gpt2": partial(gpt2, 12, 768, 12),
    "gpt2-medium": partial(gpt2, 24, 1024, 16),
    "gpt2-1b": partial(gpt2, 32, 1600, 25),
    "images-small": partial(resnet, (16, 32), size=32),
    "images": partial(resnet, (64, 128, 256)),
    "images-wide": partial(resnet, (64, 128, 256, 512)),
    "wide-conv": partial(wide_conv, 1536),
}


def status(field: str) -> int:
    """Bytes of memory of this process, as Linux tells them: ``VmRSS`` are those now, ``VmHWM`` the most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def measured(name: str, order: int) -> dict[str, float]:
    """The estimate of one comparison and what it took, in bytes."""
    compared = MODELS[name]()
    estimates: list[int] = []
    needed = memory.needed

    gc.collect()
    trim()  # what was freed would be used again, without being seen
    before = status("VmRSS")

    def noted(*arguments: Any) -> int:
        need = needed(*arguments)
        estimates.append(status("VmRSS") - before + need)
        return need

    memory.needed = noted
    Path("/proc/self/clear_refs").write_text("5")  # sets the mark back
    report = crosscheck.compare_models(compared.torch, compared.jax, compared.inputs, order=order, **compared.options)
    assert report.passed, report.story()
    return {"estimated": estimates[-1], "measured": status("VmHWM") - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--order", type=int)
    parser.add_argument("--alone", action="store_true", help="in this process, as JSON")
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(measured(given.names[0], given.order)))
        return
    print("| model | order | estimated, GB | measured, GB | ratio |\n| --- | --- | --- | --- | --- |")
    for name in given.names or [name for name in MODELS if name not in IF_NAMED]:
        for order in (0, 1) if given.order is None else (given.order,):
            command = [sys.executable, __file__, name, "--order", str(order), "--alone"]
            figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
            estimated, taken = figures["estimated"] / 1e9, figures["measured"] / 1e9
            print(f"| {name} | {order} | {estimated:.2f} | {taken:.2f} | {estimated / taken:.2f} |", flush=True)


if __name__ == "__main__":
    main()
