"""The training in PyTorch."""

from typing import Any

import torch

from crosscheck._training.perceptron.torch_model import with_weights
from crosscheck._training.records import Steps, TrainingSetup


def prepare(setup: TrainingSetup) -> Steps:
    """A step of ``torch.optim.SGD`` on all data, and the model and optimiser that it changes."""
    model = with_weights(setup.weights, logits=True)
    loss_of = torch.nn.BCEWithLogitsLoss(reduction=setup.reduction)
    optimizer = torch.optim.SGD(model.parameters(), lr=setup.learning_rate)

    def step(x: Any, y: Any) -> Any:
        if setup.reset_gradient:
            optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, (model, optimizer)
