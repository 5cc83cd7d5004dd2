"""The memory that a comparison of two models takes: what is held once, and what does not fit."""

from typing import Any

import numpy as np
import torch
from torch import nn

from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.arguments import both_inputs
from crosscheck._models.torch_recording import TorchRecord, record


class Overwriting(nn.Module):
    """Layers whose operands are results on record, in other shapes, or overwritten before they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Linear(4, 6), nn.ReLU(inplace=True)
        self.second, self.third = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        h = self.act(self.first(x))
        k = self.second(h)
        k[0] *= 2  # a view of the result is written to
        return self.third(k)


def recorded(model: nn.Module, x: Any) -> TorchRecord:
    inputs, _ = both_inputs(model, lambda p, x: x, [x], None, "float32", 0)
    return record(TorchProgram(model, inputs, "cpu"), ("output",))


def test_an_operand_that_is_on_record_is_held_once_and_is_what_the_operation_got() -> None:
    torch.manual_seed(0)
    model, x = Overwriting(), np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    found = recorded(model, x)
    operands = {use.names[0].partition(".")[0]: use.given for use in found.uses}
    with torch.no_grad():
        model = model.double()
        h = torch.relu(model.first(torch.from_numpy(x).double()))
        k = model.second(h)
        k[0] *= 2
    for name, value in (("second", h), ("third", k)):
        given = operands[name]
        assert given is not None
        np.testing.assert_allclose(given.wide.reshape(value.shape), value.numpy(), rtol=1e-12)
    relu = next(found.values[one.index] for one in found.operations if one.name.startswith("relu"))
    assert operands["second"] is not None
    for held, made in ((operands["second"].wide, relu.wide), (operands["second"].narrow, relu.narrow)):
        assert np.shares_memory(held, made)
    calls = {name: given for name, _, given in found.calls}
    assert np.shares_memory(calls["second"][0], relu.narrow)
    assert (calls["act"][0] < 0).any()  # what the module got, before it was overwritten
