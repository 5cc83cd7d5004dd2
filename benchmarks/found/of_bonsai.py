"""What the findings in jax-ml/bonsai share: originals with random weights, and ports that bonsai's own loaders fill."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import torch
from flax import nnx

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from public.records import Called, channels_last, integers, normals

__all__ = ["Called", "Port", "channels_last", "drawn", "integers", "loaded", "normals", "renamed"]

PROJECT = "jax-ml/bonsai"
COMMIT = "36284254cf738d99c1c5d1e3a292d27656a0a365"
MODELS = "bonsai/models"


class Port(nnx.Module):
    """A model of flax behind the function that calls it, so that it takes and gives plain arrays."""

    def __init__(self, model: Any, call: Callable[..., Any]) -> None:
        self.model = model
        self.call = call

    def __call__(self, *given: Any) -> Any:
        return self.call(self.model, *given)


@torch.no_grad()
def drawn(make: Callable[[], torch.nn.Module], seed: int = 0) -> torch.nn.Module:
    """A model in evaluation mode whose weights are about as large as trained ones; the usual start hides mistakes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            last = name.rpartition(".")[2]
            if not value.is_floating_point():
                continue
            if last == "running_var" or (value.ndim == 1 and last in ("weight", "lambda1", "layer_scale_parameter")):
                value.uniform_(0.5, 1.5)
            elif last in ("bias", "running_mean"):
                value.normal_(0, 0.1)
            elif value.ndim > 1:
                value.normal_(0, value[0].numel() ** -0.5)
    return model.eval()


def loaded(original: Any, load: Callable[[str], Any]) -> Any:
    """The port that a loader of bonsai makes of the checkpoint of a model of transformers."""
    with tempfile.TemporaryDirectory() as folder:
        original.save_pretrained(folder)
        port = load(folder)
    nnx.update(port, jax.tree.map(jnp.asarray, nnx.state(port, nnx.Param)))  # some loaders leave arrays of numpy
    port.eval()
    return port


def renamed(original: torch.nn.Module, port: Any, names: dict[str, str]) -> Any:
    """The port with the original's weights, where bonsai has no loader of torch's: paths become torch's names by ``names``.

    Matrices are turned over, and kernels have their channels last.
    """
    weights, state = original.state_dict(), nnx.state(port, nnx.Param)
    for path, leaf in nnx.to_flat_state(state):
        name = ".".join(map(str, path))
        for pattern, replacement in names.items():
            name = re.sub(pattern, replacement, name)
        array = weights[name].numpy()
        if path[-1] == "kernel":
            array = array.transpose(*range(2, array.ndim), 1, 0)
        leaf.set_value(jnp.asarray(array))
    nnx.update(port, state)
    port.eval()
    return port
