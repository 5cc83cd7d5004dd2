"""What tests share that call the same function in both frameworks: arrays made from numbers, and numbers from arrays."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from floats import Float64Array

FRAMEWORKS = ("torch", "jax")


def make(framework: str, values: Any, dtype: str = "float64") -> Any:
    values = np.asarray(values, dtype=np.float64)
    if framework == "torch":
        return torch.tensor(values, dtype=getattr(torch, dtype))
    return jnp.asarray(values, dtype=dtype)


def array(result: Any) -> Float64Array:
    if isinstance(result, torch.Tensor):
        return result.detach().double().numpy()
    return np.asarray(result).astype(np.float64)
