"""Modules of flax.nnx beside those of PyTorch, with the same weights."""

import jax.numpy as jnp
import torch.nn.functional as F
from flax import nnx
from torch import nn

from pairs.records import Pair
from pairs.right_modules import seeded
from pairs.seeded import integers, normals

WRONG = {"passes": False, "cause": "definition"}
ROWS = normals((6, 8))
IMAGES = normals((2, 4, 6, 6))


def array(tensor):
    return jnp.asarray(tensor.detach().numpy())


def filled(module, **arrays):
    """The module with these weights, in the mode of inference."""
    for name, value in arrays.items():
        getattr(module, name)[...] = array(value)
    module.eval()
    return module


def dense(linear):
    return filled(
        nnx.Linear(linear.in_features, linear.out_features, rngs=nnx.Rngs(0)), kernel=linear.weight.T, bias=linear.bias
    )


def last(function):
    """A function of images with channels last, as one of images with channels first."""
    return lambda x: jnp.moveaxis(function(jnp.moveaxis(x, 1, -1)), -1, 1)


def attention(q, k, v):
    """Of arrays with the heads before the tokens, as torch has them."""
    return nnx.dot_product_attention(*(jnp.swapaxes(x, 1, 2) for x in (q, k, v))).swapaxes(1, 2)


def normalised(module, torch_module):
    return filled(module, scale=torch_module.weight, bias=torch_module.bias)


def random_norm(module):
    """The module with scales and shifts that are not 1 and 0."""

    def make():
        for value in [*module.parameters(), *module.buffers()]:
            if value.is_floating_point():
                nn.init.uniform_(value, 0.5, 1.5)
        return module

    return seeded(make)


LINEAR = seeded(lambda: nn.Linear(8, 5))
CONVOLUTION = seeded(lambda: nn.Conv2d(4, 3, 3, padding=1))
NORM = random_norm(nn.LayerNorm(8, eps=1e-6))
GROUPS = random_norm(nn.GroupNorm(2, 4, eps=1e-6))
BATCH = random_norm(nn.BatchNorm2d(4))
TABLE = seeded(lambda: nn.Embedding(11, 5))
MLP = seeded(lambda: nn.Sequential(nn.Linear(8, 12), nn.SiLU(), nn.Linear(12, 3)))

CONV = filled(nnx.Conv(4, 3, (3, 3), rngs=nnx.Rngs(0)), kernel=CONVOLUTION.weight.permute(2, 3, 1, 0), bias=CONVOLUTION.bias)
LAYER_NORM = normalised(nnx.LayerNorm(8, rngs=nnx.Rngs(0)), NORM)
BATCH_NORM = filled(
    nnx.BatchNorm(4, rngs=nnx.Rngs(0)),
    scale=BATCH.weight,
    bias=BATCH.bias,
    mean=BATCH.running_mean,
    var=BATCH.running_var,
)
EMBED = filled(nnx.Embed(11, 5, rngs=nnx.Rngs(0)), embedding=TABLE.weight)

PAIRS = [
    Pair("flax-linear", LINEAR, dense(LINEAR), ROWS),
    Pair("flax-linear-float64", LINEAR, dense(LINEAR), ROWS, dtype="float64"),
    Pair("flax-linear-bfloat16", LINEAR, dense(LINEAR), ROWS, dtype="bfloat16"),
    Pair("flax-mlp", MLP, nnx.Sequential(dense(MLP[0]), nnx.silu, dense(MLP[2])), ROWS),
    Pair("flax-mlp-of-another-activation", MLP, nnx.Sequential(dense(MLP[0]), nnx.relu, dense(MLP[2])), ROWS, **WRONG),
    Pair("flax-layer-norm", NORM, LAYER_NORM, ROWS),
    Pair(
        "flax-layer-norm-fast-variance-far-from-zero",
        NORM,
        LAYER_NORM,
        normals((16, 8), shift=300),
        passes=False,
        cause="inaccurate",
        side="jax",
        order=0,
    ),
    Pair(
        "flax-layer-norm-of-another-epsilon",
        nn.LayerNorm(8),
        nnx.LayerNorm(8, rngs=nnx.Rngs(0)),
        normals((16, 8), scale=0.01),
        **WRONG,
    ),
    Pair("flax-rms-norm", nn.RMSNorm(8, eps=1e-6), nnx.RMSNorm(8, rngs=nnx.Rngs(0)), ROWS),
    Pair("flax-rms-norm-against-layer-norm", nn.RMSNorm(8, eps=1e-6), nnx.LayerNorm(8, rngs=nnx.Rngs(0)), ROWS, **WRONG),
    Pair("flax-group-norm", GROUPS, last(normalised(nnx.GroupNorm(4, 2, rngs=nnx.Rngs(0)), GROUPS)), IMAGES),
    Pair("flax-batch-norm-in-inference", BATCH, last(BATCH_NORM), IMAGES),
    Pair("flax-batch-norm-in-training", nn.BatchNorm1d(8), nnx.BatchNorm(8, rngs=nnx.Rngs(0)), ROWS),
    Pair("flax-batch-norm-in-one-mode-each", nn.BatchNorm1d(8).eval(), nnx.BatchNorm(8, rngs=nnx.Rngs(0)), ROWS, **WRONG),
    Pair("flax-convolution", CONVOLUTION, last(CONV), IMAGES),
    Pair("flax-convolution-of-transposed-images", CONVOLUTION, lambda x: last(CONV)(x.swapaxes(2, 3)), IMAGES, **WRONG),
    Pair("flax-embedding", lambda i: TABLE(i.long()), EMBED, lambda: [integers(11, 4, 7)], order=0),
    Pair(
        "flax-average-pool",
        lambda x: F.avg_pool2d(x, 2),
        last(lambda x: nnx.avg_pool(x, (2, 2), strides=(2, 2))),
        IMAGES,
    ),
    Pair("flax-max-pool", lambda x: F.max_pool2d(x, 2), last(lambda x: nnx.max_pool(x, (2, 2), strides=(2, 2))), IMAGES),
    Pair("flax-gelu-against-torch-s", F.gelu, nnx.gelu, normals((40,)), **WRONG),
    Pair("flax-dropout-in-inference", nn.Dropout(0.5).eval(), nnx.Dropout(0.5, deterministic=True), ROWS),
    Pair(
        "flax-attention",
        F.scaled_dot_product_attention,
        attention,
        normals((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 4)),
    ),
    Pair(
        "flax-attention-of-values-in-another-order",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v.flip(2)),
        attention,
        normals((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 4)),
        **WRONG,
    ),
]
