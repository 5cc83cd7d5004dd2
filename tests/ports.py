"""What tests of ports share: weights, a comparison, and the layers of a port."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

from crosscheck import ModelsReport, compare_models

Port = Callable[..., Any]


def normal(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


X, IMAGE = normal(2, 6, 8), normal(2, 3, 8, 8)
PROGRAM = """
import jax, jax.numpy as jnp, numpy as np, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
inputs = [np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)]
def params():
    return {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
def right(p, x, approximate=False):
    h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=approximate)
    return h @ p["2.weight"].T + p["2.bias"]
def wrong(p, x):
    return right(p, x, True)
"""
"""A file with a model, a right port and a wrong one, for the command."""


def seeded(model: nn.Module) -> nn.Module:
    """With weights, biases and statistics that differ from their usual start."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith("var") or (name.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and "mask" not in name:
                tensor.normal_(0, 0.4)
    return model.eval()


def params_of(model: nn.Module) -> dict[str, Any]:
    """The parameters and buffers by their names in PyTorch."""
    return {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.state_dict().items()}


def floats_of(model: nn.Module) -> dict[str, Any]:
    """Without the numbers of batches that norms count."""
    return {name: leaf for name, leaf in params_of(model).items() if jnp.issubdtype(leaf.dtype, jnp.floating)}


def compared(model: nn.Module, port: Port, *inputs: Any, order: int = 0) -> ModelsReport:
    params = {name: leaf for name, leaf in params_of(model).items() if "mask" not in name}
    return compare_models(model, port, list(inputs), params=params, order=order)


def norm(p: dict[str, Any], name: str, x: Any, epsilon: float = 1e-5) -> Any:
    scaled = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + epsilon)
    return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]


def linear(p: dict[str, Any], name: str, x: Any) -> Any:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


class Function(nn.Module):
    def __init__(self, function: Port) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: torch.Tensor) -> Any:
        return self.function(*given)
