"""Many trainings at once in PyTorch: one step of one perceptron, mapped over all of them by ``torch.func``."""

from __future__ import annotations

from typing import Any

import torch

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._frameworks.torch_backend import one_thread, to_array, to_tensor
from crosscheck._training.many_setup import Many
from crosscheck._training.records import Progress
from crosscheck._training.torch_model import with_weights

REPORT_EVERY = 20


@one_thread()
def train_many(many: Many, progress: Progress | None = None) -> FloatArray:
    """The logits (trainings, points, outputs) after the last epoch."""
    x, y, weight, bias = (
        to_tensor(array, "cpu") for array in (many.x, many.y, many.weights["weight"], many.weights["bias"])
    )
    model = with_weights({name: array[0] for name, array in many.weights.items()}, logits=True)
    loss_of = torch.nn.BCEWithLogitsLoss()

    def outputs(weights: Any, x: Any) -> Any:
        return torch.func.functional_call(model, weights, (x,))

    def loss(weights: Any, x: Any, y: Any) -> Any:
        return loss_of(outputs(weights, x), y)

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, 0))
    weights = {"linear.weight": weight, "linear.bias": bias}
    for epoch in range(1, many.epochs + 1):
        step = gradients(weights, x, y)
        weights = {name: array - many.learning_rate * step[name] for name, array in weights.items()}
        if progress and epoch % REPORT_EVERY == 0:
            progress("torch", REPORT_EVERY)
    return to_array(torch.func.vmap(outputs, in_dims=(0, None))(weights, x))
