"""Functions of haiku beside modules of PyTorch, with the same weights."""

import haiku as hk
import jax.numpy as jnp
import torch
from torch import nn

from pairs.records import Pair
from pairs.right_modules import seeded
from pairs.seeded import normals

WRONG = {"passes": False, "cause": "definition"}
ROWS = normals((6, 8))


def array(tensor):
    return jnp.asarray(tensor.detach().numpy())


def pure(make, **parameters):
    """A function of haiku's modules as a function of the input, with these parameters."""

    def run(x):
        module = make()
        return module(x)

    applied = hk.without_apply_rng(hk.transform(run)).apply
    return lambda x: applied({name: dict(arrays) for name, arrays in parameters.items()}, x)


def weights(linear):
    return {"w": array(linear.weight.T), "b": array(linear.bias)}


def torch_lstm(x):
    return LSTM(x)[0]


def jax_lstm(forget):
    """Haiku's LSTM adds 1 to the forget gate, which ``forget`` takes away again; its gates are in another order."""
    weight = torch.cat([LSTM.weight_ih_l0, LSTM.weight_hh_l0], 1)
    bias = LSTM.bias_ih_l0 + LSTM.bias_hh_l0
    i, f, g, o = (torch.arange(4) + 4 * k for k in range(4))
    order = torch.cat([i, g, f, o])
    bias = bias[order] - torch.cat([torch.zeros(8), torch.full((4,), forget), torch.zeros(4)])
    parameters = {"lstm/linear": {"w": array(weight[order].T), "b": array(bias)}}

    def run(x):
        core = hk.LSTM(4)
        return hk.dynamic_unroll(core, x, core.initial_state(None))[0]

    applied = hk.without_apply_rng(hk.transform(run)).apply
    return lambda x: applied(parameters, x)


LINEAR = seeded(lambda: nn.Linear(8, 5))
MLP = seeded(lambda: nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3)))
LSTM = seeded(lambda: nn.LSTM(3, 4))
CONVOLUTION = seeded(lambda: nn.Conv1d(4, 3, 3, padding=1))
MLP_WEIGHTS = {"mlp/~/linear_0": weights(MLP[0]), "mlp/~/linear_1": weights(MLP[2])}
UNIT = {"scale": jnp.ones(8), "offset": jnp.zeros(8)}
CONV = {"w": array(CONVOLUTION.weight.permute(2, 1, 0)), "b": array(CONVOLUTION.bias)}

PAIRS = [
    Pair("haiku-linear", LINEAR, pure(lambda: hk.Linear(5), linear=weights(LINEAR)), ROWS),
    Pair("haiku-mlp", MLP, pure(lambda: hk.nets.MLP([12, 3]), **MLP_WEIGHTS), ROWS),
    Pair(
        "haiku-mlp-with-its-last-activation",
        MLP,
        pure(lambda: hk.nets.MLP([12, 3], activate_final=True), **MLP_WEIGHTS),
        ROWS,
        **WRONG,
    ),
    Pair("haiku-layer-norm", nn.LayerNorm(8), pure(lambda: hk.LayerNorm(-1, True, True), layer_norm=UNIT), ROWS),
    Pair(
        "haiku-layer-norm-over-the-other-axis",
        nn.LayerNorm(8, elementwise_affine=False),
        pure(lambda: hk.LayerNorm(0, False, False)),
        ROWS,
        **WRONG,
    ),
    Pair(
        "haiku-rms-norm",
        nn.RMSNorm(8, eps=1e-5, elementwise_affine=False),
        pure(lambda: hk.RMSNorm(-1, create_scale=False)),
        ROWS,
    ),
    Pair("haiku-lstm", torch_lstm, jax_lstm(1.0), normals((6, 3))),
    Pair("haiku-lstm-with-its-forget-bias", torch_lstm, jax_lstm(0.0), normals((6, 3)), **WRONG),
    Pair(
        "haiku-convolution",
        lambda x: CONVOLUTION(x.mT).mT,
        pure(lambda: hk.Conv1D(3, 3), conv1_d=CONV),
        normals((2, 9, 4)),
    ),
    Pair(
        "haiku-average-pool-counts-no-padding",
        lambda x: nn.functional.avg_pool1d(x.mT, 3, 1, 1, count_include_pad=False).mT,
        lambda x: hk.avg_pool(x, (3, 1), (1, 1), "SAME"),
        normals((2, 9, 4)),
    ),
    Pair(
        "haiku-average-pool-counts-padding",
        lambda x: nn.functional.avg_pool1d(x.mT, 3, 1, 1).mT,
        lambda x: hk.avg_pool(x, (3, 1), (1, 1), "SAME"),
        normals((2, 9, 4)),
        **WRONG,
    ),
]
