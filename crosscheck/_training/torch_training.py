"""The training in PyTorch."""

from typing import Any

import torch

from crosscheck._training.records import Setup, Steps
from crosscheck._training.torch_model import with_weights


def prepare(setup: Setup) -> Steps:
    """A step of ``torch.optim.SGD`` on all data, and the model and optimiser that it changes."""
    model = with_weights(setup.weights, logits=setup.logits)
    loss_of = (torch.nn.BCEWithLogitsLoss if setup.logits else torch.nn.BCELoss)(reduction=setup.reduction)
    optimizer = torch.optim.SGD(model.parameters(), lr=setup.learning_rate)

    def step(x: Any, y: Any) -> Any:
        if setup.reset_gradient:
            optimizer.zero_grad()
        outputs = model(x)
        try:
            loss = loss_of(outputs, y)
        except RuntimeError:  # BCELoss refuses NaN; a report says more than an error
            loss = outputs.mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, (model, optimizer)
