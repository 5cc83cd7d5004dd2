"""Other normalisations than those that PyTorch computes in one operation, by name: a port may compute them instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from crosscheck._explain.functions import Function


class Standardize(Protocol):
    """Brings the numbers along some axes to mean 0 and variance 1."""

    def __call__(self, x: Any, axes: Sequence[int], eps: float) -> Any: ...


def outside(x: Any, axes: Sequence[int], eps: float) -> Any:
    away = x - x.mean(axes, keepdim=True)
    return away / (away.square().mean(axes, keepdim=True).sqrt() + eps)


def unbiased(x: Any, axes: Sequence[int], eps: float) -> Any:
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=1, keepdim=True) + eps).sqrt()


def uncentred(x: Any, axes: Sequence[int], eps: float) -> Any:
    return x / (x.square().mean(axes, keepdim=True) + eps).sqrt()


STANDARDIZED: Mapping[str, Standardize] = {
    "epsilon outside the root": outside,
    "the variance with divisor n - 1": unbiased,
    "without subtraction of the mean (RMS norm)": uncentred,
}


def layer(x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float, *, how: Standardize) -> Any:
    return scaled(how(x, tuple(range(-len(shape), 0)), eps), weight, bias)


def last_axes(x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float, *, count: int) -> Any:
    return scaled(F.layer_norm(x, x.shape[-count:], eps=eps), weight, bias)


def group(x: Any, weight: Any, bias: Any, n: int, c: int, size: int, groups: int, eps: float, *, how: Standardize) -> Any:
    return by_channel(how(x.reshape(n, groups, -1), (-1,), eps).reshape(x.shape), weight, bias)


def interleaved(x: Any, weight: Any, bias: Any, n: int, c: int, size: int, groups: int, eps: float) -> Any:
    order = torch.arange(c).reshape(-1, groups).T.flatten()
    normalised = torch.empty_like(x)
    normalised[:, order] = F.group_norm(x[:, order], groups, eps=eps)
    return by_channel(normalised, weight, bias)


def batch(x: Any, weight: Any, bias: Any, *settings: Any, how: Standardize) -> Any:
    *_, eps = settings  # running statistics come before it, or none
    return by_channel(how(x, (0, *range(2, x.ndim)), eps), weight, bias)


def of_the_batch(x: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float) -> Any:
    return F.batch_norm(x, None, None, weight, bias, True, 0.0, eps)


def by_channel(x: Any, weight: Any, bias: Any) -> Any:
    shape = (-1, *(1,) * (x.ndim - 2))
    return scaled(x, *(None if parameter is None else parameter.reshape(shape) for parameter in (weight, bias)))


def scaled(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


TRAINED = {name: partial(batch, how=how) for name, how in STANDARDIZED.items()}
NORMS: Mapping[str, Mapping[str, Function]] = {
    "native_layer_norm": {
        **{name: partial(layer, how=how) for name, how in STANDARDIZED.items()},
        "over axis -1 alone": partial(last_axes, count=1),
        "over axes -2 and -1": partial(last_axes, count=2),
    },
    "native_group_norm": {
        "of every n-th channel": interleaved,
        **{name: partial(group, how=how) for name, how in STANDARDIZED.items()},
    },
    "native_batch_norm": TRAINED,
    "_native_batch_norm_legit": TRAINED,
    "_native_batch_norm_legit_no_training": {"the statistics of the batch": of_the_batch},
}
"""For each normalisation of PyTorch, those that JAX may compute instead."""
OWN: Mapping[str, tuple[str, str]] = {
    "of every n-th channel": ("GroupNorm's groups", "of neighbouring channels"),
    "the statistics of the batch": ("BatchNorm", "the running ones"),
}
"""For some of these, what differs, and how PyTorch has it."""
