"""The perceptron as a ``torch.nn.Module``, and its training."""

from typing import Any

import numpy as np
import torch

from crosscheck._catalogue.sigmoid import SIGMOID
from crosscheck._frameworks.torch_backend import to_array, to_tensor
from crosscheck._training.perceptron.model import check_input, check_weights
from crosscheck._training.records import Steps, TrainingSetup, Weights


class TorchPerceptron(torch.nn.Module):
    """One linear layer, then the catalogue's sigmoid unless ``logits``; weights as ``torch.nn.Linear`` draws them.

    ``forward`` takes one input (inputs,) or a batch (..., inputs) and returns (outputs,) or (..., outputs). It raises
    ``UsageError`` for another last axis.
    """

    def __init__(self, input_dim: int, output_dim: int, *, logits: bool = False, dtype: Any = None) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(input_dim, output_dim, dtype=dtype)
        self.logits = logits

    def forward(self, x: Any) -> Any:
        check_input(tuple(x.shape), self.linear.in_features)
        z = self.linear(x)
        return z if self.logits else SIGMOID.torch(z)

    def weights(self) -> Weights:
        """A copy of the weights, bit for bit, as numpy arrays."""
        return {name: to_array(getattr(self.linear, name)).copy() for name in ("weight", "bias")}

    def load(self, weights: Weights) -> None:
        """Copy these weights into the module, bit for bit; ``UsageError`` if a shape or dtype differs."""
        expected = self.weights()
        check_weights(weights, {name: array.shape for name, array in expected.items()}, str(expected["bias"].dtype))
        with torch.no_grad():
            for name, array in weights.items():
                getattr(self.linear, name).copy_(to_tensor(np.asarray(array), "cpu"))


def with_weights(weights: Weights, *, logits: bool) -> TorchPerceptron:
    """A perceptron with these weights, in their dtype; torch's generator is not changed."""
    output_dim, input_dim = weights["weight"].shape[-2:]
    with torch.random.fork_rng(devices=[]):
        model = TorchPerceptron(input_dim, output_dim, logits=logits, dtype=getattr(torch, str(weights["bias"].dtype)))
    model.load(weights)
    return model


def initial_weights(input_dim: int, output_dim: int, seed: int, dtype: str) -> Weights:
    """The weights that ``torch.nn.Linear`` draws after ``torch.manual_seed(seed)``; torch's generator is not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TorchPerceptron(input_dim, output_dim, dtype=getattr(torch, dtype)).weights()


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
