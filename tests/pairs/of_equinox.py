"""Modules of equinox beside those of PyTorch, with the same weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import torch
from torch import nn

from pairs.records import Pair
from pairs.right_modules import seeded
from pairs.seeded import integers, normals

WRONG = {"passes": False, "cause": "definition"}
KEY = jax.random.key(0)
ROWS = normals((6, 8))
IMAGE = normals((4, 6, 6))


def array(tensor):
    return jnp.asarray(tensor.detach().numpy())


def filled(module, **arrays):
    """The module with these weights."""
    names = list(arrays)
    return eqx.tree_at(
        lambda layer: [getattr(layer, name) for name in names], module, [array(value) for value in arrays.values()]
    )


def dense(linear):
    module = eqx.nn.Linear(linear.in_features, linear.out_features, key=KEY)
    return filled(module, weight=linear.weight, bias=linear.bias)


def torch_gru(x, h):
    return GRU(x[None], h[None])[0]


def jax_gru():
    """Equinox has one bias for input and state; the new gate's state has another."""
    module = eqx.nn.GRUCell(3, 4, key=KEY)
    return filled(
        module,
        weight_ih=GRU.weight_ih,
        weight_hh=GRU.weight_hh,
        bias=GRU.bias_ih + torch.cat([GRU.bias_hh[:8], torch.zeros(4)]),
        bias_n=GRU.bias_hh[8:],
    )


def jax_lstm():
    module = eqx.nn.LSTMCell(3, 4, key=KEY)
    return filled(module, weight_ih=LSTM.weight_ih, weight_hh=LSTM.weight_hh, bias=LSTM.bias_ih + LSTM.bias_hh)


def torch_lstm(x, h, c):
    return tuple(result[0] for result in LSTM(x[None], (h[None], c[None])))


LINEAR = seeded(lambda: nn.Linear(8, 5))
MLP = seeded(lambda: nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 3)))
CONVOLUTION = seeded(lambda: nn.Conv2d(4, 3, 3, padding=1))
TRANSPOSED = seeded(lambda: nn.Conv1d(4, 3, 3, stride=2))
TABLE = seeded(lambda: nn.Embedding(11, 5))
GRU, LSTM = seeded(lambda: nn.GRUCell(3, 4)), seeded(lambda: nn.LSTMCell(3, 4))

CONV = filled(eqx.nn.Conv2d(4, 3, 3, padding=1, key=KEY), weight=CONVOLUTION.weight, bias=CONVOLUTION.bias[:, None, None])
CONV1D = filled(eqx.nn.Conv1d(4, 3, 3, stride=2, key=KEY), weight=TRANSPOSED.weight, bias=TRANSPOSED.bias[:, None])
EMBED = filled(eqx.nn.Embedding(11, 5, key=KEY), weight=TABLE.weight)
LAYERS = eqx.nn.Sequential([dense(MLP[0]), eqx.nn.Lambda(jnp.tanh), dense(MLP[2])])

PAIRS = [
    Pair("equinox-linear", LINEAR, dense(LINEAR), normals((8,))),
    Pair("equinox-linear-of-a-batch", LINEAR, eqx.filter_vmap(dense(LINEAR)), ROWS),
    Pair("equinox-linear-float16", LINEAR, eqx.filter_vmap(dense(LINEAR)), ROWS, dtype="float16"),
    Pair("equinox-linear-float64-to-second-order", LINEAR, eqx.filter_vmap(dense(LINEAR)), ROWS, dtype="float64", order=2),
    Pair("equinox-mlp", MLP, jax.vmap(LAYERS), ROWS),
    Pair("equinox-mlp-without-its-last-bias", MLP, jax.vmap(lambda x: LAYERS(x) - LAYERS.layers[2].bias), ROWS, **WRONG),
    Pair("equinox-layer-norm", nn.LayerNorm(8), jax.vmap(eqx.nn.LayerNorm(8)), ROWS),
    Pair(
        "equinox-layer-norm-of-all-axes",
        nn.LayerNorm(8),
        eqx.nn.LayerNorm((6, 8), use_weight=False, use_bias=False),
        ROWS,
        **WRONG,
    ),
    Pair("equinox-rms-norm", nn.RMSNorm(8, eps=1e-5), jax.vmap(eqx.nn.RMSNorm(8)), ROWS),
    Pair("equinox-group-norm", lambda x: nn.functional.group_norm(x[None], 2)[0], eqx.nn.GroupNorm(2, 4), IMAGE),
    Pair(
        "equinox-group-norm-of-other-groups",
        lambda x: nn.functional.group_norm(x[None], 2)[0],
        eqx.nn.GroupNorm(4, 4),
        IMAGE,
        **WRONG,
    ),
    Pair("equinox-convolution", CONVOLUTION, CONV, IMAGE),
    Pair("equinox-convolution-of-sequences-with-stride", TRANSPOSED, CONV1D, normals((4, 9))),
    Pair("equinox-convolution-flipped", lambda x: CONVOLUTION(x.flip(-1)), CONV, IMAGE, **WRONG),
    Pair("equinox-max-pool", nn.MaxPool2d(2), eqx.nn.MaxPool2d(2, 2), IMAGE),
    Pair("equinox-average-pool", nn.AvgPool2d(2), eqx.nn.AvgPool2d(2, 2), IMAGE),
    Pair("equinox-average-against-max-pool", nn.AvgPool2d(2), eqx.nn.MaxPool2d(2, 2), IMAGE, **WRONG),
    Pair("equinox-embedding", lambda i: TABLE(i.long()), jax.vmap(EMBED), lambda: [integers(11, 7)], order=0),
    Pair("equinox-gru-cell", torch_gru, jax_gru(), normals((3,), (4,))),
    Pair("equinox-lstm-cell", torch_lstm, lambda x, h, c: jax_lstm()(x, (h, c)), normals((3,), (4,), (4,))),
    Pair(
        "equinox-lstm-cell-with-states-swapped",
        torch_lstm,
        lambda x, h, c: jax_lstm()(x, (c, h)),
        normals((3,), (4,), (4,)),
        **WRONG,
    ),
    Pair("equinox-prelu", nn.PReLU(init=0.3), eqx.nn.PReLU(0.3), normals((40,))),
    Pair("equinox-dropout-in-inference", nn.Dropout(0.5).eval(), eqx.nn.Dropout(0.5, inference=True), ROWS),
]
