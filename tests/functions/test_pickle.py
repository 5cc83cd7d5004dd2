"""Activations are copied, pickled and saved, alone and in a model: one of the catalogue by its name."""

import copy
import dataclasses
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest
import torch
from catalogue import NAMES

import crosscheck

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": lambda original, p=protocol: pickle.loads(pickle.dumps(original, p)) for protocol in range(6)},
}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


@every_copy
@pytest.mark.parametrize("name", NAMES)
def test_one_of_the_catalogue_is_the_same_object(name: str, copied: Callable[[Any], Any]) -> None:
    activation = crosscheck.activations[name]
    assert copied(activation) is activation
    assert copied(activation.torch) is activation.torch
    assert copied(activation.jax) is activation.jax


@every_copy
def test_so_is_the_catalogue(copied: Callable[[Any], Any]) -> None:
    assert copied(crosscheck.activations) is crosscheck.activations


def test_a_catalogue_with_files_is_made_again(activation_file: Path) -> None:
    catalogue = type(crosscheck.activations)([activation_file])
    again = pickle.loads(pickle.dumps(catalogue))
    assert list(again) == list(catalogue)
    assert again["mine"].torch(torch.ones(1)).item() == 0.5


class Model(torch.nn.Module):
    """A layer, and an activation in one of the ways to hold one."""

    def __init__(self, activation: Any, call: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(6, 6)
        self.activation = activation
        self.call = call

    def forward(self, x: Any) -> Any:
        return self.call(self.activation, self.linear(x))


def of_record(activation: Any, x: Any) -> Any:
    return activation.torch(x)


def of_interface(activation: Any, x: Any) -> Any:
    return activation(x)


def saved(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, COPIES["pickle 5"], saved], ids=["deepcopy", "pickle", "torch.save"])
@pytest.mark.parametrize("call", [of_record, of_interface])
@pytest.mark.parametrize("name", ["silu", "softplus", "prelu", "softmax", "glu", "standardize"])
def test_a_module_that_holds_one_is_the_same_module(name: str, call: Any, copied: Callable[[Any], Any]) -> None:
    activation = crosscheck.activations[name]
    model = Model(activation if call is of_record else activation.torch, call)
    x = torch.linspace(-2, 2, 24).reshape(4, 6)
    results = []
    for module in (model, copied(model)):
        value = module(x)
        gradients = torch.autograd.grad(value.sin().sum(), list(module.parameters()))
        results.append([value, *gradients])
    assert all(map(torch.equal, *results))
    assert copied(model).linear.weight is not model.linear.weight


@pytest.mark.full
def test_another_process_finds_it_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "swish.pickle"
    path.write_bytes(pickle.dumps([crosscheck.activations["swish"], crosscheck.activations.softmax.torch]))
    program = f"""
import pickle
silu, softmax = pickle.loads(open({str(path)!r}, "rb").read())
import crosscheck, torch
assert silu is crosscheck.activations.silu and softmax is crosscheck.activations.softmax.torch
print(softmax(torch.zeros(4)).tolist())
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0.25, 0.25, 0.25, 0.25]"


@pytest.mark.parametrize("name", NAMES)
def test_another_record_is_pickled_by_its_fields(name: str) -> None:
    record = crosscheck.activations[name]
    renamed = dataclasses.replace(record, name="mine", aliases=())
    _ = renamed.torch(torch.ones(2, 2))  # what it makes is made again
    again = pickle.loads(pickle.dumps(renamed))
    assert again is not renamed
    assert repr(again) == repr(renamed)  # not ==, as NaN is not
    x = [[0.25, 0.5], [1.0, 2.0]]
    assert torch.equal(again.torch(torch.tensor(x)), record.torch(torch.tensor(x)))
    assert (again.jax(jnp.array(x)) == record.jax(jnp.array(x))).all()
    with pytest.raises(TypeError):
        again.parameters["alpha"] = 2.0


def test_one_of_its_name_with_another_formula_is_not_taken_for_it() -> None:
    half = dataclasses.replace(crosscheck.activations["relu"], torch_value=of_half, torch_gradient=None, torch_second=None)
    again = pickle.loads(pickle.dumps(half))
    assert again.torch(torch.ones(1)).item() == 0.5


def of_half(torch: Any, x: Any) -> Any:
    return x / 2


def test_a_lambda_cannot_be_pickled_and_is_named() -> None:
    record = dataclasses.replace(crosscheck.activations["relu"], definition=lambda m, x: x)
    assert copy.deepcopy(record) is record
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(record)
