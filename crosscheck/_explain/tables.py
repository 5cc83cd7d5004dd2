"""What ports confuse, as tables: functions that take each other's place, and the words for operations and arguments.

A new confusion is one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations

import torch
import torch.nn.functional as F

from crosscheck._explain.functions import (
    Function,
    adaptive,
    alike,
    along_one,
    cubic,
    cut,
    linear,
    one_of,
    padded,
    pool,
    resize,
    sections,
    shared,
    silu_with,
    tensors,
)
from crosscheck._explain.norms import NORMS

UNARY: Mapping[str, Function] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "the tanh form of gelu": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "1 - sigmoid (the other way round)": lambda x: torch.sigmoid(-x),
    "quick_gelu, x * sigmoid(1.702 x)": silu_with(1.702),
    "leaky_relu with slope 0.01": partial(F.leaky_relu, negative_slope=0.01),
    "leaky_relu with slope 0.1": partial(F.leaky_relu, negative_slope=0.1),
    "leaky_relu with slope 0.2": partial(F.leaky_relu, negative_slope=0.2),
    "leaky_relu with slope 0.3": partial(F.leaky_relu, negative_slope=0.3),
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "mish": F.mish,
    "squared relu": lambda x: F.relu(x) ** 2,
    "log_sigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "tanhshrink": F.tanhshrink,
    "abs": torch.abs,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "floor": torch.floor,
    "round": torch.round,
    "trunc": torch.trunc,
}
"""Functions of one array, the commonest first: of several that fit, the first is said."""
OF_A_NUMBER: Mapping[str, Callable[[float], Function]] = {
    "x * sigmoid({} x)": silu_with,
    "leaky_relu with slope {}": lambda slope: partial(F.leaky_relu, negative_slope=slope),
    "elu with alpha {}": lambda alpha: partial(F.elu, alpha=alpha),
    "celu with alpha {}": lambda alpha: partial(F.celu, alpha=alpha),
    "softplus with beta {}": lambda beta: partial(F.softplus, beta=beta),
}
"""Functions of one array that have a number: those in JAX's program are tried."""
BINARY: Mapping[str, Function] = {
    "adds": torch.add,
    "subtracts": torch.sub,
    "subtracts the other way round": lambda a, b: b - a,
    "multiplies": torch.mul,
    "divides": torch.div,
    "divides the other way round": lambda a, b: b / a,
    "takes the larger": lambda a, b: torch.maximum(*tensors(a, b)),
    "takes the smaller": lambda a, b: torch.minimum(*tensors(a, b)),
}


VERBS = {
    "add": "adds",
    "sub": "subtracts",
    "rsub": "subtracts",
    "mul": "multiplies",
    "div": "divides",
    "maximum": "takes the larger",
    "minimum": "takes the smaller",
}


COMPARISONS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "eq": "==", "ne": "!="}


COMPARE: Mapping[str, Function] = {
    ">=": torch.ge,
    ">": torch.gt,
    "<=": torch.le,
    "<": torch.lt,
    "==": torch.eq,
    "!=": torch.ne,
}


REDUCE: Mapping[str, Function] = {
    "the mean": torch.mean,
    "the sum": torch.sum,
    "the maximum": torch.amax,
    "the minimum": torch.amin,
    "the variance with divisor n - 1": partial(torch.var, correction=1),
    "the variance with divisor n": partial(torch.var, correction=0),
    "the standard deviation with divisor n - 1": partial(torch.std, correction=1),
    "the standard deviation with divisor n": partial(torch.std, correction=0),
    "the Euclidean norm": lambda x, dim, keepdim: torch.linalg.vector_norm(x, 2, dim, keepdim),
    "the sum of squares": lambda x, dim, keepdim: (x * x).sum(dim, keepdim),
    "the mean of squares": lambda x, dim, keepdim: (x * x).mean(dim, keepdim),
    "the median": lambda x, dim, keepdim: along_one(torch.median, x, dim, keepdim),
    "the first": lambda x, dim, keepdim: one_of(x, dim, keepdim, 0),
    "the last": lambda x, dim, keepdim: one_of(x, dim, keepdim, -1),
    "the log of the sum of exponentials": torch.logsumexp,
}


POOL: Mapping[str, Function] = {
    "the maximum": pool("max"),
    "the average": pool("avg"),
    "the average without the padding": pool("avg", count_include_pad=False),
}


