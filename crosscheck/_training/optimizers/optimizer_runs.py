"""Run an optimiser of torch and one of optax with the same gradients, and keep the parameters after each step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._frameworks.jax_backend import scope
from crosscheck._records.errors import UsageError, said

KINDS = {
    "usual": "normal numbers, of another size at each step",
    "zeros": "usual ones, from the middle on zeros",
    "sparse": "usual ones, in which rows of the first axis are zeros, others at each step",
    "tiny": "usual ones of 1e-9 and less, beside which an epsilon is large",
    "missing": "usual ones, of which every third is None in PyTorch, as of a layer that was not used, and zeros in JAX",
}
"""The kinds of gradients that are tried, and what they are."""
OBJECTIVE = "objective"
"""The gradients of a quadratic function, for optimisers that evaluate the function itself, as a line search does."""

Gradients = Sequence[Sequence[FloatArray | None]]
"""The gradients by step and by parameter."""
Trajectory = list[list[FloatArray]]
"""The parameters after each step."""


@dataclass(frozen=True)
class OptimizerSides:
    """The two sides that are compared.

    Attributes:
        torch: A function of a list of parameters that returns the optimiser, or a pair of it and its schedulers.
        optax: The transformation.
        params: The parameters at the start, as JAX has them.
        clip: A function of the list of parameters that changes their gradients before each step of torch.
        every: The number of gradients that torch adds up for one step.
    """

    torch: Callable[[list[Any]], Any]
    optax: Any
    params: Any
    clip: Callable[[list[Any]], Any] | None = None
    every: int = 1

    @property
    def leaves(self) -> list[FloatArray]:
        """The parameters in a flat list."""
        return [np.asarray(leaf) for leaf in jax.tree.leaves(self.params)]

    @property
    def names(self) -> list[str]:
        """The names of the parameters."""
        return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(self.params)[0]]


def gradients(kind: str, leaves: Sequence[FloatArray], steps: int, seed: int) -> Gradients:
    """The gradients of a kind; float32 holds each number."""
    rng = np.random.default_rng((seed, list(KINDS).index(kind)))
    rows: list[list[FloatArray | None]] = []
    for step in range(steps):
        size = 10.0 ** rng.uniform(-2, 0.5)
        if kind == "tiny":
            size *= 1e-10
        elif kind == "zeros" and step >= steps // 2:
            size = 0.0
        row: list[FloatArray | None] = []
        for k, leaf in enumerate(leaves):
            gradient = np.asarray((size * rng.normal(size=leaf.shape)).astype(np.float32), np.float64)
            if kind == "sparse" and gradient.ndim:
                gradient[rng.random(len(gradient)) < 0.5] = 0.0
            row.append(None if kind == "missing" and (step + k) % 3 == 2 else gradient)
        rows.append(row)
    return rows


@contextmanager
def _said(what: str) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{what}: it raised {said(error)}; expected it to run on params") from error


def with_schedulers(pair: OptimizerSides, params: list[Any]) -> tuple[Any, list[Any]]:
    """torch's optimiser of these parameters, and its schedules."""
    result = pair.torch(params)
    optimizer, *schedulers = result if isinstance(result, tuple | list) else (result,)
    return optimizer, schedulers


@_said("torch_optimizer")
def in_torch(
    pair: OptimizerSides, given: Gradients | None, steps: int, dtype: str, change: Callable[[Any], None] | None = None
) -> Trajectory:
    """torch's parameters. Without ``given``, the gradients are the objective's. ``change`` alters the optimiser."""
    tensors = [torch.nn.Parameter(torch.tensor(leaf.astype(dtype))) for leaf in pair.leaves]
    optimizer, schedulers = with_schedulers(pair, tensors)
    if change is not None:
        change(optimizer)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = sum((curvature(tensor.shape, dtype) * (tensor - 1) ** 2).sum() for tensor in tensors) / 2
        loss.backward()
        return loss

    def curvature(shape: Any, dtype: str) -> Any:
        return torch.tensor(_curvature(tuple(shape)).astype(dtype))

    trajectory = []
    for step in range(steps):
        if given is None:
            if pair.clip is not None:
                closure()
                pair.clip(tensors)
            optimizer.step(closure)
        else:
            for tensor, gradient in zip(tensors, given[step], strict=True):
                added = None if gradient is None else torch.tensor(gradient.astype(dtype))
                held = tensor.grad if step % pair.every else None
                tensor.grad = added if held is None else held if added is None else held + added
            if (step + 1) % pair.every == 0:
                if pair.clip is not None:
                    pair.clip(tensors)
                optimizer.step()
        if (step + 1) % pair.every == 0:
            for scheduler in schedulers:
                scheduler.step()
        trajectory.append([tensor.detach().numpy().astype(np.float64) for tensor in tensors])
    return trajectory


@_said("optax_transform")
def in_optax(pair: OptimizerSides, given: Gradients | None, steps: int, dtype: str) -> Trajectory:
    """optax's parameters after each step."""
    with scope(dtype, "cpu"):
        structure = jax.tree.structure(pair.params)
        params = jax.tree.unflatten(structure, [jnp.asarray(leaf.astype(dtype)) for leaf in pair.leaves])
        transform = optax.with_extra_args_support(pair.optax)
        state = transform.init(params)

        def objective(params: Any) -> Any:
            leaves = jax.tree.leaves(params)
            return sum((jnp.asarray(_curvature(leaf.shape).astype(dtype)) * (leaf - 1) ** 2).sum() for leaf in leaves) / 2

        @jax.jit
        def step(params: Any, state: Any, gradient: Any) -> Any:
            more = {}
            if given is None:
                value, gradient = jax.value_and_grad(objective)(params)
                more = {"value": value, "grad": gradient, "value_fn": objective}
            updates, state = transform.update(gradient, state, params, **more)
            return optax.apply_updates(params, updates), state

        trajectory = []
        for k in range(steps):
            row = [None] * len(pair.leaves) if given is None else given[k]
            arrays = [
                np.zeros_like(leaf) if gradient is None else gradient
                for gradient, leaf in zip(row, pair.leaves, strict=True)
            ]
            gradient = jax.tree.unflatten(structure, [jnp.asarray(array.astype(dtype)) for array in arrays])
            params, state = step(params, state, gradient)
            trajectory.append([np.asarray(leaf).astype(np.float64) for leaf in jax.tree.leaves(params)])
        return trajectory


@_said("torch_optimizer")
def made(pair: OptimizerSides) -> Any:
    """torch's optimiser, before its first step."""
    optimizer, _ = with_schedulers(pair, [torch.nn.Parameter(torch.tensor(leaf)) for leaf in pair.leaves])
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UsageError(f"torch_optimizer: it returned {type(optimizer).__name__}, expected an optimiser of torch.optim")
    return optimizer


def needs_objective(pair: OptimizerSides) -> bool:
    """Whether torch's optimiser evaluates the function itself, as a line search does."""
    closure = inspect.signature(made(pair).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _curvature(shape: tuple[int, ...]) -> FloatArray:
    return np.linspace(0.1, 10, int(np.prod(shape))).reshape(shape)
