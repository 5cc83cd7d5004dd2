"""What a public port is: two models that hold the same weights, what they are called with, and what must be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

import crosscheck

Inputs = list[Any]


class Sides(NamedTuple):
    """Both models and their inputs, as ``compare_models`` takes them."""

    torch: torch.nn.Module
    jax: Any
    inputs: Inputs
    params: Any = None
    torch_to_jax: Callable[[Sequence[Any]], Any] | None = None


@dataclass(frozen=True)
class Fault:
    """A place where a port computes something else than its original: proven by mending it, after which nothing is found."""

    where: str
    """The torch module that the report must name: the path of its first fault begins or ends with it."""
    what: str
    """What is wrong in the port, for the reader of the table."""


@dataclass(frozen=True)
class PublicPort:
    """One port of the package index. ``sides`` draws its weights at random, and builds everything afresh at each call."""

    name: str
    package: str
    """The distribution that ships the port."""
    original: str
    """The distribution that ships the original."""
    layers: int
    sides: Callable[[], Sides]
    fault: Fault | None = None
    """None for a right port, which must be certified."""
    order: int = 1
    """0 where the original has no gradients."""

    def as_expected(self, report: crosscheck.ModelsReport) -> bool:
        """Whether it is certified, or the true fault is the first that is named."""
        if self.fault is None or report.first is None:
            return report.passed and self.fault is None
        return self.fault.where in (report.first.torch or "")


class Called(torch.nn.Module):
    """A model of torch behind the function that calls it, so that it takes and gives plain tensors."""

    def __init__(self, model: torch.nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self.call = call

    def forward(self, *given: torch.Tensor) -> Any:
        return self.call(self.model, *given)


@torch.no_grad()
def drawn(make: Callable[[], torch.nn.Module], seed: int = 0) -> torch.nn.Module:
    """A model in evaluation mode whose norms, biases and statistics differ from their usual start, which hides mistakes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            last = name.rpartition(".")[2]
            if not value.is_floating_point():
                continue
            if last == "running_var" or (value.ndim == 1 and last in ("weight", "gamma")):
                value.uniform_(0.5, 1.5)
            elif last in ("bias", "running_mean", "beta"):
                value.normal_(0, 0.1)
    return model.eval()


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def integers(low: int, high: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int32)


def channels_last(inputs: Sequence[Any]) -> Inputs:
    """Images as most of JAX has them: NCHW to NHWC."""
    return [array.transpose(0, 2, 3, 1) if array.ndim == 4 else array for array in inputs]
