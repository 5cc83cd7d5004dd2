"""Small models of torch and their ports to JAX, with the layouts in which a port may hold the weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from facts import Worded
from torch import nn

from crosscheck import WeightMatch

Tree = Any


Matches = tuple[WeightMatch, ...]


Draw = Callable[[int], np.ndarray]


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in model.state_dict(keep_vars=True).items()}


def told(matches: Matches) -> dict[tuple[str | None, str | None], str | None]:
    """By the names on both sides: the layout, or why there is no partner."""
    return {(match.torch, match.jax): match.layout or match.reason for match in matches}


def steps(matches: Matches) -> dict[tuple[str | None, str | None], tuple[Any, ...]]:
    """By the names on both sides: the steps of the layout, each of a kind, with its numbers."""
    return {(match.torch, match.jax): match.layout.about for match in matches if isinstance(match.layout, Worded)}


def linear(p: Mapping[str, Any], x: Any) -> Any:
    return x @ p["w"] + p["b"]


class Attention(nn.Module):
    """Three projections in one, two heads."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        q, k, v = (part.reshape(*part.shape[:-1], 2, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        y = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(x.shape))


class Separate(Attention):
    """The same with three layers."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        del self.qkv
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))

    def qkv(self, x: Any) -> Any:
        return torch.cat([self.q(x), self.k(x), self.v(x)], -1)


def attend(q: Any, k: Any, v: Any) -> Any:
    """Of (batch, token, head, feature)."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), v)


def joined_attention(p: Any, x: Any) -> Any:
    q, k, v = (part.reshape(*part.shape[:-1], 2, -1) for part in jnp.split(linear(p["qkv"], x), 3, -1))
    return linear(p["out"], attend(q, k, v).reshape(x.shape))


def folded_attention(p: Any, x: Any) -> Any:
    """With matrices of (in, head, feature)."""
    q, k, v = (jnp.einsum("btd,dhf->bthf", x, p[name]["w"]) + p[name]["b"] for name in ("query", "key", "value"))
    return linear(p["out"], attend(q, k, v).reshape(x.shape))


def split(array: np.ndarray, part: int) -> np.ndarray:
    return np.split(array, 3)[part]


def folded_params(own: Mapping[str, np.ndarray]) -> Tree:
    def projection(part: int) -> Tree:
        return {"w": split(own["qkv.weight"], part).T.reshape(4, 2, 2), "b": split(own["qkv.bias"], part).reshape(2, 2)}

    out = {"w": own["out.weight"].T, "b": own["out.bias"]}
    return {"query": projection(0), "key": projection(1), "value": projection(2), "out": out}


def joined_params(own: Mapping[str, np.ndarray], order: Sequence[int] = (0, 1, 2)) -> Tree:
    weight, bias = (np.concatenate([split(own[f"qkv.{name}"], part) for part in order]) for name in ("weight", "bias"))
    return {"qkv": {"w": weight.T, "b": bias}, "out": {"w": own["out.weight"].T, "b": own["out.bias"]}}


X = normals(2, 5, 4, seed=1)


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.up = nn.ConvTranspose2d(3, 2, 2, stride=2)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.up(torch.relu(self.norm(self.conv(x)))).flatten(1))


def images(p: Any, x: Any) -> Any:
    numbers = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, p["conv"]["w"], (1, 1), "SAME", dimension_numbers=numbers) + p["conv"]["b"]
    n = p["norm"]
    y = (y - n["mean"]) * jax.lax.rsqrt(n["var"] + 1e-5) * n["scale"] + n["bias"]
    y = jax.lax.conv_general_dilated(
        jax.nn.relu(y), p["up"]["w"], (1, 1), [(1, 1), (1, 1)], (2, 2), dimension_numbers=numbers
    )
    y = y + p["up"]["b"]
    return linear(p["head"], y.reshape(len(x), -1))


def image_params(own: Mapping[str, np.ndarray]) -> Tree:
    return {
        "conv": {"w": own["conv.weight"].transpose(2, 3, 1, 0), "b": own["conv.bias"]},
        "norm": {
            "scale": own["norm.weight"],
            "bias": own["norm.bias"],
            "mean": own["norm.running_mean"],
            "var": own["norm.running_var"],
        },
        "up": {"w": own["up.weight"].transpose(2, 3, 0, 1)[::-1, ::-1].copy(), "b": own["up.bias"]},
        "head": {
            "w": own["head.weight"].reshape(5, 2, 4, 4).transpose(2, 3, 1, 0).reshape(32, 5),
            "b": own["head.bias"],
        },
    }


IMAGE = normals(2, 2, 2, 2, seed=3)


class Chain(nn.Module):
    def __init__(self, count: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(count))

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


