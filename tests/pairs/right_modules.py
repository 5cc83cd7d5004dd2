"""Modules of PyTorch beside functions of JAX that hold a copy of their parameters, or are given them."""

import copy
import math

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from torch import nn

from pairs.records import Pair
from pairs.seeded import normals


def seeded(make):
    """What ``make`` builds, with the same weights each time, and the random state of the caller left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def weights(module):
    return {
        name: jnp.asarray(value.detach().numpy()) for name, value in module.state_dict().items() if value.is_floating_point()
    }


class Block(nn.Module):
    """A transformer block, norm first."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.Conv2d(6, 4, 1)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x):
        return F.relu(x + self.conv2(F.silu(self.norm(self.conv1(x)))))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.LSTM(4, 5)

    def forward(self, x):
        return self.cells(x)[0]


class Gated(nn.Module):
    """LLaMA's feed-forward layer behind its norm."""

    def __init__(self):
        super().__init__()
        self.norm = nn.RMSNorm(8, eps=1e-6)
        self.gate, self.up, self.down = (nn.Linear(*shape, bias=False) for shape in ((8, 20), (8, 20), (20, 8)))

    def forward(self, x):
        y = self.norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


def layer_norm(x, p, name):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def linear(x, p, name):
    return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)


def jax_block(x, p):
    b, t, d = x.shape
    q, k, v = jnp.transpose(linear(layer_norm(x, p, "norm1"), p, "qkv").reshape(b, t, 3, 2, d // 2), (2, 0, 3, 1, 4))
    scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), q @ jnp.swapaxes(k, -1, -2) / math.sqrt(d // 2), -jnp.inf)
    mixed = jnp.swapaxes(jax.nn.softmax(scores, -1) @ v, 1, 2).reshape(b, t, d)
    x = x + linear(mixed, p, "out")
    return x + linear(jax.nn.gelu(linear(layer_norm(x, p, "norm2"), p, "mlp.0")), p, "mlp.2")


def jax_residual(x, p):
    def conv(x, w):
        return jax.lax.conv_general_dilated(x, w.astype(x.dtype), (1, 1), "SAME")

    scale = p["norm.weight"] / jnp.sqrt(p["norm.running_var"] + 1e-5)
    y = (conv(x, p["conv1.weight"]) - p["norm.running_mean"][:, None, None]) * scale[:, None, None]
    y = conv(jax.nn.silu(y + p["norm.bias"][:, None, None]), p["conv2.weight"]) + p["conv2.bias"][:, None, None]
    return jax.nn.relu(x + y)


def jax_gated(x, p):
    y = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * p["norm.weight"]
    return x + linear(jax.nn.silu(linear(y, p, "gate")) * linear(y, p, "up"), p, "down")


def jax_mlp(x, p):
    return linear(jnp.tanh(linear(jnp.tanh(linear(x, p, "0")), p, "2")), p, "4")


def jax_lstm(x, p):
    def step(state, row):
        h, c = state
        gates = (
            row @ p["cells.weight_ih_l0"].T + p["cells.bias_ih_l0"] + h @ p["cells.weight_hh_l0"].T + p["cells.bias_hh_l0"]
        )
        i, f, g, o = jnp.split(gates, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros(5, x.dtype)
    return jax.lax.scan(step, (start, start), x)[1]


def jax_bilinear(x, y, p):
    return jnp.einsum("ni,oij,nj->no", x, p["weight"], y) + p["bias"]


def holding(name, module, function, make, **keywords):
    """A pair that is given the inputs only: each side holds the weights, as float32 arrays."""
    p = weights(module)
    return Pair(name, module, lambda *x: function(*x, p), make, **keywords)


def given(name, module, function, make, **keywords):
    """A pair that is given the weights too, so that they are differentiated."""
    p = {key: value.detach().numpy() for key, value in module.named_parameters()}

    def call(*arguments):
        *x, p = arguments
        return torch.func.functional_call(module, p, tuple(x))

    return Pair(name, call, function, lambda: [*make(), copy.deepcopy(p)], **keywords)


BLOCK, GATED, RESIDUAL = seeded(Block), seeded(Gated), seeded(Residual)
MLP = seeded(lambda: nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3)))
TOKENS = normals((2, 7, 8))

PAIRS = [
    holding("module-mlp", MLP, jax_mlp, normals((20, 6))),
    given("module-mlp-and-weights", MLP, jax_mlp, normals((20, 6))),
    given("module-mlp-to-second-order", MLP, jax_mlp, normals((20, 6)), order=2),
    holding("module-transformer-block", BLOCK, jax_block, TOKENS),
    given("module-transformer-block-and-weights", BLOCK, jax_block, TOKENS),
    holding("module-gated-mlp", GATED, jax_gated, TOKENS),
    given("module-gated-mlp-and-weights", GATED, jax_gated, TOKENS),
    holding("module-residual-convolutions", RESIDUAL, jax_residual, normals((2, 4, 6, 6))),
    holding("module-bilinear", seeded(lambda: nn.Bilinear(4, 5, 3)), jax_bilinear, normals((10, 4), (10, 5))),
    given("module-bilinear-and-weights", seeded(lambda: nn.Bilinear(4, 5, 3)), jax_bilinear, normals((10, 4), (10, 5))),
    holding("module-lstm", seeded(Recurrent), jax_lstm, normals((6, 4))),
]
