"""What a form is: a model of PyTorch on one device, and the same among devices in JAX, right or with a mistake."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import torch
from jax.sharding import AxisType, Mesh
from torch import nn

import crosscheck

STEPS, RATE = 5, 1e-2
Answer = tuple[bool, str]
"""Whether something is as it must be, and what crosscheck says of it."""


def mesh(devices: int, axes: tuple[str, ...] = ("model",)) -> Mesh:
    """A mesh of so many devices; the second of two axes has two of them, or one if there are two in all."""
    shape = (devices,) if len(axes) == 1 else (2, devices // 2)
    return jax.make_mesh(shape, axes, axis_types=(AxisType.Auto,) * len(axes), devices=jax.devices()[:devices])


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def squares(out: Any, target: Any) -> Any:
    """The mean of squares, in either framework."""
    return ((out - target) ** 2).mean()


def in_jax(loss: Callable[..., Any], params: Any, *batch: Any) -> tuple[Any, Any]:
    """The loss and its gradients, outside of every device."""
    return jax.value_and_grad(loss)(params, *batch)


@dataclass(frozen=True)
class Form:
    """A way in which devices share a model.

    Attributes:
        name: Its name.
        torch: Makes PyTorch's model.
        jax: Makes JAX's function of parameters and inputs, for a number of devices and a mistake; "" is none.
        inputs: Makes the inputs.
        gradients: Makes JAX's function of parameters, inputs and the target that gives the loss and its gradients, in the
            same way; None for those of the mean of squares of what the model gives.
        clip: The norm to which gradients are clipped, if they are.
        target: Whether the loss has a target beside the model's inputs.
        trains: Whether JAX can train it.
        within: Makes what its training is within, for a number of devices.
    """

    name: str
    torch: Callable[[], nn.Module]
    jax: Callable[[int, str], Callable[..., Any]]
    inputs: Callable[[], list[Any]]
    gradients: Callable[[int, str], Callable[..., Any]] | None = None
    clip: float | None = None
    target: bool = True
    trains: bool = True
    within: Callable[[int], AbstractContextManager[Any]] = lambda _: nullcontext()

    def model(self) -> nn.Module:
        """PyTorch's model, with seeded weights."""
        torch.manual_seed(0)
        model = self.torch()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.4)
        return model

    def compared(self, devices: int, dtype: str = "float32", wrong: str = "", order: int = 1) -> Any:
        """The report on the model."""
        model = self.model()
        params = {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.named_parameters()}
        function = self.jax(devices, wrong)
        return crosscheck.compare_models(model, function, self.inputs(), params=params, order=order, dtype=dtype)

    def trained(self, devices: int, dtype: str = "float32", wrong: str = "", steps: int = STEPS) -> Any:
        """The report on some steps of training."""
        model = self.model().to(getattr(torch, dtype))
        optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9)
        rule = optax.sgd(RATE, momentum=0.9)
        gradients = (self.gradients or self._of_squares)(devices, wrong)

        def torch_step(*batch: Any) -> Any:
            optimizer.zero_grad()
            out = model(*batch[: len(batch) - self.target])
            loss = squares(out, batch[-1]) if self.target else out.mean()
            loss.backward()
            if self.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), self.clip)
            optimizer.step()
            return loss

        def jax_step(state: Any, *batch: Any) -> Any:
            params, memory = state
            loss, slopes = gradients(params, *batch)
            updates, memory = rule.update(slopes, memory, params)
            return (optax.apply_updates(params, updates), memory), loss

        start = {name: jnp.asarray(_numpy(tensor)) for name, tensor in model.named_parameters()}
        with self.within(devices):
            return crosscheck.compare_training(
                torch_step,
                jax_step,
                [self._batch(k, dtype) for k in range(steps)],
                torch_state=(model, optimizer),
                jax_state=(start, rule.init(start)),
                controls=0,
            )

    def _of_squares(self, devices: int, wrong: str) -> Callable[..., Any]:
        function = self.jax(devices, wrong)

        def loss(params: Any, *batch: Any) -> Any:
            out = function(params, *batch[: len(batch) - self.target])
            return squares(out, batch[-1]) if self.target else out.mean()

        return jax.value_and_grad(loss)

    def _batch(self, number: int, dtype: str) -> list[Any]:
        inputs = self.inputs()
        rng = np.random.default_rng(number)
        batch = [rng.permutation(array) for array in inputs]
        with torch.no_grad():
            out = self.model()(*map(torch.as_tensor, inputs))
        batch += [rng.standard_normal(tuple(out.shape)).astype(np.float32)] * self.target
        kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
        return [array.astype(kind) if array.dtype == np.float32 else array for array in batch]


def _numpy(tensor: torch.Tensor) -> Any:
    array = tensor.detach().float().numpy()
    return array.astype(ml_dtypes.bfloat16) if tensor.dtype == torch.bfloat16 else array


@dataclass(frozen=True)
class Mistake:
    """A mistake in a form.

    Attributes:
        form: The name of the form.
        wrong: The mistake, as the form's functions know it.
        words: What the report must say: the collective, and its axis.
        training: Whether it is in the gradients of a training, not in the model.
    """

    form: str
    wrong: str
    words: tuple[str, ...]
    training: bool = False