WINDOWS = {
    "side by side, the first ones longer": sections,
    "of one size and stride": alike,
    "of one size side by side, without what is left over": cut,
}
AVERAGES, MAXIMA = ({name: adaptive(windows, how) for name, windows in WINDOWS.items()} for how in ("mean", "amax"))
"""Other pools to a size: torch's windows overlap where the size is not a multiple of the new one."""


PADDING: Mapping[str, Function] = {
    "reflect": padded("reflect"),
    "edge": padded("replicate"),
    "symmetric": padded("symmetric"),
    "circular": padded("circular"),
    "zeros": padded("constant"),
}
PADS = [*(f"{kind}_pad{rank}d" for kind in ("reflection", "replication") for rank in (1, 2, 3)), "constant_pad_nd"]
OWN_PADDING = {"reflection": "reflect", "replication": "edge", "constant": "zeros"}


ALONG: Mapping[str, Function] = {
    "in reverse order": lambda x, axis, *_: x.flip(axis),
    "in its own order": lambda x, *_: x,
}
"""Other orders than a choice by index along an axis gives."""


RESIZE: Mapping[str, Function] = {
    "linear": resize(linear),
    "linear with antialias": resize(linear, antialias=True),
    "linear with align_corners": resize(linear, corners=True),
    "cubic with coefficient -0.5": resize(cubic(-0.5)),
    "cubic with coefficient -0.75": resize(cubic(-0.75)),
    "cubic with coefficient -0.5 and antialias": resize(cubic(-0.5), antialias=True),
    "nearest": lambda x, size, *_: F.interpolate(x, list(size), mode="nearest"),
    "nearest from the middle": lambda x, size, *_: F.interpolate(x, list(size), mode="nearest-exact"),
}
"""Other ways to resize."""
RESIZED: Mapping[str, str] = {
    **{f"upsample_{kind}{rank}d": "linear" for kind, rank in (("linear", 1), ("bilinear", 2), ("trilinear", 3))},
    "upsample_bicubic2d": "cubic with coefficient -0.75",
    "_upsample_bilinear2d_aa": "linear with antialias",
    "_upsample_bicubic2d_aa": "cubic with coefficient -0.5 and antialias",
    **{f"upsample_nearest{rank}d": "nearest" for rank in (1, 2, 3)},
}


