"""What tests share that call the same function in both frameworks: arrays of theirs, derivatives by their own calls."""

import contextlib
import os
import shutil
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from floats import Float64Array, FloatArray

FRAMEWORKS = ("torch", "jax")
each_framework = pytest.mark.parametrize("framework", FRAMEWORKS)
TORCH_WARNS_OF_ITSELF = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]
"""Where forward mode or inductor is first used, and where it compiles an autograd.Function."""


def make(framework: str, values: Any, dtype: str = "float64") -> Any:
    values = np.asarray(values, dtype=np.float64)
    if framework == "torch":
        return torch.tensor(values, dtype=getattr(torch, dtype))
    return jnp.asarray(values, dtype=dtype)


def array(result: Any) -> Float64Array:
    if isinstance(result, torch.Tensor):
        return result.detach().double().numpy()
    return np.asarray(result).astype(np.float64)


def to_torch(x: Any) -> Any:
    """A tensor with the same bits."""
    x = np.array(x, order="C")
    return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) if x.dtype.name == "bfloat16" else torch.from_numpy(x)


def from_torch(tensor: Any) -> FloatArray:
    """An array with the same bits."""
    tensor = tensor.detach().contiguous()
    return tensor.view(torch.int16).numpy().view("bfloat16") if tensor.dtype == torch.bfloat16 else tensor.numpy()


def x64(dtype: str) -> contextlib.AbstractContextManager[Any]:
    """64 bits in JAX for the dtype that needs them."""
    return jax.enable_x64(dtype == "float64")


def derivative(
    framework: str,
    function: Callable[[Any], Any],
    x: FloatArray,
    order: int = 0,
    v: FloatArray | None = None,
    w: FloatArray | None = None,
    *,
    jit: bool = False,
) -> FloatArray:
    """The value, or a derivative in reverse mode.

    ``v`` is the cotangent, ones unless given, and ``w`` that of the second differentiation, ``v`` unless given.
    """
    v = np.ones_like(x) if v is None else v
    cotangents = (v, v if w is None else w)[:order]
    if framework == "torch":
        at = to_torch(x).requires_grad_()
        result = function(at)
        for k, cotangent in enumerate(cotangents, 1):  # another graph makes torch take other code
            (result,) = torch.autograd.grad(result, at, to_torch(cotangent), create_graph=k < order)
        return from_torch(result)
    for cotangent in cotangents:
        function = _gradient(function, cotangent)
    with x64(x.dtype.name):
        return np.asarray((jax.jit(function) if jit else function)(jnp.asarray(x)))


def _gradient(function: Callable[[Any], Any], cotangent: FloatArray) -> Callable[[Any], Any]:
    return lambda x: jax.vjp(function, x)[1](jnp.asarray(cotangent))[0]


def torch_compiles() -> bool:
    """Whether torch.compile can be run here: it needs a C++ compiler, and not every Python is known to it."""
    try:
        torch.compile(lambda x: x)
    except RuntimeError:
        return False
    return shutil.which(os.environ.get("CXX", "g++")) is not None
