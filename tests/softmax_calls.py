"""What tests of softmax share: it is called in both frameworks, with arrays made from numbers."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

import crosscheck
from crosscheck._arithmetic.formats import Float64Array

SOFTMAX = crosscheck.activations["softmax"]
FRAMEWORKS = ("torch", "jax")


def function_of(framework: str, axis: int = -1) -> Callable[[Any], Any]:
    function = getattr(SOFTMAX, framework)
    return lambda x: function(x, axis=axis)


def make(framework: str, values: Any, dtype: str = "float64") -> Any:
    values = np.asarray(values, dtype=np.float64)
    if framework == "torch":
        return torch.tensor(values, dtype=getattr(torch, dtype))
    return jnp.asarray(values, dtype=dtype)


def array(result: Any) -> Float64Array:
    if isinstance(result, torch.Tensor):
        return result.detach().double().numpy()
    return np.asarray(result).astype(np.float64)


def drawn(shape: tuple[int, ...], seed: int = 0) -> Float64Array:
    return np.random.default_rng(seed).uniform(-3, 3, shape)
