"""The training as one writes it in PyTorch, every epoch recorded."""

from typing import Any

import numpy as np
import torch

from crosscheck._frameworks.torch_backend import one_thread, to_array, to_tensor
from crosscheck._training.records import TENSORS, History, Progress, Setup
from crosscheck._training.torch_model import with_weights

REPORT_EVERY = 50


@one_thread()
def train(setup: Setup, progress: Progress | None = None) -> History:
    """Train with ``torch.optim.SGD`` on the whole batch."""
    x, y = (to_tensor(array, "cpu") for array in (setup.x, setup.y))
    model = with_weights(setup.weights, logits=setup.logits)
    loss_of = (torch.nn.BCEWithLogitsLoss if setup.logits else torch.nn.BCELoss)(reduction=setup.reduction)
    optimizer = torch.optim.SGD(model.parameters(), lr=setup.learning_rate)
    weight, bias = model.linear.weight, model.linear.bias
    kept: dict[str, list[Any]] = {name: [] for name in TENSORS} | {"weight": [_copy(weight)], "bias": [_copy(bias)]}
    for epoch in range(1, setup.epochs + 1):
        if setup.reset_gradient:
            optimizer.zero_grad()
        outputs = model(x)
        if not setup.logits and torch.isnan(outputs).any():  # BCELoss refuses NaN, and a report is more than an error
            return _filled(kept, setup)
        loss = loss_of(outputs, y)
        loss.backward()
        optimizer.step()
        for name, tensor in zip(TENSORS, (outputs, loss, weight.grad, bias.grad, weight, bias), strict=True):
            kept[name].append(_copy(tensor))
        if progress and epoch % REPORT_EVERY == 0:
            progress("torch", REPORT_EVERY)
    kept["outputs"].append(_copy(model(x)))
    return History({name: np.stack(arrays) for name, arrays in kept.items()})


def _copy(tensor: Any) -> Any:
    return to_array(tensor).copy()


def _filled(kept: dict[str, list[Any]], setup: Setup) -> History:
    """The history of a training whose outputs became NaN: what follows is NaN as well."""
    shapes = {"outputs": setup.y.shape, "loss": (), "weight": setup.weights["weight"].shape, "bias": setup.y.shape[1:]}
    shapes |= {f"gradient.{name}": shapes[name] for name in ("weight", "bias")}
    filled = {}
    for name, arrays in kept.items():
        length = setup.epochs + (name in ("outputs", "weight", "bias"))
        rest = np.full((length - len(arrays), *shapes[name]), np.nan, setup.x.dtype)
        filled[name] = np.concatenate([np.reshape(arrays, (-1, *shapes[name])).astype(setup.x.dtype), rest])
    return History(filled)
