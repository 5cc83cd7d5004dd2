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


def seeded(model: nn.Module) -> nn.Module:
    """With weights, biases and statistics that differ from their usual start."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith("var") or (name.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and "mask" not in name:
                tensor.normal_(0, 0.4)
    return model.eval()


def compared(model: nn.Module, port: Port, *inputs: Any, order: int = 0) -> ModelsReport:
    params = {
        name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.state_dict().items() if "mask" not in name
    }
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