READ = {
    "in halves, PyTorch interleaved": ("interleaved", "in halves"),
    "interleaved, PyTorch in halves": ("in halves", "interleaved"),
}
"""How JAX and PyTorch read numbers that both have in one order, where PyTorch's in another order give what JAX gives."""
LAYOUT: Mapping[str, Function] = {
    "in halves, PyTorch interleaved": lambda x: torch.cat([x[..., ::2], x[..., 1::2]], -1),
    "interleaved, PyTorch in halves": lambda x: torch.stack(x.chunk(2, -1), -1).flatten(-2),
    **{
        f"transposed: axes {a} and {b} exchanged": lambda x, a=a, b=b: x.transpose(a, b).reshape(x.shape)
        for a, b in combinations(range(-4, 0), 2)
    },
    **{f"with axis {axis} in reverse order": lambda x, axis=axis: x.flip(axis) for axis in (-1, -2, -3, -4)},
    "flipped along axes -2 and -1": lambda x: x.flip((-1, -2)),
    **{
        f"shifted by {k} along axis {axis}": lambda x, axis=axis, k=k: x.roll(k, axis)
        for axis in (-1, -2, -3)
        for k in (1, -1)
    },
}
"""Other orders of the numbers of an array."""
ALIKE: Mapping[str, Function] = {
    f"alike along axis {axis}, the first everywhere": partial(shared, axis=axis) for axis in (-1, -2, -3, -4)
}
"""One row of data in place of all."""
EXTRA: Mapping[str, Function] = {
    **UNARY,
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "-x": torch.neg,
    "1 + x": lambda x: 1 + x,
    "1 - x": lambda x: 1 - x,
    "2 x": lambda x: 2 * x,
    "subtraction of the mean": lambda x: x - x.mean(-1, keepdim=True),
    "RMS normalisation": lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6),
    "layer normalisation": lambda x: F.layer_norm(x, x.shape[-1:]),
    "L2 normalisation": lambda x: F.normalize(x, dim=-1),
}
"""What a port may apply once more."""
OPERATIONS = {
    name: "leaky_relu" if getattr(function, "func", None) is F.leaky_relu else name for name, function in EXTRA.items()
}
"""The operation of PyTorch that each of these is; its own name, if PyTorch has none."""
MASK = "the mask"
"""What hides numbers from a softmax."""
FAMILIES: Mapping[str, Mapping[str, Function]] = {
    **dict.fromkeys(
        [
            "gelu",
            "relu",
            "silu",
            "tanh",
            "sigmoid",
            "leaky_relu",
            "elu",
            "mish",
            "softplus",
            "hardtanh",
            "hardswish",
            "hardsigmoid",
            "relu6",
            "selu",
            "celu",
            "log_sigmoid_forward",
            "exp",
            "expm1",
            "log",
            "log1p",
            "sqrt",
            "rsqrt",
            "abs",
            "pow",
            "square",
            "sin",
            "cos",
            "floor",
            "round",
            "trunc",
        ],
        UNARY,
    ),
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div", "maximum", "minimum"), BINARY),
    **dict.fromkeys(COMPARISONS, COMPARE),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "select", "linalg_vector_norm", "logsumexp"), REDUCE),
    **dict.fromkeys(("adaptive_avg_pool1d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), AVERAGES),
    **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool3d"), MAXIMA),
    **dict.fromkeys(PADS, PADDING),
    **dict.fromkeys(RESIZED, RESIZE),
    "gather": ALONG,
    **NORMS,
    **dict.fromkeys(
        [f"{kind}_pool{rank}d{more}" for rank in (1, 2, 3) for kind, more in (("max", "_with_indices"), ("avg", ""))], POOL
    ),
}
"""For each operation of PyTorch, the functions that JAX may compute instead."""
PLAIN = frozenset(["view", "_unsafe_view", "t", "transpose", "permute", "expand", "unsqueeze", "squeeze", "clone"])
MOVING = PLAIN | {
    "contiguous",
    "alias",
    "detach",
    "_to_copy",
    "slice",
    "_reshape_alias",
    "lift_fresh",
    "split",
    "unbind",
    "same",
}
"""Operations that give the numbers that they get."""
PRODUCTS = frozenset(["mm", "addmm", "bmm"])
PARTS = frozenset(["split", "split_with_sizes", "chunk", "unbind", "unsafe_split", "unsafe_chunk"])
"""Operations that cut an array into parts."""
ROLES: Mapping[str, str] = {
    "eps": "epsilon",
    "negative_slope": "slope",
    "dim": "axis",
    "correction": "correction (the divisor is n less this)",
    "kernel_size": "window",
    "start": "first index",
    "dims": "order of the axes",
    "shifts": "shift",
    "min": "lower bound",
    "max": "upper bound",
    "num_groups": "number of groups",
    "group": "number of groups",
}
"""The words for an argument, by its name in torch, where that says less."""
SAID: Mapping[str, str] = {
    "native_layer_norm": "LayerNorm",
    "native_group_norm": "GroupNorm",
    "native_batch_norm": "BatchNorm",
    "_native_batch_norm_legit": "BatchNorm",
    "_native_batch_norm_legit_no_training": "BatchNorm",
    "_softmax": "softmax",
    "_safe_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "log_sigmoid_forward": "logsigmoid",
    "addmm": "the product",
    "mm": "the product",
    "bmm": "the product",
    "baddbmm": "the product",
    "convolution": "the convolution",
    "masked_fill": MASK,
    "triu": "the mask (triu)",
    "tril": "the mask (tril)",
    "linalg_vector_norm": "the norm",
    "rsub": "the difference",
    "sub": "the difference",
    "add": "the sum",
    "mul": "the multiplication",
    "div": "the division",
    "rsqrt": "1 / sqrt",
    "index": "the choice by index",
    **{f"max_pool{rank}d_with_indices": f"max_pool{rank}d" for rank in (1, 2, 3)},
}
"""The words for an operation, where its name is none."""
COMPOSITES: Mapping[frozenset[str], str] = {
    frozenset(["pow", "mean", "rsqrt"]): "the RMS normalisation",
    frozenset(["amax", "exp", "sum"]): "the softmax",
    frozenset(["native_layer_norm"]): "the layer normalisation",
    frozenset(["native_batch_norm"]): "the batch normalisation",
    frozenset(["_softmax"]): "the softmax",
    frozenset(["var_mean"]): "the normalisation",
}
"""The words for several operations."""
USUAL = (1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 1.702)
"""Numbers that are tried although JAX's program does not show them."""
