"""Edits of PyTorch's update rules, for what optax does and no option of PyTorch's optimiser can express."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

EPSILON = "eps"


class _EpsilonInRoot(TorchFunctionMode):
    """Adds epsilon inside a root: ``sqrt(v) + eps`` becomes ``sqrt(v + eps)``."""

    def __init__(self, epsilons: set[float]) -> None:
        super().__init__()
        self._epsilons = epsilons

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        adds = func in (torch.Tensor.add_, torch.Tensor.add) and len(args) == 2
        if adds and isinstance(args[1], float) and args[1] in self._epsilons:
            root, epsilon = args
            inside = root.square().add(epsilon).sqrt()
            return root.copy_(inside) if func is torch.Tensor.add_ else inside
        return func(*args, **(kwargs or {}))


def _epsilon_in_root(optimizer: Any) -> None:
    """Edit the steps of an optimiser."""
    step = optimizer.step

    def edited(*args: Any, **kwargs: Any) -> Any:
        # only the loop over single tensors adds a number by itself
        for group in optimizer.param_groups:
            group.update({name: False for name in ("foreach", "fused") if name in group})
        with _EpsilonInRoot({group[EPSILON] for group in optimizer.param_groups}):
            return step(*args, **kwargs)

    optimizer.step = edited


def edits(optimizer: Any) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """What each edit that fits an optimiser would mean of optax, as a clause, and the edit."""
    if isinstance(optimizer.defaults.get(EPSILON), float) and optimizer.defaults[EPSILON] > 0:
        yield "JAX adds its epsilon inside the square root, PyTorch outside", _epsilon_in_root