def scanned(p: Any, x: Any) -> Any:
    return jax.lax.scan(lambda x, own: (jnp.tanh(linear(own, x)), None), x, p)[0]


def stacked_params(own: Mapping[str, np.ndarray], count: int = 3) -> Tree:
    weights = [own[f"layers.{k}.weight"].T for k in range(count)]
    return {"w": np.stack(weights), "b": np.stack([own[f"layers.{k}.bias"] for k in range(count)])}


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Any) -> Any:
        return self.head(torch.tanh(self.tokens(ids)))


IDS = np.array([[1, 2, 3, 6], [0, 4, 5, 1]], np.int32)


class Twins(nn.Module):
    """Two layers of the same data, which are added up."""

    def __init__(self, first: str = "left", second: str = "right") -> None:
        super().__init__()
        self.names = first, second
        for name in self.names:
            setattr(self, name, nn.Linear(4, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.head(sum(torch.tanh(getattr(self, name)(x)) for name in self.names))


def twins(p: Any, x: Any) -> Any:
    return linear(p["head"], jnp.tanh(linear(p["one"], x)) + jnp.tanh(linear(p["two"], x)))


def twin_params(own: Mapping[str, np.ndarray]) -> Tree:
    names = {"one": "left", "two": "right", "head": "head"}
    return {name: {"w": own[f"{torch_name}.weight"].T, "b": own[f"{torch_name}.bias"]} for name, torch_name in names.items()}


class Rotated(nn.Module):
    """A table that is a buffer, and a layer that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.cos(torch.arange(20, dtype=torch.float32).reshape(5, 4)))
        self.fc = nn.Linear(4, 3)
        self.spare = nn.Linear(2, 2, bias=False)

    def forward(self, x: Any) -> Any:
        return self.fc(x * self.table)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.lstm(x)[0]


def lstm(p: Any, x: Any) -> Any:
    h = c = jnp.zeros((len(x), 4), x.dtype)
    states = []
    for t in range(x.shape[1]):
        i, f, g, o = jnp.split(x[:, t] @ p["input"] + h @ p["hidden"] + p["bias"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        states.append(h)
    return jnp.stack(states, 1)


def lstm_params(own: Mapping[str, np.ndarray]) -> Tree:
    return {
        "input": own["lstm.weight_ih_l0"].T,
        "hidden": own["lstm.weight_hh_l0"].T,
        "bias": own["lstm.bias_ih_l0"] + own["lstm.bias_hh_l0"],
    }


SEQUENCE = normals(2, 3, 3, seed=4)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.gru(x)[0]


def gru(p: Any, x: Any) -> Any:
    """As flax's linen has it: a matrix for each gate, and one bias for both matrices of a gate, but for the last one."""
    h = jnp.zeros((len(x), 4), x.dtype)
    states = []
    for t in range(x.shape[1]):
        r = jax.nn.sigmoid(linear(p["ir"], x[:, t]) + h @ p["hr"]["w"])
        z = jax.nn.sigmoid(linear(p["iz"], x[:, t]) + h @ p["hz"]["w"])
        h = (1 - z) * jnp.tanh(linear(p["in"], x[:, t]) + r * linear(p["hn"], h)) + z * h
        states.append(h)
    return jnp.stack(states, 1)


def gru_params(own: Mapping[str, np.ndarray]) -> Tree:
    matrices = [np.split(own[f"gru.weight_{side}_l0"].T, 3, -1) for side in ("ih", "hh")]
    biases = [np.split(own[f"gru.bias_{side}_l0"], 3) for side in ("ih", "hh")]
    gates = {
        f"{side}{gate}": {"w": matrix}
        for side, own in zip("ih", matrices, strict=True)
        for gate, matrix in zip("rzn", own, strict=True)
    }
    for k, gate in enumerate("rz"):
        gates[f"i{gate}"]["b"] = biases[0][k] + biases[1][k]
    gates["in"]["b"], gates["hn"]["b"] = biases[0][2], biases[1][2]
    return gates


def fresh(params: Tree) -> Tree:
    """The same tree, with zeros."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), params)


def leaves(tree: Tree) -> dict[str, np.ndarray]:
    with_paths = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path).removesuffix(".value"): np.asarray(leaf)
        for path, leaf in with_paths
        if isinstance(leaf, jax.Array | np.ndarray) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    }


def apart(tree: Tree, expected: Tree) -> set[str]:
    """The arrays that differ."""
    arrays, expected_arrays = leaves(tree), leaves(expected)
    assert arrays.keys() == expected_arrays.keys()
    return {name for name in arrays if not np.allclose(arrays[name], expected_arrays[name], rtol=0, atol=1e-6)}
