"""The training of one linear layer in PyTorch and in JAX, of which a test may change a part."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from trained import Training

RATE = 0.1


def descent(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=RATE)


def linear(
    steps: int = 4,
    *,
    change: Callable[[Any], Any] = lambda values: values,
    optimizer: Callable[[Any], torch.optim.Optimizer] = descent,
    tx: optax.GradientTransformation | None = None,
    dtype: str = "float32",
    sizes: tuple[int, ...] = (8,),
) -> Training:
    """A linear layer; ``change`` is done to what JAX's step returns."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2).to(getattr(torch, dtype))
    made = optimizer(model.parameters())
    tx = tx or optax.sgd(RATE)

    def torch_step(x: Any, y: Any) -> Any:
        made.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        made.step()
        return loss

    def jax_step(state: Any, x: Any, y: Any) -> Any:
        params, held = state
        loss, grads = jax.value_and_grad(lambda p: ((x @ p["w"].T + p["b"] - y) ** 2).mean())(params)
        updates, held = tx.update(grads, held, params)
        return change(((optax.apply_updates(params, updates), held), loss))

    def array(tensor: Any) -> Any:
        return jnp.asarray(tensor.detach().float().numpy(), dtype)

    with jax.enable_x64(dtype == "float64"):
        params = {"w": array(model.weight), "b": array(model.bias)}
        state = (params, tx.init(params))
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(size, 3)), rng.normal(size=(size, 2))] for size in (sizes * steps)[:steps]]
    return Training(torch_step, jax_step, (model, made), state, batches)
