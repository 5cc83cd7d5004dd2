"""The architectures of the zoo are right: torch and each port to JAX agree, with the same weights carried over by hand."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pytest
import torch
from in_both import to_torch, x64
from zoo import ARCHITECTURES, Architecture, Port, installed

PORTS = [
    pytest.param(one, library, id=f"{one.name}-{library}", marks=[] if library == "plain" else [pytest.mark.full])
    for one in ARCHITECTURES.values()
    for library in one.ports
]
DTYPES = ["float64", pytest.param("float32", marks=pytest.mark.full)]
Arrays = dict[str, np.ndarray]


def cast(inputs: Sequence[Any], dtype: str) -> list[Any]:
    return [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]


def numbered(outputs: Any) -> Arrays:
    leaves = outputs if isinstance(outputs, tuple | list) else [outputs]
    return {f"output {k}": np.asarray(leaf, np.float64) for k, leaf in enumerate(leaves)}


def of_torch(architecture: Architecture, dtype: str, seed: int) -> Arrays:
    """The outputs, and in training mode the buffers after the call."""
    model = architecture.torch_model(seed).to(getattr(torch, dtype))
    inputs = [to_torch(x) for x in cast(architecture.inputs(seed), dtype)]
    with torch.no_grad():
        outputs = numbered(model(*inputs))
    buffers = {name: value.double().numpy() for name, value in model.named_buffers() if value.is_floating_point()}
    return outputs | (buffers if architecture.train else {})


def compiled(model: Any, arguments: Sequence[Any]) -> Any:
    """What the model gives under jit, whose arguments the arrays of a module must be too."""
    leaves, structure = jax.tree.flatten(model)
    arrays = {k: leaf for k, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}

    @jax.jit
    def call(arrays: Any, arguments: Any) -> Any:
        made = jax.tree.unflatten(structure, [arrays.get(k, leaf) for k, leaf in enumerate(leaves)])
        return made(*arguments)

    return call(arrays, arguments)


def of_jax(architecture: Architecture, port: Port, dtype: str, seed: int) -> Arrays:
    arguments = port.arguments(cast(architecture.inputs(seed), dtype))
    if port.new_state is None:
        return numbered(compiled(port.model, arguments))
    outputs = port.model(*arguments)
    outputs, state = (outputs, port.model) if port.params is None else outputs
    return numbered(outputs) | {name: np.asarray(value, np.float64) for name, value in port.new_state(state).items()}


def distances(expected: Arrays, got: Arrays) -> dict[str, float]:
    """The largest difference of each array, relative to the largest of its elements."""
    assert expected.keys() == got.keys()
    assert all(expected[name].shape == got[name].shape for name in expected)
    return {name: float(abs(got[name] - expected[name]).max() / abs(expected[name]).max()) for name in expected}


@pytest.fixture
def library_here(request: pytest.FixtureRequest) -> Iterator[None]:
    library = request.getfixturevalue("library")
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    yield
    jax.clear_caches()  # hardly two ports have a program in common


@pytest.mark.usefixtures("library_here")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("architecture", "library"), PORTS)
def test_a_port_agrees_with_torch(architecture: Architecture, library: str, dtype: str) -> None:
    seed = 1
    expected = of_torch(architecture, dtype, seed)
    with x64(dtype):
        got = of_jax(architecture, architecture.jax(library, seed, dtype=dtype), dtype, seed)
    exact = dtype == "float64" and library not in architecture.float32_inside
    assert max(distances(expected, got).values()) < (1e-10 if exact else architecture.float32_tolerance)


@pytest.mark.full
@pytest.mark.usefixtures("library_here")
@pytest.mark.parametrize(("architecture", "library"), PORTS)
def test_a_fresh_port_has_the_same_shapes_and_other_outputs(architecture: Architecture, library: str) -> None:
    expected = of_torch(architecture, "float32", 0)
    got = of_jax(architecture, architecture.jax(library, fresh=True), "float32", 0)
    assert max(distances(expected, got).values()) > 1e-2
